"""Object lock of versions: who may set and change it, and the deletion of versions that may be held.

The lock of a version is a header of its entry. Every change of an entry's metadata in a container with object lock is
made under the condition that the lock is still as it was read, and so is the deletion of the entry: the store decides
that at the entry's name. Data under the key itself have no lock; they become an entry first.

A version is deleted in two steps. First it is *sealed*: its lock says that it is being removed, which succeeds only if
nothing holds it, and after which no hold can be set. Only then the pointer moves away from it, and the entry goes. If
the deletion ends between the steps, by a crash, the next request about the version's lock completes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from objstore.core.errors import Conflict, InvalidInput, NotFound, ObjectHeld
from objstore.core.metadata import replaced_by_post
from objstore.core.names import Name
from objstore.core.object_lock import (
    COMPLIANCE,
    LOCK,
    LOCK_SYSMETA,
    Lock,
    LockChange,
    LockRule,
    changed,
    hold,
    must_be_past,
    refusal,
    weakens,
)
from objstore.layers import documents, listings
from objstore.layers.interface import ObjectLayer, Page, PutOptions, ReadOptions, Reply
from objstore.layers.versions import reads, states, writes
from objstore.layers.versions.keys import Key, kept_in
from objstore.layers.versions.names import Ref
from objstore.runtime import green
from objstore.runtime.steady_clock import CLOCK
from objstore.web.context import RequestContext
from objstore.web.infos import ContainerInfo
from objstore.web.write_conditions import LockCondition

CONFIG = "object-lock"
_FIRST = LOCK_SYSMETA.removeprefix(documents.OF_SYSMETA).lower()
OWN_HEADERS = frozenset({f"{documents.PREFIX}Versioning-0", LOCK_SYSMETA})
_PAGE = 1000  # rows of a listing
NOT_LOCKED = "Bucket is missing Object Lock Configuration"


def is_locked(sysmeta: Mapping[str, str]) -> bool:
    """Return whether a container has object lock. sysmeta: as in `web.infos.ContainerInfo`."""
    return bool(sysmeta.get(_FIRST))


def rule(sysmeta: Mapping[str, str]) -> LockRule | None:
    """Return the rule of a container for new versions, None if it has no object lock."""
    return LockRule.parse(documents.read(sysmeta, CONFIG)) if is_locked(sysmeta) else None


def with_rule(options: PutOptions, sysmeta: Mapping[str, str]) -> PutOptions:
    """Return the options of a PUT with the lock of the new version. Raises InvalidInput if it cannot have one."""
    requested = options.headers.get(LOCK, "")
    container = rule(sysmeta)
    if container is None:
        if requested:
            raise InvalidInput(NOT_LOCKED)
        return options
    lock = container.applied(Lock.parse(requested), CLOCK.latest()).dump()
    return options if lock == requested else options._replace(headers={**options.headers, LOCK: lock})


class _LockedEntry(NamedTuple):
    """The entry of a version."""

    ref: Ref
    head: Reply

    @property
    def state(self) -> str:
        return self.head.headers.get(LOCK, "")


def change(key: Key, version_id: str, wanted: LockChange) -> str:
    """See `VersionedLayer.set_lock`."""
    for attempt in range(writes.TRIES):
        found = _find(key, version_id)
        lock = Lock.parse(found.state)
        if lock.removing:
            raise states.no_such(key.name, found.ref.version_id)
        new = changed(lock, wanted, CLOCK.latest())
        reason = refusal(lock, new, CLOCK.earliest(), key.bypass)
        if reason:
            raise ObjectHeld(f"the version is held by {reason}")
        waived = key.bypass and lock.mode != COMPLIANCE
        past = lock.until if weakens(lock, new) and not waived else 0
        if _store(key, found, new, past):
            return found.ref.version_id
        green.sleep(writes.PAUSE * attempt)
    raise Conflict("others change the version all the time")


def seal(key: Key, ref: Ref) -> str | None:
    """Decide the deletion of a version; return the state of its entry's lock then, None if there is no version.

    The state is '' for data under the key itself: they have no entry. Raises ObjectHeld.
    """
    for attempt in range(writes.TRIES):
        head = key.head(ref, expired=True, newest=True)
        if head is None:
            seen = key.look(newest=True)
            if seen is not None and seen.ref is None and seen.current == ref:
                return ""
            if attempt:
                return None
            continue  # it may have become an entry between the two looks
        found = _LockedEntry(ref, head)
        lock = Lock.parse(found.state)
        if lock.removing:
            return found.state
        reason = hold(lock, CLOCK.earliest(), key.bypass)
        if reason:
            raise ObjectHeld(f"the version is held by {reason}")
        sealed = lock._replace(removing=True)
        if _store(key, found, sealed, must_be_past(lock, key.bypass)):
            return sealed.dump()
        green.sleep(writes.PAUSE * attempt)
    raise Conflict("others change the version all the time")


def check_none_held(layer: ObjectLayer, context: RequestContext, container: Name) -> None:
    """Raise Conflict if any version of a container is held, also one that does not count."""
    if _holds_any(layer, context, kept_in(container)):
        raise Conflict(f"{container.path} has versions that are held by object lock")


def _holds_any(layer: ObjectLayer, context: RequestContext, entries: Name) -> bool:
    page = Page(limit=_PAGE, majority=True)
    try:
        for row in listings.rows(layer, context, entries, page):
            name = entries._replace(object=str(row["name"]))
            try:
                head = layer.open(context, name, ReadOptions(head=True, newest=True, raw=True, expired=True))
            except NotFound:
                continue
            if hold(Lock.parse(head.headers.get(LOCK, "")), CLOCK.earliest()):
                return True
    except NotFound:
        pass
    return False


def check_change(container: ContainerInfo, headers: Mapping[str, str]) -> None:
    """Raise Conflict if headers would end a container's object lock, or the versioning that it needs."""
    sysmeta = {name.removeprefix(documents.OF_SYSMETA).lower(): value for name, value in headers.items()}
    if _FIRST in sysmeta and not sysmeta[_FIRST]:
        raise Conflict("object lock cannot be disabled")
    locked = is_locked(container.sysmeta) or _FIRST in sysmeta
    state = states.state(container._replace(sysmeta={**container.sysmeta, **sysmeta}))
    if locked and state != states.ENABLED:
        raise Conflict("object lock needs versioning, which cannot be suspended")


def _find(key: Key, version_id: str) -> _LockedEntry:
    """Return the entry of a version; data under the key itself become one. Raises as `reads.open_version`."""
    for _ in range(writes.TRIES):
        place = reads.locate(key, version_id, newest=True)
        if place.ref is not None:
            head = key.head(place.ref, expired=True, newest=True)
            if head is not None:
                return _LockedEntry(place.ref, head)
        seen = key.look(newest=True)
        if seen is None:
            break
        if seen.ref is None and (place.ref is None or seen.current == place.ref):
            key.make_container()
            writes.move_out(key, seen)
        elif place.ref is not None and not (seen.current == place.ref or seen.replaces(place.ref)):
            break
    raise reads.missing(key.name, version_id)


def _store(key: Key, found: _LockedEntry, lock: Lock, past: int) -> bool:
    """Store a new state of the lock, if it has not changed since; past: see `LockCondition`."""
    headers = {name: value for name, value in found.head.headers.items() if replaced_by_post(name)}
    headers[LOCK] = lock.dump()
    try:
        return key.replace_metadata(found.ref, headers, LockCondition(found.state, past))
    except NotFound:
        raise states.no_such(key.name, found.ref.version_id) from None
