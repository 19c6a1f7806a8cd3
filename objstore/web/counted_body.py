"""A response body that counts its bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from objstore.web.errors import status_of
from objstore.web.responses import close_body


class CountedBody:
    """A response body that counts the bytes sent, and reports its end."""

    __slots__ = ("_body", "_end", "_next", "_sent")

    def __init__(self, body: Iterable[Any], end: Callable[[int, int, bool], object]) -> None:
        """end: called once, with the bytes sent, the status of the error that ended it or 0, and whether it was closed
        before its end: the client may have gone, or read as many bytes as announced."""
        self._body = body
        self._next = iter(body).__next__
        self._end: Callable[[int, int, bool], object] | None = end
        self._sent = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            piece: bytes = self._next()
        except StopIteration:
            self._finish()
            raise
        except Exception as failure:
            self._finish(status_of(failure))
            raise
        self._sent += len(piece)
        return piece

    def close(self) -> None:
        try:
            close_body(self._body)
        finally:
            self._finish(closed=True)

    def _finish(self, failed: int = 0, closed: bool = False) -> None:
        end, self._end = self._end, None
        if end is not None:
            end(self._sent, failed, closed)
