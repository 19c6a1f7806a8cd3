"""S3's own chunks within a body, a decoder without input or output (S3 API: Signature calculations, transferring
payload in multiple chunks, and with trailing headers).

    size in hex [;chunk-signature=hex] CR LF  bytes CR LF   ... and again, the last of size 0:
    0 [;chunk-signature=hex] CR LF  [trailers]  CR LF

Every line ends in CR LF; in a signed trailer a line feed is enough. What follows the last empty line means nothing.
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
LEAST_CHUNK = 8192  # bytes of every signed chunk but the last two
_BLANKS = b" \t"

_HEAD, _DATA, _DATA_END, _TRAILERS, _DONE = range(5)

# A run of a chunk's bytes, or the signature with which the chunk of the runs before it ends.
Event: TypeAlias = "memoryview | str"


class ChunkDecoder:
    """Fed with bytes as they come. length: of the payload, as announced. at: where `feed` stopped in its last input.
    done: the end has been seen; `trailers` are then complete.

    signed_trailer: the bytes that the trailer's signature is of; trailer_signature: that signature.
    """

    __slots__ = (
        "_chunks", "_framing", "_left", "_length", "_line", "_short", "_signature", "_size", "_state", "at",
        "done", "signed_trailer", "trailer_signature", "trailers",
    )  # fmt: skip

    def __init__(self, framing: Framing, length: int) -> None:
        self._framing = framing
        self._length = length
        self._state = _HEAD
        self._line = b""
        self._left = 0
        self._size = 0  # bytes of all chunks so far
        self._chunks = 0
        self._signature = ""
        self._short = 0  # size of a signed chunk that only the last may have
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
                run = view[at : at + self._left]
                events.append(run)
                at += len(run)
                self._left -= len(run)
                if not self._left:
                    self._state = _DATA_END
            else:
                at = self._take_line(data, at, events)
        self.at = at
        return events

    def _take_line(self, data: bytes, at: int, events: list[Event]) -> int:
        found = data.find(b"\n", at, at + MAX_LINE)
        upto = found + 1 if found >= 0 else len(data)
        line = self._line + data[at:upto]
        if len(line) > MAX_LINE:
            raise incomplete()
        if found < 0:
            self._line = line
            return upto
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
        return upto

    def _without_end(self, line: bytes) -> bytes:
        """A line without CR LF; raises S3Error for one that ends otherwise, or has a CR within."""
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
        self._left = int(size, 16)
        if self._framing.signed:
            self._signature = signature_of(extension)
        if self._left:
            self._chunks += 1
            self._check_size()
            self._size += self._left
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
            self._short = self._left if self._left < LEAST_CHUNK else 0

    def _take_trailer(self, line: bytes) -> None:
        signed = self._framing.signed
        if not line:
            # An empty line ends it all; but between a signed trailer and its signature some senders have one.
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
        self.trailers[name] = value  # of a repeated one, the last counts
        self.signed_trailer += f"{name.lower()}:{value}\n".encode("latin-1")

    def end(self) -> None:
        """The body has ended; raises S3Error if that is too early."""
        if not self.done and not (self._state == _TRAILERS and not self._line and self._ends_without_empty_line()):
            raise incomplete()
        self.done = True

    def _ends_without_empty_line(self) -> bool:
        """Some senders leave out the last empty line; nothing is lost with it. S3 wants it behind a lone signature."""
        if self._framing.signed and self._framing.trailer:
            return bool(self.trailer_signature and self.trailers)
        return True


def signature_of(extension: bytes) -> str:
    """The signature of a chunk, from what follows the `;` behind its size.

    Raises S3Error IncompleteBody if there is none, or more than that. With another parameter before it, all is taken
    for the signature, and matches nothing.
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
