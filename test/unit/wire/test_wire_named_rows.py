"""Questions about rows by name, and their answers."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.core.errors import InvalidInput
from objstore.core.names import Name
from objstore.core.timestamps import Timestamp
from objstore.wire.named_rows import RowStamp, decode_names, decode_rows, encode_rows, named_request

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
ROWS = st.builds(
    RowStamp,
    TEXT,
    st.builds(Timestamp, st.integers(0, 10**14), st.integers(0, 1 << 63)),
    st.booleans(),
    st.integers(0, 99),
)


@given(st.lists(TEXT))
def test_names_arrive_as_they_were_sent(names: list[str]) -> None:
    request = named_request(Name("a", "c"), 3, names)
    assert (request.method, request.partition, request.query) == ("POST", 3, "named=1")
    assert decode_names(request.body) == names


@given(st.lists(ROWS))
def test_rows_arrive_as_they_were_sent(rows: list[RowStamp]) -> None:
    assert decode_rows(encode_rows(rows)) == rows


@pytest.mark.parametrize("body", [b"", b"{", b"{}", b"[1]", b"[null]", b'"text"', b"\xff"])
def test_what_are_no_names_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        decode_names(body)


@pytest.mark.parametrize("rows", [3, {"a": 1}, [1], [["o"]], [["o", "never", False, 0]], [["o", "1.0", False, "x"]]])
def test_what_are_no_rows_is_refused(rows: object) -> None:
    with pytest.raises(InvalidInput):
        decode_rows(json.dumps(rows).encode())
