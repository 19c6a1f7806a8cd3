"""Rows under another policy than the container's."""

from __future__ import annotations

from pathlib import Path

import pytest

from objstore.core.names import Location, Name
from objstore.core.timestamps import Timestamp
from objstore.runtime.files import FILES
from objstore.store.databases import ContainerStore, ObjectRow

LOCATION = Location(1, "ab" * 16)
OWN = 1


@pytest.fixture
def containers(tmp_path: Path) -> ContainerStore:
    made = ContainerStore(str(tmp_path), FILES)
    made.create(LOCATION, Name("a", "c"), Timestamp(1), OWN, {})
    return made


def row(name: str, at: int, policy: int, deleted: bool = False, offset: int = 0) -> ObjectRow:
    return ObjectRow(name, Timestamp(at, offset), deleted, policy_index=policy)


def pages(containers: ContainerStore, limit: int) -> list[list[tuple[int, bool, str]]]:
    """Keys of the rows, page by page."""
    found, after, more = [], None, True
    while more:
        page = containers.misplaced(LOCATION, after, limit)
        assert page.info.policy_index == OWN
        found.append([(one.policy_index, one.deleted, one.name) for one in page.rows])
        after, more = (found[-1][-1] if found[-1] else None), page.more
    return found


def test_a_container_of_one_policy_has_none(containers: ContainerStore) -> None:
    containers.merge_rows(LOCATION, [row("a", 5, OWN), row("b", 5, OWN, deleted=True)])
    assert pages(containers, 10) == [[]]


def test_live_rows_of_other_policies_are_misplaced(containers: ContainerStore) -> None:
    containers.merge_rows(LOCATION, [row("a", 5, OWN), row("a", 4, 0), row("b", 5, 2), row("\x00hidden", 6, 2)])
    assert pages(containers, 10) == [[(0, False, "a"), (2, False, "\x00hidden"), (2, False, "b")]]


def test_a_deletion_counts_where_the_containers_policy_has_something_older(containers: ContainerStore) -> None:
    own = [row("older", 5, OWN), row("newer", 9, OWN), row("deleted", 5, OWN, deleted=True)]
    containers.merge_rows(LOCATION, own)
    names = [one.name for one in own]
    containers.merge_rows(LOCATION, [row(name, 7, 0, deleted=True) for name in (*names, "unknown")])
    assert pages(containers, 10) == [[(0, True, "older")]]


def test_what_a_move_leaves_is_not_misplaced(containers: ContainerStore) -> None:
    containers.merge_rows(LOCATION, [row("a", 5, OWN, offset=2), row("a", 5, 0, deleted=True, offset=1)])
    assert pages(containers, 10) == [[]]


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_pages_go_on_behind_the_last_row(containers: ContainerStore, limit: int) -> None:
    rows = [row(f"o{number}", 5, policy) for policy in (0, 3) for number in range(3)]
    rows += [row(f"d{number}", 4, OWN) for number in range(3)]
    rows += [row(f"d{number}", 5, policy, deleted=True) for policy in (0, 3) for number in range(3)]
    containers.merge_rows(LOCATION, rows)
    expected = sorted((one.policy_index, one.deleted, one.name) for one in rows if one.policy_index != OWN)
    found = pages(containers, limit)
    assert [key for page in found for key in page] == expected
    assert all(len(page) == limit for page in found[:-1])
