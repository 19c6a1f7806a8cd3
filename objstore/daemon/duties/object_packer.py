"""Moves small files of policies that pack into volumes; `store.packed.moving` says how.

A round of a device goes through all its files. What it has moved is not met again, so a round that was ended early
starts again from the first file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple, TypeVar, TypeVarTuple

from objstore.daemon.rounds import Position, Round, SearchedPlace
from objstore.runtime.files import FILES, Files
from objstore.runtime.threads import ThreadPool
from objstore.runtime.throttle import Throttle
from objstore.store.disk_errors import translate
from objstore.store.packed.moving import Mover

_Arguments = TypeVarTuple("_Arguments")
_Result = TypeVar("_Result")
_END = (-1, 0)


class PackedPolicy(NamedTuple):
    """A storage policy that packs. limit: bytes of its largest packed object; power: its ring's partition power."""

    number: int
    limit: int
    power: int


class ObjectPacker:
    """Its `tour` is the work of a tour over places whose `store` is a function that returns PackedPolicy values.

    objects_per_second, bytes_per_second: moved on each device; 0: no limit. check: raises if the daemon must stop.
    """

    def __init__(
        self,
        objects_per_second: float,
        bytes_per_second: float,
        check: Callable[[], None],
        files: Files = FILES,
    ) -> None:
        self._check = check
        self._files = files
        self._throttles = cache(lambda device: (Throttle(objects_per_second), Throttle(bytes_per_second)))
        self._threads = cache(lambda device: ThreadPool(f"packing:{device}", 1))

    def tour(self, place: SearchedPlace, found: Round) -> Iterator[Position]:
        for policy in place.store():
            mover = self._run(place, Mover, self._files, place.path, policy.number, policy.limit, policy.power)
            try:
                yield from self._policy(place, found, mover)
            finally:
                self._run(place, mover.close)

    def _policy(self, place: SearchedPlace, found: Round, mover: Mover) -> Iterator[Position]:
        by_object, by_byte = self._throttles(place.name)
        steps = mover.packing()
        before = dict.fromkeys(vars(mover.counts), 0)
        while (step := self._run(place, next, steps, _END)) != _END:
            before = _count(found, mover, before)
            self._check()
            by_object.take(step[0])
            by_byte.take(step[1])
            yield []
        _count(found, mover, before)

    def _run(self, place: SearchedPlace, call: Callable[[*_Arguments], _Result], *args: *_Arguments) -> _Result:
        """Call in the thread of a device. Raises DeviceUnavailable, NoSpace."""
        try:
            return self._threads(place.name).run(call, *args)
        except OSError as error:
            raise translate(error, place.path) from error


def _count(found: Round, mover: Mover, before: dict[str, int]) -> dict[str, int]:
    """Add what was done since `before` to the counts of a round; return the counts now."""
    now = dict(vars(mover.counts))
    found.count(**{name: number - before[name] for name, number in now.items()})
    return now
