"""The daemons that deliver updates that servers could not send at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from objstore.assembly.surroundings import Duty, Surroundings, Work
from objstore.core.names import Location
from objstore.core.timestamps import Clock
from objstore.daemon.duties.container_updater import ReportedContainers, TotalsUpdater
from objstore.daemon.duties.object_updater import ObjectUpdater
from objstore.daemon.runner import DaemonPace
from objstore.runtime.settings import duration, positive, setting, table


@dataclass(frozen=True)
class ContainerUpdaterSettings:
    """Settings of `container-updater`."""

    container_updater_interval: float = setting(duration, "30s", "interval between reports of container totals")
    container_updater_concurrency: int = setting(positive, "4", "number of containers reported at once")


@dataclass(frozen=True)
class ObjectUpdaterSettings:
    """Settings of `object-updater`."""

    object_updater_interval: float = setting(duration, "30s", "retry interval of spooled updates")
    object_updater_concurrency: int = setting(positive, "4", "number of containers updated at once")


def _container_updater(around: Surroundings) -> Work:
    def containers() -> Iterator[ReportedContainers]:
        return (ReportedContainers(name, device.containers) for name, device in around.available())

    values = around.read(ContainerUpdaterSettings)
    # Searching for changes takes time if there are many containers, so it must pause.
    pace = DaemonPace(values.container_updater_interval, rest=4.0, concurrency=values.container_updater_concurrency)
    ring = around.ring("container")

    def is_primary(device: str, location: Location) -> bool:
        found = ring()
        nodes = found.primaries(location.partition) if found.partition(location.hash) == location.partition else ()
        return any(node.device == device and around.is_own(node) for node in nodes)

    updater = TotalsUpdater(
        containers, is_primary, around.peers("account"), Clock(), reclaim_age=around.cluster.reclaim_age
    )
    return Work(updater.passes, pace, lambda: {"reported_total": updater.reported})


def _object_updater(around: Surroundings) -> Work:
    def spools() -> Iterator[Any]:
        for _, device in around.available():
            for policy in around.cluster.policies:
                yield device.spool(policy.index)

    values = around.read(ObjectUpdaterSettings)
    updater = ObjectUpdater(spools, around.peers("container"))
    pace = DaemonPace(values.object_updater_interval, rest=1.0, concurrency=values.object_updater_concurrency)
    return Work(updater.passes, pace, lambda: {"delivered_total": updater.delivered})


CONTAINER_UPDATER = Duty("container-updater", table(ContainerUpdaterSettings), _container_updater)
OBJECT_UPDATER = Duty("object-updater", table(ObjectUpdaterSettings), _object_updater)
