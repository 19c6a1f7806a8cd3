"""Items that are made in a thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from objstore.runtime import green
from objstore.runtime.threads import ThreadPool


@pytest.mark.parametrize("count", [0, 1, 4, 5, 9])
def test_items_are_made_in_a_thread_and_come_in_order(count: int) -> None:
    made_by = set()

    def items() -> Iterator[int]:
        for number in range(count):
            made_by.add(threading.get_ident())
            yield number

    assert list(ThreadPool("test", 1).iterate(items(), size=4)) == list(range(count))
    assert threading.get_ident() not in made_by


def test_no_more_are_made_than_one_batch_ahead_and_others_go_on_meanwhile() -> None:
    made: list[int] = []
    gate, ran = threading.Event(), []

    def items() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            if number == 4:
                gate.wait(10)
            yield number

    other = green.spawn(lambda: (ran.append(True), gate.set()))
    found = ThreadPool("test", 1).iterate(items(), size=4)
    assert [next(found) for _ in range(4)] == [0, 1, 2, 3]
    assert made == [0, 1, 2, 3]
    assert (next(found), ran) == (4, [True])
    other.wait()


def test_what_the_making_raises_is_raised_to_who_takes() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError(5, "failed")

    found = ThreadPool("test", 1).iterate(items(), size=1)
    assert next(found) == 1
    with pytest.raises(OSError):
        next(found)
