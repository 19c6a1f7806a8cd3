"""Deletes what is in accounts that were deleted; see doc/expiry.md.

An account's deletion marks its databases. After a delay the reaper deletes objects and containers, all as
of the time of that deletion. What is newer was written by a proxy that did not know of the deletion yet. It is deleted
as of just after its own time, but only if every replica of the account is deleted: an account whose databases were lost
while the deletion was known elsewhere can have been created again, and what was written to it since stays. The hosts
of the account's replicas take turns: the first begins, each other follows where the account is not empty after a
while. What could not be deleted everywhere is tried again in the next pass. A container in which object lock holds
anything stays as a whole, with its hidden ones, until nothing is held any more.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import urlencode

from objstore.core.errors import ObjstoreError
from objstore.core.names import RESERVED, Location, Name, hidden
from objstore.core.nodes import Node
from objstore.core.object_lock import LOCK, LOCK_SYSMETA, Lock, hold
from objstore.core.timestamps import ZERO, Clock, Timestamp, just_after
from objstore.daemon.changed import NOT_NOW, ChangedDatabases
from objstore.daemon.replica_client import ALLOW_RESERVED, Fate, ReplicaClient, ReplicaReply, removal_row
from objstore.runtime.steady_clock import CLOCK
from objstore.store.databases import AccountStatus, AccountStore, ContainerRow, ListedContainer, ListingQuery
from objstore.wire.messages import MARKERS, POLICY, STORED_TIMESTAMP, TIMESTAMP
from objstore.wire.rows import container_row

_PAGE = 1000
_WARN_AGAIN = 86400.0


class ReaperOptions(NamedTuple):
    """All in seconds. delay: from the deletion of an account to that of what is in it. takeover: after which the
    next replica's host does what one has left undone. warn_after: how long that may take."""

    delay: float = 0.0
    takeover: float = 600.0
    warn_after: float = 30 * 86400.0


class DeviceAccounts(NamedTuple):
    """The accounts of an own device."""

    name: str
    accounts: AccountStore


class ReaperMeans(NamedTuple):
    """devices: those that can be used now."""

    replicas: ReplicaClient
    devices: Callable[[], Iterable[DeviceAccounts]]
    is_own: Callable[[Node], bool]
    clock: Clock
    logger: Any
    now: Callable[[], float] = time.time


def is_to_be_reaped(info: AccountStatus, now: float, settings: ReaperOptions) -> bool:
    """May there be anything in the account that went with its last deletion? Not where it is in use again for long."""
    if info.delete_timestamp == ZERO or not info.container_count:
        return False
    return info.deleted or now < due_at(info, 0, settings) + settings.warn_after


def due_at(info: AccountStatus, turn: int, settings: ReaperOptions) -> float:
    """Return the time at which a host may begin, in seconds since the epoch. turn: number of hosts before it."""
    return info.delete_timestamp.seconds + settings.delay + turn * settings.takeover


def is_newer(looks: Sequence[ReplicaReply], stamp: Timestamp) -> bool | None:
    """Return whether any change of an object is newer than the deletion; None if too few replicas answer.

    A POST is on a majority. A replica that lacks it would delete its copy with a time before the POST but after the
    content, which is the same everywhere, and so delete that everywhere.
    """
    if any(look.ok and look.stored > stamp for look in looks):
        return True
    return None if sum(not look.known for look in looks) > (len(looks) - 1) // 2 else False


def is_deleted_everywhere(replies: Sequence[ReplicaReply]) -> bool:
    """Return whether every replica of an account answers that it is deleted."""
    return bool(replies) and all(reply.status == 404 and reply.stored > ZERO for reply in replies)


class _Account:
    """An account that is being emptied. left: items to check again, or deleted, in the last pass. final: all replicas
    are deleted. held: whether object lock holds anything in a container, by its name, in this pass."""

    def __init__(self, device: DeviceAccounts, location: Location) -> None:
        self.held: dict[str, bool] = {}
        self.device = device
        self.location = location
        self.left = 1
        self.warned = 0.0
        self.final = False


class AccountReaper:
    """Its `passes` are for a `runner.Daemon`."""

    def __init__(self, means: ReaperMeans, settings: ReaperOptions) -> None:
        self._means = means
        self._settings = settings
        self._changed = ChangedDatabases("account-reaper", now=means.now)
        self._accounts: dict[tuple[str, Location], _Account] = {}
        self._oldest: float | None = None
        self._counts = {"objects_reaped_total": 0, "containers_reaped_total": 0, "failed_total": 0, "held_total": 0}

    def status(self) -> Mapping[str, object]:
        """waiting: deleted accounts with containers yet; oldest_seconds: since the first of them could be emptied."""
        age = max(0.0, self._means.now() - self._oldest) if self._oldest is not None else 0.0
        return {**self._counts, "waiting": len(self._accounts), "oldest_seconds": round(age)}

    def passes(self) -> Iterator[Callable[[], None] | None]:
        """One pass; a unit is one object, or one container, or a look at a database that has changed."""
        self._changed.begin()
        for device in self._means.devices():
            for location in self._changed.of(device.name, device.accounts):
                self._look(device, location)
                yield None
        oldest = None
        for key, account in list(self._accounts.items()):
            try:
                info = self._info(account.device, account.location)
            except NOT_NOW:
                continue
            if info is None or not self._goes_on(account, info):
                del self._accounts[key]
                continue
            due = due_at(info, 0, self._settings)
            oldest = due if oldest is None else min(oldest, due)
            if self._is_ours(account, info):
                self._warn(account, info)
                yield from self._reap(account, info)
        self._oldest = oldest

    def _look(self, device: DeviceAccounts, location: Location) -> None:
        try:
            info = self._info(device, location)
        except NOT_NOW:
            self._changed.missed(device.name)
            return
        if info is not None and is_to_be_reaped(info, self._means.now(), self._settings):
            self._accounts.setdefault((device.name, location), _Account(device, location)).left += 1

    def _goes_on(self, account: _Account, info: AccountStatus) -> bool:
        # One that is in use again is left alone once all that is in it is newer, until it changes.
        return is_to_be_reaped(info, self._means.now(), self._settings) and (info.deleted or account.left > 0)

    def _info(self, device: DeviceAccounts, location: Location) -> AccountStatus | None:
        """Return the account, None if the database is removed or quarantined. Raises NOT_NOW."""
        try:
            info: AccountStatus | None = device.accounts.status(location)
            return info
        except NOT_NOW:
            raise
        except ObjstoreError as error:
            self._means.logger.debug("account %s on %s: %s", location.hash, device.name, error)
        return None

    def _is_ours(self, account: _Account, info: AccountStatus) -> bool:
        partition, nodes = self._means.replicas.place(info.name)
        for turn, node in enumerate(nodes):
            if node.device == account.device.name and self._means.is_own(node):
                on_time = due_at(info, turn, self._settings) <= self._means.now()
                return on_time and partition == account.location.partition
        return False

    def _warn(self, account: _Account, info: AccountStatus) -> None:
        now = self._means.now()
        late = now - due_at(info, 0, self._settings)
        if late > self._settings.warn_after and now > account.warned + _WARN_AGAIN:
            account.warned = now
            self._means.logger.warning(
                "account %s, deleted %s, still has %d containers", info.name.path, info.delete_timestamp.normal,
                info.container_count,
            )  # fmt: skip

    def _reap(self, account: _Account, info: AccountStatus) -> Iterator[Callable[[], None]]:
        account.left = 0
        account.held.clear()
        account.final = info.deleted and is_deleted_everywhere(self._means.replicas.ask("HEAD", info.name, {}))
        query = ListingQuery(limit=_PAGE, reserved=True)
        while True:
            try:
                listing = account.device.accounts.list(account.location, query, deleted_too=True)
            except ObjstoreError:  # the next pass goes on
                account.left += 1
                return
            for container in listing.items:
                if account.final or container.timestamp <= info.delete_timestamp:
                    yield from self._container(account, info, container)
            if not listing.more:
                return
            query = query._replace(marker=listing.items[-1].name)

    # One container

    def _container(
        self, account: _Account, info: AccountStatus, listed: ListedContainer
    ) -> Iterator[Callable[[], None]]:
        """Yield the work for a container: delete its objects, or the container itself if it is empty."""
        name = Name(info.name.account, listed.name)
        if self._is_held(account, name):
            self._counts["held_total"] += 1
            account.left += 1
            return
        stamp, marker, empty = info.delete_timestamp, "", True
        ended = max(stamp, just_after(listed.timestamp)) if account.final else stamp
        while True:
            query = urlencode({"format": "json", "marker": marker, "limit": _PAGE})
            answer = self._means.replicas.read(name, {ALLOW_RESERVED: "true"}, query)
            if answer is None:
                break  # it is nowhere, or cannot be asked: its deletion will tell
            body = answer.read()
            made = Timestamp.parse(answer.headers[STORED_TIMESTAMP])
            if made > stamp and not account.final:
                return  # made again since
            ended = max(ended, just_after(made)) if account.final else stamp
            rows = json.loads(body) if body else []
            policy = int(answer.headers.get(POLICY, "0"))
            for row in rows:
                empty = False
                yield partial(self._object, account, name._replace(object=row["name"]), policy, stamp)
            if len(rows) < _PAGE:
                break
            marker = rows[-1]["name"]
        for key, policy in self._markers(name):
            empty = False
            yield partial(self._object, account, name._replace(object=key), policy, stamp)
        if empty:
            yield partial(self._delete_container, account, name, listed, ended)

    def _is_held(self, account: _Account, name: Name) -> bool:
        """Return whether object lock holds anything in a container, or in the one that a hidden one belongs to."""
        owner = Name(name.account, (name.container or "").rpartition(RESERVED)[2])
        assert owner.container is not None
        if owner.container not in account.held:
            replies = self._means.replicas.ask("HEAD", owner, {})
            unsure = not any(reply.known for reply in replies)
            locked = any(LOCK_SYSMETA in reply.headers for reply in replies)
            account.held[owner.container] = unsure or (locked and self._holds_any(owner.container, name.account))
        return account.held[owner.container]

    def _holds_any(self, container: str, account: str) -> bool:
        """Return whether any version is held; True if that cannot be found out."""
        name, marker = Name(account, hidden("versions", container)), ""
        while True:
            query = urlencode({"format": "json", "marker": marker, "limit": _PAGE})
            answer = self._means.replicas.read(name, {ALLOW_RESERVED: "true"}, query)
            if answer is None:
                replies = self._means.replicas.ask("HEAD", name, {})
                return not replies or any(reply.status != 404 for reply in replies)
            rows = json.loads(answer.read() or b"[]")
            policy = int(answer.headers.get(POLICY, "0"))
            for row in rows:
                looks = [look for _, look in self._means.replicas.look(name._replace(object=row["name"]), policy)]
                locks = [Lock.parse(look.headers[LOCK]) for look in looks if LOCK in look.headers]
                if any(hold(lock, CLOCK.earliest()) for lock in locks):
                    return True
            if len(rows) < _PAGE:
                return False
            marker = rows[-1]["name"]

    def _markers(self, name: Name) -> list[tuple[str, int]]:
        """Keys, with their policies, whose current version is a delete marker: no listing shows them."""
        answer = self._means.replicas.read(name, {ALLOW_RESERVED: "true", MARKERS: "true"}, "")
        if answer is None:
            return []
        policy = int(answer.headers.get(POLICY, "0"))
        return [(row["name"], policy) for row in json.loads(answer.read() or b"[]")]

    def _object(self, account: _Account, name: Name, policy: int, stamp: Timestamp) -> None:
        replicas = self._means.replicas
        looks = [look for _, look in replicas.look(name, policy)]
        kept = is_newer(looks, stamp)
        if kept and account.final:
            stamp, kept = just_after(max(look.stored for look in looks if look.ok)), False
        if kept is not False:
            self._counts["failed_total"] += kept is None
            account.left += kept is None
            return
        fates = replicas.delete(name, policy, stamp).fates
        if Fate.NEWER in fates:
            return
        row = removal_row(name.object or "", stamp, policy, self._means.clock.now())
        gone = Fate.UNKNOWN not in fates and replicas.send_rows(name.of_container, [row], stamp)
        self._counts["objects_reaped_total" if gone else "failed_total"] += 1
        account.left += 1

    def _delete_container(self, account: _Account, name: Name, listed: ListedContainer, stamp: Timestamp) -> None:
        replicas = self._means.replicas
        replies = replicas.ask("DELETE", name, {TIMESTAMP: stamp.internal})
        gone = all(reply.ok or reply.status == 404 for reply in replies)
        if gone:
            row = ContainerRow(name.container or "", listed.timestamp, stamp, policy_index=listed.policy_index)
            now = self._means.clock.now()
            gone = replicas.send_rows(name.of_account, [container_row(row.name, row)], now)
        self._counts["containers_reaped_total" if gone else "failed_total"] += 1
        account.left += 1
