"""The garbage collector of a server process, run by the clock.

The interpreter collects when many objects have been made. In a server that is either far too
often (each large listing is looked through for cycles) or, with higher thresholds, almost never,
while objects that refer to each other keep their buffers. So the thresholds are high and a full
collection runs every so many seconds. What is there at the start is never looked through.

The allocator then gives the system what lies free between pieces in use: after a rush of large
bodies that can be tens of megabytes.
"""

from __future__ import annotations

import ctypes
import gc
from time import perf_counter
from typing import Any

from objstore.runtime import green

_THRESHOLDS = (20_000, 20, 50)
_LARGEST_SHARE = 0.01  # of the time that collections may take
_trim: Any = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of the GNU C library


def take_over() -> None:
    """Take what the process has loaded for permanent, and let the interpreter itself collect young objects only."""
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)


def collect_every(interval: float) -> None:
    """Run full collections until killed; less often than every `interval` seconds if they take long."""
    pause = interval
    while True:
        green.sleep(pause)
        pause = pause_after(collect(), interval)


def collect() -> float:
    """Run a full collection and free memory of the allocator; how many seconds both took."""
    began = perf_counter()
    gc.collect()
    if _trim is not None:
        _trim(0)
    return perf_counter() - began


def pause_after(took: float, interval: float) -> float:
    return max(interval, took / _LARGEST_SHARE)
