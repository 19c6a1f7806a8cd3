"""The text form of a change."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.core.timestamps import MAX_RAW, TICKS, Timestamp
from objstore.store.change import DATA, METADATA, TOMBSTONE, Change

timestamps = st.builds(Timestamp, st.integers(0, MAX_RAW), st.one_of(st.just(0), st.integers(0, 2**64 - 1)))
changes = st.one_of(
    st.builds(Change, timestamps, st.sampled_from([DATA, TOMBSTONE]), st.none()),
    st.builds(Change, timestamps, st.just(METADATA), st.one_of(st.none(), timestamps)),
)


@given(changes)
def test_a_change_survives_the_round_trip(change: Change) -> None:
    assert Change.parse(str(change)) == change


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".data",
        "1500000000.00000",
        "1500000000.data",  # not the internal form
        "1500000000.00000.durable",
        "1500000000.00000-1500000000.00000.data",
        "1500000000.00000-.meta",
        "1500000000.00000_0000000000000000.data",
        "1500000000.00000.data.tmp",
        "x.ts",
    ],
)
def test_other_texts_are_no_changes(text: str) -> None:
    assert Change.parse(text) is None


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (Change(Timestamp(1_500_000_000 * TICKS + 7), DATA), "1500000000.00007.data"),
        (Change(Timestamp(1_500_000_000 * TICKS, 47), DATA), "1500000000.00000_000000000000002f.data"),
        (Change(Timestamp(TICKS), TOMBSTONE), "0000000001.00000.ts"),
        (Change(Timestamp(2 * TICKS), METADATA), "0000000002.00000.meta"),
        (Change(Timestamp(2 * TICKS), METADATA, Timestamp(TICKS)), "0000000002.00000-0000000001.00000.meta"),
    ],
)
def test_the_text_form_is_what_other_versions_know(change: Change, text: str) -> None:
    """Files are called by it, and peers of other versions send it and hash it."""
    assert str(change) == text
