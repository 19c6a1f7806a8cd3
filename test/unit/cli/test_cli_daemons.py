"""Which daemons run, and in which processes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.cli.daemons import DUTIES, grouped
from objstore.cli.kinds import KINDS, daemon_choice

NAMES = ("object-updater", "object-replicator", "object-auditor", "expirer", "container-auditor", "account-replicator")


def shown(names: tuple[str, ...], most: int) -> list[tuple[tuple[str, ...], bool]]:
    return [(group.names, group.heavy) for group in grouped(names, most)]


def test_what_reads_much_runs_apart_from_what_delivers() -> None:
    assert shown(NAMES[:4], 3) == [
        (("object-updater", "expirer"), False),
        (("object-replicator",), True),
        (("object-auditor",), True),
    ]


def test_with_fewer_processes_the_heavy_ones_share_first() -> None:
    assert shown(NAMES[:4], 2) == [
        (("object-updater", "expirer"), False),
        (("object-replicator", "object-auditor"), True),
    ]


def test_in_one_process_nothing_gives_way() -> None:
    assert shown(NAMES[:4], 1) == [
        (("object-updater", "expirer", "object-replicator", "object-auditor"), False),
    ]


def test_no_daemons_no_process() -> None:
    assert grouped((), 3) == []


@given(st.sets(st.sampled_from(sorted({*NAMES, *DUTIES}))), st.integers(1, 5))
def test_each_daemon_runs_in_one_process(names: set[str], most: int) -> None:
    groups = grouped(sorted(names), most)
    assert len(groups) <= most
    assert sorted(name for group in groups for name in group.names) == sorted(names)
    assert len({group.title for group in groups}) == len(groups)


@pytest.mark.parametrize(
    ("text", "chosen"),
    [("yes", ("a", "b")), ("no", ()), ("b", ("b",)), ("b, a", ("b", "a")), ("off", ())],
)
def test_daemons_are_chosen_by_name(text: str, chosen: tuple[str, ...]) -> None:
    assert daemon_choice(("a", "b"))(text) == chosen


def test_a_daemon_of_no_such_name_is_refused() -> None:
    with pytest.raises(ValueError, match="names out of a, b"):
        daemon_choice(("a", "b"))("a, c")


def test_every_duty_runs_beside_one_server() -> None:
    everywhere = [name for kind in KINDS.values() for name in kind.daemons]
    assert sorted(everywhere) == sorted(DUTIES)
