"""Rows join in any order and any number of times to the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.core.errors import InvalidInput
from objstore.core.timestamps import Timestamp
from objstore.store.databases.rows import (
    ContainerRow,
    ObjectRow,
    join_containers,
    join_objects,
    read_timestamp,
)

TIMES = st.builds(Timestamp, st.integers(1, 4), st.integers(0, 1))
OBJECTS = st.builds(
    ObjectRow,
    name=st.just("o"),
    timestamp=TIMES,
    deleted=st.booleans(),
    size=st.integers(0, 2),
    content_type=st.sampled_from(["a", "b"]),
    etag=st.sampled_from(["x", "y"]),
    policy_index=st.just(0),
    content_type_timestamp=st.none() | TIMES,
    meta_timestamp=st.none() | TIMES,
).map(ObjectRow.normal)
CONTAINERS = st.builds(
    ContainerRow,
    name=st.just("c"),
    put_timestamp=TIMES,
    delete_timestamp=TIMES,
    object_count=st.integers(0, 2),
    bytes_used=st.integers(0, 2),
    policy_index=st.integers(0, 1),
    reported_at=TIMES,
).map(ContainerRow.normal)


@given(OBJECTS, OBJECTS, OBJECTS)
def test_object_rows_join_as_a_semilattice(one: ObjectRow, two: ObjectRow, three: ObjectRow) -> None:
    assert join_objects(one, one) == one
    assert join_objects(one, two) == join_objects(two, one)
    assert join_objects(one, join_objects(two, three)) == join_objects(join_objects(one, two), three)


@given(CONTAINERS, CONTAINERS, CONTAINERS)
def test_container_rows_join_as_a_semilattice(one: ContainerRow, two: ContainerRow, three: ContainerRow) -> None:
    assert join_containers(one, one) == one
    assert join_containers(one, two) == join_containers(two, one)
    assert join_containers(one, join_containers(two, three)) == join_containers(join_containers(one, two), three)


def test_deletion_wins_over_data_of_the_same_time() -> None:
    data = ObjectRow("o", Timestamp(5), size=3, etag="x").normal()
    assert join_objects(data, ObjectRow("o", Timestamp(5), deleted=True).normal()).deleted


def test_newer_data_brings_a_deleted_name_back() -> None:
    tombstone = ObjectRow("o", Timestamp(5), deleted=True).normal()
    data = ObjectRow("o", Timestamp(6), size=3, content_type="t", etag="x").normal()
    assert join_objects(tombstone, data) == data


def test_content_type_posted_later_outlives_a_put_between() -> None:
    posted = ObjectRow("o", Timestamp(1), content_type="new", content_type_timestamp=Timestamp(9)).normal()
    put = ObjectRow("o", Timestamp(5), size=7, content_type="old", etag="e").normal()
    joined = join_objects(posted, put)
    assert (joined.size, joined.content_type, joined.timestamp) == (7, "new", Timestamp(5))


def test_container_with_objects_is_not_deleted() -> None:
    assert ContainerRow("c", Timestamp(1), Timestamp(2)).deleted
    assert not ContainerRow("c", Timestamp(1), Timestamp(2), object_count=1).deleted
    assert not ContainerRow("c", Timestamp(3), Timestamp(2)).deleted


def test_name_that_is_no_utf8_is_refused() -> None:
    with pytest.raises(InvalidInput):
        ObjectRow("\udc80", Timestamp(1)).normal()


@given(st.builds(Timestamp, st.integers(0, 10**15 - 1), st.integers(0, 2**64 - 1)))
def test_timestamps_are_read_as_written(timestamp: Timestamp) -> None:
    assert read_timestamp(timestamp.internal) == timestamp
