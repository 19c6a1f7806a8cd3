"""The container server: containers, their metadata and listings, and rows that object servers send."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from typing import Any

from objstore.core.errors import Conflict, NotFound
from objstore.core.headers import BYTES_ELSEWHERE
from objstore.core.limits import DEFAULT_LIMITS, Limits
from objstore.core.listed import checked_fields
from objstore.core.lives import LIFE
from objstore.core.names import HashSalt
from objstore.core.timestamps import Timestamp
from objstore.server import database_replication, quota_verbs
from objstore.server.account_update import AccountUpdater
from objstore.server.answers import JSON, answer, error
from objstore.server.database_replication import DatabaseReplication
from objstore.server.databases import LISTING, MAX_ROWS_BODY, Settable, database_server, post_metadata, read_rows
from objstore.server.devices import Devices
from objstore.server.listing_query import listing_query, objects_body
from objstore.server.request import Request
from objstore.server.storage_server import StorageServer
from objstore.store.databases import ContainerStatus, NewContainer, ObjectRow, Writer, live_metadata
from objstore.web.responses import http_date
from objstore.wire import messages, named_rows, quotas
from objstore.wire.messages import NodeResponse
from objstore.wire.rows import ROWS

SHUT_SECONDS = 10.0  # time for which a container under deletion refuses new objects if its deletion does not finish
_MARKERS_PAGE = 1000
_SETTABLE = Settable(
    "Container",
    ("X-Container-Meta-", "X-Container-Sysmeta-", "X-Versions-", "X-History-"),
    frozenset({"X-Container-Read", "X-Container-Write", "X-Container-Sync-To", "X-Container-Sync-Key"}),
)


class ContainerVerbs:
    """Verbs over the container databases."""

    def __init__(self, updater: AccountUpdater, limits: Limits) -> None:
        self._updater = updater
        self._limits = limits

    def put(self, request: Request) -> NodeResponse:
        timestamp = request.timestamp()
        chosen = request.number(messages.POLICY)
        store = request.device.containers
        try:
            info = store.info(request.location)
        except NotFound as missing:
            if messages.EXISTING_ONLY in request.headers and missing.timestamp is None:
                return error(404)
            info = None
        if info is not None and chosen is not None and chosen != info.policy_index:
            return error(409, headers={messages.POLICY: str(info.policy_index)})
        policy = chosen if chosen is not None else request.number(messages.POLICY_DEFAULT) or 0
        changes = _SETTABLE.sent(request.headers)
        _SETTABLE.check(info.metadata if info else {}, changes, self._limits)
        created, info = store.put(request.location, NewContainer(request.name, timestamp, policy, changes))
        self._updater.send(request, info)
        return answer(201 if created else 202, {messages.POLICY: str(info.policy_index)})

    def post(self, request: Request) -> NodeResponse:
        if request.query == ROWS:
            return self._merge(request)
        asked = request.parameters()
        if named_rows.QUERY in asked:
            return self._named_rows(request)
        if quotas.QUERY in asked:
            return quota_verbs.room_or_standing(request, request.device.containers, asked[quotas.QUERY])
        if messages.SHUT in asked:
            return self._shut(request, asked[messages.SHUT] == "1")
        return post_metadata(request, request.device.containers, _SETTABLE, self._limits)

    def _merge(self, request: Request) -> NodeResponse:
        rows = read_rows(request, listed_row)
        store = request.device.containers
        life = request.headers.get(LIFE)
        writer = Writer(Timestamp.parse(life), time.time()) if life else None
        try:
            store.merge_rows(request.location, rows, writer=writer)
        except NotFound:
            recreate = request.number(messages.RECREATE)
            if recreate is None:
                raise
            store.create(request.location, request.name, request.timestamp(), recreate, {})
            self._updater.send(request, store.info(request.location))
            store.merge_rows(request.location, rows)
        return answer(202)

    def _named_rows(self, request: Request) -> NodeResponse:
        names = named_rows.decode_names(request.body.read(MAX_ROWS_BODY))
        rows = request.device.containers.rows_named(request.location, names)
        return answer(200, JSON, named_rows.encode_rows(rows))

    def _shut(self, request: Request, shut: bool) -> NodeResponse:
        """Refuse new objects for a while, so that the container can be deleted on all replicas or on none."""
        request.device.containers.shut(request.location, time.time() + SHUT_SECONDS if shut else 0.0)
        return answer(204)

    def delete(self, request: Request) -> NodeResponse:
        timestamp = request.timestamp()
        store = request.device.containers
        info = store.info(request.location)
        if not info.empty:
            return error(409)
        try:
            store.delete(request.location, timestamp)
        except Conflict:
            return error(409)
        self._updater.send(request, info, deleted_at=timestamp)
        return answer(204)

    def get(self, request: Request) -> NodeResponse:
        store = request.device.containers
        if request.method == "HEAD":
            return answer(204, _info_headers(store.info(request.location)))
        if messages.MARKERS in request.headers:
            headers = _info_headers(store.info(request.location))
            names = store.markers(request.location, _MARKERS_PAGE)
            return answer(200, headers, json.dumps([{"name": name} for name in names]).encode())
        query = listing_query(request, self._limits.container_listing_limit)
        listing = store.list_rows(request.location, query)
        headers = _info_headers(listing.info) | LISTING
        return NodeResponse(200, headers, objects_body(listing.items, exact=query.data_times))


def container_server(
    devices: Devices,
    salt: HashSalt,
    updater: AccountUpdater,
    logger: logging.Logger,
    limits: Limits = DEFAULT_LIMITS,
    replication: database_replication.DatabaseReplicationSettings | None = None,
) -> StorageServer:
    replicate = DatabaseReplication(lambda device: device.containers, salt, replication)
    return database_server("container", ContainerVerbs(updater, limits), devices, salt, logger, replicate)


def listed_row(item: Mapping[str, Any]) -> ObjectRow:
    """Return a row as `wire.rows` sends it. Raises InvalidInput, KeyError and others for what is none."""
    stamp, typed, changed = item["timestamp"], item["content_type_timestamp"], item["meta_timestamp"]
    timestamp = Timestamp.parse(stamp)
    fields = item.get("fields")
    return ObjectRow(
        name=item["name"],
        timestamp=timestamp,
        deleted=bool(item["deleted"]),
        size=int(item["size"]),
        content_type=item["content_type"],
        etag=item["etag"],
        policy_index=int(item["policy_index"]),
        content_type_timestamp=timestamp if typed == stamp else Timestamp.parse(typed),
        meta_timestamp=timestamp if changed == stamp else Timestamp.parse(changed),
        elsewhere=item.get("elsewhere", False) is True,
        referenced=int(item.get("referenced", 0)),
        fields=checked_fields(fields) if fields else "",
    )


def _info_headers(info: ContainerStatus) -> dict[str, str]:
    changed = max([info.put_timestamp, *(stamp for _, stamp in info.metadata.values())])
    return {
        "X-Container-Object-Count": str(info.object_count),
        "X-Container-Bytes-Used": str(info.bytes_used),
        "X-Timestamp": info.created_at.normal,
        "Last-Modified": http_date(changed.ceiling),
        "X-Put-Timestamp": info.put_timestamp.normal,
        # A container restored by rows that came after its deletion counts as created then.
        messages.STORED_TIMESTAMP: max(info.put_timestamp, info.delete_timestamp).internal,
        messages.DELETE_TIMESTAMP: info.delete_timestamp.internal,
        messages.POLICY: str(info.policy_index),
        **({BYTES_ELSEWHERE: str(info.bytes_elsewhere)} if info.bytes_elsewhere else {}),
        **live_metadata(info.metadata),
    }
