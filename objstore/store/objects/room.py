"""Room on the device for an object whose size is announced: reserved in steps, as its bytes come.

A file that is reserved whole is laid out well, but a client that announces gigabytes and sends
little would fill the device. So each step is as large as what has come, up to a limit.
"""

from __future__ import annotations

from collections.abc import Callable

FIRST_STEP = 1024 * 1024
LARGEST_STEP = 64 * 1024 * 1024


def next_end(size: int, reserved: int, needed: int) -> int:
    """Return up to which byte to reserve now; 0 if what is reserved will do.

    size: announced. needed: bytes that have come.
    """
    if needed <= reserved or reserved >= size:
        return 0
    return min(size, needed + min(max(needed, FIRST_STEP), LARGEST_STEP))


class Room:
    """promised: bytes announced that neither are reserved nor have been given up."""

    __slots__ = ("_give_up", "_reserved", "promised", "size")

    def __init__(self, size: int, give_up: Callable[[Room], object]) -> None:
        self.size = size
        self.promised = size
        self._reserved = 0
        self._give_up = give_up

    def reserve(self, needed: int, allocate: Callable[[int], object]) -> None:
        """Have room for the first `needed` bytes; `allocate(end)` reserves, and raises if the device is full."""
        end = next_end(self.size, self._reserved, needed)
        if end:
            allocate(end)
            self._reserved = end
            self.promised = self.size - end

    def close(self) -> None:
        """The object is written, or given up."""
        self._give_up(self)
