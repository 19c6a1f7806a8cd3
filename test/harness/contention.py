"""Many clients that change one name at once, and what must hold of it."""

from __future__ import annotations

import hashlib
import http.client
import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from harness.client import SECONDS, Answer, Client
from harness.linearizable import ANY, NOTHING, History, Judgement, Op, Verdict, blame, judge

MakeClient = Callable[[], Client]
# Answers that say nothing of whether the change was made.
UNKNOWN = frozenset({408, 500, 503, 507})
_PAUSE = 0.05  # seconds after a connection broke
_STEP = 2 * SECONDS + 30  # that a client which has begun a step may still take


def patience(seconds: float) -> float:
    """Seconds in which clients that begin no step after `seconds` must have ended."""
    return seconds + _STEP


def at_once(count: int, work: Callable[[int], Any], seconds: float = 300) -> list[Any]:
    """Run `work(0)` to `work(count - 1)` in threads that begin together; their results. Raises what one raises.

    seconds: in which all of them must end.
    """
    barrier = threading.Barrier(count)
    results: list[Any] = [None] * count
    failures: list[BaseException] = []

    def run(number: int) -> None:
        try:
            barrier.wait(60)
            results[number] = work(number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    hanging = sum(thread.is_alive() for thread in threads)
    assert not hanging, f"{hanging} of {count} clients have not ended after {seconds:g} s"
    if failures:
        raise failures[0]
    return results


@contextmanager
def meanwhile(
    work: Callable[[], Any], stop: Callable[[], None] = lambda: None, seconds: float = 300
) -> Iterator[list[Any]]:
    """Do `work` in another thread while the block runs; its result is in the list afterwards. Raises what it raises.

    stop: called at the end of a block that fails. seconds: in which the work must end after the block.
    """
    results: list[Any] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield results
    except BaseException:
        stop()
        raise
    finally:
        thread.join(seconds)
    if failures:
        raise failures[0]
    assert results, f"the clients have not ended {seconds:g} s after they should"


def race_to_create(make: MakeClient, paths: list[str], clients: int, size: int = 100) -> None:
    """All create each path; one of them does, and its content is there."""
    made = [make() for _ in range(clients)]
    for path in paths:
        bodies = [b"%d " % number * (size // 3) for number in range(clients)]
        answers = at_once(clients, lambda number, path=path, bodies=bodies: sent(made[number], path, bodies[number]))
        winners = [number for number, answer in enumerate(answers) if answer.status == 201]
        others = {answer.status for answer in answers} - {201}
        assert len(winners) == 1, [answer.status for answer in answers]
        assert others <= {412}, others
        assert made[0].get(path, {"X-Newest": "true"}).body == bodies[winners[0]]
    for client in made:
        client.close()


def sent(client: Client, path: str, body: bytes) -> Answer:
    return client.put(path, body, {"If-None-Match": "*"})


def count_up(
    make: MakeClient, path: str, clients: int, wins: int, seconds: float = 120, padding: int = 0
) -> tuple[int, int]:
    """All increment a counter, each until it did so `wins` times; its value at the end, and the successes told."""
    deadline = time.monotonic() + seconds
    first = make()
    assert first.put(path, counter(0, "", padding)).status == 201

    def work(number: int) -> int:
        client = make()
        told = 0
        for attempt in itertools.count():
            if told >= wins or time.monotonic() > deadline:
                break
            try:
                now = client.get(path, {"X-Newest": "true"})
                if now.status != 200:
                    continue
                value = int(now.body.split()[0])
                body = counter(value + 1, f"{number}.{attempt}", padding)
                answer = client.put(path, body, {"If-Match": now["Etag"]})
            except (OSError, http.client.HTTPException):
                continue
            assert answer.status in {201, 409, 412} | UNKNOWN, answer
            if answer.status == 201:
                told += 1
            else:
                time.sleep(random.random() * 0.01)
        client.close()
        return told

    told = sum(at_once(clients, work, patience(seconds)))
    last = first.get(path, {"X-Newest": "true"})
    first.close()
    return int(last.body.split()[0]), told


def read_back(make: MakeClient, path: str, seconds: float) -> int:
    """Write a name again and again, the only writer, and read it after each answer; how often that was.

    X-Newest must give what was acknowledged last, or something whose writing failed since.
    """
    client = make()
    possible: list[bytes] = []
    done = 0
    end = time.monotonic() + seconds
    for number in itertools.count():
        if time.monotonic() > end:
            break
        body = b"%d" % number
        try:
            possible.append(body)
            if client.put(path, body).status == 201:
                possible = [body]
            answer = client.get(path, {"X-Newest": "true"})
        except (OSError, http.client.HTTPException):
            time.sleep(_PAUSE)
            continue
        if answer.status == 200:
            assert answer.body in possible, f"read {answer.body!r} after {possible}"
            possible = possible[possible.index(answer.body) :]
            done += 1
        else:
            assert answer.status in UNKNOWN or len(possible) == number + 1, f"{answer.status} after {possible}"
    client.close()
    return done


def counter(value: int, who: str, padding: int) -> bytes:
    return f"{value} {who} ".encode() + b"." * padding


class Mixture:
    """Clients that do at random what can be done with one name, and note it in a history.

    reads: are they noted, too? size: of bodies, about.
    """

    def __init__(self, make: MakeClient, path: str, reads: bool = True, size: int = 20, plain: bool = True) -> None:
        self.history = History()
        self._make = make
        self._path = path
        self._reads = reads
        self._size = size
        self._plain = plain
        self._numbers = itertools.count()
        self._deadline = 0.0
        self._stopped = False

    def run(self, clients: int, each: int, seconds: float = 120) -> None:
        self._deadline = time.monotonic() + seconds
        at_once(clients, lambda number: self._work(random.Random(number), each), patience(seconds))

    def stop(self) -> None:
        """Let all clients end with the step that they are at."""
        self._stopped = True

    def _work(self, choice: random.Random, count: int) -> None:
        client = self._make()
        known: list[str] = []  # values that this client has seen
        for _ in range(count):
            if self._stopped or time.monotonic() > self._deadline:
                break
            try:
                self._step(client, choice, known)
            except (OSError, http.client.HTTPException):
                time.sleep(_PAUSE)  # the history has it as unknown
        client.close()

    def _step(self, client: Client, choice: random.Random, known: list[str]) -> None:
        kind = choice.choices(
            ["read", "put", "create", "swap", "delete", "remove"], [4, 2 * self._plain, 2, 6, 0.5 * self._plain, 1]
        )[0]
        if kind == "read" or (kind in ("swap", "remove") and not known):
            with self.history.op("read") as outcome:
                answer = client.get(self._path, {"X-Newest": "true"})
                value = etag(answer.body) if answer.status == 200 else None
                if self._reads and answer.status in (200, 404):
                    outcome.append(Op("read", value, 0, 0))
            if value is not None:
                known[:] = [value]
            return
        body = b"%d " % next(self._numbers) + choice.randbytes(4).hex().encode() * (self._size // 8)
        value = etag(body)
        if kind in ("put", "create"):
            headers = {"If-None-Match": "*"} if kind == "create" else {}
            self._change(client, "PUT", headers, body, Op("write", value, 0, 0, absent=kind == "create"))
        elif kind == "swap":
            expected = ANY if choice.random() < 0.1 else known[-1]
            if self._change(client, "PUT", {"If-Match": expected}, body, Op("write", value, 0, 0, expected)):
                known[:] = [value]
        elif kind == "delete":
            self._change(client, "DELETE", {}, None, Op("write", None, 0, 0))
        else:
            self._change(client, "DELETE", {"If-Match": known[-1]}, None, Op("write", None, 0, 0, known[-1]))

    def _change(self, client: Client, method: str, headers: dict[str, str], body: bytes | None, op: Op) -> bool:
        with self.history.op("write", op.value, op.expected, op.absent) as outcome:
            try:
                answer = client.request(method, self._path, headers, body)
            except ConnectionRefusedError:
                outcome.append(NOTHING)  # nobody has heard of it
                raise
            conditional = bool(headers)
            if answer.status in (201, 204) or (answer.status == 404 and method == "DELETE" and not conditional):
                outcome.append(op)
            elif answer.status == 412 and conditional:
                outcome.append(op._replace(made=False))
            elif answer.status == 409:
                outcome.append(NOTHING)
            else:
                assert answer.status in UNKNOWN, answer
        return answer.status < 300


class Rounds:
    """A mixture on one name after another, for some seconds each, and what its history was judged to be.

    So that a run of hours keeps the history of one round only. statuses: of all operations. verdicts: of rounds.
    impossible: why histories are impossible.
    """

    SECONDS = 60.0  # of a round

    def __init__(self, make: MakeClient, prefix: str, clients: int = 3) -> None:
        self._make = make
        self._prefix = prefix
        self._clients = clients
        self._mixture: Mixture | None = None
        self._stopped = False
        self.statuses: Counter[str] = Counter()
        self.verdicts: Counter[Verdict] = Counter()
        self.impossible: list[str] = []

    @property
    def acknowledged(self) -> int:
        return sum(number for status, number in self.statuses.items() if status.endswith(" made"))

    def run(self, seconds: float, each: float = SECONDS) -> None:
        """Rounds of `each` seconds, also a shorter last one, until `seconds` are over or `stop` is called."""
        end = time.monotonic() + seconds
        for number in itertools.count():
            rest = end - time.monotonic()
            if self._stopped or rest <= 0:
                return
            self._mixture = Mixture(self._make, f"{self._prefix}{number}", reads=False, plain=False)
            self._mixture.run(self._clients, 1_000_000, min(each, rest))
            self._judge(self._mixture.history)

    def stop(self) -> None:
        self._stopped = True
        if self._mixture is not None:
            self._mixture.stop()

    def _judge(self, history: History) -> None:
        self.statuses += history.statuses()
        judgement: Judgement = judge(history.ops)
        self.verdicts[judgement.verdict] += 1
        if judgement.verdict is Verdict.IMPOSSIBLE:
            self.impossible.append(blame(history.ops))


def etag(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()
