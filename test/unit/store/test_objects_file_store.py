from __future__ import annotations

import errno
import hashlib
import os
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from harness.engines import present

from objstore.core.errors import Corrupt, DeviceUnavailable, NoSpace, NotFound, Unreadable
from objstore.core.names import Location
from objstore.core.timestamps import Timestamp
from objstore.runtime import green, settings
from objstore.runtime.files import Buffer, Files, OpenFile, Space
from objstore.store.interface import ObjectData, ObjectMetadata
from objstore.store.objects.describe import describe_file
from objstore.store.objects.file_store import FileSettings, FileStore
from objstore.store.objects.format import BLOCK
from objstore.store.objects.space import Reserve, SpaceGuard

HERE = Location(5, "0123456789abcdef0123456789abcdef")
NAME = "/a/c/o"
NO_RESERVE = FileSettings(Reserve(), threads_per_disk=2, ballast=0)


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(str(tmp_path), settings=NO_RESERVE)


def put(store: FileStore, when: int, content: bytes, headers: dict[str, str] | None = None) -> None:
    with store.create(HERE, len(content)) as writer:
        writer.write(content)
        writer.commit(ObjectData(NAME, Timestamp(when), "text/plain", headers or {}))


def read(store: FileStore, start: int = 0, stop: int = 1 << 60) -> bytes:
    with store.open(HERE) as reader:
        return b"".join(bytes(piece) for piece in reader.read(start, stop))


def only_file(store: FileStore, suffix: str = "data") -> Path:
    (path,) = Path(store.layout.hash_dir(HERE)).glob(f"*.{suffix}")
    return path


def flip(path: Path, offset: int) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    with open(path, "r+b") as file:
        file.write(content)


def quarantined(store: FileStore) -> set[str]:
    return {
        os.path.relpath(f"{directory}/{name}", store.layout.quarantined)
        for directory, _, names in os.walk(store.layout.quarantined)
        for name in names
    }


def assert_quarantined(store: FileStore, *names: str) -> None:
    assert quarantined(store) == {f"{HERE.hash}/{name}" for name in names}
    with pytest.raises(NotFound) as caught:
        store.open(HERE)
    assert caught.value.timestamp is None


def wait_until(true: Callable[[], bool]) -> None:
    """For what a thread does at the end of its job, which nobody waits for any more."""
    for _ in range(500):
        if true():
            return
        green.sleep(0.01)
    pytest.fail("waited in vain")


DATA = "0000000000.00001.data"
LONG = {"X-Object-Meta-Long": "v" * 80_000}  # no attribute holds this


@pytest.mark.parametrize("size", [1, 4096, 65536, 65537, 2_000_000])
@pytest.mark.parametrize("where", ["first", "last", "checksums", "footer", "end"])
@pytest.mark.parametrize("headers", [{}, LONG])
def test_a_flipped_bit_is_seen_before_it_is_given_out(
    store: FileStore, size: int, where: str, headers: dict[str, str]
) -> None:
    put(store, 1, os.urandom(size), headers)
    offset = {"first": 0, "last": size - 1, "checksums": size, "footer": -10, "end": -1}[where]
    flip(only_file(store), offset)
    with pytest.raises(Corrupt):
        read(store)
    assert_quarantined(store, DATA)


def test_sound_blocks_before_a_bad_one_are_given_out(store: FileStore) -> None:
    content = os.urandom(5_000_000)
    put(store, 1, content)
    flip(only_file(store), 4_500_000)
    assert read(store, 0, 100_000) == content[:100_000]
    given = bytearray()
    with store.open(HERE) as reader, pytest.raises(Corrupt):
        for piece in reader.read(0, len(content)):
            given += piece
    assert len(given) > 4_000_000 and content.startswith(given)


@pytest.mark.parametrize("size", [0, 100, 1_000_000])
@pytest.mark.parametrize("change", [-1, -29, 1])
def test_a_file_of_another_length_is_corrupt(store: FileStore, size: int, change: int) -> None:
    put(store, 1, bytes(size), LONG)
    path = only_file(store)
    os.truncate(path, path.stat().st_size + change)
    with pytest.raises(Corrupt):
        read(store)
    assert_quarantined(store, DATA)


@pytest.mark.parametrize("cut", [1, 50, 4096, 900_000])
def test_a_truncated_file_is_corrupt(store: FileStore, cut: int) -> None:
    put(store, 1, os.urandom(1_000_000))
    path = only_file(store)
    os.truncate(path, path.stat().st_size - cut)
    with pytest.raises(Corrupt):
        read(store, 0, 10)
    assert_quarantined(store, DATA)


def test_a_flipped_bit_in_the_attribute_is_corrupt(store: FileStore) -> None:
    put(store, 1, b"x")
    record = bytearray(os.getxattr(only_file(store), "user.objstore.metadata"))
    record[30] ^= 4
    os.setxattr(only_file(store), "user.objstore.metadata", record)
    with pytest.raises(Corrupt):
        store.info(HERE)
    assert_quarantined(store, DATA)


def test_a_file_without_metadata_is_corrupt(store: FileStore) -> None:
    put(store, 1, b"x")
    os.removexattr(only_file(store), "user.objstore.metadata")
    with pytest.raises(Corrupt):
        store.open(HERE)
    assert_quarantined(store, DATA)


def test_a_file_under_another_timestamp_is_corrupt(store: FileStore) -> None:
    put(store, 1, b"x")
    only_file(store).rename(only_file(store).with_name("0000000000.00002.data"))
    with pytest.raises(Corrupt):
        store.open(HERE)
    assert_quarantined(store, "0000000000.00002.data")


def test_a_bad_meta_takes_its_data_along(store: FileStore) -> None:
    put(store, 1, b"x")
    store.post(HERE, ObjectMetadata(Timestamp(2), {"X-Object-Meta-A": "1"}))
    flip(only_file(store, "meta"), 40)
    with pytest.raises(Corrupt):
        store.open(HERE)
    assert_quarantined(store, DATA, "0000000000.00002.meta")


def test_quarantine_leaves_what_came_since_and_hides_what_was_before(tmp_path: Path) -> None:
    seen: list[str] = []
    store = FileStore(str(tmp_path), settings=NO_RESERVE, on_quarantine=lambda location, why: seen.append(why))
    put(store, 2, b"x" * 100)
    flip(only_file(store), 5)
    reader = store.open(HERE)
    put(store, 3, b"newer")
    (Path(store.layout.hash_dir(HERE)) / DATA).write_bytes(b"an obsolete file")
    (Path(store.layout.hash_dir(HERE)) / "0000000000.00002.data").write_bytes(b"as if not yet removed")
    with pytest.raises(Corrupt):
        list(reader.read(0, 100))
    reader.close()
    assert read(store) == b"newer"
    assert quarantined(store) == {f"{HERE.hash}/{DATA}", f"{HERE.hash}/0000000000.00002.data"}
    assert seen == ["the content's checksum does not match"]


def test_a_second_quarantine_of_a_name_gets_a_directory_of_its_own(store: FileStore) -> None:
    for when in (1, 2):
        put(store, when, b"x")
        flip(only_file(store), 0)
        with pytest.raises(Corrupt):
            read(store)
    assert quarantined(store) == {f"{HERE.hash}/{DATA}", f"{HERE.hash}-1/0000000000.00002.data"}
    put(store, 3, b"sound")
    assert read(store) == b"sound"


def test_obsolete_files_are_removed(store: FileStore) -> None:
    put(store, 1, b"x")
    store.post(HERE, ObjectMetadata(Timestamp(2), {}, "image/png"))
    store.post(HERE, ObjectMetadata(Timestamp(3), {}))
    assert {str(name) for name in present(store, HERE)} == {DATA, "0000000000.00003-0000000000.00002.meta"}
    store.delete(HERE, NAME, Timestamp(4))
    assert [str(name) for name in present(store, HERE)] == ["0000000000.00004.ts"]


def test_nothing_but_directories_is_left_of_a_writer_that_is_closed(store: FileStore, tmp_path: Path) -> None:
    for size in (10, 1_000_000):
        with store.create(HERE, size) as writer:
            writer.write(bytes(size))
    wait_until(lambda: not any(names for _, _, names in os.walk(tmp_path)))
    wait_until(lambda: not any(str(tmp_path) in link for link in open_files()))


def open_files() -> list[str]:
    links = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            links.append(os.readlink(f"/proc/self/fd/{fd}"))
        except FileNotFoundError:
            continue
    return links


def test_no_descriptor_stays_open(store: FileStore, tmp_path: Path) -> None:
    for size in (0, 10, 1_000_000):
        put(store, size + 1, bytes(size))
        read(store)
        store.info(HERE)
        store.post(HERE, ObjectMetadata(Timestamp(size + 2), {}))
        store.info(HERE)
    locks = (store.layout.locks, store.layout.hash_locks)
    assert not [link for link in open_files() if str(tmp_path) in link and link not in locks]


def test_a_writer_killed_in_its_commit_leaves_its_file_to_the_commit(store: FileStore) -> None:
    """Its descriptor must not be closed, and used for another file, while the device thread has it."""
    for when, size in ((1, 100), (2, 3_000_000)):
        content = os.urandom(size)
        writer = green.spawn(put, store, when, content)
        green.sleep(0)
        green.kill(writer)
        put(store, when + 10, b"later")
    assert read(store) == b"later"


class Slow(Files):
    """Nothing is in memory, and the disk takes its time; notes descriptors closed under a thread at work."""

    def __init__(self) -> None:
        self.busy: set[int] = set()
        self.clashes = 0

    def read_cached(self, fd: int, buffer: bytearray | memoryview, offset: int) -> int:
        raise BlockingIOError(errno.EAGAIN, "")

    def read_at(self, fd: int, buffer: bytearray | memoryview, offset: int) -> int:
        return self._slowly(fd, lambda: super(Slow, self).read_at(fd, buffer, offset))

    def write(self, fd: int, pieces: Sequence[Buffer]) -> None:
        self._slowly(fd, lambda: super(Slow, self).write(fd, pieces))

    def close(self, fd: int) -> None:
        self.clashes += fd in self.busy
        super().close(fd)

    def _slowly(self, fd: int, call: Callable[[], Any]) -> Any:
        self.busy.add(fd)
        time.sleep(0.02)
        result = call()
        self.busy.discard(fd)
        return result


@pytest.mark.parametrize("act", ["read", "write"])
def test_one_who_is_killed_leaves_the_descriptor_to_the_thread_at_work(tmp_path: Path, act: str) -> None:
    files = Slow()
    store = FileStore(str(tmp_path), settings=NO_RESERVE, files=files)
    put(store, 1, bytes(1_000_000))
    acting = green.spawn(read, store) if act == "read" else green.spawn(put, store, 2, bytes(1_000_000))
    wait_until(lambda: bool(files.busy))
    green.kill(acting)
    del acting
    mine = f"{tmp_path}/objects"
    wait_until(lambda: not files.busy and not any(mine in link for link in open_files()))
    assert files.clashes == 0
    files.busy.clear()
    assert len(read(store)) == 1_000_000


def test_many_writers_at_once(store: FileStore) -> None:
    contents = {number: os.urandom(5000 * number) for number in range(1, 30)}

    def write(number: int) -> None:
        location = Location(number % 3, f"{number:029x}{number % 2:03x}")
        with store.create(location, None) as writer:
            writer.write(contents[number])
            writer.commit(ObjectData(f"/a/c/{number}", Timestamp(number), "text/plain", {}))

    for thread in [green.spawn(write, number) for number in contents]:
        thread.wait()
    found = {
        store.info(location).name
        for partition in store.partitions()
        for suffix in store.suffixes(partition)
        for location in store.locations(partition, suffix)
    }
    assert found == {f"/a/c/{number}" for number in contents}


def hammer(store: FileStore, which: int, rounds: int) -> None:
    """Changes of one name with timestamps of its own, and reads that must find something whole."""
    for number in range(rounds):
        when = number * 3 + which + 1
        if number % 7 == 3:
            store.delete(HERE, NAME, Timestamp(when))
            continue
        content = (b"%d " % when) * (200 if number % 5 else 60_000)
        put(store, when, content)
        try:
            if number % 4 == 0:
                store.post(HERE, ObjectMetadata(Timestamp(when, 1), {"X-Object-Meta-When": str(when)}))
            with store.open(HERE) as reader:
                got = b"".join(bytes(piece) for piece in reader.read(0, reader.info.size))
                assert hashlib.md5(got).hexdigest() == reader.info.etag
                assert reader.info.data_timestamp >= Timestamp(when)
        except NotFound as error:
            assert error.timestamp is not None and error.timestamp > Timestamp(when)


@pytest.mark.filterwarnings("ignore:Using fork:DeprecationWarning")  # servers fork, and call after_fork
def test_processes_may_change_one_name_at_once(store: FileStore) -> None:
    put(store, 0, b"a store that was in use before the fork")
    children = []
    for which in range(3):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                green.after_fork()
                hammer(store, which, 40)
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    assert store.info(HERE).data_timestamp == Timestamp(39 * 3 + 3)
    # The last to link may have listed before another did: one more change removes what is left.
    put(store, 1000, b"last")
    assert [str(name) for name in present(store, HERE)] == ["0000000000.01000.data"]


def test_policies_do_not_share_objects(tmp_path: Path) -> None:
    put(FileStore(str(tmp_path), 0, settings=NO_RESERVE), 1, b"zero")
    other = FileStore(str(tmp_path), 2, settings=NO_RESERVE)
    with pytest.raises(NotFound):
        other.open(HERE)
    put(other, 1, b"two")
    assert (tmp_path / "objects-2" / "5" / "def" / HERE.hash).is_dir()


def test_a_missing_device_is_unavailable(tmp_path: Path) -> None:
    store = FileStore(str(tmp_path / "unmounted"), settings=NO_RESERVE)
    for call in (
        lambda: store.open(HERE),
        lambda: store.info(HERE),
        lambda: store.create(HERE, 5),
        lambda: store.delete(HERE, NAME, Timestamp(1)),
        lambda: list(store.partitions()),
    ):
        with pytest.raises(DeviceUnavailable):
            call()
    assert not (tmp_path / "unmounted").exists()


def test_a_file_in_the_place_of_a_device_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    store = FileStore(str(tmp_path / "file"), settings=NO_RESERVE)
    with pytest.raises(DeviceUnavailable):
        store.open(HERE)
    with pytest.raises(DeviceUnavailable):
        store.delete(HERE, NAME, Timestamp(1))


class OneError(Files):
    """Raises an error at every call of one method."""

    def __init__(self, method: str, code: int) -> None:
        self._code = code
        if method:
            setattr(self, method, self._fail)

    def _fail(self, *_: object) -> Any:
        raise OSError(self._code, os.strerror(self._code))


@pytest.mark.parametrize("method", ["create_unnamed", "write", "fsync", "preallocate", "link", "mkdir"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("size", [100, 3_000_000])
def test_a_full_device_is_no_space_and_changes_nothing(tmp_path: Path, method: str, code: int, size: int) -> None:
    put(FileStore(str(tmp_path), settings=NO_RESERVE), 1, b"old")
    store = FileStore(str(tmp_path), settings=NO_RESERVE, files=OneError(method, code))
    if method == "preallocate" and size == 100:
        return
    with pytest.raises(NoSpace):
        put(store, 2, bytes(size))
    assert read(store) == b"old"


@pytest.mark.parametrize("method", ["open", "attribute", "read_cached", "read_at", "size"])
@pytest.mark.parametrize("code", [errno.EIO, errno.EUCLEAN, errno.EILSEQ, errno.EBADMSG])
@pytest.mark.parametrize("size", [100, 3_000_000])
def test_an_io_error_quarantines_nothing(tmp_path: Path, method: str, code: int, size: int) -> None:
    """It did at once, so that a second of EIO on all devices lost sound objects for good."""
    put(FileStore(str(tmp_path), settings=NO_RESERVE), 1, bytes(size))
    files = OneError(method, code)
    if method == "read_at":
        files.read_cached = OneError("", errno.EAGAIN)._fail  # type: ignore[method-assign]
    store = FileStore(str(tmp_path), settings=NO_RESERVE, files=files)
    if method == "size" and size == 100:
        return  # is not asked for
    with pytest.raises(Unreadable):
        read(store)
    assert quarantined(store) == set()
    assert read(FileStore(str(tmp_path), settings=NO_RESERVE)) == bytes(size)


def test_an_io_error_is_no_other_change(tmp_path: Path) -> None:
    """The same PUT sent again was a conflict if the file there could not be read."""
    put(FileStore(str(tmp_path), settings=NO_RESERVE), 1, b"one")
    with pytest.raises(DeviceUnavailable):
        put(FileStore(str(tmp_path), settings=NO_RESERVE, files=OneError("attribute", errno.EIO)), 1, b"one")


def test_a_failing_directory_makes_the_device_unavailable(tmp_path: Path) -> None:
    store = FileStore(str(tmp_path), settings=NO_RESERVE, files=OneError("list", errno.EIO))
    with pytest.raises(DeviceUnavailable):
        store.open(HERE)


@pytest.mark.parametrize("size", [100, 3_000_000])
def test_reads_that_are_not_in_memory_go_to_a_thread(tmp_path: Path, size: int) -> None:
    store = FileStore(str(tmp_path), settings=NO_RESERVE, files=OneError("read_cached", errno.EAGAIN))
    content = os.urandom(size)
    put(store, 1, content)
    assert read(store) == content
    assert read(store, 50, 99) == content[50:99]


class HalfCached(Files):
    """Memory holds some of what is asked for."""

    def read_cached(self, fd: int, buffer: bytearray | memoryview, offset: int) -> int:
        view = memoryview(buffer)
        return super().read_cached(fd, view[: len(view) // 2 + 1], offset)


@pytest.mark.parametrize("size", [1, 100, 3_000_000])
def test_reads_that_are_half_in_memory_are_completed(tmp_path: Path, size: int) -> None:
    store = FileStore(str(tmp_path), settings=NO_RESERVE, files=HalfCached())
    content = os.urandom(size)
    put(store, 1, content)
    assert read(store) == content


class Plain(Files):
    """A file system without unnamed files, attributes and a look at the cache."""

    def create_unnamed(self, directory: str, mode: int = 0o644) -> OpenFile:
        raise OSError(errno.EOPNOTSUPP, "")

    def set_attribute(self, fd: int, name: str, value: bytes) -> None:
        raise OSError(errno.ENOTSUP, "")

    def read_cached(self, fd: int, buffer: bytearray | memoryview, offset: int) -> int:
        raise OSError(errno.EOPNOTSUPP, "")


@pytest.mark.parametrize("size", [0, 100, 3_000_000])
def test_a_plain_file_system_will_do(tmp_path: Path, size: int) -> None:
    store = FileStore(str(tmp_path), settings=NO_RESERVE, files=Plain())
    content = os.urandom(size)
    put(store, 1, content, {"X-Object-Meta-A": "1"})
    assert read(store) == content
    assert store.info(HERE).metadata == {"X-Object-Meta-A": "1"}
    assert os.listdir(tmp_path / "tmp") == []
    with store.create(HERE, size) as writer:
        writer.write(content)
    wait_until(lambda: not os.listdir(tmp_path / "tmp"))
    assert describe_file(str(only_file(store)))["record_in"] == "trailer"


@pytest.fixture
def memory_root() -> Iterator[str]:
    if not os.path.isdir("/dev/shm"):
        pytest.skip("no tmpfs")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as root:
        yield root


def test_a_tmpfs_will_do(memory_root: str) -> None:
    store = FileStore(memory_root, settings=NO_RESERVE)
    content = os.urandom(1_000_000)
    put(store, 1, content, LONG)
    assert read(store) == content


def test_old_files_in_tmp_are_removed_and_young_ones_left(store: FileStore, tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    for name, age in (("old", 100_000), ("young", 1000)):
        (tmp_path / "tmp" / name).write_bytes(b"")
        os.utime(tmp_path / "tmp" / name, (1e9 - age, 1e9 - age))
    assert store.remove_stale_temporaries(1e9) == 1
    assert os.listdir(tmp_path / "tmp") == ["young"]


def test_foreign_names_are_passed_over(store: FileStore) -> None:
    put(store, 1, b"x")
    for path in ("", "5", "5/def", f"5/def/{HERE.hash}"):
        (Path(store.layout.objects) / path / "lost+found").mkdir()
    assert list(store.partitions()) == [5]
    assert list(store.suffixes(5)) == ["def"]
    assert list(store.locations(5, "def")) == [HERE]
    assert read(store) == b"x"


class Scarce(Files):
    def __init__(self, free: int) -> None:
        self.free = free
        self.asked = 0

    def space(self, path: str) -> Space:
        self.asked += 1
        return Space(10_000, self.free)


def test_the_reserve_is_kept(tmp_path: Path) -> None:
    store = FileStore(str(tmp_path), settings=FileSettings(Reserve.parse("10%"), ballast=0), files=Scarce(1500))
    store.create(HERE, 400).close()
    with pytest.raises(NoSpace):
        store.create(HERE, 200)


def test_space_is_asked_for_once_in_a_period() -> None:
    files, now = Scarce(1000), 0.0
    guard = SpaceGuard(files, "/", Reserve(500), lambda: now)
    guard.check(500)
    with pytest.raises(NoSpace):
        guard.check(1)
    assert files.asked == 1
    now = 1.5
    guard.check(500)
    assert files.asked == 2


@pytest.mark.parametrize(("text", "total", "left"), [("1%", 5000, 50), ("4K", 5000, 4096), ("0", 5000, 0)])
def test_reserves(text: str, total: int, left: int) -> None:
    assert Reserve.parse(text).of(total) == left


@pytest.mark.parametrize("text", ["100%", "-1%", "x", "%"])
def test_bad_reserves(text: str) -> None:
    with pytest.raises(ValueError):
        Reserve.parse(text)


def test_the_settings_table() -> None:
    values = settings.read(FileSettings, {"threads_per_disk": "7"})
    assert values == FileSettings(Reserve(percent=1.0), threads_per_disk=7, ballast=4 << 20)


def test_a_sound_file_is_described(store: FileStore) -> None:
    put(store, 1, bytes(BLOCK + 1), {"X-Object-Meta-A": "1"})
    output = describe_file(str(only_file(store)))
    assert output["sound"] and output["problems"] == [] and output["bad_blocks"] == []
    assert (output["kind"], output["size"], output["blocks"], output["record_in"]) == (
        "data",
        BLOCK + 1,
        2,
        "attribute",
    )
    assert output["record"]["headers"] == {"X-Object-Meta-A": "1"}
    store.post(HERE, ObjectMetadata(Timestamp(2), {}, "image/png"))
    output = describe_file(str(only_file(store, "meta")))
    assert output["sound"] and output["content_type_timestamp"] == "0000000000.00002"
    store.delete(HERE, NAME, Timestamp(3))
    output = describe_file(str(only_file(store, "ts")))
    assert output["sound"] and output["record"] == {"name": NAME, "timestamp": "0000000000.00003"}


def test_an_unsound_file_is_described(store: FileStore, tmp_path: Path) -> None:
    put(store, 1, bytes(3 * BLOCK))
    flip(only_file(store), BLOCK + 5)
    output = describe_file(str(only_file(store)))
    assert not output["sound"] and output["bad_blocks"] == [1]
    os.truncate(only_file(store), 100)
    output = describe_file(str(only_file(store)))
    assert not output["sound"] and output["record"]["size"] == 3 * BLOCK
    (tmp_path / "whatever").write_bytes(b"")
    assert len(describe_file(str(tmp_path / "whatever"))["problems"]) == 2
