"""The `x-amz-...` headers that a request may have: an allow-list, which a test compares with an SDK's model.

A header that would change the meaning of a request, and is not supported, is refused with 501 and never skipped.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from objstore.s3.language.errors import S3Error

AMZ = "X-Amz-"
REFUSE, IGNORE = "refuse", "ignore"  # treatments of unknown headers in requests that change something


class Treatment(Enum):
    """The treatment of a header, for the operations for which S3 documents it; the others ignore it, as in S3."""

    DONE = "done, or refused by the operation itself"
    HARMLESS = "ignored: it has no effect in this store"
    REFUSED = "refused with 501"


# Prefixes of accepted names: user metadata, checksums (which `declared` checks), grants.
PREFIXES = ("X-Amz-Meta-", "X-Amz-Checksum-", "X-Amz-Grant-")

_DONE = """
    X-Amz-Acl X-Amz-Algorithm X-Amz-Bucket-Object-Lock-Enabled X-Amz-Bypass-Governance-Retention
    X-Amz-Content-Sha256 X-Amz-Copy-Source
    X-Amz-Copy-Source-If-Match X-Amz-Copy-Source-If-Modified-Since X-Amz-Copy-Source-If-None-Match
    X-Amz-Copy-Source-If-Unmodified-Since X-Amz-Copy-Source-Range X-Amz-Credential X-Amz-Date
    X-Amz-Decoded-Content-Length X-Amz-Expected-Bucket-Owner X-Amz-Expires X-Amz-If-Match-Last-Modified-Time
    X-Amz-If-Match-Size X-Amz-Max-Parts X-Amz-Metadata-Directive X-Amz-Mp-Object-Size X-Amz-Object-Attributes
    X-Amz-Object-Lock-Event-Hold X-Amz-Object-Lock-Event-Hold-Duration-Days
    X-Amz-Object-Lock-Event-Hold-Duration-Years
    X-Amz-Object-Lock-Legal-Hold X-Amz-Object-Lock-Mode X-Amz-Object-Lock-Retain-Until-Date X-Amz-Object-Ownership
    X-Amz-Part-Number-Marker X-Amz-Rename-Source X-Amz-Rename-Source-If-Match X-Amz-Rename-Source-If-Modified-Since
    X-Amz-Rename-Source-If-None-Match X-Amz-Rename-Source-If-Unmodified-Since X-Amz-Request-Payer
    X-Amz-Sdk-Checksum-Algorithm X-Amz-Security-Token X-Amz-Server-Side-Encryption X-Amz-Signature X-Amz-Signedheaders
    X-Amz-Source-Expected-Bucket-Owner X-Amz-Storage-Class X-Amz-Tagging X-Amz-Tagging-Directive X-Amz-Trailer
    X-Amz-Website-Redirect-Location
"""
# About MFA, annotations or restored objects, which this store does not have, or about the client.
_HARMLESS = """
    X-Amz-Api-Version X-Amz-Bucket-Object-Lock-Token X-Amz-Cf-Id X-Amz-Client-Token
    X-Amz-Confirm-Remove-Self-Bucket-Access X-Amz-Id-2 X-Amz-Mfa X-Amz-Object-Annotation-Directive
    X-Amz-Optional-Object-Attributes X-Amz-Request-Id X-Amz-Te X-Amz-User-Agent
"""
_REFUSED = """
    X-Amz-Bucket-Namespace X-Amz-Copy-Source-Server-Side-Encryption-Customer-Algorithm
    X-Amz-Copy-Source-Server-Side-Encryption-Customer-Key X-Amz-Copy-Source-Server-Side-Encryption-Customer-Key-Md5
    X-Amz-Create-Session-Mode X-Amz-If-Match-Initiated-Time X-Amz-Object-If-Match X-Amz-Object-Version-Id
    X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id X-Amz-Server-Side-Encryption-Bucket-Key-Enabled
    X-Amz-Server-Side-Encryption-Context X-Amz-Server-Side-Encryption-Customer-Algorithm
    X-Amz-Server-Side-Encryption-Customer-Key X-Amz-Server-Side-Encryption-Customer-Key-Md5
    X-Amz-Skip-Destination-Validation X-Amz-Transition-Default-Minimum-Object-Size X-Amz-Write-Offset-Bytes
"""
HEADERS: dict[str, Treatment] = {
    name: treatment
    for names, treatment in (
        (_DONE, Treatment.DONE),
        (_HARMLESS, Treatment.HARMLESS),
        (_REFUSED, Treatment.REFUSED),
    )
    for name in names.split()
}
# Values of refused headers that request the behaviour of this store.
_ACCEPTED_VALUES = {
    "X-Amz-Bucket-Namespace": "global",
    "X-Amz-Server-Side-Encryption-Bucket-Key-Enabled": "false",
    "X-Amz-Skip-Destination-Validation": "false",
}
_READS = frozenset({"GET", "HEAD", "OPTIONS"})


def check(method: str, headers: Mapping[str, str], unknown: str = REFUSE) -> None:
    """Refuse headers that are not supported; raises S3Error NotImplemented.

    unknown: REFUSE or IGNORE. Unknown headers of reads are ignored in any case.
    """
    if AMZ not in "\n".join(headers):
        return
    for name, value in headers.items():
        treatment = HEADERS.get(name)
        if treatment is None:
            is_unknown = name[:6] == AMZ and not name.startswith(PREFIXES)
            refused = is_unknown and unknown == REFUSE and method not in _READS
        else:
            refused = treatment is Treatment.REFUSED and value != _ACCEPTED_VALUES.get(name)
        if refused:
            raise S3Error(
                "NotImplemented",
                "A header you provided implies functionality that is not implemented.",
                {"Header": name.lower()},
            )
