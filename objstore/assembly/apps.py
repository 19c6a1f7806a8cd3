"""PasteDeploy app factories: the proxy and the three storage servers from sections of a configuration."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, NamedTuple

from objstore.cluster.cluster import Cluster, Transports
from objstore.cluster.layer import ClusterLayer
from objstore.cluster.settings import ClusterSettings
from objstore.core.limits import Limits
from objstore.core.names import Location
from objstore.core.policies import packed_dir, ring_name
from objstore.core.timestamps import Clock
from objstore.http.client import ClientSettings, Pool
from objstore.layers import registry
from objstore.layers.interface import ObjectLayer
from objstore.layers.registry import LAYERS, StackSettings
from objstore.layers.stack import Deps, Outermost
from objstore.ring import Ring, RingLoader
from objstore.runtime import cluster_conf, log, settings
from objstore.runtime.cluster_conf import ClusterConf
from objstore.runtime.files import FILES, is_directory
from objstore.runtime.settings import Table, boolean, duration, setting, table
from objstore.runtime.threads import ThreadPool
from objstore.server import database_replication, object_replication
from objstore.server.account_update import AccountUpdater
from objstore.server.accounts import account_server
from objstore.server.container_update import ContainerUpdater
from objstore.server.containers import container_server
from objstore.server.database_replication import DatabaseReplicationSettings
from objstore.server.devices import Devices, Makers
from objstore.server.http_adapter import StorageApp
from objstore.server.object_replication import ObjectReplication, ObjectReplicationSettings
from objstore.server.objects import object_server
from objstore.server.own_rows import OwnRows
from objstore.server.storage_server import StorageServer
from objstore.store.databases import AccountStore, ContainerStore, DatabaseSettings
from objstore.store.objects.file_store import FileSettings
from objstore.store.objects.memory_store import MemoryStore
from objstore.store.objects.replica_store import FileReplicaStore
from objstore.store.packed.store import PackedStore
from objstore.store.spool import Spool
from objstore.swift.app import ProxyApp
from objstore.web.requests import WsgiApp
from objstore.wire.local import LocalTransport
from objstore.wire.remote import HttpTransport


@dataclass(frozen=True)
class StorageSettings:
    """The devices of a storage server."""

    ring_dir: str = setting(str, "/etc/objstore", "directory of objstore.conf and the ring files")
    devices: str = setting(os.path.normpath, "/srv/node", "directory under which the devices are mounted")
    mount_check: bool = setting(boolean, "yes", "refuse devices that are not mount points")
    disk_patience: float = setting(
        duration, "15s", "a device without progress for this time refuses requests; 0: it never does"
    )
    disk_timeout: float = setting(duration, "8s", "timeout of one call to a device for a read; 0: none")


STORAGE_SETTINGS = (*table(StorageSettings), *table(FileSettings))


@dataclass(frozen=True)
class LeaseSettings:
    """Leases of conditional writes."""

    lease_time: float = setting(duration, "5", "longest lease of a name for one conditional write, in seconds")


# A change waits for this update while its proxy waits for the change, so the timeout must be much shorter than the
# proxy's.
@dataclass(frozen=True)
class UpdateSettings:
    """Updates of other servers."""

    update_timeout: float = setting(duration, "2s", "timeout to send a change to a container or account server")


_WHERE = "storage server"
_PROXY = "app:proxy-server"


class StorageServers(NamedTuple):
    """The storage servers of one host's devices, and those devices."""

    devices: Devices
    account: StorageServer
    container: StorageServer
    object: StorageServer

    @property
    def by_kind(self) -> dict[str, StorageServer]:
        """The servers by kind, for LocalTransport."""
        return {server.kind: server for server in (self.account, self.container, self.object)}


def storage_servers(conf: Mapping[str, str], transports: Transports) -> StorageServers:
    """Make the three storage servers over one set of devices."""
    values = settings.read(StorageSettings, conf, _WHERE)
    cluster = cluster_conf.load(values.ring_dir)
    logger = log.from_conf(conf, "storage-server")
    devices = Devices(values.devices, _makers(conf, values, cluster, logger), values.mount_check)
    clock = Clock()
    limits = cluster.limits
    replication = settings.read(DatabaseReplicationSettings, conf, _WHERE, database_replication.PREFIX)
    accounts = account_server(devices, cluster.salt, logger, cluster.policies, limits, replication)
    telling = _telling(conf, transports)
    account_updater = AccountUpdater(telling, clock, logger)
    containers = container_server(devices, cluster.salt, account_updater, logger, limits, replication)
    limits_of_peers = settings.read(ObjectReplicationSettings, conf, _WHERE, object_replication.PREFIX)
    replicate = ObjectReplication(limits_of_peers)
    updater = ContainerUpdater(telling, logger, OwnRows(cluster.salt, transports.is_local))
    lease_time = settings.read(LeaseSettings, conf, "object server").lease_time
    objects = object_server(devices, cluster.salt, updater, logger, lease_time, replicate)
    return StorageServers(devices, accounts, containers, objects)


def _telling(conf: Mapping[str, str], transports: Transports) -> Transports:
    """Make the transport for updates, whose timeout is short: an update that fails waits in the spool."""
    timeout = settings.read(UpdateSettings, conf, _WHERE).update_timeout
    options = replace(settings.read(ClientSettings, conf, "client"), node_timeout=timeout)
    return transports.with_remote(HttpTransport(Pool(options)), timeout)


def in_process(
    conf: Mapping[str, str], addresses: frozenset[tuple[str, int]]
) -> tuple[StorageServers, LocalTransport, Transports]:
    """Make the storage servers of this host's devices, called without a socket; `addresses` are theirs in the rings.

    The returned transports also connect them with each other.
    """
    transports = remote_transports(conf)
    storage = storage_servers(conf, transports)
    timeout = settings.read(ClientSettings, conf, "client").node_timeout
    local = LocalTransport(storage.by_kind, timeout)
    transports.use_local(local, addresses)
    return storage, local, transports


def _is_outgrown(store: Any) -> bool:
    """Return whether another process has begun to pack what this store keeps as files, and would not find any more."""
    return type(store) is FileReplicaStore and is_directory(store.layout.packed)


def _makers(conf: Mapping[str, str], values: StorageSettings, cluster: ClusterConf, logger: logging.Logger) -> Makers:
    databases = replace(settings.read(DatabaseSettings, conf, _WHERE), patience=values.disk_patience)
    files = settings.read(FileSettings, conf, _WHERE)
    files = replace(files, patience=values.disk_patience, timeout=values.disk_timeout)

    @cache
    def threads(path: str) -> ThreadPool:
        """Make the threads of one device, for the objects of all its policies."""
        return ThreadPool(f"disk:{path}", files.threads_per_disk, files.patience)

    def objects(path: str, policy: int) -> Any:
        found = cluster.policies.get(policy)
        if found is not None and found.engine == "memory":
            return MemoryStore()
        options: dict[str, Any] = {"pool": threads(path), "on_quarantine": quarantined("an object", path)}
        limit = found.packed_limit if found is not None else 0
        if limit or is_directory(os.path.join(path, packed_dir(policy))):  # what was packed before stays readable
            return PackedStore(path, policy, FILES, files, limit=limit or -1, power=partial(power, policy), **options)
        return FileReplicaStore(path, policy, FILES, files, **options)

    rings = cache(lambda policy: RingLoader(os.path.join(values.ring_dir, f"{ring_name(policy)}.ring"), logger))

    def power(policy: int) -> int:
        return rings(policy).get().part_power

    def quarantined(kind: str, path: str) -> Callable[[Location, str], None]:
        def log_it(location: Location, why: str) -> None:
            logger.error("%s: %s is in quarantine: %s: %s", path, kind, location.hash, why)

        return log_it

    return Makers(
        objects=objects,
        containers=lambda path: ContainerStore(
            path, FILES, databases, quarantined("a container", path), logger.warning
        ),
        accounts=lambda path: AccountStore(path, FILES, databases, quarantined("an account", path)),
        spool=lambda path, policy: Spool(path, FILES, policy),
        patience=values.disk_patience,
        is_outgrown=_is_outgrown,
    )


def remote_transports(conf: Mapping[str, str]) -> Transports:
    """Make the HTTP transport to every node; processes with storage servers of their own add in-process transports."""
    return Transports(HttpTransport(Pool(settings.read(ClientSettings, conf, "client"))))


def cluster_layer(conf: Mapping[str, str], transports: Transports | None = None) -> ObjectLayer:
    """The object layer without those around the cluster: for daemons and commands.

    Raises ConfigError for settings and rings.
    """
    cluster, limits = _cluster(conf, transports)
    return ClusterLayer(cluster, limits.max_file_size)


def proxy_app(
    conf: Mapping[str, str], transports: Transports | None = None, layers: Sequence[str] | None = None
) -> ProxyApp:
    """The proxy, without the filters before it. layers: in place of those in the settings; raises as above."""
    order = settings.read(StackSettings, conf, _PROXY).layers if layers is None else layers
    cluster, limits = _cluster(conf, transports)
    layer = ClusterLayer(cluster, limits.max_file_size)
    deps = Deps(conf, cluster.policies, cluster.logger, Outermost(), limits)
    return ProxyApp(cluster, limits, LAYERS.build(layer, deps, order))


def _cluster(conf: Mapping[str, str], transports: Transports | None) -> tuple[Cluster, Limits]:
    values = settings.read(ClusterSettings, conf, _PROXY)
    known = cluster_conf.load(values.ring_dir)
    logger = log.from_conf(conf, "proxy-server")
    names = ["account", "container", *(ring_name(policy.index) for policy in known.policies)]
    rings = {name: _ring(values, name, logger) for name in names}
    made = Cluster(values, known.salt, known.policies, rings, transports or remote_transports(conf), logger)
    return made, known.limits


def _ring(values: ClusterSettings, name: str, logger: logging.Logger) -> Callable[[], Ring]:
    return RingLoader(os.path.join(values.ring_dir, f"{name}.ring"), logger, values.ring_check_interval).get


def proxy_factory(global_conf: dict[str, str], **local_conf: str) -> ProxyApp:
    return proxy_app({**global_conf, **local_conf})


def _storage_factory(kind: str, global_conf: dict[str, str], **local_conf: str) -> WsgiApp:
    conf = {**global_conf, **local_conf}
    return StorageApp(storage_servers(conf, remote_transports(conf)).by_kind[kind])


account_factory = partial(_storage_factory, "account")
container_factory = partial(_storage_factory, "container")
object_factory = partial(_storage_factory, "object")

_CLIENT = table(ClientSettings)
_DATABASES = (
    *STORAGE_SETTINGS,
    *table(DatabaseSettings),
    *table(DatabaseReplicationSettings, database_replication.PREFIX),
)
SECTIONS: dict[str, Table] = {
    "proxy": (*table(ClusterSettings), *registry.SETTINGS, *_CLIENT),
    "account": _DATABASES,
    "container": (*_DATABASES, *table(UpdateSettings), *_CLIENT),
    "object": (
        *STORAGE_SETTINGS,
        *table(LeaseSettings),
        *table(ObjectReplicationSettings, object_replication.PREFIX),
        *table(UpdateSettings),
        *_CLIENT,
    ),
}
