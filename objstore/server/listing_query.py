"""Listing parameters of a request, and rows as the JSON that clients and filters read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from objstore.core.timestamps import TICKS, Timestamp
from objstore.server.app import Request
from objstore.store.databases import ListingQuery

_TRUE = ("true", "1", "yes", "on", "t", "y")


def listing_query(request: Request, most: int) -> ListingQuery:
    """The query of a listing of at most `most` rows; a limit that is no number counts as none, as in Swift."""
    items = request.query()
    limit = items.get("limit", "")
    if not (limit.isascii() and limit.isdigit()):
        limit = ""
    return ListingQuery(
        prefix=items.get("prefix", ""),
        delimiter=items.get("delimiter", ""),
        marker=items.get("marker", ""),
        end_marker=items.get("end_marker", ""),
        limit=min(int(limit), most) if limit else most,
        reverse=items.get("reverse", "").lower() in _TRUE,
        path=items.get("path"),
        reserved="HTTP_X_BACKEND_ALLOW_RESERVED_NAMES" in request.environ,
    )


def iso_date(timestamp: Timestamp) -> str:
    """Swift's last_modified: ISO 8601 in UTC with microseconds and no zone."""
    seconds, ticks = divmod(timestamp.raw, TICKS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ticks:05d}0"


def as_json(rows: Iterable[Mapping[str, Any]]) -> bytes:
    return json.dumps(list(rows), separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogateescape")
