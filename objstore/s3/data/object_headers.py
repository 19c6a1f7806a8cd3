"""The headers of S3 objects: those of requests, their stored names, and those of answers.

Stored names are canonical; names in S3's answers are lower case, since SDKs give the names of user metadata to their
callers unchanged.
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
from objstore.core.dlo import DLO
from objstore.core.errors import InvalidInput
from objstore.core.listed import CHECKSUM as CHECKSUM
from objstore.core.listed import DEFAULT_TYPE, STORAGE_CLASS, class_header
from objstore.core.manifests import OWN_ETAG
from objstore.core.metadata import is_sendable, not_sendable, sent_values
from objstore.core.text import to_native
from objstore.core.timestamps import Timestamp
from objstore.s3.data.storage_classes import AT_ONCE, STANDARD
from objstore.s3.language import checksums, tags
from objstore.s3.language.errors import S3Error
from objstore.web.conditions import http_date_seconds
from objstore.web.responses import http_date

# Set when the object is written.
ETAG = "X-Object-Sysmeta-S3-Etag"  # if it is not the MD5
REDIRECT = "X-Object-Sysmeta-S3-Website-Redirect"
ENCRYPTION = "X-Object-Sysmeta-S3-Encryption"  # requested by the uploader
# Changed later; a POST replaces these and the user metadata together.
ACL = OBJECT_ACL
TAGS = OBJECT_TAGS
# Names of user metadata whose value is empty, of objects from before version 0.2.
EMPTY = "X-Object-Transient-Sysmeta-S3-Empty"

USER = "X-Amz-Meta-"
_STORED_USER = "X-Object-Meta-"
_DATA_TIMESTAMP = "X-Backend-Data-Timestamp"
MAX_METADATA = 2048  # bytes of names and values
MAX_SYSTEM_METADATA = 8192  # likewise, with the user metadata
_MAX_ENCODED = 4 * MAX_METADATA  # characters of a value that is searched for encoded words
# Charsets of encoded words. Python has many more, some of which do not result in text.
_CHARSETS = {name: name for name in ("ascii", "us-ascii", "utf-8", "iso-8859-1", "iso-8859-15", "windows-1252")}

# The same in requests, in the store and in answers.
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
_UNSUPPORTED_SET = frozenset(_UNSUPPORTED)


class Checksum(NamedTuple):
    """A checksum of an object.

    algorithm: in capitals (`CRC32C`). value: base64. type: FULL_OBJECT or COMPOSITE. parts: their number, 0 if the
    object was not uploaded in parts. companion: the checksum of the same bytes of `checksums.COMPANION`, '' for none.
    """

    algorithm: str
    value: str
    type: str = "FULL_OBJECT"
    parts: int = 0
    companion: str = ""

    @classmethod
    def first_of(cls, values: Mapping[str, str]) -> Checksum | None:
        """Return the first of the checksums of a body, by algorithm; None if there is none."""
        for algorithm, value in values.items():
            companion = values.get(checksums.COMPANION, "") if algorithm in checksums.RARE else ""
            return cls(algorithm, value, companion=companion)
        return None

    @property
    def header(self) -> str:
        return f"x-amz-checksum-{self.algorithm.lower()}"

    def headers(self) -> dict[str, str]:
        """Return the headers of an answer."""
        return {self.header: self.value, "x-amz-checksum-type": self.type}

    def headers_with_body(self) -> dict[str, str]:
        """Return the headers of an answer with the bytes, which an SDK without the algorithm must be able to read."""
        companion = {f"x-amz-checksum-{checksums.COMPANION.lower()}": self.companion} if self.companion else {}
        return {**self.headers(), **companion}

    def dump(self) -> str:
        # No field has a character that JSON would escape.
        parts = f',"parts":{self.parts}' if self.parts else ""
        companion = f',"companion":"{self.companion}"' if self.companion else ""
        return f'{{"algorithm":"{self.algorithm}","value":"{self.value}","type":"{self.type}"{parts}{companion}}}'

    @classmethod
    def load(cls, text: str) -> Checksum | None:
        return cls(**json.loads(text)) if text else None


# From a request to the store


def refuse_unsupported(headers: Mapping[str, str], encryption: str = ACCEPT) -> None:
    """Refuse a request for encryption or appending, which would be ignored otherwise.

    encryption: the treatment of AES256, ACCEPT or REFUSE. Raises S3Error InvalidArgument, NotImplemented,
    InvalidRequest.
    """
    algorithm = headers.get(_ENCRYPTION)
    if algorithm is not None and algorithm not in _ALGORITHMS:
        extra = {"ArgumentName": _ENCRYPTION.lower(), "ArgumentValue": algorithm}
        raise S3Error("InvalidArgument", "The encryption method specified is not supported", extra)
    if algorithm is not None and (algorithm != _ACCEPTED or encryption != ACCEPT):
        raise S3Error("NotImplemented", "", {"Header": _ENCRYPTION.lower()})
    if _UNSUPPORTED_SET.isdisjoint(headers):
        return
    for name in _UNSUPPORTED:
        if name in headers:
            raise S3Error("NotImplemented", "", {"Header": name.lower()})


def stored_headers(
    headers: Mapping[str, str], classes: Container[str] = AT_ONCE, encryption: str = ACCEPT
) -> dict[str, str]:
    """Return the stored headers of an upload, without tags and ACL. classes: the available storage classes.

    encryption: see `refuse_unsupported`. Raises S3Error MetadataTooLarge, InvalidStorageClass,
    InvalidRedirectLocation, NotImplemented, InvalidArgument, InvalidRequest.
    """
    refuse_unsupported(headers, encryption)
    stored = {name: headers[name] for name in SYSTEM_HEADERS if headers.get(name)}
    stored.setdefault("Content-Type", DEFAULT_TYPE)
    if USER in "\n".join(headers):
        stored.update(_check_sendable(user_metadata(headers)))
    stored.update(storage_class(headers, classes))
    text = "".join(stored) + "".join(stored.values())
    size = len(text) if text.isascii() else sum(len(name) + len(to_native(value)) for name, value in stored.items())
    if size > MAX_SYSTEM_METADATA:
        raise S3Error("MetadataTooLarge", "", {"Size": str(size), "MaxSizeAllowed": str(MAX_SYSTEM_METADATA)})
    redirect = headers.get("X-Amz-Website-Redirect-Location")
    if redirect is not None:
        if not redirect.startswith(("/", "http://", "https://")):
            raise S3Error("InvalidRedirectLocation")
        stored[REDIRECT] = redirect
    if _ENCRYPTION in headers:
        stored[ENCRYPTION] = headers[_ENCRYPTION]
    return stored | class_header(stored) if STORAGE_CLASS in stored else stored


def encryption(stored: Mapping[str, str]) -> dict[str, str]:
    """Return the encryption header of the answer to an upload, if the upload requested encryption.

    stored: the stored headers of the object.
    """
    return {_SHOWN[ENCRYPTION]: stored[ENCRYPTION]} if ENCRYPTION in stored else {}


def storage_class(headers: Mapping[str, str], classes: Container[str] = AT_ONCE) -> dict[str, str]:
    requested = headers.get("X-Amz-Storage-Class", STANDARD)
    if requested not in classes:
        raise S3Error("InvalidStorageClass", "", {"StorageClassRequested": requested})
    return {} if requested == STANDARD else {STORAGE_CLASS: requested}


def user_metadata(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the user metadata of a request, as stored headers."""
    stored: dict[str, str] = {}
    size = 0
    for name, value in headers.items():
        if not name.startswith(USER):
            continue
        key = name[len(USER) :]
        text = decoded(value)
        size += len(to_native(key)) + len(text.encode("utf-8", "surrogateescape"))
        stored[_STORED_USER + _stored_name(key)] = text
    if size > MAX_METADATA:
        extra = {"Size": str(size), "MaxSizeAllowed": str(MAX_METADATA)}
        raise S3Error("MetadataTooLarge", "", extra)
    return stored


def _stored_name(key: str) -> str:
    """Return the stored form of a name: WSGI turns an underscore into a hyphen, and S3 distinguishes them."""
    return key.replace("%", "%25").replace("_", "%5F") if "_" in key or "%" in key else key


def _answer_name(stored_name: str) -> str:
    name = USER.lower() + stored_name.lower()
    return name.replace("%5f", "_").replace("%25", "%") if "%" in name else name


def decoded(value: str) -> str:
    """Return a header's value with its encoded words (RFC 2047) decoded.

    The value is unchanged if they are broken or of another charset.
    """
    if "=?" not in value or len(value) > _MAX_ENCODED:
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


def _check_sendable(stored: Mapping[str, str]) -> Mapping[str, str]:
    """Refuse decoded headers that no answer can have; raises S3Error InvalidArgument."""
    if is_sendable(stored):
        return stored
    for name in not_sendable(stored):
        name_of_answer = _answer_name(name[len(_STORED_USER) :]) if name.startswith(_STORED_USER) else name.lower()
        message = "The header has a name or value that HTTP cannot represent."
        raise S3Error("InvalidArgument", message, {"ArgumentName": name_of_answer})
    return stored


def encoded(text: str) -> str:
    """Return text as a header of S3: an encoded word if it is not ASCII; bytes that are not text stay unchanged."""
    if text.isascii():
        return text
    try:
        return f"=?UTF-8?B?{base64.b64encode(text.encode()).decode()}?="
    except UnicodeEncodeError:
        return text


def tagging(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the stored header of the tags in x-amz-tagging; raises S3Error InvalidTag, InvalidArgument, BadRequest."""
    text = headers.get("X-Amz-Tagging")
    stored = tags.dump(tags.from_header(text)) if text else ""
    return {TAGS: stored} if stored else {}


# From the store to an answer


def answer_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of the answer to a GET or HEAD of an object, without its checksum and version."""
    answer = {"Accept-Ranges": "bytes"}
    for name, value in headers.items():
        plain = _SHOWN.get(name)
        if plain is not None:
            answer[plain] = value
        elif name.startswith(_STORED_USER):
            text = value if value.isascii() else encoded(value)
            answer[_answer_name(name[len(_STORED_USER) :])] = text
    if EMPTY in headers:
        for key in filter(None, headers[EMPTY].split(",")):
            answer[USER.lower() + key] = ""
    answer["ETag"] = quoted_etag(headers)
    answer["Last-Modified"] = http_date(modified(headers))
    if TAGS in headers and (tagged := tags.count(headers[TAGS])):
        answer["x-amz-tagging-count"] = str(tagged)
    return answer


def etag(headers: Mapping[str, str]) -> str:
    """Return the entity tag, without quotes."""
    return (headers.get(ETAG) or headers.get("Etag", "")).strip('"')


def quoted_etag(headers: Mapping[str, str]) -> str:
    return f'"{etag(headers)}"'


def quoted_own_etag(headers: Mapping[str, str]) -> str:
    """Return the etag by which the store knows an object: of a dynamic large object that of its own bytes."""
    own = headers.get(OWN_ETAG) if DLO in headers else None
    return quoted_etag(headers) if own is None else f'"{own}"'


def modified(headers: Mapping[str, str]) -> int:
    """Return the time at which the data was written, in seconds since the epoch, rounded up.

    A change of tags does not change it.
    """
    for name in (_DATA_TIMESTAMP, "X-Timestamp"):
        try:
            return Timestamp.parse(headers.get(name, "")).ceiling
        except InvalidInput:
            continue
    return http_date_seconds(headers.get("Last-Modified", "")) or 0


def checksum(headers: Mapping[str, str]) -> Checksum | None:
    return Checksum.load(headers.get(CHECKSUM, ""))


def with_prefixes(headers: Mapping[str, str], prefixes: tuple[str, ...]) -> dict[str, str]:
    """Return the stored headers with these prefixes, as text for another write."""
    return {name: value for name, value in headers.items() if name.startswith(prefixes)}


def copied_metadata(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that a copy takes from its source: user metadata and the system headers."""
    system = {name: headers[name] for name in SYSTEM_HEADERS if headers.get(name)}
    return system | with_prefixes(headers, (_STORED_USER, EMPTY))


def post_headers(headers: Mapping[str, str], changed: Mapping[str, str]) -> dict[str, str]:
    """Return the complete headers of a POST that changes some headers and preserves the others.

    changed: values by name, '' to remove a header that is not user metadata.
    """
    posted = {name: headers[name] for name in SYSTEM_HEADERS[1:] if headers.get(name)}
    posted |= with_prefixes(
        headers, (_STORED_USER, "X-Object-Transient-Sysmeta-", "X-Delete-At", "X-Object-Manifest", "X-Robots-Tag")
    )
    posted.update(changed)
    return sent_values(posted, lambda _: True)
