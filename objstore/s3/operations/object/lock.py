"""The retention and the legal hold of an object or version."""

from __future__ import annotations

from objstore.core.object_lock import LOCK, Lock
from objstore.s3.context import Context
from objstore.s3.data import lock_headers
from objstore.s3.language import lock_xml
from objstore.s3.language.errors import S3Error
from objstore.s3.operation import Operation
from objstore.s3.operations import objects
from objstore.s3.request.s3_request import S3Request
from objstore.web.responses import Response


def get_retention(context: Context, request: S3Request) -> Response:
    lock = _stored(context, request)
    if not lock.mode and not lock.event_hold:
        raise S3Error("NoSuchObjectLockConfiguration")
    return Response(200, {"Content-Type": "application/xml"}, lock_xml.retention_to_xml(lock))


def put_retention(context: Context, request: S3Request) -> Response:
    return _change(context, request, objects.may_bypass(context, request, request.key, request.version_id))


def get_legal_hold(context: Context, request: S3Request) -> Response:
    lock = _stored(context, request)
    if not lock.legal_hold:
        raise S3Error("NoSuchObjectLockConfiguration")
    return Response(200, {"Content-Type": "application/xml"}, lock_xml.legal_hold_to_xml(lock))


def put_legal_hold(context: Context, request: S3Request) -> Response:
    return _change(context, request, False)


def _stored(context: Context, request: S3Request) -> Lock:
    _require_lock(context, request)
    stored = context.objects.read(request, objects.target(context, request), head=True)
    return Lock.parse(stored.headers.get(LOCK, ""))


def _require_lock(context: Context, request: S3Request) -> None:
    if not objects.is_locked(context, request):
        raise S3Error("InvalidRequest", "Bucket is missing Object Lock Configuration")


def _change(context: Context, request: S3Request, bypass: bool) -> Response:
    """Change the lock as the request's document says."""
    _require_lock(context, request)
    objects.require_checksum(request.headers)
    document = request.body.whole(context.settings.max_xml_body)
    change = lock_xml.CHANGES[request.operation](document, lock_headers.date)
    version_id = context.objects.set_lock(request, objects.target(context, request), change, bypass)
    return Response(200, objects.version_header(version_id))


OPERATIONS = (
    Operation("GetObjectRetention", "GET", "object", get_retention, "s3:GetObjectRetention", "retention"),
    Operation("PutObjectRetention", "PUT", "object", put_retention, "s3:PutObjectRetention", "retention"),
    Operation("GetObjectLegalHold", "GET", "object", get_legal_hold, "s3:GetObjectLegalHold", "legal-hold"),
    Operation("PutObjectLegalHold", "PUT", "object", put_legal_hold, "s3:PutObjectLegalHold", "legal-hold"),
)
