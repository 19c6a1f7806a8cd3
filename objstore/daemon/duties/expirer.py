"""Deletes objects whose time has come, by the rows that object servers put in the queue; see doc/expiry.md.

The queue is an account whose containers are named by time (`core.expiry_queue`), with a row for each object that is
to end. Every host works on the queue's containers that are on its own devices. The replicas
of a container share its rows: each row has a first one, the others follow when it stayed undone for a while. That two
do the same does no harm.

An object that a client has deleted to go later has a row of another type, and goes without a condition.

A deletion is dated just after the change that set the time, which the row tells: it can end that very
object, and nothing that was written later, wherever that may be.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from objstore.core.errors import Conflict, DeviceUnavailable, InvalidInput, LockTimeout, NotFound, ObjstoreError
from objstore.core.expiry_queue import DELETED_LATER, Due, bound, parse_row
from objstore.core.names import Location, Name
from objstore.core.nodes import Node
from objstore.core.timestamps import Clock, Timestamp, just_after
from objstore.daemon.replica_client import Fate, ReplicaClient, ReplicaReply, removal_row
from objstore.layers.interface import ObjectLayer, Page
from objstore.store.databases import ContainerStore, ListingQuery, ObjectItem
from objstore.web.context import RequestContext

_PAGE = 1000
_RETIRE_AFTER = 2 * 86400.0  # seconds after its time that an empty container of the queue is deleted
_FIRST_WAIT = 30.0  # seconds until a row that could not be done with is tried again; doubles each time
_LONGEST_WAIT = 3600.0
_MAX_WAITING = 100_000  # rows of which that is remembered


def turn(row: str, index: int, replicas: int) -> int:
    """Return the number of replicas of the queue's container that process this row before the one of this index."""
    return (index - zlib.crc32(row.encode("utf-8", "surrogateescape"))) % replicas


def finished(fates: Collection[Fate], row_age: float, due_age: float, give_up: float) -> bool:
    """Is there nothing left to do for a row? Ages in seconds: of the change that made it, and since it was due.

    An object that is nowhere may still be on its way, from a handoff or a device that was away. After `give_up`,
    longer than which no device may be away, that is believed.
    """
    if not fates or Fate.UNKNOWN in fates:
        return due_age > give_up
    return Fate.ENDED in fates or Fate.NEWER in fates or row_age > give_up


def may_be_kept(looks: Iterable[ReplicaReply], when: int | None, stamp: Timestamp, replicas: int) -> bool:
    """Was the object's end taken back, or may it have been, where that can be learnt of too few?

    when: of its expiry; None for an object that goes unless it was changed since.

    A POST which did that is on a majority. A replica that lacks it would delete its copy as of a time
    before the POST but after the content, which is the same everywhere, and end that everywhere.
    """
    looks = list(looks)
    if sum(not look.known for look in looks) > (replicas - 1) // 2:
        return True
    newest = max((look for look in looks if look.ok), key=lambda look: look.stored, default=None)
    if newest is None or newest.stored < stamp:
        return False
    return when is None or newest.headers.get("X-Delete-At") != str(when)


def fate_of_kept(look: ReplicaReply, stamp: Timestamp) -> Fate:
    """A row whose object no host deleted yet."""
    if not look.known:
        return Fate.UNKNOWN
    return Fate.NEWER if look.stored >= stamp else Fate.ABSENT


def newer_to_go(looks: Iterable[ReplicaReply], when: int, stamp: Timestamp) -> Timestamp | None:
    """The newest version that replicas have which is to go at the same time, though the row is of an older one.

    So it is with an object that was moved to another policy; a row of its own would come to the same.
    """
    due = [look.stored for look in looks if look.ok and look.headers.get("X-Delete-At") == str(when)]
    return max((stored for stored in due if stored >= stamp), default=None)


class ExpirerOptions(NamedTuple):
    """account: of the queue. Others in seconds. margin: by which clocks of hosts may differ. takeover: after which
    the next replica does what one has left undone. give_up: see `finished`."""

    account: str = ".expiring_objects"
    margin: float = 60.0
    takeover: float = 600.0
    give_up: float = 7 * 86400.0


class ExpirerMeans(NamedTuple):
    """layer: that of the cluster. containers: the container databases of an own device, by its name.

    free: called with an account and the segments in it (`core.manifests.MANIFEST_OWNS`) that a deleted manifest
    leaves to no one. end_version: called with the name of an object that has expired; returns whether it was a version
    of a name, which stays while the name becomes deleted. Raises ObjstoreError.
    """

    replicas: ReplicaClient
    layer: ObjectLayer
    is_own: Callable[[Node], bool]
    containers: Callable[[str], ContainerStore]
    free: Callable[[str, str], None]
    end_version: Callable[[Name], bool]
    clock: Clock
    logger: Any
    now: Callable[[], float] = time.time


class _Queue(NamedTuple):
    """An own replica of a container of the queue."""

    name: Name
    number: int  # among the replicas
    replicas: int
    store: ContainerStore
    location: Location


class _Wait(NamedTuple):
    until: float
    seconds: float


class Expirer:
    """Its `passes` are for a `runner.Daemon`."""

    def __init__(self, means: ExpirerMeans, settings: ExpirerOptions) -> None:
        self._means = means
        self._settings = settings
        self._waits: dict[str, _Wait] = {}
        self._waiting = 0
        self._oldest: int | None = None
        self._counts = {"expired_total": 0, "dropped_total": 0, "failed_total": 0}

    def status(self) -> Mapping[str, Any]:
        """expired: objects deleted; dropped: rows taken from the queue; failed: tries after which a row stayed.

        waiting: rows found due, in the last pass, that had to wait for a replica. oldest_due_seconds: since when
        the oldest row that was due has been.
        """
        age = max(0.0, self._means.now() - self._oldest) if self._oldest is not None else 0.0
        return {**self._counts, "waiting": self._waiting, "oldest_due_seconds": round(age)}

    def passes(self) -> Iterator[Callable[[], None] | None]:
        """One pass over what is due; a unit is one object."""
        began = self._means.now()
        context = RequestContext()  # keeps what is known of containers for the pass
        self._waits = {row: wait for row, wait in self._waits.items() if wait.until > began - _LONGEST_WAIT}
        waiting, oldest = 0, None
        for name in self._containers(began - self._settings.margin):
            for queue in self._own(name):
                for row in self._rows(queue, began - self._settings.margin):
                    due = self._parse(queue, row)
                    if due is None:
                        continue
                    oldest = due.when if oldest is None else min(oldest, due.when)
                    if self._is_ours(queue, row.name, due, began):
                        if self._is_waiting(row.name):
                            waiting += 1
                        else:
                            yield partial(self._expire, queue, row, due, context)
                yield from self._retire(queue, began)
        self._waiting, self._oldest = waiting, oldest

    def _containers(self, until: float) -> Iterator[Name]:
        """Return the queue's containers that may hold due rows, or must be deleted. Raises ObjstoreError."""
        marker, account = "", self._settings.account
        while True:
            page = Page(marker=marker, end_marker=bound(int(until) + 1), limit=_PAGE)
            try:
                rows: list[dict[str, Any]] = self._means.layer.list_containers(
                    RequestContext(), Name(account), page
                ).rows
            except NotFound:
                return
            for row in rows:
                # An account knows within seconds that one has rows. Most are empty long before they are deleted.
                if row["count"] or self._is_old(row["name"], self._means.now()):
                    yield Name(account, row["name"])
            if len(rows) < _PAGE:
                return
            marker = rows[-1]["name"]

    def _own(self, name: Name) -> Iterator[_Queue]:
        means = self._means
        partition, nodes = means.replicas.place(name)
        for index, node in enumerate(nodes):
            if means.is_own(node):
                try:
                    store = means.containers(node.device)
                except DeviceUnavailable:
                    continue
                yield _Queue(name, index, len(nodes), store, Location(partition, means.replicas.hash(name)))

    def _rows(self, queue: _Queue, until: float) -> Iterator[ObjectItem]:
        """Yield the due rows of a replica of a container."""
        query = ListingQuery(end_marker=bound(int(until) + 1), limit=_PAGE, data_times=True)
        while True:
            try:
                listing = queue.store.list(queue.location, query)
            except NotFound:
                return
            except (DeviceUnavailable, LockTimeout) as error:
                self._means.logger.warning("cannot read %s of the queue: %s", queue.name.path, error)
                return
            yield from listing.items
            if not listing.more:
                return
            query = query._replace(marker=listing.items[-1].name)

    def _parse(self, queue: _Queue, row: ObjectItem) -> Due | None:
        try:
            return parse_row(row.name)
        except InvalidInput as error:
            self._means.logger.error("%s: %s", queue.name.path, error)
            return None

    def _is_ours(self, queue: _Queue, row: str, due: Due, now: float) -> bool:
        patience = turn(row, queue.number, queue.replicas) * self._settings.takeover
        return due.when + self._settings.margin + patience <= now

    def _is_waiting(self, row: str) -> bool:
        wait = self._waits.get(row)
        return wait is not None and wait.until > self._means.now()

    # One object

    def _expire(self, queue: _Queue, row: ObjectItem, due: Due, context: RequestContext) -> None:
        fates: list[Fate] = []
        removed = True
        container = self._means.layer.container_info(context, due.name)
        stamp = just_after(row.timestamp)
        if container.exists:
            fates, removed = self._delete(due, stamp, container.policy_index, row.content_type != DELETED_LATER)
        elif container.status in (404, 410):
            fates = [Fate.ABSENT]
        now = self._means.now()
        row_age, due_age = now - row.timestamp.seconds, now - due.when
        done = finished(fates, row_age, due_age, self._settings.give_up)
        if not (done and (removed or due_age > self._settings.give_up) and self._drop(queue.name, row.name, stamp)):
            self._put_off(row.name)
            return
        self._waits.pop(row.name, None)
        self._counts["dropped_total"] += 1

    def _delete(self, due: Due, stamp: Timestamp, policy: int, expires: bool) -> tuple[list[Fate], bool]:
        """The object's fate on each replica, and whether its container's replicas know of it.

        expires: only an object that expires at the time of its row.
        """
        name, replicas, when = due.name, self._means.replicas, due.when if expires else None
        condition = {} if when is None else {"X-If-Delete-At": str(when)}
        looks = [look for _, look in replicas.look(name, policy)]
        if may_be_kept(looks, when, stamp, len(replicas.place(name, policy)[1])):
            return [fate_of_kept(look, stamp) for look in looks], True
        try:
            if self._means.end_version(name):
                return [fate_of_kept(look, stamp) for _, look in replicas.look(name, policy)], True
        except ObjstoreError as failure:
            self._means.logger.warning("cannot end the version %s that has expired: %s", name.path, failure)
            return [Fate.UNKNOWN], False
        deletion = replicas.delete(name, policy, stamp, condition)
        newer = None if when is None else newer_to_go(deletion.looks, when, stamp)
        if newer is not None:
            stamp = just_after(newer)
            deletion = replicas.delete(name, policy, stamp, condition)
        for owned in deletion.segments:
            self._means.free(name.account, owned)
        self._counts["expired_total"] += deletion.done
        removed = Fate.ENDED not in deletion.fates or self._remove_row(
            name.of_container, name.object or "", stamp, policy
        )
        return deletion.fates, removed

    def _drop(self, queue: Name, row: str, stamp: Timestamp) -> bool:
        """Remove a row from the queue. One that came later, for a later change of the object, stays."""
        return self._remove_row(queue, row, stamp, 0)

    def _remove_row(self, container: Name, row: str, stamp: Timestamp, policy: int) -> bool:
        removal = removal_row(row, stamp, policy, self._means.clock.now())
        return self._means.replicas.send_rows(container, [removal], stamp)

    def _put_off(self, row: str) -> None:
        self._counts["failed_total"] += 1
        last = self._waits.get(row)
        seconds = _FIRST_WAIT if last is None else min(2 * last.seconds, _LONGEST_WAIT)
        if last is not None or len(self._waits) < _MAX_WAITING:
            self._waits[row] = _Wait(self._means.now() + seconds, seconds)

    # The queue's containers

    def _retire(self, queue: _Queue, now: float) -> Iterator[Callable[[], None]]:
        """Delete a container of the queue that nothing will come into any more, which its first replica does."""
        if queue.number or not self._is_old(queue.name.container or "", now):
            return
        try:
            empty = queue.store.info(queue.location).empty
        except (NotFound, DeviceUnavailable, LockTimeout):
            return
        if empty:
            yield partial(self._delete_container, queue.name)

    def _is_old(self, container: str, now: float) -> bool:
        return container.isdigit() and int(container) <= now - _RETIRE_AFTER - self._settings.margin

    def _delete_container(self, name: Name) -> None:
        try:
            self._means.layer.delete_container(RequestContext(), name)
        except (NotFound, Conflict):  # another replica has rows yet
            pass
        except ObjstoreError as failure:
            self._means.logger.warning("cannot delete %s of the queue: %s", name.path, failure)
