"""ListObjectVersions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice

from objstore.layers.interface import Group, Version, VersionsPage
from objstore.layers.versions.names import parse_id
from objstore.s3.context import Context
from objstore.s3.data.object_store import NULL
from objstore.s3.language import xml
from objstore.s3.language.dates import listed
from objstore.s3.language.errors import S3Error
from objstore.s3.operation import Operation
from objstore.s3.operations.lists import listing
from objstore.s3.request.s3_request import S3Request
from objstore.web.responses import Response


def list_versions(context: Context, request: S3Request) -> Response:
    query = request.query
    marker = query.get("version-id-marker", "")
    selection = listing.selection(request, query.get("key-marker", ""), context.settings.max_listing)
    _check_marker(query.get("key-marker"), marker)
    bucket = context.buckets.resolve(request, request.bucket)
    # With an empty key marker, S3 lists from the start, with any version marker.
    prefix, delimiter, after, limit, _ = selection
    page = VersionsPage(prefix, delimiter, after, marker if after else "", limit + 2)
    rows = context.layer.list_versions(request.context, bucket, page)
    items = list(islice(rows, selection.limit + 1)) if selection.limit else []
    cut = len(items) > selection.limit
    del items[selection.limit :]
    last = items[-1] if cut else None
    encode = selection.encode
    owner = listing.owner_xml(bucket.account)
    content = (
        listing.elements(
            ("Name", request.bucket),
            ("Prefix", encode(selection.prefix)),
            ("KeyMarker", encode(selection.after)),
            ("VersionIdMarker", xml.escape(marker)),
            ("NextKeyMarker", encode(last.key) if last else None),
            ("NextVersionIdMarker", last.version_id if isinstance(last, Version) else None),
            ("MaxKeys", selection.limit),
            ("Delimiter", encode(selection.delimiter) if "delimiter" in query else None),
            ("EncodingType", listing.URL if query.get("encoding-type") else None),
            ("IsTruncated", cut),
        )
        + _versions_xml((item for item in items if isinstance(item, Version)), encode, owner)
        + listing.prefixes_xml((item.key for item in items if isinstance(item, Group)), encode)
    )
    return Response(200, {"Content-Type": "application/xml"}, listing.document("ListVersionsResult", content))


def _check_marker(key: str | None, version: str) -> None:
    """Raise S3Error InvalidArgument for a bad version marker. key: None without the parameter; '' counts as one."""
    extra = {"ArgumentName": "version-id-marker", "ArgumentValue": version}
    if version and key is None:
        raise S3Error("InvalidArgument", "A version-id marker cannot be specified without a key marker.", extra)
    if version not in ("", NULL) and parse_id(version) is None:
        raise S3Error("InvalidArgument", "Invalid version id specified", extra)


def _versions_xml(items: Iterable[Version], encode: Callable[[str], str], owner: str) -> str:
    pieces = []
    for key, version_id, latest, marker, row in items:
        about = (
            f"<Key>{encode(key)}</Key><VersionId>{version_id}</VersionId>"
            f"<IsLatest>{'true' if latest else 'false'}</IsLatest>"
            f"<LastModified>{listed(row['last_modified'])}</LastModified>"
        )
        if marker:
            pieces.append(f"<DeleteMarker>{owner}{about}</DeleteMarker>")
        else:
            etag, size = listing.as_read(row)
            pieces.append(
                f"<Version>{about}<ETag>&quot;{etag if etag.isalnum() else xml.escape(etag)}&quot;</ETag>"
                f"{listing.checksum_xml(row.get('checksum', ''))}<Size>{size}</Size>"
                f"<StorageClass>{row.get('storage_class', 'STANDARD')}</StorageClass>{owner}</Version>"
            )
    return "".join(pieces)


OPERATIONS = (Operation("ListObjectVersions", "GET", "bucket", list_versions, "s3:ListBucketVersions", "versions"),)
