"""How many peers are served at a time: of each device so many, others are asked to come again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from objstore.runtime import green
from objstore.server.answers import error
from objstore.wire.messages import NodeResponse


class Busy(Exception):
    """As many requests as may be are under way, or one for the same."""


class Turns:
    """concurrency: requests of a device at a time. wait: seconds to wait for one of them to end."""

    def __init__(self, concurrency: int, wait: float) -> None:
        self._concurrency = concurrency
        self._wait = wait
        self._by_path: dict[str, Any] = {}

    @contextmanager
    def of(self, path: str) -> Iterator[None]:
        """One turn of the device at a path. Raises Busy."""
        turns = self._by_path.get(path)
        if turns is None:
            turns = self._by_path[path] = green.Semaphore(self._concurrency)
        if not turns.acquire(timeout=self._wait):
            raise Busy
        try:
            yield
        finally:
            turns.release()


def come_again() -> NodeResponse:
    return error(503, headers={"Retry-After": "1"})
