"""The declarations in a request's headers about its body: length, framing, hashes. Checked before a byte is read."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import NamedTuple

from objstore.s3.language import checksums
from objstore.s3.language.errors import S3Error, wrong_count

MAX_PUT = 5 << 30  # bytes of one PUT or copy
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
_SHA256 = re.compile(r"[0-9a-fA-F]{64}\Z")
_LENGTH = re.compile(r"[0-9]{1,18}\Z")


class Framing(NamedTuple):
    """The framing of a body.

    chunked: in S3's own chunks. signed: each chunk has a signature. trailer: headers follow the chunks.
    """

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
_STREAMING = frozenset({*FRAMINGS, *_ASYMMETRIC})
_CHOICES = (
    "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, "
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, "
    "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD, STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER "
    "or a valid sha256 value."
)
_ONE = "Expecting a single x-amz-checksum- header"
_NOT_SEVERAL = f"{_ONE}. Multiple checksum Types are not allowed."
_UNKNOWN = "The algorithm type you specified in x-amz-checksum- header is invalid."
_UNKNOWN_TRAILER = "The value specified in the x-amz-trailer header is not supported"
_ANNOUNCED_ONLY = (
    "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found."
)
_OTHER_ANNOUNCED = "Value for x-amz-sdk-checksum-algorithm header is invalid."


class Declared(NamedTuple):
    """The declarations of a request about its body.

    length: of the payload, in bytes; None if it is not announced. sha256: as sent, '' for none; md5: b'' for none.
    algorithm: of the checksum that is sent or requested, '' for none; checksum: its value, b'' if it comes in the
    trailer or not at all. trailer: the canonical name of the header that follows the body, or ''. document: True if
    the body is a document instead of an object's bytes.
    """

    framing: Framing
    length: int | None
    sha256: str = ""
    md5: bytes = b""
    algorithm: str = ""
    checksum: bytes = b""
    trailer: str = ""
    document: bool = False


NOTHING = Declared(PLAIN, 0)


def read(headers: Mapping[str, str], payload: str, words: bool = True, default_algorithm: str = "") -> Declared:
    """Return the declarations of a request about its body.

    headers: canonical name to text. payload: the value of x-amz-content-sha256, or its replacement. words: S3
    interprets that value; in presigned URLs and under version 2 it only compares it with the body's hash, whatever it
    is. default_algorithm: of a checksum to compute if the request has none.

    Raises S3Error IncompleteBody, InvalidArgument, InvalidRequest, InvalidDigest, MalformedTrailerError,
    MissingContentLength, NotImplemented.
    """
    framing, sha256 = framing_of(payload) if words else (PLAIN, "" if payload == UNSIGNED_PAYLOAD else payload)
    md5 = _md5(headers["Content-Md5"]) if "Content-Md5" in headers else b""
    length = _length(headers, payload in _STREAMING)
    if not words and payload in _STREAMING and "Content-Length" in headers:
        _check_raw_length(headers["Content-Length"], length or 0)
    algorithm, checksum, trailer = _checksum(headers, framing)
    return Declared(framing, length, sha256, md5, algorithm or default_algorithm, checksum, trailer)


def framing_of(payload: str) -> tuple[Framing, str]:
    """Return the framing and the SHA-256 of a value of x-amz-content-sha256.

    Raises S3Error InvalidArgument for an invalid value, NotImplemented for asymmetric signatures.
    """
    if not payload or payload == UNSIGNED_PAYLOAD:
        return PLAIN, ""
    if _SHA256.match(payload):
        return PLAIN, payload
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


def _length(headers: Mapping[str, str], streaming: bool) -> int | None:
    if not streaming:
        text = headers.get("Content-Length")
        if text is None:
            return None if "Transfer-Encoding" in headers else 0
        return int(text)
    text = headers.get("X-Amz-Decoded-Content-Length", "")
    if not _LENGTH.match(text):
        raise S3Error("MissingContentLength")
    return int(text)


def _check_raw_length(provided: str, expected: int) -> None:
    """Compare the length of a body with its decoded length, if its framing is not read."""
    if int(provided) != expected:
        raise wrong_count(expected, int(provided))


def too_large(size: int) -> S3Error:
    """Return the error for an upload of more than MAX_PUT bytes."""
    return S3Error("EntityTooLarge", "", {"ProposedSize": str(size), "MaxSizeAllowed": str(MAX_PUT)})


def has_length(headers: Mapping[str, str]) -> bool:
    """Return whether a request announces its body, by a length or by a transfer coding."""
    return "Content-Length" in headers or "Transfer-Encoding" in headers


def _checksum(headers: Mapping[str, str], framing: Framing) -> tuple[str, bytes, str]:
    """Return the algorithm, the value and the trailer of the checksum of a body. The order of the rules is S3's."""
    names = checksums.header_names(headers)
    trailers = _trailers(headers[checksums.TRAILER]) if checksums.TRAILER in headers else []
    if not names and not trailers and checksums.ANNOUNCEMENT not in headers:
        return "", b"", ""
    if any(name not in checksums.BY_HEADER for name in names):
        raise S3Error("InvalidRequest", _UNKNOWN)
    if any(name not in checksums.BY_HEADER for name in trailers):
        raise S3Error("InvalidRequest", _UNKNOWN_TRAILER)
    if len(names) > 1 or len(trailers) > 1:
        raise S3Error("InvalidRequest", _NOT_SEVERAL)
    if names and trailers:
        raise S3Error("InvalidRequest", _ONE)
    if trailers and not framing.trailer:
        raise S3Error("MalformedTrailerError")
    name = (*names, *trailers, "")[0]
    algorithm = checksums.BY_HEADER.get(name, "")
    if checksums.ANNOUNCEMENT in headers:
        algorithm = _announced(headers, algorithm)
    checksum = checksums.decode(algorithm, headers[name], f"{name.lower()} header") if names else b""
    return algorithm, checksum, name if trailers else ""


def _trailers(text: str) -> list[str]:
    """Return the canonical names in x-amz-trailer; commas at the end are ignored."""
    text = text.strip()
    return [name.strip().title() for name in text.rstrip(",").split(",")] if text else []


def _announced(headers: Mapping[str, str], algorithm: str) -> str:
    """Return the announced algorithm. An MD5 may come as Content-MD5.

    algorithm: of the checksum's header or trailer, '' for none. Raises S3Error InvalidRequest if the announced
    checksum is missing, or of another algorithm.
    """
    announced = headers[checksums.ANNOUNCEMENT].strip().upper()
    if announced == "MD5" and "Content-Md5" in headers and not algorithm:
        return announced
    if announced not in checksums.ALGORITHMS or (algorithm and algorithm != announced):
        raise S3Error("InvalidRequest", _OTHER_ANNOUNCED)
    if not algorithm:
        raise S3Error("InvalidRequest", _ANNOUNCED_ONLY)
    return algorithm
