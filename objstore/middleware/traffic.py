"""The traffic of a server: metrics, and bodies that count their bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from objstore.core.errors import ClientGone
from objstore.runtime import metrics
from objstore.web.errors import status_of
from objstore.web.responses import close_body

_SECONDS_HELP = "Seconds from the request's head to the last byte of its response handed to the server."


class Traffic(NamedTuple):
    """Metrics of requests. The first label is the kind of request, or the server."""

    requests: metrics.Counters
    seconds: metrics.Histograms
    received: metrics.Counters
    sent: metrics.Counters


def traffic(registry: metrics.Metrics, prefix: str, label: str, received_help: str) -> Traffic:
    """Make the metrics. prefix: of the names. label: the first one. received_help: help of the received bytes."""
    return Traffic(
        registry.counters(f"{prefix}_requests_total", "Requests answered.", (label, "method", "status")),
        registry.histograms(f"{prefix}_request_seconds", _SECONDS_HELP, (label, "method")),
        registry.counters(f"{prefix}_received_bytes_total", received_help, (label,)),
        registry.counters(f"{prefix}_sent_bytes_total", "Bytes of response bodies.", (label,)),
    )


class CountedInput:
    """A wsgi.input that counts the bytes read."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.count = 0
        self.gone = False

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def _counted(self, method: Callable[..., bytes], args: tuple[object, ...]) -> bytes:
        try:
            data = method(*args)
        except ClientGone:
            self.gone = True
            raise
        self.count += len(data)
        return data

    def read(self, *args: object) -> bytes:
        return self._counted(self._stream.read, args)

    def readline(self, *args: object) -> bytes:
        return self._counted(self._stream.readline, args)

    def readlines(self, *args: object) -> list[bytes]:
        lines: list[bytes] = self._stream.readlines(*args)
        self.count += sum(map(len, lines))
        return lines

    def readinto(self, buffer: bytearray | memoryview) -> int:
        """Fill a part of a buffer, by a copy if the stream cannot."""
        if not hasattr(self._stream, "readinto"):
            data = self.read(len(buffer))
            buffer[: len(data)] = data
            return len(data)
        try:
            size: int = self._stream.readinto(buffer)
        except ClientGone:
            self.gone = True
            raise
        self.count += size
        return size

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")


class _ChunkedInput(CountedInput):
    def read_chunk(self, *args: object) -> bytes:
        return self._counted(self._stream.read_chunk, args)


def counted_input(stream: object) -> CountedInput:
    """Wrap a wsgi.input, perhaps one with chunks."""
    return (_ChunkedInput if hasattr(stream, "read_chunk") else CountedInput)(stream)


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
