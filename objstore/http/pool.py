"""Idle client connections, kept for their next request."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any

from objstore.core.errors import NodeTimeout, NodeUnreachable
from objstore.http.stream import Stream
from objstore.runtime import green

Address = tuple[str, int]


class IdleConnections:
    """Idle connections: up to `limit` for each address, each for `seconds` at most; the last used is used next."""

    def __init__(self, limit: int, seconds: float, clock: Callable[[], float] = monotonic) -> None:
        self._limit = limit
        self._seconds = seconds
        self._clock = clock
        self._idle: dict[Address, deque[tuple[float, Stream]]] = {}
        self._timer: Any = None

    def take(self, address: Address) -> Stream | None:
        """Return a connection that the other end has not closed; None if there is none."""
        idle = self._idle.get(address)
        oldest = self._clock() - self._seconds
        while idle:
            since, stream = idle.pop()
            if since > oldest and stream.is_quiet():
                return stream
            stream.close()
        return None

    def give(self, stream: Stream) -> None:
        """Store a connection that is between two messages; above the limit, close the oldest."""
        idle = self._idle.get(stream.peer)
        if idle is None:
            idle = self._idle[stream.peer] = deque()
        idle.append((self._clock(), stream))
        if len(idle) > self._limit:
            idle.popleft()[1].close()
        if self._timer is None:
            self._timer = green.later(self._seconds, self._expire)

    def _expire(self) -> None:
        oldest = self._clock() - self._seconds
        for address, idle in list(self._idle.items()):
            while idle and idle[0][0] <= oldest:
                idle.popleft()[1].close()
            if not idle:
                del self._idle[address]
        self._timer = green.later(self._seconds, self._expire) if self._idle else None

    def __len__(self) -> int:
        return sum(map(len, self._idle.values()))

    def close(self) -> None:
        """Close all idle connections."""
        for idle in self._idle.values():
            while idle:
                idle.pop()[1].close()
        self._idle.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def connect(address: Address, timeout: float) -> Stream:
    """Return a new connection. Raises NodeUnreachable if it is refused, NodeTimeout after `timeout` seconds."""
    try:
        return Stream(green.connect(address, timeout), address)
    except TimeoutError:
        raise NodeTimeout(f"{address[0]}:{address[1]} did not connect within {timeout} s") from None
    except OSError as error:
        raise NodeUnreachable(f"{address[0]}:{address[1]}: {error}") from None
