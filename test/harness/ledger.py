"""Who writes keeps a ledger of what was acknowledged; `check` holds a store against it."""

from __future__ import annotations

import hashlib
import http.client
import itertools
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from harness.client import Answer, Client
from harness.tally import Tally

SIZES = (0, 1, 1000, 20_000, 65_490, 70_000, 300_000)  # with up to 99 more: the fifth is packed, or just not
ABSENT = None
PAUSE = 0.05  # seconds after a failure
BREATH = 0.1  # seconds after each write, as all that is written is to be healed, too, and looked through
LARGE = 3_000_000
MAX_NAMES = 300  # of each writer, so that a run of hours fits on a disk
MAX_FAILURES = 1000  # that are described
_LAST_STEP = 150  # seconds that a writer's last requests may take


def content(name: str, version: int) -> bytes:
    """The bytes of a version of an object, of a size of its own; no two alike but empty ones."""
    chance = random.Random(f"{name} {version}")
    return chance.randbytes(chance.choice(SIZES) + chance.randrange(100) + LARGE * (chance.random() < 0.01))


@dataclass
class Ledger:
    """What may be read of each name of a container: the last acknowledged version, and those in doubt since."""

    container: str
    possible: dict[str, list[int | None]] = field(default_factory=lambda: defaultdict(lambda: [ABSENT]))
    failures: list[str] = field(default_factory=list)
    versions: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    tally: Tally = field(default_factory=Tally)

    def failed(self, text: str) -> None:
        if len(self.failures) < MAX_FAILURES:
            self.failures.append(text)

    def attempt(self, name: str, version: int | None) -> None:
        self.possible[name].append(version)

    def acknowledged(self, name: str, version: int | None) -> None:
        self.possible[name] = [version]

    def grow(self, by: int = 40, seconds: float = 60) -> None:
        """Wait until so many more objects must be there; fails the test where they do not come to be."""
        least = self.count + by
        end = time.monotonic() + seconds
        while self.count < least:
            assert time.monotonic() < end, f"{self.count} objects, not {least}: {self.failures[-10:]}"
            time.sleep(PAUSE)

    def assert_served(self) -> None:
        """Hardly a request failed; on a busy machine some time out."""
        assert len(self.failures) <= max(2, self.count // 20), self.failures[:10]

    @property
    def count(self) -> int:
        """Objects that must be there."""
        return sum(ABSENT not in versions for versions in list(self.possible.values()))


def write(client: Client, ledger: Ledger, name: str, version: int | None) -> None:
    """PUT a version, or DELETE (None), and note what came of it. Raises ConnectionRefusedError."""
    ledger.attempt(name, version)
    path = f"{ledger.container}/{name}"
    kind = "DELETE" if version is None else "PUT"
    try:
        answer = client.delete(path) if version is None else client.put(path, content(name, version))
    except ConnectionRefusedError:
        raise  # there is no server
    except (OSError, http.client.HTTPException) as error:
        ledger.failed(f"{name}: {error!r}")
        ledger.tally.failure(kind, error)
        time.sleep(PAUSE)
        return
    if answer.status in ((204, 404) if version is None else (201,)):
        ledger.acknowledged(name, version)
        ledger.tally.success(kind)
    else:
        ledger.tally.failure(kind, answer.status)
        ledger.failed(f"{name}: {answer.status} {answer.body[:200]!r}")
        time.sleep(PAUSE)


@contextmanager
def load(
    client: Callable[[], Client],
    ledger: Ledger,
    writers: int = 6,
    patient: bool = False,
    pause: float = BREATH,
    max_names: int = MAX_NAMES,
) -> Iterator[threading.Event]:
    """Writers at work, each on names of its own: new ones, overwrites, and a few deletions and POSTs.

    They stop at the event, at the end of the block, and, unless they are patient, where there is no server any more.
    pause: seconds after each write. max_names: of each writer; then it only changes those it has.
    """
    stop = threading.Event()

    def work(writer: int) -> None:
        chance = random.Random(writer)
        own = client()
        names: list[str] = []
        while not stop.is_set():
            version = next(ledger.versions)
            again = len(names) >= max_names or (bool(names) and chance.random() < 0.3)
            name = chance.choice(names) if again else f"w{writer}-{version:06}"
            if not again:
                names.append(name)
            delete = again and chance.random() < 0.3
            try:
                if again and chance.random() < 0.2:
                    own.post(f"{ledger.container}/{name}", {"X-Object-Meta-Version": str(version)})
                write(own, ledger, name, None if delete else version)
            except ConnectionRefusedError:
                if not patient:
                    break
                stop.wait(PAUSE)
            except (OSError, http.client.HTTPException) as error:
                ledger.failed(f"{name}: POST: {error!r}")
            stop.wait(pause)
        own.close()

    threads = [threading.Thread(target=work, args=(writer,), daemon=True) for writer in range(writers)]
    for thread in threads:
        thread.start()
    try:
        yield stop
    finally:
        stop.set()
        for thread in threads:
            thread.join(_LAST_STEP)
        assert not any(thread.is_alive() for thread in threads), f"a writer has not ended after {_LAST_STEP} s"


def check(client: Client, ledger: Ledger, settled: bool = False, replicas: int = 3) -> None:
    """Every acknowledged object is there and whole, and the listing is of what is there.

    settled: do all replicas agree? Until they do, a change is known to a majority of the
    object's replicas, and a row of the listing to some of the container's: of a single one, which moves, to
    none that is asked.
    """
    told = settled or replicas > 1
    listed = _listing(client, ledger.container, 1 if settled else 8)
    wrong = []
    for name, versions in sorted(ledger.possible.items()):
        answer = client.get(f"{ledger.container}/{name}", {} if settled else {"X-Newest": "true"})
        sure = len(versions) == 1
        if not _is_one_of(name, versions, answer):
            wrong.append(f"{name}: {answer.status}, {len(answer.body)} bytes, none of the versions {versions}")
        elif sure and told and answer.status == 200 and _row(answer) not in listed[name]:
            wrong.append(f"{name}: listed as {listed[name]}, is {_row(answer)}")
        elif sure and answer.status == 404 and settled and name in listed:
            wrong.append(f"{name}: deleted, but listed")
    wrong += [f"{name}: listed, but never written" for name in listed.keys() - ledger.possible.keys()]
    assert not wrong, f"{len(wrong)} of {len(ledger.possible)} objects:\n" + "\n".join(wrong[:20])


def lost(client: Client, ledger: Ledger, tries: int = 3) -> list[str]:
    """Names of which no version is read that they must have, however often it is tried."""
    names = sorted(ledger.possible)
    for _ in range(tries):
        names = [name for name in names if not _is_read(client, ledger, name)]
    return names


def _is_read(client: Client, ledger: Ledger, name: str) -> bool:
    try:
        answer = client.get(f"{ledger.container}/{name}", {"X-Newest": "true"})
    except (OSError, http.client.HTTPException):
        return False
    return _is_one_of(name, ledger.possible[name], answer)


def _is_one_of(name: str, versions: list[int | None], answer: Answer) -> bool:
    if answer.status == 404:
        return ABSENT in versions
    return answer.status == 200 and any(
        version is not None and answer.body == content(name, version) for version in versions
    )


def _row(answer: Answer) -> tuple[int, str]:
    return len(answer.body), hashlib.md5(answer.body).hexdigest()


def _listing(client: Client, container: str, times: int) -> dict[str, set[tuple[int, str]]]:
    """Sizes and hashes by name, of several listings, which come of any of the replicas."""
    found: dict[str, set[tuple[int, str]]] = defaultdict(set)
    for _ in range(times):
        marker = ""
        while rows := client.get(container, format="json", marker=marker).json:
            for row in rows:
                found[row["name"]].add((row["bytes"], row["hash"]))
            marker = rows[-1]["name"]
    return found
