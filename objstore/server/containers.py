"""The container server: containers, their metadata and listings, and rows that object servers send."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from typing import Any

from objstore.core.errors import MALFORMED, Conflict, InvalidInput, NotFound
from objstore.core.limits import DEFAULT_LIMITS, Limits
from objstore.core.lives import LIFE
from objstore.core.metadata import check_sendable
from objstore.core.names import HashSalt
from objstore.core.timestamps import Timestamp
from objstore.server import database_replication
from objstore.server.account_update import AccountUpdater
from objstore.server.app import Request, StorageApp
from objstore.server.database_replication import DatabaseReplication
from objstore.server.devices import Devices
from objstore.server.listing_query import listing_query, objects_json
from objstore.store.databases import ContainerInfo, ObjectRow, Writer, live_metadata
from objstore.web import requests
from objstore.web.constraints import check_metadata
from objstore.web.requests import read_body
from objstore.web.responses import Response, error, http_date
from objstore.wire import messages, named_rows

MAX_ROWS_BODY = 64 << 20  # bytes of one update
SHUT_SECONDS = 10.0  # for which a container that is being deleted takes no new objects, should its deletion not end
_MARKERS_PAGE = 1000
# What a client sets on a container besides metadata proper; empty values remove.
SETTABLE = ("X-Container-Read", "X-Container-Write", "X-Container-Sync-To", "X-Container-Sync-Key")
_PREFIXES = ("X-Container-Meta-", "X-Container-Sysmeta-", "X-Versions-", "X-History-")


class ContainerServer:
    """Verbs over the container databases; `app` is the WSGI app made of them."""

    def __init__(
        self,
        devices: Devices,
        salt: HashSalt,
        updater: AccountUpdater,
        logger: logging.Logger,
        limits: Limits = DEFAULT_LIMITS,
        replication: database_replication.Limits | None = None,
    ) -> None:
        self._updater = updater
        self._limits = limits
        verbs = {"PUT": self.put, "GET": self.get, "HEAD": self.get, "POST": self.post, "DELETE": self.delete}
        replicate = DatabaseReplication(lambda device: device.containers.replicas, salt, replication)
        self.app = StorageApp(devices, salt, verbs, 2, logger, replicate)

    def put(self, request: Request) -> Response:
        timestamp = request.timestamp()
        chosen = request.number(messages.POLICY)
        store = request.device.containers
        try:
            info = store.info(request.location)
        except NotFound as missing:
            if messages.EXISTING_ONLY_KEY in request.environ and missing.timestamp is None:
                return error(404)
            info = None
        if info is not None and chosen is not None and chosen != info.policy_index:
            return error(409, headers={messages.POLICY: str(info.policy_index)})
        policy = chosen if chosen is not None else request.number(messages.POLICY_DEFAULT) or 0
        changes = settable(request.environ)
        check_metadata("Container", {**(live_metadata(info.metadata) if info else {}), **changes}, self._limits)
        created = store.create(request.location, request.name, timestamp, policy, changes)
        info = store.info(request.location)
        self._updater.tell(request, info)
        return Response(201 if created else 202, {messages.POLICY: str(info.policy_index)})

    def post(self, request: Request) -> Response:
        if "rows" in request.query():
            return self._merge(request)
        if named_rows.QUERY in request.query():
            return self._named(request)
        if messages.SHUT in request.query():
            return self._shut(request)
        timestamp = request.timestamp()
        store = request.device.containers
        info = store.info(request.location)
        changes = settable(request.environ)
        if changes:
            check_metadata("Container", {**live_metadata(info.metadata), **changes}, self._limits)
            store.set_metadata(request.location, changes, timestamp)
        return Response(204)

    def _merge(self, request: Request) -> Response:
        try:
            rows = [_row(item) for item in json.loads(read_body(request.environ, MAX_ROWS_BODY))]
        except MALFORMED as failure:
            raise InvalidInput(f"not rows: {failure!r}") from None
        store = request.device.containers
        life = request.header(LIFE)
        writer = Writer(Timestamp.parse(life), time.time()) if life else None
        try:
            store.merge_rows(request.location, rows, writer=writer)
        except NotFound:
            recreate = request.number(messages.RECREATE)
            if recreate is None:
                raise
            store.create(request.location, request.name, request.timestamp(), recreate, {})
            self._updater.tell(request, store.info(request.location))
            store.merge_rows(request.location, rows)
        return Response(202)

    def _named(self, request: Request) -> Response:
        names = named_rows.decode_names(read_body(request.environ, MAX_ROWS_BODY))
        try:
            rows = request.device.containers.rows_named(request.location, names)
        except NotFound as missing:
            return _missing(missing)
        return Response(200, {"Content-Type": "application/json"}, named_rows.encode_rows(rows))

    def _shut(self, request: Request) -> Response:
        """Take no new objects for a while, so that the container can be deleted on all replicas or on none."""
        shut = request.query()[messages.SHUT] == "1"
        try:
            request.device.containers.shut(request.location, time.time() + SHUT_SECONDS if shut else 0.0)
        except NotFound as missing:
            return _missing(missing)
        return Response(204)

    def delete(self, request: Request) -> Response:
        timestamp = request.timestamp()
        store = request.device.containers
        try:
            info = store.info(request.location)
        except NotFound as missing:
            return _missing(missing)
        if not info.empty:
            return error(409)
        try:
            store.delete(request.location, timestamp)
        except Conflict:
            return error(409)
        self._updater.tell(request, info, deleted_at=timestamp)
        return Response(204)

    def get(self, request: Request) -> Response:
        store = request.device.containers
        try:
            info = store.info(request.location)
        except NotFound as missing:
            return _missing(missing)
        headers = _info_headers(info)
        if request.method == "HEAD":
            headers["Content-Length"] = "0"
            return Response(204, headers)
        if messages.MARKERS_KEY in request.environ:
            names = store.markers(request.location, _MARKERS_PAGE)
            return Response(200, headers, json.dumps([{"name": name} for name in names]).encode())
        query = listing_query(request, self._limits.container_listing_limit)
        listing = store.list(request.location, query)
        headers["Content-Type"] = "application/json; charset=utf-8"
        return Response(200, headers, objects_json(listing.items, exact=query.data_times))


def settable(environ: Mapping[str, Any]) -> dict[str, str]:
    """The metadata that a request sets, empty values among it; raises InvalidInput for what no answer could have."""
    changes = {
        name: value
        for name, value in requests.headers(dict(environ)).items()
        if name in SETTABLE or name.startswith(_PREFIXES)
    }
    check_sendable(changes)
    return changes


def _row(item: Mapping[str, Any]) -> ObjectRow:
    return ObjectRow(
        name=item["name"],
        timestamp=Timestamp.parse(item["timestamp"]),
        deleted=bool(item["deleted"]),
        size=int(item["size"]),
        content_type=item["content_type"],
        etag=item["etag"],
        policy_index=int(item["policy_index"]),
        content_type_timestamp=Timestamp.parse(item["content_type_timestamp"]),
        meta_timestamp=Timestamp.parse(item["meta_timestamp"]),
        elsewhere=item.get("elsewhere", False) is True,
    )


def _info_headers(info: ContainerInfo) -> dict[str, str]:
    changed = max([info.put_timestamp, *(stamp for _, stamp in info.metadata.values())])
    return {
        "X-Container-Object-Count": str(info.object_count),
        "X-Container-Bytes-Used": str(info.bytes_used),
        "X-Timestamp": info.created_at.normal,
        "Last-Modified": http_date(changed.ceiling),
        "X-Put-Timestamp": info.put_timestamp.normal,
        # One that lives by rows that came after its deletion is as good as made then.
        messages.STORED_TIMESTAMP: max(info.put_timestamp, info.delete_timestamp).internal,
        messages.DELETE_TIMESTAMP: info.delete_timestamp.internal,
        messages.POLICY: str(info.policy_index),
        **live_metadata(info.metadata),
    }


def _missing(missing: NotFound) -> Response:
    deleted = missing.timestamp
    headers = {messages.STORED_TIMESTAMP: deleted.internal} if isinstance(deleted, Timestamp) else None
    return error(404, headers=headers)
