"""The garbage collector of a server process, run at intervals.

The interpreter collects after a number of allocations. In a server that is either far too often (each large listing is
searched for cycles) or, with higher thresholds, almost never, while cycles of objects keep their buffers alive. So the
thresholds are high and a full collection runs at an interval. Objects that exist at the start are never searched.

The allocator also returns free memory to the system: after a burst of large bodies that can be hundreds of megabytes.
That is cheap, and does not depend on a collection.
"""

from __future__ import annotations

import ctypes
import gc
from time import monotonic, thread_time
from typing import Any

from objstore.runtime import green

_THRESHOLDS = (20_000, 20, 50)
_LARGEST_SHARE = 0.01  # of the processor that collections may take
_MAX_INTERVALS = 10  # between two collections, however long they take: what refers to itself waits for no longer
_trim: Any = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of the GNU C library


def take_over() -> None:
    """Take what the process has loaded for permanent, and let the interpreter itself collect young objects only."""
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)


def collect_every(interval: float) -> None:
    """Trim the allocator every `interval` seconds until killed; collect as often if collections are quick."""
    due = 0.0
    while True:
        green.sleep(interval)
        now = monotonic()
        if now >= due:
            due = now + pause_after(collect(), interval)
        trim()


def collect() -> float:
    """Run a full collection; how many seconds of the processor it took, as others may keep this thread waiting."""
    began = thread_time()
    gc.collect()
    return thread_time() - began


def trim() -> None:
    """Give what the allocator holds and does not use back to the system."""
    if _trim is not None:
        _trim(0)


def pause_after(took: float, interval: float) -> float:
    return min(max(interval, took / _LARGEST_SHARE), _MAX_INTERVALS * interval)
