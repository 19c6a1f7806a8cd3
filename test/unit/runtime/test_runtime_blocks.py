"""Blocks: memory that is used again only when nobody can see it any more."""

from __future__ import annotations

import ctypes
import mmap
import os
import threading
from collections.abc import Iterator

import pytest

from objstore.runtime import blocks
from objstore.runtime.blocks import SIZE, full_block, is_of_block, new_block


def address(view: memoryview) -> int:
    return ctypes.addressof(view.obj)


@pytest.fixture(autouse=True)
def no_blocks_kept() -> Iterator[None]:
    blocks._free.clear()
    yield
    blocks._free.clear()


def test_a_block_is_aligned_to_pages() -> None:
    block = new_block()
    assert (len(block), block.format, address(block) % mmap.PAGESIZE) == (SIZE, "B", 0)


def test_memory_is_used_again_after_its_last_view() -> None:
    block = new_block()
    first = address(block)
    del block
    assert address(new_block()) == first


def test_memory_is_not_used_again_while_a_part_is_seen() -> None:
    block = new_block()
    block[:5] = b"12345"
    part = block[:5]
    del block
    other = new_block()
    other[:5] = b"other"
    assert bytes(part) == b"12345"


def test_memory_is_not_used_again_while_a_thread_works_on_it() -> None:
    seen: list[bytes] = []
    go_on = threading.Event()

    def work(view: memoryview) -> None:
        assert go_on.wait(10)
        seen.append(bytes(view[:5]))

    block = new_block()
    block[:5] = b"12345"
    thread = threading.Thread(target=work, args=(block,))
    thread.start()
    del block
    other = new_block()
    other[:5] = b"other"
    go_on.set()
    thread.join()
    assert seen == [b"12345"]


def test_few_blocks_are_kept() -> None:
    held = [new_block() for _ in range(blocks._KEPT + 3)]
    held.clear()
    assert len(blocks._free) == blocks._KEPT


def test_a_child_process_does_not_write_into_the_bodies_of_its_parent() -> None:
    block = new_block()
    block[:5] = b"12345"
    child = os.fork()
    if not child:
        block[:5] = b"child"
        os._exit(0)
    os.waitpid(child, 0)
    assert bytes(block[:5]) == b"12345"


def test_what_is_computed_of_a_block_is_computed_once() -> None:
    calls: list[int] = []
    block = full_block(new_block())
    assert block is not None
    assert [block.once(lambda: calls.append(1) or 7) for _ in range(3)] == [7, 7, 7]  # type: ignore[func-returns-value]
    assert calls == [1]


def test_a_block_that_is_used_again_has_no_result_yet() -> None:
    view = new_block()
    block = full_block(view)
    assert block is not None
    block.once(lambda: 1)
    del view, block
    again = full_block(new_block())
    assert again is not None
    assert again.once(lambda: 2) == 2


def test_only_a_view_of_a_whole_block_is_full() -> None:
    block = new_block()
    assert full_block(block) is block.obj
    assert full_block(block[:-1]) is None
    assert full_block(bytes(SIZE)) is None
    assert full_block(memoryview(bytearray(SIZE))) is None


def test_views_of_blocks_and_bytes_stay_as_they_are() -> None:
    assert is_of_block(new_block()[3:9])
    assert is_of_block(b"bytes")
    assert not is_of_block(bytearray(3))
    assert not is_of_block(memoryview(bytearray(3)))
