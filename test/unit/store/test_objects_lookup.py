"""Looking up an object whose files are replaced between the listing of its directory and the opening."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from objstore.core.errors import DeviceUnavailable
from objstore.core.names import Location
from objstore.core.timestamps import Timestamp
from objstore.runtime.files import Files
from objstore.store.interface import ObjectData
from objstore.store.objects.file_store import FileSettings, FileStore
from objstore.store.objects.layout import changes_among
from objstore.store.objects.liveness import Liveness
from objstore.store.objects.lookup import LiveObject, look_up
from objstore.store.objects.space import Reserve

HERE = Location(5, "0123456789abcdef0123456789abcdef")


class Racing(Files):
    """`act` is done right after a directory was listed, so often."""

    def __init__(self, act: Callable[[], None], times: int) -> None:
        self._act = act
        self._times = times

    def list(self, path: str) -> list[str]:
        names = super().list(path)
        if self._times:
            self._times -= 1
            self._act()
        return names


class Writer:
    """Puts and deletes one object, newer each time."""

    def __init__(self, root: Path) -> None:
        self._store = FileStore(str(root), settings=FileSettings(Reserve(), ballast=0))
        self._root = root
        self._when = 0

    @property
    def directory(self) -> str:
        (found,) = self._root.glob(f"objects/*/*/{HERE.hash}")
        return str(found)

    def put(self) -> None:
        self._when += 1
        content = b"%d" % self._when
        with self._store.create(HERE, len(content)) as writer:
            writer.write(content)
            writer.commit(ObjectData("/a/c/o", Timestamp(self._when), "text/plain", {}))

    def delete(self) -> None:
        self._when += 1
        self._store.delete(HERE, "/a/c/o", Timestamp(self._when))


@pytest.fixture
def writer(tmp_path: Path) -> Writer:
    made = Writer(tmp_path)
    made.put()
    return made


@pytest.mark.parametrize("times", [1, 2, 10])
def test_an_object_that_is_overwritten_after_the_listing_is_looked_up_again(writer: Writer, times: int) -> None:
    """A live object was a 404 for a reader amid an overwrite; the rule had no test."""
    found = look_up(Racing(writer.put, times), writer.directory)
    assert isinstance(found, LiveObject)
    assert found.info.data_timestamp == Timestamp(1 + times)
    found.file.close()


def test_an_object_that_is_deleted_after_the_listing_is_not_there(writer: Writer) -> None:
    found = look_up(Racing(writer.delete, 1), writer.directory)
    assert isinstance(found, Liveness)
    assert found.data is None and found.tombstone is not None


def test_an_object_that_is_deleted_and_made_again_after_the_listing_is_there(writer: Writer) -> None:
    def act() -> None:
        writer.delete()
        writer.put()

    found = look_up(Racing(act, 1), writer.directory)
    assert isinstance(found, LiveObject)
    found.file.close()


def test_one_that_changes_without_end_is_given_up(writer: Writer) -> None:
    with pytest.raises(DeviceUnavailable, match="changes faster than it can be read"):
        look_up(Racing(writer.put, 1000), writer.directory)


def test_changes_that_are_known_are_not_listed_again_unless_they_have_gone(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    writer.put()
    listings: list[int] = []
    files = Racing(lambda: listings.append(1), 10)
    (name,) = Files().list(writer.directory)
    known = changes_among([name])
    found = look_up(files, writer.directory, known)
    assert isinstance(found, LiveObject)
    found.file.close()
    assert listings == []
    writer.put()  # removes the file of the first
    newer = look_up(files, writer.directory, known)
    assert isinstance(newer, LiveObject)
    newer.file.close()
    assert newer.change.timestamp > found.change.timestamp
    assert listings == [1]
