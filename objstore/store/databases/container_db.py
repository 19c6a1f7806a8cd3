"""A container's database: what each operation does on an open connection."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from sqlite3 import Connection
from typing import Any, NamedTuple

from objstore.core.errors import Conflict, LifeEnded
from objstore.core.names import Name
from objstore.core.timestamps import ZERO, Timestamp
from objstore.core.versions import MARKER_TYPE
from objstore.store.databases import metadata as md
from objstore.store.databases import schema, status, tables
from objstore.store.databases.device import one_by_one
from objstore.store.databases.journal import JournalRules
from objstore.store.databases.listing import ListingPage, ListingQuery, Subdir, collect
from objstore.store.databases.rows import ContainerRow, ObjectRow, join_objects, read_timestamp


class NewContainer(NamedTuple):
    """A container to be made. timestamp: of its creation."""

    name: Name
    timestamp: Timestamp
    policy_index: int = 0
    metadata: Mapping[str, str] = {}


class ContainerStatus(NamedTuple):
    """object_count, bytes_used: of the container's policy. bytes_elsewhere: those of the bytes that another
    container of the account counts too. bytes_referenced: bytes_used plus these is the sum of the sizes that listings
    show. row_count: live rows of all policies. markers: has it delete markers?

    metadata: as `live_metadata` takes it. id: of this database, unlike that of any other copy.
    """

    name: Name
    created_at: Timestamp
    put_timestamp: Timestamp
    delete_timestamp: Timestamp
    status_changed_at: Timestamp
    policy_index: int
    object_count: int
    bytes_used: int
    row_count: int
    metadata: md.Metadata
    id: str
    bytes_elsewhere: int = 0
    markers: bool = False
    bytes_referenced: int = 0

    @property
    def empty(self) -> bool:
        """May it be deleted? Versions of objects that were deleted count, too: of each the marker's row is here."""
        return self.row_count == 0 and not self.markers

    @property
    def revived(self) -> bool:
        """Does it exist because of rows that came after its deletion?"""
        return self.delete_timestamp > self.put_timestamp and not self.empty

    @property
    def bytes_reported(self) -> int:
        """The report to the account."""
        return self.bytes_used - self.bytes_elsewhere

    @property
    def deleted(self) -> bool:
        """A container with objects exists, even if a deletion is recorded."""
        return self.delete_timestamp > self.put_timestamp and self.empty


class ObjectItem(NamedTuple):
    """timestamp: of the last change, by PUT or POST. size: in bytes, as listings show it. fields: see `ObjectRow`."""

    name: str
    timestamp: Timestamp
    size: int
    content_type: str
    etag: str
    fields: str = ""


class PolicyTotals(NamedTuple):
    """bytes_elsewhere, bytes_referenced: see `ContainerStatus`. quota_bytes: listed sizes of what only it counts."""

    object_count: int
    bytes_used: int
    bytes_elsewhere: int = 0
    bytes_referenced: int = 0
    quota_bytes: int = 0


def _encode(row: ObjectRow) -> tuple[object, ...]:
    typed, meta = row.content_type_timestamp, row.meta_timestamp
    return (
        row.policy_index,
        row.name,
        row.timestamp.internal,
        row.size,
        row.content_type,
        row.etag,
        None if typed is None or typed == row.timestamp else typed.internal,
        None if meta is None or meta == row.timestamp else meta.internal,
        row.elsewhere,
        row.referenced,
        row.fields,
    )


def _decode(values: Any) -> ObjectRow:
    deleted, policy_index, name, at, size, content_type, etag, typed, meta, elsewhere, *further = values
    referenced, fields = further or (0, "")  # a peer of an older version has none
    timestamp = read_timestamp(at)
    return ObjectRow(
        name,
        timestamp,
        bool(deleted),
        size,
        content_type,
        etag,
        policy_index,
        timestamp if typed is None else read_timestamp(typed),
        timestamp if meta is None else read_timestamp(meta),
        bool(elsewhere),
        referenced,
        fields,
    )


def _weight(line: tables.Line) -> tuple[int, ...]:
    size, elsewhere, referenced = line[4], line[9], line[10]
    return 1, size, size if elsewhere else 0, referenced, 0 if elsewhere else size + referenced


_MARKER = f"deleted = 1 AND content_type = '{MARKER_TYPE}'"
_CHANGED = "max(timestamp, ifnull(content_type_timestamp, ''), ifnull(meta_timestamp, ''))"
OBJECTS = tables.RowTable(
    name="object",
    columns=(
        "policy_index",
        "name",
        "timestamp",
        "size",
        "content_type",
        "etag",
        "content_type_timestamp",
        "meta_timestamp",
        "elsewhere",
        "referenced",
        "fields",
    ),
    scope="policy_index",
    listed=f"name, {_CHANGED}, size + referenced, content_type, etag, fields",
    changed=_CHANGED,
    encode=_encode,
    decode=_decode,
    join=join_objects,
    weight=_weight,
    totals={
        "object_count": "1",
        "bytes_used": "size",
        "bytes_elsewhere": "size * elsewhere",
        "bytes_referenced": "referenced",
        "quota_bytes": "(size + referenced) * (1 - elsewhere)",
    },
    lasting=_MARKER,
)


_INFO = f"""
SELECT i.account, i.container, i.created_at, i.put_timestamp, i.delete_timestamp, i.status_changed_at,
    i.policy_index, ifnull(p.object_count, 0), ifnull(p.bytes_used, 0),
    (SELECT ifnull(sum(object_count), 0) FROM policy_stat), i.metadata, i.id, ifnull(p.bytes_elsewhere, 0),
    EXISTS (SELECT 1 FROM object WHERE {_MARKER}), ifnull(p.bytes_referenced, 0)
FROM info i LEFT JOIN policy_stat p ON p.policy_index = i.policy_index
"""


def read_info(connection: Connection) -> ContainerStatus:
    row = connection.execute(_INFO).fetchone()
    account, container, created, put, deleted, changed, policy, count, size, rows, metadata, id_, *further = row
    elsewhere, marked, referenced = further
    delete_timestamp = read_timestamp(deleted)
    info = ContainerStatus(
        Name(account, container),
        read_timestamp(created),
        read_timestamp(put),
        delete_timestamp,
        read_timestamp(changed),
        policy,
        count,
        size,
        rows,
        md.load(metadata),
        id_,
        elsewhere,
        bool(marked),
        referenced,
    )
    # A deletion that did not hold has ended nothing.
    return info if info.revived else info._replace(metadata=md.since(info.metadata, delete_timestamp))


def live_info(connection: Connection) -> ContainerStatus:
    return status.live(read_info(connection))


def image(new: NewContainer) -> bytes:
    return schema.new_image(
        schema.CONTAINER,
        {
            "account": new.name.account,
            "container": new.name.container,
            "policy_index": new.policy_index,
            **status.first(new.timestamp, new.metadata),
        },
    )


def first_info(new: NewContainer) -> ContainerStatus:
    """Return the info of a database that was just made by `image`, but for its id."""
    at = new.timestamp
    metadata = {key: (value, at) for key, value in new.metadata.items()}
    return ContainerStatus(new.name, at, at, ZERO, at, new.policy_index, 0, 0, 0, metadata, "")


def _create_again(connection: Connection, new: NewContainer) -> bool:
    info = read_info(connection)
    if info.deleted:
        status.revive(connection, info, new.timestamp)
        connection.execute("UPDATE info SET policy_index = ?", (new.policy_index,))
    elif new.timestamp > info.put_timestamp:
        status.update(connection, put_timestamp=new.timestamp)
        if info.revived:  # what it has must not be taken for that of a life before
            status.set_metadata(connection, md.live_metadata(info.metadata), new.timestamp)
    if new.metadata:
        status.set_metadata(connection, new.metadata, new.timestamp)
    return info.deleted


def _delete(connection: Connection, timestamp: Timestamp) -> None:
    status.end(connection, _empty_info(connection), timestamp)
    connection.execute("UPDATE info SET shut_until = 0")


def _empty_info(connection: Connection) -> ContainerStatus:
    info = live_info(connection)
    if not info.empty:
        raise Conflict(f"{info.name.path} is not empty")
    return info


def _shut(connection: Connection, until: float) -> None:
    if until:
        _empty_info(connection)
    connection.execute("UPDATE info SET shut_until = ?", (until,))


def merge_status(connection: Connection, peer: status.Status) -> None:
    info = read_info(connection)
    put = max(info.put_timestamp, peer.put_timestamp)
    deleted = max(info.delete_timestamp, peer.delete_timestamp)
    winner = min(status.status_of(info), peer, key=partial(_policy_order, deleted=deleted))
    status.update(
        connection,
        created_at=min(info.created_at, peer.created_at),
        put_timestamp=put,
        delete_timestamp=deleted,
        status_changed_at=deleted if deleted > put else winner.status_changed_at,
    )
    connection.execute("UPDATE info SET policy_index = ?", (winner.policy_index,))
    status.merge_metadata(connection, peer.metadata)


def _policy_order(info: status.Status, deleted: Timestamp) -> tuple[int, int, int]:
    """The sort key of copies: the least one determines the policy; `deleted`: the newest deletion.

    A copy created after that deletion precedes one that was not. Of several created since, the first has held objects
    for longest, so its policy causes the fewest moves.
    """
    if info.status_changed_at > deleted:
        return 0, info.status_changed_at.raw, info.policy_index
    return 1, -info.status_changed_at.raw, info.policy_index


class Writer(NamedTuple):
    """The one whose rows are only taken while the container lives that it saw.

    life: the container's deletion timestamp then. now: in seconds since the epoch.
    """

    life: Timestamp
    now: float


class Batch(NamedTuple):
    """Normal rows to be joined. writer: None for rows that are taken in any case."""

    rows: list[ObjectRow]
    writer: Writer | None = None


def merge_rows(connection: Connection, batches: list[Batch]) -> list[LifeEnded | None]:
    gate = _gate(connection) if any(batch.writer for batch in batches) else None
    refusals = [gate and batch.writer and gate.refusal(batch.writer) for batch in batches]
    taken = (batch.rows for batch, refusal in zip(batches, refusals, strict=True) if refusal is None)
    tables.merge(connection, OBJECTS, (row for rows in taken for row in rows))
    return refusals


class _Gate(NamedTuple):
    """The rows that a container accepts. life: its deletion timestamp."""

    life: Timestamp
    deleted: bool
    shut_until: float

    def refusal(self, writer: Writer) -> LifeEnded | None:
        if self.deleted or self.life > writer.life:
            return LifeEnded("the container was deleted")
        return LifeEnded("the container is being deleted") if self.shut_until > writer.now else None


def _gate(connection: Connection) -> _Gate:
    life, put, shut_until = connection.execute(
        "SELECT delete_timestamp, put_timestamp, shut_until FROM info"
    ).fetchone()
    return _Gate(read_timestamp(life), life > put and read_info(connection).deleted, shut_until)


_encode_json = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def _journal_text(rows: Sequence[ObjectRow]) -> bytes:
    return _encode_json([OBJECTS.line(row) for row in rows]).encode()


def _merge_journal(connection: Connection, texts: Sequence[bytes]) -> None:
    inner = b",".join(text[1:-1] for text in texts)
    tables.merge_lines(connection, OBJECTS, json.loads(b"[" + inner + b"]"))


def _open_gate(connection: Connection) -> Timestamp | None:
    life, put, shut_until = connection.execute(
        "SELECT delete_timestamp, put_timestamp, shut_until FROM info"
    ).fetchone()
    return read_timestamp(life) if life <= put and shut_until <= time.time() else None


JOURNAL = JournalRules(_journal_text, _merge_journal, _open_gate)

_OBJECTS_BY_DATA = OBJECTS._replace(listed="name, timestamp, size + referenced, content_type, etag, fields")


def list_objects(connection: Connection, query: ListingQuery) -> ListingPage:
    return _list(connection, query, _listed)


def list_rows(connection: Connection, query: ListingQuery) -> ListingPage:
    """As `list_objects`, each object as a list: name, time of its change as text, size, content type, etag, fields."""
    listing = _list(connection, query, None)
    _check_times([item[1][:16] for item in listing.items if item.__class__ is not Subdir])
    return listing


def _check_times(texts: list[str]) -> None:
    """Raises ValueError unless all are timestamps in internal form, without offsets."""
    text = "".join(texts)
    sound = len(text) == 16 * len(texts) and text[10::16] == "." * len(texts)
    if texts and not (sound and text.replace(".", "0").isdecimal()):
        raise ValueError("a row of a listing has no timestamp")


def _list(connection: Connection, query: ListingQuery, show: Callable[[list[Any]], object] | None) -> ListingPage:
    with status.snapshot(connection):
        info = live_info(connection)
        policy_index = info.policy_index if query.policy_index is None else query.policy_index
        table = _OBJECTS_BY_DATA if query.data_times else OBJECTS
        rows = tables.LiveRows(connection, table, policy_index)
        items, more = collect(query, rows.fetch, rows.skim, show)
    return ListingPage(info, items, more)


def _listed(values: list[Any]) -> ObjectItem:
    name, changed, *shown = values
    return ObjectItem(name, read_timestamp(changed), *shown)


def markers(connection: Connection, limit: int) -> list[str]:
    """Keys whose current version is a delete marker, in no order."""
    return [name for (name,) in connection.execute(f"SELECT name FROM object WHERE {_MARKER} LIMIT ?", (limit,))]


def unreported(connection: Connection, now: Timestamp) -> ContainerRow | None:
    """Return the report for the account, as of `now`; None if it is up to date.

    It is later than the report of the container's creation, and than the last one from here, whatever the clock says
    now: else the account would ignore it.
    """
    info = read_info(connection)
    current = (
        info.put_timestamp.internal,
        info.delete_timestamp.internal,
        info.object_count,
        info.bytes_reported,
    )
    *reported, last = connection.execute(
        "SELECT reported_put_timestamp, reported_delete_timestamp, reported_object_count, reported_bytes_used,"
        " reported_at FROM info"
    ).fetchone()
    if tuple(reported) == current:
        return None
    least = max(info.status_changed_at.raw, read_timestamp(last).raw) + 1
    return ContainerRow(
        info.name.container or "",
        info.put_timestamp,
        info.delete_timestamp,
        info.object_count,
        info.bytes_reported,
        info.policy_index,
        max(now, Timestamp(least)),
    )


def _set_reported(connection: Connection, row: ContainerRow) -> None:
    connection.execute(
        "UPDATE info SET reported_put_timestamp = ?, reported_delete_timestamp = ?, reported_object_count = ?,"
        " reported_bytes_used = ?, reported_at = max(reported_at, ?)",
        (
            row.put_timestamp.internal,
            row.delete_timestamp.internal,
            row.object_count,
            row.bytes_used,
            row.reported_at.internal,
        ),
    )


def forget_reports(connection: Connection) -> None:
    """Report to the account again: the report of another database, or of a former one here, may be wrong."""
    connection.execute(
        "UPDATE info SET reported_put_timestamp = :never, reported_delete_timestamp = :never"
        " WHERE reported_put_timestamp != :never",
        {"never": ZERO.internal},
    )


CREATE = one_by_one(_create_again)
DELETE = one_by_one(_delete)
SHUT = one_by_one(_shut)
SET_REPORTED = one_by_one(_set_reported)
FORGET_REPORTS = one_by_one(lambda connection, _: forget_reports(connection))
