"""Moves objects to the storage policy of their container; see doc/expiry.md.

While its servers were separated from each other, a container can have been created twice, with different policies. Its
databases agree on one of them; rows under another list objects that no reader finds. Each of those is copied to the
container's policy, then deleted under the wrong one. Let s be the time of its last change: its deletion is dated s + 1,
the copy s + 2, in steps of the offset that clients do not see. So any later change of a client is newer than both, and
the deletion does not apply to the copy.

A deletion under a wrong policy is repeated under the container's, with the same time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from objstore.core.errors import ObjstoreError
from objstore.core.manifests import MANIFEST_OWNS
from objstore.core.names import Location, Name
from objstore.core.nodes import Node
from objstore.core.object_lock import JUDGED
from objstore.core.timestamps import ZERO, Clock, Timestamp, just_after
from objstore.daemon.changed import NOT_NOW, ChangedDatabases
from objstore.daemon.duties.object_copy import PolicyCopySource, copy
from objstore.daemon.replica_client import Fate, ReplicaClient, ReplicaReply, removal_row
from objstore.runtime.throttle import Throttle
from objstore.store.databases import ContainerStore, ObjectRow
from objstore.store.databases.misplaced import Misplaced
from objstore.wire.messages import DATA_TIMESTAMP, EVEN_EXPIRED, POLICY
from objstore.wire.rows import ListedObject, object_row

_PAGE = 500


class ReconcilerOptions(NamedTuple):
    """In seconds. takeover: after which the next replica's host does what one has left undone. give_up: after which
    a row is believed to be of nothing where no replica has the object: longer than any device may be away."""

    takeover: float = 600.0
    give_up: float = 7 * 86400.0


class DeviceContainers(NamedTuple):
    """The containers of an own device."""

    name: str
    containers: ContainerStore


class ReconcilerMeans(NamedTuple):
    """devices: those that can be used now. throttle: bytes copied.

    free: called with an account and the segments in it (`core.manifests.MANIFEST_OWNS`) that are left to no one.
    """

    replicas: ReplicaClient
    devices: Callable[[], Iterable[DeviceContainers]]
    is_own: Callable[[Node], bool]
    clock: Clock
    throttle: Throttle
    free: Callable[[str, str], None]
    logger: Any
    now: Callable[[], float] = time.time


def agreed(replies: Iterable[ReplicaReply], policy: int) -> bool:
    """Do a container's replicas agree on its policy? A majority must say so, and none another."""
    replies = list(replies)
    policies = [reply.headers.get(POLICY, "0") for reply in replies if reply.ok]
    return 2 * len(policies) > len(replies) and all(one == str(policy) for one in policies)


class RowPlan(NamedTuple):
    """The treatment of an object under a wrong policy.

    newest: its last change there. source: node to copy it from, None if it is under the container's policy already.
    """

    newest: Timestamp
    source: tuple[Node, ReplicaReply] | None


def plan(wrong: Iterable[tuple[Node, ReplicaReply]], right: Iterable[ReplicaReply]) -> RowPlan | None:
    """wrong: states of nodes under the wrong policy; right: states of the primaries under the container's.

    None if the decision is not possible yet, or the newest change under the wrong policy is not a live object. A POST
    that is on a majority must be included: a copy without it, followed by a deletion with a time before it, would lose
    it.
    """
    wrong, right = list(wrong), list(right)
    if sum(not reply.known for _, reply in wrong) > (len(wrong) - 1) // 2:
        return None
    live = [(reply.stored, place) for place, (_, reply) in enumerate(wrong) if reply.ok]
    newest, place = max(live, default=(ZERO, 0))
    if not live or any(reply.stored > newest for _, reply in wrong if reply.known):
        return None
    if 2 * sum(reply.known for reply in right) <= len(right):
        return None
    return RowPlan(newest, None if holders(right, newest) == len(right) else wrong[place])


def holders(right: Iterable[ReplicaReply], newest: Timestamp) -> int:
    """Return the number of nodes that have this change, or a newer one."""
    return sum(reply.known and reply.stored >= newest for reply in right)


class _Container:
    """One with misplaced rows. since: when that was first seen."""

    def __init__(self, device: DeviceContainers, location: Location, since: float) -> None:
        self.device = device
        self.location = location
        self.since = since


class _Task(NamedTuple):
    """The work for one row. policy: the container's, to which the object belongs."""

    container: Name
    row: ObjectRow
    policy: int

    @property
    def name(self) -> Name:
        return self.container._replace(object=self.row.name)


class Reconciler:
    """Its `passes` are for a `runner.Daemon`."""

    def __init__(self, means: ReconcilerMeans, settings: ReconcilerOptions) -> None:
        self._means = means
        self._settings = settings
        self._changed = ChangedDatabases("container-reconciler", now=means.now)
        self._containers: dict[tuple[str, Location], _Container] = {}
        self._counts = {"moved_total": 0, "deleted_total": 0, "dropped_total": 0, "failed_total": 0, "bytes_total": 0}

    def status(self) -> Mapping[str, object]:
        """moved: objects; deleted: where a deletion had been made under another policy; dropped: rows of nothing;
        failed: tries after which a row stayed; waiting: own replicas of containers with misplaced rows."""
        return {**self._counts, "waiting": len(self._containers)}

    def passes(self) -> Iterator[Callable[[], None] | None]:
        """One pass; a unit is one object, or a look at a database that has changed."""
        self._changed.begin()
        for device in self._means.devices():
            for location in self._changed.of(device.name, device.containers):
                self._look(device, location)
                yield None
        for key, container in list(self._containers.items()):
            try:
                first = self._rows(container.device, container.location, None, 1)
            except NOT_NOW:
                continue
            if first is None:
                del self._containers[key]
            elif self._is_ours(container, first.info.name) and self._agreed(first):
                yield from self._reconcile(container)

    def _look(self, device: DeviceContainers, location: Location) -> None:
        key = device.name, location
        try:
            if key not in self._containers and self._rows(device, location, None, 1):
                self._containers[key] = _Container(device, location, self._means.now())
        except NOT_NOW:
            self._changed.missed(device.name)

    def _rows(
        self, device: DeviceContainers, location: Location, after: tuple[int, bool, str] | None, limit: int
    ) -> Misplaced | None:
        """A page of misplaced rows; None for none. Raises NOT_NOW."""
        try:
            found = device.containers.misplaced(location, after, limit)
        except NOT_NOW:
            raise
        except ObjstoreError as error:  # gone, or in quarantine
            self._means.logger.debug("container %s on %s: %s", location.hash, device.name, error)
            return None
        return found if found.rows else None

    def _is_ours(self, container: _Container, name: Name) -> bool:
        partition, nodes = self._means.replicas.place(name)
        for turn, node in enumerate(nodes):
            if node.device == container.device.name and self._means.is_own(node):
                on_time = container.since + turn * self._settings.takeover <= self._means.now()
                return on_time and partition == container.location.partition
        return False

    def _agreed(self, found: Misplaced) -> bool:
        """Wait until the replicas of a container agree on its policy, as either may win."""
        policy = found.info.policy_index
        return agreed(self._means.replicas.ask("HEAD", found.info.name, {}), policy)

    def _reconcile(self, container: _Container) -> Iterator[Callable[[], None]]:
        after: tuple[int, bool, str] | None = None
        while True:
            try:
                found = self._rows(container.device, container.location, after, _PAGE)
            except NOT_NOW:
                return  # the next pass goes on
            if found is None:
                return
            for row in found.rows:
                task = _Task(found.info.name, row, found.info.policy_index)
                yield partial(self._count, task, self._delete if row.deleted else self._move)
            if not found.more:
                return
            last = found.rows[-1]
            after = last.policy_index, last.deleted, last.name

    def _count(self, task: _Task, do: Callable[[_Task], str]) -> None:
        outcome = "failed"
        try:
            outcome = do(task)
        finally:
            self._counts[f"{outcome}_total"] += 1

    # One object: what each returns is counted

    def _delete(self, task: _Task) -> str:
        stamp = task.row.timestamp
        deletion = self._means.replicas.delete(task.name, task.policy, stamp)
        self._free(task, deletion.segments)
        if Fate.UNKNOWN in deletion.fates:
            return "failed"
        return "deleted" if self._tell_removal(task, stamp, task.policy) else "failed"

    def _move(self, task: _Task) -> str:
        replicas, name, old_policy = self._means.replicas, task.name, task.row.policy_index
        wrong = replicas.look(name, old_policy)
        right = replicas.ask("HEAD", name, {EVEN_EXPIRED: "true"}, task.policy)
        todo = plan(wrong, right)
        if todo is None:
            return self._absent(task, [reply for _, reply in wrong])
        if todo.source is not None:
            source = PolicyCopySource(todo.source[0], old_policy, todo.source[1])
            replaced = copy(replicas, name, source, task.policy, just_after(todo.newest, 2), self._took)
            self._free(task, replaced - {source.head.headers.get(MANIFEST_OWNS, "")})
            right = replicas.ask("HEAD", name, {EVEN_EXPIRED: "true"}, task.policy)
        if 2 * holders(right, todo.newest) <= len(right):
            return "failed"
        there = [reply for reply in right if reply.ok and reply.stored >= todo.newest]
        if there and not self._tell_row(task, max(there, key=lambda reply: reply.stored)):
            return "failed"
        stamp = just_after(todo.newest)
        # What is locked was moved with its lock.
        deletion = replicas.delete(name, old_policy, stamp, {JUDGED: "1"})
        self._free(task, set(deletion.segments) - {reply.headers.get(MANIFEST_OWNS, "") for reply in there})
        if Fate.UNKNOWN in deletion.fates or not self._tell_removal(task, stamp, old_policy):
            return "failed"
        return "moved"

    def _free(self, task: _Task, segments: Iterable[str]) -> None:
        for owned in sorted(segments):
            self._means.free(task.container.account, owned)

    def _absent(self, task: _Task, replies: list[ReplicaReply]) -> str:
        """The wrong policy has no live object: it was deleted, or is not there yet, or its row is of nothing."""
        if not all(reply.known for reply in replies):
            return "failed"
        row = task.row
        deleted = max((reply.stored for reply in replies if reply.status == 404), default=ZERO)
        live = any(reply.ok and reply.stored > deleted for reply in replies)
        old = self._means.now() - row.timestamp.seconds > self._settings.give_up
        if live or (deleted < row.timestamp and not old):
            return "failed"
        # As of the deletion, so that it is made under the container's policy next; also where it has not come to yet.
        stamp = max(deleted, just_after(row.timestamp))
        deletion = self._means.replicas.delete(task.name, row.policy_index, stamp)
        self._free(task, deletion.segments)
        if Fate.UNKNOWN in deletion.fates:
            return "failed"
        return "dropped" if self._tell_removal(task, stamp, row.policy_index) else "failed"

    def _took(self, size: int) -> None:
        self._counts["bytes_total"] += size
        self._means.throttle.take(size)

    def _tell_row(self, task: _Task, reply: ReplicaReply) -> bool:
        """List the object under the container's policy."""
        headers = reply.headers
        data = Timestamp.parse(headers[DATA_TIMESTAMP])
        listed = ListedObject(
            task.row.name, reply.stored, data, data, int(headers["Content-Length"]), headers["Etag"],
            headers["Content-Type"], headers,
        )  # fmt: skip
        row = object_row(listed, task.policy)
        return self._means.replicas.send_rows(task.container, [row], reply.stored)

    def _tell_removal(self, task: _Task, stamp: Timestamp, policy: int) -> bool:
        row = removal_row(task.row.name, stamp, policy, self._means.clock.now())
        return self._means.replicas.send_rows(task.container, [row], stamp)
