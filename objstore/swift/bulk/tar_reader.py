"""A tar archive read as a stream: its members one after the other, with bounded memory.

Why not `tarfile`: in its stream mode it reads an extended header, a long name or a sparse map of any size into memory
(a header block of 512 bytes may announce a GiB), keeps every member that it has read in a list, and stops at most kinds
of damage with exceptions that do not say what was wrong. Its limits cannot be set. Here an extended header has a limit,
nothing is kept, and a member costs a fifth of the time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from objstore.core.errors import BodyTruncated, InvalidInput, LimitExceeded
from objstore.swift.bulk import tar_format
from objstore.swift.bulk.tar_format import BLOCK, NO_RECORDS, WITHOUT_CONTENT, MemberKind, Records, SparseMap, TarHeader

PIECE = 1 << 18  # bytes of content that are returned at a time
_ZEROS = bytes(PIECE)


class TarMember(NamedTuple):
    """A member of an archive. size: of its content, in bytes. attributes: extended ones, see `tar_format.Records`."""

    kind: MemberKind
    name: bytes
    size: int
    records: Records


class TarReader:
    """The members of an archive, in order. The content of a member must be read before the next one; it may be skipped.

    Every method raises BodyTruncated if the archive ends early, InvalidInput if it is malformed, LimitExceeded, and the
    errors of `read`.
    """

    def __init__(
        self, read: Callable[[], bytes], max_extended: int, on_holes: Callable[[int], None] = lambda size: None
    ) -> None:
        """read: returns the next bytes of the archive, b'' at the end. max_extended: maximum bytes of an extended
        header or sparse map. on_holes: is called before zeros of a sparse file are returned, with their number.
        """
        self._read = read
        self._max_extended = max_extended
        self._on_holes = on_holes
        self._data = b""
        self._at = 0  # in `_data`
        self._left = 0  # bytes of the member that were not read, in the archive
        self._padding = 0  # bytes after them
        self._sparse: SparseMap | None = None
        self._global = NO_RECORDS
        self._is_first = True
        self.has_end = False  # the mark at the end of the archive was read

    def next(self) -> TarMember | None:
        """Return the next member, None at the end of the archive."""
        self._skip(self._left + self._padding)
        self._left = self._padding = 0
        long_name: bytes | None = None
        records = self._global
        while True:
            header = self._header()
            if header is None:
                return None
            if header.kind is MemberKind.LONG_NAME:
                long_name = tar_format.until_zero(self._extended(header))
            elif header.kind is MemberKind.LONG_LINK:
                self._extended(header)
            elif header.kind is MemberKind.EXTENDED:
                records = self._with_limit(tar_format.parse_records(self._extended(header), self._global))
            elif header.kind is MemberKind.GLOBAL:
                records = self._global = self._with_limit(
                    tar_format.parse_records(self._extended(header), self._global)
                )
            else:
                return self._member(header, records, long_name)

    def content(self) -> Iterator[bytes]:
        """Yield the content of the current member, in pieces of up to PIECE bytes."""
        if self._sparse is None:
            yield from self._stored(self._left)
            return
        at = 0
        for offset, length in self._sparse.parts:
            yield from self._holes(offset - at)
            yield from self._stored(length)
            at = offset + length
        yield from self._holes(self._sparse.size - at)

    def whole(self) -> bytes:
        """Return the rest of the content of the current member, which must be small."""
        if self._sparse is not None:
            return b"".join(self.content())
        data, self._left = self._take(self._left), 0
        return data

    def skip_rest(self, limit: int) -> bool:
        """Read and drop up to `limit` bytes after the last member; return whether the archive ended within them."""
        while limit > 0:
            data = self._read()
            if not data:
                return True
            limit -= len(data)
        return False

    # Headers

    def _header(self) -> TarHeader | None:
        """Return the next header, None at the end of the archive."""
        block = self._take(BLOCK, partial=True)
        if len(block) < BLOCK:
            if self._is_first and not block:
                raise InvalidInput("empty file")
            if block:
                raise InvalidInput("truncated header")
            return None
        self._is_first = False
        header = tar_format.parse_header(block)
        if header is None:
            self.has_end = True
        return header

    def _extended(self, header: TarHeader) -> bytes:
        """Return the content of a header that describes the next one."""
        if header.size > self._max_extended:
            raise LimitExceeded(
                f"an extended header has {header.size} bytes; the maximum is {self._max_extended} (max_extended_header)"
            )
        data = self._take(header.size)
        self._skip(-header.size % BLOCK)
        return data

    def _with_limit(self, records: Records) -> Records:
        if records.weight > self._max_extended:
            raise LimitExceeded(f"extended headers together have more than {self._max_extended} bytes")
        return records

    def _member(self, header: TarHeader, records: Records, long_name: bytes | None) -> TarMember:
        name = long_name if long_name is not None else header.name
        if records.name is not None:
            name = records.name
        kind = header.kind
        self._left = 0 if kind in WITHOUT_CONTENT else header.size if records.size is None else records.size
        self._padding = -self._left % BLOCK
        self._sparse = None
        if kind is MemberKind.SPARSE:
            self._sparse = self._old_map(header.block)
        elif kind is MemberKind.FILE and records.sparse:
            self._sparse = self._pax_map(records)
            name = records.sparse.get(b"name", name)
        if self._sparse is None:
            return TarMember(kind, name, self._left, records)
        return TarMember(MemberKind.FILE, name, self._sparse.size, records)

    def _old_map(self, block: bytes) -> SparseMap:
        """Return the map of GNU's old format: in the header, and in blocks before the content."""
        parts = tar_format.old_map_parts(block)
        more, extension = tar_format.is_extended(block), b""
        while more:
            if len(parts) * 24 > self._max_extended:
                raise LimitExceeded(f"a sparse map has more than {self._max_extended} bytes")
            extension = self._take(BLOCK)
            parts += tar_format.old_map_parts(extension, True)
            more = tar_format.is_extended(extension, True)
        size = tar_format.old_map_size(block)
        return tar_format.checked_map(SparseMap(tuple(parts), size), self._left)

    def _pax_map(self, records: Records) -> SparseMap | None:
        """Return the map that extended headers describe, or announce at the beginning of the content."""
        found = tar_format.pax_map(records)
        if found is None and tar_format.has_map_in_content(records):
            count, used = self._map_number(0)
            numbers = []
            for _ in range(min(2 * count, self._max_extended)):
                number, used = self._map_number(used)
                numbers.append(number)
            self._take_content(-used % BLOCK)
            size = tar_format.decimal(records.sparse.get(b"realsize", b""))
            found = SparseMap(tuple(zip(numbers[::2], numbers[1::2], strict=True)), size)
        return None if found is None else tar_format.checked_map(found, self._left)

    def _map_number(self, used: int) -> tuple[int, int]:
        """Return a number of a map in the content, and the bytes of the map up to its end."""
        digits = b""
        while (digit := self._take_content(1)) != b"\n":
            digits += digit
            used += 1
            if used > self._max_extended or len(digits) > 20:
                raise LimitExceeded(f"a sparse map has more than {self._max_extended} bytes")
        return tar_format.decimal(digits), used + 1

    def _take_content(self, size: int) -> bytes:
        if size > self._left:
            raise InvalidInput("invalid sparse map")
        self._left -= size
        return self._take(size)

    # Bytes

    def _stored(self, size: int) -> Iterator[bytes]:
        while size > 0:
            piece = self._some(min(size, PIECE))
            size -= len(piece)
            self._left -= len(piece)
            yield piece

    def _holes(self, size: int) -> Iterator[bytes]:
        while size > 0:
            piece = _ZEROS if size >= PIECE else _ZEROS[:size]
            self._on_holes(len(piece))
            size -= len(piece)
            yield piece

    def _skip(self, size: int) -> None:
        while size > 0:
            size -= len(self._some(size))

    def _some(self, limit: int) -> bytes:
        """Return between 1 and `limit` bytes."""
        if self._at >= len(self._data):
            self._data, self._at = self._read(), 0
            if not self._data:
                raise BodyTruncated("unexpected end of data")
        start = self._at
        self._at = min(start + limit, len(self._data))
        return self._data[start : self._at]

    def _take(self, size: int, partial: bool = False) -> bytes:
        """Return `size` bytes; fewer at the end of the archive if `partial`."""
        start, end = self._at, self._at + size
        if end <= len(self._data):
            self._at = end
            return self._data[start:end]
        pieces = [self._data[start:]]
        missing = size - len(pieces[0])
        self._data, self._at = b"", 0
        while missing > 0:
            data = self._read()
            if not data:
                if partial:
                    break
                raise BodyTruncated("unexpected end of data")
            pieces.append(data[:missing])
            self._data, self._at = data, min(missing, len(data))
            missing -= self._at
        return b"".join(pieces)
