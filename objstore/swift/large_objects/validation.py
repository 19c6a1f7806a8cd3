"""Checking the entries of a document against their segments, and the list that results.

Each object is read once, as a HEAD with the rights of the client, several at a time. All problems are collected.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple
from urllib.parse import quote

from objstore.core.errors import AccessDenied, NotFound, ObjstoreError
from objstore.core.expiry import DELETE_AT
from objstore.core.manifests import MANIFEST_DEPTH, MAX_DEPTH, is_large
from objstore.core.names import Name
from objstore.core.numbers import whole
from objstore.layers.interface import ObjectLayer, ReadOptions, Reply
from objstore.swift import parallel
from objstore.swift.large_objects.document import DataEntry, Entry, ObjectEntry
from objstore.swift.large_objects.settings import MIN_SEGMENT_SIZE, LargeObjectSettings
from objstore.web import ranges
from objstore.web.conditions import http_date_seconds
from objstore.web.context import RequestContext
from objstore.web.errors import status_of
from objstore.web.responses import status_line

_UNSATISFIABLE = "Unsatisfiable Range"

Pairs = list[tuple[str, str]]
Row = dict[str, object]


class SegmentHead(NamedTuple):
    """The properties of a segment. etag: without quotes. modified: as in lists. depth: 0 for one that is no manifest.

    expires: seconds since the epoch, None for never.
    """

    etag: str
    size: int
    content_type: str
    modified: str
    depth: int
    expires: int | None


class Validated(NamedTuple):
    """A list that may be stored. rows: as in `web.segments`. etag: of the whole. depth: of the manifest.

    warnings: names of segments and what may be wrong with them.
    """

    rows: Sequence[Row]
    etag: str
    size: int
    depth: int
    names: Sequence[tuple[str, str]]
    warnings: Pairs


class Segments:
    """The segments of an account that one document names. permit: as in `ReadOptions`."""

    def __init__(
        self,
        layer: ObjectLayer,
        context: RequestContext,
        account: str,
        permit: Callable[[Name], None],
        settings: LargeObjectSettings,
    ) -> None:
        self._layer = layer
        self._context = context
        self._account = account
        self._permit = permit
        self._settings = settings
        self.heads: dict[str, SegmentHead | str] = {}

    def read(self, entries: Iterable[Entry]) -> Iterator[None]:
        """Read the heads of all entries that are objects; yield after each, for heartbeats.

        A head is the error instead if the segment cannot be read.
        """
        objects = {entry.path: entry for entry in entries if isinstance(entry, ObjectEntry)}
        yield from parallel.each(
            objects.values(), self._read, self._settings.concurrency, self._settings.yield_frequency
        )

    def _read(self, entry: ObjectEntry) -> None:
        try:
            self.heads[entry.path] = self._head(Name(self._account, entry.container, entry.key))
        except ObjstoreError as failure:
            self.heads[entry.path] = _error_line(failure)

    def _head(self, name: Name) -> SegmentHead | str:
        self._permit(name)
        reply = self._layer.open(self._context, name, ReadOptions(head=True, permit=self._permit))
        reply.close()
        return segment_head(reply)


def _error_line(failure: ObjstoreError) -> str:
    if isinstance(failure, AccessDenied):
        return status_line(403 if failure.known else 401)
    return status_line(404 if isinstance(failure, NotFound) else status_of(failure))


def segment_head(reply: Reply) -> SegmentHead:
    """Return the properties of an open object."""
    headers = reply.headers
    depth = (whole(headers.get(MANIFEST_DEPTH, "1")) or 1) if is_large(headers) else 0
    return SegmentHead(
        headers["Etag"].strip('"'),
        reply.size,
        headers.get("Content-Type", ""),
        _listed_time(http_date_seconds(headers.get("Last-Modified", "")) or 0),
        depth,
        whole(headers.get(DELETE_AT, "")),
    )


def _listed_time(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000000", time.gmtime(seconds))


def validate(
    entries: Sequence[Entry], heads: dict[str, SegmentHead | str], expires: int | None
) -> tuple[Validated, Pairs]:
    """Return the list of entries, and the problems with them: pairs of a name and what is wrong.

    expires: seconds since the epoch at which the manifest expires, None for never. The list is valid if there are no
    problems.
    """
    rows: list[Row] = []
    problems: Pairs = []
    warnings: Pairs = []
    digest = hashlib.md5(usedforsecurity=False)
    size = depth = 0
    for entry in entries:
        if isinstance(entry, DataEntry):
            rows.append({"data": entry.text})
            digest.update(entry.etag.encode())
            size += entry.size
            continue
        head = heads[entry.path]
        wrong, span = _compare(entry, head)
        if wrong or isinstance(head, str):
            problems += [(quote(entry.sent), each) for each in wrong]
            continue
        start, stop = span
        row: Row = {
            "name": entry.path,
            "bytes": head.size,
            "hash": head.etag,
            "content_type": head.content_type,
            "last_modified": head.modified,
        }
        part = f"{start}-{stop - 1}" if stop - start < head.size else ""
        if part:
            row["range"] = part
        if head.depth:
            row["sub_slo"] = True
        rows.append(row)
        digest.update(f"{head.etag}:{part};".encode() if part else head.etag.encode())
        size += stop - start
        depth = max(depth, head.depth)
        if head.depth >= MAX_DEPTH:
            warnings.append((quote(entry.sent), f"More than {MAX_DEPTH} manifests below each other cannot be read"))
        if head.expires is not None and (expires is None or head.expires < expires):
            warnings.append((quote(entry.sent), f"Expires at {head.expires}, before the manifest"))
    names = [(entry.container, entry.key) for entry in entries if isinstance(entry, ObjectEntry)]
    return Validated(rows, digest.hexdigest(), size, depth + 1, names, warnings), problems


def _compare(entry: ObjectEntry, head: SegmentHead | str) -> tuple[list[str], tuple[int, int]]:
    """Return what is wrong with a segment, and the span of it that counts."""
    if isinstance(head, str):
        return [head], (0, 0)
    wrong = []
    span = (0, head.size)
    if head.size < MIN_SEGMENT_SIZE:
        wrong.append(f"Too Small; each segment must be at least {MIN_SEGMENT_SIZE} byte.")
    elif entry.range is not None:
        spans = ranges.resolve((entry.range,), head.size)
        span = spans[0] if spans else span
        if not spans:
            wrong.append(_UNSATISFIABLE)
    if entry.size is not None and entry.size != head.size:
        wrong.append("Size Mismatch")
    if entry.etag is not None and entry.etag != head.etag:
        wrong.append("Etag Mismatch")
    return wrong, span
