"""Volumes: what was appended is read back, whatever happens to the process, the disk or the file."""

from __future__ import annotations

import errno
import importlib.util
import multiprocessing
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from awscrt.checksums import crc32c

from objstore.core.timestamps import Timestamp
from objstore.runtime.files import FILES, Files
from objstore.store.change import DATA, Change
from objstore.store.objects.format import Unsound, encode_record
from objstore.store.packed.format import (
    ALIGNMENT,
    COPY_OFFSET,
    HEADER_SIZE,
    VOLUME_HEADER_SIZE,
    Outgoing,
    encode_head,
    padded,
)
from objstore.store.packed.places import Place
from objstore.store.packed.volume_writer import AHEAD
from objstore.store.packed.volumes import Volumes

_spec = importlib.util.spec_from_file_location("faulty_files", Path(__file__).with_name("faulty_files.py"))
assert _spec is not None
assert _spec.loader is not None
_faulty = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_faulty)
FaultyFiles, PowerCut = _faulty.FaultyFiles, _faulty.PowerCut

CONTEXT = multiprocessing.get_context("fork")


def outgoing(number: int, content: bytes = b"") -> Outgoing:
    content = content or f"content of {number} ".encode() * 9
    metadata = encode_record({"name": f"/a/c/{number}"})
    return Outgoing(f"{number:032x}", Change(Timestamp(number + 1), DATA), metadata, (content,), crc32c(content))


def group(*numbers: int) -> list[Outgoing]:
    return [outgoing(number) for number in numbers]


def directory(root: Path | str) -> str:
    return f"{root}/packed/volumes"


def volumes(root: Path | str, files: Files = FILES, most: int = 1 << 30) -> Volumes:
    return Volumes(files, directory(root), most)


def content(store: Volumes, place: Place, number: int) -> bytes:
    sent = outgoing(number)
    return bytes(store.read(place, sent.name_hash, sent.change).content)


def is_there(store: Volumes, place: Place, number: int) -> bool:
    return content(store, place, number) == outgoing(number).content[0]


def path(root: Path | str, volume: int = 1, kind: str = "volume") -> Path:
    return Path(f"{directory(root)}/{volume:08d}.{kind}")


def overwrite(file: Path, offset: int, data: bytes) -> None:
    with open(file, "r+b") as opened:
        opened.seek(offset)
        opened.write(data)


def flip(file: Path, offset: int) -> None:
    overwrite(file, offset, bytes([file.read_bytes()[offset] ^ 0x10]))


def numbers_in(store: Volumes, volume: int = 1, start: int = 0) -> list[int]:
    return [int(header.name_hash, 16) for _, header in store.scan(volume, start)]


# Appending and reading


def test_records_are_read_back_whole_from_memory_and_by_their_heads(tmp_path: Path) -> None:
    store = volumes(tmp_path)
    places = store.append(group(0, 1, 2)) + store.append(group(3))
    for number, place in enumerate(places):
        sent = outgoing(number)
        assert is_there(store, place, number)
        cached = store.read_cached(place, sent.name_hash, sent.change)
        assert cached is not None
        assert (bytes(cached.content), cached.metadata) == (sent.content[0], sent.metadata)
        assert store.read_head(place, sent.name_hash, sent.change) == sent.metadata
    assert [place.position % ALIGNMENT for place in places] == [0] * 4


def test_another_process_reads_what_one_appends(tmp_path: Path) -> None:
    writer, reader = volumes(tmp_path), volumes(tmp_path)
    for number in range(5):
        (place,) = writer.append(group(number))
        assert is_there(reader, place, number)


def test_a_record_of_no_content_and_one_longer_than_the_zeros_ahead(tmp_path: Path) -> None:
    store = volumes(tmp_path)
    large = outgoing(1, random.Random(1).randbytes(3 * AHEAD + 5))
    empty = Outgoing("0" * 32, Change(Timestamp(1), DATA), b"metadata", (), 0)
    places = store.append([empty, large, empty])
    assert store.read(places[0], "0" * 32, empty.change).content == b""
    assert store.read(places[1], large.name_hash, large.change).content == large.content[0]
    assert [place for place, _ in store.scan(1)] == places


def test_a_full_volume_is_followed_by_the_next(tmp_path: Path) -> None:
    store = volumes(tmp_path, most=VOLUME_HEADER_SIZE + 1000)
    places = [store.append(group(number))[0] for number in range(12)]
    assert store.numbers() == sorted({place.volume for place in places})
    assert len(store.numbers()) > 2
    assert all(is_there(store, place, number) for number, place in enumerate(places))
    assert all(path(tmp_path, each).stat().st_size <= VOLUME_HEADER_SIZE + 1000 for each in store.numbers())


def test_a_group_larger_than_a_volume_goes_into_an_empty_one(tmp_path: Path) -> None:
    store = volumes(tmp_path, most=VOLUME_HEADER_SIZE + 300)
    places = store.append(group(0, 1, 2, 3, 4))
    assert all(is_there(store, place, number) for number, place in enumerate(places))
    (later,) = store.append(group(5))
    assert later.volume == 2


def test_volumes_larger_than_positions_can_say_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="limit"):
        volumes(tmp_path, most=(1 << 31) + 1)


def test_bytes_that_are_not_in_memory_are_left_to_the_reader_that_may_wait(tmp_path: Path) -> None:
    store = volumes(tmp_path)
    sent = outgoing(0)
    (place,) = store.append([sent])
    with open(path(tmp_path), "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    found = volumes(tmp_path).read_cached(place, sent.name_hash, sent.change)
    assert found is None or found.content == sent.content[0]  # a file system in memory forgets nothing
    assert is_there(store, place, 0)


# Damage


@pytest.mark.parametrize(
    "offset", [0, HEADER_SIZE - 1, HEADER_SIZE + 3, -1], ids=["tag", "header", "metadata", "content"]
)
def test_a_flipped_byte_is_noticed_wherever_it_is(tmp_path: Path, offset: int) -> None:
    store = volumes(tmp_path)
    places = store.append(group(0, 1, 2))
    flip(path(tmp_path), places[1].position + offset % places[1].length)
    sent = outgoing(1)
    with pytest.raises(Unsound):
        store.read(places[1], sent.name_hash, sent.change)
    assert store.read_cached(places[1], sent.name_hash, sent.change) is None
    assert is_there(store, places[0], 0)
    assert is_there(store, places[2], 2)
    sound = {place: sound for place, _, sound in store.scan(1, verify=True)}
    assert sound == {place: place != places[1] for place in places if place in sound}
    assert places[2] in sound


def test_a_damaged_header_of_a_volume_is_replaced_by_its_copy(tmp_path: Path) -> None:
    writer = volumes(tmp_path)
    (place,) = writer.append(group(0))
    writer.close()
    overwrite(path(tmp_path), 0, bytes(COPY_OFFSET))
    store = volumes(tmp_path)
    assert is_there(store, place, 0)
    assert store.append(group(1))[0].volume == 2  # what the first copy said of the end is lost
    overwrite(path(tmp_path), COPY_OFFSET, bytes(COPY_OFFSET))
    with pytest.raises(Unsound):
        content(volumes(tmp_path), place, 0)


def test_content_that_holds_a_record_of_another_volume_is_not_taken_for_one(tmp_path: Path) -> None:
    foreign = outgoing(7)
    inner = encode_head(b"another!", foreign) + foreign.content[0]
    padding = bytes(-(HEADER_SIZE + len(foreign.metadata)) % ALIGNMENT)
    store = volumes(tmp_path)
    places = store.append([outgoing(0), outgoing(1, padding + inner + padding + inner), outgoing(2)])
    flip(path(tmp_path), places[1].position + 20)  # now what follows must be searched
    assert [place for place, _ in store.scan(1)] == [places[0], places[2]]


def test_a_torn_header_in_the_middle_of_a_stretch_is_skipped_to_the_next_record(tmp_path: Path) -> None:
    store = volumes(tmp_path)
    places = store.append([outgoing(number, random.Random(number).randbytes(60_000)) for number in range(60)])
    for damaged in (3, 4, 20, 58):
        overwrite(path(tmp_path), places[damaged].position, bytes(5000))
    expected = [place for number, place in enumerate(places) if number not in (3, 4, 20, 58)]
    assert [place for place, _ in store.scan(1)] == expected
    assert [place for place, _ in store.scan(1, places[30].position)] == [
        each for each in expected if each >= places[30]
    ]


def test_a_volume_cut_short_under_an_open_reader_is_unsound_not_fatal(tmp_path: Path) -> None:
    store = volumes(tmp_path)
    places = store.append(group(0, 1))
    assert is_there(store, places[1], 1)
    os.truncate(path(tmp_path), places[1].position + 90)
    sent = outgoing(1)
    assert store.read_cached(places[1], sent.name_hash, sent.change) is None
    with pytest.raises(Unsound):
        content(store, places[1], 1)
    assert is_there(store, places[0], 0)
    assert [place for place, _ in store.scan(1)] == places[:1]


def test_a_scan_ends_when_the_volume_is_cut_short_meanwhile(tmp_path: Path) -> None:
    store = volumes(tmp_path)
    places = store.append([outgoing(number, bytes([number + 1]) * 60_000) for number in range(40)])
    records = store.scan(1)
    next(records)
    os.truncate(path(tmp_path), places[20].position)
    assert 19 <= len(list(records)) < 39


def test_a_volume_removed_under_an_open_reader_is_read_on_and_then_missing(tmp_path: Path) -> None:
    now = [0.0]
    writer = volumes(tmp_path)
    places = writer.append(group(0, 1))
    reader = Volumes(FILES, directory(tmp_path), monotonic=lambda: now[0])
    assert is_there(reader, places[0], 0)
    records = reader.scan(1)
    next(records)
    writer.close()
    writer.remove(1)
    assert is_there(reader, places[1], 1)
    assert len(list(records)) == 1
    now[0] = 1.5
    with pytest.raises(FileNotFoundError):
        content(reader, places[0], 0)
    assert reader.read_cached(places[0], outgoing(0).name_hash, outgoing(0).change) is None


def test_another_file_under_the_path_is_noticed_before_a_record_is_called_bad(tmp_path: Path) -> None:
    store = volumes(tmp_path)
    places = store.append(group(0, 1))
    copy = path(tmp_path).read_bytes()
    assert is_there(store, places[0], 0)
    flip(path(tmp_path), places[1].position)
    path(tmp_path).unlink()
    path(tmp_path).write_bytes(copy)
    assert is_there(store, places[1], 1)


# Writers that die


def test_a_volume_without_a_writer_is_adopted_and_one_with_a_writer_is_not(tmp_path: Path) -> None:
    first, second = volumes(tmp_path), volumes(tmp_path)
    assert first.append(group(0))[0].volume == 1
    assert second.append(group(1))[0].volume == 2
    assert first.has_writer(1)
    assert second.has_writer(1)
    first.indexed()
    first.close()
    assert not second.has_writer(1)
    third = volumes(tmp_path)
    assert third.append(group(2))[0].volume == 1
    assert numbers_in(third) == [0, 2]


def append_and_die(root: Path, numbers: list[int]) -> None:
    store = volumes(root)
    for number in numbers:
        store.append(group(number))
    os.kill(os.getpid(), 9)


def test_the_volume_of_a_killed_process_is_adopted_behind_its_last_record(tmp_path: Path) -> None:
    process = CONTEXT.Process(target=append_and_die, args=(tmp_path, [0, 1, 2]))
    process.start()
    process.join(30)
    assert process.exitcode == -9
    store = volumes(tmp_path)
    records = list(store.scan(1, store.noted(1)))
    assert len(records) == 3
    assert store.append(group(3))[0].volume == 2  # its records are not in the index yet
    store.close()
    claim = store.claim(1)
    assert claim is not None
    last = records[-1][0]
    store.sync(1)
    store.note(1, last.position + padded(last.length))
    claim.close()
    assert store.append(group(4))[0].volume == 1
    assert numbers_in(store) == [0, 1, 2, 4]


@pytest.mark.parametrize("torn", ["header", "content", "padding"])
def test_a_volume_with_a_torn_tail_is_never_appended_to_nor_cut(tmp_path: Path, torn: str) -> None:
    store = volumes(tmp_path)
    places = store.append(group(0))
    store.indexed()
    places += store.append(group(1))
    store.close()
    last = places[1]
    if torn == "header":
        overwrite(path(tmp_path), last.position + 30, bytes(last.length - 30))
    elif torn == "content":
        overwrite(path(tmp_path), last.position + last.length - 5, bytes(5))
    else:
        assert padded(last.length) > last.length
        os.truncate(path(tmp_path), last.position + last.length)
    before = path(tmp_path).read_bytes()
    later = volumes(tmp_path)
    assert later.append(group(2))[0].volume == 2
    assert path(tmp_path).read_bytes()[VOLUME_HEADER_SIZE:] == before[VOLUME_HEADER_SIZE:]
    assert is_there(later, places[0], 0)
    again = volumes(tmp_path)
    assert again.append(group(3))[0].volume == 3  # closed for good


def test_a_record_behind_zeros_is_found_and_closes_the_volume(tmp_path: Path) -> None:
    store = volumes(tmp_path)
    places = store.append(group(0))
    store.indexed()
    places += store.append(group(1)) + store.append(group(2))
    store.close()
    overwrite(path(tmp_path), places[1].position, bytes(padded(places[1].length)))
    later = volumes(tmp_path)
    assert numbers_in(later) == [0, 2]
    assert later.append(group(3))[0].volume == 2


def test_two_processes_append_at_once_and_lose_nothing(tmp_path: Path) -> None:
    def work(first: int) -> None:
        store = volumes(tmp_path, most=VOLUME_HEADER_SIZE + 5000)
        for number in range(first, first + 100, 2):
            store.append(group(number, number + 1))

    processes = [CONTEXT.Process(target=work, args=(first,)) for first in (0, 1000)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    store = volumes(tmp_path)
    found = [number for volume in store.numbers() for number in numbers_in(store, volume)]
    assert sorted(found) == [*range(100), *range(1000, 1100)]


def test_a_fork_appends_to_a_volume_of_its_own(tmp_path: Path) -> None:
    store = volumes(tmp_path)
    store.append(group(0))

    def child() -> None:
        assert store.append(group(1))[0].volume == 2
        assert store.has_writer(1)  # the parent's lock is not given up
        store.close()
        assert store.has_writer(1)

    process = CONTEXT.Process(target=child)
    process.start()
    process.join(30)
    assert process.exitcode == 0
    assert store.append(group(2))[0].volume == 1
    assert (numbers_in(store, 1), numbers_in(store, 2)) == ([0, 2], [1])


def test_what_is_in_the_index_is_noted_now_and_then_and_when_the_volume_is_full(tmp_path: Path) -> None:
    store = volumes(tmp_path)
    (place,) = store.append(group(0))
    store.indexed()
    assert store.own_number() == 1
    assert store.noted(1) == VOLUME_HEADER_SIZE
    store.append([outgoing(1, bytes(AHEAD))])
    store.indexed()
    assert numbers_in(store, 1, store.noted(1)) == []
    (later,) = store.append(group(2))
    assert store.noted(1) == later.position
    store.indexed()
    store.roll()
    assert store.noted(1) == later.position + padded(later.length)
    assert not store.has_writer(1)
    assert store.append(group(3))[0].volume == 2
    assert place.volume == 1


def test_a_claimed_volume_is_not_adopted(tmp_path: Path) -> None:
    store, other = volumes(tmp_path), volumes(tmp_path)
    store.append(group(0))
    assert other.claim(1) is None
    store.indexed()
    store.close()
    claim = other.claim(1)
    assert claim is not None
    assert store.append(group(1))[0].volume == 2
    claim.close()
    assert volumes(tmp_path).append(group(2))[0].volume == 1


# Errors and power cuts


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_after_an_error_in_the_middle_of_a_group_none_of_it_is_there(tmp_path: Path, code: int) -> None:
    for step in ("write_at", "fdatasync"):
        root = tmp_path / f"{step}-{code}"
        root.mkdir()
        files = FaultyFiles(str(root))
        store = volumes(root, files)
        (first,) = store.append(group(0))
        files.fail_at = len(files.steps) + (1 if step == "write_at" else 2)
        files.failure = OSError(code, os.strerror(code))
        with pytest.raises(OSError, match=os.strerror(code)):
            store.append(group(1, 2, 3))
        assert files.steps[files.fail_at - 1] == step
        (later,) = store.append(group(4))
        assert later.volume == (1 if code == errno.ENOSPC else 2)
        assert [number for each in store.numbers() for number in numbers_in(store, each)] == [0, 4]
        assert is_there(store, first, 0)
        assert is_there(store, later, 4)
        if later.volume == 1:
            assert later.position == first.position + padded(first.length)


def test_a_volume_that_cannot_be_cut_back_is_closed_for_writing(tmp_path: Path) -> None:
    files = FaultyFiles(str(tmp_path))
    store = volumes(tmp_path, files)
    store.append(group(0))

    class Broken(OSError):
        pass

    def fail(*_: object) -> None:
        raise Broken(errno.EIO, "cannot be cut")

    files.truncate = fail  # type: ignore[method-assign]
    files.fail_at = len(files.steps) + 2
    files.failure = OSError(errno.ENOSPC, "full")
    with pytest.raises(OSError, match="full"):
        store.append(group(1, 2))
    assert store.append(group(3))[0].volume == 2
    assert not store.has_writer(1)


def scenario(store: Volumes, report: Callable[[int, Place], None]) -> None:
    """Groups that fill a volume, grow it, roll it, and kill some records; with calls as records become durable."""
    for numbers in ((0,), (1, 2), (3, 4, 5), (6,), (7, 8)):
        for number, place in zip(numbers, store.append(group(*numbers)), strict=True):
            report(number, place)
        store.indexed()
        store.kill([place])
    store.sync_marks()
    store.roll()


def test_whenever_the_power_is_cut_what_was_appended_is_there_whole(tmp_path: Path) -> None:
    count = 0
    while True:
        count += 1
        root = tmp_path / f"{count}"
        root.mkdir()
        files = FaultyFiles(str(root), unnamed=bool(count % 2))
        files.cut_at = count
        store = volumes(root, files, most=VOLUME_HEADER_SIZE + 1200)
        durable: dict[int, Place] = {}
        try:
            scenario(store, durable.__setitem__)
            break
        except PowerCut:
            pass
        for seed in (None, *range(8)):
            left = volumes(files.outcome(tmp_path / f"{count}-{seed}", seed), most=VOLUME_HEADER_SIZE + 1200)
            for number, place in durable.items():
                assert is_there(left, place, number)
            found = {place: header for volume in left.numbers() for place, header in left.scan(volume)}
            assert set(durable.values()) <= set(found)
            for volume in left.numbers():
                assert left.dead(volume) <= {place.position for place in durable.values()}
            (added,) = left.append(group(100))
            assert is_there(left, added, 100)
            assert all(is_there(left, place, number) for number, place in durable.items())
            left.close()
    assert count > 40


# Dead records


def test_marks_of_any_process_count_once_each(tmp_path: Path) -> None:
    first, second = volumes(tmp_path), volumes(tmp_path)
    places = first.append(group(0, 1, 2)) + second.append(group(3))
    first.kill([places[0], places[3]])
    second.kill([places[2]])
    first.kill([places[2]])
    assert first.dead(1) == {places[0].position, places[2].position}
    assert second.dead(2) == {places[3].position}
    assert second.usage(1).dead == padded(places[0].length) + padded(places[2].length)
    assert first.usage(2).size == path(tmp_path, 2).stat().st_size
    second.kill([places[1]])
    assert second.usage(1).dead == sum(padded(each.length) for each in places[:3])


def test_marks_for_a_volume_that_is_gone_are_passed_over(tmp_path: Path) -> None:
    store = volumes(tmp_path)
    store.kill([Place(5, 8192, 100, 90)])
    assert store.dead(5) == set()


def test_marks_are_durable_once_synced_by_any_process(tmp_path: Path) -> None:
    files = FaultyFiles(str(tmp_path))
    store = volumes(tmp_path, files)
    places = store.append(group(0, 1))
    store.kill(places[:1])
    volumes(tmp_path, files).sync_marks()
    store.kill(places[1:])
    left = volumes(files.outcome(tmp_path.parent / f"{tmp_path.name}-left", None))
    assert left.dead(1) == {places[0].position}


def test_marks_older_than_asked_for_are_not_synced(tmp_path: Path) -> None:
    files = FaultyFiles(str(tmp_path))
    store = volumes(tmp_path, files)
    store.kill(store.append(group(0)))
    os.utime(path(tmp_path, 1, "dead"), (1, 1))
    before = len(files.steps)
    store.sync_marks(60)
    assert files.steps[before:] == []


# Removal


def test_a_removed_volume_takes_its_marks_along_and_its_number_is_not_used_again(tmp_path: Path) -> None:
    store = volumes(tmp_path, most=VOLUME_HEADER_SIZE + 300)
    places = [store.append(group(number))[0] for number in range(3)]
    assert [place.volume for place in places] == [1, 2, 3]
    store.kill(places)
    store.roll()
    store.remove(2)
    assert not path(tmp_path, 2, "dead").exists()
    store.remove(3)
    assert store.numbers() == [1]
    assert store.append(group(4))[0].volume == 4
    store.remove_leftovers()
    assert not path(tmp_path, 3, "dead").exists()
    assert store.dead(4) == set()


def test_a_power_cut_amid_a_removal_never_leaves_a_volume_without_its_marks(tmp_path: Path) -> None:
    for step in range(1, 9):
        root = tmp_path / f"{step}"
        root.mkdir()
        files = FaultyFiles(str(root))
        store = volumes(root, files, most=VOLUME_HEADER_SIZE + 300)
        places = [store.append(group(number))[0] for number in range(2)]
        store.kill(places)
        store.sync_marks()
        files.cut_at = len(files.steps) + step
        try:
            store.remove(1)
        except PowerCut:
            pass
        for seed in (None, *range(8)):
            left = volumes(files.outcome(tmp_path / f"{step}-{seed}", seed))
            if 1 in left.numbers():
                assert left.dead(1) == {places[0].position}
            left.remove(1)
            left.remove_leftovers()
            assert not path(tmp_path / f"{step}-{seed}", 1, "dead").exists()


def test_a_directory_that_was_never_written_to_has_no_volumes(tmp_path: Path) -> None:
    store = volumes(tmp_path)
    assert store.numbers() == []
    store.sync_marks()
    store.remove(1)
    store.remove_leftovers()
    with pytest.raises(FileNotFoundError):
        store.usage(1)


def test_a_missing_device_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        volumes(tmp_path / "missing").append(group(0))
    assert not (tmp_path / "missing").exists()
