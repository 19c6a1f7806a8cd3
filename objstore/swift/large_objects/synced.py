"""PUT of a manifest that another cluster sends: its list is stored as it is, since its segments may come later.

The list is in the form that Swift's clusters store and send: rows with `name`, `hash`, `bytes`, `range` and `sub_slo`,
or with `data`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from objstore.core.errors import InvalidInput
from objstore.core.names import RESERVED
from objstore.swift.large_objects.put import ManifestPut
from objstore.swift.large_objects.validation import Validated
from objstore.swift.request import ProxyRequest
from objstore.web import segments
from objstore.web.responses import Response, error
from objstore.web.segments import Segment

_KEYS = ("name", "bytes", "hash", "content_type", "last_modified", "range", "sub_slo", "data")


class SyncedPut:
    """The verb. put: that for manifests of clients."""

    def __init__(self, put: ManifestPut) -> None:
        self._put = put

    def __call__(self, request: ProxyRequest) -> Response:
        refused = self._put.refuse(request)
        if refused is not None:
            return refused
        content = self._put.read(request)
        expected = request.headers.get("Etag", "").strip('"')  # of the list, as the other cluster has it
        if expected and expected != hashlib.md5(content, usedforsecurity=False).hexdigest():
            return error(422)
        return self._put.store(request, read_list(content), self._put.options(request), "")


def read_list(content: bytes) -> Validated:
    """Return a list that a cluster has stored. Raises InvalidInput."""
    found = segments.parse(content)
    rows = [{key: row[key] for key in _KEYS if key in row} for row in json.loads(content)]
    names = [_name(segment) for segment in found if segment.path]
    depth = 2 if any(segment.is_manifest for segment in found) else 1
    return Validated(rows, _etag(found), sum(segment.length for segment in found), depth, names, [])


def _name(segment: Segment) -> tuple[str, str]:
    """Return the container and the object of a segment."""
    container, _, key = segment.path.lstrip("/").partition("/")
    if not container or not key or RESERVED in segment.path:
        raise InvalidInput(f"{segment.path[:200]!r} is no object of a client")
    return container, key


def _etag(found: Sequence[Segment]) -> str:
    """Return the etag of the whole (Swift: Static Large Objects): the MD5 of the etags of the segments."""
    digest = hashlib.md5(usedforsecurity=False)
    for segment in found:
        etag = segment.etag or hashlib.md5(segment.data, usedforsecurity=False).hexdigest()
        if segment.length < segment.size:
            etag += f":{segment.start}-{segment.stop - 1};"
        digest.update(etag.encode())
    return digest.hexdigest()
