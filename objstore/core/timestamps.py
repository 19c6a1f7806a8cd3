"""Timestamps: when a change was made, in units of 10 microseconds, with an offset.

The text form is `<10 digits of seconds>.<5 digits>`, followed by `_<16 hex digits>` where
the offset is not 0. Text forms sort as the timestamps do. The offset orders internal
changes that share a client's timestamp; clients see `normal`, which leaves it out.

`Clock` returns timestamps that never repeat or go back within a process, and that are newer than any timestamp it has
seen (a hybrid logical clock), so that a write of a host with a slow clock does not lose against older stored data.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import NamedTuple

from objstore.core.errors import InvalidInput

TICKS = 100_000  # per second
MAX_RAW = 10_000_000_000 * TICKS - 1
_TEXT = re.compile(r"(\d{1,10})(?:\.(\d{1,9}))?(?:_([0-9a-fA-F]{1,16}))?\Z", re.ASCII)


class Timestamp(NamedTuple):
    """raw: ticks of 10 µs since the epoch. offset: 0 to 2^64 - 1, breaks ties."""

    raw: int
    offset: int = 0

    @classmethod
    def parse(cls, text: str) -> Timestamp:
        """Parse a timestamp in internal form or as plain seconds.

        Raises InvalidInput for other text. Digits after the fifth are dropped.
        """
        if len(text) == 16 and text[10] == ".":  # the internal form of nearly all
            digits = text[:10] + text[11:]
            if digits.isdecimal() and digits.isascii():
                return cls(int(digits))
        match = _TEXT.match(text)
        if match is None:
            raise InvalidInput(f"not a timestamp: {text[:60]!r}")
        seconds, fraction, offset = match.groups()
        raw = int(seconds) * TICKS + int((fraction or "")[:5].ljust(5, "0"))
        return cls(raw, int(offset, 16) if offset else 0)

    @classmethod
    def from_seconds(cls, seconds: float) -> Timestamp:
        return cls(max(0, min(MAX_RAW, round(seconds * TICKS))))

    @property
    def normal(self) -> str:
        """Return the form for clients, without the offset: `1500000000.00001`."""
        seconds, ticks = divmod(self.raw, TICKS)
        return f"{seconds:010d}.{ticks:05d}"

    @property
    def internal(self) -> str:
        """Return the full form, used in file names, databases and between servers."""
        raw, offset = self
        seconds, ticks = divmod(raw, TICKS)
        text = f"{seconds:010d}.{ticks:05d}"
        return f"{text}_{offset:016x}" if offset else text

    @property
    def seconds(self) -> float:
        return self.raw / TICKS

    @property
    def ceiling(self) -> int:
        """Return whole seconds, rounded up: an HTTP date is never before the change it dates."""
        return -(-self.raw // TICKS)

    def next(self) -> Timestamp:
        """Return the next timestamp that clients can distinguish from this one."""
        return Timestamp(self.raw + 1)

    def __str__(self) -> str:
        return self.internal


def just_after(timestamp: Timestamp, steps: int = 1) -> Timestamp:
    """Return a timestamp newer than this and older than any later change of a client."""
    return Timestamp(timestamp.raw, timestamp.offset + steps)


ZERO = Timestamp(0)
# The offset of a change that depends on the state before it (by a condition, under a lease).
DECIDED = 1


class Clock:
    """A source of timestamps that only grow; share one in a process."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._last = 0

    def now(self) -> Timestamp:
        raw = int(self._now() * TICKS)
        if raw <= self._last:
            raw = self._last + 1
        self._last = raw
        return Timestamp(raw)

    def after(self, seen: Timestamp) -> Timestamp:
        """Return a new timestamp greater than `seen`, even if this host's clock is behind."""
        self._last = max(self._last, seen.raw)
        return self.now()
