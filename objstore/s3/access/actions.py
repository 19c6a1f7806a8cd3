"""What may be done, as bucket policies name it, and which permission of an ACL grants it.

From the S3 service authorization reference and the ACL overview of the S3 user guide. An
action without a permission is never granted by ACLs: only the owner has it, or whom a policy allows.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Literal, NamedTuple

from objstore.s3.access.patterns import compiled

PREFIX = "s3:"


class Action(NamedTuple):
    """on: what its resource is. acl: whose ACL grants it (that of the bucket for what creates and lists objects),
    by which permission, '' for none."""

    on: Literal["service", "bucket", "object"]
    acl: Literal["", "bucket", "object"] = ""
    permission: str = ""


_BY_BUCKET_ACL = {
    "ListBucket": "READ",
    "ListBucketMultipartUploads": "READ",
    "ListBucketVersions": "READ",
    "GetBucketAcl": "READ_ACP",
    "PutBucketAcl": "WRITE_ACP",
}
_WRITES = ("AbortMultipartUpload", "DeleteObject", "ListMultipartUploadParts", "PutObject", "RenameObject")
_BY_OBJECT_ACL = {
    "GetObject": "READ",
    "GetObjectAttributes": "READ",
    "GetObjectTorrent": "READ",
    "GetObjectVersion": "READ",
    "GetObjectVersionAttributes": "READ",
    "GetObjectVersionTorrent": "READ",
    "GetObjectAcl": "READ_ACP",
    "GetObjectVersionAcl": "READ_ACP",
    "PutObjectAcl": "WRITE_ACP",
    "PutObjectVersionAcl": "WRITE_ACP",
}
_SERVICE = ("CreateBucket", "ListAllMyBuckets")
_BUCKET = (
    "DeleteBucket", "DeleteBucketOwnershipControls", "DeleteBucketPolicy", "DeleteBucketWebsite",
    "GetAccelerateConfiguration", "GetAnalyticsConfiguration", "GetBucketCORS", "GetBucketLocation",
    "GetBucketLogging", "GetBucketNotification", "GetBucketObjectLockConfiguration",
    "GetBucketOwnershipControls", "GetBucketPolicy", "GetBucketPolicyStatus", "GetBucketPublicAccessBlock",
    "GetBucketRequestPayment", "GetBucketTagging", "GetBucketVersioning", "GetBucketWebsite",
    "GetEncryptionConfiguration", "GetIntelligentTieringConfiguration", "GetInventoryConfiguration",
    "GetLifecycleConfiguration", "GetMetricsConfiguration", "GetReplicationConfiguration",
    "PutAccelerateConfiguration", "PutAnalyticsConfiguration", "PutBucketCORS", "PutBucketLogging",
    "PutBucketNotification", "PutBucketObjectLockConfiguration", "PutBucketOwnershipControls", "PutBucketPolicy",
    "PutBucketPublicAccessBlock", "PutBucketRequestPayment", "PutBucketTagging", "PutBucketVersioning",
    "PutBucketWebsite", "PutEncryptionConfiguration", "PutIntelligentTieringConfiguration",
    "PutInventoryConfiguration", "PutLifecycleConfiguration", "PutMetricsConfiguration",
    "PutReplicationConfiguration",
)  # fmt: skip
_OBJECT = (
    "BypassGovernanceRetention", "DeleteObjectTagging", "DeleteObjectVersion", "DeleteObjectVersionTagging",
    "GetObjectLegalHold", "GetObjectRetention", "GetObjectTagging", "GetObjectVersionForReplication",
    "GetObjectVersionTagging", "InitiateReplication", "ObjectOwnerOverrideToBucketOwner", "PutObjectLegalHold",
    "PutObjectRetention", "PutObjectTagging", "PutObjectVersionTagging", "ReplicateDelete", "ReplicateObject",
    "ReplicateTags", "RestoreObject", "UpdateObjectEncryption",
)  # fmt: skip

ACTIONS: dict[str, Action] = {
    **{PREFIX + name: Action("service") for name in _SERVICE},
    **{PREFIX + name: Action("bucket") for name in _BUCKET},
    **{PREFIX + name: Action("object") for name in _OBJECT},
    **{PREFIX + name: Action("bucket", "bucket", permission) for name, permission in _BY_BUCKET_ACL.items()},
    **{PREFIX + name: Action("object", "bucket", "WRITE") for name in _WRITES},
    **{PREFIX + name: Action("object", "object", permission) for name, permission in _BY_OBJECT_ACL.items()},
}

# What the owner of a bucket may always do, whatever its policy denies, so that none locks itself out.
OWNERS_ALWAYS = frozenset({"s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"})

_LOWER = {name.lower(): action for name, action in ACTIONS.items()}


@lru_cache(maxsize=512)
def levels(pattern: str) -> frozenset[str]:
    """On what the actions are that a pattern of a policy names; empty where it names none."""
    matches: Callable[[str], object] = compiled(pattern.lower()).match
    return frozenset(action.on for name, action in _LOWER.items() if matches(name))
