"""The index of packed records: for each name, the places of its changes.

Its pages (`store.packed.pages`) are the nodes of a trie over the bits of the hash. They are read by pread and written
one by one by pwrite, never mapped. There is no list of pages: a page's depth and prefix say where it lies. So any
prefix of the hash, whatever the number of partitions is, is a range of adjacent pages.

Rules, which tests keep by killing and cutting the power at every step:

1. A page is changed only under the lock of the first 8 bits of its prefix, and after a check, under that lock, that
   the index is still the one at its path: who moves it away and then holds each lock once knows that nobody changes
   it any more.
2. Each write is of one whole page. A process that is killed has written it or not; a reader who meets half of it sees
   a wrong checksum, and reads again, at last under the lock.
3. A full leaf is marked SPLITTING, its halves are written, it is marked SPLIT. While it is SPLITTING nobody uses its
   entries or changes those of its halves through it: whoever meets it takes the lock and finishes, and writes only
   those halves that are missing. Room for the halves is reserved before the mark, so that a full disk leaves a leaf.
4. Pages are never merged or removed: a page that is SPLIT stays so, and look-ups may begin at any depth. They go to
   shallower pages from one that is missing, and to deeper ones from one that is SPLIT.

Nothing is synced before `sync`. After a power cut each page is one of its versions since then: see
`store.packed.recovery`.
"""

from __future__ import annotations

import itertools
import os
import secrets
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

from awscrt.checksums import crc64nvme

from objstore.runtime.files import Files
from objstore.store.objects.format import Unsound
from objstore.store.packed.leaves import HINT_BITS, Leaves
from objstore.store.packed.page_files import PageFiles, StaleIndex
from objstore.store.packed.pages import (
    ABSENT,
    CAPACITY,
    ENTRY,
    HASH,
    HEADER,
    LEAF,
    MAX_DEPTH,
    MIN_DEPTH,
    PAGE,
    SPLIT,
    SPLITTING,
    Merge,
    check_page,
    decode_entry,
    encode_entry,
    encode_page,
    extent,
    first_bytes,
    locate,
    merged,
    number_of,
    places_in,
    prefixes_in,
    split_entries,
)
from objstore.store.packed.places import Entry


class Index:
    """The index in a directory, `<device>/packed/index`. Any number of threads and processes may use it at once.

    capacity: entries in a page. Methods raise DamagedIndex, StaleIndex, OSError, FileNotFoundError if there is no
    index, and ValueError for a hash that is not 32 hex digits. They block, except `find_cached`.
    """

    def __init__(
        self,
        files: Files,
        directory: str,
        *,
        capacity: int = CAPACITY,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._files = files
        self._capacity = capacity * ENTRY  # in bytes
        self._pages = PageFiles(files, directory, monotonic)
        self._leaves = Leaves(self._pages)
        # Without the way through these objects, for the look-ups of each request.
        self._levels = self._pages.levels
        self._depths = self._leaves.depths

    @classmethod
    def create(cls, files: Files, directory: str) -> Index:
        """Make an empty index, durably. Raises OSError ENOTEMPTY or EEXIST if there is one."""
        aside = f"{directory}.{secrets.token_hex(4)}.new"
        files.mkdir(aside)
        opened = files.open_dir(aside)
        roots = files.open_inside(opened, str(MIN_DEPTH), create=True)
        pages = [encode_page(LEAF, MIN_DEPTH, number, b"") for number in range(1 << MIN_DEPTH)]
        files.write_at(roots.fd, pages, 0)
        files.fsync(roots.fd)
        files.fsync_dir(aside)
        files.rename(aside, directory)
        files.fsync_dir(os.path.dirname(directory))
        return cls(files, directory)

    # Look-ups

    def find(self, name_hash: str) -> list[Entry]:
        """Return the entries of a name, of changes in any order."""
        raw = _raw(name_hash)
        self._pages.check()
        try:
            found = self._look(raw, self._files.read_at)
        except (Unsound, OSError):
            found = None  # it may be being written, or is judged when it is read again
        if found is not None:
            return found
        try:
            page = self._leaves.find(raw)[2]
        except Unsound:
            page = self._pages.with_lock(raw[0], lambda: self._leaves.find(raw, locked=True)[2])
        start, end = extent(page.entries, raw)
        return self._decode(page.entries, start, end)

    def find_all(self, names: Iterable[str]) -> dict[str, list[Entry]]:
        """Return the entries of several names; a page is read once for all of its names."""
        raws = sorted(map(_raw, set(names)))
        found: dict[str, list[Entry]] = {}
        self._pages.check()
        at = 0
        while at < len(raws):
            try:
                depth, number, page = self._leaves.find(raws[at])
            except Unsound:
                depth, number, page = self._pages.with_lock(
                    raws[at][0], partial(self._leaves.find, raws[at], locked=True)
                )
            while at < len(raws) and number_of(raws[at], depth) == number:
                found[raws[at].hex()] = self._decode(page.entries, *extent(page.entries, raws[at]))
                at += 1
        return found

    def find_cached(self, name_hash: str) -> list[Entry] | None:
        """Return the entries of a name without waiting for the disk or a lock; None if that is not possible."""
        raw = _raw(name_hash)
        try:
            self._pages.check()
            return self._look(raw, self._files.read_cached)
        except (OSError, Unsound, StaleIndex):
            return None

    def _look(self, raw: bytes, read: Callable[[int, bytearray, int], object]) -> list[Entry] | None:
        """Return the entries of a hash; None if pages must be settled first. Raises Unsound."""
        first = int.from_bytes(raw[:4], "big")
        depth = hint = self._depths[first >> (32 - HINT_BITS)]
        is_below_split = False
        while True:
            level = self._levels[depth] or self._pages.level(depth)
            if level is None:
                return None
            buffer = bytearray(PAGE)
            number = first >> (32 - depth)
            read(level.fd, buffer, number * PAGE)
            state, end = check_page(buffer, depth, number)
            if state == LEAF:
                break
            if state == SPLIT:
                depth += 1
                is_below_split = True
            elif state == ABSENT and depth > MIN_DEPTH and not is_below_split:
                depth -= 1
            else:
                return None
        if depth != hint:
            self._leaves.learn(depth, number)
        start = locate(buffer, HEADER, end, raw)
        found: list[Entry] = []
        while 0 <= start < end and buffer.startswith(raw, start):
            found.append(decode_entry(buffer, start))
            start += ENTRY
        return found

    def _decode(self, entries: bytes, start: int, end: int) -> list[Entry]:
        try:
            return [decode_entry(entries, each) for each in range(start, end, ENTRY)]
        except Unsound as error:
            raise self._pages.damaged(error) from error

    # Changes

    def edit(
        self, name_hash: str, change: Callable[[list[Entry]], list[Entry]], before: Callable[[], object] | None = None
    ) -> None:
        """Replace the entries of a name by what `change` returns for them, while nobody else changes them.

        before: called when there is room, and before the entries are replaced, even if by equal ones. Raises OSError
        ENOSPC if the disk is full, or more names share 30 bits of the hash than a page has room for.
        """
        raw = _raw(name_hash)
        self._pages.acquire(raw[0])
        try:
            self._pages.check(surely=True)
            depth, number, page = self._leaves.find(raw, locked=True)
            entries = page.entries
            start, end = extent(entries, raw)
            new = b"".join(sorted([encode_entry(raw, each) for each in change(self._decode(entries, start, end))]))
            while len(entries) - (end - start) + len(new) > self._capacity:
                depth, number, entries = self._leaves.split(depth, number, entries, raw)
                start, end = extent(entries, raw)
            if before is not None:
                before()
            if new == entries[start:end]:
                return
            self._pages.write(LEAF, depth, number, entries[:start] + new + entries[end:])
            self._leaves.learn(depth, number)
        except Unsound as error:
            raise self._pages.damaged(error) from error
        finally:
            self._pages.release(raw[0])

    def edit_all(
        self,
        changes: Mapping[str, Merge],
        before: Callable[[Sequence[str]], object],
        after: Callable[[Sequence[str]], object],
    ) -> None:
        """As `edit`, of several names, with one write for each page.

        before, after: called around each write with the hashes of the names whose entries it changes.
        """
        raws = sorted(map(_raw, changes))
        for first, group in itertools.groupby(raws, key=lambda raw: raw[0]):
            self._pages.with_lock(first, partial(self._edit_pages, list(group), changes, before, after))

    def _edit_pages(
        self,
        raws: list[bytes],
        changes: Mapping[str, Merge],
        before: Callable[[Sequence[str]], object],
        after: Callable[[Sequence[str]], object],
    ) -> None:
        """Edit names in the order of hashes, with the lock of all held."""
        at = 0
        while at < len(raws):
            depth, number, page = self._leaves.find(raws[at], locked=True)
            old = entries = page.entries
            end = at
            while end < len(raws) and number_of(raws[end], depth) == number:
                raw, end = raws[end], end + 1
                start, stop = extent(entries, raw)
                new = sorted(encode_entry(raw, each) for each in changes[raw.hex()](self._decode(entries, start, stop)))
                entries = b"".join((entries[:start], *new, entries[stop:]))
            if len(entries) > self._capacity:
                self._leaves.split(depth, number, old, raws[at])
                continue
            names = [raw.hex() for raw in raws[at:end]]
            before(names)
            if entries != old:
                self._pages.write(LEAF, depth, number, entries)
                self._leaves.learn(depth, number)
            after(names)
            at = end

    def add(self, items: Iterable[tuple[str, Entry]], merge: Merge | None = None) -> int:
        """Add entries in the order of hashes, with one write for each page; return the number of items.

        merge: returns the entries of a name that then has several; without it all are kept. More names that share 30
        bits than a page has room for are left out: `edit` refused them. Raises ValueError if the order is another.
        """
        count = 0
        for first, group in itertools.groupby(items, key=lambda item: int(item[0][:2], 16)):
            batch = [encode_entry(_raw(name_hash), entry) for name_hash, entry in group]
            self.add_encoded(first, batch, merge)
            count += len(batch)
        return count

    def add_encoded(self, first: int, batch: list[bytes], merge: Merge | None = None) -> None:
        """As `add`, of encoded entries whose hash begins with the byte `first`."""
        if any(entry[:HASH] > other[:HASH] for entry, other in itertools.pairwise(batch)):
            raise ValueError("entries are not in the order of hashes")
        self._pages.with_lock(first, lambda: self._fill(MIN_DEPTH, first, batch, merge))

    def _fill(self, depth: int, number: int, batch: list[bytes], merge: Merge | None) -> None:
        """Add sorted entries below a page, with the lock held."""
        page = self._pages.read(depth, number, locked=True)
        if page is None:
            raise Unsound(f"page {number} of depth {depth} is missing")
        if page.state == LEAF:
            entries = b"".join(merged([*split_entries(page.entries), *batch], merge))
            if depth == MAX_DEPTH:
                entries = entries[: self._capacity]
            if len(entries) <= self._capacity:
                if entries != page.entries:
                    self._pages.write(LEAF, depth, number, entries)
                    self._leaves.learn(depth, number)
                return
            self._leaves.split(depth, number, page.entries, batch[0])
        elif page.state == SPLITTING:
            self._leaves.write_halves(depth, number, page.entries)
        middle = bisect_left(batch, first_bytes(2 * number + 1, depth + 1))
        for child, part in ((2 * number, batch[:middle]), (2 * number + 1, batch[middle:])):
            if part:
                self._fill(depth + 1, child, part, merge)

    # Ranges of hashes

    def entries(self, prefix: int, bits: int) -> Iterator[tuple[str, Entry]]:
        """Iterate over the entries of all names whose hash begins with `prefix`, of 0 to 32 bits, in order of hash.

        Each page is as it was at one instant, some time during the iteration.
        """
        for _, _, entries in self._leaves.walk(prefix, bits):
            for offset, entry in enumerate(self._decode(entries, 0, len(entries))):
                yield entries[offset * ENTRY : offset * ENTRY + HASH].hex(), entry

    def places(self, prefix: int, bits: int) -> Iterator[tuple[bytes, int, int, int]]:
        """Iterate over raw hash, volume, position and length of the entries of a range, faster than `entries`."""
        for _, _, entries in self._leaves.walk(prefix, bits):
            for name_hash, volume, position, length, _ in places_in(entries):
                yield name_hash, volume, position, length

    def fingerprint(self, prefix: int, bits: int) -> bytes:
        """Return 8 bytes that are equal for equal entries of a range, and else different (CRC-64 of them)."""
        checksum = 0
        for _, _, entries in self._leaves.walk(prefix, bits):
            checksum = crc64nvme(entries, checksum)
        return checksum.to_bytes(8, "big")

    def prefixes(self, bits: int) -> list[int]:
        """Return in order the prefixes, of 1 to 32 bits, with which the hash of any entry begins."""
        found: dict[int, None] = {}
        for depth, number, entries in self._leaves.walk(0, 0):
            if not entries:
                continue
            if depth >= bits:
                found[number >> (depth - bits)] = None
            else:
                found.update(dict.fromkeys(prefixes_in(entries, bits)))
        return list(found)

    # The whole

    def sync(self) -> None:
        """Make all changes durable that were made before, by whichever process."""
        self._pages.sync()

    def is_current(self) -> bool:
        """Return whether the index that was opened is still the one at the path; opens it if none is open."""
        return self._pages.is_current()

    def close(self) -> None:
        """Close; calls raise StaleIndex from then on, those under way may end."""
        self._pages.close()


def _raw(name_hash: str) -> bytes:
    raw = bytes.fromhex(name_hash)
    if len(raw) != HASH or len(name_hash) != 2 * HASH:
        raise ValueError(f"not a hash of a name: {name_hash[:40]!r}")
    return raw
