"""The daemons that look at what is stored: whether it is sound, and whether containers and objects agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from objstore.assembly.surroundings import Duty, Surroundings, Work
from objstore.core.expiry_queue import ExpiryQueue
from objstore.core.policies import ring_name
from objstore.daemon.delivery import Peers
from objstore.daemon.duties import dangling_rows, dark_objects, database_auditor
from objstore.daemon.duties.database_auditor import DatabaseAuditor
from objstore.daemon.duties.object_auditor import ETAGS, ObjectAuditor, Rates
from objstore.daemon.duties.second_look import SecondLook
from objstore.daemon.rounds import Place, Rounds, Tour
from objstore.daemon.runner import Pace
from objstore.runtime.settings import Setting, Table, choice, duration, positive, rate, size
from objstore.runtime.throttle import Throttle
from objstore.server.devices import Device

_OBJECT_SETTINGS = (
    Setting("object_auditor_interval", duration, "30s", "how often to look whether a device is to be audited"),
    Setting("object_auditor_cycle", duration, "7d", "least time between two full rounds of a device"),
    Setting("object_auditor_quick_cycle", duration, "1d",
            "least time between two rounds that look at metadata and lengths of files only"),
    Setting("object_auditor_bytes_per_second", size, "100M", "bytes to read of each device; 0: no bound"),
    Setting("object_auditor_files_per_second", rate, "50", "objects to read of each device; 0: no bound"),
    Setting("object_auditor_quick_files_per_second", rate, "50", "objects to look at in a quick round; 0: no bound"),
    Setting("object_auditor_etags", choice(*ETAGS), "first",
            "MD5 of content: in the first round that meets an object, always or never; block checksums always"),
    Setting("object_auditor_second_look", duration, "5m",
            "least time until what could not be read is read again, and between looks at what is in quarantine"),
    Setting("object_auditor_concurrency", positive, "4", "rounds of devices under way at a time"),
)  # fmt: skip


def _database_settings(kind: str) -> Table:
    return (
        Setting(f"{kind}_auditor_interval", duration, "30s", "how often to look whether a device is to be audited"),
        Setting(f"{kind}_auditor_cycle", duration, "1d", "least time between two rounds of a device"),
        Setting(f"{kind}_auditor_databases_per_second", rate, "10", "databases to check of each device; 0: no bound"),
        Setting(f"{kind}_auditor_bytes_per_second", size, "50M", "bytes of databases to check of each device"),
        Setting(f"{kind}_auditor_second_look", duration, "5m", "least time between looks at what is in quarantine"),
        Setting(f"{kind}_auditor_concurrency", positive, "4", "devices audited at a time"),
    )


def _places(around: Surroundings, store: Callable[[Device], Any]) -> Callable[[], Iterator[Place]]:
    return lambda: (Place(name, device.path, store(device)) for name, device in around.available())


def _object_stores(around: Surroundings, device: Device) -> dict[int, Any]:
    """By policy, of those that keep anything on disk."""
    return {each.index: device.objects(each.index) for each in around.cluster.policies if each.engine != "memory"}


def _object_auditor(around: Surroundings) -> Work:
    values = around.read(_OBJECT_SETTINGS)
    rates = Rates(
        values.object_auditor_bytes_per_second,
        values.object_auditor_files_per_second,
        values.object_auditor_quick_files_per_second,
    )
    auditor = ObjectAuditor(rates, values.object_auditor_etags, lambda: rounds.check(), around.logger)
    second_look = SecondLook(
        lambda policy, name_hash: around.ring(ring_name(policy))().partition(name_hash),
        around.cluster.salt.hash,
        values.object_auditor_second_look,
        around.cluster.reclaim_age,
        lambda: Throttle(rates.bytes),
        lambda: rounds.check(),
        around.logger,
    )
    tours = (
        Tour("full", values.object_auditor_cycle, auditor.full),
        Tour("quick", values.object_auditor_quick_cycle, auditor.quick),
        Tour("second look", values.object_auditor_second_look, second_look.objects),
    )
    rounds = Rounds(
        "object-auditor", _places(around, partial(_object_stores, around)), tours, around.logger, at_once=around.at_once
    )
    return _work(rounds, values.object_auditor_interval, values.object_auditor_concurrency)


def _database_auditor(kind: str, store: Callable[[Device], Any], around: Surroundings) -> Work:
    values = vars(around.read(_database_settings(kind)))
    rates = database_auditor.Rates(
        values[f"{kind}_auditor_databases_per_second"], values[f"{kind}_auditor_bytes_per_second"]
    )
    auditor = DatabaseAuditor(kind, around.cluster.salt.hash, rates, lambda: rounds.check(), around.logger)
    pause = values[f"{kind}_auditor_second_look"]
    second_look = SecondLook(
        lambda _, name_hash: around.ring(kind)().partition(name_hash),
        around.cluster.salt.hash,
        pause,
        around.cluster.reclaim_age,
        lambda: Throttle(rates.bytes),
        lambda: rounds.check(),
        around.logger,
    )
    tours = (
        Tour("full", values[f"{kind}_auditor_cycle"], auditor.full),
        Tour("second look", pause, second_look.databases),
    )
    rounds = Rounds(f"{kind}-auditor", _places(around, store), tours, around.logger, at_once=around.at_once)
    return _work(rounds, values[f"{kind}_auditor_interval"], values[f"{kind}_auditor_concurrency"])


REPORT, RECENT, DELETIONS, REPAIR = "report", "recent", "deletions", "repair"


def _search_settings(duty: str, what: str, actions: tuple[str, ...], action: str, meaning: str) -> Table:
    """Of a duty that compares containers with objects. what: it looks at. action: the default of `actions`."""
    return (
        Setting(f"{duty}_interval", duration, "1m", "how often to look whether a device is to be searched"),
        Setting(f"{duty}_cycle", duration, "7d", "least time between two rounds of a device"),
        Setting(f"{duty}_per_second", rate, "10", f"{what} to look at, on all devices of a host; 0: no bound"),
        Setting(f"{duty}_grace", duration, "1h", "age below which nothing is said of a change"),
        Setting(f"{duty}_action", choice(*actions), action, meaning),
        Setting(f"{duty}_recent", duration, "2d", f"age of {what} that are searched for more often"),
        Setting(f"{duty}_recent_cycle", duration, "8h", "least time between two rounds of those"),
        Setting(f"{duty}_recent_per_second", rate, "100", f"{what} to look at in such a round; 0: no bound"),
    )


_QUEUE = ExpiryQueue()
_DARK_SETTINGS = (
    *_search_settings(
        "dark_objects",
        "objects",
        (REPORT, RECENT, REPAIR),
        RECENT,
        "recent: tell containers again of objects of the last days that they do not know;"
        " repair: of all, and the expirer of those that are overdue",
    ),
    Setting("dark_objects_overdue", duration, "1d", "how long after its time an object that is still there is told of"),
    Setting("dark_objects_queue_account", str.strip, _QUEUE.account, "account of the expirer's queue, as of proxies"),
    Setting("dark_objects_queue_divisor", positive, str(_QUEUE.divisor),
            "seconds that share a container of it, as of proxies"),
)  # fmt: skip
_DANGLING_SETTINGS = _search_settings(
    "dangling_rows",
    "rows",
    (REPORT, DELETIONS, REPAIR),
    DELETIONS,
    "deletions: take rows out of listings whose object is known to be deleted;"
    " repair: also those whose object nobody has, two rounds in a row",
)


def _dark_objects(around: Surroundings) -> Work:
    values = around.read(_DARK_SETTINGS)
    rules = dark_objects.Rules(
        values.dark_objects_per_second,
        values.dark_objects_grace,
        values.dark_objects_action == REPAIR,
        values.dark_objects_overdue,
        ExpiryQueue(values.dark_objects_queue_account, values.dark_objects_queue_divisor),
        values.dark_objects_recent,
        values.dark_objects_recent_per_second,
        values.dark_objects_action != REPORT,
    )
    search = dark_objects.DarkObjects(
        lambda policy: around.peers(ring_name(policy)),
        around.peers("container"),
        around.is_own,
        rules,
        lambda: rounds.check(),
        around.logger,
    )
    tours = (
        Tour("full", values.dark_objects_cycle, search.tour),
        Tour("recent", values.dark_objects_recent_cycle, search.recent),
    )
    rounds = Rounds(
        "dark-objects", _places(around, partial(_object_stores, around)), tours, around.logger, at_once=around.at_once
    )
    return _work(rounds, values.dark_objects_interval, 1)


def _dangling_rows(around: Surroundings) -> Work:
    values = around.read(_DANGLING_SETTINGS)
    rules = dangling_rows.Rules(
        values.dangling_rows_per_second,
        values.dangling_rows_grace,
        values.dangling_rows_action == REPAIR,
        values.dangling_rows_action != REPORT,
        values.dangling_rows_recent,
        values.dangling_rows_recent_per_second,
    )

    def objects(policy: int) -> Peers | None:
        return around.peers(ring_name(policy)) if around.cluster.policies.get(policy) is not None else None

    search = dangling_rows.DanglingRows(
        objects, around.peers("container"), around.is_own, rules, lambda: rounds.check(), around.logger
    )
    tours = (
        Tour("full", values.dangling_rows_cycle, search.tour),
        Tour("recent", values.dangling_rows_recent_cycle, search.recent),
    )
    rounds = Rounds(
        "dangling-rows",
        _places(around, lambda device: device.containers),
        tours,
        around.logger,
        at_once=around.at_once,
    )
    return _work(rounds, values.dangling_rows_interval, 1)


def _work(rounds: Rounds, interval: float, concurrency: int) -> Work:
    return Work(rounds.passes, Pace(interval, concurrency=concurrency), rounds.told, rounds.stop)


OBJECT_AUDITOR = Duty("object-auditor", _OBJECT_SETTINGS, _object_auditor)
CONTAINER_AUDITOR = Duty(
    "container-auditor",
    _database_settings("container"),
    partial(_database_auditor, "container", lambda device: device.containers),
)
ACCOUNT_AUDITOR = Duty(
    "account-auditor",
    _database_settings("account"),
    partial(_database_auditor, "account", lambda device: device.accounts),
)
DARK_OBJECTS = Duty("dark-objects", _DARK_SETTINGS, _dark_objects)
DANGLING_ROWS = Duty("dangling-rows", _DANGLING_SETTINGS, _dangling_rows)
