"""Making the pages of an index sound after a power cut, by one process alone.

After a power cut each page is one of its versions since the last sync. So a page may be from before it was split, and
those below it from afterwards: these are erased, because what they had is put in again by a replay, and the page will
be split again. A page that is torn or missing is damage: the index is rebuilt.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Container, Iterator

from objstore.runtime.files import Files, OpenFile
from objstore.store.objects.format import Unsound
from objstore.store.packed.page_files import DamagedIndex
from objstore.store.packed.pages import (
    ENTRY,
    LEAF,
    MAX_DEPTH,
    MIN_DEPTH,
    PAGE,
    SPLIT,
    IndexPage,
    decode_page,
    encode_page,
    split_entries,
)

_CHUNK = 256 * PAGE
_VOLUME = struct.Struct(f"<48xI{ENTRY - 52}x")  # of an entry


def repair(files: Files, directory: str, volumes: Container[int]) -> None:
    """Check all pages, and drop entries of volumes other than these. Raises DamagedIndex, OSError."""
    opened = files.open_dir(directory)
    expected = array("Q", (number << 1 | 1 for number in range(1 << MIN_DEPTH)))
    for depth in range(MIN_DEPTH, MAX_DEPTH + 1):
        try:
            level = files.open_inside(opened, str(depth))
        except FileNotFoundError:
            if any(each & 1 for each in expected):
                raise DamagedIndex(f"{directory}: pages of depth {depth} are missing") from None
            continue
        try:
            expected = _repair_level(files, level, depth, expected, volumes)
        except Unsound as error:
            raise DamagedIndex(f"{directory}: {error}") from error


def _repair_level(
    files: Files, level: OpenFile, depth: int, expected: array[int], volumes: Container[int]
) -> array[int]:
    """Check the pages of a depth; return those that are expected of the next, as numbers shifted left by one.

    The last bit is set if the page must be there. Raises Unsound.
    """
    below = array("Q")
    at = 0
    for number, buffer in _written(files, level):
        while at < len(expected) and expected[at] >> 1 < number:
            _require_absence(expected[at], depth)
            at += 1
        if at == len(expected) or expected[at] >> 1 != number:
            files.write_at(level.fd, (bytes(PAGE),), number * PAGE)
            continue
        page = decode_page(buffer, depth, number)
        if page is None:
            continue  # expected[at] is judged in the next step
        at += 1
        if page.state == LEAF:
            _drop_entries(files, level, depth, number, page, volumes)
        else:
            must = page.state == SPLIT
            below.extend((2 * number << 1 | must, (2 * number + 1) << 1 | must))
    for each in expected[at:]:
        _require_absence(each, depth)
    return below


def _require_absence(expected: int, depth: int) -> None:
    if expected & 1:
        raise Unsound(f"page {expected >> 1} of depth {depth} is missing")


def _written(files: Files, level: OpenFile) -> Iterator[tuple[int, bytearray]]:
    """Number and bytes of the pages that may have been written, in order."""
    following = 0
    for start, end in files.data_ranges(level.fd):
        at = max(following, start - start % PAGE)
        while at < end:
            chunk = bytearray(min(_CHUNK, end - at + -(end - at) % PAGE))
            files.read_at(level.fd, chunk, at)
            for offset in range(0, len(chunk), PAGE):
                yield (at + offset) // PAGE, chunk[offset : offset + PAGE]
            at += len(chunk)
        following = at


def _drop_entries(
    files: Files, level: OpenFile, depth: int, number: int, page: IndexPage, volumes: Container[int]
) -> None:
    if all(volume in volumes for volume in {volume for (volume,) in _VOLUME.iter_unpack(page.entries)}):
        return
    kept = [each for each in split_entries(page.entries) if _VOLUME.unpack(each)[0] in volumes]
    files.write_at(level.fd, (encode_page(LEAF, depth, number, b"".join(kept)),), number * PAGE)
