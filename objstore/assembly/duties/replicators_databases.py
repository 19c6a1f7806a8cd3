"""The daemons that keep the replicas of accounts and of containers equal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from operator import attrgetter

from objstore.assembly.surroundings import Duty, Surroundings, Work
from objstore.daemon.duties.database_replicator import (
    Around,
    DatabaseReplicationOptions,
    DatabaseReplicator,
    DeviceReplicas,
)
from objstore.daemon.runner import DaemonPace
from objstore.replication.databases import DatabaseBounds
from objstore.runtime.settings import duration, positive, rate, setting, table


def _part(text: str) -> float:
    number = float(text)
    if not 0 < number <= 1:
        raise ValueError("is not greater than 0 and at most 1")
    return number


@dataclass(frozen=True)
class DatabaseReplicatorSettings:
    """Settings of `account-replicator` and `container-replicator`; their names begin with that of the daemon."""

    interval: float = setting(duration, "30s", "interval between passes over all databases")
    load: float = setting(_part, "0.2", "maximum share of time that passes may take")
    concurrency: int = setting(positive, "2", "number of partitions replicated at once, per device")
    compare_every: int = setting(positive, "2", "number of passes after which unchanged databases are compared too")
    rows_per_second: float = setting(rate, "20000", "limit of rows this host sends per second; 0: no limit")
    rows: int = setting(positive, "1000", "number of rows sent in one request")
    file_rows: int = setting(positive, "10000", "minimum number of missing rows to send a whole file")
    file_part: float = setting(_part, "0.5", "share of missing rows above which the whole file is sent")
    reclaim_interval: float = setting(duration, "1d", "interval to remove old deleted rows")


def _devices(around: Surroundings, stores: str) -> Iterator[DeviceReplicas]:
    store = attrgetter(stores)
    return (DeviceReplicas(name, store(device)) for name, device in around.available())


def _make(kind: str, around: Surroundings) -> Work:
    values = around.read(DatabaseReplicatorSettings, _prefix(kind))
    devices = partial(_devices, around, f"{kind}s")
    known = Around(devices, around.ring(kind), around.is_own, around.transport, around.logger)
    options = DatabaseReplicationOptions(
        around.cluster.reclaim_age,
        values.reclaim_interval,
        values.rows_per_second,
        values.concurrency,
        values.compare_every,
        DatabaseBounds(values.rows, values.file_rows, values.file_part),
    )
    replicator = DatabaseReplicator(known, options)
    # One lane per device: the total is not limited, only the number per device.
    pace = DaemonPace(values.interval, rest=1 / values.load - 1, concurrency=64)
    return Work(replicator.passes, pace, replicator.status, replicator.stop)


def _prefix(kind: str) -> str:
    return f"{kind}_replicator_"


def _duty(kind: str) -> Duty:
    return Duty(f"{kind}-replicator", table(DatabaseReplicatorSettings, _prefix(kind)), partial(_make, kind))


ACCOUNT_REPLICATOR = _duty("account")
CONTAINER_REPLICATOR = _duty("container")
