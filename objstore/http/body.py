"""wsgi.input: a request's body as PEP 3333 requires it, and in large pieces for callers that stream it."""

from __future__ import annotations

from collections.abc import Iterator

from objstore.core.errors import BodyTruncated, ClientGone
from objstore.http.source import NO_BODY, Source
from objstore.http.stream import MIB, Stream

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class RequestBody:
    """The body of a request. Every reading method raises BodyTruncated, BodyTimeout or ClientGone."""

    __slots__ = ("_ahead", "_source", "_stream", "_timeout", "awaits_continue")

    def __init__(self, source: Source, stream: Stream, awaits_continue: bool, timeout: float) -> None:
        """awaits_continue: the client sends nothing until it receives a 100."""
        self._source = source
        self._stream = stream
        self._timeout = timeout
        self.awaits_continue = awaits_continue
        self._ahead = b""  # read from the source while looking for the end of a line

    @property
    def ended(self) -> bool:
        return self._source.ended

    def is_passable(self, limit: int) -> bool:
        """Return whether the rest, as far as its length is known, is at most `limit` bytes, to be read and dropped."""
        return self._source.ended or (not self.awaits_continue and self._source.at_least <= limit)

    def check(self) -> None:
        """Raise BodyTruncated if the client has visibly closed before the end of the body."""
        if self._source.is_cut_off():
            raise BodyTruncated("the client closed before the end of the body")

    def read_chunk(self, limit: int = MIB) -> bytes:
        """Return the next run, up to `limit` bytes and as long as the sender's speed allows; b'' at the end."""
        if self._ahead:
            data, self._ahead = self._ahead[:limit], self._ahead[limit:]
            return data
        if self.awaits_continue:
            self._send_continue()
        return self._source.piece(limit)

    def read(self, size: int | None = -1) -> bytes:
        """Return exactly `size` bytes unless the body ends before; the rest of the body without a size."""
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
        """Fill part of the buffer, without a copy if possible; return the number of bytes, 0 at the end."""
        view = memoryview(buffer).cast("B")
        if self._ahead:
            data = self.read_chunk(len(view))
            view[: len(data)] = data
            return len(data)
        if self.awaits_continue:
            self._send_continue()
        return self._source.into(view)

    def readline(self, size: int | None = -1) -> bytes:
        limit = -1 if size is None or size < 0 else size
        line = self._ahead
        self._ahead = b""
        while b"\n" not in line and (limit < 0 or len(line) < limit):
            data = self.read_chunk(65536)
            if not data:
                break
            line += data
        end = line.find(b"\n") + 1 or len(line)
        if limit >= 0:
            end = min(end, limit)
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
            raise ClientGone("the client closed before its body was requested") from error

    def drain(self, limit: int) -> bool:
        """Drop up to `limit` bytes of the rest; return whether the body has ended."""
        while not self._source.ended:
            if limit <= 0:
                return False
            limit -= len(self._source.piece(limit)) or 1
        return True


class EmptyBody(RequestBody):
    """The body of requests without one. It is shared by all of them."""

    __slots__ = ()

    def __init__(self) -> None:
        self._source = NO_BODY
        self._ahead = b""
        self.awaits_continue = False


EMPTY_BODY = EmptyBody()
