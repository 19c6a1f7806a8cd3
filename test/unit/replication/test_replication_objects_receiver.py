"""The receiving end over the file engine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from objstore.core.names import Location
from objstore.core.timestamps import Timestamp
from objstore.replication.objects_receiver import Receiver, ReceiverBounds
from objstore.runtime.files import Files
from objstore.store.change import TOMBSTONE, Change
from objstore.store.objects.replica_store import FileReplicaStore

HERE = Location(3, "0123456789abcdef0123456789abcdef")
TOMB = Change(Timestamp(5), TOMBSTONE)


class Watched(Files):
    """Notes which directories are synced."""

    def __init__(self) -> None:
        self.synced: list[str] = []

    def fsync_dir(self, path: str) -> None:
        self.synced.append(path)
        super().fsync_dir(path)


@pytest.mark.parametrize(("age", "synced"), [(0, True), (1000, False)])
def test_a_change_is_said_to_be_here_only_once_it_is_durable(tmp_path: Path, age: float, synced: bool) -> None:
    files = Watched()
    store = FileReplicaStore(str(tmp_path), files=files)
    store.delete(HERE, "/a/c/o", TOMB.timestamp)
    directory = store.layout.hash_dir(HERE)
    then = os.stat(directory).st_mtime - age
    os.utime(directory, (then, then))
    files.synced.clear()
    receiver = Receiver(store, HERE.partition, 0, ReceiverBounds())
    assert receiver.missing({HERE.hash: (TOMB,)}) == {}
    assert (directory in files.synced) is synced


def test_what_is_lacking_is_told(tmp_path: Path) -> None:
    store = FileReplicaStore(str(tmp_path))
    receiver = Receiver(store, HERE.partition, 0, ReceiverBounds())
    assert receiver.missing({HERE.hash: (TOMB,)}) == {HERE.hash: (TOMB,)}
