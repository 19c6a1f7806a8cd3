"""The rules for names of buckets (S3 user guide, "General purpose bucket naming rules")."""

from __future__ import annotations

import re

from objstore.s3.language.errors import S3Error

_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_DNS = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\Z")
_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+\Z")
# Reserved for access points and others whose names have the bucket's place in URLs.
_PREFIXES = ("xn--", "sthree-", "amzn-s3-demo-")
_SUFFIXES = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
# The rules before 2018, as us-east-1 had them.
_RELAXED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")


def is_valid(name: str, dns_compliant: bool = True) -> bool:
    """Return whether a new bucket can have this name. dns_compliant: it must be valid within a host's name."""
    if not dns_compliant:
        return 3 <= len(name) <= 255 and _RELAXED.match(name) is not None and not _ADDRESS.match(name)
    return (
        3 <= len(name) <= 63
        and _DNS.match(name) is not None
        and not _ADDRESS.match(name)
        and not name.startswith(_PREFIXES)
        and not name.endswith(_SUFFIXES)
    )


def check(name: str, dns_compliant: bool = True) -> None:
    """Refuse a name that a bucket cannot have; raises S3Error InvalidBucketName."""
    if not is_valid(name, dns_compliant):
        raise S3Error("InvalidBucketName", "", {"BucketName": name})
