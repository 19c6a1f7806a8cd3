"""The daemons that clean up: expired objects, deleted accounts, objects under a wrong policy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from objstore.assembly.surroundings import Duty, Surroundings, Work
from objstore.core.names import Name
from objstore.core.timestamps import Clock
from objstore.daemon.duties import account_reaper, expirer, reconciler
from objstore.daemon.duties.account_reaper import AccountReaper, DeviceAccounts
from objstore.daemon.duties.expirer import Expirer
from objstore.daemon.duties.reconciler import DeviceContainers, Reconciler
from objstore.daemon.replica_client import ReplicaClient
from objstore.daemon.runner import DaemonPace
from objstore.layers.manifests import Manifests
from objstore.layers.segment_reclaim import Reclaimer
from objstore.layers.versions import Versions
from objstore.layers.versions.keys import keeps_entries
from objstore.runtime.settings import duration, positive, rate, setting, size, table
from objstore.runtime.throttle import Throttle
from objstore.store.databases import ContainerStore
from objstore.web.context import RequestContext


@dataclass(frozen=True)
class ExpirerSettings:
    """Settings of `object-expirer`."""

    object_expirer_interval: float = setting(duration, "1m", "interval between searches for expired objects")
    object_expirer_margin: float = setting(
        duration, "1m", "tolerated clock difference between hosts; objects are deleted this much later"
    )
    object_expirer_takeover: float = setting(
        duration, "10m", "time after which a host takes over the unfinished work of another"
    )
    object_expirer_concurrency: int = setting(positive, "4", "number of objects deleted at once")
    object_expirer_rate: float = setting(rate, "100", "limit of objects deleted per second; 0: no limit")
    object_expirer_account: str = setting(
        str.strip, ".expiring_objects", "account of the queue, the same as in proxies"
    )
    object_expirer_free_delay: float = setting(duration, "2m", "time to keep segments after their manifest is gone")


@dataclass(frozen=True)
class ReaperSettings:
    """Settings of `account-reaper`."""

    account_reaper_interval: float = setting(duration, "1m", "interval between searches for deleted accounts")
    account_reaper_delay: float = setting(duration, "0", "time to keep the contents of a deleted account")
    account_reaper_takeover: float = setting(
        duration, "10m", "time after which a host takes over the unfinished work of another"
    )
    account_reaper_warn_after: float = setting(
        duration, "30d", "time after which the log warns that an account is still not empty"
    )
    account_reaper_concurrency: int = setting(positive, "4", "number of objects deleted at once")
    account_reaper_rate: float = setting(rate, "100", "limit of objects deleted per second; 0: no limit")


@dataclass(frozen=True)
class ReconcilerSettings:
    """Settings of `container-reconciler`."""

    container_reconciler_interval: float = setting(
        duration, "1m", "interval between searches for objects under a wrong policy"
    )
    container_reconciler_takeover: float = setting(
        duration, "10m", "time after which a host takes over the unfinished work of another"
    )
    container_reconciler_concurrency: int = setting(positive, "2", "number of objects moved at once")
    container_reconciler_bytes_per_second: int = setting(size, "50M", "limit of bytes moved per second; 0: no limit")
    container_reconciler_free_delay: float = setting(
        duration, "2m", "time to keep segments after their manifest is gone"
    )


def _freeing(around: Surroundings, delay: float) -> Callable[[str, str], None]:
    """Return a function that deletes orphaned segments after a delay, given their account and `MANIFEST_OWNS`."""
    return partial(Reclaimer(around.layer, delay, around.logger).free, RequestContext())


def _version_end(around: Surroundings, delay: float) -> Callable[[Name], bool]:
    """Return a function for an object that has expired, perhaps a version: see `ExpirerMeans`."""
    layer = Versions(Manifests(around.layer, delay, around.logger))

    def end(name: Name) -> bool:
        if name.container is None or not keeps_entries(name.container):
            return False
        layer.expire(RequestContext(), name)
        return True

    return end


def _object_expirer(around: Surroundings) -> Work:
    def containers(device: str) -> ContainerStore:
        return around.devices.get(device).containers

    values = around.read(ExpirerSettings)
    means = expirer.ExpirerMeans(
        ReplicaClient(around.peers, around.transport),
        around.layer,
        around.is_own,
        containers,
        _freeing(around, values.object_expirer_free_delay),
        _version_end(around, values.object_expirer_free_delay),
        Clock(),
        around.logger,
    )
    settings = expirer.ExpirerOptions(
        values.object_expirer_account,
        values.object_expirer_margin,
        values.object_expirer_takeover,
        around.cluster.reclaim_age,
    )
    work = Expirer(means, settings)
    pace = DaemonPace(
        values.object_expirer_interval,
        rate=values.object_expirer_rate,
        concurrency=values.object_expirer_concurrency,
    )
    return Work(work.passes, pace, work.status)


def _account_reaper(around: Surroundings) -> Work:
    def devices() -> Iterator[DeviceAccounts]:
        return (DeviceAccounts(name, device.accounts) for name, device in around.available())

    values = around.read(ReaperSettings)
    replicas = ReplicaClient(around.peers, around.transport)
    means = account_reaper.ReaperMeans(replicas, devices, around.is_own, Clock(), around.logger)
    settings = account_reaper.ReaperOptions(
        values.account_reaper_delay, values.account_reaper_takeover, values.account_reaper_warn_after
    )
    work = AccountReaper(means, settings)
    pace = DaemonPace(
        values.account_reaper_interval,
        rest=4.0,
        rate=values.account_reaper_rate,
        concurrency=values.account_reaper_concurrency,
    )
    return Work(work.passes, pace, work.status)


def _container_reconciler(around: Surroundings) -> Work:
    def devices() -> Iterator[DeviceContainers]:
        return (DeviceContainers(name, device.containers) for name, device in around.available())

    values = around.read(ReconcilerSettings)
    means = reconciler.ReconcilerMeans(
        ReplicaClient(around.peers, around.transport),
        devices,
        around.is_own,
        Clock(),
        Throttle(values.container_reconciler_bytes_per_second),
        _freeing(around, values.container_reconciler_free_delay),
        around.logger,
    )
    settings = reconciler.ReconcilerOptions(values.container_reconciler_takeover, around.cluster.reclaim_age)
    work = Reconciler(means, settings)
    pace = DaemonPace(
        values.container_reconciler_interval, rest=4.0, concurrency=values.container_reconciler_concurrency
    )
    return Work(work.passes, pace, work.status)


OBJECT_EXPIRER = Duty("object-expirer", table(ExpirerSettings), _object_expirer)
ACCOUNT_REAPER = Duty("account-reaper", table(ReaperSettings), _account_reaper)
CONTAINER_RECONCILER = Duty("container-reconciler", table(ReconcilerSettings), _container_reconciler)
