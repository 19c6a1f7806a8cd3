"""Names of files and directories of objects on a device, built and parsed here alone.

    <device>/objects[-<policy>]/<partition>/<suffix>/<hash>/<file>
    <device>/quarantined/objects[-<policy>]/<hash>[-<n>]/<file>
    <device>/unreadable/objects[-<policy>]/<partition>-<hash>-<file>
    <device>/tmp/<random>
    <device>/leases/.locks                           locks of names, see `lock_number`
    <device>/leases/.hash_locks, .hashers            locks of partitions, see `hashes`

A file in a hash directory is one change, and is called by its text form (see `store.change`):

    <timestamp>.data                             an object: content, trailer, metadata
    <timestamp>.meta                             metadata of a later POST
    <timestamp>-<content type timestamp>.meta    the same, with a content type
    <timestamp>.ts                               a tombstone

So the names of files alone decide what is live.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from objstore.core.names import Location, is_hash
from objstore.core.policies import objects_dir, packed_dir
from objstore.store.change import Change


def file_path(hash_dir: str, change: Change) -> str:
    """The path of a change's file."""
    return f"{hash_dir}/{change}"


def changes_among(entries: Iterable[str]) -> list[Change]:
    """The changes whose files are among the entries of a directory; other entries are not ours to judge."""
    return [change for entry in entries if (change := Change.parse(entry)) is not None]


class Layout:
    """Paths of one policy on one device. root: the device's directory."""

    def __init__(self, root: str, policy: int) -> None:
        self.root = root.rstrip("/") or "/"
        self.policy = policy
        self.objects = f"{self.root}/{objects_dir(policy)}"
        self.packed = f"{self.root}/{packed_dir(policy)}"
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
        """Return the quarantine path of a hash directory's damaged files; attempt: 0, 1, ... until the name is free."""
        return f"{self.quarantined}/{name_hash}-{attempt}" if attempt else f"{self.quarantined}/{name_hash}"

    def unreadable_note(self, location: Location, change: Change) -> str:
        """The path of the note that the device failed to read a file of a location."""
        return f"{self.unreadable}/{location.partition}-{location.hash}-{change}"

    def parse_unreadable_note(self, entry: str) -> tuple[Location, Change] | None:
        """The file that an entry of `unreadable` is about; None for any other entry."""
        partition, _, rest = entry.partition("-")
        name_hash, _, text = rest.partition("-")
        change = Change.parse(text)
        if change is None or not is_partition(partition) or not is_hash(name_hash):
            return None
        return Location(int(partition), name_hash, self.policy), change

    def parse_quarantine_dir(self, entry: str) -> str | None:
        """The name hash of an entry of `quarantined`; None for any other entry."""
        name_hash, dash, attempt = entry.partition("-")
        return name_hash if is_hash(name_hash) and (attempt.isdigit() or not dash) else None

    def parse_hash_dir(self, path: str) -> Location | None:
        """Return the location of a hash directory's path; None if it is not of this policy."""
        if not path.startswith(self.objects + "/"):
            return None
        parts = path[len(self.objects) + 1 :].split("/")
        if len(parts) != 3 or not is_partition(parts[0]) or not is_hash(parts[2]) or parts[1] != parts[2][-3:]:
            return None
        return Location(int(parts[0]), parts[2], self.policy)


def lock_number(hash_dir: str) -> int:
    """The number that is locked while the files of a hash directory change."""
    return lock_number_of(hash_dir[-32:])


def lock_number_of(name_hash: str) -> int:
    """The number (see `runtime.number_locks`) that is locked while the changes of a name change.

    Names of different policies may share one.
    """
    return int(name_hash[:15], 16)


def ancestors(hash_dir: str) -> Iterator[str]:
    """Suffix, partition and objects directory above a hash directory, and the device's root."""
    for _ in range(4):
        hash_dir = hash_dir.rpartition("/")[0]
        yield hash_dir


def is_partition(name: str) -> bool:
    return name.isascii() and name.isdigit() and str(int(name)) == name
