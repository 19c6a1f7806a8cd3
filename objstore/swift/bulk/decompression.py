"""The bytes of an archive, decompressed piece by piece: bounded in memory and in the growth of what was received.

A compressed archive of a few kilobytes may hold gigabytes. Each step produces a bounded number of bytes, in a thread,
and the request ends if it has produced more than a multiple of what the client has sent (`Growth`).
"""

from __future__ import annotations

import bz2
import importlib
import importlib.util
import lzma
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from objstore.core.errors import BodyTruncated, InvalidInput, LimitExceeded
from objstore.layers.bodies import ObjectBody
from objstore.runtime.threads import ThreadPool

_RECEIVED = 1 << 18  # bytes that are read at a time
_PRODUCED = 1 << 18
_ALWAYS_ALLOWED = 64 << 20  # bytes that are produced before a limit of growth counts
# A zstd block of 4 bytes may stand for 128 KiB, and the library has no limit for one call: 256 bytes for 8 MiB.
_ZSTD_STEP = 256


class Growth:
    """The limit of the bytes that one request produces: `factor` times those received; 0 for no limit."""

    def __init__(self, factor: int) -> None:
        self._factor = factor
        self._received = 0
        self._produced = 0

    def received(self, size: int) -> None:
        self._received += size

    def produced(self, size: int) -> None:
        """Count bytes; raises LimitExceeded if these are too many."""
        self._produced += size
        if self._factor and self._produced > max(_ALWAYS_ALLOWED, self._factor * self._received):
            raise LimitExceeded(f"it expands to more than {self._factor} times its size (max_expansion)")


class Decompressor(Protocol):
    """A decompressor of one stream, in the form of those of the standard library."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    @property
    def needs_input(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _Gzip:
    """zlib's decompressor in the form of the others."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        produced = self._inner.decompress(data or self._inner.unconsumed_tail, max_length)
        self.needs_input = not self._inner.unconsumed_tail and len(produced) < max_length
        return produced


class _Zstd:
    """The decompressor of the package zstandard in the form of the others; a result may exceed its limit by 8 MiB."""

    def __init__(self, memory: int) -> None:
        zstandard = importlib.import_module("zstandard")
        self._inner = zstandard.ZstdDecompressor(max_window_size=memory).decompressobj()
        self._rest = memoryview(b"")

    @property
    def eof(self) -> bool:
        return bool(self._inner.eof)

    @property
    def needs_input(self) -> bool:
        return not self._rest

    @property
    def unused_data(self) -> bytes:
        return bytes(self._inner.unused_data) + bytes(self._rest)

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        if data:
            self._rest = memoryview(data)
        produced, size = [], 0
        while self._rest and size < max_length and not self._inner.eof:
            step, self._rest = self._rest[:_ZSTD_STEP], self._rest[_ZSTD_STEP:]
            piece = self._inner.decompress(step)
            if piece:
                produced.append(piece)
                size += len(piece)
        return b"".join(produced)


def _zstd(memory: int) -> Decompressor:
    """Make a decompressor of the standard library (from Python 3.14), else of the package."""
    if importlib.util.find_spec("compression") is None:
        return _Zstd(memory)
    zstd: Any = importlib.import_module("compression.zstd")
    options = {zstd.DecompressionParameter.window_log_max: max(10, memory.bit_length() - 1)}
    made: Decompressor = zstd.ZstdDecompressor(options=options)
    return made


def _has_zstd() -> bool:
    return any(importlib.util.find_spec(name) is not None for name in ("compression", "zstandard"))


class Format(NamedTuple):
    """A format of archives. make: a decompressor that uses up to a number of bytes; None for a plain archive."""

    make: Callable[[int], Decompressor] | None = None
    is_available: Callable[[], bool] = lambda: True


FORMATS = {
    "tar": Format(),
    "tar.gz": Format(lambda memory: _Gzip()),
    "tar.bz2": Format(lambda memory: bz2.BZ2Decompressor()),
    "tar.xz": Format(lambda memory: lzma.LZMADecompressor(lzma.FORMAT_XZ, memory)),
    "tar.zst": Format(_zstd, _has_zstd),
}


def available_formats() -> tuple[str, ...]:
    """Return the names of the formats that this installation reads."""
    return tuple(name for name, each in FORMATS.items() if each.is_available())


class PlainBytes:
    """An archive that is not compressed."""

    def __init__(self, body: ObjectBody, growth: Growth) -> None:
        self._body = body
        self._growth = growth

    def read(self) -> bytes:
        """Return the next bytes, b'' at the end. Raises the errors of reading the body."""
        data = bytes(self._body.read_chunk(_RECEIVED))
        self._growth.received(len(data))
        return data


class DecompressedBytes:
    """An archive that is decompressed, in one or more streams that follow each other."""

    def __init__(self, body: ObjectBody, growth: Growth, make: Callable[[], Decompressor], pool: ThreadPool) -> None:
        """pool: the threads that decompress."""
        self._body = body
        self._growth = growth
        self._make = make
        self._pool = pool
        self._stream = make()
        self._input = b""
        self._has_begun = False  # the current stream

    def read(self) -> bytes:
        """Return the next bytes, b'' at the end.

        Raises InvalidInput, BodyTruncated, LimitExceeded, and the errors of reading the body.
        """
        while True:
            if not self._input and (self._stream.needs_input or self._stream.eof):
                self._input = bytes(self._body.read_chunk(_RECEIVED))
                self._growth.received(len(self._input))
                if not self._input:
                    if self._has_begun and not self._stream.eof:
                        raise BodyTruncated("unexpected end of compressed data")
                    return b""
            if self._stream.eof:
                self._input = self._input.lstrip(b"\0")  # padding of tapes
                if not self._input:
                    continue
                self._stream = self._make()
            self._has_begun = True
            produced = self._pool.run(self._step)
            if produced:
                self._growth.produced(len(produced))
                return produced

    def _step(self) -> bytes:
        data, self._input = self._input, b""
        try:
            produced = self._stream.decompress(data, _PRODUCED)
        except Exception as failure:  # each library has classes of its own
            raise InvalidInput(f"invalid compressed data: {failure}") from None
        if self._stream.eof:
            self._input = self._stream.unused_data
        return produced


def opened(format: str, body: ObjectBody, growth: Growth, memory: int, pool: ThreadPool) -> Callable[[], bytes]:
    """Return the function that reads an archive of a format. memory: maximum bytes that a decompressor uses."""
    make = FORMATS[format].make
    if make is None:
        return PlainBytes(body, growth).read
    return DecompressedBytes(body, growth, lambda: make(memory), pool).read
