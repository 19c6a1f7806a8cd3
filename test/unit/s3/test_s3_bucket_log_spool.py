"""The spool of records: what outlives a process, what is closed when, and how much it holds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from objstore.s3.bucket_logs.spool import RecordSpool, SpooledRecord, SpoolLimits

LIMITS = SpoolLimits(1000, 300.0, 10_000)


class Clock:
    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def entry(text: str = "line") -> SpooledRecord:
    return SpooledRecord("AUTH_a", "photos", '["logs","","",[]]', 12.5, text)


def spool(path: Path, clock: Clock, limits: SpoolLimits = LIMITS) -> RecordSpool:
    return RecordSpool(str(path / "spool"), limits, clock)


def delivered(reader: RecordSpool) -> list[tuple[str, list[SpooledRecord]]]:
    found = []
    for closed in reader.closed():
        found.append((closed.name, reader.read(closed)))
        reader.remove(closed)
    return found


def test_a_spool_without_records_has_no_directory(tmp_path: Path, clock: Clock) -> None:
    made = spool(tmp_path, clock)
    made.sync()
    made.measure()
    assert not made.roll() and delivered(made) == [] and not (tmp_path / "spool").exists()


def test_a_file_is_delivered_once_it_is_old_enough(tmp_path: Path, clock: Clock) -> None:
    made = spool(tmp_path, clock)
    assert made.append(entry("one")) and made.append(entry("two \u00e9\udcff"))
    made.sync()
    clock.seconds += 299
    assert not made.roll() and delivered(made) == []
    clock.seconds += 1
    assert made.roll() and not made.roll()
    [(name, entries)] = delivered(made)
    assert name.startswith("1300-") and entries == [entry("one"), entry("two \u00e9\udcff")]
    assert os.listdir(tmp_path / "spool") == []


def test_a_file_is_delivered_once_it_is_large_enough(tmp_path: Path, clock: Clock) -> None:
    made = spool(tmp_path, clock)
    made.append(entry("x" * 900))
    assert not made.roll()
    made.append(entry("x" * 100))
    assert made.roll() and len(delivered(made)) == 1


def test_an_open_file_is_left_to_its_process_and_taken_over_from_a_dead_one(tmp_path: Path, clock: Clock) -> None:
    alive, other = spool(tmp_path, clock), spool(tmp_path, clock)
    alive.append(entry())
    assert delivered(other) == []
    del alive  # the lock goes with the process
    assert [entries for _, entries in delivered(other)] == [[entry()]]


def test_a_file_that_is_being_delivered_is_left_alone(tmp_path: Path, clock: Clock) -> None:
    first, second = spool(tmp_path, clock, LIMITS._replace(size=1)), spool(tmp_path, clock)
    first.append(entry())
    first.roll()
    files = first.closed()
    closed = next(files)
    assert delivered(second) == []
    files.close()  # type: ignore[attr-defined]
    assert [name for name, _ in delivered(second)] == [closed.name]


def test_a_file_that_was_not_removed_comes_again_under_the_same_name(tmp_path: Path, clock: Clock) -> None:
    made = spool(tmp_path, clock, LIMITS._replace(size=1))
    made.append(entry())
    made.roll()
    first = [(closed.name, closed.closed) for closed in made.closed()]
    clock.seconds += 60
    assert first == [(closed.name, closed.closed) for closed in made.closed()]
    assert first[0][1] == 1000


def test_a_line_that_was_cut_short_is_skipped(tmp_path: Path, clock: Clock) -> None:
    made = spool(tmp_path, clock)
    made.append(entry("whole"))
    made.roll()
    [path] = (tmp_path / "spool").iterdir()
    with path.open("ab") as file:
        file.write(b'["AUTH_a"]\n\0\0\0\n["AUTH_a","photos","x",1.0,"never en')
    del made
    assert [entries for _, entries in delivered(spool(tmp_path, clock))] == [[entry("whole")]]


def test_a_full_spool_takes_nothing_until_files_are_removed(tmp_path: Path, clock: Clock) -> None:
    made = spool(tmp_path, clock, SpoolLimits(1, 300.0, 400))
    assert made.append(entry("x" * 250))
    assert not made.append(entry("x" * 250))
    made.roll()
    assert not made.append(entry("x" * 250))
    other = spool(tmp_path, clock, SpoolLimits(1, 300.0, 400))
    other.measure()
    assert not other.append(entry("x" * 250))  # the bound is that of all files
    delivered(made)
    made.measure()
    assert made.append(entry("x" * 250))
