"""Nodes that failed recently are skipped for a while.

Each failure counts 1, and counts halve in every `half_life` seconds, so that old failures fade. A node above `limit` is
skipped. A full or unmounted device (507) is skipped at once for `half_life`.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from objstore.core.nodes import Node


class ErrorLimiter:
    """errors: by node, the number of failures when it was last counted, and when that was."""

    def __init__(self, limit: float, half_life: float, now: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._half_life = half_life
        self._now = now
        self.errors: dict[Node, tuple[float, float]] = {}

    def count(self, node: Node) -> float:
        """Return the decayed failure count of a node."""
        known = self.errors.get(node)
        if known is None:
            return 0.0
        before, when = known
        count: float = before * 0.5 ** ((self._now() - when) / self._half_life)
        if count < 0.01:
            del self.errors[node]
            return 0.0
        return count

    def failed(self, node: Node) -> None:
        self.errors[node] = (self.count(node) + 1, self._now())

    def shut_out(self, node: Node) -> None:
        """Skip a device that cannot be used at the moment."""
        self.errors[node] = (2 * self._limit, self._now())

    def limited(self, node: Node) -> bool:
        return bool(self.errors) and self.count(node) > self._limit

    def answered(self, node: Node) -> None:
        """Clear the failures after a successful answer."""
        self.errors.pop(node, None)
