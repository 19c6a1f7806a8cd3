"""Listings against a model that looks at every name."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.core.names import Location, Name
from objstore.core.timestamps import Timestamp
from objstore.runtime.files import FILES
from objstore.store.databases import ContainerStore, DatabaseSettings, ObjectRow
from objstore.store.databases.listing import ListingQuery, Span, Subdir, beyond, collect


def model(names: Sequence[str], query: ListingQuery) -> list[Any]:
    """What Swift's documents say a listing is, by looking at all names."""
    prefix, delimiter = query.prefix, query.delimiter
    if query.path is not None:
        prefix, delimiter = (query.path.rstrip("/") + "/" if query.path else ""), "/"
    low, high = (query.end_marker, query.marker) if query.reverse else (query.marker, query.end_marker)
    items: list[Any] = []
    for name in sorted(set(names), key=str.encode, reverse=query.reverse):
        raw = name.encode()
        if not raw.startswith(prefix.encode()) or (raw.startswith(b"\x00") and not query.reserved):
            continue
        edge = query.inclusive and name == query.marker
        below = low and raw <= low.encode() and not (edge and not query.reverse)
        above = high and raw >= high.encode() and not (edge and query.reverse)
        if below or above:
            continue
        if query.path and name == prefix:
            continue
        head, found, tail = name[len(prefix) :].partition(delimiter) if delimiter else (name, "", "")
        group = prefix + head + found
        if query.path is not None:
            if not (found and tail):
                items.append([name])
        elif not found:
            items.append([name])
        elif Subdir(group) not in items and (query.inclusive or group != low):
            items.append(Subdir(group))
    return items


class Names:
    """A sorted set of names that counts what is read of it."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = sorted(set(names))
        self.read = 0

    def fetch(self, span: Span, reverse: bool, most: int) -> list[list[str]]:
        found = [name for name in self.names if name >= span.lower and (span.upper is None or name < span.upper)]
        rows = [[name] for name in (reversed(found) if reverse else found)][:most]
        self.read += len(rows)
        return rows


LETTERS = st.sampled_from(["a", "b", "/", "-", "\x00", "é", "\ud7ff", "\ue000", "\U0010ffff"])
WORDS = st.text(LETTERS, max_size=5)
QUERIES = st.builds(
    ListingQuery,
    prefix=WORDS,
    delimiter=st.sampled_from(["", "/", "-", "//", "/-", "é"]),
    marker=WORDS,
    end_marker=WORDS,
    limit=st.integers(0, 12),
    reverse=st.booleans(),
    path=st.none() | WORDS,
    policy_index=st.none(),
    inclusive=st.booleans(),
    reserved=st.booleans(),
)


@settings(max_examples=600, deadline=None)
@given(st.lists(WORDS.filter(bool), max_size=40), QUERIES)
def test_listing_is_that_of_the_model(names: list[str], query: ListingQuery) -> None:
    expected = model(names, query)
    items, more = collect(query, Names(names).fetch)
    assert items == expected[: query.limit]
    assert more == (len(expected) > query.limit)


@settings(max_examples=200, deadline=None)
@given(st.lists(WORDS.filter(bool), max_size=40), QUERIES, st.integers(1, 3))
def test_pages_by_marker_make_up_the_whole(names: list[str], query: ListingQuery, limit: int) -> None:
    query = query._replace(inclusive=False)
    if query.path is not None:
        query = query._replace(path=query.path.strip("/"))
    whole, _ = collect(query._replace(limit=1000), Names(names).fetch)
    paged: list[Any] = []
    marker, more = query.marker, True
    while more:
        items, more = collect(query._replace(marker=marker, limit=limit), Names(names).fetch)
        paged += items
        marker = items[-1][0] if items else ""
    assert paged == whole


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ContainerStore]:
    """One store for all examples: each makes a container of its own."""
    store = ContainerStore(str(tmp_path_factory.mktemp("device")), FILES, DatabaseSettings(synchronous="off"))
    yield store
    store.close()


NUMBERS = itertools.count()


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(WORDS.filter(bool), st.booleans()), max_size=40),
    st.lists(QUERIES, min_size=15, max_size=15),
)
def test_listing_of_a_database_with_tombstones_is_that_of_the_model(
    shared: ContainerStore, rows: list[tuple[str, bool]], queries: list[ListingQuery]
) -> None:
    location = Location(0, f"{next(NUMBERS):032x}")
    shared.create(location, Name("a", "c"), Timestamp(1), 0, {})
    shared.merge_rows(location, [ObjectRow(name, Timestamp(2), deleted) for name, deleted in rows])
    buried = {name for name, deleted in rows if deleted}
    live = [name for name, _ in rows if name not in buried]
    for query in queries:
        expected = [item[0] for item in model(live, query)]
        listing = shared.list(location, query)
        assert [item[0] for item in listing.items] == expected[: query.limit]
        assert listing.more == (len(expected) > query.limit)


@settings(max_examples=100, deadline=None)
@given(QUERIES)
def test_listing_of_a_database_with_many_groups_is_that_of_the_model(
    many_groups: tuple[ContainerStore, Location, list[str]], query: ListingQuery
) -> None:
    store, location, names = many_groups
    query = query._replace(limit=query.limit * 50)
    expected = [item[0] for item in model(names, query)]
    listing = store.list(location, query)
    assert [item[0] for item in listing.items] == expected[: query.limit]
    assert listing.more == (len(expected) > query.limit)


@pytest.fixture(scope="module")
def many_groups(shared: ContainerStore) -> tuple[ContainerStore, Location, list[str]]:
    letters = ["a", "b", "/", "-", "\x00", "é", "\U0010ffff"]
    names = ["".join(word) for length in (1, 2, 3) for word in itertools.product(letters, repeat=length)]
    location = Location(0, f"{next(NUMBERS):032x}")
    shared.create(location, Name("a", "c"), Timestamp(1), 0, {})
    shared.merge_rows(location, [ObjectRow(name, Timestamp(2)) for name in names])
    return shared, location, names


def test_rolled_up_names_are_not_read() -> None:
    names = Names([f"{letter}/{number:05d}" for letter in "abcdef" for number in range(2000)])
    items, more = collect(ListingQuery(delimiter="/"), names.fetch)
    assert items == [Subdir(f"{letter}/") for letter in "abcdef"]
    assert not more
    assert names.read < 100


def test_deep_names_of_a_path_are_not_read_backwards_either() -> None:
    names = Names(["p/", "p/x", "p/dir/", *(f"p/dir/{number:05d}" for number in range(2000))])
    items, _ = collect(ListingQuery(path="p", reverse=True), names.fetch)
    assert items == [["p/x"], ["p/dir/"]]
    assert names.read < 50


def test_many_small_groups_take_few_reads() -> None:
    names = Names([f"{group:04d}/{number}" for group in range(300) for number in range(2)])
    reads = 0

    def fetch(span: Span, reverse: bool, most: int) -> list[list[str]]:
        nonlocal reads
        reads += 1
        return names.fetch(span, reverse, most)

    items, _ = collect(ListingQuery(delimiter="/"), fetch)
    assert len(items) == 300
    assert reads < 100


@pytest.mark.parametrize(
    ("marker", "reverse", "expected"),
    [
        ("dir/", False, ["z"]),
        ("dir/b", False, ["dir/", "z"]),
        ("dir/c", False, ["z"]),
        ("dir", False, ["dir/", "z"]),
        ("dir/", True, ["a"]),
        ("dir/b", True, ["dir/", "a"]),
        ("z", True, ["dir/", "a"]),
    ],
)
def test_marker_at_or_inside_a_group(marker: str, reverse: bool, expected: list[str]) -> None:
    names = Names(["a", "dir/a", "dir/b", "dir/c", "z"])
    items, _ = collect(ListingQuery(delimiter="/", marker=marker, reverse=reverse), names.fetch)
    assert [item[0] for item in items] == expected


def test_group_named_like_the_end_marker_of_a_reverse_listing_is_left_out() -> None:
    items, _ = collect(ListingQuery(delimiter="/", end_marker="b/", reverse=True), Names(["b/1", "c"]).fetch)
    assert items == [["c"]]


@pytest.mark.parametrize("prefix", ["", "\U0010ffff", "\U0010ffff" * 3])
def test_nothing_lies_beyond_the_greatest_prefix(prefix: str) -> None:
    assert beyond(prefix) is None


def test_beyond_steps_over_surrogates() -> None:
    assert beyond("a\ud7ff") == "a\ue000"


@given(st.lists(WORDS, min_size=2, max_size=20))
def test_order_of_text_is_that_of_utf8(words: list[str]) -> None:
    ordered = sorted(words)
    assert all(one.encode() <= other.encode() for one, other in pairwise(ordered))
