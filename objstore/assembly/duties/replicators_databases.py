"""The daemons that keep the replicas of accounts and of containers equal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from operator import attrgetter

from objstore.assembly.surroundings import Duty, Surroundings, Work
from objstore.daemon.duties.database_replicator import Around, DatabaseReplicator, DeviceReplicas, Options
from objstore.daemon.runner import Pace
from objstore.replication.databases import Bounds
from objstore.runtime.settings import duration, positive, rate, setting, table


def _part(text: str) -> float:
    number = float(text)
    if not 0 < number <= 1:
        raise ValueError("is not greater than 0 and at most 1")
    return number


@dataclass(frozen=True)
class DatabaseReplicatorSettings:
    """Settings of `account-replicator` and `container-replicator`; their names begin with that of the daemon."""

    interval: float = setting(duration, "30s", "pause between passes over all databases")
    load: float = setting(_part, "0.2", "which part of the time passes may take, at most")
    concurrency: int = setting(positive, "2", "partitions under way at once, of one device")
    compare_every: int = setting(positive, "2", "passes after which what did not change is compared")
    rows_per_second: float = setting(rate, "20000", "rows to send, of this host; 0: no bound")
    rows: int = setting(positive, "1000", "rows sent in one request")
    file_rows: int = setting(positive, "10000", "fewer missing rows than these make no file")
    file_part: float = setting(_part, "0.5", "part of the rows missing above which the file is sent")
    reclaim_interval: float = setting(duration, "1d", "how often to look for rows to forget")


def _devices(around: Surroundings, stores: str) -> Iterator[DeviceReplicas]:
    store = attrgetter(stores)
    return (DeviceReplicas(name, store(device)) for name, device in around.available())


def _make(kind: str, around: Surroundings) -> Work:
    values = around.read(DatabaseReplicatorSettings, _prefix(kind))
    devices = partial(_devices, around, f"{kind}s")
    known = Around(devices, around.ring(kind), around.is_own, around.transport, around.logger)
    options = Options(
        around.cluster.reclaim_age,
        values.reclaim_interval,
        values.rows_per_second,
        values.concurrency,
        values.compare_every,
        Bounds(values.rows, values.file_rows, values.file_part),
    )
    replicator = DatabaseReplicator(known, options)
    # One lane a device: as many as there may be; the bound that counts is that of each device.
    pace = Pace(values.interval, rest=1 / values.load - 1, concurrency=64)
    return Work(replicator.passes, pace, replicator.told, replicator.stop)


def _prefix(kind: str) -> str:
    return f"{kind}_replicator_"


def _duty(kind: str) -> Duty:
    return Duty(f"{kind}-replicator", table(DatabaseReplicatorSettings, _prefix(kind)), partial(_make, kind))


ACCOUNT_REPLICATOR = _duty("account")
CONTAINER_REPLICATOR = _duty("container")
