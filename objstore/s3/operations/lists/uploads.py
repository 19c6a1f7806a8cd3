"""ListMultipartUploads: the uploads under way in a bucket, by key, and by their start time under one key."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from objstore.core.errors import NotFound
from objstore.layers.interface import Page
from objstore.s3.context import Context
from objstore.s3.language import dates, xml
from objstore.s3.language.acl_xml import owner
from objstore.s3.multipart import names, uploads
from objstore.s3.multipart.uploads import MultipartUpload
from objstore.s3.operation import Operation
from objstore.s3.operations.lists import listing
from objstore.s3.operations.lists.listing import Selection
from objstore.s3.request.s3_request import S3Request
from objstore.web.responses import Response


class UploadsPage(NamedTuple):
    """A page of uploads. next: key and id after which the next page begins; empty at the end of the listing."""

    uploads: list[MultipartUpload]
    prefixes: list[str]
    next: tuple[str, str] = ("", "")
    cut: bool = False


def list_uploads(context: Context, request: S3Request) -> Response:
    query = request.query
    selection = listing.selection(request, query.get("key-marker", ""), context.settings.max_listing)
    limit = listing.max_entries(query, "max-uploads", context.settings.max_listing)
    id_marker = query.get("upload-id-marker", "") if selection.after else ""
    page = _page(context, request, selection._replace(limit=limit), id_marker)
    encode = listing.url_encoded if query.get("encoding-type") else str
    result: list[tuple[str, object]] = [
        ("Bucket", request.bucket),
        ("KeyMarker", encode(selection.after)),
        ("UploadIdMarker", id_marker),
        ("NextKeyMarker", encode(page.next[0]) if page.cut else None),
        ("NextUploadIdMarker", page.next[1] if page.cut else None),
        ("Prefix", encode(selection.prefix)),
        ("Delimiter", encode(selection.delimiter) if selection.delimiter else None),
        ("EncodingType", query.get("encoding-type") or None),
        ("MaxUploads", limit),
        ("IsTruncated", page.cut),
        *(("Upload", _upload(upload, encode)) for upload in page.uploads),
        *(("CommonPrefixes", [("Prefix", encode(prefix))]) for prefix in page.prefixes),
    ]
    return Response(200, {"Content-Type": "application/xml"}, xml.document("ListMultipartUploadsResult", result))


def _page(context: Context, request: S3Request, selection: Selection, id_marker: str) -> UploadsPage:
    container = uploads.place(context, request)
    if not selection.limit:
        return UploadsPage([], [])
    marker = _marker(selection, id_marker) if selection.after else ""
    rows_page = Page(names.RECORDS + selection.prefix, selection.delimiter, marker, limit=selection.limit + 1)
    try:
        rows = context.layer.list_objects(request.context, container, rows_page).rows
    except NotFound:
        return UploadsPage([], [])
    cut = len(rows) > selection.limit
    del rows[selection.limit :]
    following = ("", "")
    if cut:
        last = rows[-1]
        if "name" in last:
            following = names.read_record(last["name"])
        else:
            following = (last["subdir"].removeprefix(names.RECORDS), "")
    return UploadsPage(
        [uploads.read_row(row) for row in rows if "name" in row],
        [row["subdir"].removeprefix(names.RECORDS) for row in rows if "subdir" in row],
        following,
        cut,
    )


def _marker(selection: Selection, id_marker: str) -> str:
    """Return the marker of the native listing: after an upload, after all of a key, or after all of a group."""
    key = selection.after
    if names.is_id(id_marker):
        return names.record(key, id_marker)
    if selection.delimiter and key.startswith(selection.prefix):
        end = key.find(selection.delimiter, len(selection.prefix))
        if end >= 0 and end + len(selection.delimiter) == len(key):
            return names.RECORDS + key + names.LAST
    return names.behind(key)


def _upload(upload: MultipartUpload, encode: Callable[[str], str]) -> list[tuple[str, object]]:
    return [
        ("Key", encode(upload.key)),
        ("UploadId", upload.id),
        ("Initiator", owner(upload.account)),
        ("Owner", owner(upload.account)),
        ("StorageClass", upload.storage_class),
        ("Initiated", dates.iso(upload.started)),
        ("ChecksumAlgorithm", upload.algorithm or None),
        ("ChecksumType", upload.type if upload.algorithm else None),
    ]


OPERATIONS = (
    Operation("ListMultipartUploads", "GET", "bucket", list_uploads, "s3:ListBucketMultipartUploads", "uploads"),
)
