"""Manifests as clients of the Swift API see them: headers of an answer, and the list in its forms."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from objstore.core.manifests import LARGE, MANIFEST_ETAG, OWN_ETAG, is_large
from objstore.core.metadata import sysmeta_prefix
from objstore.web.responses import Response

_SYSTEM = sysmeta_prefix("Object")
_JSON = "application/json; charset=utf-8"
RAW = "raw"  # value of `format`


def shown(headers: Mapping[str, str], stored: Mapping[str, str], raw: bool) -> dict[str, str]:
    """Return the headers of an answer about a manifest. headers: those that this client may see of `stored`.

    raw: of the answer with the list.
    """
    visible = {name: value for name, value in headers.items() if not name.startswith(_SYSTEM)}
    visible[LARGE] = "True"  # clients must know that its etag is not an MD5
    if not is_large(stored):  # of the S3 API, or the store's own
        if raw:
            visible["Etag"] = stored[MANIFEST_ETAG]
    elif raw:
        visible.pop(OWN_ETAG, None)
    else:
        visible["Etag"] = f'"{stored[MANIFEST_ETAG]}"'
    return visible


def list_response(visible: Mapping[str, str], stored: Mapping[str, str], content: bytes, form: str) -> Response:
    """Return the answer with the list of a manifest. content: the stored list. form: RAW for that of a document."""
    headers = dict(visible)
    if not is_large(stored):  # clients see a large object without its own segments
        content = b"[]"
    if form == RAW and is_large(stored):
        content = document_of(content)
        headers["Etag"] = hashlib.md5(content, usedforsecurity=False).hexdigest()
    else:
        headers["Content-Type"] = _JSON
    headers["Content-Length"] = str(len(content))
    return Response(200, headers, content)


def document_of(content: bytes) -> bytes:
    """Return the document from which a stored list was made."""
    return json.dumps([_document_entry(row) for row in json.loads(content)]).encode()


def _document_entry(row: Mapping[str, Any]) -> dict[str, Any]:
    if "data" in row:
        return {"data": row["data"]}
    entry = {"etag": row["hash"], "path": row["name"], "size_bytes": row["bytes"]}
    if "range" in row:
        entry["range"] = row["range"]
    return dict(sorted(entry.items()))
