from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from objstore.runtime.blocks import SIZE, new_block
from objstore.runtime.files import FILES, Buffer, Files, exists, is_directory
from objstore.runtime.system_calls import file_system_of


def test_replace_puts_a_file_in_place_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for content in (b"old", b"new" * 100_000):
        FILES.replace(str(path), content, 0o600)
        assert path.read_bytes() == content
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["file"]


class FailingSync(Files):
    def fsync(self, fd: int) -> None:
        raise OSError(5, "no")


def test_a_replace_that_fails_leaves_the_old(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(OSError):
        FailingSync().replace(str(path), b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("pieces", [[], [b""], [b"a", bytearray(b"b"), memoryview(b"c")], [b"xy"] * 2000])
def test_all_pieces_are_written(tmp_path: Path, pieces: Sequence[Buffer]) -> None:
    file = FILES.create_hidden(str(tmp_path), str(tmp_path / "tmp"))
    FILES.write(file.fd, pieces)
    FILES.link(file, str(tmp_path / "named"))
    file.close()
    assert (tmp_path / "named").read_bytes() == b"".join(pieces)


def test_a_short_write_is_completed() -> None:
    """A pipe that is half full takes only a part."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    capacity = 0
    while True:
        try:
            capacity += os.write(writing, bytes(4096))
        except BlockingIOError:
            break
    os.read(reading, 8192)
    with pytest.raises(BlockingIOError):  # for the rest: the first part is in
        FILES.write(writing, [b"a" * 5000, b"b" * 5000])
    left = b""
    os.set_blocking(reading, False)
    while True:
        try:
            left += os.read(reading, 65536)
        except BlockingIOError:
            break
    assert len(left) == capacity
    assert left.endswith(b"a" * 5000 + b"b" * 3192)
    os.close(reading)
    os.close(writing)


def test_a_link_does_not_replace(tmp_path: Path) -> None:
    (tmp_path / "taken").write_bytes(b"first")
    file = FILES.create_hidden(str(tmp_path), str(tmp_path / "tmp"))
    with pytest.raises(FileExistsError):
        FILES.link(file, str(tmp_path / "taken"))
    file.close()
    assert (tmp_path / "taken").read_bytes() == b"first"


def test_a_named_file_goes_with_its_last_user(tmp_path: Path) -> None:
    file = FILES.create(str(tmp_path / "temporary"))
    other_user = file
    del file
    assert os.listdir(tmp_path) == ["temporary"]
    del other_user
    assert os.listdir(tmp_path) == []


def test_preallocation_leaves_the_size_as_it_is(tmp_path: Path) -> None:
    file = FILES.create(str(tmp_path / "file"))
    FILES.preallocate(file.fd, 1 << 20)
    FILES.start_writeback(file.fd)
    assert FILES.size(file.fd) == 0
    file.close()


def test_blocks_past_the_page_cache_and_bytes_through_it_make_one_file(tmp_path: Path) -> None:
    file = FILES.create(str(tmp_path / "file"))
    block = new_block()
    block[:] = bytes(range(256)) * (SIZE // 256)
    expected = b""
    if FILES.set_direct(file.fd, True):  # not every file system can
        assert FILES.write_direct(file.fd, block) == SIZE
        expected += bytes(block)
    assert FILES.set_direct(file.fd, False)
    FILES.write(file.fd, (b"the rest",))
    FILES.start_writeback(file.fd, 0, SIZE)
    FILES.await_writeback(file.fd, 0, SIZE)
    assert (tmp_path / "file").read_bytes() == expected + b"the rest"
    file.close()


def test_a_write_past_the_page_cache_that_is_refused_writes_nothing(tmp_path: Path) -> None:
    file = FILES.create(str(tmp_path / "file"))
    if not FILES.set_direct(file.fd, True):
        pytest.skip("the file system has no such writes")
    assert FILES.write_direct(file.fd, new_block()[:100]) in (0, 100)  # 100 is no multiple of a disk's block
    file.close()


def test_writeback_of_what_cannot_have_any_is_no_error() -> None:
    reader, writer = os.pipe()
    FILES.await_writeback(writer, 0, 1)
    os.close(reader)
    os.close(writer)


def test_writeback_of_a_closed_file_is_an_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    os.close(writer)
    with pytest.raises(OSError):
        FILES.await_writeback(writer, 0, 1)


def test_a_file_in_memory_is_opened_with_the_stamps_of_itself_and_its_directory(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    cached = FILES.open_cached(str(tmp_path), "file")
    assert cached is not None
    assert os.read(cached.file.fd, 100) == b"content"
    assert cached.directory_stamp == FILES.stamp_dir(str(tmp_path))
    assert cached.file_stamp == FILES.stamp(cached.file.fd)
    assert not FILES.is_unlinked(cached.file.fd)
    path.unlink()
    assert FILES.is_unlinked(cached.file.fd)
    assert FILES.open_cached(str(tmp_path), "file") is None
    assert FILES.open_cached(str(tmp_path / "missing"), "file") is None
    cached.file.close()


def test_a_path_that_cannot_be_looked_at_is_not_absent(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for ask in (exists, is_directory, FILES.exists, FILES.is_dir):
        assert ask(str(tmp_path))
        assert not ask(str(tmp_path / "missing"))
        assert not ask(str(tmp_path / "missing" / "below"))
        with pytest.raises(OSError, match="Too many levels"):
            ask(str(loop / "below"))


def test_reading_stops_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    file = FILES.open(str(tmp_path / "file"))
    buffer = bytearray(20)
    assert FILES.read_at(file.fd, buffer, 4) == 6
    assert buffer[:6] == b"456789"
    assert FILES.read_at(file.fd, buffer, 10) == 0
    file.close()


def test_an_attribute_that_is_not_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert FILES.attribute(str(tmp_path / "file"), "user.missing") is None
    with pytest.raises(FileNotFoundError):
        FILES.attribute(str(tmp_path / "missing"), "user.missing")


def test_space_is_that_of_the_file_system(tmp_path: Path) -> None:
    space = FILES.space(str(tmp_path))
    assert 0 <= space.free <= space.total


def test_the_file_system_of_a_directory_is_that_of_stat(tmp_path: Path) -> None:
    for path in (str(tmp_path), "/", "/dev", "/proc"):
        assert file_system_of(path) == os.stat(path).st_dev
    with pytest.raises(FileNotFoundError):
        file_system_of(str(tmp_path / "missing"))
