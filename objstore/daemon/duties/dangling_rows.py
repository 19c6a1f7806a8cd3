"""Finds rows of containers whose object is gone: what a client sees in a listing and cannot read.

For databases of which a device of this host is the first primary, the object of each live row is looked for: on its
primaries, then where its partition was before, then on all devices that could stand in. What any of them has, or any
primary cannot tell, is left alone. Rows of the system's own accounts (a dot before the name), such as the queue of what
is to expire, stand for no objects.

A row is repaired by one of a deletion of the very time at which the object was written, so that what came later stays.
Only what the round before has found as well is repaired, and only where every device has answered: the ring of this
host may have been older than those by which objects are moved.
"""

from __future__ import annotations

import enum
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import NamedTuple

from objstore.core.errors import Corrupt, LockTimeout, NodeFailure, NotFound
from objstore.core.names import Location, Name
from objstore.core.nodes import Node
from objstore.core.timestamps import Timestamp
from objstore.daemon.delivery import Peers
from objstore.daemon.rounds import Position, Round, SearchedPlace
from objstore.runtime.threads import ThreadPool
from objstore.runtime.throttle import Throttle
from objstore.store.databases import ObjectRow
from objstore.store.databases.layout import position
from objstore.wire.messages import EVEN_EXPIRED, POLICY, STORED_TIMESTAMP, NodeRequest
from objstore.wire.rows import tombstone_row
from objstore.wire.telling import is_majority

_PAGE = 100  # rows read at a time
_SYSTEM_PREFIX = "."


class Look(enum.Enum):
    """The state of an object on a device."""

    FOUND = enum.auto()
    MISSING = enum.auto()
    DELETED = enum.auto()  # it knows of a deletion at the row's time or later
    SILENT = enum.auto()  # it cannot tell


class RowVerdict(enum.Enum):
    """The counts of rows."""

    SOUND = "sound"
    DELETED = "deleted"  # the object was deleted, and its container was not told
    DANGLING = "dangling"  # nobody has the object
    UNSEEN = "unseen"  # no one who answered has it, but some that may stand in have not
    UNCERTAIN = "uncertain"


class DanglingRowsRules(NamedTuple):
    """Options. rate: rows per second, 0 for no limit. grace: minimum age in seconds of a reported change. repair: rows
    without an object; deletions: rows of objects that are known to be deleted. recent: maximum age in seconds of the
    rows that frequent rounds check, at `recent_rate`.
    """

    rate: float
    grace: float
    repair: bool
    deletions: bool = False
    recent: float = 2 * 86400.0
    recent_rate: float = 0.0


def judge(primaries: Sequence[Look], others: Sequence[Look]) -> RowVerdict:
    """The states of a row's object on devices. others: other places where it may be."""
    if Look.FOUND in primaries or Look.FOUND in others:
        return RowVerdict.SOUND
    if Look.SILENT in primaries or not primaries:
        return RowVerdict.UNCERTAIN
    if Look.DELETED in primaries:
        return RowVerdict.DELETED
    return RowVerdict.UNSEEN if Look.SILENT in others else RowVerdict.DANGLING


def is_old(row: ObjectRow, now: float, grace: float) -> bool:
    changed = max(row.timestamp, row.meta_timestamp or row.timestamp)
    return changed.seconds <= now - grace


class DanglingRows:
    """Its `tour` and `recent` are the work of tours, over places whose `store` is a ContainerStore.

    `recent` looks at rows of the last days alone: a power cut may have kept a deletion from its container.
    """

    def __init__(
        self,
        objects: Callable[[int], Peers | None],
        containers: Peers,
        is_own: Callable[[Node], bool],
        rules: DanglingRowsRules,
        check: Callable[[], None],
        logger: logging.Logger,
        now: Callable[[], float] = time.time,
    ) -> None:
        """objects: the object servers of a policy, None for an unknown policy. check: raises if the daemon must
        stop."""
        self._objects = objects
        self._containers = containers
        self._is_own = is_own
        self._rules = rules
        self._check = check
        self._logger = logger
        self._now = now
        self._throttle = Throttle(rules.rate)
        self._recent_throttle = Throttle(rules.recent_rate)
        self._threads = cache(lambda device: ThreadPool(f"dangling-rows:{device}", 1))

    def tour(self, place: SearchedPlace, found: Round) -> Iterator[Position]:
        return self._all(place, found, self._throttle)

    def recent(self, place: SearchedPlace, found: Round) -> Iterator[Position]:
        return self._all(place, found, self._recent_throttle, self._now() - self._rules.recent)

    def _all(self, place: SearchedPlace, found: Round, throttle: Throttle, since: float = 0.0) -> Iterator[Position]:
        *begun, row = found.position or [None, 0]
        for location in self._threads(place.name).iterate(place.store.locations(found.position[:3])):
            self._check()
            primaries = self._containers.ring().primaries(location.partition)
            if not primaries or primaries[0].device != place.name or not self._is_own(primaries[0]):
                continue
            here = position(location)
            try:
                yield from self._container(place, found, location, row if begun == here else 0, throttle, since)
            except (NotFound, Corrupt):
                continue  # it is gone, or put away
            except LockTimeout as error:
                found.count(errors=1)
                self._logger.warning("%s: rows of %s: %s", place.name, location.hash, error)

    def _container(
        self, place: SearchedPlace, found: Round, location: Location, after: int, throttle: Throttle, since: float
    ) -> Iterator[Position]:
        name = place.store.status(location).name
        if name.account.startswith(_SYSTEM_PREFIX):
            return
        replicas = place.store
        last = replicas.max_row(location)  # what comes later is not old
        while after < last:
            self._check()
            page = replicas.rows_since(location, after, _PAGE)
            if not page:
                return
            for number, row in page:
                after = number
                if row.deleted or not is_old(row, self._now(), self._rules.grace):
                    continue
                if row.timestamp.seconds < since:
                    continue
                throttle.take()
                self._check()
                self._row(found, name, row)
                yield [*position(location), number]

    def _row(self, found: Round, container: Name, row: ObjectRow) -> None:
        peers = self._objects(row.policy_index)
        name = container._replace(object=row.name)
        verdict = RowVerdict.UNCERTAIN if peers is None else self._search(peers, name, row)
        found.count(rows=1, **{verdict.value: 1})
        if verdict not in (RowVerdict.DANGLING, RowVerdict.UNSEEN, RowVerdict.DELETED):
            return
        text = f"dangling: {name.path} of {row.timestamp} in policy {row.policy_index}"
        seen_before = text in found.last_findings
        found.find(text)
        known = verdict is RowVerdict.DELETED and self._rules.deletions
        if known or (verdict is RowVerdict.DANGLING and self._rules.repair and seen_before):
            done = self._repair(container, row)
            found.count(**{"repaired" if done else "failed": 1})
            text += ", reported to its container as deleted" if done else ", could not be reported to its container"
        self._logger.warning("%s", text)

    def _search(self, peers: Peers, name: Name, row: ObjectRow) -> RowVerdict:
        partition, primaries = peers.place(name)
        request = NodeRequest("HEAD", partition, name, {POLICY: str(row.policy_index), EVEN_EXPIRED: "true"})
        first = _ask(peers, primaries, request, row.timestamp)
        if Look.FOUND in first or Look.SILENT in first:
            return judge(first, ())
        ring = peers.ring()
        elsewhere = {node.id: node for node in (*ring.previous(partition), *ring.handoffs(partition))}
        others = _ask(peers, elsewhere.values(), request, row.timestamp)
        again = _ask(peers, primaries, request, row.timestamp)  # it may have been moved there meanwhile
        return judge([*first, *again], others)

    def _repair(self, container: Name, row: ObjectRow) -> bool:
        row_ = tombstone_row(row.name, row.timestamp, row.policy_index)
        statuses = self._containers.send_rows(container, [row_], row.timestamp, {POLICY: str(row.policy_index)})
        return is_majority(statuses.values())


def _ask(peers: Peers, nodes: Iterable[Node], request: NodeRequest, written: Timestamp) -> list[Look]:
    """Return the state on each device, up to the first that has the object."""
    looks = []
    for node in nodes:
        looks.append(_look(peers, node, request, written))
        if looks[-1] is Look.FOUND:
            break
    return looks


def _look(peers: Peers, node: Node, request: NodeRequest, written: Timestamp) -> Look:
    """written: the time of the row."""
    try:
        response = peers.transport.call(node, request)
        response.close()
    except NodeFailure as failure:
        peers.logger.debug("%s at %s: %s", request.name.path, node, failure)
        return Look.SILENT
    if response.ok:
        return Look.FOUND
    if response.status != 404:
        return Look.SILENT
    deleted = response.headers.get(STORED_TIMESTAMP)
    return Look.DELETED if deleted and Timestamp.parse(deleted) >= written else Look.MISSING
