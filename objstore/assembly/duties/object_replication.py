"""The daemon that keeps the copies of objects equal."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

from objstore.assembly.surroundings import Duty, Surroundings, Work
from objstore.core.policies import ring_name
from objstore.daemon.duties.object_partition import ObjectPeers, ObjectReplicationOptions, ReplicatedPlace
from objstore.daemon.duties.object_replicator import ObjectReplicator, ReplicatorHost
from objstore.daemon.runner import DaemonPace
from objstore.http.client import ClientSettings, Pool
from objstore.replication.objects_messages import boot_identity, device_identity
from objstore.replication.objects_plan import ALL
from objstore.replication.objects_sender import Flow, SenderBounds
from objstore.runtime import green
from objstore.runtime.settings import duration, positive, rate, setting, size, table
from objstore.runtime.throttle import Throttle
from objstore.server.devices import Device
from objstore.store.interface import ReplicaStore
from objstore.wire.remote import HttpTransport


def _confirmations(text: str) -> int:
    return ALL if text.strip() == "auto" else positive(text)


@dataclass(frozen=True)
class ObjectReplicatorSettings:
    """Settings of `object-replicator`."""

    object_replicator_interval: float = setting(
        duration, "30s", "interval between passes over all partitions of objects"
    )
    object_replicator_concurrency: int = setting(
        positive, "8", "number of partitions replicated at once, over all devices"
    )
    object_replicator_per_device: int = setting(positive, "4", "number of partitions replicated at once, per device")
    object_replicator_timeout: float = setting(duration, "60s", "timeout for a peer to begin its answer")
    object_replicator_peer_pause: float = setting(duration, "15s", "retry interval of a peer that did not answer")
    object_replicator_handoff_delete: int = setting(
        _confirmations, "auto", "number of primaries that must hold a change before a handoff removes it; auto: all"
    )
    object_replicator_bytes_per_second: int = setting(size, "0", "limit of bytes sent per second; 0: no limit")
    object_replicator_files_per_second: float = setting(rate, "0", "limit of changes sent per second; 0: no limit")
    object_replicator_max_load: float = setting(
        rate, "0", "load average per core above which it slows down; 0: no limit"
    )
    object_replicator_compare: int = setting(
        positive, "500", "number of partitions compared with a peer in one request"
    )
    object_replicator_offer: int = setting(positive, "1000", "number of names offered to a peer in one request")
    object_replicator_batch_size: int = setting(size, "4M", "limit of bytes of small changes in one request")
    object_replicator_batch_files: int = setting(positive, "256", "limit of small changes in one request")
    object_replicator_large: int = setting(size, "1M", "size above which a change is sent in a request of its own")
    object_replicator_reclaim_interval: float = setting(
        duration, "1d", "interval to remove old tombstones of a partition"
    )


_LONGEST_REST = 10.0  # seconds for one partition: a host that is always busy must be replicated too


def _replicator(around: Surroundings) -> Work:
    values = around.read(ObjectReplicatorSettings)
    identity = partial(device_identity, boot_identity())
    on_disk = [policy.index for policy in around.cluster.policies if policy.engine != "memory"]
    rings = {policy: around.ring(ring_name(policy)) for policy in on_disk}

    def places() -> Iterator[ReplicatedPlace]:
        for name, device in around.available():
            for policy, ring in rings.items():
                store = cast(ReplicaStore, device.objects(policy))
                try:
                    yield ReplicatedPlace(name, policy, store, ring, identity(device.path), _tidying(device, policy))
                except OSError as error:
                    around.logger.error("%s: %s", name, error)

    options = ObjectReplicationOptions(
        around.cluster.reclaim_age,
        values.object_replicator_reclaim_interval,
        values.object_replicator_handoff_delete,
        values.object_replicator_offer,
        values.object_replicator_per_device,
        SenderBounds(
            values.object_replicator_batch_size, values.object_replicator_batch_files, values.object_replicator_large
        ),
        values.object_replicator_compare,
    )
    flow = Flow(
        Throttle(values.object_replicator_bytes_per_second).take,
        Throttle(values.object_replicator_files_per_second).take,
    )
    client = replace(around.read(ClientSettings), node_timeout=values.object_replicator_timeout)
    transport = around.transport.with_remote(HttpTransport(Pool(client)))
    peers = ObjectPeers(transport, flow, values.object_replicator_peer_pause, around.logger)
    host = ReplicatorHost(places, around.is_own, partial(rest, values.object_replicator_max_load))
    replicator = ObjectReplicator(host, peers, options)
    pace = DaemonPace(values.object_replicator_interval, rest=0.5, concurrency=values.object_replicator_concurrency)
    return Work(replicator.passes, pace, replicator.status, replicator.stop)


def _tidying(device: Device, policy: int) -> Callable[[], object]:
    store: Any = device.objects(policy)
    return lambda: store.remove_stale_temporaries(time.time())


def _load() -> float:
    """Return the load average of the last minute per core."""
    return os.getloadavg()[0] / (os.cpu_count() or 1)


def rest(
    max_load: float,
    load: Callable[[], float] = _load,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = green.sleep,
) -> None:
    """Wait for a limited time while the host's load is too high. max_load: 0 for no limit."""
    if max_load <= 0:
        return
    until = monotonic() + _LONGEST_REST
    while load() > max_load and monotonic() < until:
        sleep(1.0)


OBJECT_REPLICATOR = Duty("object-replicator", table(ObjectReplicatorSettings), _replicator)
