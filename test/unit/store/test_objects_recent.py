"""Look-ups that are kept are those of what is there now."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from objstore.core.errors import NotFound
from objstore.core.names import Location
from objstore.core.timestamps import Timestamp
from objstore.runtime.files import FILES, Files
from objstore.store.interface import ObjectData, ObjectMetadata
from objstore.store.objects.file_store import FileSettings, FileStore
from objstore.store.objects.recent import Looked, Recent, look
from objstore.store.objects.space import Reserve

HERE = Location(5, "0123456789abcdef0123456789abcdef")
SETTINGS = FileSettings(Reserve(), threads_per_disk=2, ballast=0)


class Counting(Files):
    """Counts the directories that are listed."""

    def __init__(self) -> None:
        self.lists = 0

    def list(self, path: str) -> list[str]:
        self.lists += 1
        return super().list(path)


def put(store: FileStore, when: int, content: bytes) -> None:
    with store.create(HERE, len(content)) as writer:
        writer.write(content)
        writer.commit(ObjectData("/a/c/o", Timestamp(when), "text/plain", {}))


def read(store: FileStore) -> bytes:
    with store.open(HERE) as reader:
        return b"".join(map(bytes, reader.read(0, 100)))


def age(store: FileStore) -> None:
    """Wait until the directory's last change is no longer one of this moment."""
    time.sleep(1.1)


def test_a_name_that_was_just_looked_up_is_read_without_a_look_at_its_directory(tmp_path: Path) -> None:
    files = Counting()
    store = FileStore(str(tmp_path), files=files, settings=SETTINGS)
    put(store, 1, b"one")
    age(store)
    assert read(store) == b"one"
    before = files.lists
    assert [read(store), store.info(HERE).size] == [b"one", 3]
    assert files.lists == before


CHANGES: dict[str, Callable[[FileStore], object]] = {
    "put": lambda store: put(store, 2, b"two"),
    "post": lambda store: store.post(HERE, ObjectMetadata(Timestamp(2), {"X-Object-Meta-A": "b"})),
    "delete": lambda store: store.delete(HERE, "/a/c/o", Timestamp(2)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_another_process_is_seen_at_once(change: str, tmp_path: Path) -> None:
    store, other = (FileStore(str(tmp_path), settings=SETTINGS) for _ in range(2))
    put(store, 1, b"one")
    age(store)
    read(store)
    CHANGES[change](other)
    if change == "delete":
        with pytest.raises(NotFound):
            read(store)
    else:
        assert store.info(HERE) == FileStore(str(tmp_path), settings=SETTINGS).info(HERE)
        assert read(store) == (b"two" if change == "put" else b"one")


def test_a_change_of_the_file_itself_is_seen(tmp_path: Path) -> None:
    store = FileStore(str(tmp_path), settings=SETTINGS)
    put(store, 1, b"one")
    age(store)
    read(store)
    (path,) = Path(store.layout.hash_dir(HERE)).iterdir()
    os.setxattr(path, "user.other", b"x")
    assert store._recent.find(store.layout.hash_dir(HERE)) is None


def test_what_changed_a_moment_ago_is_not_kept(tmp_path: Path) -> None:
    """Another change within the same tick of the clock could not be seen."""
    store = FileStore(str(tmp_path), settings=SETTINGS)
    put(store, 1, b"one")
    looked = look(FILES, store.layout.hash_dir(HERE))
    assert looked.stamps is None


def test_no_more_than_the_limit_is_kept(tmp_path: Path) -> None:
    store = FileStore(str(tmp_path), settings=SETTINGS)
    put(store, 1, b"one")
    looked = look(FILES, store.layout.hash_dir(HERE), now=lambda: time.time_ns() + 2_000_000_000)
    assert looked.stamps is not None
    recent = Recent(FILES, 3)
    for number in range(10):
        recent.keep(f"/{number}", Looked(looked.found, looked.stamps))
    assert list(recent._entries) == ["/7", "/8", "/9"]
