"""Listings: which rows and pseudo-directories of a sorted set of names answer a query.

The answer is made from a cursor-like function that reads some rows of a span of names, in
order. Where rows are rolled up into a pseudo-directory, the next read starts behind all of
them, so that the cost is that of what is returned.

Rules are those of Swift's object store API for listings: `marker` and `end_marker` are
exclusive and change sides under `reverse`; a prefix's names are grouped at the first
delimiter behind the prefix; a group named exactly like the marker is not returned again; a
group some of whose names lie behind the marker is. `path` lists one level of pseudo-directory,
objects only. Order is that of UTF-8 bytes, which is also that of code points.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from objstore.core.names import RESERVED

MAX_ROWS = 1024  # read at once, so that a page of 1,000 is one step without Python's lock
_FEW_ROWS = 8


class ListingQuery(NamedTuple):
    """The query of a listing; empty text means not given.

    delimiter: of any length. path: if given, replaces prefix and delimiter. policy_index: None for the container's own.
    inclusive: include a name equal to the marker. reserved: include reserved names. limit: of items returned.
    data_times: date rows by their data instead of their last change.
    """

    prefix: str = ""
    delimiter: str = ""
    marker: str = ""
    end_marker: str = ""
    limit: int = 10_000
    reverse: bool = False
    path: str | None = None
    policy_index: int | None = None
    inclusive: bool = False
    reserved: bool = False
    data_times: bool = False


class Subdir(NamedTuple):
    """A pseudo-directory: the names that begin so. name: up to and with the delimiter."""

    name: str


class ListingPage(NamedTuple):
    """info: of the account or container at the same instant. more: would go on behind the last item."""

    info: Any
    items: list[Any]
    more: bool


class Span(NamedTuple):
    """Names from `lower` up to, not including, `upper`; None is without end."""

    lower: str
    upper: str | None

    @property
    def empty(self) -> bool:
        return self.upper is not None and self.lower >= self.upper


class Grouping(NamedTuple):
    """The roll-up of names: up to and including the first `delimiter` at or after character `start`.

    successor: the least text of the delimiter's length that is greater than it, so that the
    names of a group end before the group with this in the delimiter's place.
    """

    start: int
    delimiter: str
    successor: str


# Rows of a span: (span, reverse, most rows) to rows whose first item is their name.
Fetch = Callable[[Span, bool, int], Sequence[Any]]
# The first row of each group in a span, and rows in no group: (span, grouping, most rows). It may return
# more rows of a group.
Skim = Callable[[Span, Grouping, int], Sequence[Any]]


def after(name: str) -> str:
    """The least name greater than this one."""
    return name + "\x00"


def beyond(prefix: str) -> str | None:
    """Return the least name greater than all that begin with the prefix; None if there is none."""
    for index in range(len(prefix) - 1, -1, -1):
        code = ord(prefix[index]) + 1
        if code == 0xD800:  # surrogates are no characters
            code = 0xE000
        if code <= 0x10FFFF:
            return prefix[:index] + chr(code)
    return None


def span_of(query: ListingQuery) -> Span:
    """The names that may answer a query."""
    prefix = prefix_of(query)
    low, high = (query.end_marker, query.marker) if query.reverse else (query.marker, query.end_marker)
    lowest = [prefix, "" if query.reserved else chr(ord(RESERVED) + 1)]
    if low:
        lowest.append(low if query.inclusive and not query.reverse else after(low))
    highest = [bound for bound in (beyond(prefix),) if bound is not None]
    if high:
        highest.append(after(high) if query.inclusive and query.reverse else high)
    return Span(max(lowest), min(highest) if highest else None)


def prefix_of(query: ListingQuery) -> str:
    if query.path is None:
        return query.prefix
    return query.path.rstrip("/") + "/" if query.path else ""


def collect(
    query: ListingQuery, fetch: Fetch, skim: Skim | None = None, show: Callable[[Any], object] | None = None
) -> tuple[list[object], bool]:
    """Items and Subdirs that answer a query, and whether more would follow.

    skim: if there is one, many groups in a row are read by it. show: makes an item of a row; None leaves it as it is.
    """
    wanted = max(0, query.limit) + 1
    if query.delimiter or query.path is not None:
        items = _grouped(query, fetch, skim, wanted)
    else:
        items = _plain(query, fetch, wanted)
    more = len(items) >= wanted
    del items[wanted - 1 :]
    if show is not None:
        items = [item if item.__class__ is Subdir else show(item) for item in items]
    return items, more


def _plain(query: ListingQuery, fetch: Fetch, wanted: int) -> list[object]:
    items: list[object] = []
    span = span_of(query)
    while not span.empty and len(items) < wanted:
        most = min(MAX_ROWS, wanted - len(items))
        rows = fetch(span, query.reverse, most)
        items.extend(rows)
        if len(rows) < most:
            break
        span = _behind(span, query.reverse, rows[-1][0])
    return items


class _Groups:
    """The groups that the names of a query are rolled up into."""

    def __init__(self, query: ListingQuery) -> None:
        self.path = query.path is not None
        self._start = len(prefix_of(query))
        self._delimiter = "/" if self.path else query.delimiter
        self._self = prefix_of(query) if self.path else ""
        # The bound at the lower end; Swift leaves a group of exactly that name out.
        self._marker_group = "" if query.inclusive else query.end_marker if query.reverse else query.marker

    def of(self, name: str) -> str | None:
        """The group that a name is rolled up into; None for one that stands for itself."""
        end = name.find(self._delimiter, self._start)
        if end < 0:
            return None
        end += len(self._delimiter)
        if self.path and len(name) == end:  # the object that marks a pseudo-directory
            return None
        return name[:end]

    def shows(self, group: str) -> bool:
        return not self.path and group != self._marker_group

    def hides(self, name: str) -> bool:
        """A path's own marker object is not in it."""
        return self.path and name == self._self


def _grouping(query: ListingQuery) -> Grouping | None:
    """Return the parameters of `Skim`; None if the query is not of its kind."""
    successor = beyond(query.delimiter)
    if query.reverse or query.path is not None or successor is None or len(successor) != len(query.delimiter):
        return None
    return Grouping(len(query.prefix), query.delimiter, successor)


def _grouped(query: ListingQuery, fetch: Fetch, skim: Skim | None, wanted: int) -> list[object]:
    groups = _Groups(query)
    grouping = _grouping(query) if skim is not None else None
    items: list[object] = []
    span = span_of(query)
    most = _FEW_ROWS
    group: str | None = None
    while not span.empty and len(items) < wanted:
        if grouping is not None and skim is not None and group is not None:
            most = min(MAX_ROWS, wanted - len(items))
            rows = skim(span, grouping, most)
        else:
            rows = fetch(span, query.reverse, most)
        group = _take(groups, rows, items, wanted)
        if len(rows) < most:
            break
        if group is None:
            span = _behind(span, query.reverse, rows[-1][0])
            most = min(MAX_ROWS, most * 4)
        else:
            span = _past(span, query.reverse, group, groups.path)
            most = max(_FEW_ROWS, most // 4)
    return items


def _take(groups: _Groups, rows: Sequence[Any], items: list[object], wanted: int) -> str | None:
    """Add what the rows say to the items; the group of the last row."""
    group: str | None = None
    for row in rows:
        if len(items) >= wanted:
            break
        name = row[0]
        last, group = group, groups.of(name)
        if group is None:
            if not groups.hides(name):
                items.append(row)
        elif group != last and groups.shows(group):
            items.append(Subdir(group))
    return group


def _behind(span: Span, reverse: bool, name: str) -> Span:
    return Span(span.lower, name) if reverse else Span(after(name), span.upper)


def _past(span: Span, reverse: bool, group: str, keep_own: bool) -> Span:
    """Return the rest of a span after a group; keep_own: an object named like the group is not part of it."""
    if reverse:
        return Span(span.lower, after(group) if keep_own else group)
    bound = beyond(group)
    return Span(span.lower, span.lower) if bound is None else Span(bound, span.upper)
