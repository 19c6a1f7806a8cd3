"""Calls in threads that one may stop waiting for, without pulling the file from under them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from objstore.runtime.files import OpenFile
from objstore.runtime.threads import ThreadPool


class Job:
    """A call in a thread. ended: it has, and touches nothing any more.

    One who waits may be killed, or run out of time, with an error of any type; only `ended`
    tells that from an error of the call.
    """

    __slots__ = ("_finish", "_last", "_lock", "ended")

    def __init__(self, pool: ThreadPool, function: Callable[..., object], *args: object) -> None:
        self.ended = False
        self._last: Callable[[], None] | None = None
        self._lock = threading.Lock()
        self._finish = pool.start(self._run, function, args)

    def _run(self, function: Callable[..., object], args: tuple[object, ...]) -> object:
        try:
            return function(*args)
        finally:
            with self._lock:
                self.ended = True
                last = self._last
            if last is not None:
                last()

    def wait(self, seconds: float = 0.0) -> Any:
        """The result, or the error raised; to be called once. seconds: see `ThreadPool.run_within`."""
        return self._finish(seconds)

    def at_end(self, call: Callable[[], None]) -> None:
        """Call when the job has ended: at once, or in its thread. The last call given counts."""
        with self._lock:
            if not self.ended:
                self._last = call
                return
        call()


def close_after(job: Job | None, file: OpenFile) -> None:
    """Close a file now, or when the job that works on it has ended."""
    if job is None:
        file.close()
    else:
        job.at_end(file.close)
