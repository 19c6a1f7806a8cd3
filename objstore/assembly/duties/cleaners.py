"""The daemons that finish what clients, time or a split of the cluster have left to be done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from objstore.assembly.surroundings import Duty, Surroundings, Work
from objstore.core.timestamps import Clock
from objstore.daemon.duties import account_reaper, expirer, reconciler
from objstore.daemon.duties.account_reaper import AccountReaper, DeviceAccounts
from objstore.daemon.duties.expirer import Expirer
from objstore.daemon.duties.reconciler import DeviceContainers, Reconciler
from objstore.daemon.replica_client import ReplicaClient
from objstore.daemon.runner import Pace
from objstore.layers.segment_reclaim import Reclaimer
from objstore.runtime.settings import duration, positive, rate, setting, size, table
from objstore.runtime.throttle import Throttle
from objstore.store.databases import ContainerStore
from objstore.web.context import RequestContext


@dataclass(frozen=True)
class ExpirerSettings:
    """Settings of `object-expirer`."""

    object_expirer_interval: float = setting(duration, "1m", "pause between looks for objects whose time has come")
    object_expirer_margin: float = setting(
        duration, "1m", "by which clocks of hosts may differ: so much later objects go"
    )
    object_expirer_takeover: float = setting(duration, "10m", "after which a host does what another has left undone")
    object_expirer_concurrency: int = setting(positive, "4", "objects deleted at once")
    object_expirer_rate: float = setting(rate, "100", "objects deleted a second, at most; 0 for no bound")
    object_expirer_account: str = setting(str.strip, ".expiring_objects", "account of the queue, as proxies know it")
    object_expirer_free_delay: float = setting(duration, "2m", "how long segments outlive their manifest")


@dataclass(frozen=True)
class ReaperSettings:
    """Settings of `account-reaper`."""

    account_reaper_interval: float = setting(duration, "1m", "pause between looks for deleted accounts")
    account_reaper_delay: float = setting(duration, "0", "how long what is in a deleted account is kept")
    account_reaper_takeover: float = setting(duration, "10m", "after which a host does what another has left undone")
    account_reaper_warn_after: float = setting(duration, "30d", "how long that may take before the log warns of it")
    account_reaper_concurrency: int = setting(positive, "4", "objects deleted at once")
    account_reaper_rate: float = setting(rate, "100", "objects deleted a second, at most; 0 for no bound")


@dataclass(frozen=True)
class ReconcilerSettings:
    """Settings of `container-reconciler`."""

    container_reconciler_interval: float = setting(
        duration, "1m", "pause between looks for objects under a wrong policy"
    )
    container_reconciler_takeover: float = setting(
        duration, "10m", "after which a host does what another has left undone"
    )
    container_reconciler_concurrency: int = setting(positive, "2", "objects moved at once")
    container_reconciler_bytes_per_second: int = setting(size, "50M", "bytes moved a second, at most; 0 for no bound")
    container_reconciler_free_delay: float = setting(duration, "2m", "how long segments outlive their manifest")


def _freeing(around: Surroundings, delay: float) -> Callable[[str, str], None]:
    """Deletes, after a delay, segments that a daemon left to no one, given their account and `MANIFEST_OWNS`."""
    return partial(Reclaimer(around.store.layer, delay, around.logger).free, RequestContext())


def _object_expirer(around: Surroundings) -> Work:
    def containers(device: str) -> ContainerStore:
        return around.devices.get(device).containers

    values = around.read(ExpirerSettings)
    means = expirer.Means(
        ReplicaClient(around.peers, around.transport),
        around.store,
        around.store.layer,
        around.is_own,
        containers,
        _freeing(around, values.object_expirer_free_delay),
        Clock(),
        around.logger,
    )
    settings = expirer.Settings(
        values.object_expirer_account,
        values.object_expirer_margin,
        values.object_expirer_takeover,
        around.cluster.reclaim_age,
    )
    work = Expirer(means, settings)
    pace = Pace(
        values.object_expirer_interval,
        rate=values.object_expirer_rate,
        concurrency=values.object_expirer_concurrency,
    )
    return Work(work.passes, pace, work.told)


def _account_reaper(around: Surroundings) -> Work:
    def devices() -> Iterator[DeviceAccounts]:
        return (DeviceAccounts(name, device.accounts) for name, device in around.available())

    values = around.read(ReaperSettings)
    replicas = ReplicaClient(around.peers, around.transport)
    means = account_reaper.Means(replicas, devices, around.is_own, Clock(), around.logger)
    settings = account_reaper.Settings(
        values.account_reaper_delay, values.account_reaper_takeover, values.account_reaper_warn_after
    )
    work = AccountReaper(means, settings)
    pace = Pace(
        values.account_reaper_interval,
        rest=4.0,
        rate=values.account_reaper_rate,
        concurrency=values.account_reaper_concurrency,
    )
    return Work(work.passes, pace, work.told)


def _container_reconciler(around: Surroundings) -> Work:
    def devices() -> Iterator[DeviceContainers]:
        return (DeviceContainers(name, device.containers) for name, device in around.available())

    values = around.read(ReconcilerSettings)
    means = reconciler.Means(
        ReplicaClient(around.peers, around.transport),
        devices,
        around.is_own,
        Clock(),
        Throttle(values.container_reconciler_bytes_per_second),
        _freeing(around, values.container_reconciler_free_delay),
        around.logger,
    )
    settings = reconciler.Settings(values.container_reconciler_takeover, around.cluster.reclaim_age)
    work = Reconciler(means, settings)
    pace = Pace(values.container_reconciler_interval, rest=4.0, concurrency=values.container_reconciler_concurrency)
    return Work(work.passes, pace, work.told)


OBJECT_EXPIRER = Duty("object-expirer", table(ExpirerSettings), _object_expirer)
ACCOUNT_REAPER = Duty("account-reaper", table(ReaperSettings), _account_reaper)
CONTAINER_RECONCILER = Duty("container-reconciler", table(ReconcilerSettings), _container_reconciler)
