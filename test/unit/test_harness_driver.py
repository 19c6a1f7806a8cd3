"""The driver of random faults: it waits as long as it was asked to run, and keeps to its disk and memory."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any, cast

import pytest
from harness import contention
from harness.client import Answer, Client
from harness.contention import Rounds, at_once, meanwhile, patience
from harness.driver import cut_logs
from harness.ledger import MAX_FAILURES, Ledger, load, lost
from harness.linearizable import Op, Verdict
from harness.tally import Tally
from harness.workloads import Buckets, Expiring, at_work


@pytest.mark.parametrize("seconds", [1, 300, 7200])
def test_clients_may_take_as_long_as_the_run_that_was_asked_for(seconds: float) -> None:
    """They were given up after 300 s, so that a run of 300 s always ended with `a client hangs`."""
    assert patience(seconds) > seconds + 60


def test_clients_that_hang_are_told_of() -> None:
    hold = threading.Event()
    with pytest.raises(AssertionError, match=r"2 of 3 clients have not ended after 0\.2 s"):
        at_once(3, lambda number: hold.wait(30) if number else None, 0.2)
    hold.set()


def test_what_goes_on_meanwhile_is_stopped_if_the_block_fails() -> None:
    stop = threading.Event()
    started = time.monotonic()
    with pytest.raises(ValueError, match="no"), meanwhile(lambda: stop.wait(60), stop.set, 60):
        raise ValueError("no")
    assert time.monotonic() - started < 30


def test_what_goes_on_too_long_is_told_of() -> None:
    stop = threading.Event()
    with (
        pytest.raises(AssertionError, match=r"have not ended 0\.1 s after"),
        meanwhile(lambda: stop.wait(60), seconds=0.1),
    ):
        pass
    stop.set()


class Fake:
    """A store in memory, for one thread or many: answers as the real one, or (`status`) always alike."""

    def __init__(self, status: int = 0) -> None:
        self.objects: dict[str, bytes] = {}
        self._status = status
        self._lock = threading.Lock()

    def request(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        with self._lock:
            if self._status:
                return _answer(self._status)
            there = self.objects.get(path)
            if method == "POST":
                return _answer(202)
            if method == "GET":
                return _answer(404) if there is None else _answer(200, there)
            if (headers or {}).get("If-None-Match") and there is not None:
                return _answer(412)
            match = (headers or {}).get("If-Match")
            if match and (there is None or match not in ("*", contention.etag(there))):
                return _answer(412)
            if method == "PUT":
                self.objects[path] = body or b""
                return _answer(201)
            return _answer(404) if self.objects.pop(path, None) is None else _answer(204)

    def get(self, path: str, headers: dict[str, str] | None = None) -> Answer:
        return self.request("GET", path)

    def put(self, path: str, body: bytes) -> Answer:
        return self.request("PUT", path, None, body)

    def post(self, path: str, headers: dict[str, str]) -> Answer:
        return _answer(202)

    def delete(self, path: str) -> Answer:
        return self.request("DELETE", path)

    def close(self) -> None:
        pass


def _answer(status: int, body: bytes = b"") -> Answer:
    return Answer(status, cast(Any, {}), body)


def test_each_round_has_a_name_and_a_history_of_its_own() -> None:
    store = Fake()
    rounds = Rounds(lambda: cast(Client, store), "c/name")
    rounds.run(1.0, each=0.2)
    assert rounds.verdicts[Verdict.POSSIBLE] >= 2 and not rounds.impossible
    assert rounds.acknowledged > 10


def test_an_impossible_round_is_told_of_with_its_reason() -> None:
    rounds = Rounds(lambda: cast(Client, Fake()), "c/name")
    history = contention.History()
    history.ops = [Op("write", "a", 0, 1), Op("read", "b", 2, 3)]
    rounds._judge(history)
    assert rounds.verdicts == {Verdict.IMPOSSIBLE: 1}
    assert "no order explains" in rounds.impossible[0]


def test_rounds_can_be_stopped() -> None:
    rounds = Rounds(lambda: cast(Client, Fake()), "c/name")
    started = time.monotonic()
    with pytest.raises(ValueError, match="no"), meanwhile(lambda: rounds.run(600), rounds.stop, 60):
        time.sleep(0.1)
        raise ValueError("no")
    assert time.monotonic() - started < 30


def test_a_writer_keeps_to_so_many_names() -> None:
    store = Fake()
    ledger = Ledger("c")
    with load(lambda: cast(Client, store), ledger, writers=1, pause=0.0, max_names=20) as stop:
        end = time.monotonic() + 60
        while len(ledger.possible) < 20 and time.monotonic() < end:
            stop.wait(0.05)
        stop.wait(0.3)
    assert len(ledger.possible) == 20
    assert not lost(cast(Client, store), ledger)
    del store.objects[next(iter(store.objects))]
    assert len(lost(cast(Client, store), ledger)) == 1


def test_a_ledger_describes_so_many_failures() -> None:
    ledger = Ledger("c")
    for number in range(2 * MAX_FAILURES):
        ledger.failed(str(number))
    assert len(ledger.failures) == MAX_FAILURES


def test_ends_are_set_on_so_many_names() -> None:
    ends = Expiring(cast(Client, Fake()), "c", Tally(), 1)
    for _ in range(4 * Expiring.MAX_NAMES):
        ends.step()
    assert len(ends._ends) == Expiring.MAX_NAMES


class FakeS3:
    """Versions in memory, as far as `Buckets` puts and deletes them."""

    def __init__(self) -> None:
        self.versions = 0
        self._numbers = 0

    def create_bucket(self, **given: Any) -> None: ...

    def put_bucket_versioning(self, **given: Any) -> None: ...

    def put_object(self, **given: Any) -> dict[str, str]:
        self._numbers += 1
        self.versions += 1
        return {"VersionId": str(self._numbers), "ETag": ""}

    def delete_object(self, VersionId: str = "", **given: Any) -> dict[str, str]:
        if not VersionId:
            return self.put_object()
        self.versions -= 1
        return {"VersionId": VersionId}

    def create_multipart_upload(self, **given: Any) -> dict[str, str]:
        return {"UploadId": "u"}

    def upload_part(self, **given: Any) -> dict[str, str]:
        return {"ETag": ""}

    def abort_multipart_upload(self, **given: Any) -> dict[str, str]:
        return {"done": "yes"}

    def complete_multipart_upload(self, **given: Any) -> dict[str, str]:
        return self.put_object()


def test_a_bucket_has_so_many_versions() -> None:
    store = FakeS3()
    buckets = Buckets(lambda: store, "b", Tally(), 1)
    for _ in range(4 * Buckets.MAX_VERSIONS):
        buckets.step()
    assert Buckets.MAX_VERSIONS - 2 <= store.versions <= Buckets.MAX_VERSIONS


def test_a_long_log_keeps_its_last_half_and_is_appended_to(tmp_path: Path) -> None:
    with open(tmp_path / "long", "ab", buffering=0) as log:
        log.write(b"a" * 1000 + b"b" * 500)
        (tmp_path / "short").write_text("short")
        cut_logs(tmp_path, limit=1000)
        log.write(b"c")
    assert (tmp_path / "long").read_bytes() == b"... cut ...\n" + b"b" * 500 + b"c"
    assert (tmp_path / "short").read_text() == "short"


class Broken:
    def step(self) -> None:
        raise ValueError("no")

    def findings(self) -> list[str]:
        return []


def test_what_a_workload_raises_is_seen_before_the_end_of_the_run() -> None:
    """A run of hours would be without its load, and fail only then."""
    with pytest.raises(ValueError, match="no"), at_work([Broken()], pause=0.0) as failed:
        end = time.monotonic() + 30
        while not failed:
            assert time.monotonic() < end
            time.sleep(0.01)
