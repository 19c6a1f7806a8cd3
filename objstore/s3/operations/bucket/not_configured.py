"""Configurations that are not supported: a GET reports that there is none; PUT and DELETE are not implemented.

They are in one table instead of a file each, since they differ only in name and answer.
"""

from __future__ import annotations

from collections.abc import Callable

from objstore.s3.buckets import bucket_config
from objstore.s3.context import Context
from objstore.s3.language import xml
from objstore.s3.language.errors import S3Error
from objstore.s3.operation import Operation
from objstore.s3.request.s3_request import S3Request
from objstore.web.responses import Response

Handler = Callable[[Context, S3Request], Response]


def _missing(code: str) -> Handler:
    def handle(context: Context, request: S3Request) -> Response:
        raise S3Error(code, "", {"BucketName": request.bucket})

    return handle


def _empty(root: str) -> Handler:
    """Return a handler that answers with an empty document."""

    def handle(context: Context, request: S3Request) -> Response:
        return bucket_config.answer(xml.document(root, ""))

    return handle


def _several(root: str) -> Handler:
    """Return a handler for configurations with ids: an error for an id, else an empty list."""

    def handle(context: Context, request: S3Request) -> Response:
        if "id" in request.query:
            raise S3Error("NoSuchConfiguration", "", {"BucketName": request.bucket})
        return bucket_config.answer(xml.document(root, [("IsTruncated", False)]))

    return handle


# Name, sub-resource, action, answer.
_TABLE: tuple[tuple[str, str, str, Handler], ...] = (
    ("GetBucketAccelerateConfiguration", "accelerate", "s3:GetAccelerateConfiguration",
     _empty("AccelerateConfiguration")),
    ("GetBucketAnalyticsConfiguration", "analytics", "s3:GetAnalyticsConfiguration",
     _several("ListBucketAnalyticsConfigurationResult")),
    ("GetBucketEncryption", "encryption", "s3:GetEncryptionConfiguration",
     _missing("ServerSideEncryptionConfigurationNotFoundError")),
    ("GetBucketIntelligentTieringConfiguration", "intelligent-tiering", "s3:GetIntelligentTieringConfiguration",
     _several("ListBucketIntelligentTieringConfigurationsOutput")),
    ("GetBucketInventoryConfiguration", "inventory", "s3:GetInventoryConfiguration",
     _several("ListInventoryConfigurationsResult")),
    ("GetBucketLifecycleConfiguration", "lifecycle", "s3:GetLifecycleConfiguration",
     _missing("NoSuchLifecycleConfiguration")),
    ("GetBucketMetricsConfiguration", "metrics", "s3:GetMetricsConfiguration",
     _several("ListMetricsConfigurationsResult")),
    ("GetBucketNotificationConfiguration", "notification", "s3:GetBucketNotification",
     _empty("NotificationConfiguration")),
    ("GetBucketReplication", "replication", "s3:GetReplicationConfiguration",
     _missing("ReplicationConfigurationNotFoundError")),
)  # fmt: skip

OPERATIONS = tuple(
    Operation(name, "GET", "bucket", handler, action, subresource, note="answers that there is none")
    for name, subresource, action, handler in _TABLE
)
