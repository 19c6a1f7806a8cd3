"""The ACL of an object or version."""

from __future__ import annotations

from objstore.access import acl
from objstore.s3.buckets import bucket_config
from objstore.s3.context import Context
from objstore.s3.data import object_headers
from objstore.s3.language import acl_xml
from objstore.s3.operation import Operation
from objstore.s3.operations import objects
from objstore.s3.request.acl_headers import Owners
from objstore.s3.request.s3_request import S3Request
from objstore.web.responses import Response


def get(context: Context, request: S3Request) -> Response:
    target = objects.target(context, request)
    stored = context.objects.read(request, target, head=True)
    bucket = context.access.bucket(request, target.name.of_container)
    if bucket.acls_disabled:
        shown = acl.private(bucket.owner)
    else:
        shown = acl.load(stored.headers.get(object_headers.ACL, ""), bucket.owner)
    response = bucket_config.answer(acl_xml.to_xml(shown))
    response.headers.update(objects.version_header(stored.version_id))
    return response


def put(context: Context, request: S3Request) -> Response:
    target = objects.target(context, request)
    stored = context.objects.read(request, target, head=True)
    bucket = context.access.bucket(request, target.name.of_container)
    owner = acl.load(stored.headers.get(object_headers.ACL, ""), bucket.owner).owner
    requested = context.access.requested_acl(request, bucket, Owners(owner, bucket.owner))
    if not requested.private:
        context.buckets.register(request, target.name.of_container)
    version_id = context.objects.change(request, target, {object_headers.ACL: acl.dump(requested, bucket.owner)})
    return Response(200, objects.version_header(version_id))


OPERATIONS = (
    Operation(
        "GetObjectAcl", "GET", "object", get, "s3:GetObjectAcl", "acl", versioned_action="s3:GetObjectVersionAcl"
    ),
    Operation(
        "PutObjectAcl", "PUT", "object", put, "s3:PutObjectAcl", "acl", versioned_action="s3:PutObjectVersionAcl"
    ),
)
