"""Checks all account or container databases of this host's devices, so that damage is found while copies are sound.

SQLite looks at all pages and indexes of a database, totals are counted again from its rows, and the name it holds
must be that of its place. What is damaged goes into quarantine, and comes back by replication.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

from objstore.core.errors import Corrupt, DeviceUnavailable, NotFound, ObjstoreError, Unreadable
from objstore.core.names import Location, Name
from objstore.daemon.rounds import Position, Round, SearchedPlace
from objstore.runtime.threads import ThreadPool
from objstore.runtime.throttle import Throttle
from objstore.store.databases.layout import position

_UNREADABLE_IN_A_ROW = 5  # databases, after which a round is broken off: the device is at fault


class DatabaseRates(NamedTuple):
    """Limits per device and second; 0 for no limit."""

    databases: float = 0.0
    bytes: float = 0.0


class DatabaseAuditor:
    """Its `full` is the work of a tour, over places whose `store` is an AccountStore or ContainerStore."""

    def __init__(
        self,
        kind: str,
        hash_of: Callable[[Name], str],
        rates: DatabaseRates,
        check: Callable[[], None],
        logger: logging.Logger,
    ) -> None:
        """kind: of the databases, for the log. check: raises where the daemon is to end."""
        self._kind = kind
        self._hash_of = hash_of
        self._check = check
        self._logger = logger
        self._unreadable: dict[str, int] = {}  # databases in a row, by device
        self._databases = cache(lambda device: Throttle(rates.databases))
        self._bytes = cache(lambda device: Throttle(rates.bytes))
        self._threads = cache(lambda device: ThreadPool(f"{kind}-auditor:{device}", 1))

    def full(self, place: SearchedPlace, found: Round) -> Iterator[Position]:
        for location in self._threads(place.name).iterate(place.store.locations(found.position[:3])):
            self._check()
            self._databases(place.name).take()
            size = _size(place.store.path(location))
            self._bytes(place.name).take(size)  # a large one makes those after it wait
            found.count(bytes=size)
            self._audit(place, found, location)
            yield position(location)

    def _audit(self, place: SearchedPlace, found: Round, location: Location) -> None:
        try:
            place.store.audit(location)
            name = place.store.status(location).name
        except NotFound:
            return  # removed meanwhile
        except Corrupt as error:
            found.count(databases=1, quarantined=1)
            found.find(f"quarantined: {error}")
            self._logger.error("%s: %s database in quarantine: %s", place.name, self._kind, error)
            return
        except Unreadable as error:
            self._unreadable[place.name] = self._unreadable.get(place.name, 0) + 1
            if self._unreadable[place.name] >= _UNREADABLE_IN_A_ROW:
                raise
            found.count(errors=1)
            found.find(f"cannot be read: {error}")
            self._logger.error("%s: %s database cannot be read: %s", place.name, self._kind, error)
            return
        except DeviceUnavailable:
            raise
        except ObjstoreError as error:  # such as a lock that others held for long
            found.count(errors=1)
            self._logger.warning("%s: cannot audit %s database %s: %s", place.name, self._kind, location.hash, error)
            return
        self._unreadable.pop(place.name, None)
        found.count(databases=1)
        if self._hash_of(name) != location.hash:
            found.count(misplaced=1)
            found.find(f"misplaced: {name.path} at {location.partition}/{location.hash}")
            self._logger.error("%s: the database at %s belongs to %s", place.name, location.hash, name.path)


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return 0  # the audit reports it
