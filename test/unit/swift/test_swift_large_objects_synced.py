"""Lists of large objects as other clusters send them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from objstore.core.errors import InvalidInput
from objstore.swift.large_objects.synced import read_list

ROW = {"name": "/c/one", "hash": "a" * 32, "bytes": 10, "content_type": "text/plain"}
INNER = {"name": "/c/inner", "hash": "b" * 32, "bytes": 100, "range": "5-9", "sub_slo": True}


def dump(*rows: Any) -> bytes:
    return json.dumps(rows).encode()


def test_a_list_is_taken_as_it_is_with_its_size_etag_and_depth() -> None:
    """The etag is the one that Swift 2.38.3 shows: the MD5 of the etags, `:5-9;` behind that of a part."""
    found = read_list(dump(ROW, INNER, {"data": "YWJj"}))
    assert list(found.rows) == [ROW, INNER, {"data": "YWJj"}]
    assert (found.size, found.depth) == (18, 2)
    assert found.etag == "a5dfed940193d229ee514fabeb0fca71"
    assert list(found.names) == [("c", "one"), ("c", "inner")]


def test_keys_of_others_are_dropped() -> None:
    found = read_list(dump({**ROW, "x-object-sysmeta-manifest-owns": "c/"}))
    assert list(found.rows) == [ROW]
    assert found.depth == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"7",
        dump("row"),
        dump({**ROW, "name": "/c"}),
        dump({**ROW, "name": "/\0parts\0c/secret"}),
        dump({**ROW, "bytes": -1}),
        dump({**ROW, "range": "5-20"}),
        dump({"data": "?"}),
    ],
)
def test_what_is_no_list_of_clients_objects_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidInput):
        read_list(content)
