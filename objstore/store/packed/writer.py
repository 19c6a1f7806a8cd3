"""Writing an object that may be small: it gathers in memory, and becomes a file if it grows past the limit."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from awscrt.checksums import crc32c

from objstore.core.names import Location
from objstore.runtime.files import Buffer
from objstore.store.change import DATA, Change
from objstore.store.interface import Guard, ObjectData, ObjectInfo, Sequel
from objstore.store.objects.format import checksums_of, encode_record
from objstore.store.objects.records import data_fields, info_of_data
from objstore.store.objects.writer import FileWriter
from objstore.store.packed.commit import PackedArrival


class WriterTools(NamedTuple):
    """Functions that make a writer's object durable.

    limit: bytes of the largest object that is packed; below 0: none is. pack: makes a change durable in a volume.
    make_file: begins a file, given the size if it is known. as_file: commits a file, given its change, record and
    guard: calls what it is given with a guard that looks at volumes too.
    """

    limit: int
    pack: Callable[[PackedArrival], object]
    make_file: Callable[[Location, int | None, bool], FileWriter]
    as_file: Callable[[Location, Change, bytes, Guard | None, Callable[[Guard], object]], object]


class PackedWriter:
    """An object on its way in. size: announced, None if unknown. hashing: see `ObjectStore.create`."""

    def __init__(self, tools: WriterTools, location: Location, size: int | None, hashing: bool) -> None:
        self.size = 0
        self._tools = tools
        self._location = location
        self._announced = size
        self._hashing = hashing
        self._pieces: list[bytes] = []
        self._closed = False
        self._md5: Any = None
        self._file: FileWriter | None = None
        if tools.limit < 0 or (size is not None and size > tools.limit):
            self._file = tools.make_file(location, size, hashing)

    def write(self, data: Buffer) -> None:
        if self._closed:
            raise ValueError("the writer is closed")
        self.size += len(data)
        if self._file is None and self.size > self._tools.limit:
            self._file = self._tools.make_file(self._location, self._announced, self._hashing)
            for piece in self._pieces:
                self._file.write(piece)
            self._pieces.clear()
        if self._file is not None:
            self._file.write(data)
        else:
            self._pieces.append(data if type(data) is bytes else bytes(data))
            self._md5 = None

    def etag(self) -> str:
        if not self._hashing:
            raise ValueError("a writer without hashing has no etag")
        if self._file is not None:
            return self._file.etag()
        if self._md5 is None:
            self._md5 = hashlib.md5(b"".join(self._pieces), usedforsecurity=False)
        digest: str = self._md5.hexdigest()
        return digest

    def checksums(self) -> array[int]:
        """Return the checksum of each block written."""
        return self._file.checksums() if self._file is not None else checksums_of(b"".join(self._pieces))

    def commit(self, data: ObjectData, guard: Guard | None = None, sequel: Sequel | None = None) -> ObjectInfo:
        if self._closed:
            raise ValueError("the writer is closed")
        etag = data.etag or self.etag()
        record = encode_record(data_fields(data, self.size, etag))
        self.commit_record(Change(data.timestamp, DATA), record, guard, sequel)
        return info_of_data(data, self.size, etag)

    def commit_record(
        self, change: Change, record: bytes, guard: Guard | None = None, sequel: Sequel | None = None
    ) -> None:
        """As `commit`, of a record that is there already."""
        if self._closed:
            raise ValueError("the writer is closed")
        self._closed = True
        file, pieces = self._file, tuple(self._pieces)
        if file is None:
            checksum = 0
            for piece in pieces:
                checksum = crc32c(piece, checksum)
            self._tools.pack(PackedArrival(self._location, change, record, pieces, checksum, guard, sequel))
        else:
            commit = partial(file.commit_record, change, record, sequel=sequel)
            self._tools.as_file(self._location, change, record, guard, commit)

    def close(self) -> None:
        self._closed = True
        self._pieces.clear()
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> PackedWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
