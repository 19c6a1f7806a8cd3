"""Swift's object versioning: its header, its queries and its listing. The layer `versions` keeps the versions.

`X-Versions-Enabled` sets the same state of a container as PutBucketVersioning of S3, and ids are those of S3.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, cast
from urllib.parse import quote

from objstore.core.errors import DeleteMarker, InvalidInput, NoSuchVersion, NotFound
from objstore.core.headers import BYTES_ELSEWHERE
from objstore.core.json_body import JsonBody
from objstore.layers import documents
from objstore.layers.interface import (
    DeleteOptions,
    Group,
    Listing,
    ObjectLayer,
    Version,
    VersionedLayer,
    VersionsPage,
)
from objstore.layers.versions import CONFIG, ENABLED, SUSPENDED, state
from objstore.layers.versions.keys import kept_in
from objstore.layers.versions.names import NULL, parse_id
from objstore.swift.request import FALSE, TRUE, VERSION_ID, ProxyRequest, page_of
from objstore.web import requests
from objstore.web.errors import response_for
from objstore.web.infos import ContainerInfo
from objstore.web.responses import Response

HEADER = "X-Versions-Enabled"
LISTING = "versions"
_VERSION_ID = "version-id"
_MARKER = "version_marker"
_TIMESTAMP = re.compile(r"\d{10}\.\d{5}(_[0-9a-f]{16})?", re.ASCII)  # an id of Swift: valid, and not here
_BYTES = "X-Container-Bytes-Used"
# How a delete marker is listed.
MARKER_TYPE = "application/x-deleted;swift_versions_deleted=1"
_OF_NOTHING = "d41d8cd98f00b204e9800998ecf8427e"
_OF_ROWS = ("name", "hash", "bytes", "content_type", "last_modified", "offset")


def query_id(request: ProxyRequest) -> str:
    """Return the version id in the query of a request, '' if none."""
    if not request.environ.get("QUERY_STRING"):
        return ""
    return requests.query(request.environ).get(_VERSION_ID, "")


def checked_id(request: ProxyRequest, container: ContainerInfo) -> str:
    """Return the same. Raises InvalidInput or NoSuchVersion if the container cannot have that version."""
    version_id = query_id(request)
    check_id(version_id, container)
    return version_id


def check_id(version_id: str, container: ContainerInfo) -> None:
    """Raise InvalidInput or NoSuchVersion if the container cannot have that version; '' for none."""
    if version_id in ("", NULL):
        return
    if not container.keeps_versions:
        raise InvalidInput("version-aware operations require that the container is versioned")
    if _TIMESTAMP.fullmatch(version_id):
        raise NoSuchVersion(f"there is no version {version_id}")


def missing(failure: NotFound, version_id: str) -> Response:
    """Return the answer to a read of an object that is not there. version_id: the requested one."""
    response = response_for(failure)
    if isinstance(failure, DeleteMarker):
        response.headers[VERSION_ID] = failure.version_id
        if version_id:
            response.headers["Content-Type"] = MARKER_TYPE
    return response


def location(request: ProxyRequest, version_id: str) -> str:
    """Return the path of a version, for Content-Location."""
    api = request.environ["PATH_INFO"].split("/", 2)[1]
    return f"/{api}{quote(request.name.path, errors='surrogateescape')}?{_VERSION_ID}={version_id}"


def changed_state(request: ProxyRequest, container: ContainerInfo) -> dict[str, str]:
    """Return the headers that store the state that the request sets; none if it sets none.

    Raises InvalidInput if the value is neither yes nor no.
    """
    sent = request.headers.get(HEADER)
    if sent is None:
        return {}
    value = sent.strip().lower()
    if value in TRUE:
        return documents.headers(CONFIG, ENABLED)
    if value not in FALSE:
        raise InvalidInput(f"{HEADER} is neither true nor false")
    return documents.headers(CONFIG, SUSPENDED) if container.keeps_versions else {}


def shown_headers(
    request: ProxyRequest, layer: ObjectLayer, container: ContainerInfo, headers: Mapping[str, str]
) -> dict[str, str]:
    """Return the headers of a container that keeps versions: its state, and the bytes of all versions.

    headers: of the container itself.
    """
    own = int(headers[_BYTES]) - int(headers.get(BYTES_ELSEWHERE, 0))
    try:
        kept = layer.container(request.context, kept_in(request.name)).headers[_BYTES]
    except NotFound:
        kept = "0"
    return {HEADER: str(state(container) == ENABLED), _BYTES: str(own + int(kept))}


def drop_null_markers(request: ProxyRequest, layer: ObjectLayer) -> bool:
    """Delete the delete markers of a container with the id `null`, which Swift's clients do not see.

    Return False, and delete nothing, if anything else is left in the container.
    """
    versioned, context = layer_of(layer), request.context

    def items() -> Iterator[Version | Group]:
        return versioned.list_versions(context, request.name, VersionsPage())

    if not all(isinstance(item, Version) and item.marker and item.version_id == NULL for item in items()):
        return False
    for item in items():
        options = DeleteOptions(version_id=NULL)
        versioned.delete(context, request.name._replace(object=item.key), options)
    return True


def layer_of(layer: ObjectLayer) -> VersionedLayer:
    """Return the layer with the operations on versions: every stack has the layer `versions`."""
    return cast(VersionedLayer, layer)


def listing(request: ProxyRequest, layer: ObjectLayer, query: Mapping[str, str], limit: int) -> Listing:
    """Return the versions of a container. limit: of rows. Raises NotFound, InvalidInput."""
    shown = layer.container(request.context, request.name)
    page = page_of(request, query)
    marker = query.get(_MARKER)
    if marker is not None:
        if not page.marker:
            raise InvalidInput(f"{_MARKER} param requires marker")
        if marker != NULL and parse_id(marker) is None:
            raise InvalidInput(f"invalid {_MARKER} param")
    limit = limit if page.limit is None else page.limit
    selection = VersionsPage(
        page.prefix, page.delimiter, page.marker, marker or "", limit, page.end_marker, page.reverse
    )
    items = layer_of(layer).list_versions(request.context, request.name, selection)
    rows = list(islice(_rows(items), limit)) if limit else []
    return Listing({**shown.headers, "Content-Type": "application/json; charset=utf-8"}, JsonBody.of(rows))


def _rows(items: Iterator[Version | Group]) -> Iterator[dict[str, Any]]:
    for item in items:
        if isinstance(item, Group):
            yield {"subdir": item.key}
            continue
        key, version_id, latest, marker, row = item
        if marker and version_id == NULL:  # in Swift a deletion leaves none while versions are disabled
            continue
        yield {
            "name": key,
            "hash": _OF_NOTHING if marker else row["hash"],
            "bytes": row["bytes"],
            "content_type": MARKER_TYPE if marker else row["content_type"],
            "last_modified": row["last_modified"],
            "version_id": version_id,
            "is_latest": latest,
            **{name: value for name, value in row.items() if name not in _OF_ROWS},
        }
