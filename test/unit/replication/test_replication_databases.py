"""What replicators of databases decide, and how they say it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.core.errors import InvalidInput
from objstore.core.names import Name
from objstore.core.timestamps import ZERO, Timestamp
from objstore.replication import databases as protocol
from objstore.replication.databases import (
    DatabaseBounds,
    DatabaseState,
    Difference,
    Way,
    compare,
    database_state,
    forgettable,
    start,
    way,
)
from objstore.store.databases.contents import Rows
from objstore.store.databases.status import Status
from objstore.store.databases.summaries import DatabaseSummary
from objstore.store.databases.tables import RowPage

HASH = "0" * 32
ME = DatabaseSummary("me", 100, "digest", ((0, 5, 50),), False, ZERO, {}, {}, False)
BOUNDS = DatabaseBounds(rows=10, file_rows=50, file_part=0.5)


def test_peer_without_the_database_is_told_so() -> None:
    assert compare(database_state(HASH, ME), None) == Difference(HASH)


def test_peer_that_has_all_rows_and_the_same_status_says_nothing() -> None:
    own = ME._replace(id="peer", max_row=7, incoming={"me": 100})
    assert compare(database_state(HASH, ME), own) is None


@pytest.mark.parametrize("max_row", [0, 100])
def test_sender_that_asks_itself_hears_its_own_id(max_row: int) -> None:
    """It must not take itself for a peer that has all, and remove what it has."""
    own = ME._replace(max_row=max_row)
    assert compare(database_state(HASH, own), own) == Difference(HASH, "me", max_row)


def test_empty_databases_that_never_met_are_equal() -> None:
    assert compare(database_state(HASH, ME._replace(max_row=0)), ME._replace(id="peer", max_row=0)) is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"incoming": {"me": 40}}, Difference(HASH, "peer", 40)),
        ({"incoming": {}}, Difference(HASH, "peer", 0)),
        ({"incoming": {"me": 100}, "digest": "other"}, Difference(HASH, "peer", 100, status=True)),
        ({"incoming": {"me": 101}}, Difference(HASH, "peer", 101)),  # it was database_state of rows that are lost
        # It has rows that it has not database_state yet: no wonder that totals differ.
        ({"incoming": {"me": 100}, "totals": ()}, None),
        (
            {"incoming": {"me": 100}, "outgoing": {"me": 100}, "totals": ()},
            Difference(HASH, "peer", 100, total=True),
        ),
    ],
)
def test_what_differs(changes: dict[str, object], expected: Difference | None) -> None:
    assert compare(database_state(HASH, ME), ME._replace(id="peer", **changes)) == expected


@pytest.mark.parametrize(
    ("outgoing", "found", "after", "how"),
    [
        ({}, Difference(HASH), 0, Way.FILE),
        ({}, Difference(HASH, "peer", 60), 60, Way.ROWS),
        ({}, Difference(HASH, "peer", 49), 49, Way.FILE),  # 51 of 100 rows are missing
        ({}, Difference(HASH, "peer", 50), 50, Way.ROWS),
        ({"peer": 95}, Difference(HASH, "peer", 0), 95, Way.ROWS),  # it sent this number itself
        ({"peer": 100}, Difference(HASH, "peer", 0), 100, Way.ROWS),  # and is database_state that it has all
        ({}, Difference(HASH, "peer", 100, status=True), 100, Way.NOTHING),
        ({"peer": 100}, Difference(HASH, "peer", 100, total=True), 0, Way.ROWS),  # of a file it would take nothing
        ({}, Difference(HASH, "peer", 101), 101, Way.RENEW),
    ],
)
def test_how_a_peer_is_brought_up_to_date(outgoing: dict[str, int], found: Difference, after: int, how: Way) -> None:
    own = ME._replace(outgoing=outgoing)
    assert start(own, found) == after
    assert way(own, found, BOUNDS) is how


def test_few_rows_never_make_a_file() -> None:
    assert way(ME._replace(max_row=50), Difference(HASH, "peer", 0), BOUNDS) is Way.ROWS


def test_only_what_was_deleted_long_ago_and_is_not_back_is_forgotten() -> None:
    deleted = ME._replace(deleted=True, settled=True, delete_timestamp=Timestamp(10))
    assert forgettable(deleted, Timestamp(11))
    assert not forgettable(deleted, Timestamp(10))
    assert not forgettable(deleted._replace(deleted=False), Timestamp(11))
    assert not forgettable(deleted._replace(settled=False), Timestamp(11))


_texts = st.text(max_size=5)
_numbers = st.integers(0, 2**53)


@given(st.lists(st.builds(DatabaseState, _texts, _texts, _numbers, _texts, _texts)))
def test_comparisons_are_read_as_written(databases: list[DatabaseState]) -> None:
    assert protocol.decode_comparison(protocol.encode_comparison(databases)) == databases


@given(st.lists(st.builds(Difference, _texts, _texts, _numbers, st.booleans(), st.booleans())))
def test_differences_are_read_as_written(found: list[Difference]) -> None:
    assert protocol.decode_differences(protocol.encode_differences(found)) == found


def test_rows_are_read_as_written() -> None:
    body = protocol.encode_rows("me", "you", 5, RowPage(json.dumps([[0, "a"], [1, "b"]]), 2, 9))
    rows = protocol.decode_rows(body)
    assert rows == Rows("you", "me", 5, 9, [[0, "a"], [1, "b"]])
    assert protocol.decode_point(protocol.encode_point(9)) == 9


def test_status_is_read_as_written() -> None:
    metadata = {"X-Container-Meta-Ü": ("ä", Timestamp(7, 3)), "gone": ("", Timestamp(8))}
    status = Status(Name("a", "c ü"), Timestamp(1), Timestamp(2), Timestamp(3), Timestamp(4, 1), 5, metadata)
    assert protocol.decode_status(protocol.encode_status(status)) == status


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[1]", b"[[1, 2, 3, 4, 5]]", b'[["a"]]', b"\xff", b'{"id": "x"}', b"null"]
)
@pytest.mark.parametrize(
    "decode",
    [
        protocol.decode_comparison,
        protocol.decode_differences,
        protocol.decode_rows,
        protocol.decode_status,
        protocol.decode_point,
    ],
)
def test_what_no_replicator_says_is_refused(decode, body: bytes) -> None:
    with pytest.raises(InvalidInput):
        decode(body)
