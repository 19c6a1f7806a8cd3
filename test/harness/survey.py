"""What lies on the devices of a cluster, read from its files; nothing is changed."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from harness.cluster import Cluster
from objstore.core.errors import ObjstoreError
from objstore.core.names import Location
from objstore.core.nodes import Node
from objstore.core.policies import objects_dir, ring_name
from objstore.ring import Ring
from objstore.runtime import cluster_conf
from objstore.runtime.files import FILES
from objstore.store.change import Change
from objstore.store.databases import describe_database, layout
from objstore.store.databases.schema import KINDS
from objstore.store.databases.status import digest, status_of
from objstore.store.interface import ObjectInfo
from objstore.store.objects.layout import Layout, changes_among
from objstore.store.objects.liveness import decide
from objstore.store.objects.lookup import BadFile, LiveObject, look_up
from objstore.store.packed.describe import entries_of_names
from objstore.store.packed.index import Index
from objstore.store.packed.lookup import LivePacked, PackedNames
from objstore.store.packed.places import Entry
from objstore.store.packed.volumes import Volumes


class Disk(NamedTuple):
    host: int
    device: str

    def __str__(self) -> str:
        return f"host{self.host}/{self.device}"


class Held(NamedTuple):
    """A name's objects on one disk. files: the changes that count, in files or packed. info: the live object; why it
    cannot be read; or None."""

    files: tuple[str, ...]
    info: ObjectInfo | str | None


class Database(NamedTuple):
    """One replica. rows: by name and policy. said: a digest of what it says of itself; info: the facts of that."""

    rows: dict[tuple[str, int], tuple[Any, ...]]
    said: str
    info: dict[str, Any]

    @property
    def live(self) -> dict[str, tuple[Any, ...]]:
        """Rows of what is there, of the container's policy; an account's containers."""
        policy = self.info.get("policy_index", 0)
        return {name: row for (name, index), row in self.rows.items() if not row[0] and index == policy}

    @property
    def hash(self) -> str:
        return hashlib.md5(repr((self.said, sorted(self.rows.items()))).encode()).hexdigest()


_STABLE_NS = 1_000_000_000  # a directory's time of change tells of changes that are so far apart

# deleted, name and policy come first; then what replicas must agree on.
_ROWS = {
    "container": "SELECT deleted, name, policy_index, timestamp, size, etag, content_type,"
    " ifnull(content_type_timestamp, ''), ifnull(meta_timestamp, ''), elsewhere FROM object",
    "account": "SELECT deleted, name, 0, put_timestamp, delete_timestamp, object_count, bytes_used, policy_index"
    " FROM container",
}


class Survey:
    """Of one cluster, with its rings as they are now."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        conf = cluster_conf.load(str(cluster.etc))
        self.salt = conf.salt
        self.policies = [policy.index for policy in conf.policies]
        names = ["account", "container", *map(ring_name, self.policies)]
        self.rings = {name: Ring.load(str(cluster.etc / f"{name}.ring")) for name in names}

    @property
    def disks(self) -> Iterator[tuple[Disk, Path]]:
        for host in self._cluster.hosts:
            for entry in sorted(os.scandir(self._cluster.devices(host)), key=lambda entry: entry.name):
                if entry.is_dir():
                    yield Disk(host, entry.name), Path(entry.path)

    def primaries(self, ring: str, partition: int) -> list[Disk]:
        return [disk_of(node) for node in self.rings[ring].primaries(partition)]

    def objects(self, policy: int) -> dict[tuple[int, str], dict[Disk, Held]]:
        """By partition and hash, what each disk has that has anything that counts, in files or packed."""
        found: dict[tuple[int, str], dict[Disk, Held]] = defaultdict(dict)
        ring = self.rings[ring_name(policy)]
        for disk, root in self.disks:
            packed = Packed(root, policy)
            places = {path.rsplit("/", 1)[1]: path for path in _below(str(root / objects_dir(policy)), 3)}
            for name_hash in {*places, *packed.entries}:
                path = places.get(name_hash)
                entries = packed.entries.get(name_hash, [])
                held = self._held(path or str(root / name_hash), partial(packed.held, path, name_hash), tuple(entries))
                if held.files:
                    partition = int(path.rsplit("/", 3)[1]) if path and not entries else ring.partition(name_hash)
                    found[partition, name_hash][disk] = held
            packed.close()
        return found

    def _held(self, path: str, read: Callable[[], Held], entries: tuple[Entry, ...]) -> Held:
        """As found before, if neither the directory nor what is packed has changed since."""
        try:
            changed = os.stat(path).st_mtime_ns
        except FileNotFoundError:
            changed = 0
        stamp = changed, entries
        known = self._cluster.seen.get(path)
        if known is not None and known[0] == stamp:
            return known[1]  # type: ignore[no-any-return]
        held = read()
        if time.time_ns() - changed > _STABLE_NS and not isinstance(held.info, str):
            self._cluster.seen[path] = stamp, held
        return held

    def databases(self, kind: str) -> dict[tuple[int, str], dict[Disk, Database | str]]:
        """By partition and hash, on each disk that has one: what it holds, or why it cannot be read."""
        directory = next(one.directory for one in KINDS if one.name == kind)
        found: dict[tuple[int, str], dict[Disk, Database | str]] = defaultdict(dict)
        for disk, root in self.disks:
            for location in layout.locations(FILES, str(root), directory):
                path = layout.path(str(root), directory, location)
                if os.path.exists(path):
                    found[location.partition, location.hash][disk] = read_database(path)
        return found


class Packed:
    """What is packed of a policy on one device, read beside the servers. entries: by hash of the name."""

    def __init__(self, root: Path, policy: int) -> None:
        self._layout = Layout(str(root), policy)
        self._volumes = Volumes(FILES, f"{self._layout.packed}/volumes")
        self._names = PackedNames(FILES, self._layout, self._volumes, self._index)
        self.entries = entries_of_names(self._layout.packed)

    def _index(self) -> Index:
        return Index(FILES, f"{self._layout.packed}/index")

    def held(self, hash_dir: str | None, name_hash: str) -> Held:
        """What a name has here, in volumes and in files. hash_dir: None if it has no files."""
        if name_hash not in self.entries:
            return read_directory(hash_dir) if hash_dir else Held((), None)
        partition = int(hash_dir.rsplit("/", 3)[1]) if hash_dir else 0
        location = Location(partition, name_hash, self._layout.policy)
        files: tuple[str, ...] = ()
        try:
            files = _counting(self._names.changes_of(location))
            found = self._names.look_up(location)
        except (BadFile, ObjstoreError, OSError) as error:
            return Held(files, f"{type(error).__name__}: {error}")
        if not isinstance(found, (LiveObject, LivePacked)):
            return Held(files, None)
        found.close()
        return Held(files, found.info)

    def close(self) -> None:
        self._names.close()


def disk_of(node: Node) -> Disk:
    return Disk(int(node.ip.rpartition(".")[2]), node.device)


def read_database(path: str) -> Database | str:
    """What a database holds, or why it cannot be read."""
    try:
        facts = describe_database(path)
        mode = "ro" if os.path.exists(f"{path}-wal") else "ro&immutable=1"
        connection = sqlite3.connect(f"file:{quote(path)}?mode={mode}", uri=True, timeout=5)
        try:
            rows = {(row[1], row[2]): (row[0], *row[3:]) for row in connection.execute(_ROWS[facts["kind"]])}
        finally:
            connection.close()
    except (ObjstoreError, sqlite3.Error, OSError) as error:
        return f"{type(error).__name__}: {error}"
    return Database(rows, digest(status_of(_Info(facts))), facts)


class _Info:
    """Facts as attributes."""

    def __init__(self, facts: dict[str, Any]) -> None:
        self.__dict__.update(facts)


def read_directory(path: str) -> Held:
    """What a hash directory holds."""
    files = _counting(changes_among(_entries(path)))
    try:
        found = look_up(FILES, path)
    except (BadFile, ObjstoreError, OSError) as error:
        return Held(files, f"{type(error).__name__}: {error}")
    if not isinstance(found, LiveObject):
        return Held(files, None)
    found.file.close()
    return Held(files, found.info)


def _counting(changes: Iterable[Change]) -> tuple[str, ...]:
    live = decide(changes)
    every = (live.data, live.tombstone, live.meta, live.content_type)
    return tuple(sorted({str(change) for change in every if change is not None}))


def _below(root: str, depth: int) -> Iterator[str]:
    """Directories so many levels below."""
    if not depth:
        yield root
        return
    for name in _entries(root):
        if "." not in name:
            yield from _below(f"{root}/{name}", depth - 1)


def _entries(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except (FileNotFoundError, NotADirectoryError):
        return []
