"""Reads again what a device failed to read, and what lies in quarantine.

A file that could not be read is quarantined if it fails again minutes later, while other files of the device can be
read. What is in quarantine and proves sound is put back in place: it was read wrong once because of a cable, a
controller or the machine's memory. It is not put back once it has been there for longer than deletions are remembered:
it may have been deleted since.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial

from objstore.core.errors import DeviceUnavailable, ObjstoreError
from objstore.core.names import Name
from objstore.daemon.rounds import Position, Round, SearchedPlace
from objstore.runtime.throttle import Throttle
from objstore.store.databases.replicas import Replicas
from objstore.store.interface import MendingStore, Quarantined

_LONGEST_PAUSE = 86400.0  # seconds between two looks at something in quarantine; doubles from the first
_ERRORS_IN_A_ROW = 5  # after which a round is broken off: the device is at fault
_REMEMBERED = 100_000

PartitionOf = Callable[[int, str], int]  # of a policy and a name hash


class Retries:
    """The times at which quarantined items are checked again."""

    def __init__(self, first: float) -> None:
        self._first = first
        self._next: dict[str, tuple[float, float]] = {}  # when, and the pause after that

    def is_due(self, path: str, since: float, now: float) -> bool:
        """since: when it was put there."""
        due, _ = self._next.get(path, (since + self._first, 0.0))
        return now >= due

    def failed(self, path: str, now: float) -> None:
        if len(self._next) >= _REMEMBERED:
            self._next.clear()
        _, pause = self._next.get(path, (0.0, self._first))
        self._next[path] = now + pause, min(2 * pause, _LONGEST_PAUSE)

    def forget(self, path: str) -> None:
        self._next.pop(path, None)


class SecondLook:
    """Its `objects` and `databases` are the work of tours; a place's `store` is, of objects, a mapping of policies
    to engines, each a `MendingStore`."""

    def __init__(
        self,
        partition_of: PartitionOf,
        hash_of: Callable[[Name], str],
        pause: float,
        reclaim_age: float,
        throttle: Callable[[], Throttle],
        check: Callable[[], None],
        logger: logging.Logger,
        now: Callable[[], float] = time.time,
    ) -> None:
        """pause: seconds until the second look. throttle: makes one for a device's bytes. check: as ObjectAuditor's."""
        self._partition_of = partition_of
        self._hash_of = hash_of
        self._pause = pause
        self._reclaim_age = reclaim_age
        self._throttle = cache(lambda device: throttle())
        self._check = check
        self._logger = logger
        self._now = now
        self._retries = Retries(pause)

    def objects(self, place: SearchedPlace, found: Round) -> Iterator[Position]:
        for policy, store in sorted(place.store.items()):
            for _ in self._unreadable(place, found, store):
                yield []
            restore = partial(self._restore_object, store, policy)
            for _ in self._quarantined(place, found, store.quarantined(), restore):
                yield []

    def _restore_object(self, store: MendingStore, policy: int, quarantined: Quarantined) -> bool:
        return store.restore(quarantined, self._partition_of(policy, quarantined.hash))

    def databases(self, place: SearchedPlace, found: Round) -> Iterator[Position]:
        """The second look at places whose `store` is an AccountStore or ContainerStore."""
        replicas: Replicas = place.store
        for noted in replicas.unreadable():
            if self._now() - noted.at >= self._pause:
                self._check()
                verdict = replicas.look_again(noted)
                found.count(**{verdict: 1})
                self._logger.warning("%s: database %s: %s", place.name, noted.location.hash, verdict)
                yield []

        def restore(quarantined: Quarantined) -> bool:
            partition = self._partition_of(0, quarantined.hash)
            return replicas.restore(quarantined, partition, lambda info: self._hash_of(info.name) == quarantined.hash)

        for _ in self._quarantined(place, found, replicas.quarantined(), restore):
            yield []

    def _unreadable(self, place: SearchedPlace, found: Round, store: MendingStore) -> Iterator[None]:
        throttle = self._throttle(place.name)

        def read(count: int) -> None:
            self._check()
            throttle.take(count)

        for noted in store.unreadable():
            if self._now() - noted.at < self._pause:
                continue
            verdict = store.look_again(noted, read)
            found.count(**{verdict: 1})
            self._logger.warning("%s: %s of %s: %s", place.name, noted.change, noted.location.hash, verdict)
            yield

    def _quarantined(
        self, place: SearchedPlace, found: Round, entries: Sequence[Quarantined], restore: Callable[[Quarantined], bool]
    ) -> Iterator[None]:
        errors = 0
        for quarantined in entries:
            now = self._now()
            if now - quarantined.at > self._reclaim_age or not self._retries.is_due(
                quarantined.path, quarantined.at, now
            ):
                continue
            self._check()
            try:
                restored = restore(quarantined)
                errors = 0
            except ObjstoreError as error:
                self._logger.info("%s: %s stays in quarantine: %s", place.name, quarantined.hash, error)
                restored = False
                errors += isinstance(error, DeviceUnavailable)
                if errors >= _ERRORS_IN_A_ROW:
                    raise
            if restored:
                self._retries.forget(quarantined.path)
                found.count(restored=1)
                self._logger.warning("%s: %s is valid, and was restored from quarantine", place.name, quarantined.hash)
            else:
                self._retries.failed(quarantined.path, now)
            yield
