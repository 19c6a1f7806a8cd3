"""Making the index of volumes ready for use, whatever a kill or a power cut left.

A record *counts* if its volume has it whole and no mark calls it dead. The index must have the entries of a name that
`liveness` leaves of all records that count. Three ways lead there:

- *Replay of tails.* In the same boot the index is as the last process left it, because the system has every page that
  was written. Only the records that a killed process had not put into the index are missing: those behind the position
  that it noted in its volume. They are made durable and put in. A process takes the lock of the volume for that, so
  that nobody appends, and another one that does the same finds them noted.
- *Replay from a checkpoint.* After a power cut each page is one of its versions since the last sync
  (`store.packed.index_repair`). Per name, that is a state between the checkpoint and the cut. All records from the
  checkpoint's positions on are added to it, all marks since then are applied.
- *A rebuild* of all volumes and marks, if there is no index, no state of a checkpoint, or damage.

Why nothing acknowledged is hidden. A record is durable before its entry is made, and its entry is made before it is
acknowledged. In the same boot the entry is there. After a power cut the record lies before the checkpoint's position,
and its entry was synced, or behind it, and is replayed: of records before the position those in the index alone
count, and an entry leaves the index only for a newer record, which is itself durable and replayed, or with a mark.
While an index is rebuilt there is none at its path. Who changes a page looks for that under the page's lock, and the
rebuild takes each of these locks once after it has moved the old index away: every entry made before has its record
in what is then read of the volumes, every later one waits for the new index. Who only reads looks once a second; the
new index comes to its place no earlier than a second after the old one left.

Why nothing dead comes back. A record that is marked is left out of every replay and rebuild. One that is obsolete, but
not marked, because the process was killed or the mark was lost in a power cut, is judged by `liveness` beside the newer
one, which is there as long as it was not itself forgotten; and before a change is forgotten the marks of what it hides
are made durable. What is found obsolete is marked. A record of a tail whose content is not whole was never
acknowledged, and is left out; if it lies before the noted position it has been damaged since, and stays in the index,
so that its reader finds the damage and does not see what it had replaced. A copy that a killed compaction left in a
tail is taken only for the same change; if that was removed meanwhile, the copy is dead.

Of the same change at two places, as when a record was moved, the one in a volume that exists counts, else the later.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import time
from collections.abc import Callable, Container
from typing import NamedTuple

from objstore.runtime.boot import boot_id
from objstore.runtime.files import Files
from objstore.runtime.number_locks import NumberLocks
from objstore.store.objects.format import Unsound
from objstore.store.packed.failed_reads import FailedReads
from objstore.store.packed.format import padded
from objstore.store.packed.index import Index
from objstore.store.packed.index_repair import repair
from objstore.store.packed.index_rows import IndexRows
from objstore.store.packed.index_state import IndexState, VolumePosition, index_lock, read_state, write_state
from objstore.store.packed.page_files import CHECK_SECONDS, DAMAGED, LOCKS, DamagedIndex
from objstore.store.packed.pages import CAPACITY, encode_entry
from objstore.store.packed.places import Entry, Place
from objstore.store.packed.settling import settle
from objstore.store.packed.tails import mark_again, replay_tail
from objstore.store.packed.volumes import Volumes

_MAX_ROWS = 16 << 20  # bytes of entries in memory
_LEAST_READABLE = 2  # an index is not made of volumes of which more than one part of this number cannot be read


def open_index(
    files: Files,
    directory: str,
    volumes: Volumes,
    boot: str = "",
    sleep: Callable[[float], object] = time.sleep,
    capacity: int = CAPACITY,
) -> Index:
    """Return the index in `<directory>/index`, ready for use. Blocks.

    directory: `<device>/packed`, made if it is missing. boot: identity of this boot, by default that of the
    system. capacity: entries in a page of the index. Raises OSError, and DeviceUnavailable while another process makes
    the index ready.
    """
    recovery = _Recovery(files, directory, volumes, boot or boot_id(), sleep, capacity)
    recovery.make_directory()
    with index_lock(files, directory):
        return recovery.ready()


class _FilledVolumes(NamedTuple):
    """The records put into an index. positions: how far, by volume.

    unsettled: volume and position of records that a process may be about to take back; they make no others dead.
    replaced: volume and position of records that may have left the index for them; not of a rebuild, which judges all.
    """

    positions: dict[int, VolumePosition]
    unsettled: set[tuple[int, int]]
    replaced: set[tuple[int, int]] | None


class _Recovery:
    """The steps of a recovery, with its lock held except for `make_directory`."""

    def __init__(
        self,
        files: Files,
        directory: str,
        volumes: Volumes,
        boot: str,
        sleep: Callable[[float], object],
        capacity: int,
    ) -> None:
        self._files = files
        self._directory = directory
        self._index_path = f"{directory}/index"
        self._volumes = volumes
        self._boot = boot
        self._sleep = sleep
        self._capacity = capacity

    def make_directory(self) -> None:
        with contextlib.suppress(FileExistsError):
            self._files.mkdir(self._directory)
            self._files.fsync_dir(os.path.dirname(self._directory))

    def ready(self) -> Index:
        try:
            index = self._replayed()
        except OSError as error:
            if not FailedReads(self._files, self._directory).is_lasting(error):
                raise
            index = None
        return index or self._rebuild()

    def _replayed(self) -> Index | None:
        """Return the index that is there, with what it lacks; None if it is of no use."""
        state = read_state(self._files, self._index_path)
        if state is not None and not self._files.exists(f"{self._index_path}/{DAMAGED}"):
            with contextlib.suppress(DamagedIndex):
                index = Index(self._files, self._index_path, capacity=self._capacity)
                if state.boot == self._boot:
                    self._replay_tails(index)
                else:
                    self._replay_from(state, index)
                return index
        return None

    # In the same boot

    def _replay_tails(self, index: Index) -> None:
        for volume in self._volumes.numbers():
            with contextlib.suppress(FileNotFoundError, Unsound):
                claimed = self._volumes.claim(volume)
                if claimed is None:
                    continue  # its writer puts them in
                try:
                    replay_tail(self._volumes, index, volume)
                finally:
                    self._files.unlock(claimed.fd)

    # After a power cut

    def _replay_from(self, state: IndexState, index: Index) -> None:
        existing = set(self._volumes.numbers())
        repair(self._files, self._index_path, existing)
        collected = self._fill(index, existing, state)
        for volume in sorted(existing):
            at = state.volumes.get(volume)
            with contextlib.suppress(FileNotFoundError, Unsound):
                for position in self._volumes.dead_since(volume, at.older_marks if at else 0):
                    self._take_out(index, volume, position)
        mark_again(self._volumes, index, collected.replaced or set())
        self._volumes.sync_marks()
        index.sync()
        write_state(self._files, self._index_path, IndexState(self._boot, time.time(), collected.positions))
        self._note(collected)

    def _take_out(self, index: Index, volume: int, position: int) -> None:
        """Remove the entry of a record that is dead."""
        try:
            header = self._volumes.header_at(volume, position)
        except Unsound:  # its entry, if there is one, is found to be bad by whoever reads it
            return

        def change(entries: list[Entry]) -> list[Entry]:
            return [each for each in entries if (each.place.volume, each.place.position) != (volume, position)]

        index.edit(header.name_hash, change)

    # Rebuilding

    def _rebuild(self) -> Index:
        started = time.monotonic()
        self._retire()
        aside = f"{self._index_path}.{secrets.token_hex(4)}.new"
        Index.create(self._files, aside).close()
        index = Index(self._files, aside, capacity=self._capacity)
        existing = set(self._volumes.numbers())
        collected = self._fill(index, existing, IndexState("", 0.0, {}))
        self._volumes.sync_marks()
        index.sync()
        write_state(self._files, aside, IndexState(self._boot, time.time(), collected.positions))
        index.close()
        if existing:  # else nobody can have found anything in an index before
            self._sleep(max(0.0, started + CHECK_SECONDS - time.monotonic()))
        self._files.rename(aside, self._index_path)
        self._files.fsync_dir(self._directory)
        self._note(collected)
        return Index(self._files, self._index_path, capacity=self._capacity)

    def _retire(self) -> None:
        """Move the index away, and wait until nobody changes it any more; remove all that was left aside."""
        if self._files.exists(self._index_path):
            self._files.rename(self._index_path, f"{self._index_path}.{secrets.token_hex(4)}.old")
        locks = NumberLocks(f"{self._directory}/{LOCKS}")
        try:
            for number in range(256):
                locks.acquire(number)
                locks.release(number)
        finally:
            locks.close()
        for name in self._files.list(self._directory):
            if name.startswith("index."):
                self._remove(f"{self._directory}/{name}")

    def _remove(self, directory: str) -> None:
        for name in self._files.list(directory):
            self._files.unlink(f"{directory}/{name}")
        self._files.rmdir(directory)

    # Both

    def _fill(self, index: Index, existing: Container[int], state: IndexState) -> _FilledVolumes:
        """Put in the records that lie behind the positions of a state."""
        collected = _FilledVolumes({}, set(), set() if state.boot else None)
        dead: list[Place] = []

        def merge(entries: list[Entry]) -> list[Entry]:
            settled = settle(entries, existing)
            if not any((each.place.volume, each.place.position) in collected.unsettled for each in entries):
                dead.extend(settled.dead)
            return settled.entries

        rows_path = f"{self._index_path}.{secrets.token_hex(4)}.rows"
        with IndexRows(self._files, rows_path, _MAX_ROWS) as rows:
            for volume in self._volumes.numbers():
                at = state.volumes.get(volume)
                with contextlib.suppress(FileNotFoundError, Unsound):
                    self._collect(rows, volume, at.position if at else 0, collected)
            for first, batch in rows.batches():
                index.add_encoded(first, batch, merge)
                self._volumes.kill(set(dead))
                dead.clear()
        if self._volumes.stepped_over * _LEAST_READABLE > sum(each.position for each in collected.positions.values()):
            raise OSError(errno.EIO, "most of what is in volumes cannot be read", self._directory)
        return collected

    def _collect(self, rows: IndexRows, volume: int, start: int, collected: _FilledVolumes) -> None:
        """Add to the rows the records of a volume that count, from a position on."""
        marks = self._volumes.marks_size(volume)
        dead = self._volumes.dead(volume)
        is_written = self._volumes.has_writer(volume)
        noted = self._volumes.noted(volume)
        self._volumes.sync(volume)
        end = max(start, noted)
        for place, header, is_sound in self._volumes.scan(volume, start, verify=True):
            if place.position < noted or is_sound:
                if not header.is_change:
                    if is_sound and collected.replaced is not None:
                        collected.replaced.update(self._volumes.replaced_by(place))
                elif place.position not in dead:
                    rows.add(encode_entry(bytes.fromhex(header.name_hash), Entry(header.change, place)))
                if place.position >= noted and is_written:
                    collected.unsettled.add((volume, place.position))
                elif place.position == end:
                    end += padded(place.length)
        collected.positions[volume] = VolumePosition(end, marks, marks)

    def _note(self, collected: _FilledVolumes) -> None:
        for volume, (position, _, _) in collected.positions.items():
            with contextlib.suppress(FileNotFoundError, Unsound):
                claimed = self._volumes.claim(volume)
                if claimed is not None:
                    self._volumes.note(volume, position)
                    self._files.unlock(claimed.fd)
