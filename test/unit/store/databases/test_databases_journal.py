"""The journal of rows: what is durable, what several processes see, and what is left of those who were killed."""

from __future__ import annotations

import errno
import importlib.util
import os
from pathlib import Path
from typing import Any

import pytest

from objstore.core.names import Location
from objstore.core.timestamps import Timestamp
from objstore.runtime.files import FILES, Files
from objstore.store.databases.journal import RowJournal
from objstore.store.databases.journal_format import (
    HEADER_SIZE,
    At,
    JournalRows,
    RecordKind,
    decode_merged,
    decode_rows,
    encode_merged,
    encode_record,
    encode_rows,
    new_header,
    read_tag,
    records,
)
from objstore.store.databases.journal_segments import DIRECTORY

_spec = importlib.util.spec_from_file_location("faulty_files", Path(__file__).parents[1] / "faulty_files.py")
assert _spec is not None and _spec.loader is not None
faulty_files = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(faulty_files)
FaultyFiles, PowerCut = faulty_files.FaultyFiles, faulty_files.PowerCut

HERE = Location(5, "0123456789abcdef0123456789abcdef")
OTHER = Location(7, "fedcba98765432100123456789abcdef")
LIFE = Timestamp(10)
SEEDS = (None, 1, 2, 3, 4, 5, 6)


def rows(text: str, location: Location = HERE) -> JournalRows:
    return JournalRows(location, 1, text.encode())


def texts(journal: RowJournal, location: Location = HERE) -> list[str]:
    return [each.rows.text.decode() for each in journal.pending(location)]


def add(journal: RowJournal, *given: str, location: Location = HERE) -> list[bool]:
    return journal.append([rows(text, location) for text in given], [LIFE] * len(given))


def opened(root: Path, files: Files = FILES, *locations: Location) -> RowJournal:
    """A journal, as a process of its own would have it, with open gates."""
    journal = RowJournal(files, str(root))
    for location in locations or (HERE, OTHER):
        journal.pending(location)
        journal.open_gate(location, LIFE)
    return journal


def segments(root: Path) -> list[str]:
    return sorted(name for name in os.listdir(root / DIRECTORY) if name.endswith(".journal"))


# The format


def test_records_are_read_as_they_were_written() -> None:
    tag = read_tag(new_header())
    assert tag is not None
    entries = [rows('[["ä"]]'), rows("[]", OTHER)]
    merged = encode_merged(OTHER, At(3, 4711))
    data = encode_record(tag, RecordKind.ROWS, encode_rows(entries)) + encode_record(tag, RecordKind.MERGED, merged)
    one, two = records(tag, data, HEADER_SIZE)
    assert list(decode_rows(one.payload)) == entries
    assert (two.kind, decode_merged(two.payload)) == (RecordKind.MERGED, (OTHER, At(3, 4711)))
    assert (one.position, two.position, two.end) == (HEADER_SIZE, one.end, HEADER_SIZE + len(data))


def test_a_torn_record_at_the_end_is_ignored_wherever_it_is_torn() -> None:
    whole, torn = (encode_record(1, RecordKind.ROWS, encode_rows([rows(text)])) for text in ("[1]", "[2]"))
    for length in range(len(torn) - 8):  # the last 8 bytes may be padding
        assert len(list(records(1, whole + torn[:length], 0))) == 1


def test_a_record_behind_damage_is_found_by_its_tag() -> None:
    tag = 0x12345678
    first, second, third = (encode_record(tag, RecordKind.ROWS, encode_rows([rows(t)])) for t in ("[1]", "[2]", "[3]"))
    damaged = bytearray(first + second + third)
    damaged[len(first) + 20] ^= 1
    assert [record.position for record in records(tag, bytes(damaged), 0)] == [0]
    found = records(tag, bytes(damaged), 0, skip=True)
    assert [record.position for record in found] == [0, len(first) + len(second)]


def test_a_header_of_another_version_or_with_damage_has_no_tag() -> None:
    header = bytearray(new_header())
    header[5] ^= 1
    assert read_tag(bytes(header)) is None
    assert read_tag(new_header()[:-1]) is None


# Several processes


def test_rows_of_one_process_are_pending_to_all(tmp_path: Path) -> None:
    one, two = opened(tmp_path), opened(tmp_path)
    assert add(one, "[1]") == [True]
    assert add(two, "[2]") == [True]
    assert texts(one) == texts(two) == ["[1]", "[2]"]
    assert texts(RowJournal(FILES, str(tmp_path))) == ["[1]", "[2]"]


def test_merged_rows_are_no_longer_pending_to_anyone(tmp_path: Path) -> None:
    one, two = opened(tmp_path), opened(tmp_path)
    add(one, "[1]", location=OTHER)
    add(one, "[1]", "[2]")
    add(two, "[3]")
    seen = one.pending(HERE)
    add(two, "[4]")
    one.merged(HERE, seen[-1].at)
    assert texts(one) == texts(two) == texts(RowJournal(FILES, str(tmp_path))) == ["[4]"]
    assert texts(two, OTHER) == ["[1]"]


def test_no_row_goes_by_a_gate_that_another_process_closed(tmp_path: Path) -> None:
    one, two = opened(tmp_path), opened(tmp_path)
    add(one, "[1]")
    assert [each.rows.text for each in two.close_gate(HERE)] == [b"[1]"]
    assert add(one, "[2]") == [False]
    assert not one.has_gate(HERE)
    assert add(one, "[2]", location=OTHER) == [True]
    assert texts(two) == ["[1]"]


def test_a_gate_lets_no_writer_by_that_saw_an_earlier_life(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    lives = [Timestamp(9), Timestamp(10), None]
    assert journal.append([rows("[1]"), rows("[2]"), rows("[3]")], lives) == [False, True, True]
    assert texts(journal) == ["[2]", "[3]"]


def test_a_gate_ends_by_itself(tmp_path: Path) -> None:
    now = [0.0]
    journal = RowJournal(FILES, str(tmp_path), monotonic=lambda: now[0])
    journal.open_gate(HERE, LIFE)
    assert add(journal, "[1]") == [True]
    now[0] += 3600
    assert not journal.has_gate(HERE)
    assert add(journal, "[2]") == [False]


# Segments


def test_a_segment_goes_when_its_rows_are_merged_and_not_before(tmp_path: Path) -> None:
    one, two = opened(tmp_path), opened(tmp_path)
    add(one, "[1]")
    add(two, "[2]", location=OTHER)
    with one.merging() as mine, two.merging() as others:
        assert (mine, others) == (True, False)
        last = one.seal()
        one.merged(HERE, one.pending(HERE)[-1].at)
        one.remove_before(last)
        assert len(segments(tmp_path)) == 2
        one.merged(OTHER, one.pending(OTHER)[-1].at)
        one.remove_before(last)
    assert segments(tmp_path) == [f"{last:08d}.journal"]
    assert not two.places() and not RowJournal(FILES, str(tmp_path)).places()
    assert add(two, "[3]") == [True]
    assert texts(one) == ["[3]"]


def test_a_process_that_slept_while_segments_came_and_went_knows_what_is_pending(tmp_path: Path) -> None:
    one, sleeper = opened(tmp_path), opened(tmp_path)
    add(one, "[1]")
    assert texts(sleeper) == ["[1]"]
    for _ in range(3):
        add(one, "[2]")
        last = one.seal()
        one.merged(HERE, one.pending(HERE)[-1].at)
        one.seal()
        one.remove_before(last + 1)
    add(one, "[3]", location=OTHER)
    assert texts(sleeper) == []
    assert texts(sleeper, OTHER) == ["[3]"]


def test_a_large_segment_is_due(tmp_path: Path) -> None:
    journal = RowJournal(FILES, str(tmp_path), max_size=1000)
    journal.open_gate(HERE, LIFE)
    assert not journal.is_due
    add(journal, "x" * 1000)
    assert journal.is_due


def test_rows_are_kept_beyond_their_segment(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    add(journal, "[1]")
    last = journal.seal()
    pending = journal.pending(HERE)
    journal.keep(pending)
    journal.merged(HERE, pending[-1].at)
    journal.remove_before(last)
    assert len(segments(tmp_path)) == 1
    assert texts(journal) == texts(RowJournal(FILES, str(tmp_path))) == ["[1]"]


def test_a_released_journal_reads_everything_again(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    add(journal, "[1]")
    journal.release()
    assert not journal.has_gate(HERE)
    assert texts(journal) == ["[1]"]


def test_without_a_device_nothing_is_made(tmp_path: Path) -> None:
    journal = RowJournal(FILES, str(tmp_path / "missing"))
    assert journal.pending(HERE) == ()
    with pytest.raises(OSError, match="missing"):
        journal.open_gate(HERE, LIFE)
    assert not (tmp_path / "missing").exists()


# What others left


def last_segment(root: Path) -> Path:
    return root / DIRECTORY / segments(root)[-1]


@pytest.mark.parametrize("length", [1, 7, 16, 30])
def test_a_record_torn_by_a_kill_is_cut_off_before_the_next(tmp_path: Path, length: int) -> None:
    one, two = opened(tmp_path), opened(tmp_path)
    add(one, "[1]")
    tag = read_tag(last_segment(tmp_path).read_bytes()[:HEADER_SIZE])
    assert tag is not None
    with open(last_segment(tmp_path), "ab") as file:
        file.write(encode_record(tag, RecordKind.ROWS, encode_rows([rows("[torn]")]))[:length])
    late = RowJournal(FILES, str(tmp_path))
    assert texts(late) == ["[1]"]
    assert add(two, "[2]") == [True]
    assert texts(one) == texts(two) == texts(late) == ["[1]", "[2]"]


def test_a_sealed_segment_without_a_next_one_is_gone_on_from(tmp_path: Path) -> None:
    one, two = opened(tmp_path), opened(tmp_path)
    add(one, "[1]")
    tag = read_tag(last_segment(tmp_path).read_bytes()[:HEADER_SIZE])
    assert tag is not None
    with open(last_segment(tmp_path), "ab") as file:
        file.write(encode_record(tag, RecordKind.SEALED))
    assert texts(two) == ["[1]"]
    assert add(one, "[2]") == add(two, "[3]") == [True]
    assert len(segments(tmp_path)) == 2
    assert texts(one) == texts(two) == texts(RowJournal(FILES, str(tmp_path))) == ["[1]", "[2]", "[3]"]


@pytest.mark.parametrize("size", [0, HEADER_SIZE - 1])
def test_a_segment_whose_making_was_broken_off_is_passed_over(tmp_path: Path, size: int) -> None:
    one, two = opened(tmp_path), opened(tmp_path)
    add(one, "[1]")
    tag = read_tag(last_segment(tmp_path).read_bytes()[:HEADER_SIZE])
    assert tag is not None
    with open(last_segment(tmp_path), "ab") as file:
        file.write(encode_record(tag, RecordKind.SEALED))
    (tmp_path / DIRECTORY / "00000002.journal").write_bytes(bytes(size))
    assert texts(two) == ["[1]"]
    assert add(two, "[2]") == [True]
    assert texts(one) == texts(two) == texts(RowJournal(FILES, str(tmp_path))) == ["[1]", "[2]"]
    for journal in (one, two):
        journal.merged(HERE, journal.pending(HERE)[-1].at if journal.pending(HERE) else At(0, 0))
    one.remove_before(one.seal())
    assert len(segments(tmp_path)) == 1


def test_a_segment_whose_header_is_damaged_is_set_aside(tmp_path: Path) -> None:
    one = opened(tmp_path)
    add(one, "[1]")
    damaged = last_segment(tmp_path)
    one.seal()
    with open(damaged, "r+b") as file:
        file.write(b"?")
    fresh = opened(tmp_path)
    assert add(fresh, "[2]") == [True]
    assert texts(fresh) == ["[2]"]
    fresh.merged(HERE, fresh.pending(HERE)[-1].at)
    fresh.remove_before(fresh.seal())
    assert os.path.exists(f"{damaged}.damaged")


# Errors


class Failing(Files):
    """Fails in one method as long as it is named."""

    def __init__(self) -> None:
        self.method = ""
        self.code = errno.EIO

    def _check(self, method: str) -> None:
        if method == self.method:
            raise OSError(self.code, os.strerror(self.code))

    def write_at(self, fd: int, pieces: Any, offset: int) -> None:
        if self.method == "write_at":
            super().write_at(fd, [b"".join(pieces)[:5]], offset)
        self._check("write_at")
        super().write_at(fd, pieces, offset)

    def truncate(self, fd: int, size: int) -> None:
        if self.method == "write_at":
            raise OSError(errno.EIO, "neither")
        super().truncate(fd, size)

    def fdatasync(self, fd: int) -> None:
        self._check("fdatasync")
        super().fdatasync(fd)

    def fsync_dir(self, path: str) -> None:
        self._check("fsync_dir")
        super().fsync_dir(path)


def test_what_could_not_be_written_is_cut_off_by_the_next(tmp_path: Path) -> None:
    files = Failing()
    journal, other = opened(tmp_path, files), opened(tmp_path)
    files.method, files.code = "write_at", errno.ENOSPC
    with pytest.raises(OSError, match="No space"):
        add(journal, "[1]")
    files.method = ""
    assert add(other, "[2]") == add(journal, "[3]") == [True]
    assert texts(journal) == texts(other) == ["[2]", "[3]"]


class ReadOnly(Files):
    def open_to_write(self, path: str) -> Any:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))


def test_on_a_read_only_device_rows_are_read_and_none_appended(tmp_path: Path) -> None:
    add(opened(tmp_path), "[1]")
    journal = RowJournal(ReadOnly(), str(tmp_path))
    assert texts(journal) == ["[1]"]
    journal.open_gate(HERE, LIFE)
    with pytest.raises(OSError, match="Bad file"):
        add(journal, "[2]")
    assert texts(journal) == texts(opened(tmp_path)) == ["[1]"]


@pytest.mark.parametrize("method", ["fdatasync", "fsync_dir"])
def test_nothing_is_acknowledged_after_a_failed_sync_and_nothing_appended_to_that_segment(
    tmp_path: Path, method: str
) -> None:
    files = Failing()
    journal = opened(tmp_path, files)
    files.method = method
    with pytest.raises(OSError, match="Input/output"):
        add(journal, "[1]")
    files.method = ""
    assert len(segments(tmp_path)) == 2
    assert add(journal, "[2]") == [True]
    assert texts(journal)[-1] == "[2]"
    assert len(segments(tmp_path)) == 2


# The power is cut


def work(journal: RowJournal, acknowledged: set[str]) -> None:
    """Rows over several segments, of which the first go. acknowledged: rows that must be pending."""
    for number in range(4):
        row = f"[{number}]"
        if add(journal, row, f'["{"x" * 3000}"]') == [True, True]:
            acknowledged.add(row)
        if number % 2:
            last = journal.seal()
            first = journal.pending(HERE)[0]
            acknowledged.discard(first.rows.text.decode())
            journal.merged(HERE, first.at)
            journal.remove_before(last)


def test_whatever_was_acknowledged_and_not_merged_is_pending_after_a_power_cut(tmp_path: Path) -> None:
    cuts = 0
    for step in range(1, 1000):
        root = tmp_path / str(step)
        root.mkdir()
        files = FaultyFiles(str(root))
        files.cut_at = step
        acknowledged: set[str] = set()
        try:
            work(opened(root, files, HERE), acknowledged)
        except PowerCut:
            cuts += 1
        else:
            break
        for seed in SEEDS:
            after = RowJournal(FILES, files.outcome(tmp_path / f"{step}-{seed}", seed))
            assert not acknowledged - set(texts(after)), (step, seed)
            after.open_gate(HERE, LIFE)
            assert add(after, "[9]") == [True]
            assert texts(after)[-1] == "[9]"
    assert cuts > 20


def test_a_process_that_is_killed_at_any_step_loses_and_holds_up_nothing(tmp_path: Path) -> None:
    kills = 0
    for step in range(1, 1000):
        root = tmp_path / str(step)
        root.mkdir()
        other = RowJournal(FILES, str(root))
        files = FaultyFiles(str(root))
        files.cut_at = step  # from now on it does nothing more; the directory keeps all that it did
        acknowledged: set[str] = set()
        try:
            killed = opened(root, files, HERE)
            other.pending(HERE)
            work(killed, acknowledged)
        except PowerCut:
            kills += 1
        else:
            break
        assert not acknowledged - set(texts(other)), step
        other.open_gate(HERE, LIFE)
        assert add(other, "[9]") == [True]
        assert texts(other) == texts(RowJournal(FILES, str(root))), step
        assert texts(other)[-1] == "[9]"
    assert kills > 20
