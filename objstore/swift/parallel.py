"""Work on many items for one request, several at a time, in green threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from objstore.runtime import green
from objstore.swift.bulk.report import beats

_Item = TypeVar("_Item")


def each(items: Iterable[_Item], work: Callable[[_Item], object], concurrency: int, interval: float) -> Iterator[None]:
    """Call `work` for each item; yield after each, and at least each `interval` seconds while one takes longer.

    items: read in turn by the threads, so taking the next must not wait. concurrency: calls at a time. Raises the first
    error of a call; then, or if the iterator is closed, no more items are begun, and those under way are ended.
    """
    remaining = iter(items)
    ended = green.Queue()
    first = [item for _, item in zip(range(concurrency), remaining, strict=False)]
    if not first:
        return

    def run(item: _Item | None) -> None:
        failure: Exception | None = None
        try:
            while item is not None:
                work(item)
                ended.put(True)
                item = next(remaining, None)
        except Exception as error:
            failure = error
        ended.put(failure)

    threads = [green.spawn(run, item) for item in first]
    beat = green.spawn(beats, ended.put, True, interval)
    running = len(threads)
    try:
        while running:
            outcome = ended.get()
            if isinstance(outcome, Exception):
                raise outcome
            running -= outcome is None
            yield
    finally:
        for thread in (*threads, beat):
            green.kill(thread)
