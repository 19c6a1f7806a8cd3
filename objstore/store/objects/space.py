"""The reserve of free space that a device keeps, so that it can still be repaired and emptied."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from objstore.core.errors import NoSpace
from objstore.runtime import settings
from objstore.runtime.files import Files
from objstore.store.disk_errors import translate
from objstore.store.objects.room import Room


class Reserve(NamedTuple):
    """Free space to keep: in bytes, and in percent of the whole."""

    size: int = 0
    percent: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Reserve:
        """`10G` or `1%`; ValueError for neither."""
        if text.strip().endswith("%"):
            percent = float(text.strip()[:-1])
            if not 0 <= percent < 100:
                raise ValueError("is not a percentage from 0 to less than 100")
            return cls(0, percent)
        return cls(settings.size(text))

    def of(self, total: int) -> int:
        """Bytes to be left on a file system of `total` bytes."""
        return max(self.size, int(total * self.percent / 100))


class SpaceGuard:
    """Refuses what would eat into the reserve; asks the system once in `period` seconds at most.

    What writers of this process have announced and not reserved yet counts as used.
    """

    def __init__(
        self,
        files: Files,
        root: str,
        reserve: Reserve,
        monotonic: Callable[[], float] = time.monotonic,
        period: float = 1.0,
    ) -> None:
        self._files = files
        self._root = root
        self._reserve = reserve
        self._monotonic = monotonic
        self._period = period
        self._spare = 0
        self._good_until = 0.0
        self._rooms: set[Room] = set()

    def room(self, size: int) -> Room:
        """Room for an object of `size` bytes, which has passed `check`; counted until it is closed."""
        room = Room(size, self._rooms.discard)
        self._rooms.add(room)
        return room

    def check(self, size: int, ballast: int = 0) -> bool:
        """Is it time to look whether the device has its ballast? Once a period, if there is room for it and `size`.

        Raises NoSpace if `size` more bytes do not fit, DeviceUnavailable if the system does not answer.
        """
        now = self._monotonic()
        asked = now >= self._good_until
        if asked:
            try:
                space = self._files.space(self._root)
            except OSError as error:
                raise translate(error, self._root) from error
            promised = sum(room.promised for room in self._rooms)
            self._spare = space.free - self._reserve.of(space.total) - promised
            self._good_until = now + self._period
        if size > self._spare:
            raise NoSpace(f"{self._root}: {size} bytes would use reserved free space")
        self._spare -= size
        return asked and 0 < ballast < self._spare
