"""Disks as the system knows them: where they are mounted, what the kernel says of them, whether they answer.

A device that was *taken out* is one that servers treat as not mounted, whatever is mounted there: a
file with its name in `.out` under the directory of devices says so, and why.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import psutil

from objstore.runtime.files import FILES, Files, exists, is_directory

OUT = ".out"
_RETURNED = ".returned"
KERNEL_MESSAGES = "/dev/kmsg"
_PROBE = b"objstore looks whether this disk still writes and reads\n" * 64
_MAX_LINES = 20_000  # looked at in one go


class KernelLine(NamedTuple):
    """A line of the kernel's log. at: seconds since the epoch."""

    at: float
    text: str


# Words of the block layer, drivers and file systems by which they report a disk that fails. (?P<drive>) names it.
_DRIVE = (
    r"(?P<drive>(?:sd[a-z]+|vd[a-z]+|xvd[a-z]+|hd[a-z]+)\d*|nvme\d+(?:c\d+)?n\d+(?:p\d+)?|mmcblk\d+(?:p\d+)?"
    r"|(?:loop|nbd|rbd)\d+(?:p\d+)?|dm-\d+|md\d+(?:p\d+)?)"
)
_FAILURES = tuple(
    re.compile(pattern.replace("DRIVE", _DRIVE))
    for pattern in (
        r"I/O error.*\bdev(?:ice)? DRIVE\b",
        r"\[DRIVE\].*\b(?:Medium|Hardware) Error",
        r"\[DRIVE\].*\bSense Key : (?:Medium|Hardware) Error",
        r"(?:critical (?:medium|target)|lost page write|lost async page write).*\bdev(?:ice)? DRIVE\b",
        r"EXT4-fs error \(device DRIVE\)",
        r"EXT4-fs \(DRIVE\): (?:Remounting filesystem read-only|.*I/O error|.*shut down)",
        r"Aborting journal on device DRIVE\b",
        r"JBD2: .*(?:[Ee]rror).*\b(?:for|on) DRIVE\b",
        r"XFS \(DRIVE\):.*(?:error|[Cc]orrupt|[Ss]hut)",
        r"BTRFS:? (?:error|critical) \(device DRIVE(?::? state \w+)?\)",
        r"BTRFS warning \(device DRIVE(?::? state \w+)?\): .*(?:csum|checksum|error|lost page write)",
        r"BTRFS info \(device DRIVE(?::? state \w+)?\): forced readonly",
        r"\bDRIVE: .*(?:I/O [Ee]rror|error -\d+|controller is down|Device not ready|timed out)",
    )
)


def drive_that_fails(text: str) -> str | None:
    """The kernel's name (`sdb1`) of the drive that a line tells a failure of; None for other lines."""
    for pattern in _FAILURES:
        match = pattern.search(text)
        if match is not None:
            return match["drive"]
    return None


def whole_drive(name: str) -> str:
    """The disk that a partition is part of: `sdb` of `sdb1`, `nvme0n1` of `nvme0n1p2`."""
    if re.match(r"(?:nvme|mmcblk|loop|nbd|rbd|md)\d", name):
        return re.sub(r"(?<=\d)p\d+$", "", name)
    return re.sub(r"\d+$", "", name) if re.match(r"(?:sd|vd|xvd|hd)", name) else name


def failures(lines: Iterable[KernelLine], since: float) -> dict[str, list[KernelLine]]:
    """Return lines about failing drives later than `since` (seconds since the epoch), by the whole drive."""
    found: dict[str, list[KernelLine]] = {}
    for line in lines:
        if line.at >= since:
            name = drive_that_fails(line.text)
            if name is not None:
                found.setdefault(whole_drive(name), []).append(line)
    return found


def kernel_lines(path: str = KERNEL_MESSAGES) -> Iterator[KernelLine]:
    """Return the current lines of the kernel's log; blocks shortly. Raises OSError if it may not be read.

    Each read of /dev/kmsg (Documentation/ABI/testing/dev-kmsg of Linux) returns one record. Any other path is a text
    file as syslog daemons write it: its last lines, all dated by when the file last changed.
    """
    if path != KERNEL_MESSAGES:
        changed = os.stat(path).st_mtime
        with open(path, "rb") as file:
            file.seek(max(0, os.path.getsize(path) - 256 * _MAX_LINES))
            for raw in file.read().splitlines()[-_MAX_LINES:]:
                yield KernelLine(changed, raw.decode("utf-8", "replace"))
        return
    booted = time.time() - time.monotonic()
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        for _ in range(_MAX_LINES):
            try:
                record = os.read(fd, 8192)
            except BlockingIOError:
                return  # no more
            except BrokenPipeError:
                continue  # overwritten before it was read
            head, _, text = record.decode("utf-8", "replace").partition(";")
            fields = head.split(",")
            if len(fields) > 2 and fields[2].isdigit():
                yield KernelLine(booted + int(fields[2]) / 1e6, text.partition("\n")[0])
    finally:
        os.close(fd)


def drives_of(root: str, names: Iterable[str]) -> dict[str, str]:
    """By device name, the kernel's name of the whole drive mounted there; without those not mounted by themselves."""
    mounts = {part.mountpoint: part.device for part in psutil.disk_partitions(all=True)}
    found = {}
    for name in names:
        source = mounts.get(os.path.realpath(os.path.join(root, name)), "")
        if source.startswith("/dev/"):
            found[name] = whole_drive(os.path.basename(os.path.realpath(source)))
    return found


def probe(path: str, files: Files = FILES) -> str:
    """Write, sync and read a small file below `path`; empty if that goes well, else why not. Blocks."""
    directory = f"{path}/tmp"
    try:
        with contextlib.suppress(FileExistsError):
            files.mkdir(directory)
        with contextlib.closing(files.create(f"{directory}/probe-{secrets.token_hex(6)}")) as file:
            files.write(file.fd, (_PROBE,))
            files.fsync(file.fd)
            buffer = bytearray(len(_PROBE))
            if files.read_at(file.fd, buffer, 0) != len(_PROBE) or buffer != _PROBE:
                return "the data read differs from the data written"
    except OSError as error:
        # A full disk is in order.
        return "" if error.errno in (errno.ENOSPC, errno.EDQUOT) else error.strerror or str(error)
    return ""


class Outs:
    """The devices under a directory that were taken out. Blocks; raises OSError."""

    def __init__(self, root: str, files: Files = FILES) -> None:
        self._directory = os.path.join(root, OUT)
        self._files = files

    def __contains__(self, name: str) -> bool:
        return exists(os.path.join(self._directory, name))

    def returned(self) -> dict[str, float]:
        """Return the times at which devices were put back, by name, in seconds since the epoch."""
        try:
            names = [name for name in os.listdir(self._directory) if name.endswith(_RETURNED)]
        except FileNotFoundError:
            return {}
        return {
            name.removesuffix(_RETURNED)[1:]: os.stat(os.path.join(self._directory, name)).st_mtime for name in names
        }

    def all(self) -> dict[str, Mapping[str, Any]]:
        """Return the notes by name: `why` and `at` (seconds since the epoch)."""
        found: dict[str, Mapping[str, object]] = {}
        with contextlib.suppress(FileNotFoundError):
            for name in sorted(os.listdir(self._directory)):
                if not name.endswith(".tmp") and not name.startswith("."):
                    found[name] = self._noted(name)
        return found

    def _noted(self, name: str) -> Mapping[str, object]:
        try:
            with open(os.path.join(self._directory, name), "rb") as file:
                noted = json.load(file)
            return noted if isinstance(noted, dict) else {}
        except (OSError, ValueError):
            return {}  # made by hand

    def unwritable(self) -> str:
        """Return why this process cannot take devices out; empty if it can."""
        path = self._directory if is_directory(self._directory) else os.path.dirname(self._directory)
        return "" if os.access(path, os.R_OK | os.W_OK | os.X_OK) else f"cannot write {path}"

    def take_out(self, name: str, why: str, at: float) -> None:
        """From now on servers answer as if it were not mounted, also after a restart."""
        os.makedirs(self._directory, exist_ok=True)
        self._files.replace(os.path.join(self._directory, name), json.dumps({"why": why, "at": at}).encode())

    def put_back(self, name: str) -> bool:
        """Use it again; False if it was not out."""
        path = os.path.join(self._directory, name)
        if not exists(path):
            return False
        # Before it is used: from now on it is known that it may lack copies.
        self._files.replace(os.path.join(self._directory, f".{name}{_RETURNED}"), b"")
        self._files.unlink(path)
        return True
