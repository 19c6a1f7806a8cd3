"""Listing versions: the rows of the container and those of its entries, merged key by key.

A key's row in the container is that of its pointer, and was made at the timestamp of the version
that is current: where the newest entry has the same, they belong together, and nothing else need be asked. Only
where that is not so (the current version was deleted by id, a write is under way) the pointer itself is
read. A key without entries has a plain object.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any, NamedTuple

from objstore.core.errors import NotFound
from objstore.core.names import Name
from objstore.layers import listings
from objstore.layers.interface import Group, Page, Version, VersionsPage
from objstore.layers.versions import names
from objstore.layers.versions.keys import Key, Seen
from objstore.layers.versions.names import NULL, Ref

Row = Mapping[str, Any]
_GREATEST = "\U0010ffff"
_END = _GREATEST * 1100  # longer than any key


class _Held(NamedTuple):
    """An entry. receipt: has it one?"""

    ref: Ref
    row: Row
    receipt: bool


def versions(container: Key, page: VersionsPage, kept: bool) -> Iterator[Version | Group]:
    """See `VersionedLayer.list_versions`. container: its name is that of the container.

    kept: did the container ever keep versions, so that there may be entries?
    """
    history = _History(container, page)
    if page.version_marker and kept:
        yield from history.rest()
    keys = _Stream(history.keys())
    entries = _Stream(history.entries() if kept else iter(()))
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
            yield Version(key, NULL, True, False, row)
            continue
        first = entries.take()
        if row is not None and entries.key != key and _stamp(row) == _stamp(first):
            # Most are so: one version, which is current.
            yield Version(key, names.id_of_tail(first["name"][len(key) + 1 :]), True, False, first)
            continue
        yield from history.of_key(key, row, _Lookahead(_held(chain((first,), _taken(entries, key)))))


class _History:
    """The versions of a container. container: a key of it, of which only the container counts."""

    def __init__(self, container: Key, page: VersionsPage) -> None:
        self._container = container
        self._asked = page

    def keys(self) -> Iterator[Row]:
        """The rows of keys. Raises NotFound."""
        return self._rows(self._container.name, self._asked.key_marker)

    def entries(self) -> Iterator[Row]:
        """The rows of entries; none if the hidden container is not there."""
        asked = self._asked
        container = self._container.container
        marker = asked.key_marker
        group = _group(marker, asked)
        if marker and group != marker:
            marker += names.SEPARATOR + names.BEHIND
        try:
            if asked.delimiter and names.ALPHABET.issuperset(asked.delimiter):  # it may stand in what follows the keys
                yield from self._regrouped(container, marker)
            else:
                yield from self._rows(container, marker)
        except NotFound:
            return

    def _rows(self, container: Name, marker: str) -> Iterator[Row]:
        asked = self._asked
        return self._read(container, Page(asked.prefix, asked.delimiter, marker))

    def _read(self, container: Name, page: Page) -> Iterator[Row]:
        page = page._replace(limit=self._asked.limit, data_times=True)
        return listings.rows(self._container.layer, self._container.context, container, page)

    def _regrouped(self, container: Name, marker: str) -> Iterator[Row]:
        asked = self._asked
        known = asked.key_marker
        while True:
            for row in self._read(container, Page(asked.prefix, marker=marker)):
                group = _group(row["name"].rpartition(names.SEPARATOR)[0], asked)
                if group:
                    if group != known:
                        yield {"subdir": group}
                    marker = group + _GREATEST
                    break
                yield row
            else:
                return

    def of_key(self, key: str, row: Row | None, entries: _Lookahead) -> Iterator[Version]:
        """The versions of a key with entries. row: that of the key itself."""
        first = entries.first
        if first is None:
            if row is not None:
                yield Version(key, NULL, True, False, row)
            return
        if _stamp(row) == _stamp(first.row) if row is not None else _surely_deleted(first.ref, entries.second):
            yield from _older(key, first.ref, entries, _First(), True)
            return
        seen = self._key(key).look()
        if seen is None:
            return
        if seen.ref is not None:
            yield from _older(key, seen.ref, entries, _First(), True)
            return
        if row is not None:
            yield Version(key, NULL, True, False, row)
        yield from _older(key, seen.plain_ref, entries, lambda _: False)

    def rest(self) -> Iterator[Version]:
        """The versions of the marker's key behind the marker."""
        asked = self._asked
        key = self._key(asked.key_marker)
        seen = key.look()
        if seen is None or not key.text.startswith(asked.prefix):
            return
        null = functools.cache(lambda: None if seen.ref is None else _null_of(key, seen))
        start = names.parse_id(asked.version_marker) if asked.version_marker != NULL else null()
        marker = names.receipt(key.text, start) if start is not None else ""
        rows = self._read(key.container, Page(key.text + names.SEPARATOR, marker=marker))
        current = seen.plain_ref if seen.ref is None else seen.ref
        try:
            yield from _older(key.text, current, _held(rows), lambda ref: ref == null(), seen.ref is not None)
        except NotFound:
            return

    def _key(self, key: str) -> Key:
        container = self._container
        return container._replace(name=container.name._replace(object=key))


def _older(
    key: str, current: Ref, entries: Iterator[_Held], null_counts: Callable[[Ref], bool], itself: bool = False
) -> Iterator[Version]:
    """The entries that count, from the current one (where it is to be told `itself`) on.

    null_counts: asked of null versions in turn.
    """
    for held in entries:
        ref = held.ref
        latest = ref == current
        if latest and not itself:
            continue
        if ref.stamp > current.stamp or (ref.conditional and not held.receipt and not latest):
            continue
        if ref.null and not null_counts(ref):
            continue
        yield Version(key, ref.version_id, latest, ref.marker, held.row)


class _First:
    """Says yes once: of the null versions of a key only the newest counts."""

    def __init__(self) -> None:
        self._seen = False

    def __call__(self, ref: Ref) -> bool:
        seen, self._seen = self._seen, True
        return not seen


def _null_of(key: Key, seen: Seen) -> Ref | None:
    """The entry that is the null version of a key whose pointer is seen."""
    return next((ref for ref in key.nulls() if ref == seen.ref or seen.replaces(ref)), None)


def _held(rows: Iterator[Row]) -> Iterator[_Held]:
    """Entries from the rows of one key, with their receipts."""
    last: tuple[Ref, Row] | None = None
    for row in rows:
        found = names.parse_entry(row["name"])
        if found.receipt:
            if last is not None and last[0] == found.ref:
                yield _Held(*last, True)
                last = None
            continue
        if last is not None:
            yield _Held(*last, False)
            last = None
        if found.ref.conditional:
            last = (found.ref, row)
        else:
            yield _Held(found.ref, row, False)
    if last is not None:
        yield _Held(*last, False)


class _Stream:
    """Rows with the next one in sight. key: of that one, or the group it stands for; greater than any at the end."""

    __slots__ = ("_rows", "head", "is_group", "key")

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows
        self.head: Row | None = None
        self._next()

    def _next(self) -> None:
        head = self.head = next(self._rows, None)
        self.is_group = False
        if head is None:
            self.key = _END
        elif "name" in head:
            self.key = head["name"].partition(names.SEPARATOR)[0]
        else:
            self.key = head["subdir"]
            self.is_group = True

    def take(self) -> Row:
        taken = self.head
        assert taken is not None
        self._next()
        return taken


def _taken(stream: _Stream, key: str) -> Iterator[Row]:
    while stream.key == key and not stream.is_group:
        yield stream.take()


class _Lookahead:
    """Entries with the next two in sight."""

    def __init__(self, entries: Iterator[_Held]) -> None:
        self._entries = entries
        self.first = next(entries, None)
        self.second = next(entries, None)

    def __iter__(self) -> Iterator[_Held]:
        return self

    def __next__(self) -> _Held:
        taken = self.first
        if taken is None:
            raise StopIteration
        self.first, self.second = self.second, next(self._entries, None)
        return taken


def _surely_deleted(first: Ref, second: _Held | None) -> bool:
    """Is the newest entry of a key without a row its current version?

    If it did not count, the pointer would be that of the second: with a row, were that data.
    """
    plain = not first.conditional and second is not None and not second.ref.conditional
    return plain and first.marker and second is not None and not second.ref.marker


def _stamp(row: Row) -> tuple[str, int]:
    """A row's timestamp, to the offset."""
    return row["last_modified"], row.get("offset", 0)


def _group(key: str, asked: VersionsPage) -> str:
    """What a key is rolled up into, '' for nothing."""
    if not asked.delimiter or not key.startswith(asked.prefix):
        return ""
    end = key.find(asked.delimiter, len(asked.prefix))
    return key[: end + len(asked.delimiter)] if end >= 0 else ""
