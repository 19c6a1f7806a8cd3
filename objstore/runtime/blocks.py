"""Blocks: page-aligned memory for bodies under way.

A block is filled once, then handed on as a view that nobody changes. Its memory is used again when the last view of it
is gone, in whichever thread that is: nobody says when they are done with it, and a thread that was left behind by its
caller never sees other bytes than it was given. Page-aligned, it can be written past the page cache.
"""

from __future__ import annotations

import ctypes
import mmap
import threading
from collections import deque
from collections.abc import Callable
from typing import TypeVar

Buffer = bytes | bytearray | memoryview
Result = TypeVar("Result")

SIZE = 1 << 21  # bytes of a block
_KEPT = 6  # blocks that are kept for the next body, by each process

# Of this process alone: children of a fork must not write into each other's bodies.
_PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
_free: deque[mmap.mmap] = deque()


class Block(ctypes.c_char * SIZE):  # type: ignore[misc]
    """The memory of one block, as the `obj` of its views."""

    _memory: mmap.mmap

    def prepare(self, memory: mmap.mmap) -> None:
        self._memory = memory
        self._lock = threading.Lock()
        self._result: object = None

    def once(self, compute: Callable[[], Result]) -> Result:
        """Return the result of `compute()` over the full block, computed by the first of the threads that ask.

        All who ask of one block must compute the same.
        """
        with self._lock:
            if self._result is None:
                self._result = compute()
            return self._result  # type: ignore[return-value]

    def __del__(self) -> None:
        if len(_free) < _KEPT:
            _free.append(self._memory)


def new_block() -> memoryview:
    """Return a view of a whole block, with any content."""
    try:
        memory = _free.pop()
    except IndexError:
        memory = mmap.mmap(-1, SIZE, _PRIVATE)
    block = Block.from_buffer(memory)
    block.prepare(memory)
    return memoryview(block).cast("B")


def full_block(data: Buffer) -> Block | None:
    """Return the block that a view shows all of; None for other bytes."""
    if type(data) is memoryview and len(data) == SIZE and type(data.obj) is Block:
        return data.obj
    return None


def is_of_block(data: Buffer) -> bool:
    """Return whether bytes stay as they are while they are referred to: a view of a block, or `bytes`."""
    return type(data) is bytes or (type(data) is memoryview and type(data.obj) is Block)
