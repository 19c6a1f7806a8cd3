"""What an object server asks before it makes a change; see doc/consistency.md."""

from __future__ import annotations

import time
from collections.abc import Callable

from objstore.core.errors import Conflict, LockTimeout, NameHeld
from objstore.core.timestamps import DECIDED, ZERO, Timestamp
from objstore.store.interface import Look, ObjectInfo
from objstore.store.leases import Leases

PATIENCE = 6.0  # seconds that a change without a lease waits for one: longer than a dead holder's lasts
_POLL = 0.004
_SETTLED = 15.0  # seconds after a lease was given, in which writers that waited for it, and their proxies, have ended

Check = Callable[[ObjectInfo | None], None]


class Overtaken(Conflict):
    """Another change, which depended on nothing, came to be newer while the body was on its way."""


class WriteGuard:
    """A `store.interface.Guard`: the change must be the newest, its lease there, its check passed.

    lease: the holder's id for a change under a lease, else ''. check: raises PreconditionFailed, given the
    live object. overlaps: the name had nothing newer when the body began to come.
    current: the object that the change replaced, once it was let through.
    """

    __slots__ = ("_check", "_deadline", "_hash", "_lease", "_leases", "_overlaps", "_passed", "_timestamp", "current")

    def __init__(
        self,
        leases: Leases,
        name_hash: str,
        timestamp: Timestamp,
        lease: str = "",
        check: Check | None = None,
        overlaps: bool = False,
    ) -> None:
        self._leases = leases
        self._hash = name_hash
        self._timestamp = timestamp
        self._lease = lease
        self._check = check
        self._overlaps = overlaps
        self._deadline = 0.0
        self.current: ObjectInfo | None = None
        self._passed = False

    def require(self) -> None:
        """Raises Conflict where a check was to be passed but was not asked for: an equal change had come before.

        It may be another's of the same instant. Made again, with a newer timestamp, the change is checked.
        """
        if self._check is not None and not self._passed:
            raise Conflict("an equal change came before", self._timestamp)

    def __call__(self, newest: Timestamp, look: Look) -> None:
        present = self._leases.present(self._hash)
        if present or self._lease:
            newest = max(newest, self._past_lease())
        if newest >= self._timestamp:
            if self._overlaps and newest.offset != DECIDED:
                raise Overtaken("another change came later", newest)
            raise Conflict("something newer is stored", newest)
        self.current = look() if newest.raw else None
        if self._check is not None:
            self._check(self.current)
            self._passed = True
        if present:
            self._leases.remove(self._hash)

    def _past_lease(self) -> Timestamp:
        """The promise that the change must be newer than. Raises where a lease is in its way, or its own is gone."""
        held = self._leases.read(self._hash)
        live = held is not None and self._leases.is_live(held)
        if self._lease:
            if held is None or not live or held.id != self._lease:
                raise Conflict("the lease is gone")
            if self._timestamp > held.promise:
                raise Conflict("the change is newer than was promised")
            return ZERO
        if held is None:
            return ZERO
        if live:
            now = time.monotonic()
            self._deadline = self._deadline or now + PATIENCE
            if now >= self._deadline:
                raise Conflict("the name is held for another change")
            raise NameHeld("held for another change", _POLL)
        return held.promise


class PeersGuard:
    """A Guard for a change that a replicator brings: it must not come between a lease and the change made under it.

    Its own writer may be waiting here, to be refused for what was promised. Were it stored meanwhile, that writer would
    find it here, and take it for made; or another would decide on it, while it is made again under a newer timestamp.
    """

    __slots__ = ("_hash", "_leases", "_timestamp")

    def __init__(self, leases: Leases, name_hash: str, timestamp: Timestamp) -> None:
        self._leases = leases
        self._hash = name_hash
        self._timestamp = timestamp

    def __call__(self, newest: Timestamp, look: Look) -> None:
        """Raises LockTimeout: it may be sent again later."""
        if newest >= self._timestamp:
            return
        leases = self._leases
        held = leases.read(self._hash)
        if held is None:
            return
        promised = self._timestamp <= held.promise and leases.is_recent(self._hash, _SETTLED)
        if promised or leases.is_live(held):
            raise LockTimeout("the name is held for another change, or was a moment ago")
