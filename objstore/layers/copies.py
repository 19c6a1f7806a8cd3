"""Copies within the store: the metadata that a copy carries over, and the content of one object put as another.

Each API decides by its own rules who may copy, which source is meant and what a request may replace.
"""

from __future__ import annotations

from collections.abc import Mapping

from objstore.core.dlo import DLO
from objstore.core.expiry import DELETE_AT
from objstore.core.manifests import LARGE, MANIFEST
from objstore.core.metadata import TRANSIENT_SYSMETA, is_sysmeta, stored_with_object
from objstore.core.names import Name
from objstore.core.object_lock import LOCK
from objstore.layers.interface import ObjectLayer, PutOptions, PutResult, Reply
from objstore.layers.outflow import Outflow
from objstore.web.context import RequestContext

# Headers that make an object a large one. A copy does not have them: its bytes are its own.
_LARGE = frozenset({DLO, LARGE})
_NEVER = _LARGE | {LOCK}  # a lock is of the version, not of its content


def carried(
    source: Mapping[str, str], sent: Mapping[str, str], fresh: bool = False, raw: bool = False
) -> dict[str, str]:
    """Return the headers that a copy takes over from its source, given those that its request sent.

    The request's own have precedence. fresh: take over only the content type, and system metadata even if the request
    has it. raw: the own bytes of the source are copied, so that a dynamic large object remains one. A copy of a
    manifest is not a manifest, and a range has other checksums than the whole: neither takes over system metadata.
    """
    headers = {}
    bytes_differ = MANIFEST in source or "Content-Range" in source
    for name, value in source.items():
        if raw and name == DLO and name not in sent:
            headers[name] = value
        if name in _NEVER or not (stored_with_object(name) or name.startswith(TRANSIENT_SYSMETA)):
            continue
        if (name == DELETE_AT and "X-Delete-After" in sent) or (bytes_differ and is_sysmeta(name)):
            continue
        if is_sysmeta(name) if fresh else name not in sent:
            headers[name] = value
    if not sent.get("Content-Type") and "Content-Type" in source:
        headers["Content-Type"] = source["Content-Type"]
    return headers


def etag_of_content(source: Reply) -> str:
    """Return the MD5 of the bytes of `source`; '' if it is not known: for a range, or the segments of a manifest."""
    etag = source.headers.get("Etag", "").strip('"')
    whole = source.status == 200 and not (_LARGE | {MANIFEST}) & source.headers.keys()
    return etag if whole and len(etag) == 32 else ""


def copy(layer: ObjectLayer, context: RequestContext, source: Reply, target: Name, options: PutOptions) -> PutResult:
    """Put the content of an open object as another object, and close it. Store nothing but the source's bytes.

    Raises as `ObjectLayer.put` does, and BodyTruncated if the source ends early.
    """
    body = Outflow(source, int(source.headers["Content-Length"]))
    try:
        return layer.put(context, target, options._replace(etag=etag_of_content(source) or options.etag), body)
    finally:
        body.close()
