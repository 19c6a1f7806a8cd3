"""The daemons that check stored data: for damage, and for differences between containers and objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from objstore.assembly.surroundings import Duty, Surroundings, Work
from objstore.core.expiry_queue import ExpiryQueue
from objstore.core.policies import ring_name
from objstore.daemon.delivery import Peers
from objstore.daemon.duties import dangling_rows, dark_objects, database_auditor
from objstore.daemon.duties.database_auditor import DatabaseAuditor
from objstore.daemon.duties.object_auditor import ETAGS, ObjectAuditor, ObjectRates
from objstore.daemon.duties.second_look import SecondLook
from objstore.daemon.rounds import Rounds, SearchedPlace, Tour
from objstore.daemon.runner import DaemonPace
from objstore.runtime.settings import choice, duration, positive, rate, setting, size, table
from objstore.runtime.throttle import Throttle
from objstore.server.devices import Device


@dataclass(frozen=True)
class ObjectAuditorSettings:
    """Settings of `object-auditor`."""

    object_auditor_interval: float = setting(duration, "30s", "interval to check which devices are due for an audit")
    object_auditor_cycle: float = setting(duration, "7d", "minimum interval between full rounds of a device")
    object_auditor_quick_cycle: float = setting(
        duration, "1d", "minimum interval between rounds that check only metadata and lengths of files"
    )
    object_auditor_bytes_per_second: int = setting(
        size, "100M", "limit of bytes read from each device per second; 0: no limit"
    )
    object_auditor_files_per_second: float = setting(
        rate, "50", "limit of objects read from each device per second; 0: no limit"
    )
    object_auditor_quick_files_per_second: float = setting(
        rate, "50", "limit of objects checked per second in a quick round; 0: no limit"
    )
    object_auditor_etags: str = setting(
        choice(*ETAGS),
        "first",
        (
            "check the MD5 of content: first (in the first round that meets an object), always or never; block "
            "checksums are always checked"
        ),
    )
    object_auditor_second_look: float = setting(
        duration,
        "5m",
        "minimum interval to retry what could not be read, and to check the quarantine",
    )
    object_auditor_concurrency: int = setting(positive, "4", "number of devices audited at once")


@dataclass(frozen=True)
class DatabaseAuditorSettings:
    """Settings of `account-auditor` and `container-auditor`; their names begin with that of the daemon."""

    interval: float = setting(duration, "30s", "interval to check which devices are due for an audit")
    cycle: float = setting(duration, "1d", "minimum interval between rounds of a device")
    databases_per_second: float = setting(
        rate, "10", "limit of databases checked on each device per second; 0: no limit"
    )
    bytes_per_second: int = setting(size, "50M", "limit of bytes of databases checked on each device per second")
    second_look: float = setting(duration, "5m", "minimum interval between checks of the quarantine")
    concurrency: int = setting(positive, "4", "number of devices audited at once")


def _places(around: Surroundings, store: Callable[[Device], object]) -> Callable[[], Iterator[SearchedPlace]]:
    return lambda: (SearchedPlace(name, device.path, store(device)) for name, device in around.available())


def _object_stores(around: Surroundings, device: Device) -> dict[int, object]:
    """Return the object stores by policy, of policies with data on disk."""
    return {each.index: device.objects(each.index) for each in around.cluster.policies if each.engine != "memory"}


def _object_auditor(around: Surroundings) -> Work:
    values = around.read(ObjectAuditorSettings)
    rates = ObjectRates(
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


def _database_auditor(kind: str, store: Callable[[Device], object], around: Surroundings) -> Work:
    values = around.read(DatabaseAuditorSettings, f"{kind}_auditor_")
    rates = database_auditor.DatabaseRates(values.databases_per_second, values.bytes_per_second)
    auditor = DatabaseAuditor(kind, around.cluster.salt.hash, rates, lambda: rounds.check(), around.logger)
    second_look = SecondLook(
        lambda _, name_hash: around.ring(kind)().partition(name_hash),
        around.cluster.salt.hash,
        values.second_look,
        around.cluster.reclaim_age,
        lambda: Throttle(rates.bytes),
        lambda: rounds.check(),
        around.logger,
    )
    tours = (
        Tour("full", values.cycle, auditor.full),
        Tour("second look", values.second_look, second_look.databases),
    )
    rounds = Rounds(f"{kind}-auditor", _places(around, store), tours, around.logger, at_once=around.at_once)
    return _work(rounds, values.interval, values.concurrency)


REPORT, RECENT, DELETIONS, REPAIR = "report", "recent", "deletions", "repair"


@dataclass(frozen=True)
class SearchSettings:
    """Settings of a duty that compares containers with objects; their names begin with that of the duty."""

    interval: float = setting(duration, "1m", "interval to check which devices are due for a search")
    cycle: float = setting(duration, "7d", "minimum interval between rounds of a device")
    per_second: float = setting(
        rate, "10", "limit of objects checked per second, on all devices of a host; 0: no limit"
    )
    grace: float = setting(duration, "1h", "minimum age of a change to be reported")
    action: str = setting(choice(REPORT, REPAIR), REPORT, "report: only report problems; repair: also repair them")
    recent: float = setting(duration, "2d", "maximum age of objects in the frequent rounds")
    recent_cycle: float = setting(duration, "8h", "minimum interval between frequent rounds")
    recent_per_second: float = setting(
        rate, "100", "limit of objects checked per second in a frequent round; 0: no limit"
    )


_QUEUE = ExpiryQueue()


@dataclass(frozen=True)
class DarkObjectsSettings(SearchSettings):
    """Settings of `dark-objects`."""

    action: str = setting(
        choice(REPORT, RECENT, REPAIR),
        RECENT,
        (
            "recent: report recent objects to containers that lack them again; repair: report all such objects, and "
            "overdue ones to the expirer"
        ),
    )
    overdue: float = setting(duration, "1d", "time after its expiry when an object that still exists is reported")
    queue_account: str = setting(str.strip, _QUEUE.account, "account of the expirer's queue, the same as in proxies")
    queue_divisor: int = setting(
        positive, str(_QUEUE.divisor), "seconds covered by one container of the queue, the same as in proxies"
    )


@dataclass(frozen=True)
class DanglingRowsSettings(SearchSettings):
    """Settings of `dangling-rows`."""

    per_second: float = setting(rate, "10", "limit of rows checked per second, on all devices of a host; 0: no limit")
    action: str = setting(
        choice(REPORT, DELETIONS, REPAIR),
        DELETIONS,
        (
            "deletions: remove rows of deleted objects from listings; repair: also rows of objects that no device "
            "had in two rounds in a row"
        ),
    )
    recent: float = setting(duration, "2d", "maximum age of rows in the frequent rounds")
    recent_per_second: float = setting(rate, "100", "limit of rows checked per second in a frequent round; 0: no limit")


def _dark_objects(around: Surroundings) -> Work:
    values = around.read(DarkObjectsSettings, "dark_objects_")
    rules = dark_objects.DarkObjectsRules(
        values.per_second,
        values.grace,
        values.action == REPAIR,
        values.overdue,
        ExpiryQueue(values.queue_account, values.queue_divisor),
        values.recent,
        values.recent_per_second,
        values.action != REPORT,
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
        Tour("full", values.cycle, search.tour),
        Tour("recent", values.recent_cycle, search.recent),
    )
    rounds = Rounds(
        "dark-objects", _places(around, partial(_object_stores, around)), tours, around.logger, at_once=around.at_once
    )
    return _work(rounds, values.interval, 1)


def _dangling_rows(around: Surroundings) -> Work:
    values = around.read(DanglingRowsSettings, "dangling_rows_")
    rules = dangling_rows.DanglingRowsRules(
        values.per_second,
        values.grace,
        values.action == REPAIR,
        values.action != REPORT,
        values.recent,
        values.recent_per_second,
    )

    def objects(policy: int) -> Peers | None:
        return around.peers(ring_name(policy)) if around.cluster.policies.get(policy) is not None else None

    search = dangling_rows.DanglingRows(
        objects, around.peers("container"), around.is_own, rules, lambda: rounds.check(), around.logger
    )
    tours = (
        Tour("full", values.cycle, search.tour),
        Tour("recent", values.recent_cycle, search.recent),
    )
    rounds = Rounds(
        "dangling-rows",
        _places(around, lambda device: device.containers),
        tours,
        around.logger,
        at_once=around.at_once,
    )
    return _work(rounds, values.interval, 1)


def _work(rounds: Rounds, interval: float, concurrency: int) -> Work:
    return Work(rounds.passes, DaemonPace(interval, concurrency=concurrency), rounds.status, rounds.stop)


OBJECT_AUDITOR = Duty("object-auditor", table(ObjectAuditorSettings), _object_auditor)
CONTAINER_AUDITOR = Duty(
    "container-auditor",
    table(DatabaseAuditorSettings, "container_auditor_"),
    partial(_database_auditor, "container", lambda device: device.containers),
)
ACCOUNT_AUDITOR = Duty(
    "account-auditor",
    table(DatabaseAuditorSettings, "account_auditor_"),
    partial(_database_auditor, "account", lambda device: device.accounts),
)
DARK_OBJECTS = Duty("dark-objects", table(DarkObjectsSettings, "dark_objects_"), _dark_objects)
DANGLING_ROWS = Duty("dangling-rows", table(DanglingRowsSettings, "dangling_rows_"), _dangling_rows)
