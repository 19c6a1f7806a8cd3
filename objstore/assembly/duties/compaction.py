"""The daemon that frees the room of dead packed objects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from objstore.assembly.surroundings import Duty, Surroundings, Work
from objstore.daemon.duties.object_compactor import ObjectCompactor
from objstore.daemon.rounds import Rounds, SearchedPlace, Tour
from objstore.daemon.runner import DaemonPace
from objstore.runtime.settings import duration, positive, setting, size, table


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
    object_compactor_interval: float = setting(duration, "30s", "interval to check which devices are due")
    object_compactor_cycle: float = setting(duration, "10m", "minimum interval between rounds of a device")
    object_compactor_bytes_per_second: int = setting(
        size, "50M", "limit of bytes read and written on each device per second; 0: no limit"
    )
    object_compactor_concurrency: int = setting(positive, "4", "number of devices compacted at once")


def _object_compactor(around: Surroundings) -> Work:
    values = around.read(ObjectCompactorSettings)
    packed = [policy.index for policy in around.cluster.policies if policy.packed_limit and policy.engine != "memory"]

    def places() -> Iterator[SearchedPlace]:
        if packed:
            for name, device in around.available():
                yield SearchedPlace(name, device.path, {index: device.objects(index) for index in packed})

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
    tours = (Tour("compaction", values.object_compactor_cycle, compactor.tour),)
    rounds = Rounds("object-compactor", places, tours, around.logger, at_once=around.at_once)
    pace = DaemonPace(values.object_compactor_interval, concurrency=values.object_compactor_concurrency)
    return Work(rounds.passes, pace, status, rounds.stop)


OBJECT_COMPACTOR = Duty("object-compactor", table(ObjectCompactorSettings), _object_compactor)
