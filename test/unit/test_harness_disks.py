"""Power cuts as they are made from the log of a disk's writes."""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random

import pytest
from harness.disks import needs
from harness.disks.faulty import _FLUSH_BEGINS, _FLUSH_ENDS, _RECORD, _WRITE, Record, read_log, replay, surviving


def log_of(path: Path, *entries: tuple[int, int, bytes]) -> list[Record]:
    """A log as the disk writes it: kind, offset, data. The n-th entry has the number n."""
    with open(path, "wb") as file:
        for number, (kind, offset, data) in enumerate(entries, 1):
            file.write(_RECORD.pack(kind, number, offset, len(data), number * 1_000_000_000) + data)
    return read_log(path)


def write(offset: int, data: bytes) -> tuple[int, int, bytes]:
    return _WRITE, offset, data


BEGINS = (_FLUSH_BEGINS, 0, b"")


def ends(number: int) -> tuple[int, int, bytes]:
    """Of the flush that began with record `number`."""
    return _FLUSH_ENDS, number, b""


def numbers(records: list[Record], cut: int, loss: float) -> list[int]:
    return [record.number for record in surviving(records, cut, Random(1), loss)]


def test_a_log_is_read_as_it_was_written(tmp_path: Path) -> None:
    records = log_of(tmp_path / "log", write(0, b"abc"), BEGINS, write(512, b"de"), ends(2))
    assert [(one.kind, one.number, one.offset, one.length, one.seconds) for one in records] == [
        (_WRITE, 1, 0, 3, 1.0), (_FLUSH_BEGINS, 2, 0, 0, 2.0), (_WRITE, 3, 512, 2, 3.0), (_FLUSH_ENDS, 4, 2, 0, 4.0),
    ]  # fmt: skip


def test_what_came_before_a_flush_that_ended_is_never_lost(tmp_path: Path) -> None:
    records = log_of(tmp_path / "log", write(0, b"a"), BEGINS, write(1, b"b"), ends(2), write(2, b"c"))
    assert numbers(records, 5, loss=1.0) == [1]
    assert numbers(records, 5, loss=0.0) == [1, 3, 5]


def test_a_flush_that_had_not_ended_makes_nothing_durable(tmp_path: Path) -> None:
    records = log_of(tmp_path / "log", write(0, b"a"), BEGINS, write(1, b"b"), ends(2))
    assert numbers(records, 3, loss=1.0) == []
    assert numbers(records, 3, loss=0.0) == [1, 3]


def test_of_flushes_at_once_each_counts_from_its_own_beginning(tmp_path: Path) -> None:
    records = log_of(tmp_path / "log", write(0, b"a"), BEGINS, write(1, b"b"), BEGINS, ends(4), write(2, b"c"), ends(2))
    assert numbers(records, 7, loss=1.0) == [1, 3]


@pytest.mark.skipif(shutil.which("cp") is None, reason="there is no cp")
def test_writes_are_made_again_over_the_image_of_before(tmp_path: Path) -> None:
    records = log_of(tmp_path / "log", write(1, b"xy"), write(2, b"z"))
    (tmp_path / "base").write_bytes(b"......")
    replay(tmp_path / "base", tmp_path / "log", records, tmp_path / "image")
    assert (tmp_path / "image").read_bytes() == b".xz..."
    assert (tmp_path / "base").read_bytes() == b"......"


def test_what_is_missing_is_told_in_sentences() -> None:
    assert all(isinstance(reason, str) and " " in reason for reason in needs.missing())
