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

import contextlib
import errno
import itertools
import os
import secrets
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeVar

from awscrt.checksums import crc64nvme

from objstore.runtime.files import Files, OpenFile
from objstore.runtime.number_locks import NumberLocks
from objstore.store.objects.format import Unsound
from objstore.store.packed.failed_reads import FailedReads
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
    IndexPage,
    Merge,
    check_page,
    clip,
    decode_entry,
    decode_page,
    encode_entry,
    encode_page,
    extent,
    first_bytes,
    halves,
    locate,
    merged,
    number_of,
    places_in,
    prefixes_in,
    split_entries,
)
from objstore.store.packed.places import Entry

LOCKS = ".pages"  # beside the directory of the index
DAMAGED = "damaged"  # a file in it
CHECK_SECONDS = 1.0
_TRIES = 3  # of reading a page without the lock
_MAX_PAGES = 64  # of one read
_MAX_STEPS = 4 * MAX_DEPTH  # of a look-up from page to page
_HINT_BITS = 16

Result = TypeVar("Result")


class DamagedIndex(Exception):
    """A page is not as it was written, or is missing: the index must be rebuilt."""


class StaleIndex(Exception):
    """The index was moved away, removed or closed. Open the one that is there now."""


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
        self._path = directory
        self._capacity = capacity * ENTRY  # in bytes
        self._monotonic = monotonic
        self._directory: OpenFile | None = None
        self._identity: tuple[int, int] | None = None
        self._current_until = 0.0
        self._is_stale = False
        self._levels: list[OpenFile | None] = [None] * (MAX_DEPTH + 2)
        # By the first 16 bits of the hash: the depth at which a leaf was met.
        self._depths = bytearray((MIN_DEPTH,)) * (1 << _HINT_BITS)
        self._opening = threading.Lock()
        self._locks = NumberLocks(f"{os.path.dirname(directory)}/{LOCKS}")
        self._lock = threading.Lock()
        self._pid = os.getpid()

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
        self._check()
        try:
            found = self._look(raw, self._files.read_at)
        except (Unsound, OSError):
            found = None  # it may be being written, or is judged when it is read again
        if found is not None:
            return found
        try:
            page = self._leaf(raw)[2]
        except Unsound:
            page = self._with_lock(raw[0], lambda: self._leaf(raw, locked=True)[2])
        start, end = extent(page.entries, raw)
        return self._decode(page.entries, start, end)

    def find_all(self, names: Iterable[str]) -> dict[str, list[Entry]]:
        """Return the entries of several names; a page is read once for all of its names."""
        raws = sorted(map(_raw, set(names)))
        found: dict[str, list[Entry]] = {}
        self._check()
        at = 0
        while at < len(raws):
            try:
                depth, number, page = self._leaf(raws[at])
            except Unsound:
                depth, number, page = self._with_lock(raws[at][0], partial(self._leaf, raws[at], locked=True))
            while at < len(raws) and number_of(raws[at], depth) == number:
                found[raws[at].hex()] = self._decode(page.entries, *extent(page.entries, raws[at]))
                at += 1
        return found

    def find_cached(self, name_hash: str) -> list[Entry] | None:
        """Return the entries of a name without waiting for the disk or a lock; None if that is not possible."""
        raw = _raw(name_hash)
        try:
            self._check()
            return self._look(raw, self._files.read_cached)
        except (OSError, Unsound, StaleIndex):
            return None

    def _look(self, raw: bytes, read: Callable[[int, bytearray, int], object]) -> list[Entry] | None:
        """Return the entries of a hash; None if pages must be settled first. Raises Unsound."""
        first = int.from_bytes(raw[:4], "big")
        depth = hint = self._depths[first >> (32 - _HINT_BITS)]
        is_below_split = False
        while True:
            level = self._levels[depth] or self._level(depth)
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
            self._learn(depth, number)
        start = locate(buffer, HEADER, end, raw)
        found: list[Entry] = []
        while 0 <= start < end and buffer.startswith(raw, start):
            found.append(decode_entry(buffer, start))
            start += ENTRY
        return found

    def _leaf(self, raw: bytes, locked: bool = False) -> tuple[int, int, IndexPage]:
        """Return the depth, number and content of the leaf of a hash. Raises Unsound."""
        first = int.from_bytes(raw[:4], "big")
        depth = self._depths[first >> (32 - _HINT_BITS)]
        is_below_split = False
        for _ in range(_MAX_STEPS):
            number = first >> (32 - depth)
            page = self._page(depth, number, locked)
            if page is None:
                if is_below_split or depth == MIN_DEPTH:
                    raise Unsound(f"page {number} of depth {depth} is missing")
                depth -= 1
                continue
            if page.state == LEAF:
                self._learn(depth, number)
                return depth, number, page
            if page.state == SPLITTING:
                if not locked:
                    raise Unsound(f"page {number} of depth {depth} is being split")
                self._write_halves(depth, number, page.entries)
            if depth == MAX_DEPTH:
                break
            depth += 1
            is_below_split = True
        raise Unsound(f"no leaf for {raw.hex()}")

    def _learn(self, depth: int, number: int) -> None:
        """Note where a leaf was met. Of leaves that share a hint, the least depth counts: there is a page there."""
        if depth > _HINT_BITS:
            hint = number >> (depth - _HINT_BITS)
            if depth < self._depths[hint]:
                self._depths[hint] = depth
            elif depth > self._depths[hint] + 1:
                self._depths[hint] = depth - 1
            return
        shift = _HINT_BITS - depth
        if self._depths[number << shift] != depth or self._depths[((number + 1) << shift) - 1] != depth:
            self._depths[number << shift : (number + 1) << shift] = bytes((depth,)) * (1 << shift)

    def _decode(self, entries: bytes, start: int, end: int) -> list[Entry]:
        try:
            return [decode_entry(entries, each) for each in range(start, end, ENTRY)]
        except Unsound as error:
            raise self._damaged(error) from error

    # Changes

    def edit(
        self, name_hash: str, change: Callable[[list[Entry]], list[Entry]], before: Callable[[], object] | None = None
    ) -> None:
        """Replace the entries of a name by what `change` returns for them, while nobody else changes them.

        before: called when there is room, and before the entries are replaced, even if by equal ones. Raises OSError
        ENOSPC if the disk is full, or more names share 30 bits of the hash than a page has room for.
        """
        raw = _raw(name_hash)
        self._acquire(raw[0])
        try:
            self._check(surely=True)
            depth, number, page = self._leaf(raw, locked=True)
            entries = page.entries
            start, end = extent(entries, raw)
            new = b"".join(sorted([encode_entry(raw, each) for each in change(self._decode(entries, start, end))]))
            while len(entries) - (end - start) + len(new) > self._capacity:
                depth, number, entries = self._split(depth, number, entries, raw)
                start, end = extent(entries, raw)
            if before is not None:
                before()
            if new == entries[start:end]:
                return
            self._write(LEAF, depth, number, entries[:start] + new + entries[end:])
            self._learn(depth, number)
        except Unsound as error:
            raise self._damaged(error) from error
        finally:
            self._release(raw[0])

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
            self._with_lock(first, partial(self._edit_pages, list(group), changes, before, after))

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
            depth, number, page = self._leaf(raws[at], locked=True)
            old = entries = page.entries
            end = at
            while end < len(raws) and number_of(raws[end], depth) == number:
                raw, end = raws[end], end + 1
                start, stop = extent(entries, raw)
                new = sorted(encode_entry(raw, each) for each in changes[raw.hex()](self._decode(entries, start, stop)))
                entries = b"".join((entries[:start], *new, entries[stop:]))
            if len(entries) > self._capacity:
                self._split(depth, number, old, raws[at])
                continue
            names = [raw.hex() for raw in raws[at:end]]
            before(names)
            if entries != old:
                self._write(LEAF, depth, number, entries)
                self._learn(depth, number)
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
        self._with_lock(first, lambda: self._fill(MIN_DEPTH, first, batch, merge))

    def _fill(self, depth: int, number: int, batch: list[bytes], merge: Merge | None) -> None:
        """Add sorted entries below a page, with the lock held."""
        page = self._page(depth, number, locked=True)
        if page is None:
            raise Unsound(f"page {number} of depth {depth} is missing")
        if page.state == LEAF:
            entries = b"".join(merged([*split_entries(page.entries), *batch], merge))
            if depth == MAX_DEPTH:
                entries = entries[: self._capacity]
            if len(entries) <= self._capacity:
                if entries != page.entries:
                    self._write(LEAF, depth, number, entries)
                    self._learn(depth, number)
                return
            self._split(depth, number, page.entries, batch[0])
        elif page.state == SPLITTING:
            self._write_halves(depth, number, page.entries)
        middle = bisect_left(batch, first_bytes(2 * number + 1, depth + 1))
        for child, part in ((2 * number, batch[:middle]), (2 * number + 1, batch[middle:])):
            if part:
                self._fill(depth + 1, child, part, merge)

    def _split(self, depth: int, number: int, entries: bytes, raw: bytes) -> tuple[int, int, bytes]:
        """Split a leaf; return depth, number and entries of the half in which a hash belongs."""
        if depth == MAX_DEPTH:
            raise OSError(errno.ENOSPC, f"too many names share the first {MAX_DEPTH} bits of {raw[:HASH].hex()}")
        level = self._level(depth + 1, create=True)
        assert level is not None
        self._files.preallocate(level.fd, 2 * PAGE, 2 * number * PAGE)
        self._write(SPLITTING, depth, number, entries)
        parts = self._write_halves(depth, number, entries)
        child = number_of(raw, depth + 1)
        return depth + 1, child, parts[child & 1]

    def _write_halves(self, depth: int, number: int, entries: bytes) -> tuple[bytes, bytes]:
        """Write the halves of a page that is SPLITTING, as far as they are missing, and end that."""
        if depth == MAX_DEPTH:
            raise Unsound(f"page {number} of depth {depth} is being split")
        self._level(depth + 1, create=True)
        parts = halves(entries, depth, number)
        for child, part in enumerate(parts, 2 * number):
            if self._page(depth + 1, child, locked=True) is None:
                self._write(LEAF, depth + 1, child, part)
        self._write(SPLIT, depth, number, b"")
        return parts

    # Ranges of hashes

    def entries(self, prefix: int, bits: int) -> Iterator[tuple[str, Entry]]:
        """Iterate over the entries of all names whose hash begins with `prefix`, of 0 to 32 bits, in order of hash.

        Each page is as it was at one instant, some time during the iteration.
        """
        for _, _, entries in self._leaves(prefix, bits):
            for offset, entry in enumerate(self._decode(entries, 0, len(entries))):
                yield entries[offset * ENTRY : offset * ENTRY + HASH].hex(), entry

    def places(self, prefix: int, bits: int) -> Iterator[tuple[bytes, int, int, int]]:
        """Iterate over raw hash, volume, position and length of the entries of a range, faster than `entries`."""
        for _, _, entries in self._leaves(prefix, bits):
            for name_hash, volume, position, length, _ in places_in(entries):
                yield name_hash, volume, position, length

    def fingerprint(self, prefix: int, bits: int) -> bytes:
        """Return 8 bytes that are equal for equal entries of a range, and else different (CRC-64 of them)."""
        checksum = 0
        for _, _, entries in self._leaves(prefix, bits):
            checksum = crc64nvme(entries, checksum)
        return checksum.to_bytes(8, "big")

    def prefixes(self, bits: int) -> list[int]:
        """Return in order the prefixes, of 1 to 32 bits, with which the hash of any entry begins."""
        found: dict[int, None] = {}
        for depth, number, entries in self._leaves(0, 0):
            if not entries:
                continue
            if depth >= bits:
                found[number >> (depth - bits)] = None
            else:
                found.update(dict.fromkeys(prefixes_in(entries, bits)))
        return list(found)

    def _leaves(self, prefix: int, bits: int) -> Iterator[tuple[int, int, bytes]]:
        """Iterate over depth, number and entries of the leaves of a range, in order of hash."""
        if not 0 <= bits <= 32 or prefix >> bits:
            raise ValueError(f"no prefix of {bits} bits: {prefix}")
        low, high = prefix << (32 - bits), (prefix + 1) << (32 - bits)
        shift = 32 - _HINT_BITS
        depth = min(self._depths[low >> shift : ((high - 1) >> shift) + 1])
        yield from self._scan(depth, 0, 1 << depth, low, high)

    def _scan(self, depth: int, first: int, last: int, low: int, high: int) -> Iterator[tuple[int, int, bytes]]:
        """The leaves of the pages of a depth from first up to last, with what is between low and high of them."""
        shift = 32 - depth
        at = max(first, low >> shift)
        last = min(last, ((high - 1) >> shift) + 1)
        while at < last:
            pages = self._pages(depth, at, min(last - at, _MAX_PAGES))
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
                    self._learn(depth, at)
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
            depth, number, page = self._leaf(raw)
        except Unsound:
            depth, number, page = self._with_lock(raw[0], lambda: self._leaf(raw, locked=True))
        return depth, number, page.entries

    # Pages

    def _pages(self, depth: int, first: int, count: int) -> list[IndexPage | None]:
        """Read adjacent pages by one call; None for those that are missing. None of them is SPLITTING."""
        self._check()
        level = self._level(depth)
        if level is None:
            return [None] * count
        buffer = bytearray(count * PAGE)
        try:
            self._read(level, buffer, first)
        except Unsound:
            return [self._settled(depth, first + each) for each in range(count)]
        view = memoryview(buffer)
        pages = []
        for each in range(count):
            try:
                page = decode_page(view[each * PAGE : (each + 1) * PAGE], depth, first + each)
            except Unsound:
                page = self._settled(depth, first + each)
            if page is not None and page.state == SPLITTING:
                page = self._settled(depth, first + each)
            pages.append(page)
        return pages

    def _settled(self, depth: int, number: int) -> IndexPage | None:
        """Read a page under its lock, and end its split."""

        def read() -> IndexPage | None:
            page = self._page(depth, number, locked=True)
            if page is None or page.state != SPLITTING:
                return page
            self._write_halves(depth, number, page.entries)
            return IndexPage(SPLIT, b"")

        return self._with_lock(number >> (depth - MIN_DEPTH), read)

    def _page(self, depth: int, number: int, locked: bool) -> IndexPage | None:
        """Read a page; None if it is missing. Raises Unsound, without the lock after some tries."""
        level = self._levels[depth] or self._level(depth)
        if level is None:
            return None
        tries = 1 if locked else _TRIES
        while True:
            buffer = bytearray(PAGE)
            try:
                self._read(level, buffer, number)
                return decode_page(buffer, depth, number)
            except Unsound:
                tries -= 1
                if not tries:
                    raise

    def _read(self, level: OpenFile, buffer: bytearray, number: int) -> None:
        """Read pages from one on. Raises OSError, and Unsound if reads failed minutes ago, too."""
        try:
            self._files.read_at(level.fd, buffer, number * PAGE)
        except OSError as error:
            if FailedReads(self._files, os.path.dirname(self._path)).is_lasting(error):
                raise Unsound(f"page {number} cannot be read: {error}") from error
            raise

    def _write(self, state: int, depth: int, number: int, entries: bytes) -> None:
        level = self._levels[depth] or self._level(depth)
        assert level is not None
        self._files.write_at(level.fd, (encode_page(state, depth, number, entries),), number * PAGE)

    def _level(self, depth: int, create: bool = False) -> OpenFile | None:
        """Return the file of a depth; None if it is missing."""
        level = self._levels[depth]
        if level is None:
            directory = self._directory
            if directory is None:
                raise StaleIndex(self._path)
            try:
                level = self._files.open_inside(directory, str(depth), create)
            except FileNotFoundError:
                return None
            self._levels[depth] = level
        return level

    def _damaged(self, error: Unsound) -> DamagedIndex:
        """The error that reports damage, which is noted for whoever opens the index next."""
        with contextlib.suppress(OSError):
            if self._directory is not None:
                self._files.open_inside(self._directory, DAMAGED, create=True)
        return DamagedIndex(f"{self._path}: {error}")

    # The whole

    def sync(self) -> None:
        """Make all changes durable that were made before, by whichever process."""
        self._check(surely=True)
        for depth in range(MIN_DEPTH, MAX_DEPTH + 1):
            level = self._level(depth)
            if level is not None:
                self._files.fsync(level.fd)
        self._files.fsync_dir(self._path)
        self._check(surely=True)

    def is_current(self) -> bool:
        """Return whether the index that was opened is still the one at the path; opens it if none is open."""
        try:
            self._check(surely=True)
        except (StaleIndex, FileNotFoundError):
            return False
        return True

    def close(self) -> None:
        """Close; calls raise StaleIndex from then on, those under way may end."""
        self._is_stale = True
        self._current_until = 0.0
        self._directory = None
        self._levels = [None] * len(self._levels)
        self._locks.close()

    def _check(self, surely: bool = False) -> None:
        """Raise StaleIndex unless the index is still the one at the path; look at most once a second, or surely."""
        now = self._monotonic()
        if now < self._current_until and not surely:
            return
        if self._identity is None:
            self._open()
        try:
            is_current = not self._is_stale and self._files.stamp_dir(self._path)[:2] == self._identity
        except (FileNotFoundError, NotADirectoryError):
            is_current = False
        if not is_current:
            self._is_stale = True
            self._current_until = 0.0
            raise StaleIndex(self._path)
        self._current_until = now + CHECK_SECONDS

    def _open(self) -> None:
        with self._opening:
            if self._identity is None and not self._is_stale:
                self._directory = self._files.open_dir(self._path)
                self._identity = self._files.stamp(self._directory.fd)[:2]

    # Locks

    def _acquire(self, number: int) -> None:
        if self._pid != os.getpid():  # a thread of the parent may have held it at the fork
            self._lock = threading.Lock()
            self._pid = os.getpid()
        self._lock.acquire()
        try:
            self._locks.acquire(number)
        except BaseException:
            self._lock.release()
            raise

    def _release(self, number: int) -> None:
        self._locks.release(number)
        self._lock.release()

    def _with_lock(self, number: int, call: Callable[[], Result]) -> Result:
        self._acquire(number)
        try:
            self._check(surely=True)
            return call()
        except Unsound as error:
            raise self._damaged(error) from error
        finally:
            self._release(number)


def _raw(name_hash: str) -> bytes:
    raw = bytes.fromhex(name_hash)
    if len(raw) != HASH or len(name_hash) != 2 * HASH:
        raise ValueError(f"not a hash of a name: {name_hash[:40]!r}")
    return raw
