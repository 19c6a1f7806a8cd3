"""A disk with faults under a real file system: `faultdisk.c` as a FUSE file, a loop device on it, mounted.

    disk = FaultyDisk(program, directory, "ext4", mount)
    disk.set(read_eio=1)        until disk.heal()

Needs root and the programs of `needs`; the caller ends it with `close`, whatever happened.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import re
import struct
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import NamedTuple

from harness.processes import die_with_parent, wait_until

SOURCE = Path(__file__).with_name("faultdisk.c")
MIB = 1 << 20
_LOOP_GET_FREE = 0x4C82
_FIELDS = (
    "read_eio", "write_eio", "flush_eio", "drop_writes", "delay_us", "hang", "logging", "ranges",
    "reads", "writes", "flushes", "faults", "seq",
)  # fmt: skip
_FAULTS = _FIELDS[:6]
_FIRST_RANGE = 16 * 8
_MAX_RANGES = 64
_RECORD = struct.Struct("<5q")
_WRITE, _FLUSH_BEGINS, _FLUSH_ENDS = 1, 2, 3


class FileSystem(NamedTuple):
    """size: of a disk, in bytes. options: of the mount. check: a command that mends it, if it needs one."""

    make: tuple[str, ...]
    size: int
    options: str = ""
    check: tuple[str, ...] = ()


FILE_SYSTEMS = {
    "ext4": FileSystem(
        ("mkfs.ext4", "-q", "-F", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0"),
        400 * MIB,
        "errors=remount-ro",
        ("fsck.ext4", "-fy"),
    ),
    "ext4 of few inodes": FileSystem(("mkfs.ext4", "-q", "-F", "-N", "1200"), 400 * MIB, "errors=remount-ro"),
    "xfs": FileSystem(("mkfs.xfs", "-q", "-f", "-K"), 400 * MIB),
    "btrfs": FileSystem(("mkfs.btrfs", "-q", "-f", "-K"), 400 * MIB),
}


def build(directory: Path) -> Path:
    """Compile the program."""
    program = directory / "faultdisk"
    flags = _run("pkg-config", "--cflags", "--libs", "fuse").split()
    _run("gcc", "-O1", "-D_FILE_OFFSET_BITS=64", str(SOURCE), *flags, "-o", str(program))
    return program


class FaultyDisk:
    """directory: for its files. kind: of `FILE_SYSTEMS`. image: the bytes of a disk that exists already."""

    def __init__(self, program: Path, directory: Path, kind: str, mount: Path, image: Path | None = None) -> None:
        self.kind = kind
        self.mount_point = mount
        self._system = FILE_SYSTEMS[kind]
        self.image = image or directory / "image"
        self.log = directory / "log"
        self._control_file = directory / "control"
        self._fuse = directory / "fuse"
        self._fuse.mkdir(parents=True, exist_ok=True)
        mount.mkdir(parents=True, exist_ok=True)
        if image is None:
            _sparse(self.image, self._system.size)
        _sparse(self._control_file, mmap.PAGESIZE)
        self.log.write_bytes(b"")
        with open(self._control_file, "r+b") as file:
            self._control = mmap.mmap(file.fileno(), mmap.PAGESIZE)
        self._process = subprocess.Popen(
            [str(program), *map(str, (self.image, self._control_file, self.log, self._fuse)), "-f",
             "-o", "big_writes,max_write=131072"],
            stdin=subprocess.DEVNULL, preexec_fn=die_with_parent,
        )  # fmt: skip
        self.device = ""
        try:
            wait_until(lambda: (self._fuse / "disk").exists(), "the disk")
            self.device = _attach(self._fuse / "disk")
            if image is None:
                _run(*self._system.make, self.device)
            self.mount()
        except BaseException:
            self.close()
            raise

    # Faults

    def set(self, **fields: int) -> None:
        for name, value in fields.items():
            struct.pack_into("<q", self._control, 8 * _FIELDS.index(name), value)

    def get(self, name: str) -> int:
        value: int = struct.unpack_from("<q", self._control, 8 * _FIELDS.index(name))[0]
        return value

    def set_bad(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Let reads of these bytes of the disk fail."""
        chosen = [*ranges][:_MAX_RANGES]
        for number, (start, end) in enumerate(chosen):
            struct.pack_into("<2q", self._control, _FIRST_RANGE + 16 * number, start, end)
        self.set(ranges=len(chosen))

    def heal(self) -> None:
        self.set(**dict.fromkeys(_FAULTS, 0))
        self.set_bad(())

    # The file system

    @property
    def mounted(self) -> bool:
        return os.path.ismount(self.mount_point)

    @property
    def writable(self) -> bool:
        """Does the file system take a file, and make it durable?"""
        path = self.mount_point / "writable"
        try:
            with open(path, "wb") as file:
                file.write(b"x")
                os.fsync(file.fileno())
            path.unlink()
        except OSError:
            return False
        return self.mounted

    def mount(self) -> None:
        options = ("-o", self._system.options) if self._system.options else ()
        kind = self.kind.split()[0]
        _run("mount", "-t", kind, *options, self.device, str(self.mount_point))

    def unmount(self, lazily: bool = False) -> None:
        _run("umount", *(("-l",) if lazily else ()), str(self.mount_point))

    def repair(self) -> None:
        """As an operator does after faults: unmounted, checked, mounted. Nothing may have it open."""
        self.unmount()
        if self._system.check:
            subprocess.run([*self._system.check, self.device], capture_output=True, timeout=60, check=False)
        self.mount()

    def sync(self) -> None:
        _run("sync", "-f", str(self.mount_point))

    def forget_cached(self) -> None:
        """Let the next reads come from the disk, and not from memory."""
        for directory, _, names in os.walk(self.mount_point):
            for name in names:
                with suppress(OSError):
                    fd = os.open(f"{directory}/{name}", os.O_RDONLY)
                    try:
                        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                    finally:
                        os.close(fd)
        subprocess.run(["blockdev", "--flushbufs", self.device], check=False, timeout=60)

    def extents(self, path: Path, start: int, end: int) -> list[tuple[int, int]]:
        """The bytes of the disk that hold those of a file from `start` to `end`."""
        output = _run("filefrag", "-v", "-b1", str(path))
        found = re.findall(r"^\s*\d+:\s+(\d+)\.\.\s*(\d+):\s+(\d+)\.\.\s*\d+:", output, re.MULTILINE)
        extents = []
        for first, last, on_disk in [map(int, numbers) for numbers in found]:
            begin, until = max(first, start), min(last + 1, end)
            if begin < until:
                extents.append((on_disk + begin - first, on_disk + until - first))
        return extents

    def close(self) -> None:
        """Leave nothing behind, whatever state it is in."""
        self.heal()
        for _ in range(10):
            if not self.mounted:
                break
            subprocess.run(["umount", str(self.mount_point)], capture_output=True, timeout=60, check=False)
            if self.mounted:
                time.sleep(0.3)
        else:
            subprocess.run(["umount", "-l", str(self.mount_point)], capture_output=True, timeout=60, check=False)
        if self.device:
            subprocess.run(["losetup", "-d", self.device], capture_output=True, timeout=60, check=False)
        subprocess.run(["fusermount", "-u", str(self._fuse)], capture_output=True, timeout=60, check=False)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        self._process.kill()
        self._process.wait()


# Power cuts


class Record(NamedTuple):
    """A write, or the beginning or end of a flush. at: where its data are in the log. seconds: of `time.monotonic`."""

    kind: int
    number: int
    offset: int
    length: int
    seconds: float
    at: int


def read_log(path: Path) -> list[Record]:
    records = []
    with open(path, "rb") as file:
        while len(head := file.read(_RECORD.size)) == _RECORD.size:
            kind, number, offset, length, nanoseconds = _RECORD.unpack(head)
            records.append(Record(kind, number, offset, length, nanoseconds / 1e9, file.tell()))
            if kind == _WRITE:
                file.seek(length, os.SEEK_CUR)
    return records


def surviving(records: list[Record], cut: int, chance: Random, loss: float) -> Iterator[Record]:
    """The writes that are on a disk whose power is cut before record number `cut`.

    A flush that ended makes durable what came before it began; of later writes each is lost with the chance `loss`.
    """
    durable = 0
    for record in records[:cut]:
        if record.kind == _FLUSH_ENDS:
            durable = max(durable, record.offset)
    for record in records[:cut]:
        if record.kind == _WRITE and (record.number < durable or chance.random() >= loss):
            yield record


def replay(base: Path, log: Path, writes: Iterable[Record], image: Path) -> None:
    """The image of a disk after some of the writes of a log."""
    copy(base, image)
    with open(log, "rb") as source, open(image, "r+b") as target:
        for record in writes:
            source.seek(record.at)
            target.seek(record.offset)
            target.write(source.read(record.length))


def copy(source: Path, target: Path) -> None:
    """Of an image, without what is empty."""
    _run("cp", "--sparse=always", str(source), str(target))


def _sparse(path: Path, size: int) -> None:
    with open(path, "wb") as file:
        file.truncate(size)


def _attach(path: Path) -> str:
    """A loop device on a file. Others may take the free one first."""
    failure = ""
    for _ in range(20):
        control = os.open("/dev/loop-control", os.O_RDWR)
        try:
            number = fcntl.ioctl(control, _LOOP_GET_FREE)
        finally:
            os.close(control)
        device = f"/dev/loop{number}"
        if not os.path.exists(device):
            with suppress(FileExistsError):
                os.mknod(device, 0o60600, os.makedev(7, number))  # a block device
        done = subprocess.run(["losetup", device, str(path)], capture_output=True, text=True, timeout=60, check=False)
        if done.returncode == 0:
            return device
        failure = done.stderr
        time.sleep(0.1)
    raise AssertionError(f"no loop device: {failure}")


def _run(*arguments: str) -> str:
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{' '.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stdout
