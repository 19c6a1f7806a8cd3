"""Rate limits of background work: bytes, files or requests per second."""

from __future__ import annotations

import time
from collections.abc import Callable

from objstore.runtime import green


class Throttle:
    """Lets through `rate` a second on average; what was not used of the last second may be caught up.

    rate: 0 for no limit. Shared by all who take from the same means; each waits its turn.
    """

    def __init__(
        self,
        rate: float,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = green.sleep,
    ) -> None:
        self._rate = rate
        self._monotonic = monotonic
        self._sleep = sleep
        self._free_at = 0.0  # when all that was taken so far is worked off

    def take(self, amount: float = 1.0) -> None:
        """Wait until so much more may be done."""
        if self._rate <= 0:
            return
        now = self._monotonic()
        start = max(self._free_at, now - 1.0)
        self._free_at = start + amount / self._rate
        if start > now:
            self._sleep(start - now)
