"""The contract of an object engine: how the objects of one storage policy are kept on one device.

An engine keeps, for a location (partition and name hash), the newest *changes* of a name: an
object's data, metadata that a later POST laid over it, or a tombstone. It may be called from
many green threads of many processes at once; every call may suspend the caller.

What a caller may rely on:

- `commit`, `post` and `delete` return only when the change would survive a power cut. At any
  time before, readers see the old state or the new one, never a mixture. After NoSpace nothing
  has changed. After DeviceUnavailable, or if the caller was killed while it waited, the change
  may have been made or not.
- Order does not matter: engines given the same changes in any order, any number of times,
  end up the same. Among data and tombstones the greatest timestamp wins, at equal timestamps
  the tombstone. Metadata counts while it is newer than the data it lies over.
  A content type counts by the timestamp at which it was set, so that a later POST without one
  does not undo it.
- A change that is older than what is stored does no harm and is not an error at this level.
  Of two changes of the same kind and time the first stays; the second raises Conflict, unless
  both are equal.
- The changes of a name are made one after the other, whichever processes of the host make
  them. A guard is called at the instant at which its change would be made: until that is
  done, nothing else changes the name. Without a guard a change is always made.
- An open reader goes on reading the object it opened, even if it is overwritten meanwhile.
- Every byte that a reader gives out has been verified. If a byte is wrong, the object is
  quarantined and Corrupt is raised instead.

What a caller must do: give a writer its bytes in order, end it by `commit` or `close`
(a context manager does), and close readers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol, TypeVar

from objstore.core.names import Location
from objstore.core.timestamps import Timestamp
from objstore.store.change import Change


class ObjectData(NamedTuple):
    """The metadata of an object when its writer commits.

    name: path form, `/account/container/object`. metadata: header names in canonical form to text, all that is stored
    with the object in addition to the fields here. etag: MD5 of the content in hex, if the caller knows it already; if
    empty, the writer computes it.
    """

    name: str
    timestamp: Timestamp
    content_type: str
    metadata: Mapping[str, str]
    etag: str = ""


class ObjectMetadata(NamedTuple):
    """The metadata of a POST. content_type: None keeps the type."""

    timestamp: Timestamp
    metadata: Mapping[str, str]
    content_type: str | None = None


class ObjectInfo(NamedTuple):
    """A live object. timestamp: of its last change, by PUT or POST; size in bytes.

    metadata: as `core.metadata.after_post` merges the POST's over the PUT's.
    content_type_timestamp: when the content type was set.
    """

    name: str
    timestamp: Timestamp
    data_timestamp: Timestamp
    content_type_timestamp: Timestamp
    size: int
    etag: str
    content_type: str
    metadata: Mapping[str, str]


Look = Callable[[], ObjectInfo | None]
Result = TypeVar("Result")


class Guard(Protocol):
    """Decides whether a change may be made. Called in any thread, perhaps again; must not wait."""

    def __call__(self, newest: Timestamp, look: Look) -> None:
        """Raises an ObjstoreError to refuse; NameHeld to be called again after some seconds.

        newest: timestamp of the newest change at the location, of any kind, ZERO if there is none. look: returns the
        live object, None if there is none; raises Corrupt.
        """
        ...


class ObjectReader(AbstractContextManager["ObjectReader"], Protocol):
    """An open object. Leaving the context closes it."""

    info: ObjectInfo

    def read(self, start: int, stop: int) -> Iterator[bytes | memoryview]:
        """The bytes from start up to, not including, stop, in pieces of up to about 1 MiB.

        A piece may be a view of a buffer that is used again: it is good only until the
        next one is asked for. A stop past the end means the end. Raises Corrupt, after
        quarantine, before a wrong byte; DeviceUnavailable.
        """
        ...

    def close(self) -> None: ...


class Sequel:
    """Something to be made durable right after a change, by the same thread: a row in a journal of the same device.

    accept: makes several items durable, in a thread, and returns which of them it took; it must not raise. accepted:
    whether it took `item`. If not, as with engines that ignore sequels, the change stands all the same.
    """

    __slots__ = ("accept", "accepted", "item")

    def __init__(self, accept: Callable[[list[Any]], Sequence[bool]], item: object) -> None:
        self.accept = accept
        self.item = item
        self.accepted = False


class ObjectWriter(AbstractContextManager["ObjectWriter"], Protocol):
    """An object on its way in. Leaving the context without `commit` leaves nothing behind."""

    size: int

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append; `data` may be used again by the caller on return.

        Raises NoSpace and DeviceUnavailable, perhaps for bytes given earlier; the writer is
        then closed.
        """
        ...

    def etag(self) -> str:
        """MD5 of all that was written so far, in hex. ValueError for a writer made without hashing."""
        ...

    def commit(self, data: ObjectData, guard: Guard | None = None, sequel: Sequel | None = None) -> ObjectInfo:
        """Make the object durable and visible. Raises NoSpace, DeviceUnavailable, Conflict, and the guard's errors.

        sequel: what follows if that is done. Always closes the writer.
        """
        ...

    def close(self) -> None: ...


class ObjectStore(Protocol):
    """An engine on one device for one policy."""

    def open(self, location: Location) -> ObjectReader:
        """Raises NotFound (with the tombstone's timestamp, where there is one), Corrupt, DeviceUnavailable."""
        ...

    def info(self, location: Location) -> ObjectInfo:
        """Return the info of `open` without keeping it open; raises the same errors."""
        ...

    def create(self, location: Location, size: int | None, hashing: bool = True) -> ObjectWriter:
        """Begin an object. size: in bytes, None if unknown.

        hashing: compute the MD5 while writing; without it the caller gives the etag at commit. Raises NoSpace if the
        device would fall below its reserve, DeviceUnavailable.
        """
        ...

    def post(self, location: Location, change: ObjectMetadata, guard: Guard | None = None, ahead: bool = False) -> None:
        """Replace the metadata of a live object; raises NotFound as `open` does if there is none.

        `change` is all the metadata that a POST can set: other items are removed. ahead: if there is no object, store
        it for one that arrives later.
        """
        ...

    def delete(
        self,
        location: Location,
        name: str,
        timestamp: Timestamp,
        guard: Guard | None = None,
        sequel: Sequel | None = None,
    ) -> None:
        """Leave a tombstone, whether or not there is an object. sequel: as in `ObjectWriter.commit`."""
        ...

    def exclusively(self, location: Location, call: Callable[[Timestamp, Look], Result]) -> Result:
        """Run `call`, given what a guard is given, at an instant at which nothing changes the name."""
        ...


class ChangeReader(AbstractContextManager["ChangeReader"], Protocol):
    """One change as bytes for an engine elsewhere, see `store.objects.change_stream`. Leaving the context closes it.

    length: number of the bytes that iteration gives, in pieces of up to about 1 MiB. A piece may be a view of a
    buffer that is used again. Every byte has been verified: Corrupt is raised, after quarantine, before a wrong
    one. Raises DeviceUnavailable.
    """

    length: int

    def __iter__(self) -> Iterator[bytes | memoryview]: ...

    def close(self) -> None: ...


class ChangeWriter(AbstractContextManager["ChangeWriter"], Protocol):
    """A change on its way in. Leaving the context without `commit` leaves nothing behind."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append; as `ObjectWriter.write`."""
        ...

    def commit(self) -> None:
        """Check that the bytes are whole and those of the change announced, and make it durable and visible.

        Raises ChecksumMismatch, InvalidInput (another change's bytes), NoSpace, DeviceUnavailable; Conflict if
        another change of the same name, kind and time is stored; and what the guard raises.
        """
        ...

    def close(self) -> None: ...


class NameListing(Protocol):
    """The names of an engine. Every call may suspend, and may raise DeviceUnavailable."""

    def partitions(self) -> list[int]:
        """Return, in order, every partition that holds anything, perhaps with some that hold nothing any more."""
        ...

    def suffix_hashes(self, partition: int) -> dict[str, str]:
        """Return, by suffix, the hashes of those that hold anything."""
        ...

    def changes(self, partition: int, suffix: str) -> dict[str, tuple[Change, ...]]:
        """Return, by name hash, the changes that count, in order."""
        ...


class PackedAudit(NamedTuple):
    """The check of a stretch of packed changes.

    position: of the next stretch; positions sort in the order of an audit. objects: number of sound ones, and of
    tombstones; size: bytes of their content. suspects: names that the caller must `verify`.
    """

    position: list[int]
    objects: int
    size: int
    suspects: Sequence[Location]


class IncomingChange(NamedTuple):
    """A change of a peer, whole. stream: see ChangeReader; guard: as of `ReplicaStore.write_change`."""

    location: Location
    change: Change
    stream: bytes
    guard: Guard | None = None


class IncomingRecord(NamedTuple):
    """A record of a peer's volume, see `store.packed.format`. guard: makes its guard, by name hash and time."""

    partition: int
    record: bytes
    guard: Callable[[str, Timestamp], Guard | None]


class ReplicaStore(ObjectStore, NameListing, Protocol):
    """An engine as replicators and auditors use it. Every call may suspend, and may raise DeviceUnavailable.

    - A `Change` says when it was made, and its kind. The changes of a location that *count* are those that no other
      change makes obsolete; `store.objects.liveness` has the rules.
    - Hashes are hex digits, as `store.objects.summaries` computes them: two engines of any kind and version have the
      same hash if the same changes count. A hash is never out of date. If nothing has changed since it was last
      asked for, it costs no look at what it is of.
    - Changes may be written in any order, any number of times, and from several peers at once; all engines end the
      same.
    """

    def partition_hash(self, partition: int) -> str:
        """Return the hash of a partition; empty if it holds nothing."""
        ...

    def kept_hashes(self, partitions: Iterable[int]) -> dict[int, str]:
        """Return, by partition, those hashes that are at hand without a look at what they are of."""
        ...

    def missing(self, partition: int, offered: Mapping[str, Sequence[Change]]) -> dict[str, tuple[Change, ...]]:
        """Return those changes of a peer, by name hash, that are not stored here and would count.

        What it leaves out is durable here, or obsolete by what is durable here. Raises InvalidInput if a key is not a
        name hash.
        """
        ...

    def read_change(self, location: Location, change: Change) -> ChangeReader:
        """Open a change. Raises NotFound if it is not stored (any more), Corrupt."""
        ...

    def write_change(self, location: Location, change: Change, length: int, guard: Guard | None = None) -> ChangeWriter:
        """Begin to take a change of a peer. length: number of bytes to come, see ChangeReader.

        Raises NoSpace for data: a full device still takes metadata and tombstones, so that it can be emptied.
        Raises InvalidInput if so few bytes are no change.
        """
        ...

    # The same of several partitions at once.

    def partition_hashes(self, partitions: Iterable[int], seconds: float) -> dict[int, str]:
        """Return hashes as `partition_hash`; those that would take longer than a number of seconds are left out."""
        ...

    def suffix_hashes_of(self, partitions: Iterable[int]) -> dict[int, dict[str, str]]: ...

    def changes_of(self, suffixes: Mapping[int, Iterable[str]]) -> dict[int, dict[str, tuple[Change, ...]]]:
        """Return the changes of some suffixes of each partition."""
        ...

    def missing_of(
        self, offered: Mapping[int, Mapping[str, Sequence[Change]]]
    ) -> dict[int, dict[str, tuple[Change, ...]]]: ...

    @property
    def packs(self) -> int:
        """Bytes of the longest change that `read_packed` and `write_packed` take; 0 or less if nothing is packed."""
        ...

    def read_packed(self, names: Sequence[tuple[Location, Change]]) -> list[bytes | None]:
        """Read changes at once, as records; None for those that are not packed, or that `read_change` must judge."""
        ...

    def write_packed(self, changes: Sequence[IncomingChange | IncomingRecord]) -> list[Exception | None]:
        """Take changes at once, as `write_change` and `commit` do; return for each None, or what they would raise."""
        ...

    def forget(self, location: Location, changes: Iterable[Change]) -> None:
        """Remove these changes, which are safe elsewhere, and what they made obsolete. Others stay.

        Changes that are not stored any more are passed over.
        """
        ...

    def reclaim(self, partition: int, before: Timestamp) -> int:
        """Remove tombstones older than `before`, and metadata as old without data; return how many went."""
        ...

    def verify(
        self, location: Location, read: Callable[[int], object], content: bool = True, hashed_since: float = 0.0
    ) -> int:
        """Check all that is stored of a name; return the number of content bytes read.

        Raises Corrupt, after quarantine; NotFound.

        read: called, in the caller's green thread, with the number of bytes to be read next, so that the caller
        sets the pace; what it raises ends the check. content: False checks metadata and lengths only.
        hashed_since: the etag is checked too if the data came here at or after this time, in seconds since the
        epoch; block checksums show what happens to data later.
        """
        ...

    def audit_packed(
        self, position: Sequence[int], read: Callable[[int], object], content: bool = True, hashed_since: float = 0.0
    ) -> PackedAudit | None:
        """Check the next stretch, about 1 MiB, of what is packed with others in a file; None at the end.

        position: empty at the beginning, then that of the last stretch. content, hashed_since: see `verify`. read:
        called with the number of bytes that were read.
        """
        ...

    def unpacked(self) -> NameListing:
        """Return the names that have anything that `audit_packed` does not check."""
        ...


READABLE, GONE, QUARANTINED, UNCLEAR = "readable", "gone", "quarantined", "unclear"  # what a second look finds


class QuarantineNote(NamedTuple):
    """A change that the device failed to read. at: when it first did, in seconds since the epoch."""

    location: Location
    change: Change
    at: float


class Quarantined(NamedTuple):
    """The files of one name quarantined together. path: of their directory; at: time in seconds since the epoch."""

    hash: str
    path: str
    at: float


class MendingStore(ReplicaStore, Protocol):
    """An engine that looks a second time at what was read wrong, as `daemon.duties.second_look` asks it to."""

    def unreadable(self) -> list[QuarantineNote]:
        """Return the changes that the device failed to read a short time ago."""
        ...

    def look_again(self, noted: QuarantineNote, read: Callable[[int], object]) -> str:
        """Read a noted change again: READABLE, GONE, QUARANTINED, or UNCLEAR if others cannot be read either.

        read: see `ReplicaStore.verify`.
        """
        ...

    def quarantined(self) -> list[Quarantined]:
        """Return all that lies in quarantine."""
        ...

    def restore(self, quarantined: Quarantined, partition: int) -> bool:
        """Put what is sound back in place; False if it is not sound. partition: of the name now."""
        ...
