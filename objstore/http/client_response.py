"""The answer of a node, for the caller."""

from __future__ import annotations

from collections.abc import Iterator

from objstore.core.errors import BodyTimeout, BodyTruncated, NodeFailure, NodeTimeout
from objstore.http.pool import IdleConnections
from objstore.http.response_head import ResponseHead
from objstore.http.source import NO_BODY, ChunkedSource, LengthSource, Source, UntilCloseSource
from objstore.http.stream import MIB, Stream

_DRAIN = 65536  # bytes; a rest of a body up to this size is read to keep the connection


class HttpResponse:
    """An answer, whose body is read from the connection on demand.

    The connection goes back to the pool when the body has been read to its end; call `close`
    if that is not certain. trailers: filled in at the end of a chunked body.
    """

    __slots__ = ("_idle", "_source", "_stream", "headers", "reason", "status", "trailers")

    def __init__(self, head: ResponseHead, stream: Stream, idle: IdleConnections | None, timeout: float) -> None:
        """idle: the pool that gets the connection when the body has been read; None if it cannot be used again."""
        self.status = head.status
        self.reason = head.reason
        self.headers = head.headers
        self.trailers: dict[str, str] = {}
        self._stream: Stream | None = stream
        self._idle = idle if head.keep_alive else None
        self._source = self._make_source(head.length, stream, timeout)
        if self._source.ended:
            self._release()

    def _make_source(self, length: int, stream: Stream, timeout: float) -> Source:
        if not length:
            return NO_BODY
        if length > 0:
            return LengthSource(stream, length, timeout)
        if length == -1:
            return ChunkedSource(stream, timeout, self.trailers)
        return UntilCloseSource(stream, timeout)

    def read_chunk(self, limit: int = MIB) -> bytes:
        """Return the next run of the body, as long as is available without much waiting; b'' at the end.

        Raises NodeTimeout after silence, NodeFailure if the body is truncated or was closed.
        """
        if self._stream is None and not self._source.ended:
            raise NodeFailure("the answer has been closed before its end")
        try:
            # When the source has ended, it may still hold decoded bytes that have not been read.
            data = self._source.piece(limit)
        except BodyTimeout as error:
            self.abort()
            raise NodeTimeout(str(error)) from None
        except BodyTruncated as error:
            self.abort()
            raise NodeFailure(str(error)) from None
        if self._source.ended or not data:
            self._release()
        return data

    def iter(self, size: int = MIB) -> Iterator[bytes]:
        """Yield the body in runs of up to `size` bytes; close at the end, or when the caller stops early."""
        try:
            while data := self.read_chunk(size):
                yield data
        finally:
            self.close()

    def read(self) -> bytes:
        """Return the rest of the body."""
        runs = list(iter(self.read_chunk, b""))
        return runs[0] if len(runs) == 1 else b"".join(runs)

    def close(self) -> None:
        """Finish the answer: read a short rest of the body; for a long one, close the connection."""
        left = _DRAIN
        while self._stream is not None:
            if left <= 0 or self._idle is None or self._source.at_least > left:
                self.abort()
            else:
                try:
                    left -= len(self.read_chunk(left)) or 1
                except NodeFailure:
                    return

    def abort(self) -> None:
        """Close the connection at once."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def _release(self) -> None:
        stream, self._stream = self._stream, None
        if stream is None:
            return
        if self._idle is not None and self._source.ended and not stream.has_unread:
            self._idle.give(stream)
        else:
            stream.close()
