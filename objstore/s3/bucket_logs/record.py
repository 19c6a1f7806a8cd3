"""The line of a request in a server access log (S3 user guide, "Server access log format").

Fields are separated by a space, in the order of S3's documentation, `-` for an empty one. Times are UTC. The request
line, the referrer and the user agent are quoted; a byte that could end a field or a line is percent-encoded.
"""

from __future__ import annotations

import re
import time
from typing import NamedTuple
from urllib.parse import quote

from objstore.s3.request.signature import signing

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_SIGNATURES = {signing.V2: "SigV2", signing.V4: "SigV4"}
_AUTHENTICATIONS = {signing.BY_HEADER: "AuthHeader", signing.BY_URL: "QueryString"}
_SECRETS = re.compile(r"([?&](?:x-amz-signature|signature|x-amz-security-token)=)[^&]*", re.IGNORECASE)
_UNQUOTED = re.compile(r'[^!-~]|"')  # what would end a field without quotes
_QUOTED = re.compile(r'[^ -~]|"')  # what would end a quoted field
# The resource in the name of an operation (`REST.GET.ACL`) to the operations of S3 that have it.
_RESOURCES = {
    "ABAC": "GetBucketAbac PutBucketAbac",
    "ACCELERATE": "GetBucketAccelerateConfiguration PutBucketAccelerateConfiguration",
    "ACL": "GetBucketAcl PutBucketAcl GetObjectAcl PutObjectAcl",
    "ANALYTICS": "GetBucketAnalyticsConfiguration PutBucketAnalyticsConfiguration DeleteBucketAnalyticsConfiguration",
    "BUCKET": "CreateBucket DeleteBucket HeadBucket ListObjects ListObjectsV2",
    "BUCKETPOLICY": "GetBucketPolicy PutBucketPolicy DeleteBucketPolicy",
    "BUCKETPOLICYSTATUS": "GetBucketPolicyStatus",
    "BUCKETVERSIONS": "ListObjectVersions",
    "CORS": "GetBucketCors PutBucketCors DeleteBucketCors",
    "ENCRYPTION": "GetBucketEncryption PutBucketEncryption DeleteBucketEncryption",
    "INTELLIGENT_TIERING": "GetBucketIntelligentTieringConfiguration PutBucketIntelligentTieringConfiguration"
    " DeleteBucketIntelligentTieringConfiguration",
    "INVENTORY": "GetBucketInventoryConfiguration PutBucketInventoryConfiguration DeleteBucketInventoryConfiguration",
    "LEGAL_HOLD": "GetObjectLegalHold PutObjectLegalHold",
    "LIFECYCLE": "GetBucketLifecycleConfiguration PutBucketLifecycleConfiguration DeleteBucketLifecycle",
    "LOCATION": "GetBucketLocation",
    "LOGGING_STATUS": "GetBucketLogging PutBucketLogging",
    "METRICS": "GetBucketMetricsConfiguration PutBucketMetricsConfiguration DeleteBucketMetricsConfiguration",
    "MULTI_OBJECT_DELETE": "DeleteObjects",
    "NOTIFICATION": "GetBucketNotificationConfiguration PutBucketNotificationConfiguration",
    "OBJECT_ATTRIBUTES": "GetObjectAttributes",
    "OBJECT_LOCK_CONFIGURATION": "GetObjectLockConfiguration PutObjectLockConfiguration",
    "OBJECT_TAGGING": "GetObjectTagging PutObjectTagging DeleteObjectTagging",
    "OWNERSHIP_CONTROLS": "GetBucketOwnershipControls PutBucketOwnershipControls DeleteBucketOwnershipControls",
    "PART": "UploadPart UploadPartCopy",
    "PREFLIGHT": "OptionsObject",
    "PUBLIC_ACCESS_BLOCK": "GetPublicAccessBlock PutPublicAccessBlock DeletePublicAccessBlock",
    "REPLICATION": "GetBucketReplication PutBucketReplication DeleteBucketReplication",
    "REQUEST_PAYMENT": "GetBucketRequestPayment PutBucketRequestPayment",
    "RESTORE": "RestoreObject",
    "RETENTION": "GetObjectRetention PutObjectRetention",
    "TAGGING": "GetBucketTagging PutBucketTagging DeleteBucketTagging",
    "UPLOAD": "ListParts CompleteMultipartUpload AbortMultipartUpload",
    "UPLOADS": "ListMultipartUploads CreateMultipartUpload",
    "VERSIONING": "GetBucketVersioning PutBucketVersioning",
    "WEBSITE": "GetBucketWebsite PutBucketWebsite DeleteBucketWebsite",
}  # fmt: skip
_RESOURCE_OF = {name: resource for resource, names in _RESOURCES.items() for name in names.split()}
COPIES = frozenset({"CopyObject", "UploadPartCopy"})
DELETED_BY_BATCH = "BATCH.DELETE.OBJECT"


class LogRecord(NamedTuple):
    """A request to a bucket. Numbers are -1 if they are unknown or do not apply.

    seconds: when it arrived, since the epoch. requester: ARN of the user, '' for an anonymous request. operation: as
    `operation_name` returns it. target: of the HTTP request, encoded. sent: bytes of the answer's body. size: bytes of
    the object. total, turnaround: milliseconds to the end of the answer, and of the store's own work on a request
    without a body. signature, authentication: of `signing`. by_acl: an ACL gave the right.
    """

    owner: str
    bucket: str
    seconds: float
    remote: str
    requester: str
    request_id: str
    operation: str
    key: str
    method: str
    target: str
    protocol: str
    status: int
    error: str
    sent: int
    size: int
    total: int
    turnaround: int
    referrer: str
    user_agent: str
    version_id: str
    signature: str
    cipher: str
    authentication: str
    host: str
    tls: str
    by_acl: bool
    region: str


def operation_name(operation: str, method: str, level: str) -> str:
    """Return the name of an operation in logs. operation: '' if none was selected. level: `bucket` or `object`."""
    resource = _RESOURCE_OF.get(operation) or ("OBJECT" if level == "object" or operation == "PostObject" else "BUCKET")
    return f"REST.{'COPY' if operation in COPIES else method}.{resource}"


def source_operation_name(operation: str) -> str:
    """Return the name under which the source of a copy is logged. operation: of COPIES."""
    return f"{operation_name(operation, '', 'object')}_GET"


def line(record: LogRecord) -> str:
    """Return the line of a request, in ASCII, without its end."""
    request = _SECRETS.sub(r"\1-", f"{record.method} {record.target} {record.protocol}")
    return " ".join(
        (
            _plain(record.owner),
            _plain(record.bucket),
            _time(record.seconds),
            _plain(record.remote),
            _plain(record.requester),
            _plain(record.request_id),
            record.operation,
            quote(record.key, "/", errors="surrogateescape") or "-",
            _quoted(request),
            _number(record.status),
            record.error or "-",
            _number(record.sent or -1),
            _number(record.size),
            _number(record.total),
            _number(record.turnaround),
            _quoted(record.referrer or "-"),
            _quoted(record.user_agent or "-"),
            _plain(record.version_id),
            _plain(record.request_id),
            _SIGNATURES.get(record.signature, "-"),
            _plain(record.cipher),
            _AUTHENTICATIONS.get(record.authentication, "-"),
            _plain(record.host),
            _plain(record.tls),
            "-",  # there are no access points
            "Yes" if record.by_acl else "-",
            _plain(record.region),
        )
    )


def _time(seconds: float) -> str:
    year, month, day, hour, minute, second, *_ = time.gmtime(seconds)
    return f"[{day:02d}/{_MONTHS[month - 1]}/{year:04d}:{hour:02d}:{minute:02d}:{second:02d} +0000]"


def _number(value: int) -> str:
    return "-" if value < 0 else str(value)


def _plain(text: str) -> str:
    return _UNQUOTED.sub(_encoded, text) if text else "-"


def _quoted(text: str) -> str:
    return f'"{_QUOTED.sub(_encoded, text)}"'


def _encoded(match: re.Match[str]) -> str:
    return quote(match[0], "", errors="surrogateescape")
