"""The website configuration of a bucket. `s3.websites` serves it."""

from __future__ import annotations

from objstore.layers import documents
from objstore.s3.buckets import bucket_config
from objstore.s3.context import Context
from objstore.s3.operation import Operation
from objstore.s3.request.s3_request import S3Request
from objstore.s3.websites import configuration
from objstore.web.responses import Response


def get(context: Context, request: S3Request) -> Response:
    document = bucket_config.read_or(context, request, bucket_config.WEBSITE, "NoSuchWebsiteConfiguration")
    return bucket_config.answer(configuration.to_xml(configuration.load(document)))


def put(context: Context, request: S3Request) -> Response:
    root = bucket_config.request_xml(context, request, "WebsiteConfiguration", configuration.MAX_DOCUMENT)
    website = configuration.from_xml(root)
    name = bucket_config.registered_name(context, request)  # browsers do not say whose bucket they mean
    documents.keep(context.layer, request.context, name, bucket_config.WEBSITE, configuration.dump(website))
    return Response(200)


delete = bucket_config.deletion(bucket_config.WEBSITE)

OPERATIONS = (
    Operation("GetBucketWebsite", "GET", "bucket", get, "s3:GetBucketWebsite", "website"),
    Operation("PutBucketWebsite", "PUT", "bucket", put, "s3:PutBucketWebsite", "website"),
    Operation("DeleteBucketWebsite", "DELETE", "bucket", delete, "s3:DeleteBucketWebsite", "website"),
)
