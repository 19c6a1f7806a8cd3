"""Hashes of what a device holds of a policy whose objects are packed, or files. Everything here blocks.

A hash is kept in the file `packed/hashes`, in the slot of its partition, together with what it was computed of: the
fingerprint of the partition's entries in the index, and the hash of its files. If both are what they were, so is the
hash; nobody has to remove it before a change, and what a power cut leaves of it either fits or does not.
"""

from __future__ import annotations

import contextlib
import struct
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from typing import NamedTuple

from awscrt.checksums import crc32c

from objstore.runtime.files import Files, OpenFile
from objstore.store.change import Change
from objstore.store.objects.hashes import Hasher
from objstore.store.objects.layout import Layout
from objstore.store.objects.liveness import counting
from objstore.store.objects.summaries import NOTHING, SuffixSummary, of_partition, of_suffix
from objstore.store.packed.lookup import PackedNames

Grouped = dict[str, dict[str, tuple[Change, ...]]]  # by suffix, by name hash, the changes that count

_SLOT = struct.Struct(
    "<IB3x8s16s16sq"
)  # CRC32C of what follows, partition power, fingerprint, hash of files, hash, age
_SLOT_SIZE = 64
_NEVER = -1  # for no oldest change
_LARGEST = 1 << 32  # partitions
_KEPT_NAMES = 10_000  # of the partitions whose changes are kept in memory
_RETRIES = 3


class HashSource(NamedTuple):
    """The source of a partition's hash. files: hash of its files, "" if it has none."""

    power: int
    fingerprint: bytes
    files: str


class PackedHasher:
    """power: the partition power now. of_files: computes the hashes of files."""

    def __init__(
        self, files: Files, layout: Layout, names: PackedNames, of_files: Hasher, power: Callable[[], int]
    ) -> None:
        self._files = files
        self._layout = layout
        self._names = names
        self._of_files = of_files
        self._power = power
        self._slots: OpenFile | None = None
        self._grouped: OrderedDict[tuple[int, HashSource], Grouped] = OrderedDict()
        self._names_kept = 0
        self._lock = threading.Lock()

    def partitions(self) -> list[int]:
        """Those that have packed changes."""
        return self._names.on_index(lambda index: index.prefixes(self._power()))

    def partition(self, partition: int) -> SuffixSummary:
        key = self._key(partition)
        kept = self._kept(partition, key)
        if kept is not None:
            return kept
        for _ in range(_RETRIES):
            summary = of_partition(self._summaries(partition))
            now = self._key(partition)
            if now == key:
                self._keep(partition, key, summary)
                break
            key = now  # it changed meanwhile; the hash may be of neither state, and is not kept
        return summary

    def kept(self, partitions: Iterable[int]) -> dict[int, str]:
        """By partition, the hashes that are kept; computes none."""
        found = {}
        for partition in partitions:
            with contextlib.suppress(OSError):  # one that is damaged is nobody else's concern
                # Unknown is not "": a hash kept while there were no files would be taken for that of now.
                files = self._of_files.kept((partition,)).get(partition) if self._has_files(partition) else ""
                kept = None if files is None else self._kept(partition, self._key(partition, files))
                if kept is not None and kept.hash:
                    found[partition] = kept.hash
        return found

    def suffixes(self, partition: int) -> dict[str, SuffixSummary]:
        return self._summaries(partition)

    def changes(self, partition: int, suffix: str) -> dict[str, tuple[Change, ...]]:
        """By name hash, the changes that count."""
        return self.grouped(partition).get(suffix, {})

    def grouped(self, partition: int) -> Grouped:
        key = self._key(partition)
        known = self._grouped.get((partition, key))
        if known is not None:
            return known
        found: dict[str, set[Change]] = defaultdict(set)
        if self._has_files(partition):
            for suffix in self._of_files.suffixes(partition):
                for name_hash, changes in self._of_files.changes(partition, suffix).items():
                    found[name_hash].update(changes)
        if partition < 1 << key.power:
            for name_hash, entry in self._names.on_index(lambda index: list(index.entries(partition, key.power))):
                found[name_hash].add(entry.change)
        grouped: Grouped = defaultdict(dict)
        for name_hash, every in sorted(found.items()):
            grouped[name_hash[-3:]][name_hash] = tuple(sorted(counting(every)))
        if self._key(partition) == key:
            self._remember(partition, key, grouped)
        return grouped

    def _remember(self, partition: int, key: HashSource, grouped: Grouped) -> None:
        with self._lock:
            if (partition, key) not in self._grouped:
                self._grouped[partition, key] = grouped
                self._names_kept += _count(grouped)
            while self._names_kept > _KEPT_NAMES and len(self._grouped) > 1:
                self._names_kept -= _count(self._grouped.popitem(last=False)[1])

    def _summaries(self, partition: int) -> dict[str, SuffixSummary]:
        return {suffix: of_suffix(changes) for suffix, changes in self.grouped(partition).items()}

    def _has_files(self, partition: int) -> bool:
        return self._files.is_dir(self._layout.partition_dir(partition))

    def _key(self, partition: int, files: str | None = None) -> HashSource:
        power = self._power()
        if files is None:
            files = self._of_files.partition(partition).hash if self._has_files(partition) else ""
        if partition >= 1 << power:
            return HashSource(power, bytes(8), files)
        return HashSource(power, self._names.on_index(lambda index: index.fingerprint(partition, power)), files)

    # Slots

    def _kept(self, partition: int, key: HashSource) -> SuffixSummary | None:
        slots = self._open(create=False)
        buffer = bytearray(_SLOT.size)
        if slots is None or self._files.read_at(slots.fd, buffer, partition * _SLOT_SIZE) != len(buffer):
            return None
        checksum, power, fingerprint, files, found, oldest = _SLOT.unpack(buffer)
        if checksum != crc32c(memoryview(buffer)[4:]) or HashSource(power, fingerprint, _text(files)) != key:
            return None
        return SuffixSummary(_text(found), None if oldest == _NEVER else oldest)

    def _keep(self, partition: int, key: HashSource, summary: SuffixSummary) -> None:
        """Best effort: what is not kept is computed again."""
        if summary == NOTHING or partition >= _LARGEST:
            return
        oldest = _NEVER if summary.oldest is None else summary.oldest
        slot = bytearray(
            _SLOT.pack(0, key.power, key.fingerprint, _bytes(key.files), bytes.fromhex(summary.hash), oldest)
        )
        slot[:4] = crc32c(memoryview(slot)[4:]).to_bytes(4, "little")
        with contextlib.suppress(OSError):
            slots = self._open(create=True)
            if slots is not None:
                self._files.write_at(slots.fd, (slot,), partition * _SLOT_SIZE)

    def _open(self, create: bool) -> OpenFile | None:
        path = f"{self._layout.packed}/hashes"
        if self._slots is None or self._files.is_unlinked(self._slots.fd):
            if create:
                with contextlib.suppress(FileExistsError):
                    self._files.create(path).path = ""  # the name stays
            try:
                self._slots = self._files.open_to_write(path)
            except FileNotFoundError:
                return None
        return self._slots

    def close(self) -> None:
        slots, self._slots = self._slots, None
        if slots is not None:
            slots.close()


def _count(grouped: Grouped) -> int:
    return sum(map(len, grouped.values()))


def _text(digest: bytes) -> str:
    return digest.hex() if any(digest) else ""


def _bytes(digest: str) -> bytes:
    return bytes.fromhex(digest) if digest else bytes(16)
