"""Listing versions: the rows of the bucket and those of its entries, merged key by key.

A key's row in the bucket is that of its pointer, and was made at the timestamp of the version
that is current: where the newest entry has the same, they belong together, and nothing else need be asked. Only
where that is not so (the current version was deleted by id, a write is under way) the pointer itself is
read. A key without entries has a plain object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any, NamedTuple

from objstore.core.names import Name
from objstore.s3.errors import S3Error
from objstore.s3.native import Native
from objstore.s3.stored import NULL
from objstore.s3.versions import names
from objstore.s3.versions.keys import Key, Seen
from objstore.s3.versions.names import Ref
from objstore.web.requests import Environ

Row = Mapping[str, Any]
_GREATEST = "\U0010ffff"
_END = _GREATEST * 1100  # longer than any key


class Asked(NamedTuple):
    """What to list, '' for what is not given. key_marker: keys up to and with it are passed over, or, with a
    version_marker, its versions up to and with that id. page: rows of one native listing."""

    prefix: str = ""
    delimiter: str = ""
    key_marker: str = ""
    version_marker: str = ""
    page: int = 1000


class Version(NamedTuple):
    """row: as of a native listing, with `hash`, `bytes`, `last_modified`."""

    key: str
    version_id: str
    latest: bool
    marker: bool
    row: Row


class Group(NamedTuple):
    """Keys rolled up by the delimiter."""

    key: str


class _Held(NamedTuple):
    """An entry. receipt: has it one?"""

    ref: Ref
    row: Row
    receipt: bool


class History:
    """The versions of a bucket. kept: did it ever keep any, so that there may be entries?"""

    def __init__(self, native: Native, environ: Environ, bucket: Name, kept: bool = True) -> None:
        self._native = native
        self._environ = environ
        self._bucket = bucket
        self._kept = kept

    def list(self, asked: Asked) -> Iterator[Version | Group]:
        """Keys ascending by their UTF-8 bytes, versions of a key newest first. Raises S3Error NoSuchBucket."""
        if asked.version_marker and self._kept:
            yield from self._rest(asked)
        keys = _Stream(self._keys(asked))
        entries = _Stream(self._entries(asked) if self._kept else iter(()))
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
            yield from self._of_key(key, row, _Lookahead(_held(chain((first,), _taken(entries, key)))))

    def _keys(self, asked: Asked) -> Iterator[Row]:
        query = _query(asked.prefix, asked.delimiter, asked.key_marker)
        return self._native.pages(self._environ, self._bucket, query, asked.page)

    def _entries(self, asked: Asked) -> Iterator[Row]:
        container = Key(self._native, self._environ, self._bucket).container
        marker = asked.key_marker
        group = _group(marker, asked)
        if marker and group != marker:
            marker += names.SEPARATOR + names.BEHIND
        try:
            if asked.delimiter and names.ALPHABET.issuperset(asked.delimiter):  # it may stand in what follows the keys
                yield from self._regrouped(container, asked, marker)
            else:
                query = _query(asked.prefix, asked.delimiter, marker)
                yield from self._native.pages(self._environ, container, query, asked.page)
        except S3Error as missing:
            if missing.code != "NoSuchBucket":
                raise

    def _regrouped(self, container: Name, asked: Asked, marker: str) -> Iterator[Row]:
        known = asked.key_marker
        while True:
            for row in self._native.pages(self._environ, container, _query(asked.prefix, "", marker), asked.page):
                group = _group(row["name"].rpartition(names.SEPARATOR)[0], asked)
                if group:
                    if group != known:
                        yield {"subdir": group}
                    marker = group + _GREATEST
                    break
                yield row
            else:
                return

    def _of_key(self, key: str, row: Row | None, entries: _Lookahead) -> Iterator[Version]:
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

    def _rest(self, asked: Asked) -> Iterator[Version]:
        """The versions of the marker's key behind the marker."""
        key = self._key(asked.key_marker)
        seen = key.look()
        if seen is None or not key.text.startswith(asked.prefix):
            return
        start: Ref | None
        if asked.version_marker != NULL:
            start = names.parse_id(asked.version_marker)
        elif seen.ref is None:
            start = None
        else:
            start = _null_of(key, seen)
        marker = names.receipt(key.text, start) if start is not None else ""
        rows = self._native.pages(
            self._environ, key.container, _query(key.text + names.SEPARATOR, "", marker), asked.page
        )
        if seen.ref is None:
            counts: Callable[[Ref], bool] = lambda _: False  # noqa: E731
        else:
            counts = lambda ref: ref == _null_of(key, seen)  # noqa: E731
        current = seen.plain_ref if seen.ref is None else seen.ref
        try:
            yield from _older(key.text, current, _held(rows), counts, seen.ref is not None)
        except S3Error as missing:
            if missing.code != "NoSuchBucket":
                raise

    def _key(self, key: str) -> Key:
        return Key(self._native, self._environ, self._bucket._replace(object=key))


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


def any_left(native: Native, environ: Environ, bucket: Name) -> bool:
    """Is there any version or delete marker in a bucket? What does not count is not asked for."""
    try:
        return next(History(native, environ, bucket).list(Asked(page=10)), None) is not None
    except S3Error as missing:
        if missing.code != "NoSuchBucket":
            raise
        return False


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


def _group(key: str, asked: Asked) -> str:
    """What a key is rolled up into, '' for nothing."""
    if not asked.delimiter or not key.startswith(asked.prefix):
        return ""
    end = key.find(asked.delimiter, len(asked.prefix))
    return key[: end + len(asked.delimiter)] if end >= 0 else ""


def _query(prefix: str, delimiter: str, marker: str) -> dict[str, str]:
    given = {"prefix": prefix, "delimiter": delimiter, "marker": marker}
    return {name: value for name, value in given.items() if value}
