"""All that may be done, as bucket policies name it, and which permission of an ACL grants it.

From the S3 service authorization reference and the ACL overview of the S3 user guide. An
action without a permission is never granted by ACLs: only the owner has it, or whom a policy allows.
The Swift API names what it does to containers and objects by the same actions, and has a few for accounts.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Literal, NamedTuple

from objstore.access.patterns import compiled

PREFIX = "s3:"


class Action(NamedTuple):
    """on: what its resource is. acl: whose ACL grants it (that of the bucket for what creates and lists objects),
    by which permission, '' for none. swift: what Swift's lists call it, '' for what they have no word for."""

    on: Literal["service", "bucket", "object", "account"]
    acl: Literal["", "bucket", "object"] = ""
    permission: str = ""
    swift: Literal["", "read", "list", "write"] = ""

    @property
    def reads(self) -> bool:
        return self.swift in ("read", "list")


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

_SWIFT: dict[str, Literal["read", "list", "write"]] = {
    "AbortMultipartUpload": "write",
    "DeleteObject": "write",
    "GetObject": "read",
    "GetObjectAttributes": "read",
    "ListAllMyBuckets": "list",
    "ListBucket": "list",
    "ListMultipartUploadParts": "write",
    "PutObject": "write",
}
# Changes of accounts, which policies are never asked about.
CREATE_ACCOUNT, UPDATE_ACCOUNT, DELETE_ACCOUNT = "swift:CreateAccount", "swift:UpdateAccount", "swift:DeleteAccount"
ACCOUNT_MANAGEMENT = frozenset({CREATE_ACCOUNT, DELETE_ACCOUNT})

_S3: dict[str, Action] = {
    **{name: Action("service") for name in _SERVICE},
    **{name: Action("bucket") for name in _BUCKET},
    **{name: Action("object") for name in _OBJECT},
    **{name: Action("bucket", "bucket", permission) for name, permission in _BY_BUCKET_ACL.items()},
    **{name: Action("object", "bucket", "WRITE") for name in _WRITES},
    **{name: Action("object", "object", permission) for name, permission in _BY_OBJECT_ACL.items()},
}
ACTIONS: dict[str, Action] = {
    **{PREFIX + name: action._replace(swift=_SWIFT.get(name, "")) for name, action in _S3.items()},
    **{name: Action("account") for name in (CREATE_ACCOUNT, UPDATE_ACCOUNT, DELETE_ACCOUNT)},
}

# What the owner of a bucket may always do, whatever its policy denies, so that none locks itself out.
OWNERS_ALWAYS = frozenset({"s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"})

_LOWER = {(PREFIX + name).lower(): action for name, action in _S3.items()}


@lru_cache(maxsize=512)
def levels(pattern: str) -> frozenset[str]:
    """On what the actions are that a pattern of a policy names; empty where it names none."""
    matches: Callable[[str], object] = compiled(pattern.lower()).match
    return frozenset(action.on for name, action in _LOWER.items() if matches(name))
