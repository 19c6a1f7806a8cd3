"""The traffic of a server: metrics, and request bodies that count their bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from objstore.core.errors import ClientGone
from objstore.runtime import metrics

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
