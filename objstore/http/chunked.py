"""The chunked transfer coding (RFC 9112, section 7.1): a strict decoder without input or output, and its opposite."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping

from objstore.core.errors import BodyTruncated, InvalidInput

# A chunk's size line with its extensions, and the trailer section as a whole.
MAX_SIZE_LINE = 256
MAX_TRAILERS = 16384
MAX_TRAILER_COUNT = 64

_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?\Z")
_FIELD = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)\Z")
# Fields that RFC 9110, section 6.5.1 forbids in trailers: framing, routing, authentication.
_NOT_IN_TRAILERS = frozenset(
    {"Content-Length", "Transfer-Encoding", "Host", "Trailer", "Connection", "Content-Encoding", "Content-Type"}
    | {"Authorization", "Expect", "Range", "Te", "Upgrade", "Content-Range", "Cookie", "Set-Cookie"}
)
_NO_VIEW = memoryview(b"")

_SIZE, _DATA, _DATA_END, _TRAILERS, _DONE = range(5)


class ChunkedDecoder:
    """A decoder that takes bytes as they come and returns those of the body.

    at: index in the last data given to `feed` at which it stopped. done: the message is complete; `rest` then
    holds the bytes after it, `trailers` its trailers, names in Title-Case. sure: minimum number of bytes that must
    still come.
    """

    __slots__ = ("_left", "_line", "_state", "at", "done", "rest", "trailers")

    def __init__(self) -> None:
        self._state = _SIZE
        self._line = b""  # an unfinished line
        self._left = 0  # of this chunk's data
        self.at = 0
        self.done = False
        self.rest = b""
        self.trailers: dict[str, str] = {}

    @property
    def sure(self) -> int:
        # After a chunk's data: its CR LF, and at least the last chunk and the empty line.
        return self._left + 7 if self._state == _DATA else 1

    def feed(self, data: bytes, start: int = 0, limit: int = sys.maxsize) -> list[memoryview]:
        """Return up to `limit` runs of the body in `data[start:]`. Raises BodyTruncated if the coding is broken."""
        runs: list[memoryview] = []
        at = start
        end = len(data)
        view = memoryview(data)
        while at < end and len(runs) < limit:
            state = self._state
            if state == _DATA:
                run = view[at : at + self._left]
                runs.append(run)
                at += len(run)
                self._left -= len(run)
                if not self._left:
                    self._state = _DATA_END
            elif state == _DONE:
                self.rest += data[at:]
                at = end
            elif state == _TRAILERS:
                at = self._take_trailers(data, at)
            else:
                at = self._take_line(data, at)
        self.at = at
        return runs

    def _take_line(self, data: bytes, at: int) -> int:
        """Take a size line, or the line end after a chunk's data; return the index after it."""
        limit = MAX_SIZE_LINE if self._state == _SIZE else 0
        newline = data.find(b"\n", at, at + limit + 2)
        upto = newline + 1 if newline >= 0 else len(data)
        self._line += data[at:upto]
        line = self._line
        if len(line) > limit + 2:
            raise BodyTruncated("a chunk's line is too long")
        if newline < 0:
            return upto
        if line[-2:] != b"\r\n":
            raise BodyTruncated("a chunk's line does not end with CR LF")
        self._line = b""
        if self._state == _DATA_END:
            self._state = _SIZE
            return upto
        match = _SIZE_LINE.match(line[:-2])
        if match is None:
            raise BodyTruncated("a chunk's size is malformed")
        self._left = int(match[1], 16)
        if self._left:
            self._state = _DATA
        else:
            self._state = _TRAILERS
            self._line = b"\r\n"  # so that an end without trailers looks like one with trailers
        return upto

    def _take_trailers(self, data: bytes, at: int) -> int:
        before = len(self._line)
        section = self._line + data[at : at + MAX_TRAILERS + 4]
        end = section.find(b"\r\n\r\n", max(0, before - 3))
        if end < 0:
            if len(section) > MAX_TRAILERS:
                raise BodyTruncated("the trailers are too long")
            self._line = section
            return len(data)
        self._read_trailers(section[2:end].decode("latin-1"))
        self._line = b""
        self._state = _DONE
        self.done = True
        return at + end + 4 - before

    def _read_trailers(self, section: str) -> None:
        lines = section.split("\r\n") if section else []
        if len(lines) > MAX_TRAILER_COUNT:
            raise BodyTruncated("there are too many trailers")
        for line in lines:
            match = _FIELD.match(line)
            if match is None:
                raise BodyTruncated("a trailer is malformed")
            name = match[1].title()
            if name in self.trailers:
                raise BodyTruncated(f"the trailer {name} is repeated")
            if name not in _NOT_IN_TRAILERS:
                self.trailers[name] = match[2].rstrip(" \t")


def chunk_head(length: int) -> bytes:
    return b"%x\r\n" % length


LAST_CHUNK = b"0\r\n\r\n"


def end_of_chunks(trailers: Mapping[str, str] | None) -> bytes:
    """Return the last chunk and the trailers. Raises InvalidInput if a name or value cannot be sent."""
    if not trailers:
        return LAST_CHUNK
    lines = ["0"]
    for name, value in trailers.items():
        line = f"{name}: {value}"
        if _FIELD.match(line) is None:
            raise InvalidInput(f"the trailer {name!r} cannot be sent")
        lines.append(line)
    lines.append("\r\n")
    return "\r\n".join(lines).encode("latin-1")
