"""The bytes of one message body, read from a stream whatever the framing.

Both ends use these: the server for requests, the client for responses. A source raises
BodyTruncated if the other end stops early or breaks the framing, BodyTimeout if it
is silent for too long. From then on the source is *broken*: it raises BodyTruncated whenever
it is read, and nothing that follows on the stream may be read as a message.
"""

from __future__ import annotations

import sys
from typing import Protocol

from objstore.core.errors import BodyTimeout, BodyTruncated
from objstore.http.chunked import ChunkedDecoder
from objstore.http.stream import FILL_BYTES, MIB, Stream
from objstore.runtime import green


class Source(Protocol):
    """The bytes of a body.

    ended: all of the body has come, and the next message follows on the stream; `piece` may still have some of it.
    """

    ended: bool

    @property
    def at_least(self) -> int:
        """The minimum number of bytes that still must come; of a broken source, more than any limit."""

    def is_cut_off(self) -> bool:
        """Return whether the other end has visibly closed before the end of the body; never waits."""

    def piece(self, limit: int) -> bytes:
        """Return up to `limit` bytes, waiting a moment for many; b'' at the end, and again after it."""

    def into(self, view: memoryview) -> int:
        """Fill the view, or part of it, as `piece` gives bytes; return the number of bytes, 0 at the end."""


class NoBody:
    """The source of messages that have none."""

    ended = True
    at_least = 0

    def is_cut_off(self) -> bool:
        return False

    def piece(self, limit: int) -> bytes:
        return b""

    def into(self, view: memoryview) -> int:
        return 0


NO_BODY = NoBody()


class LengthSource:
    """A body of known length."""

    __slots__ = ("_broken", "_stream", "_timeout", "ended", "left")

    def __init__(self, stream: Stream, length: int, timeout: float) -> None:
        """length: in bytes; timeout: maximum silence in seconds."""
        self._stream = stream
        self._timeout = timeout
        self.left = length
        self.ended = not length
        self._broken = False

    @property
    def at_least(self) -> int:
        return sys.maxsize if self._broken else self.left

    def is_cut_off(self) -> bool:
        coming = self._stream.closed_after(self.left) if self.left else None
        return coming is not None and coming < self.left

    def piece(self, limit: int) -> bytes:
        left = self.left
        if not left:
            return b""
        self._check()
        try:
            data = self._stream.recv_run(min(limit, left), left, self._timeout)
        except OSError as error:
            raise _failure(error, left) from None
        self._count(len(data))
        return data

    def into(self, view: memoryview) -> int:
        left = self.left
        if not left or not len(view):
            return 0
        self._check()
        try:
            taken = self._stream.recv_run_into(view[:left], left, self._timeout)
        except OSError as error:
            raise _failure(error, left) from None
        self._count(taken)
        return taken

    def _check(self) -> None:
        if self._broken:
            raise BodyTruncated(_BROKEN)
        self._broken = True  # unless `_count` is reached

    def _count(self, taken: int) -> None:
        if not taken:
            raise BodyTruncated(f"the body ended {self.left} bytes early")
        self._broken = False
        self.left -= taken
        if not self.left:
            self.ended = True
            self._stream.message_ended()


class ChunkedSource:
    """A body in the chunked coding."""

    __slots__ = ("_begun", "_broken", "_data", "_decoder", "_ready", "_stream", "_timeout", "_trailers", "ended")

    def __init__(self, stream: Stream, timeout: float, trailers: dict[str, str]) -> None:
        """trailers: filled in at the end of the body."""
        self._stream = stream
        self._timeout = timeout
        self._decoder = ChunkedDecoder()
        self._begun = False  # something of the body was received
        self._data = b""  # received; the decoder has stopped in the middle of it
        self._ready: list[memoryview] = []  # decoded, and not yet read by the caller
        self._trailers = trailers
        self.ended = False
        self._broken = False

    @property
    def at_least(self) -> int:
        if self._broken:
            return sys.maxsize
        return 0 if self.ended else self._decoder.sure

    def is_cut_off(self) -> bool:
        if self._begun or self.ended:
            return False
        coming = self._stream.closed_after(FILL_BYTES)
        if coming is None:
            return False
        ahead = self._stream.look_ahead()
        trial = ChunkedDecoder()
        try:
            trial.feed(ahead)
        except BodyTruncated:
            return False  # reading the body raises the error
        return not trial.done and coming - len(ahead) < trial.sure

    def piece(self, limit: int) -> bytes:
        if not self._ready and not self._receive(limit):
            return b""
        if len(self._ready) == 1 and len(self._ready[0]) <= limit:
            run = self._ready.pop()
            whole = run.obj
            return whole if isinstance(whole, bytes) and len(whole) == len(run) else bytes(run)
        runs = []
        while limit and self._ready:
            run = self._ready[0]
            runs.append(run[:limit])
            if len(run) > limit:
                self._ready[0] = run[limit:]
            else:
                del self._ready[0]
            limit -= len(runs[-1])
        return b"".join(runs)

    def into(self, view: memoryview) -> int:
        data = self.piece(len(view)) if len(view) else b""
        view[: len(data)] = data
        return len(data)

    def _receive(self, limit: int) -> bool:
        """Decode until there is data; False at the end of the body."""
        if self._broken:
            raise BodyTruncated(_BROKEN)
        self._broken = True  # unless this goes well
        self._begun = True
        decoder = self._decoder
        while not self._ready and not decoder.done:
            if self._data:
                green.sleep()  # after _RUNS chunks, other green threads get their turn
                start = decoder.at
            else:
                start = 0
                try:
                    self._data = self._stream.recv_run(max(limit, 4096), decoder.sure, self._timeout)
                except OSError as error:
                    raise _failure(error, None) from None
                if not self._data:
                    raise BodyTruncated("the body ended before its last chunk")
            self._ready = decoder.feed(self._data, start, _RUNS)
            if decoder.at == len(self._data):
                self._data = b""
            if decoder.done:
                self._end()
        self._broken = False
        return bool(self._ready)

    def _end(self) -> None:
        self.ended = True
        self._trailers.update(self._decoder.trailers)
        self._stream.message_ended()
        self._stream.unread(self._decoder.rest)


class UntilCloseSource:
    """A response's body that lasts as long as the connection (RFC 9112, section 6.3, rule 8)."""

    __slots__ = ("_closed", "_stream", "_timeout", "ended")

    def __init__(self, stream: Stream, timeout: float) -> None:
        self._stream = stream
        self._timeout = timeout
        self._closed = False
        self.ended = False  # never: no message can follow

    @property
    def at_least(self) -> int:
        return sys.maxsize  # reading the rest cannot keep the connection

    def is_cut_off(self) -> bool:
        return False

    def piece(self, limit: int) -> bytes:
        if self._closed:
            return b""
        try:
            data = self._stream.recv_run(limit, MIB, self._timeout)
        except OSError as error:
            raise _failure(error, None) from None
        self._closed = not data
        return data

    def into(self, view: memoryview) -> int:
        data = self.piece(len(view)) if len(view) else b""
        view[: len(data)] = data
        return len(data)


_RUNS = 1000  # chunks that are decoded at a time, in a few milliseconds
_BROKEN = "the body was truncated before"


def _failure(error: OSError, left: int | None) -> BodyTimeout | BodyTruncated:
    if isinstance(error, TimeoutError):
        return BodyTimeout(f"the sender of the body was silent for too long, or too slow: {error}")
    return BodyTruncated("the connection was lost" + ("" if left is None else f" with {left} bytes to come"))
