"""The account server: accounts, their metadata and listings, and rows that container servers send."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from objstore.core.errors import MALFORMED, InvalidInput, NotFound
from objstore.core.limits import DEFAULT_LIMITS, Limits
from objstore.core.metadata import check_sendable
from objstore.core.names import HashSalt
from objstore.core.policies import Policies
from objstore.core.timestamps import Timestamp
from objstore.server import database_replication
from objstore.server.app import Request, StorageApp
from objstore.server.database_replication import DatabaseReplication
from objstore.server.devices import Devices
from objstore.server.listing_query import as_json, iso_date, listing_query
from objstore.store.databases import AccountInfo, ContainerRow, ListedContainer, Subdir, live_metadata
from objstore.web import requests
from objstore.web.constraints import check_metadata
from objstore.web.requests import read_body
from objstore.web.responses import Response, error
from objstore.wire import messages

MAX_ROWS_BODY = 64 << 20
_PREFIXES = ("X-Account-Meta-", "X-Account-Sysmeta-")


class AccountServer:
    """Verbs over the account databases; `app` is the WSGI app made of them."""

    def __init__(
        self,
        devices: Devices,
        salt: HashSalt,
        logger: logging.Logger,
        policies: Policies,
        limits: Limits = DEFAULT_LIMITS,
        replication: database_replication.Limits | None = None,
    ) -> None:
        self._limits = limits
        self._policies = {policy.index: policy.name for policy in policies}
        verbs = {"PUT": self.put, "GET": self.get, "HEAD": self.get, "POST": self.post, "DELETE": self.delete}
        replicate = DatabaseReplication(lambda device: device.accounts.replicas, salt, replication)
        self.app = StorageApp(devices, salt, verbs, 1, logger, replicate)

    def put(self, request: Request) -> Response:
        if messages.EXISTING_ONLY_KEY in request.environ:
            try:
                request.device.accounts.info(request.location)
            except NotFound as missing:
                if missing.timestamp is None:
                    return error(404)
        created = request.device.accounts.create(
            request.location, request.name, request.timestamp(), settable(request.environ)
        )
        return Response(201 if created else 202)

    def post(self, request: Request) -> Response:
        if "rows" in request.query():
            return self._merge(request)
        store = request.device.accounts
        info = store.info(request.location)
        changes = settable(request.environ)
        if changes:
            check_metadata("Account", {**live_metadata(info.metadata), **changes}, self._limits)
            store.set_metadata(request.location, changes, request.timestamp())
        return Response(204)

    def _merge(self, request: Request) -> Response:
        timestamp = request.timestamp()
        try:
            rows = [_row(item, timestamp) for item in json.loads(read_body(request.environ, MAX_ROWS_BODY))]
        except MALFORMED as failure:
            raise InvalidInput(f"not rows: {failure!r}") from None
        store = request.device.accounts
        try:
            store.merge_rows(request.location, rows)
        except NotFound:
            # The system's own accounts (the expirer's queue) come to be by their first container.
            if messages.RECREATE_KEY not in request.environ:
                raise
            store.create(request.location, request.name, timestamp, {})
            store.merge_rows(request.location, rows)
        return Response(202)

    def delete(self, request: Request) -> Response:
        store = request.device.accounts
        try:
            store.info(request.location)
        except NotFound as missing:
            return _missing(missing)
        store.delete(request.location, request.timestamp())
        return Response(204)

    def get(self, request: Request) -> Response:
        store = request.device.accounts
        try:
            info = store.info(request.location)
        except NotFound as missing:
            return _missing(missing)
        headers = _info_headers(info)
        for policy, totals in store.policy_totals(request.location).items():
            headers[f"X-Backend-Policy-{policy}-Totals"] = (
                f"{totals.container_count},{totals.object_count},{totals.bytes_used}"
            )
        if request.method == "HEAD":
            return Response(204, headers)
        listing = store.list(request.location, listing_query(request, self._limits.account_listing_limit))
        headers["Content-Type"] = "application/json; charset=utf-8"
        return Response(200, headers, as_json(self._shown(item) for item in listing.items))

    def _shown(self, item: ListedContainer | Subdir) -> dict[str, Any]:
        if isinstance(item, Subdir):
            return {"subdir": item.name}
        return {
            "name": item.name,
            "count": item.object_count,
            "bytes": item.bytes_used,
            "last_modified": iso_date(item.timestamp),
            "storage_policy": self._policies.get(item.policy_index, str(item.policy_index)),
        }


def settable(environ: Mapping[str, Any]) -> dict[str, str]:
    """The metadata that a request sets, empty values among it; raises InvalidInput for what no answer could have."""
    sent = requests.headers(dict(environ))
    changes = {name: value for name, value in sent.items() if name.startswith(_PREFIXES)}
    check_sendable(changes)
    return changes


def _row(item: Mapping[str, Any], reported_at: Timestamp) -> ContainerRow:
    return ContainerRow(
        name=item["name"],
        put_timestamp=Timestamp.parse(item["put_timestamp"]),
        delete_timestamp=Timestamp.parse(item["delete_timestamp"]),
        object_count=int(item["object_count"]),
        bytes_used=int(item["bytes_used"]),
        policy_index=int(item["policy_index"]),
        reported_at=reported_at,
    )


def _info_headers(info: AccountInfo) -> dict[str, str]:
    return {
        "X-Account-Container-Count": str(info.container_count),
        "X-Account-Object-Count": str(info.object_count),
        "X-Account-Bytes-Used": str(info.bytes_used),
        "X-Timestamp": info.created_at.normal,
        "X-Put-Timestamp": info.put_timestamp.normal,
        messages.STORED_TIMESTAMP: info.put_timestamp.internal,
        messages.DELETE_TIMESTAMP: info.delete_timestamp.internal,
        **live_metadata(info.metadata),
    }


def _missing(missing: NotFound) -> Response:
    deleted = missing.timestamp
    headers = {messages.STORED_TIMESTAMP: deleted.internal} if isinstance(deleted, Timestamp) else None
    return error(404, headers=headers)
