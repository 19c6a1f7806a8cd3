"""Work on many items, several at a time."""

from __future__ import annotations

import time

import pytest

from objstore.runtime import green
from objstore.swift import parallel


def test_each_item_is_worked_on_once_and_not_too_many_at_a_time() -> None:
    done: list[int] = []
    running = most = 0

    def work(item: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        green.sleep(0.001)
        running -= 1
        done.append(item)

    for _ in parallel.each(range(20), work, 4, 10):
        pass
    assert sorted(done) == list(range(20)) and most == 4


def test_nothing_to_do() -> None:
    assert list(parallel.each([], print, 4, 10)) == []


def test_it_yields_while_an_item_takes_long() -> None:
    start = time.monotonic()
    beats = [time.monotonic() - start for _ in parallel.each([1], lambda item: green.sleep(0.2), 4, 0.05)]
    assert len(beats) >= 3 and beats[0] < 0.15


def test_an_error_ends_the_work() -> None:
    done: list[int] = []

    def work(item: int) -> None:
        green.sleep(0.001)
        if item == 3:
            raise ValueError("three")
        done.append(item)

    with pytest.raises(ValueError, match="three"):
        list(parallel.each(range(100), work, 2, 10))
    count = len(done)
    green.sleep(0.02)
    assert count == len(done) < 10


def test_closing_ends_the_work() -> None:
    done: list[int] = []

    def work(item: int) -> None:
        green.sleep(0.001)
        done.append(item)

    steps = parallel.each(range(100), work, 2, 10)
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    count = len(done)
    green.sleep(0.02)
    assert count == len(done) < 10
