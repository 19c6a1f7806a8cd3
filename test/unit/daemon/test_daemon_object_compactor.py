"""The room of packed objects that were deleted or replaced is freed by the compactor, without losing others."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from objstore.core.errors import DeviceUnavailable, NotFound
from objstore.core.names import HashSalt, Location, Name, partition_of
from objstore.core.timestamps import TICKS, Timestamp
from objstore.daemon.duties.object_compactor import ObjectCompactor
from objstore.daemon.rounds import Interrupted, Round, SearchedPlace
from objstore.runtime.files import FILES
from objstore.store.interface import ObjectData
from objstore.store.objects.file_store import FileSettings
from objstore.store.objects.space import Reserve
from objstore.store.packed.format import VOLUME_HEADER_SIZE
from objstore.store.packed.index_state import read_state
from objstore.store.packed.store import PackedStore

SALT = HashSalt(b"", b"salt")
POWER = 4
VOLUME_SIZE = VOLUME_HEADER_SIZE + 40_000
REPLACED = [number for number in range(18) if number % 4 != 1 and number != 12]
KEPT = [number for number in range(18) if number % 4 == 1]


class Device:
    """A device with packed objects of two policies."""

    def __init__(self, root: Path, reserve: str = "0") -> None:
        root.mkdir(exist_ok=True)
        settings = FileSettings(Reserve.parse(reserve), threads_per_disk=2, ballast=0)
        self.quarantined: list[str] = []
        self.stores = {
            policy: PackedStore(
                str(root),
                policy,
                settings=settings,
                limit=65536,
                power=lambda: POWER,
                volume_size=VOLUME_SIZE,
                on_quarantine=lambda location, why: self.quarantined.append(location.hash),
            )
            for policy in (0, 1)
        }
        self.place = SearchedPlace("d1", str(root), self.stores)
        self.duty = self.compactor()

    def compactor(self, check: Callable[[], None] = lambda: None) -> ObjectCompactor:
        return ObjectCompactor(0.5, 0, check, logging.getLogger("test.daemon"))

    def location(self, text: str, policy: int = 0) -> Location:
        name_hash = SALT.hash(Name("a", "c", text))
        return Location(partition_of(name_hash, POWER), name_hash, policy)

    def put(self, text: str, content: bytes, when: int = 1000, policy: int = 0) -> None:
        with self.stores[policy].create(self.location(text, policy), len(content)) as writer:
            writer.write(content)
            writer.commit(ObjectData(f"/a/c/{text}", Timestamp(when * TICKS), "text/plain", {}))

    def read(self, text: str, policy: int = 0) -> bytes:
        with self.stores[policy].open(self.location(text, policy)) as reader:
            return b"".join(map(bytes, reader.read(0, reader.info.size)))

    def fill(self, policy: int = 0) -> None:
        """Objects for two volumes, of which most are overwritten or deleted then."""
        for number in range(18):
            self.put(f"o{number}", bytes([number]) * 4000, policy=policy)
        for number in REPLACED:
            self.put(f"o{number}", b"new", 2000, policy)
        self.stores[policy].delete(self.location("o12", policy), "/a/c/o12", Timestamp(2000 * TICKS))
        self.stores[policy].volumes.roll()

    def check(self, policy: int = 0) -> None:
        for number in REPLACED:
            assert self.read(f"o{number}", policy) == b"new"
        for number in KEPT:
            assert self.read(f"o{number}", policy) == bytes([number]) * 4000
        with pytest.raises(NotFound):
            self.read("o12", policy)

    def round(self) -> Round:
        found = Round()
        for _ in self.duty.tour(self.place, found):
            pass
        return found


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path / "d1")


def test_volumes_that_are_mostly_dead_go_and_all_objects_stay(device: Device) -> None:
    for policy in (0, 1):
        device.fill(policy)
    sizes = {policy: device.stores[policy].volumes.numbers() for policy in (0, 1)}
    found = device.round()
    assert found.counts["volumes_removed"] >= 2
    assert found.counts["bytes_freed"] > 40_000
    assert found.findings == []
    for policy in (0, 1):
        device.check(policy)
        assert 1 in sizes[policy]
        assert 1 not in device.stores[policy].volumes.numbers()


def test_a_second_round_has_nothing_to_do(device: Device) -> None:
    device.fill()
    device.round()
    assert device.round().counts == {}
    device.check()


def test_usage_is_reported_by_device(device: Device) -> None:
    assert device.duty.usage() == {}
    device.fill()
    device.round()
    before = device.duty.usage()["d1"]
    device.round()
    after = device.duty.usage()["d1"]
    volumes = device.stores[0].volumes
    assert before["dead_bytes"] > 50_000 > after["dead_bytes"]
    assert after["volumes"] == len(volumes.numbers())
    assert after["live_bytes"] + after["dead_bytes"] == sum(volumes.usage(each).size for each in volumes.numbers())


def test_the_reserve_may_be_used_since_room_is_freed(tmp_path: Path) -> None:
    device = Device(tmp_path / "d1")
    device.fill()
    full = Device(tmp_path / "d1", reserve="99.9%")
    assert full.round().counts["volumes_removed"] >= 2
    device.check()


def test_writers_are_asked_for_volumes_that_are_due(device: Device) -> None:
    for number in range(8):
        device.put("same", bytes([number]) * 4000, 1000 + number)
    volumes = device.stores[0].volumes
    assert volumes.has_writer(1)
    asked = device.compactor(device.stores[0].let_go)  # as every second in the process that writes
    for _ in asked.tour(device.place, Round()):
        pass
    assert 1 not in volumes.numbers()
    assert device.read("same") == bytes([7]) * 4000
    device.put("other", b"new")
    assert device.read("other") == b"new"


def test_a_damaged_record_is_quarantined_and_its_volume_goes(device: Device) -> None:
    device.fill()
    location = device.location("o13")
    (entry,) = device.stores[0].compactor()._index.find(location.hash)
    path = Path(device.place.path) / "packed" / "volumes" / f"{entry.place.volume:08d}.volume"
    damaged = bytearray(path.read_bytes())
    damaged[entry.place.position + entry.place.length - 1] ^= 1
    path.write_bytes(damaged)
    found = device.round()
    assert found.counts["records_bad"] == 1
    assert found.findings == []
    assert device.quarantined == [location.hash]
    with pytest.raises(NotFound):
        device.read("o13")
    assert entry.place.volume not in device.stores[0].volumes.numbers()


def test_a_lost_index_ends_the_round_and_loses_nothing(device: Device) -> None:
    device.fill()
    steps = device.duty.tour(device.place, Round())
    next(steps)
    (Path(device.place.path) / "packed" / "index").rename(Path(device.place.path) / "packed" / "index.lost")
    with pytest.raises(DeviceUnavailable, match="index"):
        list(steps)
    device.check()
    assert device.round().counts["volumes_removed"] >= 1
    device.check()


def test_a_daemon_that_must_stop_leaves_the_volume_for_later(device: Device) -> None:
    device.fill()

    def check() -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        list(device.compactor(check).tour(device.place, Round()))
    device.check()
    assert device.round().counts["volumes_removed"] >= 1
    device.check()


def test_a_device_that_was_never_written_to_has_no_volumes(device: Device) -> None:
    assert device.round().counts == {}
    assert device.duty.usage() == {"d1": {"volumes": 0, "live_bytes": 0, "dead_bytes": 0}}


def test_a_checkpoint_notes_for_each_policy_how_far_the_volumes_are_in_the_index(tmp_path: Path) -> None:
    device = Device(tmp_path / "d1")
    for policy, store in device.stores.items():
        device.put("o", b"content" * 100, policy=policy)
        store.volumes.roll()  # which notes its end
    assert len(list(device.duty.checkpoints(device.place, Round()))) == 2
    for store in device.stores.values():
        state = read_state(FILES, f"{store.layout.packed}/index")
        assert state is not None
        (position,) = state.volumes.values()
        assert position.position > VOLUME_HEADER_SIZE
