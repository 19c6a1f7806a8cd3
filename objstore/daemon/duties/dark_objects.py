"""Finds objects that nobody else would: ones that no container lists, and ones that have outlived their expiry.

The former a listing, a quota and a bill never see, and no client ever deletes; of the latter the expirer does not know.

For objects of which a device of this host is the first primary, so that each is looked at once in the cluster, all
primaries of the container are asked what they know of the name. A row of the object's time or later, also of a
deletion, and in whichever policy, is reason enough to leave it alone; so is everything that is not certain. An object
is never deleted here: what is found is reported or, where that is wanted, told to the container again.

An object that is there long after its time is *overdue*. Its row in the expirer's queue may be lost: it is asked for
and, where that is wanted, told again. The expirer then looks at all copies as ever.
"""

from __future__ import annotations

import enum
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from objstore.core.errors import Corrupt, InvalidInput, NodeFailure, NotFound
from objstore.core.expiry_queue import Due, ExpiryQueue
from objstore.core.names import Location, Name
from objstore.core.nodes import Node
from objstore.core.timestamps import TICKS, Timestamp, just_after
from objstore.core.versions import UNLISTED
from objstore.daemon import stored_names
from objstore.daemon.delivery import Peers
from objstore.daemon.rounds import Position, Round, SearchedPlace
from objstore.runtime import green
from objstore.runtime.throttle import Throttle
from objstore.store.interface import ObjectInfo
from objstore.wire.messages import EVEN_EXPIRED, POLICY, RECREATE, STORED_TIMESTAMP, NodeRequest
from objstore.wire.named_rows import RowStamp, decode_rows, named_request
from objstore.wire.rows import ListedObject, object_row, queue_row
from objstore.wire.telling import is_majority

_BATCH = 50  # objects whose containers are asked at a time


class ObjectVerdict(enum.Enum):
    """The counts of objects."""

    LISTED = "listed"  # or deleted later, or moved
    DARK = "dark"
    NO_CONTAINER = "without_container"
    UNCERTAIN = "uncertain"  # what its container lacks, or that it is overdue


class PrimaryAnswer(NamedTuple):
    """The answer of a primary of a container. rows: its rows of the requested names; None: it lacks the container.

    deleted: the container was deleted there.
    """

    rows: tuple[RowStamp, ...] | None
    deleted: bool = False


class DarkObjectsRules(NamedTuple):
    """Options. rate: objects per second, 0 for no limit.

    grace: minimum age in seconds of a reported change. repair: update the container, or the expirer's queue, again.
    overdue: seconds after which an expired object must be deleted. recent: maximum age in seconds of the changes that
    frequent rounds check, at `recent_rate`. repair_recent: frequent rounds update the container again.
    """

    rate: float
    grace: float
    repair: bool
    overdue: float = 86400.0
    queue: ExpiryQueue = ExpiryQueue()
    recent: float = 2 * 86400.0
    recent_rate: float = 0.0
    repair_recent: bool = False


def is_listed(info: ObjectInfo, now: float, grace: float) -> bool:
    """Should the object have been in a listing for long? Not one that has expired, or is to have no row."""
    expired = has_ended(info, now)
    return info.timestamp.seconds <= now - grace and info.metadata.get(UNLISTED) != "true" and not expired


def has_ended(info: ObjectInfo, by: float) -> bool:
    """Was its time, where it has one, at or before `by`, in seconds since the epoch?"""
    delete_at = info.metadata.get("X-Delete-At", "")
    return delete_at.isdecimal() and int(delete_at) <= by


def is_queued(answers: Iterable[PrimaryAnswer | None], row: str, timestamp: Timestamp) -> bool:
    """Does any primary of the queue's container have the row of a change, or of a later one?

    A removal of the row may be there as well; the row of a later time than both counts.
    """
    rows = [each for answer in answers if answer is not None for each in answer.rows or () if each.name == row]
    newest = max(rows, key=lambda each: (each.timestamp, each.deleted), default=None)
    return newest is not None and not newest.deleted and newest.timestamp >= timestamp


def queue_timestamp(changed: Timestamp, when: int, now: float) -> Timestamp:
    """Return the time of a row sent to the queue again: that of the change, for clients.

    The expirer's deletion is dated just after it, and so before any later change of a client. It grows with time, so
    that the row wins over the removal of an earlier one: an object may reappear with an old device.
    """
    return just_after(changed, max(0, round((now - when) * TICKS)))


def judge(answers: Sequence[PrimaryAnswer | None], name: str, timestamp: Timestamp) -> ObjectVerdict:
    """Return the verdict of a container's primaries on an object whose data is of `timestamp`; None if one does not
    answer."""
    known = [answer for answer in answers if answer is not None]
    rows = [row for answer in known for row in answer.rows or ()]
    if any(row.name == name and row.timestamp >= timestamp for row in rows):
        return ObjectVerdict.LISTED
    if 2 * len(known) <= len(answers):
        return ObjectVerdict.UNCERTAIN
    having = [answer for answer in known if answer.rows is not None]
    if not having:
        return ObjectVerdict.NO_CONTAINER
    if 2 * len(having) <= len(answers) or any(answer.deleted for answer in known):
        return ObjectVerdict.UNCERTAIN
    return ObjectVerdict.DARK


class Other(NamedTuple):
    """The state of an object on another primary. newest: timestamp of its newest change of the name; None if it has
    none."""

    newest: Timestamp | None


def is_newest(others: Sequence[Other | None], info: ObjectInfo) -> bool:
    """Is no other copy newer, as far as a majority of all copies, this one among them, tells? None: a silent one."""
    known = [other for other in others if other is not None]
    if 2 * (len(known) + 1) <= len(others) + 1:
        return False
    return all(other.newest is None or other.newest <= info.timestamp for other in known)


class _Suspect(NamedTuple):
    location: Location
    name: Name
    info: ObjectInfo


class DarkObjects:
    """Its `tour` and `recent` are the work of tours, over places whose `store` is a mapping of policies to engines.

    `recent` looks at changes of the last days alone: a power cut may have kept one from its container.
    """

    def __init__(
        self,
        objects: Callable[[int], Peers],
        containers: Peers,
        is_own: Callable[[Node], bool],
        rules: DarkObjectsRules,
        check: Callable[[], None],
        logger: logging.Logger,
        now: Callable[[], float] = time.time,
    ) -> None:
        """objects: the object servers of a policy. check: raises where the daemon is to end."""
        self._objects = objects
        self._containers = containers
        self._is_own = is_own
        self._rules = rules
        self._check = check
        self._logger = logger
        self._now = now
        self._throttle = Throttle(rules.rate)
        self._recent_throttle = Throttle(rules.recent_rate)

    def tour(self, place: SearchedPlace, found: Round) -> Iterator[Position]:
        return self._search(place, found, self._throttle)

    def recent(self, place: SearchedPlace, found: Round) -> Iterator[Position]:
        return self._search(place, found, self._recent_throttle, self._now() - self._rules.recent)

    def _search(self, place: SearchedPlace, found: Round, throttle: Throttle, since: float = 0.0) -> Iterator[Position]:
        def wanted(policy: int, partition: int) -> bool:
            primaries = self._objects(policy).ring().primaries(partition)
            return bool(primaries) and primaries[0].device == place.name and self._is_own(primaries[0])

        batch: list[Location] = []
        for position, location in stored_names.objects(
            place.store, found.position, wanted, since=since, take=throttle.take
        ):
            throttle.take()
            batch.append(location)
            if len(batch) >= _BATCH:
                self._look_at(place, found, batch, recent=since > 0)
                batch = []
                yield position  # at which the batch has begun, or behind
        self._look_at(place, found, batch, recent=since > 0)

    def _look_at(self, place: SearchedPlace, found: Round, batch: list[Location], recent: bool) -> None:
        suspects = []
        for location in batch:
            self._check()
            suspect = self._suspect(place, found, location, overdue=not recent)
            if suspect is not None:
                suspects.append(suspect)
        self._judge(found, suspects, self._rules.repair or (recent and self._rules.repair_recent))

    def _suspect(self, place: SearchedPlace, found: Round, location: Location, overdue: bool) -> _Suspect | None:
        """An object that ought to be listed."""
        try:
            info = place.store[location.policy].info(location)
            name = Name.parse(info.name)
        except (NotFound, Corrupt):
            return None  # the business of others
        except InvalidInput:
            name = None
        found.count(objects=1)
        if name is None or name.object is None or self._containers.salt.hash(name) != location.hash:
            found.count(misplaced=1)
            found.find(f"misplaced: {info.name} at {location.policy}/{location.partition}/{location.hash}")
            self._logger.error("%s: the object at %s belongs to %s", place.name, location.hash, info.name)
            return None
        if self._objects(location.policy).ring().partition(location.hash) != location.partition:
            return None  # the number of partitions has changed: it is kept in another one too, or will be
        suspect = _Suspect(location, name, info)
        now = self._now()
        if overdue and has_ended(info, now - self._rules.overdue):
            self._look_at_overdue(found, suspect)
        return suspect if is_listed(info, now, self._rules.grace) else None

    def _judge(self, found: Round, suspects: list[_Suspect], repair: bool) -> None:
        def container(suspect: _Suspect) -> Name:
            return suspect.name.of_container

        for name, group in groupby(sorted(suspects, key=lambda each: each.name.path), container):
            members = list(group)
            answers = self._ask(name, [each.name.object or "" for each in members])
            for each in members:
                self._settle(found, each, judge(answers, each.name.object or "", each.info.data_timestamp), repair)

    def _ask(self, container: Name, names: list[str]) -> list[PrimaryAnswer | None]:
        """Return the answer of each primary."""
        partition, nodes = self._containers.place(container)
        request = named_request(container, partition, names)
        waits = [green.spawn(self._answer, node, request) for node in nodes]
        return [wait.wait() for wait in waits]

    def _answer(self, node: Node, request: NodeRequest) -> PrimaryAnswer | None:
        try:
            response = self._containers.transport.call(node, request)
            body = response.read()
            if response.status == 404:
                return PrimaryAnswer(None, STORED_TIMESTAMP in response.headers)
            return PrimaryAnswer(tuple(decode_rows(body))) if response.ok else None
        except (NodeFailure, InvalidInput) as failure:
            self._logger.debug("rows of %s at %s: %s", request.name.path, node, failure)
            return None

    def _settle(self, found: Round, suspect: _Suspect, verdict: ObjectVerdict, repair: bool) -> None:
        if verdict in (ObjectVerdict.DARK, ObjectVerdict.NO_CONTAINER) and not is_newest(
            self._others(suspect), suspect.info
        ):
            verdict = ObjectVerdict.UNCERTAIN  # replicators make the copies equal first
        found.count(**{verdict.value: 1})
        if verdict not in (ObjectVerdict.DARK, ObjectVerdict.NO_CONTAINER):
            return
        path, policy = suspect.name.path, suspect.location.policy
        text = f"{verdict.value}: {path} of {suspect.info.data_timestamp} in policy {policy}"
        found.find(text)
        if verdict is ObjectVerdict.DARK and repair:
            done = self._repair(suspect)
            found.count(**{"repaired" if done else "failed": 1})
            text += ", reported to its container again" if done else ", could not be reported to its container"
        self._logger.warning("%s", text)

    def _others(self, suspect: _Suspect) -> list[Other | None]:
        """Return the states of an object on the other primaries."""
        peers = self._objects(suspect.location.policy)
        _, (_, *others) = peers.place(suspect.name)
        headers = {POLICY: str(suspect.location.policy), EVEN_EXPIRED: "true"}
        request = NodeRequest("HEAD", suspect.location.partition, suspect.name, headers)
        return [_look(peers, node, request) for node in others]

    def _repair(self, suspect: _Suspect) -> bool:
        policy = suspect.location.policy
        row = object_row(ListedObject(*suspect.info)._replace(name=suspect.name.object or ""), policy)
        container = suspect.name.of_container
        statuses = self._containers.send_rows(container, [row], suspect.info.timestamp, {POLICY: str(policy)})
        return is_majority(statuses.values())

    # Objects that should have gone

    def _look_at_overdue(self, found: Round, suspect: _Suspect) -> None:
        if not is_newest(self._others(suspect), suspect.info):
            found.count(uncertain=1)  # its end may have been taken back, or it is deleted
            return
        due = Due(int(suspect.info.metadata["X-Delete-At"]), suspect.name)
        container = self._rules.queue.container(due.when, suspect.location.hash)
        text = f"overdue: {due.name.path} of {suspect.info.timestamp} in policy {suspect.location.policy}"
        found.count(overdue=1)
        found.find(text)
        if is_queued(self._ask(container, [due.row]), due.row, suspect.info.timestamp):
            found.count(queued=1)
            text += ", already in the expirer's queue"
        elif self._rules.repair:
            done = self._requeue(container, due, suspect.info.timestamp)
            found.count(**{"requeued" if done else "failed": 1})
            text += ", reported to the expirer again" if done else ", could not be reported to the expirer"
        self._logger.warning("%s", text)

    def _requeue(self, container: Name, due: Due, changed: Timestamp) -> bool:
        """Put a row into the queue, whose container is made where it is missing."""
        now = self._now()
        row = queue_row(due, queue_timestamp(changed, due.when, now))
        statuses = self._containers.send_rows(container, [row], Timestamp.from_seconds(now), {RECREATE: "0"})
        return is_majority(statuses.values())


def _look(peers: Peers, node: Node, request: NodeRequest) -> Other | None:
    try:
        response = peers.transport.call(node, request)
        response.close()
        if not response.ok and response.status != 404:
            return None
        newest = response.headers.get(STORED_TIMESTAMP)
        return Other(Timestamp.parse(newest) if newest else None)
    except (NodeFailure, InvalidInput):
        return None
