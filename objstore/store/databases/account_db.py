"""An account's database: what each operation does on an open connection."""

from __future__ import annotations

from collections.abc import Mapping
from sqlite3 import Connection
from typing import Any, NamedTuple

from objstore.core.errors import AccountDeleted
from objstore.core.names import Name
from objstore.core.timestamps import Timestamp
from objstore.store.databases import metadata as md
from objstore.store.databases import schema, status, tables
from objstore.store.databases.device import one_by_one
from objstore.store.databases.listing import ListingPage, ListingQuery, collect
from objstore.store.databases.rows import ContainerRow, join_containers, read_timestamp


class NewAccount(NamedTuple):
    """An account to be made. timestamp: of its creation. revive: also if it was deleted before."""

    name: Name
    timestamp: Timestamp
    metadata: Mapping[str, str] = {}
    revive: bool = False


class AccountStatus(NamedTuple):
    """Counts are of live containers, as they last reported; bytes_used in bytes.

    metadata: as `live_metadata` takes it. id: of this database, unlike that of any other copy.
    """

    name: Name
    created_at: Timestamp
    put_timestamp: Timestamp
    delete_timestamp: Timestamp
    status_changed_at: Timestamp
    container_count: int
    object_count: int
    bytes_used: int
    metadata: md.Metadata
    id: str

    @property
    def deleted(self) -> bool:
        return self.delete_timestamp > self.put_timestamp


class ListedContainer(NamedTuple):
    """timestamp: of its creation. bytes_used in bytes."""

    name: str
    timestamp: Timestamp
    object_count: int
    bytes_used: int
    policy_index: int


class AccountTotals(NamedTuple):
    container_count: int
    object_count: int
    bytes_used: int


def _encode(row: ContainerRow) -> tuple[object, ...]:
    return (
        row.name,
        row.put_timestamp.internal,
        row.delete_timestamp.internal,
        row.object_count,
        row.bytes_used,
        row.policy_index,
        row.reported_at.internal,
    )


def _decode(values: Any) -> ContainerRow:
    _, name, put, deleted, count, size, policy_index, reported = values
    return ContainerRow(
        name, read_timestamp(put), read_timestamp(deleted), count, size, policy_index, read_timestamp(reported)
    )


CONTAINERS = tables.RowTable(
    name="container",
    columns=(
        "name",
        "put_timestamp",
        "delete_timestamp",
        "object_count",
        "bytes_used",
        "policy_index",
        "reported_at",
    ),
    scope=None,
    listed="name, put_timestamp, object_count, bytes_used, policy_index",
    changed="max(put_timestamp, delete_timestamp, reported_at)",
    encode=_encode,
    decode=_decode,
    join=join_containers,
    weight=lambda line: (1, line[4], line[5]),
    totals={"container_count": "1", "object_count": "object_count", "bytes_used": "bytes_used"},
)

_INFO = """
SELECT i.account, i.created_at, i.put_timestamp, i.delete_timestamp, i.status_changed_at,
    (SELECT ifnull(sum(container_count), 0) FROM policy_stat),
    (SELECT ifnull(sum(object_count), 0) FROM policy_stat),
    (SELECT ifnull(sum(bytes_used), 0) FROM policy_stat), i.metadata, i.id
FROM info i
"""


def read_info(connection: Connection) -> AccountStatus:
    (account, created, put, deleted, changed, containers, objects, size, metadata, id_) = connection.execute(
        _INFO
    ).fetchone()
    delete_timestamp = read_timestamp(deleted)
    return AccountStatus(
        Name(account),
        read_timestamp(created),
        read_timestamp(put),
        delete_timestamp,
        read_timestamp(changed),
        containers,
        objects,
        size,
        md.since(md.load(metadata), delete_timestamp),
        id_,
    )


def live_info(connection: Connection) -> AccountStatus:
    return _live(read_info(connection))


def _live(info: AccountStatus) -> AccountStatus:
    """Return the info of an account that is not deleted; raises AccountDeleted with the time of the deletion."""
    if info.deleted:
        raise AccountDeleted(f"{info.name.path} was deleted", info.delete_timestamp)
    return info


def image(new: NewAccount) -> bytes:
    return schema.new_image(schema.ACCOUNT, {"account": new.name.account, **status.first(new.timestamp, new.metadata)})


def _create_again(connection: Connection, new: NewAccount) -> bool:
    # The time of its creation stays: a replica that missed the deletion would else revive the account for all.
    info = read_info(connection)
    if new.revive and info.deleted:
        status.revive(connection, info, new.timestamp)
    else:
        _live(info)
    if new.metadata:
        status.set_metadata(connection, new.metadata, new.timestamp)
    return info.deleted


def _delete(connection: Connection, timestamp: Timestamp) -> None:
    status.end(connection, live_info(connection), timestamp)


def merge_status(connection: Connection, peer: status.Status) -> None:
    info = read_info(connection)
    status.update(
        connection,
        created_at=min(info.created_at, peer.created_at),
        put_timestamp=max(info.put_timestamp, peer.put_timestamp),
        delete_timestamp=max(info.delete_timestamp, peer.delete_timestamp),
        status_changed_at=max(info.status_changed_at, peer.status_changed_at),
    )
    status.merge_metadata(connection, peer.metadata)


def merge_rows(connection: Connection, batches: list[list[ContainerRow]]) -> list[None]:
    tables.merge(connection, CONTAINERS, (row for rows in batches for row in rows))
    return [None] * len(batches)


def list_containers(connection: Connection, query: ListingQuery, deleted_too: bool) -> ListingPage:
    with status.snapshot(connection):
        info = read_info(connection) if deleted_too else live_info(connection)
        rows = tables.LiveRows(connection, CONTAINERS, 0)
        items, more = collect(query, rows.fetch, rows.skim, _listed)
    return ListingPage(info, items, more)


def _listed(values: list[Any]) -> ListedContainer:
    name, put, count, size, policy_index = values
    return ListedContainer(name, read_timestamp(put), count, size, policy_index)


CREATE = one_by_one(_create_again)
DELETE = one_by_one(_delete)
