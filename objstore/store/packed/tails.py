"""The tail of a volume: records that a process that died had appended, and not put into the index.

See `store.packed.recovery` for why nothing is hidden or revived by putting them in.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict

from objstore.store.objects.format import Unsound
from objstore.store.packed.format import padded
from objstore.store.packed.index import Index
from objstore.store.packed.places import Entry, Place
from objstore.store.packed.settling import settle
from objstore.store.packed.volumes import Volumes


def put_in_tails(volumes: Volumes, index: Index) -> None:
    """Put into the index what writers left that died. Raises StaleIndex, DamagedIndex, OSError.

    Call it with the name of a change locked before that change is removed for good: a copy of it in a tail would
    bring it back later.
    """
    for volume in volumes.left_by_dead():
        with contextlib.suppress(FileNotFoundError, Unsound):
            replay_tail(volumes, index, volume)


def replay_tail(volumes: Volumes, index: Index, volume: int) -> None:
    """Put into the index what is missing of a volume that is claimed. Raises as `Index.edit`."""
    end = volumes.noted(volume)
    is_durable = False
    replaced: set[tuple[int, int]] = set()
    for place, header, is_sound in volumes.scan(volume, end, verify=True):
        if place.position == end and is_sound:
            end += padded(place.length)
        if not header.is_change:
            if is_sound:
                replaced.update(volumes.replaced_by(place))
            continue
        entry = Entry(header.change, place)
        if not is_sound or entry in index.find(header.name_hash):
            continue
        if not is_durable:
            volumes.sync(volume)
            is_durable = True
        _put_in(volumes, index, header.name_hash, entry, header.is_copy)
    mark_again(volumes, index, replaced)
    volumes.note(volume, end)


def _put_in(volumes: Volumes, index: Index, name_hash: str, entry: Entry, is_copy: bool) -> None:
    """Add an entry unless its record is dead; marks are looked at with the page locked.

    A copy only replaces its original: if that has left the index since, the copy is dead.
    """
    existing = set(volumes.numbers())
    dead: list[Place] = []

    def change(entries: list[Entry]) -> list[Entry]:
        if entry.place.position in volumes.dead(entry.place.volume):
            return entries
        if is_copy and all(each.change != entry.change for each in entries):
            dead[:] = [entry.place]
            return entries
        settled = settle([*entries, entry], existing)
        dead[:] = settled.dead
        return settled.entries

    index.edit(name_hash, change, lambda: volumes.kill(dead))


def mark_again(volumes: Volumes, index: Index, replaced: set[tuple[int, int]]) -> None:
    """Mark those of the records replaced that have left the index, but whose marks were lost, or never made.

    replaced: their volumes and positions.
    """
    by_volume: dict[int, set[int]] = defaultdict(set)
    for volume, position in replaced:
        by_volume[volume].add(position)
    for volume, positions in sorted(by_volume.items()):
        with contextlib.suppress(FileNotFoundError, Unsound):
            for position in sorted(positions - volumes.dead(volume)):
                with contextlib.suppress(Unsound):
                    header = volumes.header_at(volume, position)
                    place = Place(volume, position, header.length, header.head)
                    if all(entry.place != place for entry in index.find(header.name_hash)):
                        volumes.kill((place,))
