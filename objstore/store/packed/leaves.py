"""The leaves of the index of packed records: the way to them, their splits, and walks over them."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from objstore.store.objects.format import Unsound
from objstore.store.packed.page_files import PageFiles
from objstore.store.packed.pages import (
    HASH,
    LEAF,
    MAX_DEPTH,
    MIN_DEPTH,
    SPLIT,
    SPLITTING,
    IndexPage,
    clip,
    first_bytes,
    halves,
    number_of,
)

_MAX_PAGES = 64  # of one read
_MAX_STEPS = 4 * MAX_DEPTH  # of a look-up from page to page
HINT_BITS = 16


class Leaves:
    """The leaves of an index. depths: by the first HINT_BITS of the hash, the depth at which a leaf was met.

    Methods raise as those of `PageFiles`.
    """

    def __init__(self, pages: PageFiles) -> None:
        self._pages = pages
        self.depths = bytearray((MIN_DEPTH,)) * (1 << HINT_BITS)

    # One leaf

    def find(self, raw: bytes, locked: bool = False) -> tuple[int, int, IndexPage]:
        """Return the depth, number and content of the leaf of a hash. Raises Unsound."""
        first = int.from_bytes(raw[:4], "big")
        depth = self.depths[first >> (32 - HINT_BITS)]
        is_below_split = False
        for _ in range(_MAX_STEPS):
            number = first >> (32 - depth)
            page = self._pages.read(depth, number, locked)
            if page is None:
                if is_below_split or depth == MIN_DEPTH:
                    raise Unsound(f"page {number} of depth {depth} is missing")
                depth -= 1
                continue
            if page.state == LEAF:
                self.learn(depth, number)
                return depth, number, page
            if page.state == SPLITTING:
                if not locked:
                    raise Unsound(f"page {number} of depth {depth} is being split")
                self.write_halves(depth, number, page.entries)
            if depth == MAX_DEPTH:
                break
            depth += 1
            is_below_split = True
        raise Unsound(f"no leaf for {raw.hex()}")

    def learn(self, depth: int, number: int) -> None:
        """Note where a leaf was met. Of leaves that share a hint, the least depth counts: there is a page there."""
        if depth > HINT_BITS:
            hint = number >> (depth - HINT_BITS)
            if depth < self.depths[hint]:
                self.depths[hint] = depth
            elif depth > self.depths[hint] + 1:
                self.depths[hint] = depth - 1
            return
        shift = HINT_BITS - depth
        if self.depths[number << shift] != depth or self.depths[((number + 1) << shift) - 1] != depth:
            self.depths[number << shift : (number + 1) << shift] = bytes((depth,)) * (1 << shift)

    # Splits

    def split(self, depth: int, number: int, entries: bytes, raw: bytes) -> tuple[int, int, bytes]:
        """Split a leaf; return depth, number and entries of the half in which a hash belongs."""
        if depth == MAX_DEPTH:
            raise OSError(errno.ENOSPC, f"too many names share the first {MAX_DEPTH} bits of {raw[:HASH].hex()}")
        self._pages.reserve(depth + 1, 2 * number)
        self._pages.write(SPLITTING, depth, number, entries)
        parts = self.write_halves(depth, number, entries)
        child = number_of(raw, depth + 1)
        return depth + 1, child, parts[child & 1]

    def write_halves(self, depth: int, number: int, entries: bytes) -> tuple[bytes, bytes]:
        """Write the halves of a page that is SPLITTING, as far as they are missing, and end that."""
        if depth == MAX_DEPTH:
            raise Unsound(f"page {number} of depth {depth} is being split")
        self._pages.level(depth + 1, create=True)
        parts = halves(entries, depth, number)
        for child, part in enumerate(parts, 2 * number):
            if self._pages.read(depth + 1, child, locked=True) is None:
                self._pages.write(LEAF, depth + 1, child, part)
        self._pages.write(SPLIT, depth, number, b"")
        return parts

    # Walks

    def walk(self, prefix: int, bits: int) -> Iterator[tuple[int, int, bytes]]:
        """Iterate over depth, number and entries of the leaves of a range, in order of hash."""
        if not 0 <= bits <= 32 or prefix >> bits:
            raise ValueError(f"no prefix of {bits} bits: {prefix}")
        low, high = prefix << (32 - bits), (prefix + 1) << (32 - bits)
        shift = 32 - HINT_BITS
        depth = min(self.depths[low >> shift : ((high - 1) >> shift) + 1])
        yield from self._scan(depth, 0, 1 << depth, low, high)

    def _scan(self, depth: int, first: int, last: int, low: int, high: int) -> Iterator[tuple[int, int, bytes]]:
        """The leaves of the pages of a depth from first up to last, with what is between low and high of them."""
        shift = 32 - depth
        at = max(first, low >> shift)
        last = min(last, ((high - 1) >> shift) + 1)
        while at < last:
            pages = self._run(depth, at, min(last - at, _MAX_PAGES))
            start = at
            while at < min(last, start + len(pages)):
                page = pages[at - start]
                if page is None:
                    leaf = self._settled_leaf(first_bytes(at, depth))
                    if leaf[0] < depth:  # it covers this page, and perhaps those that follow
                        yield self._clipped(*leaf, low, high)
                        at = (leaf[1] + 1) << (depth - leaf[0])
                    else:  # written since
                        yield from self._scan(depth, at, at + 1, low, high)
                        at += 1
                elif page.state == LEAF:
                    self.learn(depth, at)
                    yield self._clipped(depth, at, page.entries, low, high)
                    at += 1
                else:
                    end = at + 1
                    while end - start < len(pages) and (other := pages[end - start]) and other.state == SPLIT:
                        end += 1
                    yield from self._scan(depth + 1, 2 * at, 2 * end, low, high)
                    at = end

    @staticmethod
    def _clipped(depth: int, number: int, entries: bytes, low: int, high: int) -> tuple[int, int, bytes]:
        shift = 32 - depth
        if number << shift < low or (number + 1) << shift > high:
            entries = clip(entries, low, high)
        return depth, number, entries

    def _settled_leaf(self, start: bytes) -> tuple[int, int, bytes]:
        raw = start + bytes(HASH - len(start))
        try:
            depth, number, page = self.find(raw)
        except Unsound:
            depth, number, page = self._pages.with_lock(raw[0], lambda: self.find(raw, locked=True))
        return depth, number, page.entries

    def _run(self, depth: int, first: int, count: int) -> list[IndexPage | None]:
        """Read adjacent pages by one call; None for those that are missing. None of them is SPLITTING."""
        self._pages.check()
        try:
            run = self._pages.read_run(depth, first, count)
        except Unsound:
            return [self._settled(depth, first + each) for each in range(count)]
        return [
            self._settled(depth, number)
            if isinstance(page, Unsound) or (page is not None and page.state == SPLITTING)
            else page
            for number, page in enumerate(run, first)
        ]

    def _settled(self, depth: int, number: int) -> IndexPage | None:
        """Read a page under its lock, and end its split."""

        def read() -> IndexPage | None:
            page = self._pages.read(depth, number, locked=True)
            if page is None or page.state != SPLITTING:
                return page
            self.write_halves(depth, number, page.entries)
            return IndexPage(SPLIT, b"")

        return self._pages.with_lock(number >> (depth - MIN_DEPTH), read)
