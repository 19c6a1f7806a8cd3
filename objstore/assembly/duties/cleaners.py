"""The daemons that finish what clients, time or a split of the cluster have left to be done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
from objstore.runtime.settings import Setting, duration, positive, rate, size
from objstore.runtime.throttle import Throttle
from objstore.store.databases import ContainerStore
from objstore.web.context import RequestContext

_EXPIRER_SETTINGS = (
    Setting("object_expirer_interval", duration, "1m", "pause between looks for objects whose time has come"),
    Setting(
        "object_expirer_margin",
        duration,
        "1m",
        "by which clocks of hosts may differ: so much later objects go",
    ),
    Setting("object_expirer_takeover", duration, "10m", "after which a host does what another has left undone"),
    Setting("object_expirer_concurrency", positive, "4", "objects deleted at once"),
    Setting("object_expirer_rate", rate, "100", "objects deleted a second, at most; 0 for no bound"),
    Setting("object_expirer_account", str.strip, ".expiring_objects", "account of the queue, as proxies know it"),
    Setting("object_expirer_free_delay", duration, "2m", "how long segments outlive their manifest"),
)

_REAPER_SETTINGS = (
    Setting("account_reaper_interval", duration, "1m", "pause between looks for deleted accounts"),
    Setting("account_reaper_delay", duration, "0", "how long what is in a deleted account is kept"),
    Setting("account_reaper_takeover", duration, "10m", "after which a host does what another has left undone"),
    Setting("account_reaper_warn_after", duration, "30d", "how long that may take before the log warns of it"),
    Setting("account_reaper_concurrency", positive, "4", "objects deleted at once"),
    Setting("account_reaper_rate", rate, "100", "objects deleted a second, at most; 0 for no bound"),
)

_RECONCILER_SETTINGS = (
    Setting("container_reconciler_interval", duration, "1m", "pause between looks for objects under a wrong policy"),
    Setting("container_reconciler_takeover", duration, "10m", "after which a host does what another has left undone"),
    Setting("container_reconciler_concurrency", positive, "2", "objects moved at once"),
    Setting("container_reconciler_bytes_per_second", size, "50M", "bytes moved a second, at most; 0 for no bound"),
    Setting("container_reconciler_free_delay", duration, "2m", "how long segments outlive their manifest"),
)


def _freeing(around: Surroundings, delay: float) -> Callable[[str, str], None]:
    """Deletes, after a delay, segments that a daemon left to no one, given their account and `MANIFEST_OWNS`."""
    return partial(Reclaimer(around.store, delay, around.logger).free, RequestContext())


def _object_expirer(around: Surroundings) -> Work:
    def containers(device: str) -> ContainerStore:
        return around.devices.get(device).containers

    values = around.read(_EXPIRER_SETTINGS)
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

    values = around.read(_REAPER_SETTINGS)
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

    values = around.read(_RECONCILER_SETTINGS)
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


OBJECT_EXPIRER = Duty("object-expirer", _EXPIRER_SETTINGS, _object_expirer)
ACCOUNT_REAPER = Duty("account-reaper", _REAPER_SETTINGS, _account_reaper)
CONTAINER_RECONCILER = Duty("container-reconciler", _RECONCILER_SETTINGS, _container_reconciler)
