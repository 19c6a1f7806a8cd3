"""The checksums that S3 clients send and request (S3 User Guide: Checking object integrity)."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import xxhash
from awscrt import checksums as crt
from isal import isal_zlib

from objstore.s3.language.errors import S3Error


class Digest(Protocol):
    def update(self, data: Any, /) -> None: ...

    def digest(self) -> bytes: ...


class Crc:
    """A CRC that is computed in pieces. function: of (data, value so far)."""

    __slots__ = ("_function", "_size", "_value")

    def __init__(self, function: Callable[[object, int], int], size: int) -> None:
        self._function = function
        self._size = size
        self._value = 0

    def update(self, data: object, /) -> None:
        self._value = self._function(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size, "big")


class Algorithm(NamedTuple):
    """A checksum algorithm. size: of a checksum, in bytes. quick: a GB takes less than 0.1 s."""

    new: Callable[[], Digest]
    size: int
    quick: bool = False


ALGORITHMS: dict[str, Algorithm] = {
    "CRC32": Algorithm(lambda: Crc(isal_zlib.crc32, 4), 4, True),
    "CRC32C": Algorithm(lambda: Crc(crt.crc32c, 4), 4, True),
    "CRC64NVME": Algorithm(lambda: Crc(crt.crc64nvme, 8), 8, True),
    "SHA1": Algorithm(lambda: hashlib.sha1(usedforsecurity=False), 20),
    "SHA256": Algorithm(hashlib.sha256, 32),
    "SHA512": Algorithm(hashlib.sha512, 64),
    "MD5": Algorithm(lambda: hashlib.md5(usedforsecurity=False), 16),
    # Seed 0; their digests are big-endian, as SDKs send them.
    "XXHASH64": Algorithm(xxhash.xxh64, 8, True),
    "XXHASH3": Algorithm(xxhash.xxh3_64, 8, True),
    "XXHASH128": Algorithm(xxhash.xxh3_128, 16, True),
}
DEFAULT = "CRC64NVME"  # what S3 stores for an object uploaded without a checksum
# SDKs that do not have these fail a read whose answer has no other checksum. Therefore objects with one of them have
# that of COMPANION too, which all SDKs have, and which costs little.
RARE = frozenset({"SHA512", "MD5", "XXHASH64", "XXHASH3", "XXHASH128"})
COMPANION = "CRC32C"
PREFIX = "X-Amz-Checksum-"
BY_HEADER = {f"{PREFIX}{name.title()}": name for name in ALGORITHMS}
# The header by which SDKs name the algorithm of the checksum that they send.
ANNOUNCEMENT = "X-Amz-Sdk-Checksum-Algorithm"
TRAILER = "X-Amz-Trailer"  # names the header that follows the body
# Headers with the same prefix that are not checksums.
_NOT_CHECKSUMS = frozenset({f"{PREFIX}Algorithm", f"{PREFIX}Mode", f"{PREFIX}Type"})


def header_of(algorithm: str) -> str:
    """Return the canonical name of the header that holds a checksum of this algorithm."""
    return PREFIX + algorithm.title()


def algorithm_name(algorithm: str, header: str) -> str:
    """Return an algorithm's name in capitals; raises S3Error InvalidRequest if the algorithm is unknown.

    header: the header with the name, for the message.
    """
    name = algorithm.strip().upper()
    if name not in ALGORITHMS:
        raise S3Error("InvalidRequest", f"Value for {header.lower()} header is invalid.")
    return name


def header_names(headers: Mapping[str, str]) -> list[str]:
    """Return the names of the checksum headers of a request, including those of unknown algorithms."""
    if PREFIX not in "\n".join(headers):
        return []
    return [name for name in headers if name[:15] == PREFIX and name not in _NOT_CHECKSUMS]


def is_declaration(name: str) -> bool:
    """Return whether a header of this name, other than the trailer's, declares the checksum of a body."""
    return name == ANNOUNCEMENT or (name[:15] == PREFIX and name not in _NOT_CHECKSUMS)


def of_url(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers in the query of a presigned URL, without a checksum of nothing.

    SDKs that sign a URL before there is a body add that one; any other checksum limits the URL to one content.
    """
    names = header_names(headers)
    if names and not all(name in BY_HEADER and headers[name] == of_nothing(BY_HEADER[name]) for name in names):
        return {name: value for name, value in headers.items() if name != TRAILER}
    return {name: value for name, value in headers.items() if name != TRAILER and not is_declaration(name)}


def declared_algorithm(headers: Mapping[str, str]) -> str:
    """Return the algorithm of the checksum that headers declare; '' for none, or an unknown one."""
    announced = headers.get(ANNOUNCEMENT, "").strip().upper()
    if announced in ALGORITHMS:
        return announced
    return next((BY_HEADER[name] for name in header_names(headers) if name in BY_HEADER), "")


def decode(algorithm: str, value: str, where: str) -> bytes:
    """Return the bytes of a checksum in base64.

    where: the place of the value, for the message. Raises S3Error InvalidRequest if the algorithm cannot have such a
    value.
    """
    try:
        checksum = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        checksum = b""
    if len(checksum) != ALGORITHMS[algorithm].size or encode(checksum) != value:
        raise S3Error("InvalidRequest", f"Value for {where} is invalid.")
    return checksum


def is_valid(algorithm: str, value: str) -> bool:
    """Return whether this is base64, in its canonical form, of as many bytes as the algorithm's checksums have."""
    try:
        decode(algorithm, value, "")
    except S3Error:
        return False
    return True


def of_nothing(algorithm: str) -> str:
    """Return the checksum of an empty body, in base64."""
    return encode(ALGORITHMS[algorithm].new().digest())


def raw(value: str) -> bytes:
    """Return the bytes of a checksum that this module encoded."""
    return base64.b64decode(value)


def encode(checksum: bytes) -> str:
    return base64.b64encode(checksum).decode()
