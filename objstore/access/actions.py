"""All actions, by their names in bucket policies, with the permission of an ACL that grants each.

From the S3 service authorization reference and the ACL overview of the S3 user guide. An
action without a permission is never granted by ACLs, only to the owner and by policies.
The Swift API uses the same actions for containers and objects, and has a few for accounts.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Literal, NamedTuple

from objstore.access.patterns import compiled

PREFIX = "s3:"


class Action(NamedTuple):
    """An action. on: the kind of its resource.

    acl: the resource whose ACL grants it (that of the bucket to create and list objects), '' for none. permission:
    in that ACL, '' for none. swift: its word in Swift's lists, '' for none. of_versions: the word counts for requests
    of the Swift API alone: through S3 its lists grant no access to versions. Of objects, they never do.
    """

    on: Literal["service", "bucket", "object", "account"]
    acl: Literal["", "bucket", "object"] = ""
    permission: str = ""
    swift: Literal["", "read", "list", "write"] = ""
    of_versions: bool = False

    def word(self, s3: bool) -> Literal["", "read", "list", "write"]:
        """Return the word in Swift's lists that grants it. s3: through the S3 API."""
        return "" if s3 and self.of_versions else self.swift

    def reads(self, s3: bool) -> bool:
        """Return whether the word is one for reading."""
        return self.word(s3) in ("read", "list")


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
    "DeleteObjectVersion": "write",
    "GetObject": "read",
    "GetObjectAttributes": "read",
    "GetObjectVersion": "read",
    "ListAllMyBuckets": "list",
    "ListBucket": "list",
    "ListBucketVersions": "list",
    "ListMultipartUploadParts": "write",
    "PutObject": "write",
}
_OF_VERSIONS = frozenset({"DeleteObjectVersion", "GetObjectVersion", "ListBucketVersions"})
# Changes of accounts, for which policies do not count.
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
    **{
        PREFIX + name: action._replace(swift=_SWIFT.get(name, ""), of_versions=name in _OF_VERSIONS)
        for name, action in _S3.items()
    },
    **{name: Action("account") for name in (CREATE_ACCOUNT, UPDATE_ACCOUNT, DELETE_ACCOUNT)},
}

# Actions that the owner of a bucket may always do, even if its policy denies them, so that no owner is locked out.
OWNERS_ALWAYS = frozenset({"s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"})

_LOWER = {(PREFIX + name).lower(): action for name, action in _S3.items()}


@lru_cache(maxsize=512)
def levels(pattern: str) -> frozenset[str]:
    """Return the kinds of resources of the actions that a pattern of a policy names; empty if it names none."""
    matches: Callable[[str], object] = compiled(pattern.lower()).match
    return frozenset(action.on for name, action in _LOWER.items() if matches(name))
