"""S3's own chunks within a body, a decoder without input or output (S3 API: Signature calculations, transferring
payload in multiple chunks, and with trailing headers).

    size in hex [;chunk-signature=hex] CR LF  bytes CR LF   ... and again, the last of size 0:
    0 [;chunk-signature=hex] CR LF  [trailers]  CR LF
"""

from __future__ import annotations

import re
from typing import TypeAlias

from objstore.s3.declared import Framing
from objstore.s3.errors import S3Error

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;chunk-signature=([0-9a-fA-F]{64}))?[ \t]*(?:;[\x20-\x7e]*)?\Z")
_TRAILER = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\x20-\x7e\t]*?)[ \t]*\Z")
MAX_LINE = 1024
MAX_TRAILERS = 16384
SIGNATURE = "X-Amz-Trailer-Signature"
LEAST_CHUNK = 8192  # bytes of every signed chunk but the last two

_HEAD, _DATA, _DATA_END, _TRAILERS, _DONE = range(5)

# A run of a chunk's bytes, or the signature with which the chunk of the runs before it ends.
Event: TypeAlias = "memoryview | str"


def incomplete() -> S3Error:
    return S3Error("IncompleteBody", "The request body terminated unexpectedly")


class ChunkDecoder:
    """Fed with bytes as they come. done: the end has been seen; `trailers` are then complete.

    signed_trailer: the bytes that the trailer's signature is of; trailer_signature: that signature.
    """

    __slots__ = (
        "_framing", "_left", "_line", "_short", "_signature", "_state", "done", "signed_trailer",
        "trailer_signature", "trailers",
    )  # fmt: skip

    def __init__(self, framing: Framing) -> None:
        self._framing = framing
        self._state = _HEAD
        self._line = b""
        self._left = 0
        self._signature = ""
        self._short = False  # a signed chunk has come that only the last may be
        self.done = False
        self.trailers: dict[str, str] = {}
        self.signed_trailer = b""
        self.trailer_signature = ""

    def feed(self, data: bytes) -> list[Event]:
        """What `data` holds, in order. Raises S3Error for broken framing."""
        events: list[Event] = []
        view = memoryview(data)
        at, end = 0, len(data)
        while at < end:
            if self._state == _DATA:
                run = view[at : at + self._left]
                events.append(run)
                at += len(run)
                self._left -= len(run)
                if not self._left:
                    self._state = _DATA_END
            elif self._state == _DONE:
                raise incomplete()
            else:
                at = self._take_line(data, at, events)
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
        line = line.rstrip(b"\r\n")
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

    def _take_head(self, line: bytes, events: list[Event]) -> None:
        match = _SIZE.match(line)
        if match is None:
            raise incomplete()
        self._left = int(match[1], 16)
        if self._framing.signed:
            if match[2] is None:
                raise S3Error("SignatureDoesNotMatch")
            self._signature = match[2].decode()
        if self._left:
            self._check_size()
            self._state = _DATA
            return
        if self._framing.signed:
            events.append(self._signature)
        self._state = _TRAILERS

    def _check_size(self) -> None:
        if self._framing.signed:
            if self._short:
                raise S3Error("InvalidChunkSizeError")
            self._short = self._left < LEAST_CHUNK

    def _take_trailer(self, line: bytes) -> None:
        if not line:
            # An empty line ends it all; but between a signed trailer and its signature some senders have one.
            if not (self._framing.signed and self.trailers and not self.trailer_signature):
                self._state = _DONE
                self.done = True
            return
        match = _TRAILER.match(line.decode("latin-1"))
        if match is None or not self._framing.trailer or len(self.trailers) >= 16:
            raise S3Error("MalformedTrailerError")
        name, value = match[1].title(), match[2]
        if name == SIGNATURE:
            self.trailer_signature = value
            return
        if name in self.trailers:
            raise S3Error("MalformedTrailerError")
        self.trailers[name] = value
        self.signed_trailer += f"{name.lower()}:{value}\n".encode("latin-1")

    def end(self) -> None:
        """The body has ended; raises S3Error where that is too early."""
        if not self.done and not (self._state == _TRAILERS and not self._line and self._ends_without_empty_line()):
            raise incomplete()
        self.done = True

    def _ends_without_empty_line(self) -> bool:
        """Some senders leave out the last empty line; nothing is lost with it."""
        return bool(self.trailer_signature) if self._framing.signed and self._framing.trailer else True
