"""The differences between the kinds of databases, and values about their replicas."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from sqlite3 import Connection
from typing import Any, NamedTuple

from objstore.store.databases.journal import JournalRules
from objstore.store.databases.schema import DatabaseKind
from objstore.store.databases.status import Status
from objstore.store.databases.tables import RowTable, every_total


class Contents(NamedTuple):
    """A kind of database. settled: whether no work is left for a deleted database, given its info.

    disown: removes from a copy of a peer's database the data that only concern the peer. totals: makes a value of the
    totals of a policy. journal: None for a kind whose rows are always written to the database at once.
    """

    kind: DatabaseKind
    table: RowTable
    read_info: Callable[[Connection], Any]
    merge_status: Callable[[Connection, Status], None]
    settled: Callable[[Connection, Any], bool]
    disown: Callable[[Connection], None]
    totals: Callable[..., object]
    journal: JournalRules | None = None

    def policy_totals(self, connection: Connection) -> dict[int, object]:
        return {index: self.totals(*totals) for index, *totals in every_total(connection, self.table)}


class Rows(NamedTuple):
    """Rows of the database `remote_id`: all that it has numbered after `after` up to `last`.

    They are for the database `local_id`, which has those before.
    """

    local_id: str
    remote_id: str
    after: int
    last: int
    rows: Sequence[Any]


class Placed(NamedTuple):
    """The result of a received file. id: of the database that has its rows; new: whether there was none."""

    id: str
    new: bool
