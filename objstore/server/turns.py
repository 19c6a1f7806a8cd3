"""A limit on concurrent requests of peers per device; others are asked to retry."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from objstore.runtime import green
from objstore.server.answers import error
from objstore.wire.messages import NodeResponse


class Busy(Exception):
    """The limit of requests is reached, or one for the same subject is under way."""


class Turns:
    """Turns of requests. concurrency: per device. wait: seconds to wait for a turn."""

    def __init__(self, concurrency: int, wait: float) -> None:
        self._concurrency = concurrency
        self._wait = wait
        self._by_path: dict[str, Any] = {}

    @contextmanager
    def of(self, path: str) -> Iterator[None]:
        """Take a turn of the device at a path. Raises Busy."""
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
