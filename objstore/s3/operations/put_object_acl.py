"""PutObjectAcl: by name, by grants in headers, or as a document."""

from __future__ import annotations

from objstore.s3 import current, headers, objects
from objstore.s3.access import acl
from objstore.s3.access.acl import Owners
from objstore.s3.access.check import sent_acl
from objstore.s3.context import Context
from objstore.s3.operation import Operation
from objstore.s3.request import S3Request
from objstore.web.responses import Response


def handle(context: Context, request: S3Request) -> Response:
    target = objects.target(context, request)
    stored = current.read(context, request, target, "HEAD")
    stored.answer.close()
    kept = context.access.bucket(context, request, target.name.of_container)
    owner = acl.load(stored.headers.get(headers.ACL, ""), kept.owner).owner
    asked = sent_acl(context, request, kept, Owners(owner, kept.owner))
    if not asked.private:
        context.buckets.register(request, target.name.of_container)
    version_id = current.change(context, request, target, {headers.ACL: acl.dump(asked, kept.owner)})
    return Response(200, objects.version_header(version_id))


OPERATION = Operation(
    "PutObjectAcl", "PUT", "object", handle, "s3:PutObjectAcl", "acl", versioned_action="s3:PutObjectVersionAcl"
)
