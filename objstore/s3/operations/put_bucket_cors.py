"""PutBucketCors."""

from __future__ import annotations

from objstore.s3 import bucket_config, cors
from objstore.s3.context import Context
from objstore.s3.operation import Operation
from objstore.s3.request import S3Request
from objstore.web.responses import Response


def handle(context: Context, request: S3Request) -> Response:
    rules = cors.from_xml(bucket_config.sent_xml(context, request, "CORSConfiguration"))
    name = bucket_config.name_for_others(context, request)  # browsers ask before anyone has signed
    context.native.set_config(request.environ, name, bucket_config.CORS, cors.dump(rules))
    return Response(200)


OPERATION = Operation("PutBucketCors", "PUT", "bucket", handle, "s3:PutBucketCORS", "cors")
