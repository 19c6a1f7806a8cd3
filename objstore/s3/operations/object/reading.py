"""GET and HEAD of objects: which conditions, range and part a request means, and the answer.

Entity tags are judged by the store at the moment of reading. Dates are judged here, against the
date of the data: to the store a change of tags is a change too, to S3's clients it is none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from objstore.core.manifests import MANIFEST, MANIFEST_ETAG
from objstore.core.numbers import whole
from objstore.core.timestamps import Timestamp
from objstore.layers.interface import ReadOptions, Reply
from objstore.s3.context import Context
from objstore.s3.data import object_headers, object_store
from objstore.s3.data.object_headers import Checksum
from objstore.s3.data.object_store import Target
from objstore.s3.language.errors import S3Error
from objstore.s3.operations import objects
from objstore.s3.request.s3_request import S3Request
from objstore.web import conditions, ranges
from objstore.web.responses import Response

MOST_PARTS = 10_000
_PARTS = re.compile(r"[0-9a-f]{32}-(\d{1,5})\Z")
_SHOWN_304 = ("ETag", "Last-Modified", "Cache-Control", "Expires", "Content-Language")


_TAGGED = "x-amz-tagging-count"


class Conditions(NamedTuple):
    """tags: for the store to judge. dates: judged here. Names as in HTTP."""

    tags: dict[str, str]
    dates: dict[str, str]


_CONDITIONAL = frozenset({"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"})
_UNCONDITIONAL = Conditions({}, {})


def conditions_of(headers: Mapping[str, str], prefix: str = "") -> Conditions:
    """The conditions that count (RFC 9110, 13.2.2): a date beside an entity tag of the same sense does not.

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
    return Conditions(tags, dates)


def verdict(stored: Reply, asked: Conditions) -> int | None:
    """304 or 412 where a condition does not hold, after the store has judged the tags."""
    status = stored.status
    if asked.dates and status in (200, 206, 304):
        modified = Timestamp.from_seconds(object_headers.modified(stored.headers))
        judged = conditions.evaluate("GET", asked.dates, object_headers.etag(stored.headers), modified)
        if judged == 412 or status != 304:
            return judged
    return status if status in (304, 412) else None


def failed_condition(asked: Conditions, wanted: tuple[str, ...] = ("If-Match", "If-Unmodified-Since")) -> S3Error:
    name = next((name for name in wanted if name in asked.tags or name in asked.dates), "")
    return S3Error("PreconditionFailed", "", {"Condition": name} if name else None)


def answer(context: Context, request: S3Request) -> Response:
    """The answer to a GET or HEAD of an object."""
    overridden = _overrides(request)
    target = objects.target(context, request)
    asked = conditions_of(request.headers)
    wanted = dict(asked.tags)
    wanted_range = request.header("Range")
    number = _part_number(request)
    part = _part(context, request, target, number) if number else None
    if part is not None:
        wanted_range = part.range
        wanted.setdefault("If-Match", part.etag)
    parts = part.parts if part is not None else 0
    spans = ranges.parse(wanted_range) if wanted_range else None
    if spans is not None and len(spans) == 1:  # S3 answers several ranges by the whole
        wanted["Range"] = wanted_range
        if request.header("If-Range"):
            wanted["If-Range"] = request.header("If-Range")
    nothing = bool(parts and not wanted_range)  # an empty part of an object that is not
    head = nothing or request.method == "HEAD"
    stored = context.objects.read(request, target, ReadOptions(wanted, head=head))
    try:
        response = _response(request, stored, asked, wanted.get("Range", ""), part)
    except S3Error:
        stored.close()
        raise
    if _TAGGED in response.headers and tags_denied(context, request, target):
        del response.headers[_TAGGED]
    if parts:
        response.headers["x-amz-mp-parts-count"] = str(parts)
    if nothing:
        response.headers["Content-Length"] = "0"
    response.headers.update(overridden)
    return response


def tags_denied(context: Context, request: S3Request, target: Target) -> bool:
    """Does a policy deny to read the tags of an object, which its own reading would tell of?"""
    name = target.name
    assert name.object is not None
    action = "s3:GetObjectVersionTagging" if target.version else "s3:GetObjectTagging"
    return context.access.denies(request, action, name.of_container, name.object, target.version)


def _response(request: S3Request, stored: Reply, asked: Conditions, wanted_range: str, part: _Part | None) -> Response:
    judged = verdict(stored, asked)
    if judged == 412:
        raise failed_condition(asked)
    said = object_headers.answer_headers(stored.headers)
    if stored.version_id:
        said["x-amz-version-id"] = stored.version_id
    if judged == 304:
        stored.close()
        return Response(304, {name: said[name] for name in (*_SHOWN_304, "x-amz-version-id") if name in said})
    status = stored.status
    if status == 416:
        raise _unsatisfied(wanted_range, stored.headers.get("Content-Range", "").rpartition("/")[2])
    if request.method == "HEAD" and wanted_range and status == 200:
        status = _ranged_head(said, wanted_range)
    if request.header("X-Amz-Checksum-Mode").upper() == "ENABLED":
        checksum = _checksum_of(stored, part, status)
        if checksum is not None:
            said.update(checksum.headers())
    return Response(status, said, stored.body)


def _checksum_of(stored: Reply, part: _Part | None, status: int) -> Checksum | None:
    """The checksum of the bytes of an answer: of the part, or of the whole. None for a range.

    SDKs hold the header against the bytes that come, whatever it is of.
    """
    checksum = object_headers.checksum(stored.headers)
    if checksum is None or (part is None and status != 200):
        return None
    if part is None or not part.parts:
        return checksum
    if part.checksum is None:
        return None
    return Checksum(part.checksum["algorithm"], part.checksum["value"], checksum.type)


def _ranged_head(said: dict[str, str], wanted_range: str) -> int:
    """Make the headers of a HEAD those of the range, which the store passes over; its status."""
    size = int(said["Content-Length"])
    spans = ranges.resolve(ranges.parse(wanted_range) or (), size)
    if not spans:
        raise _unsatisfied(wanted_range, str(size))
    start, stop = spans[0]
    said["Content-Length"] = str(stop - start)
    said["Content-Range"] = ranges.content_range(start, stop, size)
    return 206


def _unsatisfied(wanted_range: str, size: str) -> S3Error:
    extra = {"RangeRequested": wanted_range, "ActualObjectSize": size}
    return S3Error("InvalidRange", "", extra, {"Content-Range": f"bytes */{size}"})


def _overrides(request: S3Request) -> dict[str, str]:
    """Headers that the query sets in place of the object's."""
    if object_headers.OVERRIDES.keys().isdisjoint(request.query):
        return {}
    found = {name: request.query[key] for key, name in object_headers.OVERRIDES.items() if request.query.get(key)}
    if found and not request.identity.known:
        raise S3Error("InvalidRequest", "Request specific response headers cannot be used for anonymous GET requests.")
    for name, value in found.items():
        if not value.isprintable():
            extra = {"ArgumentName": f"response-{name.lower()}", "ArgumentValue": value}
            raise S3Error("InvalidArgument", "Header value cannot be represented using ISO-8859-1.", extra)
    return found


def _part_number(request: S3Request) -> int:
    """The query's partNumber, 0 for none."""
    text = request.query.get("partNumber", "")
    if not text:
        return 0
    if request.header("Range"):
        raise S3Error("InvalidRequest", "Cannot specify both Range header and partNumber query parameter")
    number = whole(text)
    if number is None or not 1 <= number <= MOST_PARTS:
        extra = {"ArgumentName": "partNumber", "ArgumentValue": text}
        message = f"Part number must be an integer between 1 and {MOST_PARTS}, inclusive"
        raise S3Error("InvalidArgument", message, extra)
    return number


class _Part(NamedTuple):
    """Where a part lies. range: as in a Range header, '' for one without bytes. parts: 0 for an object without any.

    checksum: `algorithm` and `value`, None if the part has none.
    """

    range: str
    etag: str
    parts: int
    checksum: Mapping[str, str] | None


def _part(context: Context, request: S3Request, target: Target, number: int) -> _Part:
    """Raises S3Error InvalidPartNumber, and what `current.read` raises."""
    raw = context.objects.read(request, target, object_store.RAW)
    etag = raw.headers.get(MANIFEST_ETAG) or object_headers.etag(raw.headers)
    rows = _rows(raw)
    count = len(rows) if _PARTS.match(etag) else 0  # data of another storage class are one segment, and no part
    if number > (count or 1):
        extra = {"PartNumberRequested": str(number), "ActualPartCount": str(count or 1)}
        raise S3Error("InvalidPartNumber", "", extra)
    sizes = [int(row["bytes"]) for row in rows] or [raw.size]
    start, size = sum(sizes[: number - 1]), sizes[number - 1]
    checksum = rows[number - 1].get("checksum") if count else None
    return _Part(f"bytes={start}-{start + size - 1}" if size else "", f'"{etag}"', count, checksum)


def _rows(raw: Reply) -> list[dict[str, Any]]:
    """The list (`web.segments`) that was read; empty for an object that is none."""
    if MANIFEST not in raw.headers:
        raw.close()
        return []
    listed: list[dict[str, object]] = json.loads(raw.read())
    return listed


def parts_count(headers: Mapping[str, str]) -> int:
    """Of how many parts an object was made, 0 for one that was uploaded in one piece."""
    match = _PARTS.match(object_headers.etag(headers)) if MANIFEST in headers else None
    return int(match[1]) if match else 0


def parts(context: Context, request: S3Request, target: Target) -> list[dict[str, object]]:
    """The parts of an object, in order, with what its list says of each."""
    return _rows(context.objects.read(request, target, object_store.RAW))
