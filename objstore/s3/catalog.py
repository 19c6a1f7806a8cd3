"""All operations that S3 documents (S3 API reference: Actions), and the requests that select them.

The answer to an operation without a file under `operations` is NotImplemented.
"""

from __future__ import annotations

from typing import NamedTuple


class Documented(NamedTuple):
    """An operation of the S3 documentation; see `operation.Operation` for the fields."""

    name: str
    method: str
    level: str
    subresource: str = ""
    header: str = ""


_COPY = "X-Amz-Copy-Source"


def _rows(level: str, *rows: str) -> tuple[Documented, ...]:
    """Return the operations of a level from rows of `NAME METHOD [SUBRESOURCE]`."""
    operations = []
    for row in rows:
        name, method, *rest = row.split()
        operations.append(Documented(name, method, level, rest[0] if rest else ""))
    return tuple(operations)


CATALOG: tuple[Documented, ...] = (
    *_rows("service", "ListBuckets GET", "ListDirectoryBuckets GET"),
    *_rows(
        "bucket",
        "CreateBucket PUT",
        "CreateBucketMetadataConfiguration POST metadataConfiguration",
        "CreateBucketMetadataTableConfiguration POST metadataTable",
        "CreateSession GET session",
        "DeleteBucket DELETE",
        "DeleteBucketAnalyticsConfiguration DELETE analytics",
        "DeleteBucketCors DELETE cors",
        "DeleteBucketEncryption DELETE encryption",
        "DeleteBucketIntelligentTieringConfiguration DELETE intelligent-tiering",
        "DeleteBucketInventoryConfiguration DELETE inventory",
        "DeleteBucketLifecycle DELETE lifecycle",
        "DeleteBucketMetadataConfiguration DELETE metadataConfiguration",
        "DeleteBucketMetadataTableConfiguration DELETE metadataTable",
        "DeleteBucketMetricsConfiguration DELETE metrics",
        "DeleteBucketOwnershipControls DELETE ownershipControls",
        "DeleteBucketPolicy DELETE policy",
        "DeleteBucketReplication DELETE replication",
        "DeleteBucketTagging DELETE tagging",
        "DeleteBucketWebsite DELETE website",
        "DeleteObjects POST delete",
        "DeletePublicAccessBlock DELETE publicAccessBlock",
        "GetBucketAbac GET abac",
        "GetBucketAccelerateConfiguration GET accelerate",
        "GetBucketAcl GET acl",
        "GetBucketAnalyticsConfiguration GET analytics",
        "GetBucketCors GET cors",
        "GetBucketEncryption GET encryption",
        "GetBucketIntelligentTieringConfiguration GET intelligent-tiering",
        "GetBucketInventoryConfiguration GET inventory",
        "GetBucketLifecycle GET lifecycle",
        "GetBucketLifecycleConfiguration GET lifecycle",
        "GetBucketLocation GET location",
        "GetBucketLogging GET logging",
        "GetBucketMetadataConfiguration GET metadataConfiguration",
        "GetBucketMetadataTableConfiguration GET metadataTable",
        "GetBucketMetricsConfiguration GET metrics",
        "GetBucketNotification GET notification",
        "GetBucketNotificationConfiguration GET notification",
        "GetBucketOwnershipControls GET ownershipControls",
        "GetBucketPolicy GET policy",
        "GetBucketPolicyStatus GET policyStatus",
        "GetBucketReplication GET replication",
        "GetBucketRequestPayment GET requestPayment",
        "GetBucketTagging GET tagging",
        "GetBucketVersioning GET versioning",
        "GetBucketWebsite GET website",
        "GetObjectLockConfiguration GET object-lock",
        "GetPublicAccessBlock GET publicAccessBlock",
        "HeadBucket HEAD",
        "ListBucketAnalyticsConfigurations GET analytics",
        "ListBucketIntelligentTieringConfigurations GET intelligent-tiering",
        "ListBucketInventoryConfigurations GET inventory",
        "ListBucketMetricsConfigurations GET metrics",
        "ListMultipartUploads GET uploads",
        "ListObjectVersions GET versions",
        "ListObjects GET",
        "ListObjectsV2 GET list-type",
        "PostObject POST",
        "PutBucketAbac PUT abac",
        "PutBucketAccelerateConfiguration PUT accelerate",
        "PutBucketAcl PUT acl",
        "PutBucketAnalyticsConfiguration PUT analytics",
        "PutBucketCors PUT cors",
        "PutBucketEncryption PUT encryption",
        "PutBucketIntelligentTieringConfiguration PUT intelligent-tiering",
        "PutBucketInventoryConfiguration PUT inventory",
        "PutBucketLifecycle PUT lifecycle",
        "PutBucketLifecycleConfiguration PUT lifecycle",
        "PutBucketLogging PUT logging",
        "PutBucketMetricsConfiguration PUT metrics",
        "PutBucketNotification PUT notification",
        "PutBucketNotificationConfiguration PUT notification",
        "PutBucketOwnershipControls PUT ownershipControls",
        "PutBucketPolicy PUT policy",
        "PutBucketReplication PUT replication",
        "PutBucketRequestPayment PUT requestPayment",
        "PutBucketTagging PUT tagging",
        "PutBucketVersioning PUT versioning",
        "PutBucketWebsite PUT website",
        "PutObjectLockConfiguration PUT object-lock",
        "PutPublicAccessBlock PUT publicAccessBlock",
        "UpdateBucketMetadataAnnotationTableConfiguration PUT metadataAnnotationTable",
        "UpdateBucketMetadataInventoryTableConfiguration PUT metadataInventoryTable",
        "UpdateBucketMetadataJournalTableConfiguration PUT metadataJournalTable",
    ),
    *_rows(
        "object",
        "AbortMultipartUpload DELETE uploadId",
        "CompleteMultipartUpload POST uploadId",
        "CreateMultipartUpload POST uploads",
        "DeleteObject DELETE",
        "DeleteObjectAnnotation DELETE annotation",
        "DeleteObjectTagging DELETE tagging",
        "GetObject GET",
        "GetObjectAcl GET acl",
        "GetObjectAnnotation GET annotation",
        "GetObjectAttributes GET attributes",
        "GetObjectLegalHold GET legal-hold",
        "GetObjectRetention GET retention",
        "GetObjectTagging GET tagging",
        "GetObjectTorrent GET torrent",
        "HeadObject HEAD",
        "ListObjectAnnotations GET annotation",
        "ListParts GET uploadId",
        "OptionsObject OPTIONS",
        "PutObject PUT",
        "PutObjectAcl PUT acl",
        "PutObjectAnnotation PUT annotation",
        "PutObjectLegalHold PUT legal-hold",
        "PutObjectRetention PUT retention",
        "PutObjectTagging PUT tagging",
        "RenameObject PUT renameObject",
        "RestoreObject POST restore",
        "SelectObjectContent POST select",
        "UpdateObjectEncryption PUT encryption",
        "UploadPart PUT uploadId",
    ),
    Documented("CopyObject", "PUT", "object", "", _COPY),
    Documented("UploadPartCopy", "PUT", "object", "uploadId", _COPY),
    # The answer of a Lambda function to a GET through an access point; this store has none, so no request selects it.
    Documented("WriteGetObjectResponse", "", "service"),
)
