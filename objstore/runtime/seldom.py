"""Telling of what goes on failing: once in a while, not each time."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable

_MOST = 10_000


class Seldom:
    """Keys should be few, such as the names of nodes; if there are too many, events repeat."""

    def __init__(self, seconds: float = 600.0, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._monotonic = monotonic
        self._times: dict[Hashable, float] = {}

    def is_due(self, key: Hashable) -> bool:
        """Return whether the interval has passed since the last event of the key; if so, it starts again."""
        now = self._monotonic()
        due = now - self._times.get(key, float("-inf")) >= self._seconds
        if due:
            if len(self._times) >= _MOST:
                self._times.clear()
            self._times[key] = now
        return due
