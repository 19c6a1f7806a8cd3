"""Completing an upload: the claim, the one PUT that makes the object, and the removal of the remains.

A refusal of that PUT withdraws the claim, so that the upload goes on. If it is not known whether the PUT took effect,
the claim becomes unsure: the upload can be completed again, which writes the same manifest once more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from objstore.core.errors import ObjstoreError
from objstore.core.listed import LISTED_ETAG, LISTED_SIZE
from objstore.core.manifests import FORM, MANIFEST, MANIFEST_ETAG, MANIFEST_OWNS, MANIFEST_SIZE, owns
from objstore.core.names import Name
from objstore.layers.bodies import BytesBody
from objstore.s3.context import Context
from objstore.s3.data import object_headers, object_store
from objstore.s3.data.object_headers import Checksum
from objstore.s3.language.errors import S3Error
from objstore.s3.multipart import claims, names, parts, plan, uploads
from objstore.s3.multipart.claims import Claim
from objstore.s3.multipart.parts import Part
from objstore.s3.multipart.plan import Plan, Rules
from objstore.s3.multipart.uploads import MultipartUpload, UploadRecord
from objstore.s3.operations import objects
from objstore.s3.request.s3_request import S3Request
from objstore.web import segments

_MAX_PART_XML = 512  # maximum bytes of a part in the document


class Completed(NamedTuple):
    """A completed upload.

    etag: without quotes. version_id: '' if the bucket never had versioning. headers: the stored headers of the object.
    """

    etag: str
    checksum: Checksum | None
    version_id: str
    headers: Mapping[str, str]


def complete(context: Context, request: S3Request) -> Completed:
    """Complete the upload of a request.

    Raises S3Error: those of `plan`, NoSuchUpload, OperationAborted, and those of writing the object.
    """
    settings = context.settings
    document = request.body.whole(max(settings.max_xml_body, settings.max_parts * _MAX_PART_XML))
    requested = plan.read(document, settings.max_parts)
    conditions = objects.write_conditions(request.headers)
    upload_id = request.query["uploadId"]
    record = uploads.load(context, request, upload_id)
    if record is None:
        completed = committed(context, request, upload_id)
        if completed is None or not plan.makes(requested, completed.etag):
            raise uploads.no_such(upload_id)
        return completed
    attempts = list(parts.attempts(context, request, record.upload))
    rules = Rules(settings.min_part_size, settings.max_object_size, settings.max_parts)
    last_attempts = {part.number: part for part in parts.last_attempts(attempts)}
    planned = plan.make(requested, last_attempts, record.upload, request.headers, rules)
    claim = _claim(context, request, record.upload, planned.size)
    if isinstance(claim, Completed):
        if claim.etag != planned.etag:
            raise uploads.no_such(upload_id)
        return claim
    completed = _commit(context, request, record, planned, claim, conditions)
    _tidy(context, request, record.upload, claim, _unused(attempts, planned))
    return completed


def committed(context: Context, request: S3Request, upload_id: str) -> Completed | None:
    """Return the object, or the version of it, that an upload has become; None if there is none."""
    if not names.is_id(upload_id):
        return None
    name, prefix = objects.name_of(context, request), names.prefix(upload_id)
    stored = context.layer.find_owner(request.context, name, prefix)
    if stored is None:
        return None
    checksum = object_headers.checksum(stored.headers)
    return Completed(stored.headers[MANIFEST_ETAG], checksum, stored.version_id, stored.headers)


def _claim(context: Context, request: S3Request, upload: MultipartUpload, size: int) -> Claim | Completed:
    """Return the claim to complete, or the object if an interrupted request has completed the upload already."""
    claim = claims.make(context, request, upload, claims.COMPLETING, size)
    if claim is not None:
        if uploads.find(context, request, upload.id, newest=True) is None:
            # Aborted to the end since the record was read: its parts are gone, and so is the claim of the abortion.
            claims.withdraw(context, request, upload, claim)
            raise uploads.no_such(upload.id)
        return claim
    current = claims.read(context, request, upload)
    if current is None or not current.over:
        raise claims.in_progress()
    if current.state == claims.ABORTED:
        raise uploads.no_such(upload.id)
    completed = committed(context, request, upload.id)
    if completed is not None or current.state == claims.DONE:
        uploads.remove(context, request, upload)
        if completed is None:  # replaced by another object since
            raise uploads.no_such(upload.id)
        return completed
    claim = claims.make(context, request, upload, claims.COMPLETING, size, current)
    if claim is None:
        raise claims.in_progress()
    return claim


def _commit(
    context: Context,
    request: S3Request,
    record: UploadRecord,
    planned: Plan,
    claim: Claim,
    conditions: Mapping[str, str],
) -> Completed:
    upload = record.upload
    try:
        manifest = _manifest(context, request, record, planned)._replace(conditions=conditions)
        written = context.objects.write(request, objects.name_of(context, request), manifest)
    except S3Error as refused:
        if refused.status < 500:
            claims.withdraw(context, request, upload, claim)
        else:
            claims.make(context, request, upload, claims.UNSURE, planned.size, claim)
        raise
    except ObjstoreError:
        claims.make(context, request, upload, claims.UNSURE, planned.size, claim)
        raise
    return Completed(planned.etag, planned.checksum, written.version_id, record.headers)


def _manifest(context: Context, request: S3Request, record: UploadRecord, planned: Plan) -> object_store.ObjectUpload:
    container: Name = uploads.place(context, request, record.upload)
    assert container.container is not None
    headers = {
        **record.headers,
        MANIFEST: FORM,
        MANIFEST_ETAG: planned.etag,
        MANIFEST_SIZE: str(planned.size),
        MANIFEST_OWNS: owns(container.container, names.prefix(record.upload.id)),
        LISTED_ETAG: planned.etag,
        LISTED_SIZE: str(planned.size),
    }
    if planned.checksum is not None:
        headers[object_headers.CHECKSUM] = planned.checksum.dump()
    body = segments.dump(planned.rows(container.container))
    return object_store.ObjectUpload(headers, BytesBody(body))


def _unused(attempts: Sequence[Part], planned: Plan) -> list[str]:
    planned_names = {part.name for part in planned.parts}
    return [part.name for part in attempts if part.name not in planned_names]


def _tidy(context: Context, request: S3Request, upload: MultipartUpload, claim: Claim, unused: Sequence[str]) -> None:
    """Delete the upload and the unused parts. A failure loses no data."""
    try:
        if unused and claims.make(context, request, upload, claims.DONE, claim.size, claim) is not None:
            # The claim is DONE, so no other completion can list these parts in a manifest.
            parts.delete(context, request, upload, unused)
        uploads.remove(context, request, upload)
    except (S3Error, ObjstoreError):
        pass
