"""S3's own chunks within a body, a decoder without input or output.

See S3 API: Signature calculations, transferring payload in multiple chunks, and with trailing headers.

    size in hex [;chunk-signature=hex] CR LF  bytes CR LF   ... repeated, the last with size 0:
    0 [;chunk-signature=hex] CR LF  [trailers]  CR LF

Every line ends in CR LF; in a signed trailer a line feed is enough. Bytes after the last empty line are ignored.
"""

from __future__ import annotations

import re
import sys
from typing import TypeAlias

from objstore.s3.language.errors import S3Error, incomplete, wrong_count
from objstore.s3.request.declared import Framing

_SIZE = re.compile(rb"[0-9A-Fa-f]{1,16}\Z")
_TRAILER = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\x20-\x7e\t]*?)[ \t]*\Z")
MAX_LINE = 1024
MAX_TRAILERS = 16384  # bytes
SIGNATURE = "X-Amz-Trailer-Signature"
MIN_CHUNK = 8192  # bytes of every signed chunk except the last two
_BLANKS = b" \t"

_HEAD, _DATA, _DATA_END, _TRAILERS, _DONE = range(5)

# A run of a chunk's bytes, or the signature of the chunk whose runs precede it.
Event: TypeAlias = "memoryview | str"


class ChunkDecoder:
    """The decoder of a body in chunks, fed with bytes as they arrive.

    length: of the payload, as announced. at: the index in its last input at which `feed` stopped. done: True after the
    end; `trailers` are then complete. signed_trailer: the bytes that the trailer's signature covers.
    trailer_signature: that signature.
    """

    __slots__ = (
        "_chunks", "_framing", "_length", "_line", "_remaining", "_short", "_signature", "_size", "_state", "at",
        "done", "signed_trailer", "trailer_signature", "trailers",
    )  # fmt: skip

    def __init__(self, framing: Framing, length: int) -> None:
        self._framing = framing
        self._length = length
        self._state = _HEAD
        self._line = b""
        self._remaining = 0
        self._size = 0  # sum of the sizes of the chunks that have begun
        self._chunks = 0
        self._signature = ""
        self._short = 0  # size of a signed chunk below MIN_CHUNK, 0 for none
        self.at = 0
        self.done = False
        self.trailers: dict[str, str] = {}
        self.signed_trailer = b""
        self.trailer_signature = ""

    def feed(self, data: bytes, start: int = 0, limit: int = sys.maxsize) -> list[Event]:
        """Return up to `limit` events in `data[start:]`, in order. Raises S3Error for broken framing."""
        events: list[Event] = []
        view = memoryview(data)
        at, end = start, len(data)
        while at < end and self._state != _DONE and len(events) < limit:
            if self._state == _DATA:
                run = view[at : at + self._remaining]
                events.append(run)
                at += len(run)
                self._remaining -= len(run)
                if not self._remaining:
                    self._state = _DATA_END
            else:
                at = self._take_line(data, at, events)
        self.at = at
        return events

    def _take_line(self, data: bytes, at: int, events: list[Event]) -> int:
        line_feed = data.find(b"\n", at, at + MAX_LINE)
        line_end = line_feed + 1 if line_feed >= 0 else len(data)
        line = self._line + data[at:line_end]
        if len(line) > MAX_LINE:
            raise incomplete()
        if line_feed < 0:
            self._line = line
            return line_end
        self._line = b""
        line = self._without_end(line)
        if self._state == _HEAD:
            self._take_head(line, events)
        elif self._state == _DATA_END:
            if line:
                raise incomplete()
            if self._framing.signed:
                events.append(self._signature)
            self._state = _HEAD
        else:
            self._take_trailer(line)
        return line_end

    def _without_end(self, line: bytes) -> bytes:
        """Return a line without CR LF; raises S3Error for another end, or a CR within."""
        feed_is_enough = self._state == _TRAILERS and self._framing.signed
        if line[-2:] == b"\r\n":
            line = line[:-2]
        elif feed_is_enough:
            line = line[:-1]
        else:
            raise incomplete()
        if b"\r" in line:
            raise incomplete()
        return line

    def _take_head(self, line: bytes, events: list[Event]) -> None:
        size, _, extension = line.partition(b";")
        size = size.rstrip(_BLANKS)
        if not _SIZE.match(size):
            raise incomplete()
        self._remaining = int(size, 16)
        if self._framing.signed:
            self._signature = signature_of(extension)
        if self._remaining:
            self._chunks += 1
            self._check_size()
            self._size += self._remaining
            self._state = _DATA
            return
        if self._size < self._length:
            raise incomplete() if self._framing.signed else wrong_count(self._length, self._size)
        if self._framing.signed:
            events.append(self._signature)
        self._state = _TRAILERS

    def _check_size(self) -> None:
        if self._framing.signed:
            if self._short:
                extra = {"Chunk": str(self._chunks), "BadChunkSize": str(self._short)}
                raise S3Error("InvalidChunkSizeError", extra=extra)
            self._short = self._remaining if self._remaining < MIN_CHUNK else 0

    def _take_trailer(self, line: bytes) -> None:
        signed = self._framing.signed
        if not line:
            # An empty line is the end; but some senders have one between a signed trailer and its signature.
            if not (signed and self.trailers and not self.trailer_signature):
                self._state = _DONE
                self.done = True
            return
        match = _TRAILER.match(line.decode("latin-1"))
        if match is None or not self._framing.trailer or len(self.signed_trailer) > MAX_TRAILERS:
            raise S3Error("MalformedTrailerError")
        name, value = match[1].title(), match[2]
        if signed and name == SIGNATURE:
            self.trailer_signature = value
            return
        self.trailers[name] = value  # of a repeated name, the last counts
        self.signed_trailer += f"{name.lower()}:{value}\n".encode("latin-1")

    def end(self) -> None:
        """Finish at the end of the body; raises S3Error if it comes too early."""
        if not self.done and not (self._state == _TRAILERS and not self._line and self._ends_without_empty_line()):
            raise incomplete()
        self.done = True

    def _ends_without_empty_line(self) -> bool:
        """Return whether the body is complete without the last empty line, which some senders omit.

        S3 requires it after a signature without trailers.
        """
        if self._framing.signed and self._framing.trailer:
            return bool(self.trailer_signature and self.trailers)
        return True


def signature_of(extension: bytes) -> str:
    """Return the signature of a chunk, from the text after the `;` behind its size.

    Raises S3Error IncompleteBody if there is none, or more text after it. If another parameter precedes it, the whole
    text is the signature, and matches nothing.
    """
    name, _, value = extension.partition(b"=")
    value = value.strip(_BLANKS)
    if name.strip(_BLANKS) == b"chunk-signature":
        if not value or b";" in value:
            raise incomplete()
        return value.decode("latin-1")
    if b"chunk-signature" not in extension:
        raise incomplete()
    return extension.decode("latin-1")
