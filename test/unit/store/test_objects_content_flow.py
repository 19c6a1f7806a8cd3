"""The content of large objects on its way to the file: past the page cache, or through it with a bound."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from objstore.runtime.blocks import SIZE, Buffer, new_block
from objstore.runtime.files import Files, OpenFile
from objstore.store.objects.content_flow import ContentFlow, DirectWrites

CONTENT = os.urandom(3 * SIZE + 12345)
LIMIT = 4 * SIZE


class WatchedFiles(Files):
    """refuses: at `set_direct` or at a write. taken: bytes that a direct write takes before it is refused."""

    def __init__(self, refuses: str = "", taken: int = 0) -> None:
        self.calls: list[tuple[str, int]] = []
        self.ranges: list[tuple[str, int, int]] = []
        self._refuses = refuses
        self._taken = taken

    def set_direct(self, fd: int, direct: bool) -> bool:
        self.calls.append(("set_direct", direct))
        return self._refuses != "set_direct"  # the page cache is as good for the test, on any file system

    def write_direct(self, fd: int, block: memoryview) -> int:
        taken = self._taken if self._refuses == "write" else len(block)
        self.calls.append(("write_direct", taken))
        return os.write(fd, block[:taken]) if taken else 0

    def write(self, fd: int, pieces: Sequence[Buffer]) -> None:
        self.calls.append(("write", sum(map(len, pieces))))
        super().write(fd, pieces)

    def start_writeback(self, fd: int, offset: int = 0, size: int = 0) -> None:
        self.ranges.append(("start", offset, offset + size))

    def await_writeback(self, fd: int, offset: int, size: int) -> None:
        self.ranges.append(("await", offset, offset + size))


@pytest.fixture
def file(tmp_path: Path) -> Iterator[OpenFile]:
    file = Files().create(str(tmp_path / "file"))
    yield file
    file.close()


def in_blocks(data: bytes) -> list[memoryview]:
    pieces = []
    for start in range(0, len(data), SIZE):
        part = data[start : start + SIZE]
        block = new_block()
        block[: len(part)] = part
        pieces.append(block[: len(part)] if len(part) < SIZE else block)
    return pieces


def in_pieces_of(size: int, data: bytes) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def written(file: OpenFile) -> bytes:
    return os.pread(file.fd, 1 << 30, 0)


def drained(files: Files, flow: ContentFlow, file: OpenFile, pieces: Sequence[Buffer]) -> bytes:
    """Append each piece, and what is left as the committer does."""
    for piece in pieces:
        flow.append(file.fd, (piece,))
    files.write(file.fd, flow.end(file.fd))
    return written(file)


@pytest.mark.parametrize("size", [1000, 65536, 300_000, SIZE, 2 * SIZE])
def test_pieces_of_any_size_are_written_in_full_blocks(file: OpenFile, size: int) -> None:
    files = WatchedFiles()
    flow = ContentFlow(files, DirectWrites(True), LIMIT)
    assert drained(files, flow, file, in_pieces_of(size, CONTENT)) == CONTENT
    assert files.calls == [
        ("set_direct", True),
        *[("write_direct", SIZE)] * 3,
        ("set_direct", False),
        ("write", 12345),
    ]


def test_blocks_are_written_from_their_own_memory(file: OpenFile) -> None:
    class Seeing(WatchedFiles):
        def write_direct(self, fd: int, block: memoryview) -> int:
            seen.append(block.obj)
            return super().write_direct(fd, block)

    seen: list[object] = []
    files = Seeing()
    pieces = in_blocks(CONTENT)
    assert drained(files, ContentFlow(files, DirectWrites(True), LIMIT), file, pieces) == CONTENT
    assert seen == [piece.obj for piece in pieces[:3]]


def test_blocks_behind_a_short_piece_are_gathered(file: OpenFile) -> None:
    files = WatchedFiles()
    flow = ContentFlow(files, DirectWrites(True), LIMIT)
    pieces = [b"short", *in_blocks(CONTENT)]
    assert drained(files, flow, file, pieces) == b"short" + CONTENT
    assert [call for call in files.calls if call[0] == "write_direct"] == [("write_direct", SIZE)] * 3


def test_less_than_a_block_is_left_to_the_commit(file: OpenFile) -> None:
    files = WatchedFiles()
    flow = ContentFlow(files, DirectWrites(True), LIMIT)
    flow.append(file.fd, (b"little",))
    assert files.calls == []
    assert b"".join(flow.end(file.fd)) == b"little"


def test_a_file_system_that_refuses_is_asked_once(file: OpenFile) -> None:
    files = WatchedFiles("set_direct")
    direct = DirectWrites(True)
    assert drained(files, ContentFlow(files, direct, LIMIT), file, in_blocks(CONTENT)) == CONTENT
    assert not direct.possible
    assert [call for call in files.calls if call[0] != "write"] == [("set_direct", True)]


@pytest.mark.parametrize("taken", [0, 4096])
def test_a_file_system_that_refuses_at_a_write_gets_the_rest_through_the_cache(file: OpenFile, taken: int) -> None:
    files = WatchedFiles("write", taken)
    direct = DirectWrites(True)
    assert drained(files, ContentFlow(files, direct, LIMIT), file, in_blocks(CONTENT)) == CONTENT
    assert not direct.possible
    assert files.calls[:4] == [
        ("set_direct", True),
        ("write_direct", taken),
        ("set_direct", False),
        ("write", SIZE - taken),
    ]


def test_a_file_under_way_when_another_is_refused_keeps_its_order(file: OpenFile) -> None:
    files = WatchedFiles()
    direct = DirectWrites(True)
    flow = ContentFlow(files, direct, LIMIT)
    flow.append(file.fd, (CONTENT[:1000],))
    direct.possible = False
    assert drained(files, flow, file, (CONTENT[1000:],)) == CONTENT


def test_through_the_cache_no_more_than_the_limit_is_unwritten(file: OpenFile) -> None:
    files = WatchedFiles()
    flow = ContentFlow(files, DirectWrites(False), LIMIT)
    end = 0
    for piece in in_pieces_of(SIZE // 2, bytes(20 * SIZE)):
        flow.append(file.fd, (piece,))
        end += len(piece)
        awaited = max((stop for kind, _, stop in files.ranges if kind == "await"), default=0)
        assert end - awaited <= LIMIT
    starts = [(start, stop) for kind, start, stop in files.ranges if kind == "start"]
    assert [start for start, _ in starts] == [0, *[stop for _, stop in starts[:-1]]]  # each range once, in order
    awaits = [(start, stop) for kind, start, stop in files.ranges if kind == "await"]
    assert awaits == starts[:-1]


def test_a_failure_of_the_disk_shows_when_it_is_awaited(file: OpenFile) -> None:
    class Failing(WatchedFiles):
        def await_writeback(self, fd: int, offset: int, size: int) -> None:
            raise OSError(errno.EIO, "")

    flow = ContentFlow(Failing(), DirectWrites(False), LIMIT)
    with pytest.raises(OSError, match="Errno 5"):
        flow.append(file.fd, (bytes(2 * SIZE),))
        flow.append(file.fd, (bytes(2 * SIZE),))


def test_the_real_file_system_takes_blocks_past_the_cache_or_refuses(file: OpenFile) -> None:
    files = Files()
    direct = DirectWrites(True)
    assert drained(files, ContentFlow(files, direct, LIMIT), file, in_blocks(CONTENT)) == CONTENT
    assert drained(files, ContentFlow(files, DirectWrites(False), LIMIT), file, (CONTENT,)) == CONTENT * 2
