"""The container of ring and builder files: a JSON header and arrays of numbers, sealed by a digest.

    file    := magic version length header array* digest
    magic   := 8 bytes, the kind of file
    version := u32, of the kind's format
    length  := u32, bytes of the header with its padding
    header  := JSON object in UTF-8, padded with spaces; "arrays" lists [name, item bytes, items]
    array   := items, then zero bytes
    digest  := 32 bytes, SHA-256 of all that stands before

All numbers are little-endian and unsigned; header and arrays are padded so that what follows
starts at a multiple of 8 bytes. A reader ignores header keys and arrays that it does not know.
"""

from __future__ import annotations

import hashlib
import json
import struct
import sys
from array import array
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from objstore.core.errors import MALFORMED, ConfigError

PREAMBLE = struct.Struct("<8sII")
DIGEST_BYTES = 32
TYPE_CODES: dict[int, Literal["B", "H", "I", "Q"]] = {
    1: "B",
    2: "H",
    4: "I",
    8: "Q",
}  # item bytes to the struct module's code


class FileKind(NamedTuple):
    """magic: 8 bytes; version: the newest that is read; name: for messages ("ring file")."""

    magic: bytes
    version: int
    name: str


class Sealed(NamedTuple):
    """header: without the list of arrays. arrays: by name, as views of unsigned integers."""

    header: dict[str, Any]
    arrays: dict[str, memoryview]


def seal(kind: FileKind, version: int, header: Mapping[str, object], arrays: Mapping[str, memoryview]) -> bytes:
    """The bytes of a file. The same contents always give the same bytes. version: the oldest that can say them."""
    listed = [[name, view.itemsize, len(view)] for name, view in arrays.items()]
    text = json.dumps({**header, "arrays": listed}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    encoded = text.encode("utf-8", "surrogatepass")
    encoded += b" " * _padding(len(encoded))
    parts = [PREAMBLE.pack(kind.magic, version, len(encoded)), encoded]
    for view in arrays.values():
        parts += [_little_endian(view), bytes(_padding(view.nbytes))]
    body = b"".join(parts)
    return body + hashlib.sha256(body).digest()


def unseal(kind: FileKind, buffer: bytes | memoryview, source: str) -> Sealed:
    """Contents of a file; arrays are views into `buffer`, not copies.

    source: the file's name, for messages. Raises ConfigError for anything but an intact file of this kind, of a
    version that is known.
    """
    data = memoryview(buffer)
    if len(data) < PREAMBLE.size + DIGEST_BYTES:
        raise ConfigError(f"{source}: not a {kind.name}, or truncated: it has only {len(data)} bytes")
    magic, version, length = PREAMBLE.unpack_from(data)
    if magic != kind.magic:
        raise ConfigError(f"{source}: not a {kind.name}")
    if not 1 <= version <= kind.version:
        known = " to ".join(map(str, sorted({1, kind.version})))
        raise ConfigError(f"{source}: {kind.name} of format version {version}; this program reads {known}")
    body = data[:-DIGEST_BYTES]
    if hashlib.sha256(body).digest() != data[-DIGEST_BYTES:]:
        raise ConfigError(f"{source}: damaged or truncated {kind.name}: the checksum does not match")
    try:
        header = json.loads(str(body[PREAMBLE.size : PREAMBLE.size + length], "utf-8", "surrogatepass"))
        return Sealed(header, _arrays(body, PREAMBLE.size + length, header.pop("arrays")))
    except MALFORMED as error:
        raise ConfigError(f"{source}: {kind.name} with unusable contents: {error!r}") from error


def _arrays(body: memoryview, start: int, listed: list[tuple[str, int, int]]) -> dict[str, memoryview]:
    arrays = {}
    for name, width, items in listed:
        size = width * items
        if start + size > len(body):
            raise ValueError(f"array {name} reaches beyond the end")
        arrays[name] = _native(body[start : start + size], TYPE_CODES[width])
        start += size + _padding(size)
    return arrays


def _padding(size: int) -> int:
    return -size % 8


def _little_endian(view: memoryview) -> bytes:
    if sys.byteorder == "little":
        return view.tobytes()
    swapped = array(TYPE_CODES[view.itemsize], view.tobytes())
    swapped.byteswap()
    return swapped.tobytes()


def _native(view: memoryview, code: Literal["B", "H", "I", "Q"]) -> memoryview:
    if sys.byteorder == "little":
        return view.cast(code)
    swapped = array(code, view.tobytes())
    swapped.byteswap()
    return memoryview(swapped)
