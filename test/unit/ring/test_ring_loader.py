"""Rings that follow their file."""

import logging
from array import array

import pytest

from objstore.core.errors import ConfigError
from objstore.core.nodes import Node
from objstore.ring import RingLoader
from objstore.ring.ring_file import RingContents, encode_ring
from objstore.runtime.files import FILES

LOGGER = logging.getLogger("test")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def ring_bytes(version: int) -> bytes:
    row = memoryview(array("H", [0, 0]))
    return encode_ring(RingContents(1, 1, version, (Node(0, 1, 1, "h", 1, "d", weight=1.0),), (row,)))


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def path(tmp_path):
    FILES.replace(str(tmp_path / "object.ring"), ring_bytes(1))
    return str(tmp_path / "object.ring")


def test_a_new_file_is_seen_after_the_interval_and_not_before(path, clock):
    loader = RingLoader(path, LOGGER, 15, clock)
    first = loader.get()
    FILES.replace(path, ring_bytes(2))
    clock.now += 14
    assert loader.get() is first
    clock.now += 1
    assert loader.get().version == 2


def test_an_unchanged_file_is_not_read_again(path, clock):
    loader = RingLoader(path, LOGGER, 15, clock)
    first = loader.get()
    clock.now += 100
    assert loader.get() is first


def test_a_damaged_file_is_logged_and_the_old_ring_kept_until_a_sound_one_comes(path, clock, caplog):
    loader = RingLoader(path, LOGGER, 15, clock)
    first = loader.get()
    FILES.replace(path, ring_bytes(2)[:-1])
    clock.now += 15
    with caplog.at_level(logging.ERROR):
        assert loader.get() is first
    assert "damaged" in caplog.text
    FILES.replace(path, ring_bytes(3))
    clock.now += 15
    assert loader.get().version == 3


def test_a_file_that_vanishes_leaves_the_ring(path, clock, tmp_path):
    loader = RingLoader(path, LOGGER, 15, clock)
    (tmp_path / "object.ring").unlink()
    clock.now += 15
    assert loader.get().version == 1


def test_without_a_file_there_is_no_loader(tmp_path):
    with pytest.raises(ConfigError):
        RingLoader(str(tmp_path / "object.ring"), LOGGER)
