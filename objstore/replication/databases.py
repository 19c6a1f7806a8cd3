"""Messages and decisions of the replicators of accounts and containers. No I/O.

A conversation is about a partition. The sender's `Comparison` lists its databases; the receiver answers with a
`Difference` for each that is not equal to its own. For each of these the sender continues with steps of one database:
its status, its rows after a sync point, or the whole file. See doc/database_replication.md.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from objstore.core.errors import MALFORMED, InvalidInput
from objstore.core.names import Name
from objstore.core.timestamps import Timestamp
from objstore.store.databases.contents import Rows
from objstore.store.databases.status import Status
from objstore.store.databases.summaries import DatabaseSummary
from objstore.store.databases.tables import RowPage

# The query's `step` in a request about one database. A request about a partition is a comparison.
STEP = "step"
VERSION = "version"  # with a file: version of its tables, so that a host that supports only older ones need not read it
STATUS, ROWS, FILE = "status", "rows", "file"


class DatabaseState(NamedTuple):
    """The state of one of the sender's databases. totals: as text that is equal if totals are."""

    hash: str
    id: str
    max_row: int
    digest: str
    totals: str


class Difference(NamedTuple):
    """The answer of a receiver about a database that is not equal to its own.

    id: of the receiver's database, empty if it has none. point: number of the sender's last row that the receiver has.
    status: the statuses differ. total: the totals differ although each side believes that the other has all of its
    rows.
    """

    hash: str
    id: str = ""
    point: int = 0
    status: bool = False
    total: bool = False


class Way(enum.Enum):
    """The way to update a peer."""

    RENEW = "it holds rows that the sender has lost"
    NOTHING = "it has all rows"
    ROWS = "row by row"
    FILE = "as a whole file"


class DatabaseBounds(NamedTuple):
    """Bounds. rows: in one request. file_rows: minimum number of missing rows to send a file.

    file_part: share of a database's rows that must be missing to send its file instead.
    """

    rows: int = 1000
    file_rows: int = 10_000
    file_part: float = 0.5


def database_state(name_hash: str, summary: DatabaseSummary) -> DatabaseState:
    return DatabaseState(name_hash, summary.id, summary.max_row, summary.digest, json.dumps(summary.totals))


def compare(theirs: DatabaseState, own: DatabaseSummary | None) -> Difference | None:
    """Return the receiver's answer about a database, None if it is equal. own: the receiver's."""
    if own is None:
        return Difference(theirs.hash)
    if own.id == theirs.id:  # the sender asks itself because it does not know its own address; it must notice that
        return Difference(theirs.hash, own.id, theirs.max_row)
    point = own.incoming.get(theirs.id, 0)
    status = own.digest != theirs.digest
    settled = point == theirs.max_row and own.outgoing.get(theirs.id, 0) >= own.max_row
    total = settled and json.dumps(own.totals) != theirs.totals
    differs = point != theirs.max_row or status or total
    return Difference(theirs.hash, own.id, point, status, total) if differs else None


def start(own: DatabaseSummary, found: Difference) -> int:
    """Return the number of the row after which a sender begins.

    A receiver may not know yet that it has rows which the sender knows it has: those that it sent itself; and those of
    a database from which the sender's was copied, and which it has completely received.
    """
    return 0 if found.total else max(found.point, own.outgoing.get(found.id, 0))


def way(own: DatabaseSummary, found: Difference, bounds: DatabaseBounds) -> Way:
    """Return the way to update a receiver."""
    if not found.id:
        return Way.FILE
    if found.total:  # from a file the receiver would merge only new rows
        return Way.ROWS
    if found.point > own.max_row:
        return Way.RENEW
    missing = own.max_row - start(own, found)
    if missing <= 0:
        # It is informed once that it has all rows, if it does not know.
        return Way.ROWS if found.point < own.max_row else Way.NOTHING
    cheaper = missing > bounds.file_rows and missing > bounds.file_part * own.max_row
    return Way.FILE if cheaper else Way.ROWS


def forgettable(own: DatabaseSummary, before: Timestamp) -> bool:
    """Return whether it was deleted long enough ago to be removed, and not sent to peers that have none.

    Not while work is left for it: an account whose containers are not deleted yet must not get lost.
    """
    return own.deleted and own.settled and own.delete_timestamp < before


# On the wire


def encode_comparison(databases: Iterable[DatabaseState]) -> bytes:
    return json.dumps([list(database_state) for database_state in databases], separators=(",", ":")).encode()


def decode_comparison(body: bytes) -> list[DatabaseState]:
    """Raises InvalidInput."""
    lines = _lines(body, (str, str, int, str, str))
    return [DatabaseState(*line) for line in lines]


def encode_differences(found: Iterable[Difference]) -> bytes:
    return json.dumps([list(difference) for difference in found], separators=(",", ":")).encode()


def decode_differences(body: bytes) -> list[Difference]:
    """Raises InvalidInput."""
    lines = _lines(body, (str, str, int, bool, bool))
    return [Difference(*line) for line in lines]


def encode_rows(sender: str, receiver: str, after: int, page: RowPage) -> bytes:
    """Encode rows of a database for another, both identified by their ids: all of the sender's rows after number
    `after`."""
    ids = f'"from":{json.dumps(sender)},"to":{json.dumps(receiver)}'
    return f'{{{ids},"after":{after},"last":{page.last},"rows":{page.text}}}'.encode()


def decode_rows(body: bytes) -> Rows:
    """Return rows, still in their wire form. Raises InvalidInput."""
    try:
        document = json.loads(body)
        rows = Rows(
            str(document["to"]), str(document["from"]), int(document["after"]), int(document["last"]), document["rows"]
        )
    except MALFORMED as error:
        raise InvalidInput(f"not rows: {error!r}") from None
    if not isinstance(rows.rows, list) or not rows.remote_id:
        raise InvalidInput("not rows")
    return rows


def encode_status(status: Status) -> bytes:
    times = [timestamp.internal for timestamp in status[1:5]]
    metadata = {key: [value, timestamp.internal] for key, (value, timestamp) in status.metadata.items()}
    return json.dumps([status.name.path, *times, status.policy_index, metadata]).encode()


def decode_status(body: bytes) -> Status:
    """Raises InvalidInput."""
    try:
        path, created, put, deleted, changed, policy_index, metadata = json.loads(body)
        return Status(
            Name.parse(path),
            Timestamp.parse(created),
            Timestamp.parse(put),
            Timestamp.parse(deleted),
            Timestamp.parse(changed),
            int(policy_index),
            {str(key): (str(value), Timestamp.parse(at)) for key, (value, at) in dict(metadata).items()},
        )
    except MALFORMED as error:
        raise InvalidInput(f"not a status: {error!r}") from None


def encode_point(point: int) -> bytes:
    return json.dumps({"point": point}).encode()


def decode_point(body: bytes) -> int:
    """Return the number of the sender's last row that the receiver has. Raises InvalidInput."""
    try:
        document: Mapping[str, Any] = json.loads(body)
        return int(document["point"])
    except MALFORMED as error:
        raise InvalidInput(f"not a sync point: {error!r}") from None


def _lines(body: bytes, types: tuple[type, ...]) -> list[list[Any]]:
    """Return lines whose values are of these types. Raises InvalidInput."""
    try:
        lines = json.loads(body)
    except MALFORMED as error:
        raise InvalidInput(f"not JSON: {error!r}") from None
    if not isinstance(lines, list) or not all(isinstance(line, list) for line in lines):
        raise InvalidInput("not lists")
    if not all(tuple(map(type, line)) == types for line in lines):
        raise InvalidInput(f"not lines of {', '.join(kind.__name__ for kind in types)}")
    return lines
