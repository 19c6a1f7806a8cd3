"""The account server: accounts, their metadata and listings, and rows that container servers send."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from typing import Any

from objstore.core.errors import AccountDeleted, NotFound
from objstore.core.limits import DEFAULT_LIMITS, Limits
from objstore.core.names import HashSalt
from objstore.core.policies import Policies
from objstore.core.timestamps import Timestamp
from objstore.server import database_replication, quota_verbs
from objstore.server.answers import answer, error
from objstore.server.database_replication import DatabaseReplication
from objstore.server.databases import LISTING, Settable, database_server, post_metadata, read_rows
from objstore.server.devices import Devices
from objstore.server.listing_query import iso_date, listing_query, rows_body
from objstore.server.request import Request
from objstore.server.storage_server import StorageServer
from objstore.store.databases import AccountStatus, ContainerRow, ListedContainer, Subdir, live_metadata
from objstore.wire import messages, quotas
from objstore.wire.messages import NodeResponse

_SETTABLE = Settable("Account", ("X-Account-Meta-", "X-Account-Sysmeta-"))


class AccountVerbs:
    """Verbs over the account databases."""

    def __init__(self, policies: Policies, limits: Limits) -> None:
        self._limits = limits
        self._policies = {policy.index: policy.name for policy in policies}

    def put(self, request: Request) -> NodeResponse:
        store = request.device.accounts
        changes = _SETTABLE.sent(request.headers)
        try:
            if messages.EXISTING_ONLY in request.headers:
                store.info(request.location)
            created = store.create(request.location, request.name, request.timestamp(), changes)
        except AccountDeleted as deleted:
            assert isinstance(deleted.timestamp, Timestamp)
            return error(403, "Recently deleted", {messages.STORED_TIMESTAMP: deleted.timestamp.internal})
        return answer(201 if created else 202)

    def post(self, request: Request) -> NodeResponse:
        asked = request.parameters()
        if "rows" in asked:
            return self._merge(request)
        if quotas.QUERY in asked:
            return quota_verbs.room(request, request.device.accounts, asked[quotas.QUERY])
        return post_metadata(request, request.device.accounts, _SETTABLE, self._limits)

    def _merge(self, request: Request) -> NodeResponse:
        timestamp = request.timestamp()
        rows = read_rows(request, partial(_row, timestamp))
        store = request.device.accounts
        try:
            store.merge_rows(request.location, rows)
        except NotFound:
            # Accounts of the system (the expirer's queue) are created by their first container.
            if messages.RECREATE not in request.headers:
                raise
            store.create(request.location, request.name, timestamp, {}, revive=True)
            store.merge_rows(request.location, rows)
        return answer(202)

    def delete(self, request: Request) -> NodeResponse:
        store = request.device.accounts
        store.info(request.location)
        store.delete(request.location, request.timestamp())
        return answer(204)

    def get(self, request: Request) -> NodeResponse:
        store = request.device.accounts
        headers = _info_headers(store.info(request.location))
        for policy, totals in store.policy_totals(request.location).items():
            headers[messages.policy_totals(policy)] = (
                f"{totals.container_count},{totals.object_count},{totals.bytes_used}"
            )
        if request.method == "HEAD":
            return answer(204, headers)
        listing = store.list(request.location, listing_query(request, self._limits.account_listing_limit))
        rows = rows_body(lambda: [self._shown_headers(item) for item in listing.items])
        return NodeResponse(200, headers | LISTING, rows)

    def _shown_headers(self, item: ListedContainer | Subdir) -> dict[str, object]:
        if isinstance(item, Subdir):
            return {"subdir": item.name}
        return {
            "name": item.name,
            "count": item.object_count,
            "bytes": item.bytes_used,
            "last_modified": iso_date(item.timestamp),
            "storage_policy": self._policies.get(item.policy_index, str(item.policy_index)),
        }


def account_server(
    devices: Devices,
    salt: HashSalt,
    logger: logging.Logger,
    policies: Policies,
    limits: Limits = DEFAULT_LIMITS,
    replication: database_replication.DatabaseReplicationSettings | None = None,
) -> StorageServer:
    replicate = DatabaseReplication(lambda device: device.accounts, salt, replication)
    return database_server("account", AccountVerbs(policies, limits), devices, salt, logger, replicate)


def _row(reported_at: Timestamp, item: Mapping[str, Any]) -> ContainerRow:
    return ContainerRow(
        name=item["name"],
        put_timestamp=Timestamp.parse(item["put_timestamp"]),
        delete_timestamp=Timestamp.parse(item["delete_timestamp"]),
        object_count=int(item["object_count"]),
        bytes_used=int(item["bytes_used"]),
        policy_index=int(item["policy_index"]),
        reported_at=reported_at,
    )


def _info_headers(info: AccountStatus) -> dict[str, str]:
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
