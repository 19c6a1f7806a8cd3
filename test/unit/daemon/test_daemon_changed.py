"""Which databases daemons look at again."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from objstore.core.names import Location
from objstore.daemon.changed import ChangedDatabases


class Databases:
    """Files in the place of databases."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def add(self, number: int) -> Location:
        location = Location(number, f"{number:032x}")
        Path(self.path(location)).write_bytes(b"x")
        return location

    def path(self, location: Location) -> str:
        return str(self._root / location.hash)

    def locations(self) -> Any:
        return (Location(int(path.name, 16), path.name) for path in self._root.iterdir())


@pytest.fixture
def databases(tmp_path: Path) -> Databases:
    return Databases(tmp_path)


def test_all_count_at_first_then_those_that_changed(databases: Databases) -> None:
    ahead = 0.0
    changed = ChangedDatabases("test", now=lambda: time.time() + ahead)
    one, two = databases.add(1), databases.add(2)
    changed.begin()
    assert set(changed.of("d1", databases)) == {one, two}
    ahead = 10.0
    changed.begin()
    assert set(changed.of("d1", databases)) == {one, two}  # as old as the look before, within the clock's grain
    changed.begin()
    assert set(changed.of("d1", databases)) == set()
    assert set(changed.of("d2", databases)) == {one, two}
    ahead = 7 * 3600.0
    changed.begin()
    assert set(changed.of("d1", databases)) == {one, two}


def test_a_clock_set_back_since_the_last_look_makes_all_count(databases: Databases) -> None:
    """What changed after that, by a clock that is behind the last look, would be missed."""
    ahead = 60.0
    changed = ChangedDatabases("test", now=lambda: time.time() + ahead)
    one = databases.add(1)
    for _ in range(2):
        changed.begin()
        list(changed.of("d1", databases))
    ahead = 0.0
    changed.begin()
    assert set(changed.of("d1", databases)) == {one}


def test_what_was_missed_comes_again(databases: Databases) -> None:
    ahead = 0.0
    changed = ChangedDatabases("test", now=lambda: time.time() + ahead)
    one = databases.add(1)
    changed.begin()
    ahead = 10.0
    for _ in changed.of("d1", databases):
        pass
    changed.missed("d1")  # by a unit that ends later than the look
    changed.begin()
    assert list(changed.of("d1", databases)) == [one]
    changed.begin()
    assert list(changed.of("d1", databases)) == []


class Broken(Databases):
    """Those of a device that fails, or does not answer."""

    def __init__(self, root: Path, fails: bool) -> None:
        super().__init__(root)
        self._fails = fails
        self.released = threading.Event()

    def locations(self) -> Any:
        yield from super().locations()
        if self._fails:
            raise OSError(5, "Input/output error")
        self.released.wait(10)


@pytest.mark.parametrize("fails", [True, False])
def test_device_that_cannot_be_looked_at_holds_up_no_other(tmp_path: Path, fails: bool) -> None:
    bad, good = tmp_path / "bad", tmp_path / "good"
    bad.mkdir()
    good.mkdir()
    broken, databases = Broken(bad, fails), Databases(good)
    one = databases.add(1)
    changed = ChangedDatabases("test", patience=0.1)
    for _ in range(2):
        changed.begin()
        began = time.monotonic()
        assert list(changed.of("bad", broken)) == []
        assert list(changed.of("good", databases)) == [one]
        assert time.monotonic() - began < 5
    broken.released.set()


def test_look_that_was_broken_off_is_made_again(databases: Databases) -> None:
    changed = ChangedDatabases("test", now=lambda: time.time() + 10.0)
    one, two = databases.add(1), databases.add(2)
    changed.begin()
    next(changed.of("d1", databases))
    changed.begin()
    assert set(changed.of("d1", databases)) == {one, two}
