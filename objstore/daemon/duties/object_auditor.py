"""Reads all objects of this host's devices, so that what rots is found while other copies are sound.

Two tours of each device (see `daemon.rounds`): the full one reads everything; the quick one looks only at
metadata and at the length of files, which a file system may have cut short in a crash, and so can be made more often.
What is damaged goes into quarantine, by which the hash of its suffix changes, so that replicators bring a sound copy.
What the device fails to read is noted for a second look (see `daemon.duties.second_look`); when file after file
cannot be read, the device is at fault, and the round goes on later.

The MD5 of content costs several times what block checksums do, and shows nothing more once it was found to be that
of the blocks: by default it is computed in the first full round that meets an object, on each device.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any, NamedTuple

from objstore.core.errors import Corrupt, DeviceUnavailable, NotFound, ObjstoreError, Unreadable
from objstore.core.names import Location
from objstore.daemon import stored_names
from objstore.daemon.rounds import Position, Round, SearchedPlace
from objstore.runtime.throttle import Throttle
from objstore.store.interface import PackedAudit, ReplicaStore

FIRST, ALWAYS, NEVER = "first", "always", "never"
ETAGS = (FIRST, ALWAYS, NEVER)
_TRIES = 3  # until a directory that cannot be read is passed over
_UNREADABLE_IN_A_ROW = 5  # files, after which a round is broken off
_PACKED = -1  # in positions of a round, before all policies
_SLACK_SECONDS = 3600.0  # of file times against the clock


class ObjectRates(NamedTuple):
    """Limits per device and second; 0 for no limit. quick_files: of the quick tour."""

    bytes: float = 0.0
    files: float = 0.0
    quick_files: float = 0.0


def hashed_since(etags: str, last_began: float) -> float:
    """Content of files that came at or after this time has its MD5 checked; of those before, an earlier round has.

    etags: one of ETAGS. last_began: of the last full round that ended. Both in seconds since the epoch.
    """
    if etags == NEVER:
        return float("inf")
    return max(0.0, last_began - _SLACK_SECONDS) if etags == FIRST else 0.0


class ObjectAuditor:
    """Its `full` and `quick` are the work of tours, over places whose `store` is a mapping of policies to engines."""

    def __init__(self, rates: ObjectRates, etags: str, check: Callable[[], None], logger: logging.Logger) -> None:
        """check: raises where the daemon is to end; asked while a large object is read."""
        self._etags = etags
        self._check = check
        self._logger = logger
        self._tries: dict[tuple[object, ...], int] = {}  # of what could not be listed
        self._unreadable: dict[str, int] = {}  # files in a row, by device
        self._bytes = cache(lambda device: Throttle(rates.bytes))
        self._files = cache(lambda device: Throttle(rates.files))
        self._quick_files = cache(lambda device: Throttle(rates.quick_files))

    def full(self, place: SearchedPlace, found: Round) -> Iterator[Position]:
        since = hashed_since(self._etags, found.last_began)
        throttle = self._bytes(place.name)

        def read(count: int) -> None:
            self._check()
            throttle.take(count)

        yield from self._packed(place, found, read, True, since)
        for position, location in self._objects(place, found):
            self._files(place.name).take()
            self._audit(place, found, location, partial(_verify, read=read, hashed_since=since))
            yield position

    def quick(self, place: SearchedPlace, found: Round) -> Iterator[Position]:
        yield from self._packed(place, found, lambda _: self._quick_files(place.name).take(), False, float("inf"))
        for position, location in self._objects(place, found):
            self._quick_files(place.name).take()
            self._audit(place, found, location, partial(_verify, read=_unread, content=False))
            yield position

    def _packed(
        self, place: SearchedPlace, found: Round, read: Callable[[int], object], content: bool, since: float
    ) -> Iterator[Position]:
        """Audit what is packed, of all policies, before anything else."""
        start = found.position
        if start and start[0] != _PACKED:
            return
        for policy in sorted(place.store):
            if [_PACKED, policy] < start[:2]:
                continue
            where = start[2:] if [_PACKED, policy] == start[:2] else []
            while (step := self._next_packed(place, found, policy, where, read, content, since)) is not None:
                found.count(objects=step.objects, bytes=step.size)
                verify = partial(_verify, read=read, content=content, hashed_since=since)
                for location in step.suspects:
                    self._audit(place, found, location, verify)
                where = step.position
                yield [_PACKED, policy, *where]
        yield [0]  # behind what is packed, before all others

    def _next_packed(
        self, place: SearchedPlace, found: Round, policy: int, where: Position, *how: Any
    ) -> PackedAudit | None:
        try:
            step: PackedAudit | None = place.store[policy].audit_packed(where, *how)
            return step
        except DeviceUnavailable as error:
            if not self._pass_over(place, found, "volumes", [policy], error):
                raise
            return None

    def _objects(self, place: SearchedPlace, found: Round) -> Iterator[tuple[Position, Location]]:
        listings = {policy: store.unpacked() for policy, store in place.store.items()}
        pass_over = partial(self._pass_over, place, found, "partition, suffix")
        return stored_names.objects(listings, found.position, pass_over=pass_over)

    def _pass_over(
        self, place: SearchedPlace, found: Round, what: str, where: Position, error: DeviceUnavailable
    ) -> bool:
        """Return whether to go on behind what cannot be listed: after some tries."""
        key = (place.name, what, *where)
        self._tries[key] = self._tries.get(key, 0) + 1
        if self._tries[key] < _TRIES:
            return False
        del self._tries[key]
        found.count(errors=1)
        found.find(f"cannot be listed: {'/'.join(map(str, where))}")
        self._logger.error("%s: cannot list policy, %s %s: %s", place.name, what, where, error)
        return True

    def _audit(self, place: SearchedPlace, found: Round, location: Location, verify: Callable[..., int]) -> None:
        unreadable = self._unreadable.pop(place.name, 0)
        try:
            found.count(objects=1, bytes=verify(place.store[location.policy], location))
        except Unreadable as error:
            if unreadable + 1 >= _UNREADABLE_IN_A_ROW:
                raise
            self._unreadable[place.name] = unreadable + 1
            found.count(errors=1)
            found.find(f"cannot be read: {error}")
            self._logger.error("%s: cannot be read: %s", place.name, error)
        except NotFound:
            pass  # a tombstone, or removed meanwhile
        except Corrupt as error:
            found.count(objects=1, quarantined=1)
            found.find(f"quarantined: {error}")
            self._logger.error("%s: quarantined: %s", place.name, error)
        except DeviceUnavailable:
            raise
        except ObjstoreError as error:
            found.count(errors=1)
            self._logger.error("%s: cannot audit %s: %s", place.name, location.hash, error)


def _verify(store: ReplicaStore, location: Location, **how: Any) -> int:
    return store.verify(location, **how)


def _unread(_: int) -> None:
    """No content is read, so that nothing has to wait."""
