"""Objects that rot are found by the auditor, with no one reading them."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from objstore.core.errors import DeviceUnavailable
from objstore.core.names import HashSalt, Location, Name, partition_of
from objstore.core.timestamps import TICKS, Timestamp
from objstore.daemon import stored_names
from objstore.daemon.duties.object_auditor import ALWAYS, FIRST, NEVER, ObjectAuditor, ObjectRates, hashed_since
from objstore.daemon.rounds import Interrupted, Round, SearchedPlace
from objstore.store.change import Change
from objstore.store.interface import ObjectData
from objstore.store.objects.file_store import FileSettings
from objstore.store.objects.format import BLOCK
from objstore.store.objects.replica_store import FileReplicaStore
from objstore.store.objects.space import Reserve
from objstore.store.packed.store import PackedStore

SALT = HashSalt(b"", b"salt")


class Device:
    """One device with objects of two policies."""

    def __init__(self, root: Path) -> None:
        root.mkdir()
        settings = FileSettings(Reserve(), threads_per_disk=2, ballast=0)
        self.root = root
        self.stores = {policy: FileReplicaStore(str(root), policy, settings=settings) for policy in (0, 1)}
        self.place = SearchedPlace("d1", str(root), self.stores)

    def put(self, text: str, content: bytes, policy: int = 0, etag: str = "") -> Path:
        """The path of the new object's file."""
        location = self.write(text, content, policy, etag)
        (path,) = Path(self.stores[policy].layout.hash_dir(location)).glob("*.data")
        return path

    def write(self, text: str, content: bytes, policy: int = 0, etag: str = "") -> Location:
        name = Name("a", "c", text)
        name_hash = SALT.hash(name)
        location = Location(partition_of(name_hash, 4), name_hash, policy)
        with self.stores[policy].create(location, len(content), hashing=not etag) as writer:
            writer.write(content)
            writer.commit(ObjectData(name.path, Timestamp(1000 * TICKS), "text/plain", {}, etag))
        return location

    def audit(self, etags: str = FIRST, check: Callable[[], None] = lambda: None, last_began: float = 0.0) -> Round:
        found = Round()
        found.last_began = last_began
        for _ in ObjectAuditor(ObjectRates(), etags, check, logging.getLogger("test.daemon")).full(self.place, found):
            pass
        return found

    def audit_quickly(self) -> Round:
        found = Round()
        for _ in ObjectAuditor(ObjectRates(), FIRST, lambda: None, logging.getLogger("test.daemon")).quick(
            self.place, found
        ):
            pass
        return found


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path / "d1")


def flip(path: Path, offset: int) -> None:
    with open(path, "r+b") as file:
        file.seek(offset)
        (byte,) = file.read(1)
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


def test_sound_objects_of_all_policies_are_read(device: Device) -> None:
    for number in range(20):
        device.put(f"o{number}", b"x" * number * 1000, policy=number % 2)
    assert device.audit().counts == {"objects": 20, "bytes": 190_000}
    assert device.audit_quickly().counts == {"objects": 20, "bytes": 0}


@pytest.mark.parametrize("offset", [0, BLOCK + 5, 3 * BLOCK + 99])
def test_a_flipped_bit_is_found(device: Device, offset: int) -> None:
    bad, good = device.put("bad", bytes(3 * BLOCK + 100)), device.put("good", bytes(3 * BLOCK + 100))
    flip(bad, offset)
    found = device.audit()
    assert found.counts["quarantined"] == 1
    assert found.counts["objects"] == 2
    assert not bad.exists()
    assert good.exists()
    assert len(list(device.root.glob("quarantined/objects/*/*.data"))) == 1
    assert "quarantined" not in device.audit().counts


@pytest.mark.parametrize("length", [0, 10, 5000])
def test_a_file_that_was_cut_short_is_found_by_a_quick_look(device: Device, length: int) -> None:
    bad = device.put("bad", bytes(100_000))
    os.truncate(bad, length)
    assert device.audit_quickly().counts["quarantined"] == 1
    assert not bad.exists()


def test_an_etag_that_is_not_the_contents_is_found_while_the_file_is_new(device: Device) -> None:
    bad = device.put("bad", b"content", etag="0" * 32)
    assert "quarantined" not in device.audit(NEVER).counts
    later = bad.stat().st_ctime + 4000
    assert "quarantined" not in device.audit(FIRST, last_began=later).counts
    assert device.audit(FIRST).counts["quarantined"] == 1
    assert not bad.exists()


def test_since_when_etags_are_checked() -> None:
    assert hashed_since(ALWAYS, 10_000) == 0
    assert hashed_since(NEVER, 10_000) == float("inf")
    assert hashed_since(FIRST, 0) == 0
    assert 0 < hashed_since(FIRST, 10_000) < 10_000


def test_told_to_end_the_auditor_stops_within_an_object(device: Device) -> None:
    device.put("large", bytes(10_000_000))
    asked: list[None] = []

    def check() -> None:
        asked.append(None)
        if len(asked) == 3:
            raise Interrupted

    with pytest.raises(Interrupted):
        device.audit(check=check)
    assert device.audit().counts["bytes"] == 10_000_000


def test_names_come_in_an_order_in_which_one_can_go_on(device: Device) -> None:
    for number in range(40):
        device.put(f"o{number}", b"", policy=number % 2)
    everything = list(stored_names.objects(device.stores, []))
    assert len({location for _, location in everything}) == 40
    assert [position for position, _ in everything] == sorted(position for position, _ in everything)
    for first in (0, 7, 20, 39):
        position = everything[first][0]
        rest = list(stored_names.objects(device.stores, position))
        assert rest[-1] == everything[-1]
        assert everything[first] in rest
        assert len(rest) <= 40 - first + sum(found == position for found, _ in everything)


def test_a_directory_that_cannot_be_listed_is_passed_over_in_the_end() -> None:
    class Torn:
        """An engine one of whose suffixes lies on a bad sector."""

        def audit_packed(self, *_: object) -> None:
            return None

        def unpacked(self) -> Torn:
            return self

        def partitions(self) -> list[int]:
            return [3]

        def suffix_hashes(self, partition: int) -> dict[str, str]:
            return dict.fromkeys(("aaa", "bbb", "ccc"), "")

        def changes(self, partition: int, suffix: str) -> dict[str, tuple[Change, ...]]:
            if suffix == "bbb":
                raise DeviceUnavailable("Input/output error")
            return {f"{0:029x}{suffix}": ()}

        def verify(self, location: Location, **how: object) -> int:
            seen.append(location.suffix)
            return 0

    seen: list[str] = []
    auditor, found = ObjectAuditor(ObjectRates(), FIRST, lambda: None, logging.getLogger("test.daemon")), Round()
    for _ in range(2):
        with pytest.raises(DeviceUnavailable):
            for position in auditor.full(SearchedPlace("d1", "", {0: Torn()}), found):
                found.position = position
    list(auditor.full(SearchedPlace("d1", "", {0: Torn()}), found))
    assert seen == ["aaa", "aaa", "aaa", "ccc"]
    assert found.counts == {"objects": 4, "bytes": 0, "errors": 1}


def test_a_tombstone_is_nothing_to_read(device: Device) -> None:
    path = device.put("gone", b"content")
    location = device.stores[0].layout.parse_hash_dir(str(path.parent))
    assert location is not None
    device.stores[0].delete(location, "/a/c/gone", Timestamp(2000 * TICKS))
    assert device.audit().counts.get("bytes", 0) == 0


class PackedDevice(Device):
    """One device whose objects of up to 1,000 bytes are packed."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        settings = FileSettings(Reserve(), threads_per_disk=2, ballast=0)
        self.stores = {
            policy: PackedStore(str(root), policy, settings=settings, limit=1000, power=lambda: 4) for policy in (0, 1)
        }
        self.place = SearchedPlace("d1", str(root), self.stores)

    def volume(self, policy: int = 0) -> Path:
        return self.root / ("packed-1" if policy else "packed") / "volumes" / "00000001.volume"


@pytest.fixture
def packed(tmp_path: Path) -> PackedDevice:
    return PackedDevice(tmp_path / "d2")


def test_packed_objects_and_those_in_files_are_read_once_each(packed: PackedDevice) -> None:
    for number in range(20):
        packed.write(f"o{number}", b"x" * 100, policy=number % 2)
    packed.put("large", b"x" * 5000)
    assert packed.audit().counts == {"objects": 21, "bytes": 7000}
    assert packed.audit_quickly().counts == {"objects": 1, "bytes": 0}


@pytest.mark.parametrize("policy", [0, 1])
def test_a_flipped_bit_in_a_volume_is_found(
    packed: PackedDevice, policy: int, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(9):
        packed.write(f"o{number}", b"content %d " % number * 9, policy)
    flip(packed.volume(policy), packed.volume(policy).read_bytes().index(b"content 5"))
    found = packed.audit()
    assert (found.counts["objects"], found.counts["quarantined"]) == (9, 1)
    assert len(found.findings) == 1
    assert "quarantined" in found.findings[0]
    assert "quarantined" in caplog.text
    assert packed.audit().counts == {"objects": 8, "bytes": 8 * 90}


def test_a_volume_that_was_cut_short_is_found_by_the_quick_tour(packed: PackedDevice) -> None:
    for number in range(9):
        packed.write(f"o{number}", b"content %d " % number * 9)
    os.truncate(packed.volume(), packed.volume().read_bytes().index(b"content 7"))
    assert packed.audit_quickly().counts["quarantined"] == 2


def test_a_round_of_volumes_goes_on_at_its_position_and_then_with_files(packed: PackedDevice) -> None:
    for number in range(9):
        packed.write(f"o{number}", b"x" * 100, policy=number % 2)
    packed.put("large", b"x" * 5000)
    found = Round()
    auditor = ObjectAuditor(ObjectRates(), FIRST, lambda: None, logging.getLogger("test.daemon"))
    positions = []
    while True:  # each step by another process
        step = next(auditor.full(packed.place, found), None)
        if step is None or step == found.position:
            break
        found.position = step
        positions.append(step)
        auditor = ObjectAuditor(ObjectRates(), FIRST, lambda: None, logging.getLogger("test.daemon"))
    assert positions == sorted(positions)
    assert found.counts["bytes"] >= 5900
    assert positions[-1][0] == 0


def test_volumes_that_cannot_be_read_are_passed_over_in_the_end(device: Device) -> None:
    class Torn(FileReplicaStore):
        def audit_packed(self, *_: object) -> None:  # type: ignore[override]
            raise DeviceUnavailable("Input/output error")

    flip(device.put("large", bytes(5000)), 3)
    stores = {0: Torn(str(device.root), settings=FileSettings(Reserve(), ballast=0))}
    auditor, found = ObjectAuditor(ObjectRates(), FIRST, lambda: None, logging.getLogger("test.daemon")), Round()
    for _ in range(2):
        with pytest.raises(DeviceUnavailable):
            list(auditor.full(SearchedPlace("d1", "", stores), found))
    list(auditor.full(SearchedPlace("d1", "", stores), found))
    assert (found.counts["quarantined"], found.counts["errors"]) == (1, 1)
