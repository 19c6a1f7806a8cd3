"""GET and HEAD of objects: the conditions, range and part of a request, and the answer.

Entity tags are checked by the store at the moment of reading. Dates are checked here, against the
date of the data: for the store a change of tags is a change too, for S3's clients it is not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from objstore.core.manifests import MANIFEST, MANIFEST_ETAG, is_large
from objstore.core.numbers import whole
from objstore.core.object_lock import LOCK
from objstore.core.timestamps import Timestamp
from objstore.layers.interface import Reply
from objstore.s3.context import Context
from objstore.s3.data import lock_headers, object_headers
from objstore.s3.data.object_headers import Checksum
from objstore.s3.data.object_store import Target
from objstore.s3.language.errors import S3Error
from objstore.s3.operations import objects
from objstore.s3.request.s3_request import S3Request
from objstore.web import conditions, ranges, segments
from objstore.web.responses import Response

MAX_PARTS = 10_000
_PARTS = re.compile(r"[0-9a-f]{32}-(\d{1,5})\Z")
_SHOWN_304 = ("ETag", "Last-Modified", "Cache-Control", "Expires", "Content-Language")


_TAGGED = "x-amz-tagging-count"


class ReadConditions(NamedTuple):
    """Conditions of a read. tags: checked by the store. dates: checked here. Names as in HTTP."""

    tags: dict[str, str]
    dates: dict[str, str]


_CONDITIONAL = frozenset({"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"})
_UNCONDITIONAL = ReadConditions({}, {})


def conditions_of(headers: Mapping[str, str], prefix: str = "") -> ReadConditions:
    """Return the conditions that count (RFC 9110, 13.2.2): a date beside an entity tag of the same kind does not.

    prefix: of the headers' names, `X-Amz-Copy-Source-` for those on a source.
    """
    if not prefix and _CONDITIONAL.isdisjoint(headers):
        return _UNCONDITIONAL
    match, unmatched = headers.get(f"{prefix}If-Match"), headers.get(f"{prefix}If-None-Match")
    since, until = headers.get(f"{prefix}If-Modified-Since"), headers.get(f"{prefix}If-Unmodified-Since")
    tags = {}
    dates = {}
    if match is not None:
        tags["If-Match"] = match
    elif until:
        dates["If-Unmodified-Since"] = until
    if unmatched is not None:
        tags["If-None-Match"] = unmatched
    elif since:
        dates["If-Modified-Since"] = since
    return ReadConditions(tags, dates)


def verdict(stored: Reply, requested: ReadConditions) -> int | None:
    """Return 304 or 412 if a condition does not hold, else None. The store has checked the tags already."""
    status = stored.status
    if requested.dates and status in (200, 206, 304):
        modified = Timestamp.from_seconds(object_headers.modified(stored.headers))
        outcome = conditions.evaluate("GET", requested.dates, object_headers.etag(stored.headers), modified)
        if outcome == 412 or status != 304:
            return outcome
    return status if status in (304, 412) else None


def failed_condition(
    requested: ReadConditions, names: tuple[str, ...] = ("If-Match", "If-Unmodified-Since")
) -> S3Error:
    name = next((name for name in names if name in requested.tags or name in requested.dates), "")
    return S3Error("PreconditionFailed", "", {"Condition": name} if name else None)


def answer(context: Context, request: S3Request) -> Response:
    """Return the answer to a GET or HEAD of an object."""
    overridden = _overrides(request)
    target = objects.target(context, request)
    requested = conditions_of(request.headers)
    sent = dict(requested.tags)
    range_header = request.header("Range")
    number = _part_number(request)
    part = _part(context, request, target, number) if number else None
    if part is not None:
        range_header = part.range
        sent.setdefault("If-Match", part.etag)
    parts = part.parts if part is not None else 0
    spans = ranges.parse(range_header) if range_header else None
    if spans is not None and len(spans) == 1:  # S3 answers several ranges with the whole
        sent["Range"] = range_header
        if request.header("If-Range"):
            sent["If-Range"] = request.header("If-Range")
    is_empty_part = bool(parts and not range_header)  # of an object that is not empty
    head = is_empty_part or request.method == "HEAD"
    stored = context.objects.read(request, target, sent, head)
    try:
        response = _response(request, stored, requested, sent.get("Range", ""), part)
    except S3Error:
        stored.close()
        raise
    if _TAGGED in response.headers and tags_denied(context, request, target):
        del response.headers[_TAGGED]
    if LOCK in stored.headers and response.status != 304:
        response.headers.update(_lock(context, request, target, stored))
    if parts:
        response.headers["x-amz-mp-parts-count"] = str(parts)
    if is_empty_part:
        response.headers["Content-Length"] = "0"
    response.headers.update(overridden)
    return response


def _lock(context: Context, request: S3Request, target: Target, stored: Reply) -> dict[str, str]:
    """Return the headers of an object's lock that the client may see."""
    name = target.name
    assert name.object is not None
    retention, legal_hold = (
        context.access.allows(request, action, name.of_container, name.object, target.version)
        for action in ("s3:GetObjectRetention", "s3:GetObjectLegalHold")
    )
    return lock_headers.shown(stored.headers, retention, legal_hold)


def tags_denied(context: Context, request: S3Request, target: Target) -> bool:
    """Return whether a policy denies to read the tags of an object; a read of it then hides their number."""
    name = target.name
    assert name.object is not None
    action = "s3:GetObjectVersionTagging" if target.version else "s3:GetObjectTagging"
    return context.access.denies(request, action, name.of_container, name.object, target.version)


def _response(
    request: S3Request, stored: Reply, requested: ReadConditions, range_header: str, part: _Part | None
) -> Response:
    outcome = verdict(stored, requested)
    if outcome == 412:
        raise failed_condition(requested)
    headers = object_headers.answer_headers(stored.headers)
    if stored.version_id:
        headers["x-amz-version-id"] = stored.version_id
    if outcome == 304:
        stored.close()
        return Response(304, {name: headers[name] for name in (*_SHOWN_304, "x-amz-version-id") if name in headers})
    status = stored.status
    if status == 416:
        raise _unsatisfied(range_header, stored.headers.get("Content-Range", "").rpartition("/")[2])
    if request.method == "HEAD" and range_header and status == 200:
        status = _ranged_head(headers, range_header)
    if request.header("X-Amz-Checksum-Mode").upper() == "ENABLED":
        checksum = _checksum_of(stored, part, status)
        if checksum is not None:
            headers.update(checksum.headers() if request.method == "HEAD" else checksum.headers_with_body())
    return Response(status, headers, stored.body)


def _checksum_of(stored: Reply, part: _Part | None, status: int) -> Checksum | None:
    """Return the checksum of the bytes of an answer: of the part, or of the whole. None for a range.

    SDKs compare the header with the bytes of the answer, even of a range.
    """
    checksum = object_headers.checksum(stored.headers)
    if checksum is None or (part is None and status != 200):
        return None
    if part is None or not part.parts:
        return checksum
    if part.checksum is None:
        return None
    values = part.checksum
    return Checksum(values["algorithm"], values["value"], checksum.type, companion=values.get("companion", ""))


def _ranged_head(headers: dict[str, str], range_header: str) -> int:
    """Change the headers of a HEAD to those of the range, which the store ignores; return the status."""
    size = int(headers["Content-Length"])
    spans = ranges.resolve(ranges.parse(range_header) or (), size)
    if not spans:
        raise _unsatisfied(range_header, str(size))
    start, stop = spans[0]
    headers["Content-Length"] = str(stop - start)
    headers["Content-Range"] = ranges.content_range(start, stop, size)
    return 206


def _unsatisfied(range_header: str, size: str) -> S3Error:
    extra = {"RangeRequested": range_header, "ActualObjectSize": size}
    return S3Error("InvalidRange", "", extra, {"Content-Range": f"bytes */{size}"})


def _overrides(request: S3Request) -> dict[str, str]:
    """Return the headers that the query sets instead of the object's. Raises S3Error."""
    if object_headers.OVERRIDES.keys().isdisjoint(request.query):
        return {}
    overrides = {name: request.query[key] for key, name in object_headers.OVERRIDES.items() if request.query.get(key)}
    if overrides and not request.identity.known:
        raise S3Error("InvalidRequest", "Request specific response headers cannot be used for anonymous GET requests.")
    for name, value in overrides.items():
        if not value.isprintable():
            extra = {"ArgumentName": f"response-{name.lower()}", "ArgumentValue": value}
            raise S3Error("InvalidArgument", "Header value cannot be represented using ISO-8859-1.", extra)
    return overrides


def _part_number(request: S3Request) -> int:
    """Return the query's partNumber, 0 for none. Raises S3Error InvalidRequest, InvalidArgument."""
    text = request.query.get("partNumber", "")
    if not text:
        return 0
    if request.header("Range"):
        raise S3Error("InvalidRequest", "Cannot specify both Range header and partNumber query parameter")
    number = whole(text)
    if number is None or not 1 <= number <= MAX_PARTS:
        extra = {"ArgumentName": "partNumber", "ArgumentValue": text}
        message = f"Part number must be an integer between 1 and {MAX_PARTS}, inclusive"
        raise S3Error("InvalidArgument", message, extra)
    return number


class _Part(NamedTuple):
    """The place of a part. range: as in a Range header, '' if it has no bytes. parts: 0 for an object without parts.

    checksum: `algorithm`, `value` and perhaps `companion`; None if the part has none.
    """

    range: str
    etag: str
    parts: int
    checksum: Mapping[str, str] | None


def _part(context: Context, request: S3Request, target: Target, number: int) -> _Part:
    """Return the place of a part. Raises S3Error InvalidPartNumber, and as `current.read` does."""
    raw = context.objects.read(request, target, raw=True)
    etag = raw.headers.get(MANIFEST_ETAG) or object_headers.etag(raw.headers)
    rows = _rows(raw)
    # Data of another storage class are one segment, but not a part.
    count = len(rows) if _PARTS.match(etag) or is_large(raw.headers) else 0
    if number > (count or 1):
        extra = {"PartNumberRequested": str(number), "ActualPartCount": str(count or 1)}
        raise S3Error("InvalidPartNumber", "", extra)
    sizes = [segments.segment(row).length for row in rows] or [raw.size]
    start, size = sum(sizes[: number - 1]), sizes[number - 1]
    checksum = rows[number - 1].get("checksum") if count else None
    return _Part(f"bytes={start}-{start + size - 1}" if size else "", f'"{etag}"', count, checksum)


def _rows(raw: Reply) -> list[dict[str, Any]]:
    """Return the list of a manifest (`web.segments`); empty for an object that is not a manifest."""
    if MANIFEST not in raw.headers:
        raw.close()
        return []
    listed: list[dict[str, object]] = json.loads(raw.read())
    return listed


def parts_count(headers: Mapping[str, str]) -> int:
    """Return the number of parts of an object, 0 for one that was uploaded in one piece."""
    match = _PARTS.match(object_headers.etag(headers)) if MANIFEST in headers else None
    return int(match[1]) if match else 0


def parts(context: Context, request: S3Request, target: Target) -> list[dict[str, object]]:
    """Return the parts of an object, in order, as the entries of its list."""
    return _rows(context.objects.read(request, target, raw=True))
