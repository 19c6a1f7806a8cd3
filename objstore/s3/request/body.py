"""A request's payload, without framing, and the check of its declarations.

A thread hashes large pieces while the next piece arrives. If the length is known, the check precedes the return of the
last byte, so that a reader that counts bytes cannot miss it.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from objstore.core.errors import BodyTimeout, BodyTruncated
from objstore.runtime import green
from objstore.runtime.threads import ThreadPool
from objstore.s3.language import checksums
from objstore.s3.language.checksums import Digest
from objstore.s3.language.errors import S3Error, incomplete, wrong_count
from objstore.s3.request.aws_chunked import ChunkDecoder, Event
from objstore.s3.request.declared import MAX_PUT, Declared, too_large
from objstore.s3.request.signature.keys import Seed

_Wanted = TypeVar("_Wanted")
_Received = TypeVar("_Received")

MIB = 1 << 20
EMPTY = io.BytesIO()  # an empty wsgi.input
# Bytes below which a thread costs more than the hashing. Some hashes are quick, above all of bytes that just came.
_INLINE = 65536
_INLINE_QUICK = 1 << 21
_MAX_COUNTED = 64 * MIB  # bytes over the announced length that are counted for the error
_EVENTS = 1000  # maximum of chunks decoded at a time, in a few milliseconds
_MAX_IGNORED = 65536  # bytes after the end of S3's framing that are read and ignored


class Payload:
    """The payload of a request; see `request.Body`.

    source: a wsgi.input; the server enforces its announced length.
    """

    def __init__(
        self,
        source: Any,
        declared: Declared,
        seed: Seed | None,
        pool: ThreadPool,
        check: Callable[[], None] | None = None,
    ) -> None:
        """Prepare the checks; read nothing.

        seed: of the request's signature. check: raises if the client has gone within the body. Raises S3Error
        InvalidRequest if chunks are signed and the request is not.
        """
        self._check = check
        self.length = declared.length
        self.algorithm = declared.algorithm
        self.md5 = (declared.md5 or (declared.checksum if declared.algorithm == "MD5" else b"")).hex()
        self.checksums: Mapping[str, str] = {}
        self._read: Callable[[int], bytes] = getattr(source, "read_chunk", None) or source.read
        self._readinto: Callable[[memoryview], int] | None = getattr(source, "readinto", None)
        self._declared = declared
        self._pool = pool
        self._seed = seed
        self._decoder = ChunkDecoder(declared.framing, declared.length or 0) if declared.framing.chunked else None
        if declared.framing.signed and seed is None:
            raise S3Error("InvalidRequest", "Chunks are signed, but the request is not signed by version 4")
        self._piece = b""  # received bytes with more chunks than are decoded at a time
        self._chunk = hashlib.sha256() if declared.framing.signed else None  # of the current signed chunk
        self._received = 0
        self._ended = False
        self._content: bytes | None = None
        self._pending: Callable[[], object] | None = None
        self._digests: dict[str, Digest] = {}  # each once, whatever it is for
        self._inline = _INLINE if declared.framing.signed else _INLINE_QUICK
        self._shown: list[str] = []  # those in `checksums`
        if declared.sha256:
            self._digest("SHA256")
        if declared.md5:
            self._digest("MD5")
        if declared.algorithm:
            self.add_checksum(declared.algorithm)
            if declared.algorithm in checksums.RARE and not declared.document:
                self.add_checksum(checksums.COMPANION)

    def add_checksum(self, algorithm: str) -> None:
        """Compute one more checksum. Must precede any read."""
        if algorithm not in self._shown:
            digest = self._digest(algorithm)
            self._shown.append(algorithm)
            if self._ended and not self._received:  # an empty body was checked already
                self.checksums = {**self.checksums, algorithm: checksums.encode(digest.digest())}

    def _digest(self, algorithm: str) -> Digest:
        digest = self._digests.get(algorithm)
        if digest is None:
            digest = self._digests[algorithm] = checksums.ALGORITHMS[algorithm].new()
            if not checksums.ALGORITHMS[algorithm].quick:
                self._inline = _INLINE
        return digest

    def check(self) -> None:
        if self._check is not None:
            self._check()

    def read_chunk(self, limit: int = MIB, /) -> bytes:
        """Return the next bytes, up to `limit`; b'' at the end.

        Raises S3Error if the body does not match its declarations.
        """
        if self._ended:
            return b""
        data = self._next(limit)
        self._count(len(data))
        return data

    def readinto(self, view: memoryview) -> int:
        """Fill a part of the view, as `read_chunk` returns bytes; return their number.

        The part must stay unchanged until the next call, or the end: a thread hashes it.
        """
        if self._ended:
            return 0
        if self._decoder is None and self._readinto is not None:
            count = self._receive(self._readinto, view)
            if count:
                self._hash([view[:count]], count)
        else:
            data = self._next(len(view))
            count = len(data)
            view[:count] = data
        self._count(count)
        return count

    def _count(self, size: int) -> None:
        """Count bytes of the payload, 0 at its end; check it if it is complete."""
        self._received += size
        if self.length is not None and self._received > self.length:
            raise self._excess(self.length)
        if self._received > MAX_PUT:  # possible without an announced length
            raise too_large(self._received)
        if not size or self._received == self.length:
            self._finish()

    def read(self, size: int | None = -1) -> bytes:
        remaining = -1 if size is None else size
        pieces = []
        while remaining:
            piece = self.read_chunk(MIB if remaining < 0 else min(remaining, MIB))
            if not piece:
                break
            pieces.append(piece)
            if remaining > 0:
                remaining -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def whole(self, limit: int) -> bytes:
        """Return the whole payload; raises S3Error MaxMessageLengthExceeded above `limit` bytes.

        It raises before it reads if the length is known. Further calls, of access control and the operation, return
        the same bytes.
        """
        if self._content is not None:
            return self._content
        if self.length is not None and self.length > limit:
            raise _too_long(limit)
        data = self.read(limit + 1)
        if len(data) > limit:
            raise _too_long(limit)
        if not self._ended:
            self.read_chunk()
        self._content = data
        return data

    def settle_empty(self) -> None:
        """Check an empty body at once: no operation will read it. Does nothing if the length is unknown."""
        if self.length == 0 and not self._ended:
            self._finish()

    # Reading

    def _next(self, limit: int) -> bytes:
        """Return bytes of the payload, b'' at its end; their hashing has begun."""
        decoder = self._decoder
        if decoder is None:
            data = self._receive(self._read, limit)
            if data:
                self._hash([data], len(data))
            return data
        while not decoder.done:
            events = self._decode(decoder, limit)
            data = _bytes_of(events)
            if events:
                self._hash(events if self._declared.framing.signed else [data], len(data))
            if data:
                return data
        return b""

    def _decode(self, decoder: ChunkDecoder, limit: int) -> list[Event]:
        """Return the next events of a body in chunks; [] at its end."""
        start = 0
        if self._piece:
            green.sleep()  # decoding many chunks blocks other requests
            start = decoder.at
        else:
            self._piece = self._receive(self._read, limit)
            if not self._piece:
                decoder.end()
                return []
        events = decoder.feed(self._piece, start, _EVENTS)
        if decoder.done or decoder.at == len(self._piece):
            self._piece = b""
        return events

    def _receive(self, read: Callable[[_Wanted], _Received], wanted: _Wanted) -> _Received:
        try:
            return read(wanted)
        except BodyTruncated:
            raise incomplete() from None
        except BodyTimeout:
            raise S3Error("RequestTimeout") from None

    # Hashing

    def _hash(self, events: list[Any], size: int) -> None:
        """Hash bytes, and check signatures of chunks. size: of all bytes."""
        self._settle()
        if size <= self._inline:
            self._update(events)
        else:
            self._pending = self._pool.start(self._update, events)

    def _update(self, events: list[Event]) -> None:
        seed = self._seed if self._declared.framing.signed else None
        for event in events:
            if isinstance(event, str):
                assert seed is not None
                assert self._chunk is not None
                seed.check_chunk(self._chunk.hexdigest(), event)
                self._chunk = hashlib.sha256()
                continue
            if seed is not None:
                assert self._chunk is not None
                self._chunk.update(event)
            for digest in self._digests.values():
                digest.update(event)

    def _settle(self) -> None:
        if self._pending is not None:
            pending, self._pending = self._pending, None
            pending()

    # The checks at the end

    def _finish(self) -> None:
        decoder = self._decoder
        if decoder is not None:
            self._end_framing()
        self._settle()
        if self.length is not None and self._received != self.length:
            raise wrong_count(self.length, self._received)
        self._check_hashes()
        if decoder is not None and self._declared.framing.trailer:
            self._check_trailer(decoder)
        self.checksums = {name: checksums.encode(self._digests[name].digest()) for name in self._shown}
        if self._declared.algorithm:
            self._check_checksum()
        self._ended = True

    def _end_framing(self) -> None:
        """Read the chunks' end, and the bytes after it. Raises S3Error if there are more bytes than announced."""
        data = self._next(MIB)
        if data:
            assert self.length is not None
            self._received += len(data)
            raise self._excess(self.length)
        remaining = _MAX_IGNORED
        while remaining > 0 and (data := self._receive(self._read, remaining)):
            remaining -= len(data)

    def _excess(self, length: int) -> S3Error:
        """Return the error for more than `length` bytes. Counts the rest, up to a limit."""
        self._settle()
        decoder = self._decoder
        while self._received - length < _MAX_COUNTED and not (decoder is not None and decoder.done):
            if decoder is not None:
                self._received += len(_bytes_of(self._decode(decoder, MIB)))
                continue
            data = self._receive(self._read, MIB)
            if not data:
                break
            self._received += len(data)
        return wrong_count(length, self._received)

    def _check_hashes(self) -> None:
        declared = self._declared
        if declared.sha256:
            computed = self._digests["SHA256"].digest().hex()
            if computed != declared.sha256.lower():  # not secret: the sender knows both
                raise S3Error(
                    "XAmzContentSHA256Mismatch",
                    extra={"ClientComputedContentSHA256": declared.sha256, "S3ComputedContentSHA256": computed},
                )
        if declared.md5:
            md5 = self._digests["MD5"].digest()
            if md5 != declared.md5:
                expected = checksums.encode(declared.md5) if declared.document else declared.md5.hex()
                raise S3Error(
                    "BadDigest",
                    "The Content-MD5 you specified did not match what we received.",
                    {"ExpectedDigest": expected, "CalculatedDigest": checksums.encode(md5)},
                )

    def _check_trailer(self, decoder: ChunkDecoder) -> None:
        declared = self._declared
        if declared.framing.signed and (decoder.trailers or decoder.trailer_signature):
            assert self._seed is not None
            self._seed.check_trailer(decoder.signed_trailer or b"\n", decoder.trailer_signature)
        if set(decoder.trailers) != ({declared.trailer} if declared.trailer else set()):
            raise S3Error("MalformedTrailerError")

    def _check_checksum(self) -> None:
        declared = self._declared
        expected = declared.checksum
        if declared.trailer:
            assert self._decoder is not None
            where = f"{declared.trailer.lower()} trailing header"
            expected = checksums.decode(declared.algorithm, self._decoder.trailers[declared.trailer], where)
        if expected and checksums.encode(expected) != self.checksums[declared.algorithm]:
            raise S3Error("BadDigest", f"The {declared.algorithm} you specified did not match the calculated checksum.")


def _bytes_of(events: list[Event]) -> bytes:
    return b"".join([event for event in events if isinstance(event, memoryview)])


def _too_long(limit: int) -> S3Error:
    return S3Error("MaxMessageLengthExceeded", extra={"MaxMessageLengthBytes": str(limit)})
