import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.core.names import Location
from objstore.core.timestamps import MAX_RAW, Timestamp
from objstore.store.objects.layout import DATA, META, TOMBSTONE, FileName, Layout, ancestors, is_partition

timestamps = st.builds(Timestamp, st.integers(0, MAX_RAW), st.one_of(st.just(0), st.integers(0, 2**64 - 1)))
file_names = st.one_of(
    st.builds(FileName, timestamps, st.sampled_from([DATA, TOMBSTONE]), st.none()),
    st.builds(FileName, timestamps, st.just(META), st.one_of(st.none(), timestamps)),
)


@given(file_names)
def test_a_file_name_survives_the_round_trip(name: FileName) -> None:
    assert FileName.parse(str(name)) == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".data",
        "1500000000.00000",
        "1500000000.data",  # not the internal form
        "1500000000.00000.durable",
        "1500000000.00000-1500000000.00000.data",
        "1500000000.00000-.meta",
        "1500000000.00000_0000000000000000.data",
        "1500000000.00000.data.tmp",
        "x.ts",
    ],
)
def test_other_names_are_none_of_ours(text: str) -> None:
    assert FileName.parse(text) is None


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
