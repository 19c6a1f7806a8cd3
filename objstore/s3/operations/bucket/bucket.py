"""Buckets themselves: HeadBucket, DeleteBucket, GetBucketLocation."""

from __future__ import annotations

from objstore.s3.buckets import bucket_config
from objstore.s3.context import Context
from objstore.s3.language import xml
from objstore.s3.operation import Operation
from objstore.s3.request.s3_request import S3Request
from objstore.web.responses import Response


def head(context: Context, request: S3Request) -> Response:
    """Return whether the bucket exists and may be listed, and its region."""
    headers = {"x-amz-bucket-region": context.settings.region, "x-amz-access-point-alias": "false"}
    return Response(200, {**headers, "Content-Type": "application/xml"})


def delete(context: Context, request: S3Request) -> Response:
    """Delete an empty bucket, with its uploads in progress."""
    context.buckets.delete(request, context.buckets.resolve(request, request.bucket))
    return Response(204)


def location(context: Context, request: S3Request) -> Response:
    """Return the region of the store, which is empty for us-east-1."""
    region = context.settings.region
    return bucket_config.answer(xml.document("LocationConstraint", "" if region == "us-east-1" else region))


OPERATIONS = (
    Operation("HeadBucket", "HEAD", "bucket", head, "s3:ListBucket"),
    Operation("DeleteBucket", "DELETE", "bucket", delete, "s3:DeleteBucket"),
    Operation("GetBucketLocation", "GET", "bucket", location, "s3:GetBucketLocation", "location"),
)
