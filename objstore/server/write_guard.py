"""The conditions that an object server checks before a change; see doc/consistency.md."""

from __future__ import annotations

import time
from collections.abc import Callable

from objstore.core.errors import Conflict, Corrupt, LockTimeout, NameHeld, ObjectHeld
from objstore.core.object_lock import LOCK, Lock, hold
from objstore.core.timestamps import DECIDED, ZERO, Timestamp
from objstore.runtime.steady_clock import CLOCK
from objstore.store.interface import Look, ObjectInfo
from objstore.store.leases import Leases

PATIENCE = 6.0  # seconds that a change without a lease waits for a lease to end: longer than that of a dead holder
_POLL = 0.004
_SETTLED = (
    15.0  # seconds after a lease was given, within which all writers that waited for it, and their proxies, have ended
)

Check = Callable[[ObjectInfo | None], None]


class Overtaken(Conflict):
    """A newer unconditional change was made while the body was being received."""


class WriteGuard:
    """A `store.interface.Guard`: the change must be the newest, its lease valid, its check passed.

    lease: the holder's id for a change under a lease, else ''. check: raises PreconditionFailed, given the
    live object. overlaps: the name had nothing newer when the body began to come. judged: the lock of the object was
    taken into account by the writer; else a locked object refuses the change.
    current: the object that an accepted change replaced.
    """

    __slots__ = (
        "_check", "_deadline", "_hash", "_judged", "_lease", "_leases", "_overlaps", "_passed", "_timestamp", "current",
    )  # fmt: skip

    def __init__(
        self,
        leases: Leases,
        name_hash: str,
        timestamp: Timestamp,
        lease: str = "",
        check: Check | None = None,
        overlaps: bool = False,
        judged: bool = False,
    ) -> None:
        self._leases = leases
        self._hash = name_hash
        self._timestamp = timestamp
        self._lease = lease
        self._check = check
        self._overlaps = overlaps
        self._judged = judged
        self._deadline = 0.0
        self.current: ObjectInfo | None = None
        self._passed = False

    def require(self) -> None:
        """Raise Conflict if a required check was not run because an equal change was stored before.

        That may be another client's change of the same instant. Retried with a newer timestamp, the change is checked.
        """
        if self._check is not None and not self._passed:
            raise Conflict("the same change was stored before", self._timestamp)

    def __call__(self, newest: Timestamp, look: Look) -> None:
        present = self._leases.present(self._hash)
        if present or self._lease:
            newest = max(newest, self._past_lease())
        if newest >= self._timestamp:
            if self._overlaps and newest.offset != DECIDED:
                raise Overtaken("a later change was stored", newest)
            raise Conflict("something newer is stored", newest)
        self.current = look() if newest.raw else None
        if self.current is not None and LOCK in self.current.metadata and not self._judged:
            refuse_held(self.current)
        if self._check is not None:
            self._check(self.current)
            self._passed = True
        if present:
            self._leases.remove(self._hash)

    def _past_lease(self) -> Timestamp:
        """Return the promise that the change must be newer than. Raises if another lease blocks it, or its own has
        expired."""
        held = self._leases.read(self._hash)
        live = held is not None and self._leases.is_live(held)
        if self._lease:
            if held is None or not live or held.id != self._lease:
                raise Conflict("the lease has expired")
            if self._timestamp > held.promise:
                raise Conflict("the change is newer than promised")
            return ZERO
        if held is None:
            return ZERO
        if live:
            now = time.monotonic()
            self._deadline = self._deadline or now + PATIENCE
            if now >= self._deadline:
                raise Conflict("the name is locked by another change")
            raise NameHeld("locked by another change", _POLL)
        return held.promise


def refuse_held(current: ObjectInfo) -> None:
    """Raise ObjectHeld if an object is locked now, by this host's clock."""
    reason = hold(Lock.parse(current.metadata[LOCK]), CLOCK.earliest())
    if reason:
        raise ObjectHeld(f"the version is held by {reason}")


class PeersGuard:
    """A Guard for a change from a replicator: it must not be stored between a lease and the change made under it.

    Its own writer may be waiting here, to be refused because of a promise. If it were stored meanwhile, that writer
    would take it for successful; or another writer would decide on it, while it is retried with a newer timestamp.

    An object that is locked here is changed only by what was decided under the lease of its name: by that its lock was
    taken into account. A replica that was away when the lock was set may have taken something else.
    """

    __slots__ = ("_hash", "_leases", "_timestamp")

    def __init__(self, leases: Leases, name_hash: str, timestamp: Timestamp) -> None:
        self._leases = leases
        self._hash = name_hash
        self._timestamp = timestamp

    def __call__(self, newest: Timestamp, look: Look) -> None:
        """Raises LockTimeout: the peer may retry later."""
        if newest >= self._timestamp:
            return
        leases = self._leases
        held = leases.read(self._hash)
        if newest.raw and self._timestamp.offset != DECIDED:
            self._spare_locked(look)
        if held is None:
            return
        promised = self._timestamp <= held.promise and leases.is_recent(self._hash, _SETTLED)
        if promised or leases.is_live(held):
            raise LockTimeout("the name is locked by another change, or was a moment ago")

    def _spare_locked(self, look: Look) -> None:
        try:
            current = look()
        except Corrupt:
            return
        if current is not None and LOCK in current.metadata:
            try:
                refuse_held(current)
            except ObjectHeld as held:
                raise LockTimeout(f"the object is locked: {held}") from None
