"""The layer: each operation on an object acts on the versions of its key, if its container keeps versions."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

from objstore.core.errors import InvalidInput, NodeFailure, NotFound
from objstore.core.expiry import is_expired
from objstore.core.manifests import owned_prefix
from objstore.core.names import RESERVED, Name
from objstore.core.object_lock import LOCK, LockChange
from objstore.core.timestamps import Timestamp
from objstore.layers import hidden, listings
from objstore.layers.bodies import ObjectBody
from objstore.layers.interface import (
    AccountOptions,
    ContainerOptions,
    DeleteOptions,
    DeleteResult,
    Group,
    ObjectLayer,
    Page,
    PutOptions,
    PutResult,
    ReadOptions,
    Reply,
    UpdateOptions,
    Version,
    VersionsPage,
)
from objstore.layers.passing import Passing
from objstore.layers.renames import delete_old_name
from objstore.layers.stack import Deps, LayerKind
from objstore.layers.versions import history, keys, locks, reads, removal, restoring, states, writes
from objstore.layers.versions.keys import Key
from objstore.layers.versions.names import NULL
from objstore.runtime import settings
from objstore.runtime.settings import boolean, setting
from objstore.web.context import RequestContext
from objstore.web.infos import ContainerInfo
from objstore.web.write_conditions import WriteCondition

_PAGE = 1000  # rows of a listing


@dataclass(frozen=True)
class VersionsSettings:
    """Settings of the layer."""

    allow_object_versioning: bool = setting(
        boolean, "true", "X-Versions-Enabled, listings of versions and version ids in the Swift API"
    )


class Versions(Passing):
    """The layer around `inner`: see `layers.interface.VersionedLayer`. in_swift: announce versions to the Swift API."""

    def __init__(self, inner: ObjectLayer, in_swift: bool = True) -> None:
        super().__init__(inner)
        self.features = ("versions",) if in_swift else ()

    def info(self) -> dict[str, dict[str, object]]:
        """Return the section of /info by which Swift's clients find versions."""
        return {"object_versioning": {}} if self.features else {}

    def open(self, context: RequestContext, name: Name, options: ReadOptions) -> Reply:
        if self.container_info(context, name).keeps_versions:
            return reads.open_version(Key(self.inner, context, name), options)
        if options.version_id not in ("", NULL):
            raise states.unknown(name, options.version_id)
        return self.inner.open(context, name, options)

    def put(self, context: RequestContext, name: Name, options: PutOptions, body: ObjectBody) -> PutResult:
        container = self.container_info(context, name)
        locked = locks.is_locked(container.sysmeta)
        if locked or LOCK in options.headers:
            options = locks.with_rule(options, container.sysmeta)
        enabled = _enabled_in(container)
        if enabled is None:
            return self.inner.put(context, name, options, body)
        result = writes.put(Key(self.inner, context, name, locked=locked), options, body, enabled)
        if options.rename is not None:
            delete_old_name(self, context, name, options.rename)
        return result

    def update(self, context: RequestContext, name: Name, options: UpdateOptions) -> None:
        if self._enabled(context, name) is not None:
            reads.update(self._key(context, name, unlimited=True), options)
            return
        if options.version_id not in ("", NULL):
            raise states.unknown(name, options.version_id)
        self.inner.update(context, name, options)

    def delete(self, context: RequestContext, name: Name, options: DeleteOptions) -> DeleteResult:
        enabled = self._enabled(context, name)
        version_id = options.version_id
        if enabled is None:
            if version_id in ("", NULL):
                return self.inner.delete(context, name, options)
            states.parse(version_id)
            return DeleteResult(False, (), version_id)
        key = self._key(context, name, unlimited=True, bypass=options.bypass)
        if version_id:
            return removal.remove(key, version_id, options.condition)
        return writes.mark_deleted(key, options, enabled)

    def list_versions(self, context: RequestContext, name: Name, page: VersionsPage) -> Iterator[Version | Group]:
        """See `VersionedLayer.list_versions`."""
        return history.versions(Key(self.inner, context, name), page, self._enabled(context, name) is not None)

    def restore(
        self, context: RequestContext, name: Name, version_id: str, condition: WriteCondition | None = None
    ) -> PutResult:
        """See `VersionedLayer.restore`."""
        if self._enabled(context, name) is None:
            raise states.unknown(name, version_id)
        return restoring.restore(self._key(context, name), version_id, condition)

    def create_container(self, context: RequestContext, name: Name, options: ContainerOptions) -> bool:
        """See `ObjectLayer.create_container`. Clear what a former container of the name has left."""
        if not (name.container or "").startswith(RESERVED):
            entries = keys.kept_in(name)
            if not self.container_info(context, name).exists and self.container_info(context, entries).exists:
                hidden.clear(self.inner, context, entries, name)
        if locks.OWN_HEADERS.intersection(options.headers):
            locks.check_change(self.container_info(context, name), options.headers)
        return self.inner.create_container(context, name, options)

    def update_container(self, context: RequestContext, name: Name, options: ContainerOptions) -> None:
        """See `ObjectLayer.update_container`. Raises Conflict if it would end object lock, or its versioning."""
        if locks.OWN_HEADERS.intersection(options.headers):
            locks.check_change(self.container_info(context, name), options.headers)
        self.inner.update_container(context, name, options)

    def delete_container(self, context: RequestContext, name: Name, timestamp: Timestamp | None = None) -> bool:
        """See `ObjectLayer.delete_container`. Clear entries that never counted, unless they are held."""
        container = self.container_info(context, name)
        kept = container.keeps_versions
        if locks.is_locked(container.sysmeta):
            locks.check_none_held(self.inner, context, name)
        is_complete = self.inner.delete_container(context, name, timestamp)
        if kept:
            with contextlib.suppress(NodeFailure):  # they are cleared when the container is made again
                hidden.clear(self.inner, context, keys.kept_in(name), name)
        return is_complete

    def delete_account(self, context: RequestContext, name: Name, options: AccountOptions) -> None:
        """See `ObjectLayer.delete_account`. Raises Conflict if object lock holds anything in it."""
        with contextlib.suppress(NotFound):
            for row in listings.rows(self.inner, context, name.of_account, Page(limit=_PAGE)):
                container = Name(name.account, str(row["name"]))
                if locks.is_locked(self.container_info(context, container).sysmeta):
                    locks.check_none_held(self.inner, context, container)
        self.inner.delete_account(context, name, options)

    def expire(self, context: RequestContext, entry: Name) -> None:
        """End a name whose current version has expired: a delete marker becomes current. The version stays.

        entry: of the version, in the container of versions. It loses its expiry, also if it is not the current one.
        Raises Conflict.
        """
        name, ref = keys.version_at(entry)
        enabled = self._enabled(context, name)
        key = self._key(context, name, unlimited=True)
        seen = key.look(newest=True) if enabled is not None else None
        if seen is not None and seen.ref == ref:
            writes.expire(key, seen, bool(enabled))
        head = key.head(ref, expired=True)
        if head is not None and is_expired(head.headers, time.time()):
            key.keep(ref, head)

    def set_lock(
        self, context: RequestContext, name: Name, version_id: str, change: LockChange, bypass: bool = False
    ) -> str:
        """See `VersionedLayer.set_lock`."""
        key = self._key(context, name, unlimited=True, bypass=bypass)
        if not key.locked:
            raise InvalidInput(locks.NOT_LOCKED)
        return locks.change(key, version_id, change)

    def find_owner(self, context: RequestContext, name: Name, prefix: str) -> Reply | None:
        """See `VersionedLayer.find_owner`."""
        if self._enabled(context, name) is not None:
            return writes.find_owner(self._key(context, name), prefix)
        try:
            reply = self.inner.open(context, name, ReadOptions(head=True, newest=True, raw=True))
        except NotFound:
            return None
        return reply if owned_prefix(reply.headers) == prefix else None

    def _key(self, context: RequestContext, name: Name, unlimited: bool = False, bypass: bool = False) -> Key:
        """Return the key of a name for a change."""
        locked = locks.is_locked(self.container_info(context, name).sysmeta)
        return Key(self.inner, context, name, unlimited, locked, bypass)

    def _enabled(self, context: RequestContext, name: Name) -> bool | None:
        """Return whether versioning is enabled; None if the container never kept versions."""
        return _enabled_in(self.container_info(context, name))


def _enabled_in(container: ContainerInfo) -> bool | None:
    if not container.keeps_versions:
        return None
    state = states.state(container)
    return state == states.ENABLED if state else None


def _make(inner: ObjectLayer, deps: Deps) -> Versions:
    return Versions(inner, settings.read(VersionsSettings, deps.conf, "app:proxy-server").allow_object_versioning)


KIND = LayerKind(
    "versions",
    _make,
    VersionsSettings,
    outside_of=("manifests", "encryption"),
    needed="writes to buckets that keep versions would replace the current one",
)
