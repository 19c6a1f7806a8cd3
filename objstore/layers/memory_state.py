"""The objects, accounts and containers of the layer in memory, and their listings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from objstore.core import listed_types
from objstore.core.errors import Conflict
from objstore.core.headers import DATA_TIMESTAMP, DELETE_TIMESTAMP, OVERRIDE, STORED_TIMESTAMP
from objstore.core.json_body import JsonBody
from objstore.core.listed import listed_type
from objstore.core.names import RESERVED
from objstore.core.timestamps import TICKS, ZERO, Timestamp
from objstore.layers.interface import Listing, Page
from objstore.web.responses import http_date

MAX_ROWS = 10_000  # of one listing
OF_CONTAINERS = ("X-Container-Meta-", "X-Container-Sysmeta-", "X-Container-Read", "X-Container-Write",
                  "X-Container-Sync-", "X-Versions-", "X-History-")  # fmt: skip
OF_ACCOUNTS = ("X-Account-Meta-", "X-Account-Sysmeta-")


class StoredObject(NamedTuple):
    """A stored object. changed: by the last PUT or POST; written: by the PUT. headers: stored with it, and its type."""

    changed: Timestamp
    written: Timestamp
    etag: str
    body: bytes
    headers: Mapping[str, str]

    def shown(self) -> dict[str, str]:
        return {
            "Content-Length": str(len(self.body)),
            "Etag": self.etag,
            "Last-Modified": http_date(self.changed.ceiling),
            "X-Timestamp": self.changed.normal,
            STORED_TIMESTAMP: self.changed.internal,
            DATA_TIMESTAMP: self.written.internal,
            **self.headers,
        }

    @property
    def _override(self) -> dict[str, str]:
        return {key[len(OVERRIDE) :]: text for key, text in self.headers.items() if key.startswith(OVERRIDE)}

    @property
    def counted(self) -> int:
        """The bytes that the container counts."""
        override = self._override
        return 0 if override.get("Deleted") == "true" else int(override.get("Size", len(self.body)))

    def row(self, name: str, data_times: bool) -> dict[str, Any] | None:
        """Return the row of a listing; None if the object is not listed."""
        override = self._override
        if override.get("Deleted") == "true":
            return None
        listed = listed_types.read(listed_type(self.headers["Content-Type"], self.headers))
        stamp = self.written if data_times else self.changed
        return {
            "name": name,
            "hash": override.get("Etag", self.etag),
            "bytes": int(override.get("Whole-Size", override.get("Size", len(self.body)))),
            "content_type": listed.content_type,
            "last_modified": iso_date(stamp),
            **({"storage_class": listed.storage_class} if listed.storage_class else {}),
            **({"checksum": listed.checksum} if data_times and listed.checksum else {}),
            **({"offset": stamp.offset} if data_times and stamp.offset else {}),
            **json.loads(override.get("Fields", "{}")),
        }


class Bearer:
    """An account or container: the times it was made and deleted, and its metadata (name to value and time)."""

    def __init__(self, made: Timestamp, policy: int = 0) -> None:
        self.created = self.put = made
        self.deleted = ZERO
        self.policy = policy
        self._metadata: dict[str, tuple[Timestamp, str]] = {}

    @property
    def exists(self) -> bool:
        return self.put > self.deleted

    def set(self, headers: Mapping[str, str], prefixes: tuple[str, ...], at: Timestamp) -> None:
        changes = {name: value for name, value in headers.items() if name.startswith(prefixes)}
        for name, value in changes.items():
            self._metadata[name] = max(self._metadata.get(name, (ZERO, "")), (at, value))

    def end(self, at: Timestamp) -> None:
        if at <= self.put:
            raise Conflict("it was made later", self.put)
        self.deleted = at
        self._metadata.clear()

    def shown(self) -> dict[str, str]:
        return {
            "X-Timestamp": self.created.normal,
            "X-Put-Timestamp": self.put.normal,
            STORED_TIMESTAMP: max(self.put, self.deleted).internal,
            DELETE_TIMESTAMP: self.deleted.internal,
            **{name: value for name, (_, value) in self._metadata.items() if value},
        }


def iso_date(stamp: Timestamp) -> str:
    return f"{datetime.fromtimestamp(stamp.raw // TICKS, UTC):%Y-%m-%dT%H:%M:%S}.{stamp.raw % TICKS:05d}0"


def listing(headers: dict[str, str], rows: list[dict[str, Any]]) -> Listing:
    return Listing(headers, JsonBody.of(rows))


def select(rows: list[dict[str, Any]], page: Page, reserved: bool) -> list[dict[str, Any]]:
    """Return the rows of a page, of all rows in order."""
    prefix, delimiter = page.prefix, page.delimiter
    if page.path is not None:
        prefix, delimiter = (page.path.rstrip("/") + "/" if page.path else ""), "/"
    low, high = (page.end_marker, page.marker) if page.reverse else (page.marker, page.end_marker)
    selected: list[dict[str, Any]] = []
    last = ""
    for row in reversed(rows) if page.reverse else rows:
        name = row["name"]
        hidden = name.startswith(RESERVED) and not reserved
        if hidden or not name.startswith(prefix) or (low and name <= low) or (high and name >= high):
            continue
        end = name.find(delimiter, len(prefix)) if delimiter else -1
        group = name[: end + len(delimiter)] if end >= 0 else ""
        if page.path is not None and group == name:
            group = ""  # the object that marks a pseudo-directory is listed itself
        if not group:
            if page.path is None or name != prefix:
                selected.append(row)
        elif page.path is None and group not in (last, low):
            selected.append({"subdir": group})
            last = group
    return selected[: min(MAX_ROWS, MAX_ROWS if page.limit is None else page.limit)]
