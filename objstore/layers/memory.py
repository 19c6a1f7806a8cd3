"""An object layer that keeps everything in memory: for tests, and to put a layer around while it is written.

It implements the contract of `interface.ObjectLayer`, as the conformance suite shows, and nothing else:
it places nothing, and expired objects stay until they are deleted.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from objstore.core import expiry, metadata
from objstore.core.errors import (
    AccountDeleted,
    ChecksumMismatch,
    Conflict,
    ContainerReplaced,
    InvalidInput,
    NoContainer,
    NotFound,
    ObjectHeld,
    PreconditionFailed,
)
from objstore.core.headers import OVERRIDE, POLICY, POLICY_NAME, STORED_TIMESTAMP
from objstore.core.limits import DEFAULT_LIMITS
from objstore.core.links import LINK
from objstore.core.manifests import MANIFEST, MANIFEST_OWNS, list_etag, shown_etag
from objstore.core.names import RESERVED, Name
from objstore.core.object_lock import LOCK, Lock, hold
from objstore.core.policies import ONE_POLICY, Policies
from objstore.core.timestamps import ZERO, Clock, Timestamp
from objstore.core.versions import MARKER_TYPE
from objstore.layers.bodies import ObjectBody, whole
from objstore.layers.interface import (
    AccountOptions,
    ContainerOptions,
    DeleteOptions,
    DeleteResult,
    Listing,
    Page,
    PutOptions,
    PutResult,
    ReadOptions,
    RenameSource,
    Reply,
    UpdateOptions,
)
from objstore.layers.memory_rooms import MemoryRooms
from objstore.layers.memory_state import OF_ACCOUNTS, OF_CONTAINERS, Bearer, StoredObject, iso_date, listing, select
from objstore.web import conditions, infos, ranges
from objstore.web.context import RequestContext
from objstore.web.infos import AccountInfo, ContainerInfo
from objstore.web.responses import http_date
from objstore.web.write_conditions import WriteCondition


class MemoryLayer:
    """An object layer in memory, see `layers.interface.ObjectLayer`. limit: bytes of an object. now: epoch seconds."""

    def __init__(
        self,
        policies: Policies = ONE_POLICY,
        limit: int = DEFAULT_LIMITS.max_file_size,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._policies = policies
        self._limit = limit
        self._now = now
        self._clock = Clock(now)
        self._bearers: dict[Name, Bearer] = {}
        self._objects: dict[tuple[Name, int], StoredObject | Timestamp] = {}  # a timestamp: of its deletion
        self.rooms = MemoryRooms(self, now)

    # Objects

    def open(self, context: RequestContext, name: Name, options: ReadOptions) -> Reply:
        stored = self._objects.get(self._key(context, name, options.policy))
        if not isinstance(stored, StoredObject):
            raise NotFound(name.path, stored)
        if not options.expired and expiry.is_expired(stored.headers, self._now()):
            raise NotFound(name.path, stored.changed)
        headers, requested = stored.shown(), options.conditions
        if options.version and Timestamp.parse(options.version) != stored.written:
            return Reply(412, {STORED_TIMESTAMP: headers[STORED_TIMESTAMP]})
        etag, size = shown_etag(stored.headers, stored.etag), len(stored.body)
        second = list_etag(stored.headers, stored.etag)
        verdict = conditions.evaluate("HEAD" if options.head else "GET", requested, etag, stored.changed, second)
        if verdict is not None:
            del headers["Content-Length"]
            return Reply(verdict, headers)
        if options.head:
            return Reply(200, headers)
        parsed = ranges.parse(requested.get("Range", "")) if options.version or MANIFEST not in headers else None
        if (
            parsed is None
            or len(parsed) > 1
            or not conditions.range_applies(requested.get("If-Range", ""), etag, stored.changed)
        ):
            return Reply(200, headers, [stored.body] if size else [])
        spans = ranges.resolve(parsed, size)
        if not spans:
            del headers["Content-Length"], headers["Content-Type"]
            return Reply(416, {**headers, "Content-Range": ranges.unsatisfied_range(size)})
        start, stop = spans[0]
        part = {"Content-Length": str(stop - start), "Content-Range": ranges.content_range(start, stop, size)}
        return Reply(206, {**headers, **part}, [stored.body[start:stop]])

    def put(self, context: RequestContext, name: Name, options: PutOptions, body: ObjectBody) -> PutResult:
        metadata.check_sendable(options.headers)
        self._existing(context, name)
        content = whole(body, self._limit)
        etag = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if options.etag and options.etag.strip('"').lower() != etag:
            raise ChecksumMismatch(f"the body's MD5 is {etag}, not {options.etag}")
        sent = {**options.headers, **(options.late() if options.late is not None else {})}
        headers = metadata.sent_values(sent, metadata.stored_with_object)
        headers["Content-Type"] = sent.get("Content-Type") or "application/octet-stream"
        container = self._bearers.get(name.of_container)  # its state after the body has come
        if container is None or not container.exists:
            raise NoContainer("the container was deleted", ended=True)
        if options.life and Timestamp.parse(options.life) != container.deleted:
            raise ContainerReplaced("the container is another one now")
        key = self._key(context, name, options.policy)
        old = self._rename_source(key, options.rename) if options.rename is not None else None
        stamp, replaced = self._changing(key, options.timestamp, options.condition)
        self._objects[key] = StoredObject(stamp, stamp, etag, content, headers)
        segments = _segments(replaced)
        if old is not None:
            segments += _segments(self._objects[old])
            self._objects[old] = self._clock.now()
        return PutResult(etag, stamp, segments)

    def update(self, context: RequestContext, name: Name, options: UpdateOptions) -> None:
        metadata.check_sendable(options.headers)
        self._existing(context, name)
        key = self._key(context, name, options.policy)
        stamp, stored = self._changing(key, options.timestamp, options.condition)
        if not isinstance(stored, StoredObject):
            raise NotFound(name.path, stored)
        if not options.expired and self._live(stored) is None:
            raise NotFound(name.path, stored.changed)
        if LINK in stored.headers:
            raise Conflict("the metadata of a link cannot be changed")
        sent = metadata.sent_values(options.headers, metadata.replaced_by_post)
        if options.headers.get("Content-Type"):
            sent["Content-Type"] = options.headers["Content-Type"]
        self._objects[key] = stored._replace(changed=stamp, headers=metadata.after_post(stored.headers, sent))

    def delete(self, context: RequestContext, name: Name, options: DeleteOptions) -> DeleteResult:
        self._existing(context, name)
        key = self._key(context, name, options.policy)
        due = options.delete_at
        stored = self._objects.get(key)
        if due is not None and not (
            isinstance(stored, StoredObject) and stored.headers.get(expiry.DELETE_AT) == str(due)
        ):
            raise PreconditionFailed("the object does not expire at that time")
        stamp, _ = self._changing(key, options.timestamp, options.condition)
        self._objects[key] = stamp
        existed = self._live(stored) is not None or (due is not None and isinstance(stored, StoredObject))
        return DeleteResult(existed, _segments(stored))

    def _key(self, context: RequestContext, name: Name, policy: int | None) -> tuple[Name, int]:
        return name, self.container_info(context, name).policy_index if policy is None else policy

    def _live(self, stored: StoredObject | Timestamp | None) -> StoredObject | None:
        """Return the object as clients see it; None if it is missing or expired."""
        return (
            stored if isinstance(stored, StoredObject) and not expiry.is_expired(stored.headers, self._now()) else None
        )

    def _changing(
        self, key: tuple[Name, int], final: Timestamp | None, condition: WriteCondition | None
    ) -> tuple[Timestamp, StoredObject | Timestamp | None]:
        """Return the timestamp of a change that is allowed, and the entry it changes.

        Raises Conflict, PreconditionFailed.
        """
        stored = self._objects.get(key)
        newest = stored.changed if isinstance(stored, StoredObject) else stored or ZERO
        if final is not None and newest >= final:
            raise Conflict("something newer is stored", newest)
        if condition is not None:
            live = self._live(stored)
            etags = (
                ("", "") if live is None else (shown_etag(live.headers, live.etag), list_etag(live.headers, live.etag))
            )
            lock = "" if live is None else live.headers.get(LOCK, "")
            condition.check(None if live is None else etags[0], etags[1], lock)
            if condition.lock is not None:
                condition.lock.check_clock(int(self._now() * 1000))
        elif isinstance(stored, StoredObject) and LOCK in stored.headers:
            reason = hold(Lock.parse(stored.headers[LOCK]), int(self._now() * 1000))
            if reason:
                raise ObjectHeld(f"the version is held by {reason}")
        return final or self._clock.after(newest), stored

    def _rename_source(self, key: tuple[Name, int], rename: RenameSource) -> tuple[Name, int]:
        name, policy = key
        if rename.object in ("", name.object):
            raise InvalidInput("the old name is not another name")
        source = name._replace(object=rename.object), policy
        try:
            self._changing(source, None, WriteCondition(rename.etag))
        except PreconditionFailed:
            raise Conflict("the object under the old name has changed") from None
        return source

    # Accounts and containers

    def container(self, context: RequestContext, name: Name) -> Listing:
        return Listing(self.list_objects(context, name, Page(limit=0)).headers)

    def list_objects(self, context: RequestContext, name: Name, page: Page) -> Listing:
        bearer = self._bearer(name)
        account = self._bearers.get(name.of_account)
        if account is not None and not account.exists:
            raise NoContainer(f"the account of {name.path} is deleted")
        all_rows = self._rows(name, bearer.policy, page.data_times)
        if page.markers:
            return listing({}, [{"name": marker} for marker in self._markers(name)])
        headers = bearer.shown() | {POLICY: str(bearer.policy), "Last-Modified": http_date(bearer.put.ceiling)}
        headers["X-Container-Object-Count"] = str(len(all_rows))
        headers["X-Container-Bytes-Used"] = str(sum(one.counted for _, one in self.stored(name, bearer.policy)))
        policy = self._policies.get(bearer.policy)
        if policy is not None:
            headers[POLICY_NAME] = policy.name
        return listing(headers, select(all_rows, page, page.reserved or RESERVED in name.path))

    def account(self, context: RequestContext, name: Name) -> Listing:
        return Listing(self.list_containers(context, name, Page(limit=0)).headers)

    def list_containers(self, context: RequestContext, name: Name, page: Page) -> Listing:
        shown = self._bearer(name).shown() if name in self._bearers else Bearer(self._clock.now()).shown()
        rows = []
        for child in sorted(child for child in self._bearers if child.account == name.account and child.container):
            bearer = self._bearers[child]
            if bearer.exists:
                objects = self._rows(child, bearer.policy)
                size = sum(row["bytes"] for row in objects)
                policy = self._policies.get(bearer.policy)
                row = {
                    "name": child.container,
                    "count": len(objects),
                    "bytes": size,
                    "last_modified": iso_date(bearer.put),
                }
                rows.append(row | {"storage_policy": policy.name if policy else str(bearer.policy)})
        shown["X-Account-Container-Count"] = str(len(rows))
        shown["X-Account-Object-Count"] = str(sum(row["count"] for row in rows))
        shown["X-Account-Bytes-Used"] = str(sum(row["bytes"] for row in rows))
        return listing(shown, select(rows, page, page.reserved))

    def container_info(self, context: RequestContext, name: Name) -> ContainerInfo:
        return infos.look_up(context, name.of_container, ContainerInfo, self._head)

    def account_info(self, context: RequestContext, account: str) -> AccountInfo:
        return infos.look_up(context, Name(account), AccountInfo, self._head)

    def create_container(self, context: RequestContext, name: Name, options: ContainerOptions) -> bool:
        account = self._bearers.get(name.of_account)
        if account is None or not account.exists:
            self.create_account(context, name.of_account, AccountOptions({}))
        bearer = self._bearers.get(name)
        policy = self._policies.default.index if options.policy is None else options.policy
        if bearer is not None and bearer.exists and options.policy not in (None, bearer.policy):
            raise Conflict("the container has another policy")
        made = self._make(context, name, options.headers, OF_CONTAINERS, options.timestamp)
        if made:
            self._bearers[name].policy = policy
        return made

    def update_container(self, context: RequestContext, name: Name, options: ContainerOptions) -> None:
        self._existing(context, name)
        metadata.check_sendable(options.headers)
        self._bearers[name].set(options.headers, OF_CONTAINERS, options.timestamp or self._clock.now())
        infos.forget(context, name)

    def delete_container(self, context: RequestContext, name: Name, timestamp: Timestamp | None = None) -> bool:
        bearer = self._bearer(name)
        if self._rows(name) or self._markers(name):
            raise Conflict(f"{name.path} is not empty")
        bearer.end(timestamp or self._clock.after(bearer.put))
        infos.forget(context, name)
        return True

    def create_account(self, context: RequestContext, name: Name, options: AccountOptions) -> bool:
        return self._make(context, name, options.headers, OF_ACCOUNTS, options.timestamp)

    def update_account(self, context: RequestContext, name: Name, options: AccountOptions) -> None:
        if name not in self._bearers or not self._bearers[name].exists:
            self.create_account(context, name, AccountOptions({}))
        self._bearers[name].set(options.headers, OF_ACCOUNTS, options.timestamp or self._clock.now())
        infos.forget(context, name)

    def delete_account(self, context: RequestContext, name: Name, options: AccountOptions) -> None:
        self._bearer(name).end(options.timestamp or self._clock.now())
        infos.forget(context, name)

    def _make(
        self,
        context: RequestContext,
        name: Name,
        headers: Mapping[str, str],
        prefixes: tuple[str, ...],
        final: Timestamp | None,
    ) -> bool:
        metadata.check_sendable(headers)
        bearer = self._bearers.get(name)
        if bearer is not None and not bearer.exists and name.container is None:
            raise AccountDeleted(name.path, bearer.deleted)
        stamp = final or self._clock.after(bearer.deleted if bearer else ZERO)
        if bearer is not None and stamp <= bearer.deleted:
            raise Conflict(f"{name.path} was deleted later", bearer.deleted)
        made = bearer is None or not bearer.exists
        bearer = self._bearers.setdefault(name, Bearer(stamp))
        bearer.put = max(bearer.put, stamp)
        bearer.set(headers, prefixes, stamp)
        infos.forget(context, name)
        return made

    def _bearer(self, name: Name) -> Bearer:
        """Return an account or container that exists. Raises NotFound."""
        bearer = self._bearers.get(name)
        if bearer is None or not bearer.exists:
            deleted = None if bearer is None else bearer.deleted
            if name.kind == "container":
                raise NoContainer(name.path, timestamp=deleted)
            raise NotFound(name.path) if deleted is None else AccountDeleted(name.path, deleted)
        return bearer

    def _existing(self, context: RequestContext, name: Name) -> None:
        if not self.container_info(context, name).exists:
            raise NoContainer(f"there is no container {name.of_container.path}")

    def _head(self, context: RequestContext, name: Name) -> tuple[int, Mapping[str, str]]:
        try:
            return 204, (self.account if name.container is None else self.container)(context, name).headers
        except AccountDeleted:
            return 410, {}
        except NotFound:
            return 404, {}

    def changed(self, container: Name, key: str) -> Timestamp:
        """Return the time at which a name was written or deleted, ZERO if it never was."""
        name = container._replace(object=key)
        stored = self._objects.get(self._key(RequestContext(), name, None), ZERO)
        return stored.written if isinstance(stored, StoredObject) else stored

    def containers(self, account: str) -> list[Name]:
        """Return the containers of an account, hidden and deleted ones too."""
        return [name for name in self._bearers if name.account == account and name.container is not None]

    def stored(self, container: Name, policy: int | None) -> Iterable[tuple[str, StoredObject]]:
        """Yield the objects of a container, in a storage policy or in all (None)."""
        for (name, index), stored in self._objects.items():
            if name.of_container == container and isinstance(stored, StoredObject) and policy in (None, index):
                yield name.object or "", stored

    def _rows(self, container: Name, policy: int | None = None, data_times: bool = False) -> list[dict[str, Any]]:
        rows = (stored.row(name, data_times) for name, stored in self.stored(container, policy))
        return sorted((row for row in rows if row is not None), key=lambda row: str(row["name"]))

    def _markers(self, container: Name) -> list[str]:
        objects = self.stored(container, None)
        return sorted(name for name, stored in objects if stored.headers.get(f"{OVERRIDE}Content-Type") == MARKER_TYPE)


def _segments(replaced: StoredObject | Timestamp | None) -> tuple[str, ...]:
    owned = replaced.headers.get(MANIFEST_OWNS) if isinstance(replaced, StoredObject) else None
    return (owned,) if owned else ()
