"""Requests about quotas, as they go to nodes and come from anyone."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.core.errors import InvalidInput
from objstore.core.names import Name
from objstore.core.quota_rooms import MemberTotals, RoomRelease, RoomRequest, Standing
from objstore.core.quotas import Amount
from objstore.core.timestamps import Timestamp
from objstore.wire import quotas

CONTAINER = Name("a", "c")
AMOUNTS = st.builds(Amount, st.integers(0, 9), st.integers(-9, 1 << 60))
STAMPS = st.builds(Timestamp, st.integers(0, 1 << 40), st.integers(0, 9))
TOTALS = st.none() | st.builds(MemberTotals, st.text(max_size=5), st.integers(0, 9), AMOUNTS, STAMPS)


@given(st.builds(RoomRequest, st.text(), st.text(), AMOUNTS, st.floats(0, 999), TOTALS, AMOUNTS, st.booleans()))
def test_requests_for_room_come_as_they_were_sent(room: RoomRequest) -> None:
    assert quotas.decode_reserve(quotas.reserve_request(CONTAINER, 3, room, {}).body) == room


@given(st.builds(RoomRelease, st.text(), st.text(), AMOUNTS, st.floats(0, 999), st.none() | STAMPS, TOTALS))
def test_releases_come_as_they_were_sent(ended: RoomRelease) -> None:
    assert quotas.decode_release(quotas.release_request(CONTAINER, 3, ended, {}).body) == ended


@given(st.builds(Standing, AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS, st.integers(0, 9), STAMPS, STAMPS))
def test_standings_come_as_they_were_sent(standing: Standing) -> None:
    assert quotas.decode_standing(quotas.encode_standing(standing)) == standing


def test_a_name_comes_as_it_was_sent() -> None:
    assert quotas.decode_key(quotas.standing_request(CONTAINER, 3, "é\x00/b", {}).body) == "é\x00/b"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@given(st.binary(max_size=40) | JSON.map(lambda value: json.dumps(value).encode()))
def test_other_bodies_are_refused(body: bytes) -> None:
    for decode in (quotas.decode_reserve, quotas.decode_release, quotas.decode_key):
        try:
            decode(body)
        except InvalidInput:
            pass


@pytest.mark.parametrize("text", ["", "maybe", "[1]", '{"a":1}', "[[0,0],[0,0],[0,0],[0,0],0,1,2]"])
def test_other_answers_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        quotas.decode_standing(text)
    with pytest.raises(InvalidInput):
        quotas.decode_verdict(text)
