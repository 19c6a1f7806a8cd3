"""The daemons of packed objects: one frees the room of dead ones, one moves small files into volumes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from objstore.assembly.surroundings import Duty, Surroundings, Work
from objstore.core.policies import ring_name
from objstore.daemon.duties.object_compactor import ObjectCompactor
from objstore.daemon.duties.object_packer import ObjectPacker, PackedPolicy
from objstore.daemon.rounds import Rounds, SearchedPlace, Tour
from objstore.daemon.runner import DaemonPace
from objstore.runtime.settings import boolean, duration, positive, rate, setting, size, table
from objstore.store.packed.store import PackedStore


def _share(text: str) -> float:
    share = float(text)
    if not 0 < share <= 1:
        raise ValueError("is not greater than 0 and at most 1")
    return share


@dataclass(frozen=True)
class ObjectCompactorSettings:
    """Settings of `object-compactor`."""

    packed_dead_share: float = setting(
        _share, "0.5", "share of dead bytes from which on a volume of packed objects is compacted"
    )
    packed_checkpoint_cycle: float = setting(
        duration, "1m", "minimum interval between checkpoints of the index of packed objects on a device"
    )
    object_compactor_interval: float = setting(duration, "30s", "interval to check which devices are due")
    object_compactor_cycle: float = setting(duration, "10m", "minimum interval between rounds of a device")
    object_compactor_bytes_per_second: int = setting(
        size, "50M", "limit of bytes read and written on each device per second; 0: no limit"
    )
    object_compactor_concurrency: int = setting(positive, "4", "number of devices compacted at once")


def _object_compactor(around: Surroundings) -> Work:
    values = around.read(ObjectCompactorSettings)
    policies = [policy.index for policy in around.cluster.policies if policy.engine != "memory"]

    def places() -> Iterator[SearchedPlace]:
        """Devices with policies that pack, or did: their volumes go when all has been moved out of them."""
        for name, device in around.available():
            stores = {index: device.objects(index) for index in policies}
            packed = {index: store for index, store in stores.items() if isinstance(store, PackedStore)}
            if packed:
                yield SearchedPlace(name, device.path, packed)

    def status() -> dict[str, object]:
        found = rounds.status()
        devices: dict[str, object] = found["devices"]  # type: ignore[assignment]
        for name, usage in compactor.usage().items():
            devices[name] = {**devices.get(name, {}), **usage}  # type: ignore[dict-item]
        return found

    compactor = ObjectCompactor(
        values.packed_dead_share,
        values.object_compactor_bytes_per_second,
        lambda: rounds.check(),
        around.logger,
    )
    tours = (
        Tour("compaction", values.object_compactor_cycle, compactor.tour),
        Tour("checkpoint", values.packed_checkpoint_cycle, compactor.checkpoints),
    )
    rounds = Rounds("object-compactor", places, tours, around.logger, at_once=around.at_once)
    pace = DaemonPace(values.object_compactor_interval, concurrency=values.object_compactor_concurrency)
    return Work(rounds.passes, pace, status, rounds.stop)


OBJECT_COMPACTOR = Duty("object-compactor", table(ObjectCompactorSettings), _object_compactor)


@dataclass(frozen=True)
class ObjectPackerSettings:
    """Settings of `object-packer`."""

    packing: bool = setting(boolean, "no", "move small files of policies with a packed_limit into volumes")
    object_packer_interval: float = setting(duration, "5m", "interval to check which devices are due")
    object_packer_cycle: float = setting(duration, "7d", "minimum interval between rounds of a device")
    object_packer_objects_per_second: float = setting(
        rate, "200", "limit of objects moved on each device per second; 0: no limit"
    )
    object_packer_bytes_per_second: int = setting(
        size, "10M", "limit of bytes moved on each device per second; 0: no limit"
    )


def _object_packer(around: Surroundings) -> Work:
    values = around.read(ObjectPackerSettings)
    packed = [policy for policy in around.cluster.policies if policy.packed_limit and policy.engine == "file"]

    def policies() -> Iterator[PackedPolicy]:
        """Those whose rings keep their number of partitions."""
        for policy in packed:
            ring = around.ring(ring_name(policy.index))()
            if not ring.step:
                yield PackedPolicy(policy.index, policy.packed_limit, ring.part_power)

    def places() -> Iterator[SearchedPlace]:
        if values.packing and packed:
            for name, device in around.available():
                yield SearchedPlace(name, device.path, policies)

    packer = ObjectPacker(
        values.object_packer_objects_per_second, values.object_packer_bytes_per_second, lambda: rounds.check()
    )
    tours = (Tour("packing", values.object_packer_cycle, packer.tour),)
    rounds = Rounds("object-packer", places, tours, around.logger, at_once=around.at_once)
    return Work(rounds.passes, DaemonPace(values.object_packer_interval), rounds.status, rounds.stop)


OBJECT_PACKER = Duty("object-packer", table(ObjectPackerSettings), _object_packer)
