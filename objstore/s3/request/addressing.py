"""The bucket and the key that a request names: `/bucket/key` of any host, or `/key` of `bucket.domain`.

Keys are percent-decoded once and otherwise unchanged: `a//b`, `a/../b` and a leading slash are keys like any other (S3
User Guide: Virtual hosting of buckets, Object key naming).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from objstore.s3.language.errors import S3Error
from objstore.web import hosts

MAX_KEY = 1024  # bytes of UTF-8


class Address(NamedTuple):
    """A bucket and a key, each '' if the request names none. by_host: True if the host's name has the bucket."""

    bucket: str
    key: str
    by_host: bool = False


def bucket_of_host(host: str, domains: Sequence[str]) -> str | None:
    """Return the bucket that a Host header names below one of our domains.

    Return '' for a domain itself, None for other hosts.
    """
    return hosts.below(hosts.host_name(host).lower(), domains)


def locate(path: str, host: str, domains: Sequence[str], plus: bool = False) -> Address:
    """Return the address of a raw path; raises S3Error InvalidURI, KeyTooLongError, InvalidBucketName.

    plus: an unencoded `+` is a space.
    """
    text = _decoded(path.replace("+", " ") if plus else path)
    bucket = bucket_of_host(host, domains) if domains else None
    if bucket:
        address = Address(bucket, text[1:], True)
    else:
        bucket, _, key = text[1:].partition("/")
        address = Address(bucket, key)
        if key and not bucket:
            raise S3Error("InvalidBucketName", extra={"BucketName": ""})
    if len(address.key) > MAX_KEY // 4:
        check_key(address.key)
    return address


def check_key(key: str) -> None:
    """Check the length and the characters of a key.

    Raises S3Error KeyTooLongError, and InvalidURI for a key that is not UTF-8 (from a header that does not encode it).
    """
    try:
        size = len(key.encode("utf-8"))
    except UnicodeEncodeError:
        raise S3Error("InvalidURI") from None
    if size > MAX_KEY:
        raise S3Error("KeyTooLongError", extra={"Size": str(size), "MaxSizeAllowed": str(MAX_KEY)})


def _decoded(path: str) -> str:
    if path[:1] != "/":
        raise S3Error("InvalidURI")
    if "%" not in path and path.isascii():
        text = path
    else:
        try:
            text = unquote_to_bytes(path.encode("latin-1")).decode("utf-8")
        except UnicodeDecodeError:
            raise S3Error("InvalidURI") from None
    if "\0" in text:  # NUL is for internal names
        raise S3Error("InvalidURI")
    return text
