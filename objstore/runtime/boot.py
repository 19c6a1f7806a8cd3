"""The identity of a boot of this host."""

from __future__ import annotations

import socket

import psutil


def boot_id() -> str:
    """Return a text that no other boot of any host has."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:  # random(4)
            return file.read().strip()
    except OSError:
        return f"{socket.gethostname()}-{psutil.boot_time():.0f}"
