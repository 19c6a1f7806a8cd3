"""The CORS rules of a bucket."""

from __future__ import annotations

from objstore.layers import documents
from objstore.s3.buckets import bucket_config, cors
from objstore.s3.context import Context
from objstore.s3.operation import Operation
from objstore.s3.request.s3_request import S3Request
from objstore.web.responses import Response


def get(context: Context, request: S3Request) -> Response:
    document = bucket_config.read_or(context, request, bucket_config.CORS, "NoSuchCORSConfiguration")
    return bucket_config.answer(cors.to_xml(cors.load(document)))


def put(context: Context, request: S3Request) -> Response:
    rules = cors.from_xml(bucket_config.request_xml(context, request, "CORSConfiguration"))
    name = bucket_config.registered_name(context, request)  # browsers ask before anyone has signed
    documents.keep(context.layer, request.context, name, bucket_config.CORS, cors.dump(rules))
    return Response(200)


delete = bucket_config.deletion(bucket_config.CORS)

OPERATIONS = (
    Operation("GetBucketCors", "GET", "bucket", get, "s3:GetBucketCORS", "cors"),
    Operation("PutBucketCors", "PUT", "bucket", put, "s3:PutBucketCORS", "cors"),
    Operation("DeleteBucketCors", "DELETE", "bucket", delete, "s3:PutBucketCORS", "cors"),
)
