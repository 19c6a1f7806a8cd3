"""Signals, for processes with an event loop."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable

from objstore.runtime import green


def on_signals(numbers: Iterable[int], call: Callable[[int], None]) -> None:
    """Call from the event loop, which must not wait, when a signal comes: for processes without a supervisor."""
    read_fd, write_fd = wakeup_pipe()
    for number in numbers:
        signal.signal(number, no_handler)
    signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)

    def on_readable(fd: int) -> None:
        for number in os.read(fd, 512):
            call(number)

    green.watch(read_fd, on_readable)


def wakeup_pipe() -> tuple[int, int]:
    """A pipe into which the interpreter writes the numbers of signals."""
    read_fd, write_fd = os.pipe()
    os.set_blocking(read_fd, False)
    os.set_blocking(write_fd, False)
    return read_fd, write_fd


def no_handler(*_: object) -> None:
    """For signals that are read from such a pipe."""
