import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.core.names import Location
from objstore.core.timestamps import Timestamp
from objstore.store.change import DATA, Change
from objstore.store.objects.layout import Layout, ancestors, changes_among, file_path, is_partition


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**128 - 1), st.integers(0, 9))
def test_a_location_survives_the_round_trip(partition: int, number: int, policy: int) -> None:
    location = Location(partition, f"{number:032x}", policy)
    layout = Layout("/srv/d1/", policy)
    assert layout.parse_hash_dir(layout.hash_dir(location)) == location


def test_paths() -> None:
    location = Location(7, "0" * 29 + "abc", 2)
    layout = Layout("/srv/d1", 2)
    assert layout.hash_dir(location) == "/srv/d1/objects-2/7/abc/00000000000000000000000000000abc"
    assert list(ancestors(layout.hash_dir(location))) == [
        layout.suffix_dir(7, "abc"),
        layout.partition_dir(7),
        layout.objects,
        "/srv/d1",
    ]
    assert layout.quarantine_dir(location.hash, 0) == f"/srv/d1/quarantined/objects-2/{location.hash}"
    assert layout.quarantine_dir(location.hash, 3).endswith("abc-3")
    assert Layout("/srv/d1", 0).objects == "/srv/d1/objects"


@pytest.mark.parametrize(
    "path",
    [
        "/srv/d1/objects/7/abc",
        "/srv/d1/objects/7/abd/" + "0" * 29 + "abc",
        "/srv/d1/objects/07/abc/" + "0" * 29 + "abc",
    ],
)
def test_other_paths_are_no_hash_directories(path: str) -> None:
    assert Layout("/srv/d1", 0).parse_hash_dir(path) is None


def test_partitions_are_plain_decimals() -> None:
    assert [is_partition(name) for name in ("0", "12", "012", "", "-1", "1a", "\u0661")] == [True, True, *[False] * 5]


def test_entries_that_are_no_changes_are_passed_over() -> None:
    change = Change(Timestamp(100_000), DATA)
    assert file_path("/srv/d1/x", change) == "/srv/d1/x/0000000001.00000.data"
    assert changes_among(["0000000001.00000.data", "lost+found", "x.data"]) == [change]
