"""Contents of objects on their way in: the sources that an operation reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import monotonic
from typing import Protocol

from objstore.core.errors import BodyTruncated, LimitExceeded
from objstore.runtime.blocks import SIZE, new_block

PIECE = 1 << 20  # bytes read at a time
FILL_SECONDS = 1.0  # of one block, far below the time that nodes allow between two


class ObjectBody(Protocol):
    """Bytes that are read once. length: their number, None if it is not known before the end.

    A body may also have `readinto`, which fills a part of a view and returns the number of bytes, 0 at the end, and
    `md5`: the MD5 of the whole as hexadecimal text, if reading raises an error unless the bytes match it; else ''.
    """

    @property
    def length(self) -> int | None: ...

    def check(self) -> None:
        """Raise BodyTruncated if the sender has visibly gone before the end; read nothing."""
        ...

    def read_chunk(self, limit: int, /) -> bytes:
        """Return up to `limit` next bytes; b'' at the end. Raises BodyTruncated and the other errors of bodies."""
        ...


class BytesBody:
    """Bytes in memory, as a body."""

    __slots__ = ("_rest", "length")

    def __init__(self, data: bytes) -> None:
        self.length: int | None = len(data)
        self._rest = data

    def check(self) -> None:
        pass

    def read_chunk(self, limit: int = PIECE, /) -> bytes:
        data, self._rest = self._rest[:limit], self._rest[limit:]
        return data


def pieces(body: ObjectBody, limit: int, size: int = 0) -> Iterator[bytes]:
    """Yield a body in pieces of up to 1 MiB. size: bytes that were read before.

    Raises LimitExceeded above `limit` bytes, BodyTruncated if it ends before its length.
    """
    remaining = None if body.length is None else body.length - size
    while remaining is None or remaining > 0:
        piece = body.read_chunk(PIECE if remaining is None else min(PIECE, remaining))
        if not piece:
            if remaining is not None:
                raise BodyTruncated(f"the body ended {remaining} bytes before its announced length")
            return
        size += len(piece)
        if size > limit:
            raise LimitExceeded(f"the body is larger than {limit} bytes")
        if remaining is not None:
            remaining -= len(piece)
        yield piece


def blocks(body: ObjectBody, limit: int, fill_seconds: float = FILL_SECONDS) -> Iterator[bytes | memoryview]:
    """Yield a body in blocks (`runtime.blocks`), all full but the last, unless its sender is slow.

    A body that is known to be shorter than a block comes in pieces. Raises as `pieces` does. fill_seconds: after which
    a block is handed on, although it is not full.
    """
    if body.length is not None and body.length < SIZE:
        yield from pieces(body, limit)
        return
    into = _filler(body)
    remaining = body.length
    size = 0
    while remaining is None or remaining > 0:
        block = new_block()
        wanted = SIZE if remaining is None else min(SIZE, remaining)
        filled, ended = 0, False
        late = monotonic() + fill_seconds
        while filled < wanted and not ended and (not filled or monotonic() < late):
            count = into(block[filled:wanted])
            filled += count
            ended = not count
        size += filled
        if size > limit:
            raise LimitExceeded(f"the body is larger than {limit} bytes")
        if remaining is not None:
            remaining -= filled
            if ended:
                raise BodyTruncated(f"the body ended {remaining} bytes before its announced length")
        if filled:
            yield block if filled == SIZE else block[:filled]
        if ended:
            return


def _filler(body: ObjectBody) -> Callable[[memoryview], int]:
    """Return the body's `readinto`; if it has none, a copy of what it gives."""
    into: Callable[[memoryview], int] | None = getattr(body, "readinto", None)
    if into is not None:
        return into

    def copied(view: memoryview) -> int:
        data = body.read_chunk(len(view))
        view[: len(data)] = data
        return len(data)

    return copied


def whole(body: ObjectBody, limit: int) -> bytes:
    """Return all of a body. Raises as `pieces` does."""
    length = body.length
    if length == 0:
        return b""
    if length is not None and length > limit:
        raise LimitExceeded(f"the body is larger than {limit} bytes")
    first = bytes(body.read_chunk(PIECE if length is None else min(PIECE, length)))
    if len(first) == length:
        return first  # as nearly always
    return b"".join([first, *map(bytes, pieces(body, limit, len(first)))])
