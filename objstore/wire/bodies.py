"""The body of a request as a storage server reads it, from any transport."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from objstore.core.errors import BodyTruncated, LimitExceeded
from objstore.core.json_body import JsonBody
from objstore.runtime import blocks

PIECE = blocks.SIZE  # bytes read at a time: a block stays whole

ReadChunk = Callable[[int], bytes | memoryview]


class Body:
    """A body. length: in bytes; None if unknown. announced: the sender waits until the body is read.

    read_chunk: returns up to n of the next bytes, b'' at the end. Raises BodyTruncated and BodyTimeout.
    """

    __slots__ = ("_read_chunk", "_trailers", "announced", "length")

    def __init__(
        self,
        read_chunk: ReadChunk,
        length: int | None,
        announced: bool = False,
        trailers: Mapping[str, str] | None = None,
    ) -> None:
        self._read_chunk = read_chunk
        self.length = length
        self.announced = announced
        self._trailers = {} if trailers is None else trailers

    @property
    def trailers(self) -> Mapping[str, str]:
        """Canonical names to text; complete after the body was read to its end."""
        return self._trailers

    def __iter__(self) -> Iterator[bytes | memoryview]:
        """Yield pieces of up to 2 MiB; raises BodyTruncated if the body ends before its announced length."""
        left = self.length
        while left is None or left > 0:
            piece = self._read_chunk(PIECE if left is None else min(PIECE, left))
            if not piece:
                if left is not None:
                    raise BodyTruncated(f"the body ended {left} bytes before its announced length")
                return
            if left is not None:
                left -= len(piece)
            yield piece

    def read(self, limit: int) -> bytes:
        """Return the whole body; raises LimitExceeded if it has more than `limit` bytes, and BodyTruncated."""
        if self.length is not None and self.length > limit:
            raise LimitExceeded(f"the body is larger than {limit} bytes")
        pieces = []
        size = 0
        for piece in self:
            size += len(piece)
            if size > limit:
                raise LimitExceeded(f"the body is larger than {limit} bytes")
            pieces.append(bytes(piece))
        return b"".join(pieces)

    def json(self, limit: int) -> Any:
        """Return the value of a JSON document. Raises ValueError if it is none, and what `read` does."""
        return json.loads(self.read(limit))


class _BytesBody(Body):
    """A body that is complete."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        super().__init__(_none, len(data))
        self._data = data

    def __iter__(self) -> Iterator[bytes | memoryview]:
        data = self._data
        if len(data) <= PIECE:
            return iter((data,))
        return (data[start : start + PIECE] for start in range(0, len(data), PIECE))


class _DocumentBody(Body):
    """A JSON document, encoded only if it is read as bytes."""

    __slots__ = ("_document",)

    def __init__(self, document: JsonBody) -> None:
        super().__init__(_none, None)
        self._document = document

    def __iter__(self) -> Iterator[bytes | memoryview]:
        return iter(_BytesBody(self._document.encode()))

    def json(self, limit: int) -> Any:
        return self._document.value()


def _none(_: int) -> bytes:
    return b""


NO_BODY = Body(_none, 0)


def whole(data: bytes | JsonBody) -> Body:
    """Return a body that is already complete."""
    if isinstance(data, JsonBody):
        return _DocumentBody(data)
    return _BytesBody(data) if data else NO_BODY
