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
from objstore.daemon.duties.object_partition import Options, Peers, Place
from objstore.daemon.duties.object_replicator import Host, ObjectReplicator
from objstore.daemon.runner import Pace
from objstore.http.client import ClientSettings, Pool
from objstore.replication.objects_messages import boot_identity, device_identity
from objstore.replication.objects_plan import ALL
from objstore.replication.objects_sender import Bounds, Flow
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

    object_replicator_interval: float = setting(duration, "30s", "pause between passes over all partitions of objects")
    object_replicator_concurrency: int = setting(positive, "8", "partitions worked on at once, of all devices")
    object_replicator_per_device: int = setting(positive, "4", "partitions worked on at once, of one device")
    object_replicator_timeout: float = setting(duration, "60s", "how long a peer may take to begin its answer")
    object_replicator_peer_pause: float = setting(duration, "15s", "how long a peer that did not answer is left alone")
    object_replicator_handoff_delete: int = setting(
        _confirmations, "auto", "primaries that must have what a handoff removes; auto: all"
    )
    object_replicator_bytes_per_second: int = setting(size, "0", "bytes sent a second, at most; 0: no bound")
    object_replicator_files_per_second: float = setting(rate, "0", "changes sent a second, at most; 0: no bound")
    object_replicator_max_load: float = setting(
        rate, "0", "host's load for each core above which it sends slowly; 0: no bound"
    )
    object_replicator_compare: int = setting(positive, "500", "partitions compared with a peer in one request")
    object_replicator_offer: int = setting(positive, "1000", "names offered to a peer in one request")
    object_replicator_batch_size: int = setting(size, "4M", "bytes of small changes sent in one request")
    object_replicator_batch_files: int = setting(positive, "256", "small changes sent in one request")
    object_replicator_large: int = setting(size, "1M", "changes larger than this go in requests of their own")
    object_replicator_reclaim_interval: float = setting(
        duration, "1d", "how often a partition's old tombstones are removed"
    )


_LONGEST_REST = 10.0  # seconds for one partition: also a host that is always busy is to be replicated


def _replicator(around: Surroundings) -> Work:
    values = around.read(ObjectReplicatorSettings)
    identity = partial(device_identity, boot_identity())
    on_disk = [policy.index for policy in around.cluster.policies if policy.engine != "memory"]
    rings = {policy: around.ring(ring_name(policy)) for policy in on_disk}

    def places() -> Iterator[Place]:
        for name, device in around.available():
            for policy, ring in rings.items():
                store = cast(ReplicaStore, device.objects(policy))
                try:
                    yield Place(name, policy, store, ring, identity(device.path), _tidying(device, policy))
                except OSError as error:
                    around.logger.error("%s: %s", name, error)

    options = Options(
        around.cluster.reclaim_age,
        values.object_replicator_reclaim_interval,
        values.object_replicator_handoff_delete,
        values.object_replicator_offer,
        values.object_replicator_per_device,
        Bounds(
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
    peers = Peers(transport, flow, values.object_replicator_peer_pause, around.logger)
    host = Host(places, around.is_own, partial(rest, values.object_replicator_max_load))
    replicator = ObjectReplicator(host, peers, options)
    pace = Pace(values.object_replicator_interval, rest=0.5, concurrency=values.object_replicator_concurrency)
    return Work(replicator.passes, pace, replicator.told, replicator.stop)


def _tidying(device: Device, policy: int) -> Callable[[], object]:
    store: Any = device.objects(policy)
    return lambda: store.remove_stale_temporaries(time.time())


def _load() -> float:
    """Load of the last minute for each core."""
    return os.getloadavg()[0] / (os.cpu_count() or 1)


def rest(
    max_load: float,
    load: Callable[[], float] = _load,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = green.sleep,
) -> None:
    """Wait while the host has more to do than it should, for a while. max_load: 0 for no bound."""
    if max_load <= 0:
        return
    until = monotonic() + _LONGEST_REST
    while load() > max_load and monotonic() < until:
        sleep(1.0)


OBJECT_REPLICATOR = Duty("object-replicator", table(ObjectReplicatorSettings), _replicator)
