"""The spool of records: files in a directory of the host, each written by one worker.

A worker appends to a file `open-ID` that it has locked. A closed file is `SECONDS-ID`, after the time when it was
closed. The lock ends with the process, so whoever locks an open file of another one may close it: nothing that a killed
worker wrote is lost. Whoever delivers a closed file holds its lock, and removes it after that.

A line is a JSON array: the account and name of the bucket, its configuration as stored, seconds since the epoch, and
the record. A line without an end, or that is no such array, was cut short by a power cut, and is skipped.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Callable, Iterator
from typing import NamedTuple

from objstore.runtime.files import FILES, Files, OpenFile

_OPEN = "open-"


class SpooledRecord(NamedTuple):
    """A record in the spool. account, bucket: of the logged bucket. configuration: as `Logging.dump` returns it."""

    account: str
    bucket: str
    configuration: str
    seconds: float
    line: str


class ClosedFile(NamedTuple):
    """A locked file to deliver. closed: when, in seconds since the epoch."""

    file: OpenFile
    name: str
    closed: int


class SpoolLimits(NamedTuple):
    """size: bytes at which a file is closed. age: seconds after which it is closed. room: bytes of all files."""

    size: int
    age: float
    room: int


class RecordSpool:
    """The files of a directory, and the one that this process writes. Methods other than `append` wait for disks.

    now: seconds since the epoch.
    """

    def __init__(self, directory: str, limits: SpoolLimits, now: Callable[[], float], files: Files = FILES) -> None:
        self._directory = directory
        self._limits = limits
        self._now = now
        self._files = files
        self._current: OpenFile | None = None
        self._opened = 0.0
        self._written = 0  # bytes in the current file
        self._synced = 0
        self._others = 0  # bytes in the directory at the last pass

    def append(self, entry: SpooledRecord) -> bool:
        """Append an entry to the file of this process, where it survives the process; return False if the spool is
        full. Raises OSError."""
        data = (json.dumps(entry, separators=(",", ":")) + "\n").encode()
        if self._others + self._written + len(data) > self._limits.room:
            return False
        if self._current is None:
            self._current, self._opened, self._written, self._synced = self._new(), self._now(), 0, 0
        self._files.write(self._current.fd, (data,))
        self._written += len(data)
        return True

    def sync(self) -> None:
        """Make the entries so far durable. Raises OSError."""
        written, current = self._written, self._current
        if current is not None and written > self._synced:
            self._files.fdatasync(current.fd)
            if not self._synced:
                self._files.fsync_dir(self._directory)
            self._synced = written

    def roll(self) -> bool:
        """Close the file of this process if it is large or old enough; return whether it was. For the event loop."""
        current, limits = self._current, self._limits
        if current is None or (self._written < limits.size and self._now() < self._opened + limits.age):
            return False
        self._current, self._others, self._written = None, self._others + self._written, 0
        current.close_descriptor()  # unlocks it: the next pass of any worker closes it like that of a killed one
        return True

    def closed(self) -> Iterator[ClosedFile]:
        """Yield the files to deliver, each locked until the next one; closes those of ended processes and rolled ones.
        Raises OSError."""
        for name in sorted(self._names()):
            file = self._locked(name)
            if file is None:
                continue
            try:
                if name.startswith(_OPEN):
                    name = self._close(file, name)
                closed = name.partition("-")[0]
                if closed.isdigit():
                    yield ClosedFile(file, name, int(closed))
            finally:
                file.close_descriptor()

    def read(self, closed: ClosedFile) -> list[SpooledRecord]:
        """Return the entries of a file. Raises OSError."""
        data = bytearray(self._files.size(closed.file.fd))
        count = self._files.read_at(closed.file.fd, data, 0)
        lines = bytes(data[:count]).split(b"\n")[:-1]
        return [entry for entry in map(_parsed, lines) if entry is not None]

    def remove(self, closed: ClosedFile) -> None:
        """Remove a delivered file. Raises OSError."""
        self._files.unlink(self._path(closed.name))

    def measure(self) -> None:
        """Count the bytes of all files, for the bound of `append`. Raises OSError."""
        total = 0
        for name in self._names():
            with contextlib.suppress(FileNotFoundError):
                total += os.stat(self._path(name)).st_size
        self._others = max(0, total - self._written)

    def _names(self) -> list[str]:
        return self._files.list(self._directory) if self._files.exists(self._directory) else []

    def _path(self, name: str) -> str:
        return os.path.join(self._directory, name)

    def _new(self) -> OpenFile:
        os.makedirs(self._directory, mode=0o700, exist_ok=True)
        while True:
            path = self._path(f"{_OPEN}{secrets.token_hex(8)}")
            file = self._files.open_to_append(path, 0o600)
            # Another worker may have taken it for that of an ended process in between.
            if self._files.try_lock(file.fd) and self._files.is_at(file.fd, path):
                return file
            file.close_descriptor()

    def _locked(self, name: str) -> OpenFile | None:
        """Return the file of a name if no process has it; None also if its name has gone meanwhile."""
        path = self._path(name)
        try:
            file = self._files.open(path)
        except FileNotFoundError:
            return None
        if self._files.try_lock(file.fd) and self._files.is_at(file.fd, path):
            return file
        file.close_descriptor()
        return None

    def _close(self, file: OpenFile, name: str) -> str:
        """Give the file of an ended process the name of a closed one; durable, since the names of log objects follow
        from it."""
        closed = f"{int(self._now())}-{name.removeprefix(_OPEN)}"
        self._files.fdatasync(file.fd)
        self._files.rename(self._path(name), self._path(closed))
        self._files.fsync_dir(self._directory)
        return closed


def _parsed(line: bytes) -> SpooledRecord | None:
    try:
        fields = json.loads(line)
        account, bucket, configuration, seconds, text = fields
        return SpooledRecord(str(account), str(bucket), str(configuration), float(seconds), str(text))
    except (ValueError, TypeError):
        return None
