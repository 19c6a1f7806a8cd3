"""The bytes of segments as one response body.

The next segment is requested while the end of the one before it is sent. A segment that ends early
is requested once more, from the byte at which it ended; if that fails the body raises, so
that the connection ends short of its length and no client treats a part as the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from objstore.core.errors import NodeFailure, ObjstoreError
from objstore.layers.interface import Reply
from objstore.runtime import green
from objstore.web.segments import Segment

# Bytes of a segment still to be sent when the next is requested. An answer that waits for
# a slow client beyond the timeout of its server is lost.
AHEAD = 4 << 20

Fetch = Callable[[Segment], Reply]


class SegmentMissing(NodeFailure):
    """A segment is gone, differs from the manifest's entry, or cannot be read."""


class _Pending:
    """A segment that is being requested in a green thread of its own."""

    def __init__(self, fetch: Fetch, segment: Segment) -> None:
        self.segment = segment
        self._abandoned = False
        self._result: Reply | Exception | None = None
        self._thread = green.spawn(self._work, fetch)

    def _work(self, fetch: Fetch) -> None:
        try:
            self._result = fetch(self.segment)
        except Exception as failure:  # `wait` raises it
            self._result = failure
        if self._abandoned:
            self._close()

    def wait(self) -> Reply:
        self._thread.wait()
        result, self._result = self._result, None
        if isinstance(result, Reply):
            return result
        try:
            raise result or SegmentMissing(self.segment.path)
        finally:
            del result  # else the error and this frame would refer to each other, and to the body's pieces

    def check(self) -> None:
        """Wait for the segment. Raises its error."""
        self._thread.wait()
        if isinstance(self._result, Exception):
            raise self._result

    def abandon(self) -> None:
        self._abandoned = True
        self._close()

    def _close(self) -> None:
        if isinstance(self._result, Reply):
            self._result.close()


class SegmentBody:
    """The body of a manifest. items: its parts in order, as bytes, and as segments to read.

    The first segment is requested when the body is made; raises SegmentMissing.
    tick: called between pieces, and at the end with True.
    """

    def __init__(
        self, fetch: Fetch, items: Iterable[bytes | Segment], tick: Callable[[bool], None] | None = None
    ) -> None:
        self._fetch = fetch
        self._items = iter(items)
        self._tick = tick
        self._pending: _Pending | None = None
        self._failure: ObjstoreError | None = None  # of the items
        self._is_next_known = False  # True once the item after the current segment is read
        self._beginning, first = self._next_segment()
        self._before: list[bytes] = []  # the bytes before the pending segment
        self._first = None if first is None else (first, fetch(first))
        self._current: Reply | None = self._first[1] if self._first else None

    def await_second(self, limit: int) -> None:
        """Open the second segment before the answer begins, if the first has up to `limit` bytes. Raises as `fetch`."""
        if self._first is None or self._first[0].length > limit:
            return
        self._look_ahead()
        if self._pending is not None:
            self._pending.check()

    def _next_segment(self) -> tuple[list[bytes], Segment | None]:
        """Return the bytes before the next segment, and the segment; None at the end."""
        before: list[bytes] = []
        for item in self._items:
            if isinstance(item, Segment):
                return before, item
            before.append(item)
        return before, None

    def __iter__(self) -> Iterator[bytes]:
        yield from self._beginning
        if self._first is None:
            return
        segment, answer = self._first
        while True:
            self._current = answer
            yield from self._pieces(segment)
            self._look_ahead()
            self._raise_failure()
            yield from self._before
            pending, self._pending = self._pending, None
            self._is_next_known = False
            if pending is None:
                return
            segment, answer = pending.segment, self._answer_of(pending)

    def _look_ahead(self) -> None:
        if not self._is_next_known:
            self._is_next_known = True
            try:
                self._before, segment = self._next_segment()
            except ObjstoreError as failure:  # the bytes before it are sound
                self._failure = failure
                return
            self._pending = None if segment is None else _Pending(self._fetch, segment)

    def _raise_failure(self) -> None:
        """Raise the error with which the items ended, if there was one."""
        failure, self._failure = self._failure, None
        try:
            if failure is not None:
                raise failure
        finally:
            del failure  # see `_Pending.wait`

    def _answer_of(self, pending: _Pending) -> Reply:
        try:
            return pending.wait()
        except ObjstoreError:
            return self._fetch(pending.segment)

    def _pieces(self, segment: Segment) -> Iterator[bytes]:
        remaining = segment.length
        again = True
        while True:
            assert self._current is not None
            try:
                for piece in self._current.body:
                    if remaining <= AHEAD:
                        self._look_ahead()
                    yield piece
                    remaining -= len(piece)
                    if self._tick is not None:
                        self._tick(False)
                if not remaining:
                    return
                failure: ObjstoreError = SegmentMissing(f"{segment.path} ended {remaining} bytes early")
            except ObjstoreError as broken:
                failure = broken
            self._current.close()
            if not again or remaining <= 0:
                try:
                    raise failure
                finally:
                    del failure  # see `_Pending.wait`
            again = False
            self._current = self._fetch(segment._replace(start=segment.stop - remaining))

    def close(self) -> None:
        if self._current is not None:
            self._current.close()
        if self._pending is not None:
            self._pending.abandon()
        if self._tick is not None:
            self._tick(True)
