"""Tables of rows: merging, reading in order, and reclaiming, alike for objects and containers.

Everything here runs on an open connection, writes inside a transaction that the caller began.
Statements move many rows at a step, as JSON where they are read: SQLite works without Python's
lock, and another thread can take that lock away between any two steps.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import add, sub
from sqlite3 import Connection
from typing import Any, NamedTuple

from objstore.core.errors import Corrupt
from objstore.core.timestamps import Timestamp
from objstore.store.databases.failures import damage_of
from objstore.store.databases.listing import Grouping, Span

_ROWS_AT_ONCE = 32  # in one statement, if that many are left, else half as many, and so on
_RECLAIM_PAGE = 1000


# A row as it is stored: `deleted`, then the columns.
Line = Sequence[Any]


class NumberedRow(NamedTuple):
    """A row and its number: every change of a row gives it a number greater than all before."""

    number: int
    row: object


class RowTable(NamedTuple):
    """A table of rows in SQLite.

    columns: of the table, without `deleted` and `row`. scope: the column before the name in the
    key, or None. listed: SQL for the columns of a listing's rows, the name first. changed: SQL
    for the time of a row's last change. encode: the columns of a row; decode: its opposite.
    join: of two rows of one key. weight: what the line of a live row adds to `totals`: columns
    of policy_stat, each with SQL for the same. lasting: SQL for tombstones that are never reclaimed.
    """

    name: str
    columns: tuple[str, ...]
    scope: str | None
    listed: str
    changed: str
    encode: Callable[[Any], tuple[object, ...]]
    decode: Callable[[Sequence[object]], Any]
    join: Callable[[Any, Any], Any]
    weight: Callable[[Line], tuple[int, ...]]
    totals: Mapping[str, str]
    lasting: str = "0"

    def key(self, row: Any) -> tuple[int, str]:
        return (row.policy_index if self.scope else 0), row.name

    def line(self, row: Any) -> Line:
        return (row.deleted, *self.encode(row))

    def place(self, column: str) -> int:
        """Return the index of a column in a line."""
        return self.columns.index(column) + 1

    def in_scope(self) -> str:
        return f"{self.scope} = ? AND " if self.scope else ""

    def scope_values(self, policy_index: int) -> tuple[int, ...]:
        return (policy_index,) if self.scope else ()


def merge(connection: Connection, table: RowTable, rows: Iterable[object]) -> None:
    """Join normal rows into the table, with row numbers and totals."""
    incoming: dict[tuple[int, str], object] = {}
    for row in rows:
        key = table.key(row)
        known = incoming.get(key)
        incoming[key] = row if known is None else table.join(known, row)
    stored = dict(_stored(connection, table, incoming))
    changed: list[object] = []
    replaced: list[object] = []
    for key, row in incoming.items():
        old = stored.get(key)
        if old is not None:
            row = table.join(old, row)
            if row == old:
                continue
            replaced.append(old)
            if row.deleted != old.deleted:
                _remove(connection, table, old)
        changed.append(row)
    if changed:
        added = [table.line(row) for row in changed]
        _write(connection, table, added, [table.line(row) for row in replaced])


def merge_lines(connection: Connection, table: RowTable, lines: Sequence[Line]) -> None:
    """Join normal rows given as lines; those of new names need not be decoded."""
    scope, name = table.place(table.scope) if table.scope else None, table.place("name")
    keys = [(0 if scope is None else line[scope], line[name]) for line in lines]
    counts = Counter(keys)
    known = {key for key, _ in _stored(connection, table, counts)}
    new: list[Line] = []
    others: list[Line] = []
    for line, key in zip(lines, keys, strict=True):
        (others if key in known or counts[key] > 1 else new).append(line)
    if new:
        _write(connection, table, new, [])
    if others:
        merge(connection, table, map(table.decode, others))


def _write(connection: Connection, table: RowTable, added: Sequence[Line], replaced: Sequence[Line]) -> None:
    number = last_row(connection)
    _insert(connection, table, added, number + 1)
    _count(connection, table, added, replaced, number + len(added))


def _stored(
    connection: Connection, table: RowTable, keys: Iterable[tuple[int, str]]
) -> Iterator[tuple[tuple[int, str], Any]]:
    """Rows that the table has of these keys."""
    names_by_scope: dict[int, list[str]] = {}
    for scope, name in keys:
        names_by_scope.setdefault(scope, []).append(name)
    columns = ", ".join(table.columns)
    for scope, names in names_by_scope.items():
        for start, count in _portions(len(names)):
            portion = names[start : start + count]
            # As parameters: json_each ends a text at its first NUL.
            (text,) = connection.execute(
                f"SELECT json_group_array(json_array(deleted, {columns})) FROM {table.name}"
                f" WHERE {table.in_scope()}deleted IN (0, 1) AND name IN ({', '.join('?' * count)})",
                (*table.scope_values(scope), *portion),
            ).fetchone()
            if text != "[]":
                for values in json.loads(text):
                    row = table.decode(values)
                    yield table.key(row), row


def _portions(total: int) -> Iterator[tuple[int, int]]:
    """Cuts `total` into (start, count) of few different counts, as each is a statement to prepare."""
    start, count = 0, _ROWS_AT_ONCE
    while start < total:
        while count > total - start:
            count //= 2
        yield start, count
        start += count


def _remove(connection: Connection, table: RowTable, row: Any) -> None:
    connection.execute(
        f"DELETE FROM {table.name} WHERE {table.in_scope()}deleted = ? AND name = ?",
        (*table.scope_values(row.policy_index), row.deleted, row.name),
    )


def _insert(connection: Connection, table: RowTable, lines: Sequence[Line], number: int) -> None:
    """Write lines with numbers from `number` on."""
    columns = f"deleted, row, {', '.join(table.columns)}"
    one = f"({', '.join('?' * (2 + len(table.columns)))})"
    for start, count in _portions(len(lines)):
        values: list[object] = []
        for place in range(start, start + count):
            deleted, *rest = lines[place]
            values += (deleted, number + place)
            values += rest
        places = ", ".join([one] * count)
        connection.execute(f"INSERT OR REPLACE INTO {table.name} ({columns}) VALUES {places}", values)


def _count(connection: Connection, table: RowTable, added: Sequence[Line], removed: Sequence[Line], last: int) -> None:
    """Bring policy_stat up to date: its totals, and the last row number."""
    zero = (0,) * len(table.totals)
    policy = table.place("policy_index")
    changes: dict[int, tuple[int, ...]] = {}
    for lines, operation in ((added, add), (removed, sub)):
        for line in lines:
            change = changes.get(line[policy], zero)
            if not line[0]:
                change = tuple(map(operation, change, table.weight(line)))
            changes[line[policy]] = change
    columns = ", ".join(table.totals)
    places = ", ".join("?" * len(table.totals))
    sums = ", ".join(f"{column} = {column} + excluded.{column}" for column in table.totals)
    for policy_index, change in changes.items():
        connection.execute(
            f"INSERT INTO policy_stat (policy_index, last_row, {columns}) VALUES (?, ?, {places})"
            f" ON CONFLICT (policy_index) DO UPDATE SET last_row = excluded.last_row, {sums}",
            (policy_index, last, *change),
        )


def last_row(connection: Connection) -> int:
    """The greatest row number ever given; it outlives the row.

    It is kept in policy_stat, as that is written with every change anyway: one page less to log.
    """
    (number,) = connection.execute("SELECT max(last_row) FROM policy_stat").fetchone()
    return number or 0


class LiveRows:
    """The live rows of one policy, in order of their names, for `listing.collect`."""

    def __init__(self, connection: Connection, table: RowTable, policy_index: int) -> None:
        self._connection = connection
        self._table = table
        self._policy_index = policy_index

    def fetch(self, span: Span, reverse: bool, most: int) -> list[list[object]]:
        """The `listed` columns of rows in a span of names."""
        table = self._table
        scope, deleted = table.in_scope(), "deleted = 0 AND "
        upper, values = ("", ()) if span.upper is None else (" AND name < ?", (span.upper,))
        order = " DESC" if reverse else ""
        (text,) = self._connection.execute(
            f"SELECT json_group_array(json_array({table.listed})) FROM (SELECT * FROM {table.name}"
            f" WHERE {scope}{deleted}name >= ?{upper} ORDER BY name{order} LIMIT ?)",
            (*table.scope_values(self._policy_index), span.lower, *values, most),
        ).fetchone()
        rows: list[list[object]] = json.loads(text)
        return rows

    def skim(self, span: Span, grouping: Grouping, most: int) -> list[list[object]]:
        """As `fetch`, but of each group of names only the first: one search in the index for each row returned.

        SQLite takes a name for ended at its first NUL; a group that it overlooks so is read row by row.
        """
        table = self._table
        live = f"{table.in_scope()}deleted = 0"
        scope = table.scope_values(self._policy_index)
        start, delimiter, successor = grouping
        upper, bound = ("", ()) if span.upper is None else (" AND name < ?", (span.upper,))
        found = "instr(substr(item.name, ?), ?)"
        behind = f"iif({found}, substr(item.name, 1, ? + {found}) || ?, item.name || char(0))"
        found_values = (start + 1, delimiter)
        # What stands before the last character of the delimiter, and that character's successor.
        behind_values = (*found_values, start + len(delimiter) - 2, *found_values, successor[-1])
        least = f"(SELECT name FROM {table.name} WHERE {live} AND name >= %s{upper} ORDER BY name LIMIT 1)"
        (text,) = self._connection.execute(
            f"WITH RECURSIVE item (name) AS (SELECT {least % '?'} UNION ALL"
            f" SELECT {least % behind} FROM item WHERE item.name IS NOT NULL LIMIT ?)"
            f" SELECT json_group_array(json_array({table.listed})) FROM (SELECT {table.name}.* FROM item"
            f" CROSS JOIN {table.name} ON {live} AND {table.name}.name = item.name)",
            (*scope, span.lower, *bound, *scope, *behind_values, *bound, most, *scope),
        ).fetchone()
        rows: list[list[object]] = json.loads(text)
        return rows


def rows_since(connection: Connection, table: RowTable, number: int, limit: int) -> list[NumberedRow]:
    """Rows and tombstones with greater numbers than this one, in order of their numbers."""
    (text,) = connection.execute(
        f"SELECT json_group_array(json_array(row, {', '.join(table.columns)}, deleted)) FROM"
        f" (SELECT * FROM {table.name} WHERE row > ? ORDER BY row LIMIT ?)",
        (number, limit),
    ).fetchone()
    return [NumberedRow(values[0], table.decode([values[-1], *values[1:-1]])) for values in json.loads(text)]


class RowPage(NamedTuple):
    """Rows in order of their numbers, as JSON: an array of arrays, each what `RowTable.decode` takes.

    last: number of the last one; that from which the page began if there are none.
    """

    text: str
    rows: int
    last: int


def page_since(connection: Connection, table: RowTable, number: int, limit: int) -> RowPage:
    """As `rows_since`, to be sent as they are."""
    text, count, last = connection.execute(
        f"SELECT json_group_array(json_array(deleted, {', '.join(table.columns)})), count(*), max(row) FROM"
        f" (SELECT * FROM {table.name} WHERE row > ? ORDER BY row LIMIT ?)",
        (number, limit),
    ).fetchone()
    return RowPage(text, count, number if last is None else last)


def every_total(connection: Connection, table: RowTable) -> list[tuple[int, ...]]:
    """Policy indexes, in order, each with its totals."""
    return connection.execute(f"SELECT policy_index, {', '.join(table.totals)} FROM policy_stat ORDER BY 1").fetchall()


def totals_of(connection: Connection, table: RowTable) -> list[tuple[int, ...]]:
    """The same without policies whose totals are zero."""
    return [total for total in every_total(connection, table) if any(total[1:])]


def reclaim(
    connection: Connection, table: RowTable, scope: int, start: str, before: Timestamp, last: int | None
) -> tuple[int, str]:
    """Remove, of the next tombstones by name, those last changed before a time and numbered up to `last`.

    One page of them, so that the transaction is short. Returns how many went, and the name to
    go on from, empty at the end.
    """
    page = connection.execute(
        f"SELECT name, row, {table.changed} < ? AND NOT ({table.lasting}) FROM {table.name}"
        f" WHERE {table.in_scope()}deleted = 1 AND name >= ? ORDER BY name LIMIT {_RECLAIM_PAGE}",
        (before.internal, *table.scope_values(scope), start),
    ).fetchall()
    old = [row for _, row, is_old in page if is_old and (last is None or row <= last)]
    connection.execute(f"DELETE FROM {table.name} WHERE row IN (SELECT value FROM json_each(?))", (json.dumps(old),))
    return len(old), page[-1][0] + "\x00" if len(page) == _RECLAIM_PAGE else ""


def policies(connection: Connection) -> list[int]:
    return [index for (index,) in connection.execute("SELECT policy_index FROM policy_stat ORDER BY 1")]


def audit(connection: Connection, table: RowTable) -> None:
    """Raises Corrupt if SQLite finds damage, totals are not those of the rows, or numbers of rows are wrong.

    Raises OSError for what cannot be read.
    """
    connection.execute("PRAGMA shrink_memory")  # what the connection remembers of pages says nothing of the disk
    (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    damage = damage_of(verdict)
    if damage:
        raise Corrupt(damage)
    connection.execute("BEGIN")  # what is compared is of one instant
    try:
        _audit_numbers(connection, table)
    finally:
        connection.execute("ROLLBACK")


def _audit_numbers(connection: Connection, table: RowTable) -> None:
    sums = ", ".join(f"sum({added})" for added in table.totals.values())
    counted = connection.execute(
        f"SELECT policy_index, {sums} FROM {table.name} WHERE deleted = 0 GROUP BY policy_index ORDER BY 1"
    ).fetchall()
    differing = set(counted) ^ set(totals_of(connection, table))
    if differing:
        raise Corrupt(f"totals of policy {min(differing)[0]} do not match its rows")
    (greatest,) = connection.execute(f"SELECT max(row) FROM {table.name}").fetchone()
    if (greatest or 0) > last_row(connection):  # the next change would take the place of another row
        raise Corrupt(f"row {greatest} is newer than the newest, {last_row(connection)}")
