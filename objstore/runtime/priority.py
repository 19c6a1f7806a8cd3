"""Processes that give way to others: for what reads whole disks while clients wait for theirs."""

from __future__ import annotations

import os
from dataclasses import dataclass

import psutil

from objstore.runtime.settings import setting


def niceness(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 19:
        raise ValueError("is not a number from 0 to 19")
    return number


def io_priority(text: str) -> str:
    """`none`, `idle`, or 0 to 7, the last giving way most."""
    text = text.strip()
    if text in ("none", "idle") or (text.isdigit() and int(text) <= 7):
        return text
    raise ValueError("is neither none, idle, nor a number from 0 to 7")


@dataclass(frozen=True)
class PrioritySettings:
    """The priorities of daemons."""

    daemon_nice: int = setting(niceness, "5", "niceness of the daemons that read all data, 0 to 19; see nice(1)")
    daemon_io_priority: str = setting(
        io_priority, "7", "I/O priority of the daemons that read all data: none, idle, or 0 to 7; see ionice(1)"
    )


def lower(nice: int, io: str) -> None:
    """For this process from now on; what the system does not know of, or forbids, stays as it is."""
    try:
        os.nice(max(0, nice - os.getpriority(os.PRIO_PROCESS, 0)))
        if io != "none" and hasattr(psutil, "IOPRIO_CLASS_BE"):
            process = psutil.Process()
            if io == "idle":
                process.ionice(psutil.IOPRIO_CLASS_IDLE)
            else:
                process.ionice(psutil.IOPRIO_CLASS_BE, int(io))
    except (OSError, psutil.Error):
        pass
