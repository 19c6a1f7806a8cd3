"""Going round all that devices hold, again and again, and on from where one was after a restart.

Nouns. A *tour* is something that is done with each thing on a device; a *round* is one tour from a device's first
thing to its last; a *slice* is what is done of a round at a time, a few seconds long, so that devices and tours get
their turns. Where a round stands is kept on the device itself, in a small file that is written every minute.

A slow device, or one that hangs, does not hold the others: each goes its own rounds. What was done since the file
was written is done again after a crash.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, partial
from typing import Any, NamedTuple

from objstore.runtime import green
from objstore.runtime.files import FILES, Files
from objstore.runtime.threads import ThreadPool

Position = list[Any]  # of numbers and texts, as JSON has them

_DIRECTORY = "rounds"
_VERSION = 1
_LOOK = 0.5  # seconds until the next look for something to do, while slices are under way
_LEAST_CYCLE = 1.0  # seconds: a small store is not to be gone round without a rest
_MAX_FINDINGS = 1000
_MAX_TOLD = 20


class Interrupted(Exception):
    """The daemon is to end: what is under way is given up, and done again after the next start."""


class SearchedPlace(NamedTuple):
    """A device that can be used now. path: its directory; store: what the tours need of it."""

    name: str
    path: str
    store: Any


class Round:
    """The progress of a tour on a device.

    position: where to continue, empty at the beginning. began: seconds since the epoch, 0 if no round is under way.
    counts, findings: of this round; those of the last completed one have the prefix `last_`.
    """

    __slots__ = (
        "began",
        "counts",
        "findings",
        "last_began",
        "last_counts",
        "last_ended",
        "last_findings",
        "position",
    )

    def __init__(self) -> None:
        self.position: Position = []
        self.began = 0.0
        self.counts: dict[str, int] = {}
        self.findings: list[str] = []
        self.last_began = 0.0
        self.last_ended = 0.0
        self.last_counts: dict[str, int] = {}
        self.last_findings: list[str] = []

    def begin(self, now: float) -> None:
        self.position, self.began, self.counts, self.findings = [], now, {}, []

    def end(self, now: float) -> None:
        self.last_began, self.last_ended = self.began, now
        self.last_counts, self.last_findings = self.counts, self.findings
        self.position, self.began, self.counts, self.findings = [], 0.0, {}, []

    def is_due(self, cycle: float, now: float) -> bool:
        """Is there something to do? A beginning in the future was written by a clock that was set back since."""
        return self.began > 0 or not self.last_began <= now < self.last_began + max(cycle, _LEAST_CYCLE)

    def count(self, **amounts: int) -> None:
        for name, amount in amounts.items():
            self.counts[name] = self.counts.get(name, 0) + amount

    def find(self, text: str) -> None:
        """Keep what was found for the operator; no more of it than can be looked through."""
        if len(self.findings) < _MAX_FINDINGS:
            self.findings.append(text)

    def as_json(self) -> dict[str, object]:
        """All of it, for `read`."""
        return {name: getattr(self, name) for name in self.__slots__}

    def status(self) -> dict[str, object]:
        """The same for monitoring: None for a time that never was, and of what was found the first."""
        times = {name: getattr(self, name) or None for name in ("began", "last_began", "last_ended")}
        shown = {"findings": self.findings[:_MAX_TOLD], "last_findings": self.last_findings[:_MAX_TOLD]}
        return self.as_json() | times | shown

    @classmethod
    def read(cls, document: Mapping[str, object]) -> Round:
        """Decode the result of `as_json`. Raises TypeError and KeyError for anything else."""
        made = cls()
        for name in cls.__slots__:
            value, default = document[name], getattr(made, name)
            kind: Any = (int, float) if isinstance(default, float) else type(default)
            if not isinstance(value, kind):
                raise TypeError(f"{name} is {value!r}")
            setattr(made, name, value)
        return made


# Does its work from a round's position on, and counts what it does; yields after each thing the position from which
# to go on. It begins a thing again that was not done to its end.
Work = Callable[[SearchedPlace, Round], Iterator[Position]]


class Tour(NamedTuple):
    """cycle: seconds from the beginning of a round to that of the next, at least."""

    name: str
    cycle: float
    work: Work


class Rounds:
    """The rounds of some tours. Its `passes` are for a `runner.Daemon`, with as much concurrency as is wanted."""

    def __init__(
        self,
        duty: str,
        places: Callable[[], Iterable[SearchedPlace]],
        tours: Iterable[Tour],
        logger: logging.Logger,
        files: Files = FILES,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        slice_seconds: float = 5.0,
        save_interval: float = 60.0,
        retry_after: float = 60.0,
        at_once: bool = False,
    ) -> None:
        """duty: the daemon's name, by which its file on each device is called. retry_after: a failure, in seconds.

        at_once: one round of each device and tour is begun, or ended, whether it is due or not.
        """
        self._duty = duty
        self._places = places
        self._tours = tuple(tours)
        self._logger = logger
        self._files = files
        self._now = now
        self._monotonic = monotonic
        self._slice_seconds = slice_seconds
        self._save_interval = save_interval
        self._retry_after = retry_after
        self._at_once = at_once
        self._requested_tours: set[tuple[str, str]] = set()  # devices and tours to run although not due
        self._threads = cache(lambda device: ThreadPool(f"{duty}:{device}", 1))  # so that one that hangs holds no other
        self._rounds: dict[str, dict[str, Round]] = {}  # by device and tour
        self._saved: dict[str, float] = {}
        self._under_way: dict[tuple[str, str], Iterator[Position]] = {}
        self._not_before: dict[tuple[str, str], float] = {}
        self._busy: set[tuple[str, str]] = set()
        self._totals: dict[str, int] = {}
        self._stopping = False

    def passes(self) -> Iterator[Callable[[], None]]:
        """One pass, until nothing is due anywhere; a unit is a slice."""
        while True:
            begun = False
            for place in self._places():
                for tour in self._tours:
                    if self._is_due(place, tour):
                        self._busy.add((place.name, tour.name))
                        begun = True
                        yield partial(self._slice, place, tour)
            if not begun:
                if not self._busy or self._stopping:
                    return
                green.sleep(_LOOK)

    def stop(self) -> None:
        """Let slices under way end soon, and none begin."""
        self._stopping = True

    def check(self) -> None:
        """Raise Interrupted if the daemon must stop; for long work on one item."""
        if self._stopping:
            raise Interrupted

    def status(self) -> dict[str, object]:
        """For monitoring: totals since the start, and each device's rounds."""
        devices = {
            name: {tour: found.status() for tour, found in rounds.items()} for name, rounds in self._rounds.items()
        }
        return {**{f"{name}_total": amount for name, amount in self._totals.items()}, "devices": devices}

    def _is_due(self, place: SearchedPlace, tour: Tour) -> bool:
        key = (place.name, tour.name)
        if key in self._busy or self._monotonic() < self._not_before.get(key, float("-inf")):
            return False
        rounds = self._rounds.get(place.name)
        return rounds is None or key in self._requested_tours or rounds[tour.name].is_due(tour.cycle, self._now())

    def _slice(self, place: SearchedPlace, tour: Tour) -> None:
        key = (place.name, tour.name)
        try:
            if place.name not in self._rounds:
                loaded = self._threads(place.name).run(self._load, place)
                if self._rounds.setdefault(place.name, loaded) is loaded and self._at_once:
                    self._requested_tours.update((place.name, each.name) for each in self._tours)
            self._go_on(place, tour, self._rounds[place.name][tour.name])
        except Interrupted:
            self._save(place)
        except Exception:
            self._not_before[key] = self._monotonic() + self._retry_after
            raise
        finally:
            self._busy.discard(key)

    def _go_on(self, place: SearchedPlace, tour: Tour, found: Round) -> None:
        now = self._now()
        key = (place.name, tour.name)
        if self._stopping or not (key in self._requested_tours or found.is_due(tour.cycle, now)):
            return
        if not found.began:
            found.begin(now)
        steps = self._under_way.pop(key, None) or tour.work(place, found)
        before = dict(found.counts)
        try:
            ended = self._advance(found, steps)
        finally:
            for name, amount in found.counts.items():
                self._totals[name] = self._totals.get(name, 0) + amount - before.get(name, 0)
        if ended:
            found.end(self._now())
            self._requested_tours.discard(key)
            self._logger.debug("%s: %s of %s: %s", self._duty, tour.name, place.name, found.last_counts)
        else:
            self._under_way[key] = steps
        if ended or self._stopping or self._monotonic() >= self._saved.get(place.name, 0.0) + self._save_interval:
            self._save(place)

    def _advance(self, found: Round, steps: Iterator[Position]) -> bool:
        """Take steps until time is up; is the round at its end?"""
        until = self._monotonic() + self._slice_seconds
        for position in steps:
            found.position = position
            if self._stopping or self._monotonic() >= until:
                return False
        return True

    # The file on the device

    def _path(self, place: SearchedPlace) -> str:
        return f"{place.path}/{_DIRECTORY}/{self._duty}.json"

    def _save(self, place: SearchedPlace) -> None:
        document = {"version": _VERSION, "rounds": {tour: r.as_json() for tour, r in self._rounds[place.name].items()}}
        self._saved[place.name] = self._monotonic()
        try:
            self._threads(place.name).run(self._write, self._path(place), json.dumps(document).encode())
        except OSError as error:  # a full device is audited too
            self._logger.warning("%s: %s", self._duty, error)

    def _write(self, path: str, data: bytes) -> None:
        with contextlib.suppress(FileExistsError):
            self._files.mkdir(os.path.dirname(path))
        self._files.replace(path, data)

    def _load(self, place: SearchedPlace) -> dict[str, Round]:
        """Return the progress in the file; a new round if the file is missing or cannot be read."""
        path = self._path(place)
        document: object = {}
        try:
            self._sweep(os.path.dirname(path))
            with open(path, "rb") as file:
                document = json.load(file)["rounds"]
        except FileNotFoundError:
            pass
        except (OSError, ValueError, LookupError, TypeError) as error:
            self._logger.warning("%s: rounds start over: %s: %s", self._duty, path, error)
        self._saved[place.name] = self._monotonic()
        return {tour.name: self._read(document, tour.name, path) for tour in self._tours}

    def _read(self, document: Any, tour: str, path: str) -> Round:
        """A file that an older version wrote does not have all tours of today: those begin, and nothing is wrong."""
        try:
            return Round.read(document[tour]) if tour in document else Round()
        except (ValueError, LookupError, TypeError) as error:
            self._logger.warning("%s: round %r starts over: %s: %r", self._duty, tour, path, error)
            return Round()

    def _sweep(self, directory: str) -> None:
        """Remove what a process that was killed left while it wrote the file."""
        for name in self._files.list(directory):
            if name.startswith(f"{self._duty}.json.") and name.endswith(".tmp"):
                with contextlib.suppress(OSError):
                    self._files.unlink(f"{directory}/{name}")
