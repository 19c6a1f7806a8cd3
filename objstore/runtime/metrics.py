"""Counters, gauges and histograms, cheap to bump, and summed over all workers when asked for.

A *series* is a metric with values for its labels; it has one or more *cells*, 8-byte
floats. A worker counts in memory of its own, and a thread copies its cells to a file once in
`PUBLISH_INTERVAL`, so that any worker can report the sum of all. The file's twin `.names` says
which cells belong to which series, one JSON line a series, in order. Without a directory
the cells are this process's alone.

The files are written by system calls, never mapped: on a full or failing disk a mapped page kills the process
with SIGBUS. A write that fails is tried again at the next interval, and no request notices.

prometheus_client writes the exposition format. Its own multiprocess mode is not used: it
wants an environment variable before its first import, and costs some 1.5 µs a bump.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import json
import logging
import os
import threading
import time
import weakref
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import generate_latest

from objstore.runtime import log, settings
from objstore.runtime.files import is_directory
from objstore.runtime.settings import setting


@dataclass(frozen=True)
class MetricsSettings:
    """The settings of published counters."""

    metrics_directory: str = setting(
        str.strip, "", "directory in which the workers of a host share their counters; empty: each worker counts alone"
    )


CAPACITY = 65_536  # cells of a worker
PUBLISH_INTERVAL = 1.0  # seconds
_SPILL = 64  # cells at the end that take what does not fit and are never read

# Seconds; from a cached HEAD to a large object.
LATENCY = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Description(NamedTuple):
    """kind: counter, gauge or histogram. bounds: upper ones of a histogram's buckets."""

    kind: str
    name: str
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()

    @property
    def cells(self) -> int:
        """A histogram has a count for each bucket, one for what is above, and the sum."""
        return len(self.bounds) + 2 if self.kind == "histogram" else 1


class WorkerCounters(NamedTuple):
    """The counters of one worker. lines: its series, in the order of their cells; alive: whether its gauges count."""

    lines: Iterable[str]
    cells: Any
    alive: bool = True


class _Cells:
    """The cells of one worker; in a directory, those of the first pair of files that no living worker holds."""

    def __init__(self, directory: str, logger: logging.Logger) -> None:
        self._directory = directory
        self._logger = logger
        self._used = 0
        self._places: dict[str, int] = {}
        self._values: memoryview[float] | None = None
        self._files: _Files | None = None

    @property
    def values(self) -> memoryview[float]:
        """Claimed when the first series is made, so that a pipeline may be made before its workers are forked."""
        if self._values is None:
            self._values = memoryview(bytearray(CAPACITY * 8)).cast("d")
            if self._directory:
                self._share(self._values)
        return self._values

    def _share(self, values: memoryview[float]) -> None:
        try:
            self._files = _claim(self._directory)
            self._resume(values, self._files)
        except OSError as error:
            self._files = None
            self._logger.warning("%s: %s: the metrics of this process are not shared", self._directory, error)
            return
        threading.Thread(target=_publish_repeatedly, args=(weakref.ref(self),), name="metrics", daemon=True).start()

    def _resume(self, values: memoryview[float], files: _Files) -> None:
        """Continue the counters of the worker that held these files before; reset its gauges."""
        lines, cells = files.read()
        values.cast("B")[: len(cells)] = cells
        for line in lines:
            description, _ = _series(line)
            self._places[line] = self._used
            if description.kind == "gauge":
                values[self._used] = 0.0
            self._used += description.cells

    def place(self, description: Description, values: tuple[str, ...]) -> tuple[memoryview[float], int]:
        """All cells, and the first of a series; the last cells, which nobody reads, if all are taken."""
        cells = self.values
        line = json.dumps([*description, values])
        place = self._places.get(line)
        if place is None:
            if self._used + description.cells > CAPACITY - _SPILL:
                return cells, CAPACITY - _SPILL
            place = self._used
            self._used += description.cells
            self._places[line] = place
        return cells, place

    def lines(self) -> list[str]:
        return list(self._places)

    def publish(self) -> None:
        """Copy names and cells to the files; a failure is left to the next call."""
        if self._files is not None:
            lines = self.lines()  # first: each of them has its cells
            self._files.write(lines, self.values[: self._used].tobytes())


class _Files:
    """A worker's pair of files, held by a lock on the one with the names. Raises OSError."""

    def __init__(self, base: str, names: IO[bytes]) -> None:
        self._names = names
        self._cells = open(base + ".cells", "r+b", opener=_create)  # noqa: SIM115 - kept open, as is the lock
        self._written = 0  # lines, and the bytes that they take
        self._size = 0
        self._last = b""
        self._busy = threading.Lock()

    def read(self) -> tuple[list[str], bytes]:
        """The lines and cells of the worker before; none if they make no sense, as after a power cut."""
        lines = _lines(os.pread(self._names.fileno(), os.fstat(self._names.fileno()).st_size, 0))
        cells = os.pread(self._cells.fileno(), CAPACITY * 8, 0)
        self._written = len(lines)
        self._size = sum(len(line.encode()) + 1 for line in lines)
        os.ftruncate(self._names.fileno(), self._size)
        return lines, _whole(cells) if lines else b""

    def write(self, lines: Sequence[str], cells: bytes) -> None:
        with self._busy, contextlib.suppress(OSError):  # a full or failing disk
            self._write(lines, cells)

    def _write(self, lines: Sequence[str], cells: bytes) -> None:
        """Cells first, so that each cell is there before its name."""
        if cells != self._last:
            _write_at(self._cells.fileno(), cells, 0)
            self._last = cells
        if len(lines) > self._written:
            text = "".join(line + "\n" for line in lines[self._written :]).encode()
            _write_at(self._names.fileno(), text, self._size)
            self._written = len(lines)
            self._size += len(text)


def _write_at(fd: int, data: bytes, offset: int) -> None:
    """Raises OSError, also if the disk takes a part only."""
    if os.pwrite(fd, data, offset) < len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _claim(directory: str) -> _Files:
    os.makedirs(directory, exist_ok=True)
    for number in itertools.count():
        base = os.path.join(directory, str(number))
        names = open(base + ".names", "r+b", opener=_create)  # noqa: SIM115 - kept open: it holds the lock
        if _lock(names, fcntl.LOCK_EX):
            return _Files(base, names)
        names.close()
    raise AssertionError("unreachable")


def _create(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CREAT, 0o644)


def _publish_repeatedly(cells: weakref.ref[_Cells]) -> None:
    while (living := cells()) is not None:
        living.publish()
        del living
        time.sleep(PUBLISH_INTERVAL)


def _lines(raw: bytes) -> list[str]:
    """The complete lines of a file of names, of which the last may still be under way; none if they make no sense."""
    lines = raw.decode("utf-8", "replace").split("\n")[:-1]
    try:
        used = sum(_series(line)[0].cells for line in lines)
    except (ValueError, TypeError):
        return []
    return lines if used <= CAPACITY - _SPILL else []


def _whole(cells: bytes) -> bytes:
    return cells[: len(cells) // 8 * 8]


def _lock(file: IO[bytes], how: int) -> bool:
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _series(line: str) -> tuple[Description, tuple[str, ...]]:
    kind, name, text, labels, bounds, values = json.loads(line)
    return Description(kind, name, text, tuple(labels), tuple(bounds)), tuple(values)


class Value:
    """A series of a counter or gauge."""

    __slots__ = ("_place", "_values")

    def __init__(self, values: memoryview[float], place: int) -> None:
        self._values = values
        self._place = place

    def inc(self, amount: float = 1.0) -> None:
        self._values[self._place] += amount

    def set(self, value: float) -> None:
        """For gauges."""
        self._values[self._place] = value

    def get(self) -> float:
        return self._values[self._place]


class Distribution:
    """A series of a histogram."""

    __slots__ = ("_bounds", "_place", "_sum", "_values")

    def __init__(self, values: memoryview[float], place: int, bounds: tuple[float, ...]) -> None:
        self._values = values
        self._place = place
        self._bounds = bounds
        self._sum = place + len(bounds) + 1

    def observe(self, value: float) -> None:
        self._values[self._place + bisect_left(self._bounds, value)] += 1.0
        self._values[self._sum] += value


class Counters(dict[object, Value]):
    """A counter or gauge with labels: `requests["object", "GET", 200].inc()`.

    The key is a tuple of label values, or the one value of the only label. Label values
    must come from a small set: each series stays for the life of the process.
    """

    def __init__(self, cells: _Cells, description: Description) -> None:
        super().__init__()
        self._cells = cells
        self._description = description

    def __missing__(self, key: object) -> Value:
        value = Value(*self._cells.place(self._description, _texts(key)))
        self[key] = value
        return value


class Histograms(dict[object, Distribution]):
    """A histogram with labels; see `Counters`."""

    def __init__(self, cells: _Cells, description: Description) -> None:
        super().__init__()
        self._cells = cells
        self._description = description

    def __missing__(self, key: object) -> Distribution:
        made = Distribution(*self._cells.place(self._description, _texts(key)), self._description.bounds)
        self[key] = made
        return made


def _texts(key: object) -> tuple[str, ...]:
    return tuple(map(str, key)) if isinstance(key, tuple) else (str(key),)


class Metrics:
    """The metrics of one process. Its first series must be made after the fork that began the process;
    `counter` and `gauge` make theirs at once, those with labels when first bumped.

    directory: shared by all whose metrics are shown together; without one they are its own.
    A process that ends leaves its counters, but for those of its last second, to the next one that begins.
    """

    def __init__(self, logger: logging.Logger, directory: str = "") -> None:
        self.directory = directory
        self._cells = _Cells(directory, logger)

    def counter(self, name: str, help: str) -> Value:
        """name ends in `_total`."""
        return self.counters(name, help, ())[()]

    def counters(self, name: str, help: str, labels: tuple[str, ...]) -> Counters:
        return Counters(self._cells, Description("counter", name, help, labels))

    def gauge(self, name: str, help: str) -> Value:
        """Shown is the sum over all workers."""
        return self.gauges(name, help, ())[()]

    def gauges(self, name: str, help: str, labels: tuple[str, ...]) -> Counters:
        return Counters(self._cells, Description("gauge", name, help, labels))

    def histograms(
        self, name: str, help: str, labels: tuple[str, ...] = (), bounds: tuple[float, ...] = LATENCY
    ) -> Histograms:
        return Histograms(self._cells, Description("histogram", name, help, labels, bounds))

    def render(self) -> bytes:
        """All metrics of all workers in Prometheus' text format, as `CONTENT_TYPE` says."""
        self.publish()
        return render(workers(self.directory) if self.directory else [self.worker()])

    def publish(self) -> None:
        """Let the other processes of the directory see what this one has counted; a thread does so regularly, too."""
        self._cells.publish()

    def worker(self) -> WorkerCounters:
        """The counters of this process."""
        return WorkerCounters(self._cells.lines(), self._cells.values)


class Measured(NamedTuple):
    """A value that was found when asked for. labels: names to values."""

    name: str
    help: str
    value: float
    labels: Mapping[str, str] = {}


def measured(values: Iterable[Measured]) -> WorkerCounters:
    """Gauges to be rendered beside what workers have counted."""
    values = list(values)
    lines = [
        json.dumps([*Description("gauge", one.name, one.help, tuple(one.labels)), tuple(one.labels.values())])
        for one in values
    ]
    return WorkerCounters(lines, [one.value for one in values])


CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def from_conf(conf: Mapping[str, str]) -> Metrics:
    return Metrics(log.from_conf(conf), settings.read(MetricsSettings, conf, "metrics").metrics_directory)


def workers(directory: str) -> Iterator[WorkerCounters]:
    """All that have counted in a directory, living and ended."""
    for entry in sorted(os.listdir(directory)) if is_directory(directory) else ():  # nothing was counted yet
        if entry.endswith(".names"):
            base = os.path.join(directory, entry.removesuffix(".names"))
            # The names first: each cell is there before its name.
            with open(base + ".names", "rb") as file:
                lines = _lines(file.read())
                alive = not _lock(file, fcntl.LOCK_SH)
            with open(base + ".cells", "rb") as cells:
                yield WorkerCounters(lines, memoryview(_whole(cells.read())).cast("d"), alive)


def render(counted: Iterable[WorkerCounters]) -> bytes:
    """Sum up the series of all workers, and write them in Prometheus' text format."""
    sums: dict[Description, dict[tuple[str, ...], list[float]]] = {}
    for worker in counted:
        place = 0
        for line in worker.lines:
            description, values = _series(line)
            end = place + description.cells
            if worker.alive or description.kind != "gauge":
                total = sums.setdefault(description, {}).setdefault(values, [0.0] * description.cells)
                for index, value in enumerate(worker.cells[place:end]):
                    total[index] += value
            place = end
    families = [_family(description, series) for description, series in sums.items()]
    return generate_latest(_Collected(families))


class _Collected:
    """The interface of a registry that generate_latest needs."""

    def __init__(self, families: list[object]) -> None:
        self._families = families

    def collect(self) -> list[Any]:
        return self._families


def _family(description: Description, series: dict[tuple[str, ...], list[float]]) -> object:
    labels = list(description.labels)
    family: object
    if description.kind == "histogram":
        family = HistogramMetricFamily(description.name, description.help, labels=labels)
        for values, cells in sorted(series.items()):
            total = 0.0
            buckets = []
            for bound, count in zip((*map(str, description.bounds), "+Inf"), cells[:-1], strict=True):
                total += count
                buckets.append((bound, total))
            family.add_metric(values, buckets, cells[-1])
        return family
    kind = CounterMetricFamily if description.kind == "counter" else GaugeMetricFamily
    family = kind(description.name, description.help, labels=labels)
    for values, cells in sorted(series.items()):
        family.add_metric(values, cells[0])
    return family
