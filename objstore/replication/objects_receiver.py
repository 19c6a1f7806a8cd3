"""The receiving end of the replication of objects, on one device for one policy.

The changes of one request are written by several green threads at once, so that the engine makes many small changes
durable together. The engine verifies each change before it becomes visible, and it counts as received only when it is
durable. A request that ends early leaves only complete changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import NamedTuple

from objstore.core.errors import (
    BodyTruncated,
    Conflict,
    DeviceUnavailable,
    InvalidInput,
    LockTimeout,
    NoSpace,
    ObjstoreError,
)
from objstore.core.names import Location
from objstore.core.timestamps import Timestamp
from objstore.replication.objects_messages import (
    FAILED,
    FULL,
    HELD,
    STALE,
    UNSOUND,
    Buffer,
    Changes,
    Frame,
    FrameReader,
    Receipt,
)
from objstore.replication.objects_run import RECORD, RunReader
from objstore.runtime import green
from objstore.store.change import Change
from objstore.store.interface import ChangeWriter, Guard, IncomingChange, IncomingRecord, ReplicaStore
from objstore.store.packed.runs import check_received, record_stream

GuardOf = Callable[[str, Timestamp], Guard | None]  # of a change, by the hash of its name and its time

# The first match applies.
_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (Conflict, STALE),
    (InvalidInput, UNSOUND),
    (NoSpace, FULL),
    (DeviceUnavailable, FULL),
    (LockTimeout, HELD),
    (ObjstoreError, FAILED),
    (OSError, FAILED),
)


class ReceiverBounds(NamedTuple):
    """Bounds of one request. writers: changes written at once. small: maximum size of a change held in memory, in
    bytes; larger ones are written as they arrive, one by one. run: changes that are packed together."""

    writers: int = 32
    small: int = 256 * 1024
    run: int = 256


def differing(store: ReplicaStore, theirs: Mapping[int, str]) -> list[int]:
    """Return those of a peer's partitions, given with their hashes, that are not known to be equal here."""
    own = store.kept_hashes(theirs)
    return [partition for partition, found in theirs.items() if own.get(partition) != found]


class _Intake:
    """Stores the changes of one request. Each has the index by which a refusal is reported."""

    def __init__(self, store: ReplicaStore, policy: int, bounds: ReceiverBounds, guard: GuardOf) -> None:
        self._store = store
        self._policy = policy
        self._bounds = bounds
        self._guard = guard
        self._free = green.Semaphore(bounds.writers)
        self._run: list[tuple[int, IncomingChange | IncomingRecord]] = []
        self._refused: dict[int, str] = {}
        self._bug: Exception | None = None

    def take_frame(self, index: int, partition: int, frame: Frame, frames: FrameReader) -> None:
        location = Location(partition, frame.hash, self._policy)
        if frame.length <= self._store.packs:
            guard = self._guard(frame.hash, frame.change.timestamp)
            self._pack(index, IncomingChange(location, frame.change, frames.content(frame.length), guard))
        elif frame.length <= self._bounds.small:
            self._spawn(index, location, frame.change, frames.content(frame.length))
        else:
            self._write_large(index, location, frame, frames)

    def take_record(self, index: int, partition: int, record: bytes) -> None:
        if len(record) <= self._store.packs:
            self._pack(index, IncomingRecord(partition, record, self._guard))
            return
        try:
            received = check_received(record)
        except ObjstoreError as error:
            self._refused[index] = _reason(error)
            return
        location = Location(partition, received.header.name_hash, self._policy)
        self._spawn(index, location, received.header.change, record_stream(received))

    def end(self) -> None:
        """Wait until all is stored or refused."""
        self._write_run()
        for _ in range(self._bounds.writers):  # until all have ended
            self._free.acquire()

    def receipt(self, count: int) -> Receipt:
        if self._bug is not None:
            raise self._bug
        return Receipt(count, dict(sorted(self._refused.items())))

    def _pack(self, index: int, incoming: IncomingChange | IncomingRecord) -> None:
        self._run.append((index, incoming))
        if len(self._run) >= self._bounds.run:
            self._write_run()

    def _write_run(self) -> None:
        """Write changes that the engine packs, together."""
        run, self._run = self._run, []
        if not run:
            return
        outcomes = self._store.write_packed([incoming for _, incoming in run])
        for (index, _), outcome in zip(run, outcomes, strict=True):
            if isinstance(outcome, (ObjstoreError, OSError)):
                self._refused[index] = _reason(outcome)
            elif outcome is not None:
                self._bug = outcome

    def _spawn(self, index: int, location: Location, change: Change, content: bytes) -> None:
        self._free.acquire()
        green.spawn(self._write_small, index, location, change, content)

    def _write_small(self, index: int, location: Location, change: Change, content: bytes) -> None:
        try:
            with self._writer(location, change, len(content)) as writer:
                writer.write(content)
                writer.commit()
        except (ObjstoreError, OSError) as error:
            self._refused[index] = _reason(error)
        except Exception as error:  # our own bug, logged with all unexpected errors
            self._bug = error
        finally:
            self._free.release()

    def _write_large(self, index: int, location: Location, frame: Frame, frames: FrameReader) -> None:
        pieces = frames.pieces(frame.length)
        try:
            with self._writer(location, frame.change, frame.length) as writer:
                for piece in pieces:
                    writer.write(piece)
                writer.commit()
        except BodyTruncated:
            raise
        except (ObjstoreError, OSError) as error:
            self._refused[index] = _reason(error)
            for _ in pieces:  # the rest of it, to reach the next frame
                pass

    def _writer(self, location: Location, change: Change, length: int) -> ChangeWriter:
        return self._store.write_change(location, change, length, self._guard(location.hash, change.timestamp))


class Receiver:
    """The receiver of one partition on a device."""

    def __init__(
        self,
        store: ReplicaStore,
        partition: int,
        policy: int,
        bounds: ReceiverBounds,
        guard: GuardOf = lambda name_hash, timestamp: None,
    ) -> None:
        self._store = store
        self._partition = partition
        self._intake = partial(_Intake, store, policy, bounds, guard)

    def compare(self, theirs: str) -> dict[str, str] | None:
        """Return hashes by suffix, None if the partition's is `theirs`."""
        own = self._store.partition_hash(self._partition)
        return None if own == theirs else self._store.suffix_hashes(self._partition) if own else {}

    def missing(self, offered: Changes) -> Changes:
        lacking = self._store.missing(self._partition, offered)
        return {name_hash: tuple(changes) for name_hash, changes in lacking.items() if changes}

    def receive(self, body: Iterable[Buffer]) -> Receipt:
        """Store the changes of a body. Raises InvalidInput or BodyTruncated if a frame is invalid or incomplete; frames
        before it are stored."""
        frames, intake = FrameReader(body), self._intake()
        count = 0
        try:
            while (frame := frames.head()) is not None:
                intake.take_frame(count, self._partition, frame, frames)
                count += 1
        finally:
            intake.end()
        return intake.receipt(count)


class GroupReceiver:
    """The receiver of several partitions on a device. seconds: limit of the time to compute hashes for an answer."""

    def __init__(
        self,
        store: ReplicaStore,
        policy: int,
        bounds: ReceiverBounds,
        guard: GuardOf = lambda name_hash, timestamp: None,
        seconds: float = 3.0,
    ) -> None:
        self._store = store
        self._bounds = bounds
        self._seconds = seconds
        self._intake = partial(_Intake, store, policy, bounds, guard)

    def compare(self, theirs: Mapping[int, str]) -> dict[int, dict[str, str] | None]:
        """Return hashes by suffix of partitions, None for each that has the given hash.

        Those for which there was no time are left out.
        """
        own = self._store.partition_hashes(theirs, self._seconds)
        suffixes = self._store.suffix_hashes_of([each for each in own if own[each] and own[each] != theirs[each]])
        return {each: None if own[each] == theirs[each] else suffixes.get(each, {}) for each in own}

    def missing(self, offered: Mapping[int, Changes]) -> dict[int, Changes]:
        return {partition: lacking for partition, lacking in self._store.missing_of(offered).items() if lacking}

    def receive(self, body: Iterable[Buffer]) -> Receipt:
        """Store the changes of a run; raises as `Receiver.receive`."""
        items, intake = RunReader(body), self._intake()
        longest = max(self._bounds.small, self._store.packs)
        count = 0
        try:
            while (item := items.item()) is not None:
                if item.form == RECORD and item.length <= longest:
                    intake.take_record(count, item.partition, items.content(item.length))
                elif item.form == RECORD:
                    raise InvalidInput(f"a record of {item.length} bytes, the limit is {longest}")
                elif (frame := items.head()) is not None:
                    intake.take_frame(count, item.partition, frame, items)
                else:
                    raise BodyTruncated("the body ended before a frame")
                count += 1
        finally:
            intake.end()
        return intake.receipt(count)


def _reason(error: Exception) -> str:
    return next(reason for kind, reason in _REASONS if isinstance(error, kind))
