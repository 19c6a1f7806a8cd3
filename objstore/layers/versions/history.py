"""Listing versions: the rows of the container and those of its entries, merged key by key.

A key's row in the container is that of its pointer, and was made at the timestamp of the current
version: if the newest entry has the same, they belong together, and nothing else must be read. Only
if it has not (the key is deleted, the current version was deleted by id, a write is under way) the pointer itself is
read. A key without entries has a plain object.

In reverse, the rows of a key are collected first: which of its versions count shows only from the newest on.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from itertools import chain, takewhile
from typing import Any, NamedTuple

from objstore.core.errors import NotFound
from objstore.core.names import Name
from objstore.core.timestamps import Timestamp
from objstore.layers import listings
from objstore.layers.interface import Group, Page, Version, VersionsPage
from objstore.layers.versions import names
from objstore.layers.versions.keys import Key, Seen, id_of_row
from objstore.layers.versions.names import NULL, Ref

Row = Mapping[str, Any]
_GREATEST = "\U0010ffff"
_END = _GREATEST * 1100  # longer than any key
_MAX_COLLECTED = 10_000  # rows of a key in memory


class _EntryRow(NamedTuple):
    """An entry in a listing. receipt: it has one."""

    ref: Ref
    row: Row
    receipt: bool


def versions(container: Key, page: VersionsPage, versioned: bool) -> Iterator[Version | Group]:
    """See `VersionedLayer.list_versions`. container: its name is that of the container.

    versioned: the container keeps or kept versions, so that there may be entries.
    """
    history = _History(container, page)
    if page.reverse:
        yield from _backwards(history, page, versioned)
        return
    if page.end_marker and page.key_marker >= page.end_marker:
        return
    if page.version_marker and versioned:
        yield from history.rest()
    keys = _Stream(history.keys())
    entries = _Stream(history.entries() if versioned else iter(()))
    while keys.head is not None or entries.head is not None:
        key = min(keys.key, entries.key)
        if (keys.is_group and keys.key == key) or (entries.is_group and entries.key == key):
            for stream in (keys, entries):
                while stream.key == key and stream.head is not None:
                    stream.take()
            yield Group(key)
            continue
        row = keys.take() if keys.key == key else None
        if entries.key != key:
            assert row is not None
            yield Version(key, id_of_row(row), True, False, row)
            continue
        first = entries.take()
        if row is not None and entries.key != key and _stamp(row) == _stamp(first):
            # The usual case: one version, which is current.
            yield Version(key, names.id_of_tail(first["name"][len(key) + 1 :]), True, False, first)
            continue
        yield from history.of_key(key, row, _with_receipts(chain((first,), _rows_of(entries, key))))


def _backwards(history: _History, page: VersionsPage, versioned: bool) -> Iterator[Version | Group]:
    """Yield keys descending, of each the oldest version first."""
    if page.version_marker and versioned:
        yield from reversed(deque(history.newer(), page.limit))
    marker = page.key_marker
    while True:
        keys = _Stream(history.keys_before(marker), "")
        entries = _Stream(history.entries_before(marker) if versioned else iter(()), "")
        while keys.head is not None or entries.head is not None:
            key = max(keys.key, entries.key)
            group = _group(key, page)
            if group:
                if group != page.end_marker:
                    yield Group(group)
                marker = group
                break
            row = keys.take() if keys.key == key else None
            rows: deque[Row] = deque()
            for one in _rows_of(entries, key):
                rows.appendleft(one)
                if len(rows) == _MAX_COLLECTED:
                    break
            if entries.key == key:
                yield from reversed(deque(history.of_key(key, row, history.entries_of(key)), page.limit))
                entries = _Stream(history.entries_before(key + names.SEPARATOR), "")
            else:
                yield from reversed(list(history.of_key(key, row, _with_receipts(iter(rows)))))
        else:
            return


class _History:
    """The versions of a container. container: any key in it; only its container is used."""

    def __init__(self, container: Key, page: VersionsPage) -> None:
        self._container = container
        self._page = page

    def keys(self) -> Iterator[Row]:
        """Yield the rows of keys. Raises NotFound."""
        return self._rows(self._container.name, self._page.key_marker)

    def entries(self) -> Iterator[Row]:
        """Yield the rows of entries; none if the hidden container does not exist."""
        page = self._page
        container = self._container.container
        marker = page.key_marker
        group = _group(marker, page)
        if marker and group != marker:
            marker += names.SEPARATOR + names.BEHIND
        try:
            if page.delimiter and names.ALPHABET.issuperset(page.delimiter):  # it may occur in the tails behind keys
                yield from self._regrouped(container, marker)
            else:
                yield from self._rows(container, marker)
        except NotFound:
            return

    def keys_before(self, marker: str) -> Iterator[Row]:
        """Yield the rows of keys less than `marker`, the greatest first. Raises NotFound."""
        page = self._page
        return self._read(self._container.name, Page(page.prefix, "", marker, page.end_marker, reverse=True))

    def entries_before(self, marker: str) -> Iterator[Row]:
        """Yield the rows of the entries of keys less than `marker`, the greatest first."""
        page = self._page
        end = page.end_marker and page.end_marker + names.SEPARATOR + names.BEHIND
        try:
            yield from self._read(self._container.container, Page(page.prefix, "", marker, end, reverse=True))
        except NotFound:
            return

    def entries_of(self, key: str) -> Iterator[_EntryRow]:
        """Yield the entries of a key."""
        try:
            yield from _with_receipts(self._read(self._container.container, Page(key + names.SEPARATOR)))
        except NotFound:
            return

    def _rows(self, container: Name, marker: str) -> Iterator[Row]:
        page = self._page
        return self._read(container, Page(page.prefix, page.delimiter, marker, page.end_marker))

    def _read(self, container: Name, page: Page) -> Iterator[Row]:
        page = page._replace(limit=self._page.limit, data_times=True)
        return listings.rows(self._container.layer, self._container.context, container, page)

    def _regrouped(self, container: Name, marker: str) -> Iterator[Row]:
        page = self._page
        while True:
            for row in self._read(container, Page(page.prefix, marker=marker, end_marker=page.end_marker)):
                group = _group(row["name"].rpartition(names.SEPARATOR)[0], page)
                if group:
                    if group != page.key_marker:
                        yield {"subdir": group}
                    marker = group + _GREATEST
                    break
                yield row
            else:
                return

    def of_key(self, key: str, row: Row | None, entries: Iterator[_EntryRow]) -> Iterator[Version]:
        """Yield the versions of a key with entries. row: that of the key itself."""
        first = next(entries, None)
        if first is None:
            if row is not None:
                yield Version(key, id_of_row(row), True, False, row)
            return
        entries = chain((first,), entries)
        if row is not None and _stamp(row) == _stamp(first.row):
            yield from _older(key, first.ref, first.ref.stamp, entries, _First(), True)
            return
        seen = self._key(key).look()
        if seen is None:
            return
        if seen.ref is not None:
            yield from _older(key, seen.ref, seen.horizon, entries, _First(), True)
            return
        if row is not None:
            yield Version(key, seen.current.version_id, True, False, row)
        null_counts: Callable[[Ref], bool] = (lambda _: False) if seen.null else _First()
        yield from _older(key, seen.current, seen.horizon, entries, null_counts)

    def rest(self) -> Iterator[Version]:
        """Yield the versions of the marker's key behind the marker."""
        page = self._page
        key = self._key(page.key_marker)
        seen = key.look()
        if seen is None or not key.text.startswith(page.prefix):
            return
        null = functools.cache(lambda: None if _is_plain(seen) else _null_of(key, seen))
        start = self._marked(null)
        marker = names.receipt(key.text, start) if start is not None else ""
        rows = self._read(key.container, Page(key.text + names.SEPARATOR, marker=marker))
        counts, itself = (lambda ref: ref == null()), seen.ref is not None
        try:
            yield from _older(key.text, seen.current, seen.horizon, _with_receipts(rows), counts, itself)
        except NotFound:
            return

    def newer(self) -> Iterator[Version]:
        """Yield the versions of the marker's key that are newer than the marker, the newest first."""
        page = self._page
        key = self._key(page.key_marker)
        seen = key.look()
        if seen is None or not key.text.startswith(page.prefix):
            return
        start = self._marked(lambda: None if _is_plain(seen) else _null_of(key, seen))
        if start is None or (seen.ref is None and start == seen.current):  # it lies under the key: the current version
            return
        row = None
        if seen.ref is None:
            row = next(self._read(self._container.name, Page(key.text)), None)
            if row is not None and row["name"] != key.text:
                row = None
        entries = takewhile(lambda one: one.ref.stamp > start.stamp, self.entries_of(key.text))
        yield from self.of_key(key.text, row, entries)

    def _marked(self, null: Callable[[], Ref | None]) -> Ref | None:
        """Return the version of the version marker. null: returns the null version of its key."""
        marker = self._page.version_marker
        return null() if marker == NULL else names.parse_id(marker)

    def _key(self, key: str) -> Key:
        container = self._container
        return container._replace(name=container.name._replace(object=key))


def _older(
    key: str,
    current: Ref,
    horizon: Timestamp,
    entries: Iterator[_EntryRow],
    null_counts: Callable[[Ref], bool],
    itself: bool = False,
) -> Iterator[Version]:
    """Yield the entries that count up to the horizon, with the current one if `itself`.

    null_counts: returns whether a null version counts; called in order.
    """
    for entry in entries:
        ref = entry.ref
        latest = ref == current
        if latest and not itself:
            continue
        if ref.stamp > horizon or (ref.conditional and not entry.receipt and not latest):
            continue
        if ref.null and not null_counts(ref):
            continue
        yield Version(key, ref.version_id, latest, ref.marker, entry.row)


class _First:
    """A function that returns True once: of the null versions of a key only the newest counts."""

    def __init__(self) -> None:
        self._seen = False

    def __call__(self, ref: Ref) -> bool:
        seen, self._seen = self._seen, True
        return not seen


def _is_plain(seen: Seen) -> bool:
    """Return whether the null version is the object under the key itself."""
    return seen.ref is None and seen.null


def _null_of(key: Key, seen: Seen) -> Ref | None:
    """Return the entry that is the null version of a key. seen: its pointer."""
    return next((ref for ref in key.nulls() if ref == seen.ref or seen.replaces(ref)), None)


def _with_receipts(rows: Iterator[Row]) -> Iterator[_EntryRow]:
    """Yield entries from the rows of one key, with their receipts."""
    last: tuple[Ref, Row] | None = None
    for row in rows:
        entry = names.parse_entry(row["name"])
        if entry.receipt:
            if last is not None and last[0] == entry.ref:
                yield _EntryRow(*last, True)
                last = None
            continue
        if last is not None:
            yield _EntryRow(*last, False)
            last = None
        if entry.ref.conditional:
            last = (entry.ref, row)
        else:
            yield _EntryRow(entry.ref, row, False)
    if last is not None:
        yield _EntryRow(*last, False)


class _Stream:
    """Rows with a look-ahead of one. key: of the next row, or its group; `end` behind the last."""

    __slots__ = ("_end", "_rows", "head", "is_group", "key")

    def __init__(self, rows: Iterator[Row], end: str = _END) -> None:
        self._rows = rows
        self._end = end
        self.head: Row | None = None
        self._next()

    def _next(self) -> None:
        head = self.head = next(self._rows, None)
        self.is_group = False
        if head is None:
            self.key = self._end
        elif "name" in head:
            self.key = head["name"].partition(names.SEPARATOR)[0]
        else:
            self.key = head["subdir"]
            self.is_group = True

    def take(self) -> Row:
        row = self.head
        assert row is not None
        self._next()
        return row


def _rows_of(stream: _Stream, key: str) -> Iterator[Row]:
    while stream.key == key and not stream.is_group:
        yield stream.take()


def _stamp(row: Row) -> tuple[str, int]:
    """Return a row's timestamp, with the offset."""
    return row["last_modified"], row.get("offset", 0)


def _group(key: str, page: VersionsPage) -> str:
    """Return the group into which a key is rolled up, '' if none."""
    if not page.delimiter or not key.startswith(page.prefix):
        return ""
    end = key.find(page.delimiter, len(page.prefix))
    return key[: end + len(page.delimiter)] if end >= 0 else ""
