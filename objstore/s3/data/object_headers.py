"""S3's headers of objects and ours: what a request says is kept under which name, and how it is said back.

Names of ours are canonical; those of S3's answers are lower case, since SDKs give the names of
user metadata to their callers as they came.
"""

from __future__ import annotations

import base64
import binascii
import email.header
import json
from collections.abc import Container, Mapping
from email.errors import HeaderParseError
from typing import NamedTuple

from objstore.access.judge import OBJECT_ACL, OBJECT_TAGS
from objstore.core.errors import InvalidInput
from objstore.core.listed import DEFAULT_TYPE, STORAGE_CLASS, class_header
from objstore.core.metadata import not_sendable
from objstore.core.text import is_header_name, to_native
from objstore.core.timestamps import Timestamp
from objstore.s3.data.storage_classes import AT_ONCE, STANDARD
from objstore.s3.language import tags
from objstore.s3.language.errors import S3Error
from objstore.web.conditions import http_date_seconds
from objstore.web.responses import http_date

# Fixed when the object is written.
CHECKSUM = "X-Object-Sysmeta-S3-Checksum"
ETAG = "X-Object-Sysmeta-S3-Etag"  # where it is not the MD5
REDIRECT = "X-Object-Sysmeta-S3-Website-Redirect"
ENCRYPTION = "X-Object-Sysmeta-S3-Encryption"  # asked for by the uploader
# Changed later; a POST replaces these and the user metadata together.
ACL = OBJECT_ACL
TAGS = OBJECT_TAGS
EMPTY = "X-Object-Transient-Sysmeta-S3-Empty"  # names of user metadata whose value is empty

USER = "X-Amz-Meta-"
_KEPT_USER = "X-Object-Meta-"
_DATA_TIMESTAMP = "X-Backend-Data-Timestamp"
MOST_METADATA = 2048  # bytes of names and values
MOST_SYSTEM_METADATA = 8192  # likewise, with the user metadata
_LONGEST_ENCODED = 4 * MOST_METADATA  # characters of a value in which encoded words are read
# Charsets of encoded words. Python knows many more, among them some that give what is no text.
_CHARSETS = {name: name for name in ("ascii", "us-ascii", "utf-8", "iso-8859-1", "iso-8859-15", "windows-1252")}

# Said and kept alike.
SYSTEM_HEADERS = (
    "Content-Type", "Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language", "Expires",
)  # fmt: skip

_SHOWN = {name: name for name in (*SYSTEM_HEADERS, "Content-Length", "Content-Range")} | {
    STORAGE_CLASS: "x-amz-storage-class",
    REDIRECT: "x-amz-website-redirect-location",
    ENCRYPTION: "x-amz-server-side-encryption",
}
# Query keys that override headers of a GET's answer.
OVERRIDES = {f"response-{name.lower()}": name for name in SYSTEM_HEADERS}

_UNSUPPORTED = (
    "X-Amz-Server-Side-Encryption-Customer-Algorithm", "X-Amz-Server-Side-Encryption-Customer-Key",
    "X-Amz-Server-Side-Encryption-Customer-Key-Md5", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id",
    "X-Amz-Server-Side-Encryption-Context", "X-Amz-Server-Side-Encryption-Bucket-Key-Enabled",
    "X-Amz-Write-Offset-Bytes",
)  # fmt: skip
_ENCRYPTION = "X-Amz-Server-Side-Encryption"
_ACCEPTED = "AES256"
_ALGORITHMS = (_ACCEPTED, "aws:kms", "aws:kms:dsse", "aws:fsx")
REFUSE, ACCEPT = "refuse", "accept"  # values of the setting server_side_encryption
_LOCK = ("X-Amz-Object-Lock-Mode", "X-Amz-Object-Lock-Retain-Until-Date", "X-Amz-Object-Lock-Legal-Hold")


class Checksum(NamedTuple):
    """algorithm: in capitals (`CRC32C`). value: base64. type: FULL_OBJECT or COMPOSITE. parts: 0 where in one piece."""

    algorithm: str
    value: str
    type: str = "FULL_OBJECT"
    parts: int = 0

    @property
    def header(self) -> str:
        return f"x-amz-checksum-{self.algorithm.lower()}"

    def headers(self) -> dict[str, str]:
        """As an answer says it."""
        return {self.header: self.value, "x-amz-checksum-type": self.type}

    def dump(self) -> str:
        kept = {"algorithm": self.algorithm, "value": self.value, "type": self.type}
        return json.dumps({**kept, "parts": self.parts} if self.parts else kept, separators=(",", ":"))

    @classmethod
    def load(cls, kept: str) -> Checksum | None:
        return cls(**json.loads(kept)) if kept else None


# From a request to what is kept.


def refuse_unsupported(headers: Mapping[str, str], encryption: str = ACCEPT) -> None:
    """Raises S3Error for what would silently not be done: encryption, locks, appending.

    encryption: of AES256, ACCEPT or REFUSE.
    """
    asked = headers.get(_ENCRYPTION)
    if asked is not None and asked not in _ALGORITHMS:
        extra = {"ArgumentName": _ENCRYPTION.lower(), "ArgumentValue": asked}
        raise S3Error("InvalidArgument", "The encryption method specified is not supported", extra)
    if asked is not None and (asked != _ACCEPTED or encryption != ACCEPT):
        raise S3Error("NotImplemented", "", {"Header": _ENCRYPTION.lower()})
    for name in _UNSUPPORTED:
        if name in headers:
            raise S3Error("NotImplemented", "", {"Header": name.lower()})
    if any(name in headers for name in _LOCK):
        raise S3Error("InvalidRequest", "Bucket is missing Object Lock Configuration")


def described(
    headers: Mapping[str, str], classes: Container[str] = AT_ONCE, encryption: str = ACCEPT
) -> dict[str, str]:
    """What an upload says of the object besides tags and ACL, as it is kept. classes: that it can ask for.

    encryption: see `refuse_unsupported`. Raises S3Error MetadataTooLarge, InvalidStorageClass,
    InvalidRedirectLocation, NotImplemented, InvalidArgument, InvalidRequest.
    """
    refuse_unsupported(headers, encryption)
    kept = {name: headers[name] for name in SYSTEM_HEADERS if headers.get(name)}
    kept.setdefault("Content-Type", DEFAULT_TYPE)
    kept.update(user_metadata(headers))
    kept.update(storage_class(headers, classes))
    size = sum(len(name) + len(to_native(value)) for name, value in kept.items())
    if size > MOST_SYSTEM_METADATA:
        raise S3Error("MetadataTooLarge", "", {"Size": str(size), "MaxSizeAllowed": str(MOST_SYSTEM_METADATA)})
    redirect = headers.get("X-Amz-Website-Redirect-Location")
    if redirect is not None:
        if not redirect.startswith(("/", "http://", "https://")):
            raise S3Error("InvalidRedirectLocation")
        kept[REDIRECT] = redirect
    if _ENCRYPTION in headers:
        kept[ENCRYPTION] = headers[_ENCRYPTION]
    _sendable(kept)
    return kept | class_header(kept)


def encryption(kept: Mapping[str, str]) -> dict[str, str]:
    """The header of an answer to an upload that asked for encryption."""
    return {_SHOWN[ENCRYPTION]: kept[ENCRYPTION]} if ENCRYPTION in kept else {}


def storage_class(headers: Mapping[str, str], classes: Container[str] = AT_ONCE) -> dict[str, str]:
    chosen = headers.get("X-Amz-Storage-Class", STANDARD)
    if chosen not in classes:
        raise S3Error("InvalidStorageClass", "", {"StorageClassRequested": chosen})
    return {} if chosen == STANDARD else {STORAGE_CLASS: chosen}


def user_metadata(headers: Mapping[str, str]) -> dict[str, str]:
    """The user metadata of a request, as kept."""
    kept = {}
    empty = []
    size = 0
    for name, value in headers.items():
        if not name.startswith(USER):
            continue
        key = name[len(USER) :]
        text = decoded(value)
        size += len(to_native(key)) + len(text.encode("utf-8", "surrogateescape"))
        if text:
            kept[_KEPT_USER + _kept_name(key)] = text
        else:
            empty.append(_empty_name(key))
    if size > MOST_METADATA:
        extra = {"Size": str(size), "MaxSizeAllowed": str(MOST_METADATA)}
        raise S3Error("MetadataTooLarge", "", extra)
    if empty:
        kept[EMPTY] = ",".join(empty)
    return kept


def _kept_name(key: str) -> str:
    """WSGI takes an underscore of a name for a hyphen; here the two are different names."""
    return key.replace("%", "%25").replace("_", "%5F") if "_" in key or "%" in key else key


def _empty_name(key: str) -> str:
    if not is_header_name(key):
        raise S3Error("InvalidArgument", "The name of the metadata is no header name.", {"ArgumentName": key})
    return key.lower()


def _said_name(kept: str) -> str:
    name = USER.lower() + kept.lower()
    return name.replace("%5f", "_").replace("%25", "%") if "%" in name else name


def decoded(value: str) -> str:
    """A header's value with its encoded words (RFC 2047) read; as it is if they are broken or of another charset."""
    if "=?" not in value or len(value) > _LONGEST_ENCODED:
        return value
    try:
        parts = email.header.decode_header(value)
        text = "".join(
            part if isinstance(part, str) else part.decode(_CHARSETS[(charset or "ascii").lower()])
            for part, charset in parts
        )
        return text or value
    except (HeaderParseError, UnicodeDecodeError, KeyError, binascii.Error, ValueError):
        return value


def _sendable(kept: Mapping[str, str]) -> Mapping[str, str]:
    """The headers, which an answer can have; raises S3Error InvalidArgument. They have been decoded by now."""
    for name in not_sendable(kept):
        said = _said_name(name[len(_KEPT_USER) :]) if name.startswith(_KEPT_USER) else name.lower()
        message = "The header has a name or value that HTTP cannot represent."
        raise S3Error("InvalidArgument", message, {"ArgumentName": said})
    return kept


def encoded(text: str) -> str:
    """Text as S3 says it in a header: what is not ASCII as an encoded word; bytes that are no text as they came."""
    if text.isascii():
        return text
    try:
        return f"=?UTF-8?B?{base64.b64encode(text.encode()).decode()}?="
    except UnicodeEncodeError:
        return text


def tagging(headers: Mapping[str, str]) -> dict[str, str]:
    """What x-amz-tagging asks to keep; raises S3Error InvalidTag, InvalidArgument, BadRequest."""
    text = headers.get("X-Amz-Tagging")
    kept = tags.dump(tags.from_header(text)) if text else ""
    return {TAGS: kept} if kept else {}


# From what is kept to an answer.


def shown(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers of a GET or HEAD of an object, without its checksum and version."""
    said = {"Accept-Ranges": "bytes"}
    for name, value in headers.items():
        plain = _SHOWN.get(name)
        if plain is not None:
            said[plain] = value
        elif name.startswith(_KEPT_USER):
            text = value if value.isascii() else encoded(value)
            said[_said_name(name[len(_KEPT_USER) :])] = text
    if EMPTY in headers:
        for key in filter(None, headers[EMPTY].split(",")):
            said[USER.lower() + key] = ""
    said["ETag"] = quoted_etag(headers)
    said["Last-Modified"] = http_date(modified(headers))
    if TAGS in headers and (tagged := tags.count(headers[TAGS])):
        said["x-amz-tagging-count"] = str(tagged)
    return said


def etag(headers: Mapping[str, str]) -> str:
    """Without quotes."""
    return (headers.get(ETAG) or headers.get("Etag", "")).strip('"')


def quoted_etag(headers: Mapping[str, str]) -> str:
    return f'"{etag(headers)}"'


def modified(headers: Mapping[str, str]) -> int:
    """Seconds since the epoch at which the data was written, rounded up: tagging leaves it as it is."""
    for name in (_DATA_TIMESTAMP, "X-Timestamp"):
        try:
            return Timestamp.parse(headers.get(name, "")).ceiling
        except InvalidInput:
            continue
    return http_date_seconds(headers.get("Last-Modified", "")) or 0


def checksum(headers: Mapping[str, str]) -> Checksum | None:
    return Checksum.load(headers.get(CHECKSUM, ""))


def carried(headers: Mapping[str, str], prefixes: tuple[str, ...]) -> dict[str, str]:
    """The kept headers whose names begin so, values as text: to be written again."""
    return {name: value for name, value in headers.items() if name.startswith(prefixes)}


def copied_metadata(headers: Mapping[str, str]) -> dict[str, str]:
    """What a copy takes over of its source: user metadata and the system headers."""
    kept = {name: headers[name] for name in SYSTEM_HEADERS if headers.get(name)}
    return kept | carried(headers, (_KEPT_USER, EMPTY))


def reposted(headers: Mapping[str, str], changed: Mapping[str, str]) -> dict[str, str]:
    """All that a POST must say to change some items (to '' to remove them) and leave the rest."""
    kept = {name: headers[name] for name in SYSTEM_HEADERS[1:] if headers.get(name)}
    kept |= carried(
        headers, (_KEPT_USER, "X-Object-Transient-Sysmeta-", "X-Delete-At", "X-Object-Manifest", "X-Robots-Tag")
    )
    kept.update(changed)
    return {name: value for name, value in kept.items() if value}
