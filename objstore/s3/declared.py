"""What a request's headers say of its body: length, framing, hashes. Decided before a byte is read."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import NamedTuple

from objstore.s3 import checksums
from objstore.s3.errors import S3Error

UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
_SHA256 = re.compile(r"[0-9a-fA-F]{64}\Z")
_LENGTH = re.compile(r"[0-9]{1,18}\Z")


class Framing(NamedTuple):
    """chunked: in chunks of S3's own. signed: each chunk with a signature. trailer: headers follow the chunks."""

    chunked: bool = False
    signed: bool = False
    trailer: bool = False


PLAIN = Framing()
FRAMINGS = {
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD": Framing(True, True, False),
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER": Framing(True, True, True),
    "STREAMING-UNSIGNED-PAYLOAD-TRAILER": Framing(True, False, True),
}
_ASYMMETRIC = ("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER")
_CHOICES = (
    "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, "
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, "
    "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD, STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER "
    "or a valid sha256 value."
)


class Declared(NamedTuple):
    """length: of the payload, in bytes; None where it is not told. sha256: in hex, '' for none; md5: b'' for none.

    algorithm: of the checksum that is told or asked for, '' for none; checksum: its value, b'' where
    it is told in the trailer or not at all. trailer: the header that follows the body, canonical, or ''.
    """

    framing: Framing
    length: int | None
    sha256: str = ""
    md5: bytes = b""
    algorithm: str = ""
    checksum: bytes = b""
    trailer: str = ""


NOTHING = Declared(PLAIN, 0)


def read(headers: Mapping[str, str], payload: str) -> Declared:
    """headers: canonical name to text. payload: what the signature says of the body (`Proof.payload`).

    Raises S3Error InvalidArgument, InvalidRequest, InvalidDigest, MissingContentLength, NotImplemented.
    """
    framing, sha256 = _framing(payload)
    md5 = _md5(headers["Content-Md5"]) if "Content-Md5" in headers else b""
    length = _length(headers, framing)
    trailer = _trailer(headers, framing)
    algorithm, checksum = _checksum(headers)
    if trailer:
        if checksum:
            raise S3Error(
                "InvalidRequest",
                "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
            )
        algorithm = checksums.BY_HEADER[trailer]
    return Declared(framing, length, sha256, md5, algorithm, checksum, trailer)


def _framing(payload: str) -> tuple[Framing, str]:
    if not payload or payload == UNSIGNED_PAYLOAD:
        return PLAIN, ""
    if _SHA256.match(payload):
        return PLAIN, payload.lower()
    framing = FRAMINGS.get(payload)
    if framing is not None:
        return framing, ""
    if payload in _ASYMMETRIC:
        raise S3Error("NotImplemented", extra={"Header": "x-amz-content-sha256"})
    raise S3Error("InvalidArgument", _CHOICES, {"ArgumentName": "x-amz-content-sha256", "ArgumentValue": payload[:200]})


def _md5(text: str) -> bytes:
    try:
        md5 = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        md5 = b""
    if len(md5) != 16:
        raise S3Error("InvalidDigest", extra={"Content-MD5": text[:200]})
    return md5


def _length(headers: Mapping[str, str], framing: Framing) -> int | None:
    if not framing.chunked:
        text = headers.get("Content-Length")
        if text is None:
            return None if "Transfer-Encoding" in headers else 0
        return int(text)
    text = headers.get("X-Amz-Decoded-Content-Length")
    if text is None:
        raise S3Error("MissingContentLength")
    if not _LENGTH.match(text):
        raise S3Error("InvalidArgument", extra={"ArgumentName": "x-amz-decoded-content-length", "ArgumentValue": text})
    return int(text)


def _trailer(headers: Mapping[str, str], framing: Framing) -> str:
    text = headers.get("X-Amz-Trailer", "").strip()
    if not text or not framing.trailer:
        return ""
    names = [name.strip().title() for name in text.split(",")]
    if len(names) > 1:
        raise S3Error(
            "InvalidRequest", "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
        )
    if names[0] not in checksums.BY_HEADER:
        raise S3Error("InvalidRequest", "The value specified in the x-amz-trailer header is not supported")
    return names[0]


def _checksum(headers: Mapping[str, str]) -> tuple[str, bytes]:
    told = [name for name in headers if name.startswith(checksums.PREFIX) and name not in checksums.OTHERS]
    if len(told) > 1:
        raise S3Error(
            "InvalidRequest", "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
        )
    wanted = ""
    if "X-Amz-Sdk-Checksum-Algorithm" in headers:
        wanted = checksums.known(headers["X-Amz-Sdk-Checksum-Algorithm"], "x-amz-sdk-checksum-algorithm")
    if not told:
        return wanted, b""
    name = told[0]
    algorithm = checksums.BY_HEADER.get(name)
    if algorithm is None:
        raise S3Error("InvalidRequest", f"The algorithm type you specified in {name.lower()} header is invalid.")
    if wanted and wanted != algorithm:
        raise S3Error("InvalidRequest", "Value for x-amz-sdk-checksum-algorithm header is invalid.")
    return algorithm, checksums.decode(algorithm, headers[name], name)
