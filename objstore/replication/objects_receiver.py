"""The receiving end of the replication of objects, on one device for one policy.

The changes of one request are written by several green threads at once, so that the engine makes many small changes
durable together. The engine verifies each change before it becomes visible, and it counts as received only when it is
durable. A request that ends early leaves only complete changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

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
from objstore.runtime import green
from objstore.store.interface import ChangeWriter, Guard, IncomingChange, ReplicaStore

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
    run: int = 128


def differing(store: ReplicaStore, theirs: Mapping[int, str]) -> list[int]:
    """Return those of a peer's partitions, given with their hashes, that are not known to be equal here."""
    own = store.kept_hashes(theirs)
    return [partition for partition, found in theirs.items() if own.get(partition) != found]


class Receiver:
    """The receiver of one partition on a device."""

    def __init__(
        self,
        store: ReplicaStore,
        partition: int,
        policy: int,
        bounds: ReceiverBounds,
        guard: Callable[[str, Timestamp], Guard | None] = lambda name_hash, timestamp: None,
    ) -> None:
        """guard: of a change, by the hash of its name and its time."""
        self._store = store
        self._guard = guard
        self._partition = partition
        self._policy = policy
        self._bounds = bounds
        self._refused: dict[int, str] = {}
        self._bug: Exception | None = None

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
        frames = FrameReader(body)
        free = green.Semaphore(self._bounds.writers)
        run: list[tuple[int, IncomingChange]] = []
        count = 0
        try:
            while (frame := frames.head()) is not None:
                if frame.length <= self._store.packs:
                    run.append((count, self._incoming(frame, frames.content(frame.length))))
                    if len(run) >= self._bounds.run:
                        self._write_run(run)
                elif frame.length <= self._bounds.small:
                    content = frames.content(frame.length)
                    free.acquire()
                    green.spawn(self._write_small, count, frame, content, free)
                else:
                    self._write_large(count, frame, frames)
                count += 1
        finally:
            self._write_run(run)
            for _ in range(self._bounds.writers):  # until all have ended
                free.acquire()
        if self._bug is not None:
            raise self._bug
        return Receipt(count, dict(sorted(self._refused.items())))

    def _incoming(self, frame: Frame, stream: bytes) -> IncomingChange:
        guard = self._guard(frame.hash, frame.change.timestamp)
        return IncomingChange(Location(self._partition, frame.hash, self._policy), frame.change, stream, guard)

    def _write_run(self, run: list[tuple[int, IncomingChange]]) -> None:
        """Write changes that the engine packs, together, and empty the list."""
        changes, run[:] = list(run), []
        if not changes:
            return
        outcomes = self._store.write_packed([incoming for _, incoming in changes])
        for (index, _), outcome in zip(changes, outcomes, strict=True):
            if isinstance(outcome, (ObjstoreError, OSError)):
                self._refused[index] = _reason(outcome)
            elif outcome is not None:
                self._bug = outcome

    def _write_small(self, index: int, frame: Frame, content: bytes, free: Any) -> None:
        try:
            with self._writer(frame) as writer:
                writer.write(content)
                writer.commit()
        except (ObjstoreError, OSError) as error:
            self._refused[index] = _reason(error)
        except Exception as error:  # our own bug, logged with all unexpected errors
            self._bug = error
        finally:
            free.release()

    def _write_large(self, index: int, frame: Frame, frames: FrameReader) -> None:
        pieces = frames.pieces(frame.length)
        try:
            with self._writer(frame) as writer:
                for piece in pieces:
                    writer.write(piece)
                writer.commit()
        except BodyTruncated:
            raise
        except (ObjstoreError, OSError) as error:
            self._refused[index] = _reason(error)
            for _ in pieces:  # the rest of it, to reach the next frame
                pass

    def _writer(self, frame: Frame) -> ChangeWriter:
        location = Location(self._partition, frame.hash, self._policy)
        return self._store.write_change(
            location, frame.change, frame.length, self._guard(frame.hash, frame.change.timestamp)
        )


def _reason(error: Exception) -> str:
    return next(reason for kind, reason in _REASONS if isinstance(error, kind))
