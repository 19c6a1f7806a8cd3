"""The daemons that look at what is stored: whether it is sound, and whether containers and objects agree."""

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
from objstore.daemon.duties.object_auditor import ETAGS, ObjectAuditor, Rates
from objstore.daemon.duties.second_look import SecondLook
from objstore.daemon.rounds import Place, Rounds, Tour
from objstore.daemon.runner import Pace
from objstore.runtime.settings import choice, duration, positive, rate, setting, size, table
from objstore.runtime.throttle import Throttle
from objstore.server.devices import Device


@dataclass(frozen=True)
class ObjectAuditorSettings:
    """Settings of `object-auditor`."""

    object_auditor_interval: float = setting(duration, "30s", "how often to look whether a device is to be audited")
    object_auditor_cycle: float = setting(duration, "7d", "least time between two full rounds of a device")
    object_auditor_quick_cycle: float = setting(
        duration, "1d", "least time between two rounds that look at metadata and lengths of files only"
    )
    object_auditor_bytes_per_second: int = setting(size, "100M", "bytes to read of each device; 0: no bound")
    object_auditor_files_per_second: float = setting(rate, "50", "objects to read of each device; 0: no bound")
    object_auditor_quick_files_per_second: float = setting(
        rate, "50", "objects to look at in a quick round; 0: no bound"
    )
    object_auditor_etags: str = setting(
        choice(*ETAGS),
        "first",
        "MD5 of content: in the first round that meets an object, always or never; block checksums always",
    )
    object_auditor_second_look: float = setting(
        duration,
        "5m",
        "least time until what could not be read is read again, and between looks at what is in quarantine",
    )
    object_auditor_concurrency: int = setting(positive, "4", "rounds of devices under way at a time")


@dataclass(frozen=True)
class DatabaseAuditorSettings:
    """Settings of `account-auditor` and `container-auditor`; their names begin with that of the daemon."""

    interval: float = setting(duration, "30s", "how often to look whether a device is to be audited")
    cycle: float = setting(duration, "1d", "least time between two rounds of a device")
    databases_per_second: float = setting(rate, "10", "databases to check of each device; 0: no bound")
    bytes_per_second: int = setting(size, "50M", "bytes of databases to check of each device")
    second_look: float = setting(duration, "5m", "least time between looks at what is in quarantine")
    concurrency: int = setting(positive, "4", "devices audited at a time")


def _places(around: Surroundings, store: Callable[[Device], object]) -> Callable[[], Iterator[Place]]:
    return lambda: (Place(name, device.path, store(device)) for name, device in around.available())


def _object_stores(around: Surroundings, device: Device) -> dict[int, object]:
    """By policy, of those that keep anything on disk."""
    return {each.index: device.objects(each.index) for each in around.cluster.policies if each.engine != "memory"}


def _object_auditor(around: Surroundings) -> Work:
    values = around.read(ObjectAuditorSettings)
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


def _database_auditor(kind: str, store: Callable[[Device], object], around: Surroundings) -> Work:
    values = around.read(DatabaseAuditorSettings, f"{kind}_auditor_")
    rates = database_auditor.Rates(values.databases_per_second, values.bytes_per_second)
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

    interval: float = setting(duration, "1m", "how often to look whether a device is to be searched")
    cycle: float = setting(duration, "7d", "least time between two rounds of a device")
    per_second: float = setting(rate, "10", "objects to look at, on all devices of a host; 0: no bound")
    grace: float = setting(duration, "1h", "age below which nothing is said of a change")
    action: str = setting(choice(REPORT, REPAIR), REPORT, "repair: mend what is found")
    recent: float = setting(duration, "2d", "age of objects that are searched for more often")
    recent_cycle: float = setting(duration, "8h", "least time between two rounds of those")
    recent_per_second: float = setting(rate, "100", "objects to look at in such a round; 0: no bound")


_QUEUE = ExpiryQueue()


@dataclass(frozen=True)
class DarkObjectsSettings(SearchSettings):
    """Settings of `dark-objects`."""

    action: str = setting(
        choice(REPORT, RECENT, REPAIR),
        RECENT,
        "recent: tell containers again of objects of the last days that they do not know;"
        " repair: of all, and the expirer of those that are overdue",
    )
    overdue: float = setting(duration, "1d", "how long after its time an object that is still there is told of")
    queue_account: str = setting(str.strip, _QUEUE.account, "account of the expirer's queue, as of proxies")
    queue_divisor: int = setting(positive, str(_QUEUE.divisor), "seconds that share a container of it, as of proxies")


@dataclass(frozen=True)
class DanglingRowsSettings(SearchSettings):
    """Settings of `dangling-rows`."""

    per_second: float = setting(rate, "10", "rows to look at, on all devices of a host; 0: no bound")
    action: str = setting(
        choice(REPORT, DELETIONS, REPAIR),
        DELETIONS,
        "deletions: take rows out of listings whose object is known to be deleted;"
        " repair: also those whose object nobody has, two rounds in a row",
    )
    recent: float = setting(duration, "2d", "age of rows that are searched for more often")
    recent_per_second: float = setting(rate, "100", "rows to look at in such a round; 0: no bound")


def _dark_objects(around: Surroundings) -> Work:
    values = around.read(DarkObjectsSettings, "dark_objects_")
    rules = dark_objects.Rules(
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
    rules = dangling_rows.Rules(
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
    return Work(rounds.passes, Pace(interval, concurrency=concurrency), rounds.told, rounds.stop)


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
