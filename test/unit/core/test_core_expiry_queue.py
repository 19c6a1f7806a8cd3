"""Names of the queue's containers and rows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.core.errors import InvalidInput
from objstore.core.expiry_queue import Due, ExpiryQueue, bound, parse_row
from objstore.core.names import Name

TIMES = st.integers(0, 9_999_999_999)


def test_a_row_names_when_and_what() -> None:
    assert Due(12, Name("AUTH_a", "c", "o/p-q")).row == "0000000012-AUTH_a/c/o/p-q"
    assert parse_row("0000000012-AUTH_a/c/o/p-q") == Due(12, Name("AUTH_a", "c", "o/p-q"))
    for wrong in ("", "12", "x-AUTH_a/c/o", "12-AUTH_a/c", "12-AUTH_a", "-1-a/c/o", "１２-a/c/o"):
        with pytest.raises(InvalidInput):
            parse_row(wrong)


@given(TIMES, st.text(min_size=1))
def test_a_row_is_read_back(when: int, text: str) -> None:
    due = Due(when, Name("AUTH_a", "c", text))
    assert parse_row(due.row) == due


@given(TIMES, TIMES)
def test_rows_sort_by_their_times(when: int, until: int) -> None:
    assert (Due(when, Name("a", "c", "o")).row < bound(until)) == (when < until)


def test_a_day_shares_a_hundred_containers() -> None:
    queue = ExpiryQueue(".queue")
    names = {queue.container(86400 * 20_000 + seconds, f"{seconds:032x}") for seconds in range(256)}
    assert len(names) == 100
    assert {name.account for name in names} == {".queue"}
    assert queue.container(86400 * 20_000, "0" * 32) == queue.container(86400 * 20_001 - 1, "0" * 32)


@given(TIMES, st.integers(1, 10**7), st.integers(0, 255))
def test_a_container_is_looked_at_when_its_rows_are_due(when: int, divisor: int, last: int) -> None:
    name = ExpiryQueue(divisor=divisor).container(when, f"{last:032x}").container or ""
    assert len(name) == 10
    assert int(name) <= when
