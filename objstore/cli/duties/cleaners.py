"""The daemons that finish what clients, time or a split of the cluster have left to be done."""

from __future__ import annotations

from collections.abc import Iterator

from objstore.cli.surroundings import Duty, Surroundings, Work
from objstore.core.timestamps import Clock
from objstore.daemon import account_reaper, expirer
from objstore.daemon.account_reaper import AccountReaper, DeviceAccounts
from objstore.daemon.expirer import Expirer
from objstore.daemon.replicas import Replicas
from objstore.daemon.runner import Pace
from objstore.middleware.segment_reclaim import Reclaimer
from objstore.runtime.settings import Setting, duration, positive
from objstore.store.databases import ContainerStore

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
    Setting("object_expirer_rate", float, "100", "objects deleted a second, at most; 0 for no bound"),
    Setting("object_expirer_account", str.strip, ".expiring_objects", "account of the queue, as proxies know it"),
    Setting("object_expirer_free_delay", duration, "2m", "how long segments outlive their manifest"),
)

_REAPER_SETTINGS = (
    Setting("account_reaper_interval", duration, "1m", "pause between looks for deleted accounts"),
    Setting("account_reaper_delay", duration, "0", "how long what is in a deleted account is kept"),
    Setting("account_reaper_takeover", duration, "10m", "after which a host does what another has left undone"),
    Setting("account_reaper_warn_after", duration, "30d", "how long that may take before the log warns of it"),
    Setting("account_reaper_concurrency", positive, "4", "objects deleted at once"),
    Setting("account_reaper_rate", float, "100", "objects deleted a second, at most; 0 for no bound"),
)


def _object_expirer(around: Surroundings) -> Work:
    def containers(device: str) -> ContainerStore:
        return around.devices.get(device).containers

    values = around.read(_EXPIRER_SETTINGS)
    reclaimer = Reclaimer(around.store, values.object_expirer_free_delay, around.logger)
    means = expirer.Means(
        Replicas(around.peers, around.transport),
        around.store,
        around.is_own,
        containers,
        lambda account, owned: reclaimer.free({}, account, owned),
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
    replicas = Replicas(around.peers, around.transport)
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


OBJECT_EXPIRER = Duty("object-expirer", _EXPIRER_SETTINGS, _object_expirer)
ACCOUNT_REAPER = Duty("account-reaper", _REAPER_SETTINGS, _account_reaper)
