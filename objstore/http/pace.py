"""The minimum speed of clients: bytes that the server waits for must come, or be taken, in a bounded time."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic


class TooSlow(TimeoutError):
    """The client keeps the server waiting for too long, though it is not silent."""


class Pace:
    """The waits for a client within one request. Only time spent waiting counts.

    The caller limits the silence within one wait; this ends a client that trickles.
    """

    __slots__ = ("_longest", "_mark", "_rate", "_waited", "_window", "began")

    def __init__(self, rate: float, window: float, longest: float) -> None:
        """rate: bytes a second over each `window` seconds of waiting, 0 for any. longest: seconds of a request."""
        self._rate = rate
        self._window = window
        self._longest = longest
        self.began = monotonic()
        self._waited = 0.0
        self._mark = 0

    def begin(self) -> None:
        """A request begins; bytes are counted from 0 again."""
        self.began = monotonic()
        self._waited = 0.0
        self._mark = 0

    def wait(self, wait: Callable[[float], None], timeout: float, moved: int) -> None:
        """Call `wait(timeout)`, which raises TimeoutError. Raises TooSlow if the client or the whole request is.

        moved: bytes of this request so far.
        """
        now = monotonic()
        left = self.began + self._longest - now
        if left <= 0:
            raise TooSlow(f"the request took longer than {self._longest:.0f} s")
        if self._waited > self._window:
            if moved - self._mark < self._rate * self._waited:
                raise TooSlow(f"the client was slower than {self._rate:.0f} bytes a second")
            self._waited = 0.0
            self._mark = moved
        try:
            wait(min(timeout, left))
        finally:
            self._waited += monotonic() - now
