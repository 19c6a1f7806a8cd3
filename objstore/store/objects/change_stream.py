"""Changes as bytes, from one device to another, whichever engines they have.

    change = header record content trailer

The header says the kind, and how long record and content are; record and trailer are as in the files (see
`format`), the trailer without a spilled record. Metadata and tombstones are a record alone.
Block checksums travel along, so that the receiver verifies the very bytes that were written, and hashes nothing.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Iterator
from typing import Protocol

from awscrt.checksums import crc32c

from objstore.core.errors import ChecksumMismatch, InvalidInput
from objstore.runtime.files import Buffer
from objstore.store.change import DATA, Change
from objstore.store.interface import Guard, ObjectInfo
from objstore.store.objects.format import (
    Unsound,
    decode_record,
    decode_trailer,
    encode_trailer,
    trailer_size,
)
from objstore.store.objects.records import check_fields

_MAGIC = b"OSch"
_VERSION = 1
_HEADER = struct.Struct("<4sHHIQ")  # magic, version, reserved (0), bytes of record, bytes of content
_CHECKSUM = struct.Struct("<I")  # CRC32C of the header
HEADER_SIZE = _HEADER.size + _CHECKSUM.size
MAX_RECORD = 16 * 1024 * 1024  # bytes; a record is some kilobytes


def encode_header(record_size: int, content_size: int) -> bytes:
    header = _HEADER.pack(_MAGIC, _VERSION, 0, record_size, content_size)
    return header + _CHECKSUM.pack(crc32c(header))


def decode_header(header: bytes) -> tuple[int, int]:
    """Bytes of record and of content; raises ChecksumMismatch."""
    magic, version, _, record_size, content_size = _HEADER.unpack_from(header)
    if (magic, version) != (_MAGIC, _VERSION) or crc32c(header[:-4]) != _CHECKSUM.unpack(header[-4:])[0]:
        raise ChecksumMismatch(f"no header of a change of version {_VERSION}")
    return record_size, content_size


class Content(Protocol):
    """The content of an object, as the reader of an engine gives it."""

    info: ObjectInfo

    def read(self, start: int, stop: int) -> Iterator[bytes | memoryview]: ...

    def checksums(self) -> array[int]:
        """CRC32C of each block; after `read`."""
        ...

    def close(self) -> None: ...


class StreamTarget(Protocol):
    """The writer of an engine, which takes an object's content."""

    size: int

    def write(self, data: Buffer) -> None: ...

    def checksums(self) -> array[int]:
        """CRC32C of each block of all that was written."""
        ...

    def commit_record(self, change: Change, record: bytes, guard: Guard | None) -> None: ...

    def close(self) -> None: ...


class StreamReader:
    """A change as bytes. data: reads the content, None if there is only a record."""

    def __init__(self, record: bytes, data: Content | None) -> None:
        self._record = record
        self._data = data
        self.length = HEADER_SIZE + len(record)
        if data is not None:
            self.length += data.info.size + trailer_size(data.info.size)

    def __iter__(self) -> Iterator[bytes | memoryview]:
        data = self._data
        size = 0 if data is None else data.info.size
        yield encode_header(len(self._record), size) + self._record
        if data is not None:
            yield from data.read(0, size)
            yield encode_trailer(size, data.checksums())

    def close(self) -> None:
        if self._data is not None:
            self._data.close()

    def __enter__(self) -> StreamReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class StreamWriter:
    """A change on its way in.

    length: of all bytes. create: begins data of a number of bytes. lay: makes metadata or a tombstone of its record.
    guard: of data, asked before they are made visible.
    """

    def __init__(
        self,
        change: Change,
        length: int,
        create: Callable[[int], StreamTarget],
        lay: Callable[[bytes], None],
        guard: Guard | None = None,
    ) -> None:
        if length < HEADER_SIZE:
            raise InvalidInput(f"{length} bytes are too short for a change")
        self._change = change
        self._length = length
        self._create = create
        self._lay = lay
        self._guard = guard
        self._came = 0
        self._parts = {"header": HEADER_SIZE, "record": 0, "content": 0, "trailer": 0}  # bytes still to come
        self._buffers = {"header": bytearray(), "record": bytearray(), "trailer": bytearray()}
        self._data: StreamTarget | None = None

    def write(self, data: Buffer) -> None:
        """As ObjectWriter.write; raises ChecksumMismatch and InvalidInput as soon as it can be seen."""
        view = memoryview(data)
        self._came += len(view)
        if self._came > self._length:
            raise InvalidInput("more bytes arrived than announced")
        while len(view):
            part = next((each for each, left in self._parts.items() if left), None)
            if part is None:
                raise InvalidInput("bytes follow the end of the change")
            taken = view[: self._parts[part]]
            self._parts[part] -= len(taken)
            view = view[len(taken) :]
            if part == "content":
                assert self._data is not None
                self._data.write(taken)
            else:
                self._buffers[part] += taken
            if part == "header" and not self._parts[part]:
                self._begin()

    def _begin(self) -> None:
        """The header is there."""
        record_size, content_size = decode_header(bytes(self._buffers["header"]))
        trailer = trailer_size(content_size) if self._change.kind == DATA else 0
        if self._length != HEADER_SIZE + record_size + content_size + trailer or record_size > MAX_RECORD:
            raise InvalidInput("the length of the change does not match its header")
        self._parts.update(record=record_size, content=content_size, trailer=trailer)
        if self._change.kind == DATA:
            self._data = self._create(content_size)

    def commit(self) -> None:
        try:
            if self._came != self._length:
                raise ChecksumMismatch(f"only {self._came} bytes of {self._length} arrived")
            record = bytes(self._buffers["record"])
            size = _check_received(record, self._change)
            if self._data is None:
                self._lay(record)
                return
            checksums = self._data.checksums()
            if self._data.size != size or not _matches(self._buffers["trailer"], size, checksums):
                raise ChecksumMismatch("the content does not match its checksums")
            self._data.commit_record(self._change, record, self._guard)
        finally:
            self.close()

    def close(self) -> None:
        if self._data is not None:
            self._data.close()

    def __enter__(self) -> StreamWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _check_received(record: bytes, change: Change) -> int:
    """As check_fields; raises ChecksumMismatch for bytes that were damaged, InvalidInput for another change's."""
    try:
        fields = decode_record(record)
    except Unsound as error:
        raise ChecksumMismatch(str(error)) from error
    try:
        return check_fields(fields, change)
    except Unsound as error:
        raise InvalidInput(str(error)) from error


def _matches(trailer: Buffer, size: int, checksums: array[int]) -> bool:
    try:
        decoded = decode_trailer(trailer)
    except Unsound as error:
        raise ChecksumMismatch(str(error)) from error
    return decoded.size == size and decoded.checksums == checksums and not decoded.record
