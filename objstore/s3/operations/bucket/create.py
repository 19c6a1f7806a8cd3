"""CreateBucket: registers the name for the requester's account and makes the container."""

from __future__ import annotations

from objstore.access import acl
from objstore.access.acl import Acl
from objstore.access.bucket import ACL, BUCKET_OWNER_ENFORCED, OWNERSHIP, OWNERSHIPS
from objstore.core.object_lock import LockRule
from objstore.layers import documents
from objstore.layers.interface import ContainerOptions
from objstore.layers.versions import CONFIG as VERSIONING
from objstore.layers.versions import ENABLED, LOCK_CONFIG
from objstore.s3.access import refuse_public
from objstore.s3.buckets import bucket_config
from objstore.s3.context import Context
from objstore.s3.language import tags, xml
from objstore.s3.language.errors import S3Error
from objstore.s3.operation import Operation
from objstore.s3.request.acl_headers import Owners, asks_for_acl, from_headers
from objstore.s3.request.s3_request import S3Request
from objstore.s3.request.signature.v4 import ANY_REGION
from objstore.s3.settings import S3Settings
from objstore.web.responses import Response

_LOCK = "X-Amz-Bucket-Object-Lock-Enabled"
_CLASSIC = "us-east-1"  # the region of a bucket without a constraint; here an owner may create it again


def create(context: Context, request: S3Request) -> Response:
    tagging = _configured(request.body.whole(context.settings.max_xml_body), context.settings)
    ownership = _ownership(request)
    granted = _acl(context, request, ownership or context.settings.default_object_ownership)
    stored = acl.dump(granted, request.account)
    headers = documents.headers(ACL, stored)
    if ownership:
        headers |= documents.headers(OWNERSHIP, ownership)
    if tagging:
        headers |= documents.headers(bucket_config.TAGGING, tagging)
    if request.header(_LOCK).lower() == "true":
        headers |= documents.headers(VERSIONING, ENABLED) | documents.headers(LOCK_CONFIG, LockRule().dump())
    options = ContainerOptions(headers, policy=context.classes.of_buckets)
    if not context.buckets.create(request, request.bucket, options):
        if context.settings.region != _CLASSIC:
            raise S3Error("BucketAlreadyOwnedByYou", "", {"BucketName": request.bucket})
        _reset_acl(context, request, granted)
    return Response(200, {"Location": f"/{request.bucket}"})


def _reset_acl(context: Context, request: S3Request, granted: Acl) -> None:
    """Reset the ACL of a bucket that is created again, by the rules of PutBucketAcl. Raises S3Error."""
    name = context.access.require(request, "s3:PutBucketAcl", request.bucket)
    bucket = context.access.bucket(request, name)
    if bucket.acls_disabled and not granted.private:
        raise S3Error("AccessControlListNotSupported")
    refuse_public(granted, bucket.block)
    documents.keep(context.layer, request.context, name, ACL, acl.dump(granted, request.account))


def _configured(body: bytes, settings: S3Settings) -> str:
    """Return the stored form of the tags in a CreateBucketConfiguration, after a check of its region.

    Raises S3Error MalformedXML, InvalidLocationConstraint, IllegalLocationConstraintException, InvalidTag, BadRequest,
    and NotImplemented for a bucket in a zone.
    """
    if not body.strip():
        return ""
    root = xml.parse(body, "CreateBucketConfiguration")
    if root.find("Location") is not None or root.find("Bucket") is not None:
        raise S3Error("NotImplemented")
    _check_region(xml.text(root, "LocationConstraint"), settings)
    listed = root.find("Tags")
    return "" if listed is None else tags.dump(tags.from_list(listed, tags.MAX_OF_BUCKET))


def _check_region(constraint: str, settings: S3Settings) -> None:
    region = settings.region
    if constraint in ("", region, *settings.accepted_regions) or (constraint == "EU" and region == "eu-west-1"):
        return
    if not constraint.replace("-", "").isalnum() or "-" not in constraint:
        raise S3Error("InvalidLocationConstraint", "", {"LocationConstraint": constraint})
    if ANY_REGION in settings.accepted_regions:
        return
    raise S3Error(
        "IllegalLocationConstraintException",
        f"The {constraint} location constraint is incompatible for the region specific endpoint this request was sent "
        "to.",
    )


def _ownership(request: S3Request) -> str:
    ownership: str = request.header("X-Amz-Object-Ownership")
    if ownership and ownership not in OWNERSHIPS:
        extra = {"ArgumentName": "x-amz-object-ownership", "ArgumentValue": ownership}
        raise S3Error("InvalidArgument", f"Invalid x-amz-object-ownership header: {ownership}", extra)
    return ownership


def _acl(context: Context, request: S3Request, ownership: str) -> Acl:
    owners = Owners(request.account, request.account)
    granted = from_headers(request.headers, owners, context.access.has_account) or acl.private(request.account)
    if ownership == BUCKET_OWNER_ENFORCED and asks_for_acl(request.headers) and not granted.private:
        raise S3Error("InvalidBucketAclWithObjectOwnership")
    return granted


OPERATIONS = (Operation("CreateBucket", "PUT", "bucket", create, ""),)
