"""Completing an upload: the claim, the one PUT that makes the object, and what is left to tidy.

A refusal of that PUT withdraws the claim, so that the upload goes on. Where it is not known whether
the PUT took effect, the claim stays as unsure: the upload can be completed again, which
writes the same manifest once more.
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
from objstore.s3.multipart.uploads import Record, Upload
from objstore.s3.operations import objects
from objstore.s3.request.s3_request import S3Request
from objstore.web import segments

_PART_XML = 512  # bytes of a part in the document, at most


class Completed(NamedTuple):
    """etag: without quotes. version_id: '' where the bucket never kept versions. kept: the headers of the object."""

    etag: str
    checksum: Checksum | None
    version_id: str
    kept: Mapping[str, str]


def complete(context: Context, request: S3Request) -> Completed:
    """What the request asks for. Raises S3Error: those of `plan`, NoSuchUpload, OperationAborted, and those of
    `current.write`."""
    settings = context.settings
    document = request.body.whole(max(settings.max_xml_body, settings.max_parts * _PART_XML))
    asked = plan.read(document, settings.max_parts)
    conditions = objects.write_conditions(request.headers)
    upload_id = request.query["uploadId"]
    record = uploads.load(context, request, upload_id)
    if record is None:
        done = committed(context, request, upload_id)
        if done is None or not plan.makes(asked, done.etag):
            raise uploads.no_such(upload_id)
        return done
    found = list(parts.attempts(context, request, record.upload))
    rules = Rules(settings.min_part_size, settings.max_object_size, settings.max_parts)
    counting = {part.number: part for part in parts.counting(found)}
    planned = plan.make(asked, counting, record.upload, request.headers, rules)
    claimed = _claim(context, request, record.upload, planned.size)
    if isinstance(claimed, Completed):
        if claimed.etag != planned.etag:
            raise uploads.no_such(upload_id)
        return claimed
    done = _commit(context, request, record, planned, claimed, conditions)
    _tidy(context, request, record.upload, claimed, _unused(found, planned))
    return done


def committed(context: Context, request: S3Request, upload_id: str) -> Completed | None:
    """The object, or the version of it, that an upload has become; None where it became none."""
    if not names.is_id(upload_id):
        return None
    name, prefix = objects.name_of(context, request), names.prefix(upload_id)
    stored = context.layer.find_owner(request.context, name, prefix)
    if stored is None:
        return None
    checksum = object_headers.checksum(stored.headers)
    return Completed(stored.headers[MANIFEST_ETAG], checksum, stored.version_id, stored.headers)


def _claim(context: Context, request: S3Request, upload: Upload, size: int) -> Claim | Completed:
    """The claim to complete; what is there where one who died has completed it already."""
    claim = claims.make(context, request, upload, claims.COMPLETING, size)
    if claim is not None:
        if uploads.find(context, request, upload.id, newest=True) is None:
            # Aborted to the end since the record was read: its parts are gone, and the claim that said so as well.
            claims.withdraw(context, request, upload, claim)
            raise uploads.no_such(upload.id)
        return claim
    other = claims.look(context, request, upload)
    if other is None or not other.over:
        raise claims.in_progress()
    if other.state == claims.ABORTED:
        raise uploads.no_such(upload.id)
    done = committed(context, request, upload.id)
    if done is not None or other.state == claims.DONE:
        uploads.remove(context, request, upload)
        if done is None:  # it was, and has been replaced since
            raise uploads.no_such(upload.id)
        return done
    claim = claims.make(context, request, upload, claims.COMPLETING, size, other)
    if claim is None:
        raise claims.in_progress()
    return claim


def _commit(
    context: Context,
    request: S3Request,
    record: Record,
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
    return Completed(planned.etag, planned.checksum, written.version_id, record.kept)


def _manifest(context: Context, request: S3Request, record: Record, planned: Plan) -> object_store.Upload:
    container: Name = uploads.place(context, request, record.upload)
    assert container.container is not None
    headers = {
        **record.kept,
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
    return object_store.Upload(headers, BytesBody(body))


def _unused(found: Sequence[Part], planned: Plan) -> list[str]:
    used = {part.name for part in planned.parts}
    return [part.name for part in found if part.name not in used]


def _tidy(context: Context, request: S3Request, upload: Upload, claim: Claim, unused: Sequence[str]) -> None:
    """Forget the upload, and the parts that were not taken. Where that fails nothing is lost by it."""
    try:
        if unused and claims.make(context, request, upload, claims.DONE, claim.size, claim) is not None:
            parts.delete(
                context, request, upload, unused
            )  # nobody has taken over, or can: no other manifest lists them
        uploads.remove(context, request, upload)
    except (S3Error, ObjstoreError):
        pass
