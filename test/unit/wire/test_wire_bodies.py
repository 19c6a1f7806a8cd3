"""Bodies at hand, as storage servers read them."""

import pytest

from objstore.core.errors import LimitExceeded
from objstore.core.json_body import JsonBody
from objstore.wire.bodies import PIECE, whole


def test_a_document_is_handed_over_as_its_value():
    rows = [{"name": "a"}]
    assert whole(JsonBody.of(rows)).json(1) is rows


def test_a_document_can_be_read_as_bytes():
    assert whole(JsonBody.of([1, "a"])).read(100) == b'[1, "a"]'


def test_bytes_are_read_as_a_document():
    assert whole(b'{"a": 1}').json(100) == {"a": 1}
    with pytest.raises(LimitExceeded):
        whole(b'{"a": 1}').json(3)


@pytest.mark.parametrize(("size", "count"), [(0, 0), (1, 1), (PIECE, 1), (PIECE + 1, 2)])
def test_bytes_come_in_pieces_of_a_mebibyte(size, count):
    data = b"x" * size
    pieces = list(whole(data))
    assert (len(pieces), b"".join(pieces)) == (count, data)
