"""Rates that processes share."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from objstore.core.errors import ConfigError
from objstore.runtime.rate_file import RateFile, RatePace, advance

PACE = RatePace(rate=2.0, buffer=5.0, max_wait=1.0)
UNIT = 1000


@pytest.mark.parametrize(
    "stored, now, expected",
    [
        (0, 50_000, (50_500, 0.0)),  # the first
        (50_500, 50_500, (51_000, 0.0)),  # on time
        (50_500, 50_200, (51_000, 0.3)),  # early
        (51_200, 50_200, (51_700, 1.0)),  # at the limit
        (51_201, 50_200, (51_201, None)),  # beyond it: not counted
        (48_000, 50_000, (48_500, 0.0)),  # catches up
        (44_999, 50_000, (50_500, 0.0)),  # was idle for too long
    ],
)
def test_the_time_of_a_key(stored: int, now: int, expected: tuple[int, float | None]) -> None:
    assert advance(stored, now, PACE, UNIT) == expected


def test_two_openings_of_a_file_share_its_counts(tmp_path: Path) -> None:
    path = str(tmp_path / "rates")
    one, two = (RateFile(path, now=lambda: 10**12) for _ in range(2))
    assert [one.wait("a", PACE), two.wait("a", PACE), one.wait("a", PACE), two.wait("a", PACE)] == [0.0, 0.5, 1.0, None]
    assert two.wait("b", PACE) == 0.0


def test_a_file_in_memory_is_of_its_process_alone() -> None:
    one, two = (RateFile(now=lambda: 10**12) for _ in range(2))
    assert (one.wait("a", PACE), two.wait("a", PACE)) == (0.0, 0.0)


def test_a_path_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ratelimit_file"):
        RateFile(str(tmp_path / "missing" / "rates"))


def test_many_keys_keep_their_times_apart(tmp_path: Path) -> None:
    rates = RateFile(str(tmp_path / "rates"), now=lambda: 10**12)
    for number in range(5000):
        assert rates.wait(f"key{number}", PACE) == 0.0
    assert sum(rates.wait(f"key{number}", PACE) == 0.5 for number in range(5000)) > 4990


def _hammer(path: str, results: multiprocessing.Queue) -> None:
    rates = RateFile(path, now=lambda: 10**12)
    results.put(sum(rates.wait("k", RatePace(1000.0, 5.0, 0.5)) is not None for _ in range(400)))


def test_processes_that_count_at_once_lose_nothing(tmp_path: Path) -> None:
    path = str(tmp_path / "rates")
    context = multiprocessing.get_context("fork")
    results: multiprocessing.Queue = context.Queue()
    workers = [context.Process(target=_hammer, args=(path, results)) for _ in range(3)]
    for worker in workers:
        worker.start()
    admitted = sum(results.get(timeout=30) for _ in workers)
    for worker in workers:
        worker.join()
    assert admitted == 501  # those within half a second at 1000 per second, and the first
