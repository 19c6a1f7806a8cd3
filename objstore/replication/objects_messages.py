"""Messages of the replicators of objects: one request per step, each a REPLICATE of a partition.

    step=compare   X-Backend-Partition-Hash: the sender's      204: the same; 200: hashes by suffix (JSON)
    step=offer     {name hash: [change, ...], ...} (JSON)      200: those that the receiver lacks, in the same form
    step=send      frames, see below                           200: {"frames": n, "refused": {index: reason}} (JSON)

and one of a device:

    step=compare-many   {partition: hash, ...} (JSON)          200: partitions not known to be the same (JSON list)

The receiver of this uses only stored hashes. It computes none, so that it answers quickly; if the hash of an equal
partition is not stored, `compare-each`, or `compare` of that partition, computes and stores it. Three steps do for many
partitions what the others do for one:

    step=compare-each   {partition: hash, ...} (JSON)          200: {partition: hashes by suffix, or null if the
                                                               same, ...}; those that took too long are left out
    step=offer-many     {partition: changes, ...} (JSON)       200: those that the receiver lacks, in the same form
    step=send-many      items, see `objects_run`               200: as for `send`

A version that does not know them answers 400.

A change is sent in its text form, see `store.change`. A *frame* is one change with its content: a head of 42 bytes
(name hash in hex, length of the change, length of the content, both unsigned and the highest byte first), the change,
and the content as returned by the engine's `read_change`.

Every request names the storage policy, and the sender's device by a unique identity: a device that is asked by itself
answers 409. Other answers: 503 if the receiver is busy (retry later), 507 if the device is missing.
"""

from __future__ import annotations

import json
import os
import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from objstore.core.errors import MALFORMED, BodyTruncated, InvalidInput
from objstore.core.names import is_hash, is_suffix
from objstore.runtime.boot import boot_id
from objstore.store.change import Change

PARTITION_HASH = "X-Backend-Partition-Hash"
SOURCE = "X-Backend-Replication-Source"
COMPARE, OFFER, SEND = "compare", "offer", "send"
COMPARE_MANY, COMPARE_EACH, OFFER_MANY, SEND_MANY = "compare-many", "compare-each", "offer-many", "send-many"
MANY = frozenset((COMPARE_MANY, COMPARE_EACH, OFFER_MANY, SEND_MANY))  # steps of several partitions

# Reasons to refuse a change. STALE: another change of this name and time exists. HELD: the name is locked for another
# change now.
FULL, STALE, UNSOUND, HELD, FAILED = "full", "stale", "unsound", "held", "failed"

Changes = dict[str, tuple[Change, ...]]  # by name hash
Buffer = bytes | bytearray | memoryview

_HEAD = struct.Struct(">32sHQ")
_LONGEST_CHANGE = 255
_NUMBER = re.compile("[0-9]{1,10}").fullmatch


class Frame(NamedTuple):
    """The head of a frame. length: of the content that follows, in bytes."""

    hash: str
    change: Change
    length: int


class Receipt(NamedTuple):
    """The answer to frames. frames: number received. refused: reasons why some are not stored, by their index."""

    frames: int
    refused: dict[int, str]

    def encode(self) -> bytes:
        return json.dumps({"frames": self.frames, "refused": self.refused}).encode()

    @classmethod
    def decode(cls, body: bytes) -> Receipt:
        """Raises InvalidInput."""
        try:
            document = json.loads(body)
            return cls(int(document["frames"]), {int(index): str(why) for index, why in document["refused"].items()})
        except MALFORMED as error:
            raise InvalidInput(f"not a receipt: {error!r}") from None


def encode_changes(changes: Mapping[str, Sequence[Change]]) -> bytes:
    return _compact(_as_text(changes))


def decode_changes(body: bytes) -> Changes:
    """Raises InvalidInput."""
    try:
        return _from_text(json.loads(body))
    except MALFORMED as error:
        raise InvalidInput(f"not a list of changes: {error}") from None


def encode_changes_of(partitions: Mapping[int, Mapping[str, Sequence[Change]]]) -> bytes:
    return _compact({partition: _as_text(changes) for partition, changes in partitions.items()})


def decode_changes_of(body: bytes) -> dict[int, Changes]:
    """Decode changes by partition. Raises InvalidInput."""
    try:
        return {_number(partition): _from_text(changes) for partition, changes in json.loads(body).items()}
    except MALFORMED as error:
        raise InvalidInput(f"not changes of partitions: {error}") from None


def _as_text(changes: Mapping[str, Sequence[Change]]) -> dict[str, list[str]]:
    return {name_hash: [str(change) for change in of_name] for name_hash, of_name in changes.items()}


def _from_text(document: Any) -> Changes:
    return {_hash(name_hash): tuple(map(_change, changes)) for name_hash, changes in document.items()}


def encode_hashes(hashes: Mapping[str, str]) -> bytes:
    return _compact(hashes)


def decode_hashes(body: bytes) -> dict[str, str]:
    """Raises InvalidInput."""
    try:
        return _hashes(json.loads(body))
    except MALFORMED:
        raise InvalidInput("not the hashes of suffixes") from None


def encode_hashes_of(partitions: Mapping[int, Mapping[str, str] | None]) -> bytes:
    return _compact(partitions)


def decode_hashes_of(body: bytes) -> dict[int, dict[str, str] | None]:
    """Decode hashes of suffixes by partition, None for a partition that is the same. Raises InvalidInput."""
    try:
        document = json.loads(body).items()
        return {_number(partition): None if found is None else _hashes(found) for partition, found in document}
    except MALFORMED:
        raise InvalidInput("not the hashes of suffixes of partitions") from None


def _hashes(document: Any) -> dict[str, str]:
    if not all(isinstance(found, str) for found in document.values()):
        raise InvalidInput("not the hashes of suffixes")
    return {suffix: found for suffix, found in document.items() if is_suffix(suffix)}


def encode_partitions(hashes: Mapping[int, str]) -> bytes:
    return _compact(hashes)


def decode_partitions(body: bytes) -> dict[int, str]:
    """Decode hashes by partition. Raises InvalidInput."""
    try:
        document = json.loads(body)
        if all(_NUMBER(partition) and isinstance(found, str) for partition, found in document.items()):
            return {int(partition): found for partition, found in document.items()}
    except MALFORMED:
        pass
    raise InvalidInput("not the hashes of partitions")


def encode_numbers(partitions: Sequence[int]) -> bytes:
    return _compact(partitions)


def decode_numbers(body: bytes) -> set[int]:
    """Decode a list of partitions. Raises InvalidInput."""
    try:
        document = json.loads(body)
    except MALFORMED:
        document = None
    if isinstance(document, list) and all(isinstance(partition, int) for partition in document):
        return set(document)
    raise InvalidInput("not a list of partitions")


def _compact(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _number(text: str) -> int:
    if not _NUMBER(text):
        raise InvalidInput(f"not a partition: {text[:60]!r}")
    return int(text)


def _hash(text: str) -> str:
    if not is_hash(text):
        raise InvalidInput(f"not the hash of a name: {text[:60]!r}")
    return text


def _change(text: str) -> Change:
    change = Change.parse(text)
    if change is None:
        raise InvalidInput(f"not a change: {text[:60]!r}")
    return change


def encode_head(frame: Frame) -> bytes:
    text = str(frame.change).encode("ascii")
    return _HEAD.pack(frame.hash.encode("ascii"), len(text), frame.length) + text


class FrameReader:
    """Reads frames from a body in pieces; `content` or `pieces` must follow each head."""

    def __init__(self, body: Iterable[Buffer]) -> None:
        self._body = iter(body)
        self._rest = memoryview(b"")

    def head(self) -> Frame | None:
        """Return the next frame, None at the end of the body. Raises InvalidInput, BodyTruncated."""
        if not self._fill():
            return None
        name_hash, text_length, length = _HEAD.unpack(self.content(_HEAD.size))
        if text_length > _LONGEST_CHANGE:
            raise InvalidInput("a change is too long")
        try:
            change = _change(self.content(text_length).decode("ascii"))
            return Frame(_hash(name_hash.decode("ascii")), change, length)
        except UnicodeDecodeError:
            raise InvalidInput("not the head of a frame") from None

    def content(self, length: int) -> bytes:
        """Return the next bytes at once."""
        if len(self._rest) >= length:
            taken, self._rest = self._rest[:length], self._rest[length:]
            return bytes(taken)
        return b"".join(map(bytes, self.pieces(length)))

    def pieces(self, length: int) -> Iterator[memoryview]:
        """Yield the next bytes as they arrive."""
        while length:
            if not self._fill():
                raise BodyTruncated(f"the body ended {length} bytes before the end of a frame")
            piece, self._rest = self._rest[:length], self._rest[length:]
            length -= len(piece)
            yield piece

    def _fill(self) -> bool:
        """Read more; return whether there is any."""
        while not self._rest:
            piece = next(self._body, None)
            if piece is None:
                return False
            self._rest = memoryview(piece)
        return True


def boot_identity() -> str:
    """Return the identity of this host until its next boot."""
    return boot_id()


def device_identity(boot: str, path: str) -> str:
    """Return the identity of the device at a path, independent of names in rings and hosts.

    A device that took itself for its own peer would remove its only copies after the peer reports to have them.
    boot: see `boot_identity`. Raises OSError.
    """
    found = os.stat(path)
    return f"{boot}/{found.st_dev:x}/{found.st_ino:x}"
