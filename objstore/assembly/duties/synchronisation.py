"""The daemon that copies containers to other clusters."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from objstore.assembly.apps import StorageSettings
from objstore.assembly.surroundings import Duty, Surroundings, Work
from objstore.core.names import Location
from objstore.daemon.duties.container_sync import SyncingDevice, SyncMeans, SyncOptions, SyncSender
from objstore.daemon.far_cluster import FarClusters
from objstore.daemon.runner import DaemonPace
from objstore.layers.registry import LAYERS
from objstore.layers.stack import Deps, Outermost
from objstore.runtime.settings import duration, positive, rate, setting, table
from objstore.runtime.sync_realms import FILE_NAME, SyncRealms

_REALMS_INTERVAL = 60.0  # seconds between looks at the file of realms


@dataclass(frozen=True)
class SyncSenderSettings:
    """Settings of `container-sync`."""

    container_sync_interval: float = setting(duration, "1m", "interval between searches for changes to synchronise")
    container_sync_full_interval: float = setting(
        duration, "1h", "interval between passes over all containers, changed or not"
    )
    container_sync_takeover: float = setting(
        duration, "10m", "time after which a host takes over the unfinished work of another"
    )
    container_sync_rows: int = setting(positive, "10000", "maximum number of changes of a container in one pass")
    container_sync_concurrency: int = setting(positive, "4", "number of objects sent at once")
    container_sync_rate: float = setting(rate, "0", "limit of objects sent per second; 0: no limit")
    container_sync_timeout: float = setting(duration, "1m", "timeout of each wait for the other cluster")


def _container_sync(around: Surroundings) -> Work:
    def devices() -> Iterator[SyncingDevice]:
        return (SyncingDevice(name, device.containers) for name, device in around.available())

    def replica_of(device: str, location: Location) -> tuple[int, int] | None:
        found = ring()
        if found.partition(location.hash) != location.partition:
            return None
        nodes = found.primaries(location.partition)
        own = (index for index, node in enumerate(nodes) if node.device == device and around.is_own(node))
        index = next(own, None)
        return None if index is None else (index, len(nodes))

    values = around.read(SyncSenderSettings)
    ring = around.ring("container")
    realms = SyncRealms(os.path.join(around.read(StorageSettings).ring_dir, FILE_NAME), around.logger, _REALMS_INTERVAL)
    deps = Deps(around.conf, around.cluster.policies, around.logger, Outermost())
    layer = LAYERS.build(around.layer, deps, LAYERS.default.split())
    far = FarClusters(values.container_sync_concurrency, values.container_sync_timeout)
    means = SyncMeans(devices, replica_of, layer, realms.get, far.send, around.logger)
    options = SyncOptions(values.container_sync_takeover, values.container_sync_rows)
    work = SyncSender(means, options, values.container_sync_full_interval)
    pace = DaemonPace(
        values.container_sync_interval,
        rate=values.container_sync_rate,
        concurrency=values.container_sync_concurrency,
    )
    return Work(work.passes, pace, work.status)


CONTAINER_SYNC = Duty("container-sync", table(SyncSenderSettings), _container_sync)
