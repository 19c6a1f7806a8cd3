"""wsgi.input: a request's body as PEP 3333 wants it, and in large pieces for those who stream it."""

from __future__ import annotations

from collections.abc import Iterator

from objstore.core.errors import BodyTruncated, ClientGone
from objstore.http.source import NO_BODY, Source
from objstore.http.stream import MIB, Stream

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class RequestBody:
    """Raises BodyTruncated, BodyTimeout or ClientGone from every reading method."""

    __slots__ = ("_ahead", "_source", "_stream", "_timeout", "awaits_continue")

    def __init__(self, source: Source, stream: Stream, awaits_continue: bool, timeout: float) -> None:
        """awaits_continue: the client sends nothing before it has seen a 100."""
        self._source = source
        self._stream = stream
        self._timeout = timeout
        self.awaits_continue = awaits_continue
        self._ahead = b""  # read from the source while looking for the end of a line

    @property
    def ended(self) -> bool:
        return self._source.ended

    def is_passable(self, most: int) -> bool:
        """Whether what is left can be read and dropped for no more than `most` bytes, as far as is known."""
        return self._source.ended or (not self.awaits_continue and self._source.at_least <= most)

    def check(self) -> None:
        """Raise BodyTruncated if the client is seen to have closed before the end of the body."""
        if self._source.is_cut_off():
            raise BodyTruncated("the client closed before the end of the body")

    def read_chunk(self, most: int = MIB) -> bytes:
        """What can be had at once, up to `most` bytes, in runs as long as the sender's speed allows; b'' at the end."""
        if self._ahead:
            data, self._ahead = self._ahead[:most], self._ahead[most:]
            return data
        if self.awaits_continue:
            self._send_continue()
        return self._source.piece(most)

    def read(self, size: int | None = -1) -> bytes:
        """Exactly `size` bytes unless the body ends before; all that is left without a size."""
        left = -1 if size is None else size
        runs = []
        while left:
            data = self.read_chunk(MIB if left < 0 else min(left, MIB))
            if not data:
                break
            runs.append(data)
            if left > 0:
                left -= len(data)
        return runs[0] if len(runs) == 1 else b"".join(runs)

    def readinto(self, buffer: bytearray | memoryview) -> int:
        """Part of the buffer is filled, without a copy where the framing allows it; 0 at the end."""
        view = memoryview(buffer).cast("B")
        if self._ahead:
            data = self.read_chunk(len(view))
            view[: len(data)] = data
            return len(data)
        if self.awaits_continue:
            self._send_continue()
        return self._source.into(view)

    def readline(self, size: int | None = -1) -> bytes:
        most = -1 if size is None or size < 0 else size
        line = self._ahead
        self._ahead = b""
        while b"\n" not in line and (most < 0 or len(line) < most):
            data = self.read_chunk(65536)
            if not data:
                break
            line += data
        end = line.find(b"\n") + 1 or len(line)
        if most >= 0:
            end = min(end, most)
        self._ahead = line[end:]
        return line[:end]

    def readlines(self, hint: int | None = None) -> list[bytes]:
        lines = []
        total = 0
        for line in self:
            lines.append(line)
            total += len(line)
            if hint and total >= hint:
                break
        return lines

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def _send_continue(self) -> None:
        self.awaits_continue = False
        try:
            self._stream.send_all([_CONTINUE], self._timeout)
        except OSError as error:
            raise ClientGone("the client closed before its body was asked for") from error

    def drain(self, most: int) -> bool:
        """Drop up to `most` bytes of what is left; whether that was all of it."""
        while not self._source.ended:
            if most <= 0:
                return False
            most -= len(self._source.piece(most)) or 1
        return True


class EmptyBody(RequestBody):
    """Of requests that have no body: one serves them all."""

    __slots__ = ()

    def __init__(self) -> None:
        self._source = NO_BODY
        self._ahead = b""
        self.awaits_continue = False


EMPTY_BODY = EmptyBody()
