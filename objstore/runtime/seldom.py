"""Telling of what goes on failing: once in a while, not each time."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable

_MOST = 10_000


class Seldom:
    """Keys are to be few, such as the names of nodes; where they are many after all, things are told again."""

    def __init__(self, seconds: float = 600.0, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._monotonic = monotonic
        self._told: dict[Hashable, float] = {}

    def is_due(self, key: Hashable) -> bool:
        """Was it not told for so long? If so, it counts as told now."""
        now = self._monotonic()
        due = now - self._told.get(key, float("-inf")) >= self._seconds
        if due:
            if len(self._told) >= _MOST:
                self._told.clear()
            self._told[key] = now
        return due
