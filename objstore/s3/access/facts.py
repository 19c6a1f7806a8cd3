"""What a request has for the condition keys of policies (S3 user guide, "Bucket policy examples using condition keys";
IAM user guide, "AWS global condition context keys").

Only the keys that a policy asks for are looked up. A key without a value is absent.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import parse_qsl

from objstore.s3.access.patterns import Values
from objstore.s3.access.policy import Caller
from objstore.s3.request import S3Request


class Subject(NamedTuple):
    """tags: URL-encoded, of the object that is there. request_tags: likewise, of the one that is to be."""

    request: S3Request
    caller: Caller
    version_id: str = ""
    tags: str = ""
    request_tags: str = ""


Found = Iterable[str]
_EXISTING_TAG = "s3:existingobjecttag/"
_REQUEST_TAG = "s3:requestobjecttag/"
_TAG_KEYS = "s3:requestobjecttagkeys"
# Headers that are condition keys under their own name.
_HEADER_KEYS = (
    "X-Amz-Acl", "X-Amz-Content-Sha256", "X-Amz-Copy-Source", "X-Amz-Grant-Full-Control", "X-Amz-Grant-Read",
    "X-Amz-Grant-Read-Acp", "X-Amz-Grant-Write", "X-Amz-Grant-Write-Acp", "X-Amz-Metadata-Directive",
    "X-Amz-Server-Side-Encryption", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id",
    "X-Amz-Server-Side-Encryption-Customer-Algorithm", "X-Amz-Storage-Class", "X-Amz-Website-Redirect-Location",
    "X-Amz-Object-Ownership",
)  # fmt: skip
_QUERY_KEYS = {"s3:prefix": "prefix", "s3:delimiter": "delimiter", "s3:max-keys": "max-keys"}


def needs_tags(keys: Iterable[str]) -> bool:
    """Is one of the keys about the tags of the object that is there?"""
    return any(key.startswith(_EXISTING_TAG) for key in keys)


def needs_request_tags(keys: Iterable[str]) -> bool:
    return any(key.startswith(_REQUEST_TAG) or key == _TAG_KEYS for key in keys)


def gather(keys: Iterable[str], subject: Subject) -> Values:
    """The values of those of the keys, in lower case, that the request has."""
    found: dict[str, tuple[str, ...]] = {}
    for key in keys:
        reader = _READERS.get(key)
        if reader is not None:
            values = tuple(reader(subject))
        elif key.startswith(_EXISTING_TAG):
            values = _tag(subject.tags, key[len(_EXISTING_TAG) :])
        elif key.startswith(_REQUEST_TAG):
            values = _tag(subject.request_tags, key[len(_REQUEST_TAG) :])
        else:
            values = ()
        if values:
            found[key] = values
    return found


def _tag(tags: str, name: str) -> tuple[str, ...]:
    """Keys of conditions are the same in any case, those of tags with them."""
    return tuple(value for key, value in parse_qsl(tags, keep_blank_values=True) if key.lower() == name)


def _some(value: str) -> Found:
    return (value,) if value else ()


def _header(name: str) -> Callable[[Subject], Found]:
    return lambda subject: (subject.request.headers[name],) if name in subject.request.headers else ()


def _query(name: str) -> Callable[[Subject], Found]:
    return lambda subject: (subject.request.query[name],) if name in subject.request.query else ()


def _auth_type(subject: Subject) -> Found:
    """How the signature came: in the Authorization header, in the query, in a form."""
    request = subject.request
    if request.credential is None:
        return ()
    if request.header("Authorization"):
        return ("REST-HEADER",)
    return ("REST-QUERY-STRING",) if _signed_query(request.query) else ("POST",)


def _signed_query(query: Mapping[str, str]) -> bool:
    return "X-Amz-Signature" in query or "Signature" in query


def _signature_version(subject: Subject) -> Found:
    request = subject.request
    if request.credential is None:
        return ()
    old = request.header("Authorization").startswith("AWS ") or "Signature" in request.query
    return ("AWS",) if old else ("AWS4-HMAC-SHA256",)


def _signature_age(subject: Subject) -> Found:
    """Milliseconds since the signature was made, of version 4."""
    request = subject.request
    text = request.query.get("X-Amz-Date") or request.header("X-Amz-Date")
    try:
        signed = datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return ()
    return (str(max(0, int((time.time() - signed.timestamp()) * 1000))),)


def _now(subject: Subject) -> Found:
    return (datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),)


def _tls_version(subject: Subject) -> Found:
    return _some(str(subject.request.environ.get("SSL_PROTOCOL", "")).removeprefix("TLSv"))


def _user_id(subject: Subject) -> Found:
    caller = subject.caller
    return (f"{caller.account}:{caller.user}",) if caller.account else ("anonymous",)


_READERS: dict[str, Callable[[Subject], Found]] = {
    **{f"s3:{name.lower()}": _header(name) for name in _HEADER_KEYS},
    **{key: _query(name) for key, name in _QUERY_KEYS.items()},
    "aws:currenttime": _now,
    "aws:epochtime": lambda _: (str(int(time.time())),),
    "aws:principalaccount": lambda subject: _some(subject.caller.account),
    "aws:principalarn": lambda subject: _some(subject.caller.arn),
    "aws:principaltype": lambda subject: ("User",) if subject.caller.account else ("Anonymous",),
    "aws:referer": _header("Referer"),
    "aws:requestedregion": lambda subject: (subject.request.region,),
    "aws:securetransport": lambda subject: (
        "true" if subject.request.environ.get("wsgi.url_scheme") == "https" else "false",
    ),
    "aws:sourceip": lambda subject: _some(subject.request.source_ip),
    "aws:useragent": _header("User-Agent"),
    "aws:userid": _user_id,
    "aws:username": lambda subject: _some(subject.caller.user),
    "s3:authtype": _auth_type,
    "s3:locationconstraint": lambda subject: (),  # of CreateBucket, which is asked of no bucket
    "s3:requestobjecttagkeys": lambda subject: [
        key for key, _ in parse_qsl(subject.request_tags, keep_blank_values=True)
    ],
    "s3:signatureage": _signature_age,
    "s3:signatureversion": _signature_version,
    "s3:tlsversion": _tls_version,
    "s3:versionid": lambda subject: _some(subject.version_id),
}
