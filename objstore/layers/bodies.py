"""Contents of objects on their way in: where an operation reads them from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from objstore.core.errors import BodyTruncated, LimitExceeded

PIECE = 1 << 20  # bytes read at a time


class ObjectBody(Protocol):
    """Bytes that are read once. length: their number, None if it is not known before the end."""

    @property
    def length(self) -> int | None: ...

    def check(self) -> None:
        """Raise BodyTruncated if the sender is known to have gone before the end; reads nothing."""
        ...

    def read_chunk(self, most: int, /) -> bytes:
        """The next bytes, at most so many; b'' at the end. Raises what is wrong with them (BodyTruncated, ...)."""
        ...


class BytesBody:
    """Bytes at hand."""

    __slots__ = ("_left", "length")

    def __init__(self, data: bytes) -> None:
        self.length: int | None = len(data)
        self._left = data

    def check(self) -> None:
        pass

    def read_chunk(self, most: int = PIECE, /) -> bytes:
        data, self._left = self._left[:most], self._left[most:]
        return data


def pieces(body: ObjectBody, limit: int) -> Iterator[bytes]:
    """A body in pieces of up to 1 MiB.

    Raises LimitExceeded above `limit` bytes, BodyTruncated if it ends before its length.
    """
    left = body.length
    size = 0
    while left is None or left > 0:
        piece = body.read_chunk(PIECE if left is None else min(PIECE, left))
        if not piece:
            if left is not None:
                raise BodyTruncated(f"the body ended {left} bytes before its announced length")
            return
        size += len(piece)
        if size > limit:
            raise LimitExceeded(f"the body is larger than {limit} bytes")
        if left is not None:
            left -= len(piece)
        yield piece


def whole(body: ObjectBody, limit: int) -> bytes:
    """All of a body; raises as `pieces`."""
    if body.length is not None and body.length > limit:
        raise LimitExceeded(f"the body is larger than {limit} bytes")
    read = list(pieces(body, limit))
    return bytes(read[0]) if len(read) == 1 else b"".join(map(bytes, read))
