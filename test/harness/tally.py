"""Counts of what clients were told."""

from __future__ import annotations

import threading
from collections import Counter


class Tally:
    """done: acknowledged requests by kind. failed: others by kind and status. For many threads."""

    def __init__(self) -> None:
        self.done: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self._lock = threading.Lock()

    def success(self, kind: str) -> None:
        with self._lock:
            self.done[kind] += 1

    def failure(self, kind: str, why: object) -> None:
        """why: a status, a code, or what was raised."""
        told = type(why).__name__ if isinstance(why, BaseException) else str(why)
        with self._lock:
            self.failed[f"{kind} {told}"] += 1

    def lines(self) -> list[str]:
        done, failed = (
            ", ".join(f"{number} {kind}" for kind, number in sorted(counts.items())) or "none"
            for counts in (self.done, self.failed)
        )
        return [f"acknowledged: {done}", f"failed: {failed}"]
