"""Frees the room of packed objects that were deleted or replaced; `store.packed.compaction` says how.

A round of a device looks at the volumes of all its policies, and compacts those of which a large share is dead. One
that fails stays as it is, and is compacted in a later round.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator
from functools import cache
from typing import NamedTuple, TypeVar, TypeVarTuple

from objstore.core.errors import DeviceUnavailable
from objstore.daemon.rounds import Position, Round, SearchedPlace
from objstore.runtime import green
from objstore.runtime.threads import ThreadPool
from objstore.runtime.throttle import Throttle
from objstore.store.disk_errors import translate
from objstore.store.packed.compaction import Compactor, share_due
from objstore.store.packed.page_files import DamagedIndex, StaleIndex
from objstore.store.packed.store import PackedStore

_Arguments = TypeVarTuple("_Arguments")
_Result = TypeVar("_Result")
_END = -1
_WORTH_IT = 64  # a writer is asked for a volume with at least this part of a full one dead
_WRITERS_SECONDS = 5.0
_WRITERS_PAUSE = 0.1


class PackedUsage(NamedTuple):
    """The volumes of a device and policy: their number, and their bytes."""

    volumes: int = 0
    live_bytes: int = 0
    dead_bytes: int = 0


class ObjectCompactor:
    """Its `tour` is the work of a tour over places whose `store` is a mapping of policies to engines that pack."""

    def __init__(
        self, dead_share: float, bytes_per_second: float, check: Callable[[], None], logger: logging.Logger
    ) -> None:
        """dead_share: of a volume's bytes, from which on it is compacted. bytes_per_second: read and written, of each
        device; 0: no limit. check: raises if the daemon must stop."""
        self._dead_share = dead_share
        self._check = check
        self._logger = logger
        self._throttle = cache(lambda device: Throttle(bytes_per_second))
        self._threads = cache(lambda device: ThreadPool(f"compaction:{device}", 1))
        self._usages: dict[str, dict[int, PackedUsage]] = {}  # by device and policy

    def tour(self, place: SearchedPlace, found: Round) -> Iterator[Position]:
        self._usages[place.name] = {}
        for policy, store in sorted(place.store.items()):
            compactor = self._run(place, store.compactor)
            try:
                for _ in self._policy(place, found, policy, store, compactor):
                    yield []
            finally:
                self._run(place, compactor.close)

    def checkpoints(self, place: SearchedPlace, found: Round) -> Iterator[Position]:
        """The work of a tour that makes the indexes of a device durable."""
        for _, store in sorted(place.store.items()):
            self._run(place, store.checkpoint)
            yield []

    def _policy(
        self, place: SearchedPlace, found: Round, policy: int, store: PackedStore, compactor: Compactor
    ) -> Iterator[None]:
        usages = self._run(place, compactor.usages)
        dead = sum(usage.dead for usage in usages.values())
        live = sum(usage.size for usage in usages.values()) - dead
        self._usages[place.name][policy] = PackedUsage(len(usages), live, dead)
        room = self._run(place, store.room)
        share = share_due(self._dead_share, room)
        asked = self._run(place, compactor.ask_writers, usages, share, store.volume_size // _WORTH_IT)
        self._await_writers(place, compactor, asked)
        for volume in self._run(place, compactor.due, usages, share, room.spare):
            before = dict(vars(compactor.counts))
            yield from self._compact(place, compactor.compact(volume, self._run(place, store.room).spare))
            done = {name: count - before[name] for name, count in vars(compactor.counts).items()}
            found.count(**done)
            if not done["volumes_removed"]:
                self._logger.warning("%s: volume %s of policy %s stays", place.name, volume, policy)
                found.find(f"volume {volume} of policy {policy} stays")

    def _await_writers(self, place: SearchedPlace, compactor: Compactor, asked: list[int]) -> None:
        """Wait until writers have let go of volumes, or for some seconds: then these are compacted in a later round."""
        end = time.monotonic() + _WRITERS_SECONDS
        while (asked := self._run(place, compactor.written, asked)) and time.monotonic() < end:
            self._check()
            green.sleep(_WRITERS_PAUSE)

    def _compact(self, place: SearchedPlace, steps: Iterator[int]) -> Iterator[None]:
        """Take all steps, at the pace of the device."""
        throttle = self._throttle(place.name)
        while (size := self._run(place, next, steps, _END)) != _END:
            self._check()
            throttle.take(2 * size)
            yield

    def _run(self, place: SearchedPlace, call: Callable[[*_Arguments], _Result], *args: *_Arguments) -> _Result:
        """Call in the thread of a device. Raises DeviceUnavailable, NoSpace."""
        try:
            return self._threads(place.name).run(call, *args)
        except OSError as error:
            raise translate(error, place.path) from error
        except (DamagedIndex, StaleIndex) as error:
            raise DeviceUnavailable(f"{place.path}: the index of packed objects is lost: {error}") from error

    def usage(self) -> dict[str, dict[str, int]]:
        """Return for monitoring, by device, the number of volumes and their live and dead bytes."""
        return {device: _sum(usages.values())._asdict() for device, usages in self._usages.items()}


def _sum(usages: Collection[PackedUsage]) -> PackedUsage:
    return PackedUsage(*map(sum, zip(*usages, strict=True))) if usages else PackedUsage()
