"""What the replication of objects decides."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.core.nodes import Node
from objstore.core.timestamps import Timestamp
from objstore.replication.objects_plan import (
    ALL,
    batches,
    bundles,
    confirmations_needed,
    differing,
    flat,
    removable,
    worth_sending,
)
from objstore.store.change import DATA, METADATA, TOMBSTONE, Change

A, B, C = (character * 32 for character in "abc")


def at(seconds: float, kind: str = DATA) -> Change:
    return Change(Timestamp.from_seconds(seconds), kind)


def node(number: int) -> Node:
    return Node(number, 1, 1, f"10.0.0.{number}", 6200, "d1")


@pytest.mark.parametrize(
    ("wanted", "primaries", "needed"), [(ALL, 3, 3), (ALL, 1, 1), (2, 3, 2), (2, 1, 1), (9, 3, 3), (ALL, 0, None)]
)
def test_how_many_primaries_must_confirm(wanted: int, primaries: int, needed: int | None) -> None:
    assert confirmations_needed(wanted, primaries) == needed


PEERS = st.lists(st.integers(1, 5), max_size=3, unique=True).map(lambda numbers: tuple(map(node, numbers)))


@given(st.dictionaries(st.integers(0, 1000), PEERS, max_size=40), st.integers(1, 7))
def test_each_partition_is_compared_once_with_each_peer(peers: dict[int, tuple[Node, ...]], most: int) -> None:
    groups = list(batches(peers.items(), most))
    assert all(1 < len(partitions) <= most for _, partitions in groups)
    for each in {peer for nodes in peers.values() for peer in nodes}:
        shared = [partition for partition, nodes in peers.items() if each in nodes]
        compared = [partition for peer, partitions in groups if peer == each for partition in partitions]
        alone = len(shared) if most == 1 else len(shared) % most == 1
        assert compared == shared[: len(shared) - alone]


def test_suffixes_that_only_the_peer_has_are_its_own_business() -> None:
    assert differing({"000": "a", "001": "b", "002": "c"}, {"000": "a", "001": "x", "003": "d"}) == ["001", "002"]


def test_old_tombstones_are_not_sent_but_old_data_is() -> None:
    changes = {A: (at(5, TOMBSTONE), at(30, METADATA)), B: (at(5),), C: (at(5, TOMBSTONE),)}
    since = Timestamp.from_seconds(10)
    assert worth_sending(changes, since, lambda _: True) == {A: (at(30, METADATA),), B: (at(5),)}
    assert worth_sending(changes, since, lambda name_hash: name_hash == B) == {B: (at(5),)}
    assert worth_sending({C: (at(10, TOMBSTONE),)}, since, lambda _: True) == {C: (at(10, TOMBSTONE),)}


@given(st.lists(st.integers(0, 12), max_size=8), st.integers(1, 5))
def test_bundles_hold_all_there_is_and_never_too_much(sizes: list[int], most: int) -> None:
    parts = [
        {f"{part:016x}{number:016x}": (at(1), at(2, METADATA)) for number in range(size)}
        for part, size in enumerate(sizes)
    ]
    made = list(bundles(parts, most))
    assert all(0 < len(bundle) <= most for bundle in made)
    assert all(len(bundle) == most for bundle in made[:-1])
    assert set().union(*map(flat, made)) == set().union(*map(flat, parts))


def test_only_names_of_which_enough_peers_confirmed_all_are_removed() -> None:
    offered = {A: (at(1), at(2, METADATA))}
    one, two = (A, at(1)), (A, at(2, METADATA))
    confirmed = [{one, two}, {one}, {one, two}]
    assert removable(offered, confirmed, 3) == {}  # metadata without their data would be taken for forgotten ones
    assert removable(offered, confirmed, 2) == offered
    assert removable({A: (at(1),)}, confirmed, 3) == {A: (at(1),)}
    assert removable(offered, confirmed, None) == {}
    assert removable(offered, [], 1) == {}
