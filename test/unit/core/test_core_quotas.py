"""The decision about a write, and the headers of quotas."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.core import quotas
from objstore.core.errors import InvalidInput
from objstore.core.quotas import EXCEEDED, GRANTED, POLICY_EXCEEDED, WAIT, Amount, Quota, RoomNeeded, Use, Write


def need(size: int, objects: int = 0) -> RoomNeeded:
    return RoomNeeded(Amount(objects, size), Amount(objects, size))


@pytest.mark.parametrize(
    ("settled", "opened", "size", "verdict"),
    [
        (0, 0, 100, GRANTED),
        (0, 0, 101, EXCEEDED),
        (60, 40, 1, WAIT),
        (60, 40, 41, EXCEEDED),
        (100, 0, 0, GRANTED),
        (300, 50, 0, GRANTED),  # over the quota: what needs no room is granted
        (300, 50, -5, GRANTED),
    ],
)
def test_bytes(settled: int, opened: int, size: int, verdict: str) -> None:
    use = Use(Amount(0, settled), Amount(0, opened))
    assert quotas.verdict(Quota(size=100), use, need(size)) == verdict


def test_a_count_is_limited_apart_from_bytes() -> None:
    use = Use(Amount(2, 1000))
    assert quotas.verdict(Quota(objects=2), use, need(5, objects=1)) == EXCEEDED
    assert quotas.verdict(Quota(objects=2), use, need(5, objects=0)) == GRANTED
    assert quotas.verdict(Quota(objects=2, size=1000), use, need(5, objects=0)) == EXCEEDED
    assert quotas.verdict(Quota(objects=2, policy=1), use, need(5, objects=1)) == POLICY_EXCEEDED


def test_zero_is_a_limit_and_nothing_is_none() -> None:
    assert quotas.of_container({quotas.CONTAINER_BYTES: "0"}) == (Quota(size=0),)
    assert quotas.of_container({quotas.CONTAINER_BYTES: ""}) == ()


@pytest.mark.parametrize("text", ["x", "-1", "1.5", "+5", "٣", "1" * 40, " 1"])
def test_invalid_limits(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"Invalid bytes quota\."):
        quotas.check_container({quotas.CONTAINER_BYTES: text})
    with pytest.raises(InvalidInput, match=r"Invalid count quota\."):
        quotas.check_container({quotas.CONTAINER_COUNT: text})
    quotas.check_container({quotas.CONTAINER_BYTES: "", quotas.CONTAINER_COUNT: "0"})


def test_quotas_of_an_account_by_policy() -> None:
    stored = {
        f"{quotas.STORED}Bytes-Policy-2": "7",
        f"{quotas.STORED}Count": "3",
        f"{quotas.STORED}Count-Policy-2": "8",
        f"{quotas.STORED}Bytes-Policy-x": "1",
        f"{quotas.STORED}Bytes": "junk",
        "X-Account-Meta-Quota-Bytes": "1",
    }
    assert quotas.of_account(stored) == (Quota(objects=3), Quota(8, 7, 2))


AMOUNTS = st.builds(Amount, st.integers(0, 1), st.integers(0, 20))


@given(st.lists(AMOUNTS, min_size=1, max_size=4), AMOUNTS, st.randoms())
def test_room_covers_open_writes_in_any_order(news: list[Amount], old: Amount, random: object) -> None:
    """Whichever of them were made already, the settled amount is that of the last one, and any may become the last."""
    room = quotas.room([Write(new, old) for new in news])
    for settled in [old, *news] if len(news) > 1 else [old]:
        for last in news:
            assert last.size - settled.size <= room.size
            assert last.objects - settled.objects <= room.objects
