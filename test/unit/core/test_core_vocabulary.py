"""Names, metadata classes, policies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.core import metadata
from objstore.core.errors import ConfigError, InvalidInput
from objstore.core.names import HashSalt, Location, Name, partition_of
from objstore.core.policies import Policies, StoragePolicy, objects_dir
from objstore.core.text import ENVIRON_KEY, HEADER_NAME, to_native, to_text

parts = st.text(st.characters(exclude_characters="/"), min_size=1)


@given(parts, parts, st.text(min_size=1))
def test_names_are_read_back_from_their_paths(account, container, obj):
    for name in (Name(account), Name(account, container), Name(account, container, obj)):
        assert Name.parse(name.path) == name


@pytest.mark.parametrize("path", ["", "/", "a/b", "//b", "/a//o", "/a/b/"])
def test_paths_with_empty_parts_are_no_names(path):
    with pytest.raises(InvalidInput):
        Name.parse(path)


def test_the_salt_decides_where_a_name_lives():
    name = Name("a", "c", "ö")
    one, other = HashSalt(b"x", b"y"), HashSalt(b"x", b"z")
    assert len(one.hash(name)) == 32
    assert one.hash(name) != other.hash(name)
    assert Location(1, one.hash(name)).suffix == one.hash(name)[-3:]


@pytest.mark.parametrize(("power", "partition"), [(0, 0), (1, 1), (8, 0xF0), (32, 0xF0000001)])
def test_a_partition_is_the_first_bits_of_the_hash(power, partition):
    assert partition_of("f0000001" + "0" * 24, power) == partition


@given(st.binary())
def test_text_keeps_bytes_that_are_not_utf8(raw):
    native = raw.decode("latin-1")
    assert to_native(to_text(native)) == native


def test_header_names_and_environ_keys_are_each_others_inverse():
    for name in ("X-Object-Meta-Color", "Content-Type", "Content-Length", "Etag"):
        assert HEADER_NAME[ENVIRON_KEY[name]] == name


def test_a_post_replaces_what_clients_set_and_keeps_what_filters_set():
    kept = {"X-Object-Sysmeta-S": "2", "X-Static-Large-Object": "True"}
    put = {"X-Object-Meta-A": "1", "Content-Encoding": "gzip", **kept}
    after = metadata.after_post(put, {"X-Object-Meta-B": "3"})
    assert after == {**kept, "X-Object-Meta-B": "3"}


def test_a_policy_is_found_by_any_of_its_names():
    gold = StoragePolicy(0, "Gold", ("yellow",), default=True)
    policies = Policies([gold, StoragePolicy(1, "silver")])
    assert policies.by_name("YELLOW") is gold
    assert policies.default is gold
    assert (gold.ring_name, objects_dir(1)) == ("object", "objects-1")


@pytest.mark.parametrize(
    "policies",
    [
        [StoragePolicy(0, "a", default=True), StoragePolicy(0, "b")],
        [StoragePolicy(0, "a", default=True), StoragePolicy(1, "A")],
        [StoragePolicy(0, "a"), StoragePolicy(1, "b")],
        [StoragePolicy(0, "a", default=True), StoragePolicy(1, "b", default=True)],
        [StoragePolicy(0, "a", default=True, deprecated=True)],
        [],
    ],
)
def test_contradicting_policies_are_refused(policies):
    with pytest.raises(ConfigError):
        Policies(policies)
