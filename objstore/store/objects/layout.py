"""Names of files and directories of objects on a device, built and parsed here alone.

    <device>/objects[-<policy>]/<partition>/<suffix>/<hash>/<file>
    <device>/quarantined/objects[-<policy>]/<hash>[-<n>]/<file>
    <device>/unreadable/objects[-<policy>]/<partition>-<hash>-<file>
    <device>/tmp/<random>
    <device>/leases/.locks                           locks of names, see `lock_number`
    <device>/leases/.hash_locks, .hashers            locks of partitions, see `hashes`

A file in a hash directory is one of

    <timestamp>.data                             an object: content, trailer, metadata
    <timestamp>.meta                             metadata of a later POST
    <timestamp>-<content type timestamp>.meta    the same, with a content type
    <timestamp>.ts                               a tombstone

with timestamps in their internal form. The content type's timestamp stands in the name so
that names alone decide what is live.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from objstore.core.names import Location
from objstore.core.policies import objects_dir
from objstore.core.timestamps import TICKS, Timestamp

DATA = "data"
META = "meta"
TOMBSTONE = "ts"
KINDS = (DATA, META, TOMBSTONE)

# The internal form of a timestamp, whose offset is left out where it is 0.
_TIMESTAMP = r"(\d{10})\.(\d{5})(?:_(?!0{16})([0-9a-f]{16}))?"
_FILE_NAME = re.compile(rf"{_TIMESTAMP}(?:-{_TIMESTAMP})?\.({'|'.join(KINDS)})", re.ASCII).fullmatch


class FileName(NamedTuple):
    """A file of a hash directory. content_type: when a .meta's content type was set; None without one."""

    timestamp: Timestamp
    kind: str
    content_type: Timestamp | None = None

    def __str__(self) -> str:
        if self.content_type is not None:
            return f"{self.timestamp.internal}-{self.content_type.internal}.{self.kind}"
        return f"{self.timestamp.internal}.{self.kind}"

    @classmethod
    def parse(cls, text: str) -> FileName | None:
        """What a name says, or None where no object's file is called so."""
        match = _FILE_NAME(text)
        if match is None:
            return None
        seconds, ticks, offset, type_seconds, type_ticks, type_offset, kind = match.groups()
        timestamp = Timestamp(int(seconds) * TICKS + int(ticks), int(offset, 16) if offset else 0)
        if type_seconds is None:
            return cls(timestamp, kind)
        if kind != META:
            return None
        typed = Timestamp(int(type_seconds) * TICKS + int(type_ticks), int(type_offset, 16) if type_offset else 0)
        return cls(timestamp, kind, typed)


class Layout:
    """Paths of one policy on one device. root: the device's directory."""

    def __init__(self, root: str, policy: int) -> None:
        self.root = root.rstrip("/") or "/"
        self.policy = policy
        self.objects = f"{self.root}/{objects_dir(policy)}"
        self.temporary = f"{self.root}/tmp"
        self.locks = f"{self.root}/leases/.locks"
        self.hash_locks = f"{self.root}/leases/.hash_locks"
        self.hashers = f"{self.root}/leases/.hashers"
        self.quarantined = f"{self.root}/quarantined/{objects_dir(policy)}"
        self.unreadable = f"{self.root}/unreadable/{objects_dir(policy)}"
        # Counts directories removed as empty, where a process must know whether one was.
        self.removals = f"{self.objects}/.removals"
        # While this (a directory) is there, partitions of another part power are being removed.
        self.cleanup = f"{self.objects}/.cleanup"

    def partition_dir(self, partition: int) -> str:
        return f"{self.objects}/{partition}"

    def suffix_dir(self, partition: int, suffix: str) -> str:
        return f"{self.objects}/{partition}/{suffix}"

    def hash_dir(self, location: Location) -> str:
        return f"{self.objects}/{location.partition}/{location.hash[-3:]}/{location.hash}"

    def twin_dir(self, location: Location) -> str:
        """The hash directory in the location's other partition, "" where it has none."""
        return self.hash_dir(location._replace(partition=location.twin)) if location.twin is not None else ""

    def quarantine_dir(self, name_hash: str, attempt: int) -> str:
        """Where a hash directory's bad files go; attempt: 0, 1, ... until the name is free."""
        return f"{self.quarantined}/{name_hash}-{attempt}" if attempt else f"{self.quarantined}/{name_hash}"

    def unreadable_note(self, location: Location, name: FileName) -> str:
        """The path of the note that the device failed to read a file of a location."""
        return f"{self.unreadable}/{location.partition}-{location.hash}-{name}"

    def parse_unreadable_note(self, entry: str) -> tuple[Location, FileName] | None:
        """The file that an entry of `unreadable` is about; None for any other entry."""
        partition, _, rest = entry.partition("-")
        name_hash, _, text = rest.partition("-")
        name = FileName.parse(text)
        if name is None or not is_partition(partition) or not is_hash(name_hash):
            return None
        return Location(int(partition), name_hash, self.policy), name

    def parse_quarantine_dir(self, entry: str) -> str | None:
        """The name hash of an entry of `quarantined`; None for any other entry."""
        name_hash, dash, attempt = entry.partition("-")
        return name_hash if is_hash(name_hash) and (attempt.isdigit() or not dash) else None

    def parse_hash_dir(self, path: str) -> Location | None:
        """The location whose hash directory a path is; None where it is none of this policy."""
        if not path.startswith(self.objects + "/"):
            return None
        parts = path[len(self.objects) + 1 :].split("/")
        if len(parts) != 3 or not is_partition(parts[0]) or not is_hash(parts[2]) or parts[1] != parts[2][-3:]:
            return None
        return Location(int(parts[0]), parts[2], self.policy)


def lock_number(hash_dir: str) -> int:
    """The number (see `runtime.number_locks`) that is locked while the files of a hash directory change.

    Of its hash, so that names of different policies may share one.
    """
    return int(hash_dir[-32:-17], 16)


def ancestors(hash_dir: str) -> Iterator[str]:
    """Suffix, partition and objects directory above a hash directory, and the device's root."""
    for _ in range(4):
        hash_dir = hash_dir.rpartition("/")[0]
        yield hash_dir


def is_partition(name: str) -> bool:
    return name.isascii() and name.isdigit() and str(int(name)) == name


def _is_hex(name: str, length: int) -> bool:
    return len(name) == length and not name.strip("0123456789abcdef")


def is_suffix(name: str) -> bool:
    return _is_hex(name, 3)


def is_hash(name: str) -> bool:
    return _is_hex(name, 32)
