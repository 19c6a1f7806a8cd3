"""Etags and checksums of an object from those of its parts (S3 User Guide: Checking object integrity).

A composite checksum is that of the concatenated checksums of the parts, followed by the number of parts. That of the
full object can be computed for CRCs, which combine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

from awscrt import checksums as crt

from objstore.s3.data.object_headers import Checksum
from objstore.s3.language import checksums
from objstore.s3.multipart.uploads import COMPOSITE, FULL_OBJECT

_COMBINE: dict[str, Callable[[int, int, int], int]] = {
    "CRC32": crt.combine_crc32,
    "CRC32C": crt.combine_crc32c,
    "CRC64NVME": crt.combine_crc64nvme,
}
# The types that an algorithm can have, the default first: only CRCs combine.
TYPES = {
    **dict.fromkeys(checksums.ALGORITHMS, (COMPOSITE,)),
    "CRC32": (COMPOSITE, FULL_OBJECT),
    "CRC32C": (COMPOSITE, FULL_OBJECT),
    "CRC64NVME": (FULL_OBJECT,),
}


def etag(parts: Sequence[str]) -> str:
    """Return `md5-of-md5s-N`, without quotes. parts: MD5s in hex."""
    md5 = hashlib.md5(b"".join(map(bytes.fromhex, parts)), usedforsecurity=False)
    return f"{md5.hexdigest()}-{len(parts)}"


def composite(algorithm: str, parts: Sequence[str]) -> Checksum:
    """Return the composite checksum. parts: checksums of the parts, in base64."""
    digest = checksums.ALGORITHMS[algorithm].new()
    for part in parts:
        digest.update(checksums.raw(part))
    return Checksum(algorithm, f"{checksums.encode(digest.digest())}-{len(parts)}", COMPOSITE, len(parts))


def full(algorithm: str, parts: Iterable[tuple[str, int]]) -> Checksum:
    """Return the full checksum of an object. parts: checksum in base64, and size in bytes, of each."""
    combine = _COMBINE[algorithm]
    value = count = 0
    for part, size in parts:
        value = combine(value, int.from_bytes(checksums.raw(part), "big"), size)
        count += 1
    encoded = checksums.encode(value.to_bytes(checksums.ALGORITHMS[algorithm].size, "big"))
    return Checksum(algorithm, encoded, FULL_OBJECT, count)
