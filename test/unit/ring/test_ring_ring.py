"""Look-up, and the ring file that it reads."""

import os
import re
import subprocess
import sys
from array import array
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.core.errors import ConfigError
from objstore.core.nodes import Node
from objstore.ring import Ring
from objstore.ring.ring_file import NO_DEVICE, Moves, RingContents, decode_ring, encode_ring
from objstore.ring.sealed import PREAMBLE

DOC = Path(__file__).parents[3] / "doc" / "format_ring.md"


def node(device: int, zone: int = 1) -> Node:
    return Node(
        device, 1, zone, f"10.0.0.{device % 250}", 6200, f"sd{device}", f"10.1.0.{device % 250}", 6300, 100.0, "é"
    )


def view(code: str, items: list[int]) -> memoryview:
    return memoryview(array(code, items))


def contents(**changes) -> RingContents:
    plain = RingContents(
        part_power=2,
        replica_count=2.5,
        version=7,
        devices=(node(0), node(1), None, node(3)),
        rows=(view("H", [0, 1, 3, 0]), view("H", [1, 3, 0, 3]), view("H", [3, 0])),
        moves=Moves(view("I", [1, 1, 3]), view("H", [3, 0, 1]), view("I", [200, 100, 100])),
    )
    return plain._replace(**changes)


@pytest.fixture
def ring_path(tmp_path):
    path = tmp_path / "object.ring"
    path.write_bytes(encode_ring(contents()))
    return path


def ids(nodes) -> list[int]:
    return [each.id for each in nodes]


def test_a_loaded_ring_says_what_was_written(ring_path):
    ring = Ring.load(str(ring_path))
    assert (ring.part_power, ring.partition_count, ring.replica_count, ring.version) == (2, 4, 2.5, 7)
    assert ring.devices == contents().devices
    assert [ids(ring.primaries(partition)) for partition in range(4)] == [[0, 1, 3], [1, 3, 0], [3, 0], [0, 3]]


def test_the_partition_is_the_first_bits_of_the_hash(ring_path):
    ring = Ring.load(str(ring_path))
    assert [ring.partition(digit + "f" * 31) for digit in "03478bcf"] == [0, 0, 1, 1, 2, 2, 3, 3]


def test_previous_devices_are_the_newest_first_and_not_primaries(ring_path):
    rows = (view("H", [0, 1, 3, 0]),)
    ring = Ring(contents(rows=rows))
    assert [ids(ring.previous(partition)) for partition in range(4)] == [[], [3, 0], [], [1]]
    assert ids(Ring.load(str(ring_path)).previous(1)) == []


def test_no_device_comes_twice_and_a_missing_one_not_at_all():
    rows = (view("H", [0, 0, 2, NO_DEVICE[2]]), view("H", [0, 1, 1, 1]))
    ring = Ring(contents(rows=rows))
    assert [ids(ring.primaries(partition)) for partition in range(4)] == [[0], [0, 1], [1], [1]]


def test_wide_ids_reach_beyond_65535_devices():
    devices = [None] * 70_000 + [node(70_000)]
    moves = Moves(view("I", []), view("I", []), view("I", []))
    data = encode_ring(contents(devices=devices, rows=(view("I", [70_000] * 4),), moves=moves))
    assert ids(Ring(decode_ring(data, "test")).primaries(2)) == [70_000]


@pytest.mark.parametrize("cut", [0, 1, 15, 40, 200, -33, -1])
def test_a_truncated_file_is_refused(ring_path, cut):
    ring_path.write_bytes(ring_path.read_bytes()[:cut])
    with pytest.raises(ConfigError, match=re.escape(str(ring_path))):
        Ring.load(str(ring_path))


def test_every_damaged_byte_is_noticed(ring_path):
    data = ring_path.read_bytes()
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 1
        with pytest.raises(ConfigError):
            decode_ring(bytes(damaged), "test")


def test_another_version_is_named(ring_path):
    data = bytearray(ring_path.read_bytes())
    PREAMBLE.pack_into(data, 0, b"OBJSRING", 3, PREAMBLE.unpack_from(data)[2])
    ring_path.write_bytes(data)
    with pytest.raises(ConfigError, match="format version 3"):
        Ring.load(str(ring_path))


def test_a_missing_file_is_a_config_error(tmp_path):
    with pytest.raises(ConfigError, match=r"object\.ring"):
        Ring.load(str(tmp_path / "object.ring"))


@pytest.mark.parametrize(
    "changes",
    [{"part_power": 3}, {"part_power": 33}, {"rows": ()}, {"rows": (view("H", [0] * 4), view("H", []))}],
    ids=["other part power", "part power too large", "no rows", "empty row"],
)
def test_a_sealed_file_of_the_wrong_shape_is_refused(changes):
    with pytest.raises(ConfigError):
        decode_ring(encode_ring(contents(**changes)), "test")


def test_a_loaded_ring_survives_the_replacement_of_its_file(ring_path):
    ring = Ring.load(str(ring_path))
    other = ring_path.with_suffix(".new")
    other.write_bytes(encode_ring(contents(rows=(view("H", [3] * 4),))))
    other.rename(ring_path)
    assert ids(ring.primaries(0)) == [0, 1, 3]


def test_a_loaded_ring_survives_a_file_overwritten_in_place(ring_path):
    """A mapped ring gave the primaries of the half-copied file, or killed the process with SIGBUS."""
    ring = Ring.load(ring_path)
    before = [ring.primaries(partition) for partition in range(ring.partition_count)]
    size = os.path.getsize(ring_path)
    with open(ring_path, "r+b") as file:
        file.write(b"\xff" * size)
    assert [ring.primaries(partition) for partition in range(ring.partition_count)] == before
    os.truncate(ring_path, 0)
    assert [ring.primaries(partition) for partition in range(ring.partition_count)] == before


def test_look_up_imports_no_numpy():
    code = "import sys, objstore.ring; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=DOC.parents[1], check=False).returncode == 0


devices_strategy = st.lists(
    st.one_of(
        st.none(),
        st.builds(
            Node,
            st.just(0),
            st.integers(0, 99),
            st.integers(0, 99),
            st.text(max_size=9),
            st.integers(1, 65535),
            st.text(max_size=9),
            st.text(max_size=9),
            st.integers(1, 65535),
            st.floats(0, 1e9),
            st.text(max_size=9),
        ),
    ),
    max_size=5,
)


@settings(max_examples=60, deadline=None)
@given(devices_strategy, st.integers(0, 5), st.integers(1, 4), st.data())
def test_a_ring_file_gives_back_what_was_put_in(found, part_power, replicas, data):
    devices = tuple(each and each._replace(id=index) for index, each in enumerate(found))
    count = 1 << part_power
    row = st.lists(st.integers(0, 65535), min_size=count, max_size=count)
    rows = [view("H", data.draw(row)) for _ in range(replicas)]
    rows[-1] = rows[-1][: data.draw(st.integers(1, count))]
    given_contents = RingContents(part_power, replicas, 3, devices, tuple(rows))
    assert decode_ring(encode_ring(given_contents), "test") == given_contents._replace(replica_count=float(replicas))


def test_the_worked_example_of_the_format_page_is_true():
    text = DOC.read_text()
    lines = re.findall(r"^    ([0-9a-f]{4})  ((?:[0-9a-f]{2} ?){1,16})", text, re.MULTILINE)
    data = b"".join(bytes.fromhex(line) for _, line in lines)
    assert [int(offset, 16) for offset, _ in lines] == list(range(0, len(data), 16))
    found = decode_ring(data, "example")
    assert encode_ring(found) == data
    assert found.moves.time.tolist() == [1_700_000_000]
    ring = Ring(found)
    assert (ring.version, ring.replica_count) == (7, 1.5)
    told = re.findall(r"^    partition (\d): primaries (.+?)(?:, previously (.+))?$", text, re.MULTILINE)
    for partition, primaries, previous in told:
        assert ", ".join(map(str, ring.primaries(int(partition)))) == primaries
        assert ", ".join(map(str, ring.previous(int(partition)))) == previous
    assert len(told) == ring.partition_count
