"""Auditing packed changes, a stretch at a time. Everything here blocks.

A round has two stages. First the index is walked: an entry whose record would lie behind the end of its volume is a
suspect. Then each volume is read from its beginning to its end. A record that does not match its checksums is a
suspect. So is each entry of the index whose record would lie in a gap (see `store.packed.stretch`), but behind the
last entry of a volume a gap is only what a writer has not filled or finished.

Suspects are names. Their changes are then verified one by one, by what the index says of them at that time: records
that died or moved since are nobody's.

Positions are lists that sort in the order of the round: [0, first byte of the hash], [1, volume, offset].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from objstore.store.disk_errors import UNREADABLE
from objstore.store.objects.format import Unsound
from objstore.store.packed.format import VOLUME_HEADER_SIZE
from objstore.store.packed.lookup import PackedNames
from objstore.store.packed.stretch import check_stretch

_STRETCH = 1 << 20  # bytes
_WALK, _READ = 0, 1  # the stages
_PREFIX_BITS = 8  # of the hash: what is walked at once
_PREFIXES = 1 << _PREFIX_BITS
_ALL = 1 << 32  # bytes: more than any volume has
_PLACE_SIZE = 64  # bytes of an entry of the index


class AuditStep(NamedTuple):
    """The result of a step. position: of the next one. read: bytes. objects, size: see `store.interface.PackedAudit`.

    suspects: hashes of names.
    """

    position: list[int]
    read: int
    objects: int
    size: int
    suspects: list[str]


class PackedAuditor:
    """Takes the steps of one round after another. What it notes about a round only saves time: it may be lost.

    content: False for the first stage only.
    """

    def __init__(self, names: PackedNames, content: bool) -> None:
        self._names = names
        self._volumes = names.volumes
        self._content = content
        self._sizes: dict[int, int] = {}  # of volumes
        self._ends: dict[int, int] = {}  # of the last entry, by volume
        self._walked = 0  # prefixes that _ends includes, from the first one on
        self._dead: tuple[int, set[int]] = (-1, set())  # a volume, and positions
        self._entries: tuple[int, list[tuple[int, str]]] = (-1, [])  # a volume, positions and hashes

    def step(self, position: Sequence[int], hashed_since: float) -> AuditStep | None:
        """Take the step at a position; None at the end of the round. Raises OSError."""
        stage, at, *rest = position or (_WALK, 0)
        if stage == _WALK and at < _PREFIXES:
            return self._walk(at)
        if not self._content:
            return None
        volume, offset = (at, *rest) if stage == _READ else (0, 0)
        try:
            return self._read(volume, offset, hashed_since)
        except FileNotFoundError:  # removed, or it never was
            following = next((number for number in self._volumes.numbers() if number > volume), None)
            return None if following is None else AuditStep([_READ, following, 0], 0, 0, 0, [])

    def _walk(self, prefix: int) -> AuditStep:
        """Compare the places of entries with the sizes of volumes."""
        if prefix == 0:
            self._sizes, self._ends, self._walked = {}, {}, 0
            self._dead, self._entries = (-1, set()), (-1, [])
        sizes, ends = self._sizes, self._ends
        suspects = []
        places = self._names.on_index(lambda index: list(index.places(prefix, _PREFIX_BITS)))
        for name_hash, volume, position, length in places:
            end = position + length
            if end > ends.get(volume, 0):
                ends[volume] = end
            if end > sizes.get(volume, 0):
                sizes[volume] = self._size(volume)
                if end > sizes[volume]:
                    suspects.append(name_hash.hex())
        self._walked += prefix == self._walked
        return AuditStep([_WALK, prefix + 1], len(places) * _PLACE_SIZE, 0, 0, suspects)

    def _size(self, volume: int) -> int:
        """The size of a volume; 0 for one that is missing or has no header."""
        try:
            return self._volumes.size(volume)
        except (FileNotFoundError, Unsound):
            return 0

    def _read(self, volume: int, offset: int, hashed_since: float) -> AuditStep:
        start = max(offset, VOLUME_HEADER_SIZE)
        following = [_READ, volume + 1, 0]
        try:
            stretch = self._volumes.read_stretch(volume, start, _STRETCH)
            hashed = stretch.changed >= hashed_since
            dead = self._dead_in(volume)
            check = check_stretch(stretch.tag, stretch.data, start, stretch.is_last, dead, hashed)
            if check.required:
                stretch = self._volumes.read_stretch(volume, start, check.required)
                check = check_stretch(stretch.tag, stretch.data, start, stretch.is_last, dead, hashed)
        except Unsound:  # without its header, nothing of the volume can be read
            return AuditStep(following, 0, 0, 0, self._within(volume, [(0, _ALL)]))
        except OSError as error:
            if error.errno not in UNREADABLE:
                raise
            stop = start + _STRETCH
            return AuditStep([_READ, volume, stop], _STRETCH, 0, 0, self._within(volume, [(start, stop)]))
        suspects = check.bad + self._within(volume, check.gaps)
        end = following if stretch.is_last or not check.length else [_READ, volume, start + check.length]
        return AuditStep(end, len(stretch.data), check.objects, check.size, suspects)

    def _dead_in(self, volume: int) -> set[int]:
        """Positions of dead records, as they were when the audit came to the volume."""
        if self._dead[0] != volume:
            self._dead = volume, self._volumes.dead(volume)
        return self._dead[1]

    def _within(self, volume: int, gaps: list[tuple[int, int]]) -> list[str]:
        """The names whose records would begin in gaps of a volume."""
        if self._walked == _PREFIXES:
            end = self._ends.get(volume, 0)
            gaps = [gap for gap in gaps if gap[0] < end]
        if not gaps:
            return []
        return [
            name_hash
            for position, name_hash in self._entries_of(volume)
            if any(start <= position < stop for start, stop in gaps)
        ]

    def _entries_of(self, volume: int) -> list[tuple[int, str]]:
        """Positions and hashes of the entries of a volume, as they were at its first gap."""
        if self._entries[0] != volume:
            entries = self._names.on_index(
                lambda index: sorted(
                    (position, name_hash.hex())
                    for name_hash, found, position, _ in index.places(0, 0)
                    if found == volume
                )
            )
            self._entries = volume, entries
        return self._entries[1]
