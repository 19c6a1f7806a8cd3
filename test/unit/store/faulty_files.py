"""A twin of Files that works on a real directory while it keeps account of what is durable.

Each change is a step. At a chosen step the power is cut (PowerCut, and from then on at every
step), an error is raised, or a callback is run. `outcome` then builds, in another directory,
what a disk may hold after the cut: every change that was synced, and of the others none, or
a random choice, with content that was not synced cut short or full of zeros. Of pages written
in place each is one of its versions since the last sync, or one of them torn.

What counts as synced: of a file, content and attributes as they were at its last fsync; of a
change to directories, what each directory that it touches was synced after. A directory's
attributes count with its entries. Where names are ordered, what is left of changes that were
not synced is the first so many of them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from objstore.runtime.files import Buffer, Files, OpenFile

PAGE = 4096
SECTOR = 512  # bytes that a disk writes whole or not at all


class PowerCut(BaseException):
    """The machine is off. Not an Exception: nothing may handle it and go on."""


class Content(NamedTuple):
    data: bytes
    attributes: tuple[tuple[str, bytes], ...]


class Inode:
    """A file: what is in it now, and what was at its last sync."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.attributes: dict[str, bytes] = {}
        self.synced = Content(b"", ())
        self.dirty = False
        self.versions: dict[int, list[bytes]] = {}  # by page: what was written there since the last sync
        self.cuts: list[int] = []  # sizes that the file was cut to since the last sync

    def write_at(self, data: bytes, offset: int) -> None:
        end = offset + len(data)
        self.data += bytes(max(0, end - len(self.data)))
        self.data[offset:end] = data
        for page in range(offset // PAGE, -(-end // PAGE)):
            self.versions.setdefault(page, []).append(bytes(self.data[page * PAGE : (page + 1) * PAGE]))

    def truncate(self, size: int) -> None:
        self.data = self.data[:size] + bytes(max(0, size - len(self.data)))
        self.dirty = True
        self.cuts.append(size)
        for page in [page for page in self.versions if page * PAGE >= size]:
            del self.versions[page]
        if size % PAGE:
            self.versions.setdefault(size // PAGE, []).append(bytes(self.data[size - size % PAGE :]))

    def sync(self) -> None:
        self.sync_data()
        self.synced = self.now()
        self.dirty = False

    def sync_data(self) -> None:
        """All but the attributes."""
        self.synced = Content(bytes(self.data), self.synced.attributes)
        self.dirty = self.synced != self.now()
        self.versions = {}
        self.cuts = []

    def _pages_after_cut(self, choice: random.Random) -> bytes:
        """The synced content, with some of the pages that were written in place since then."""
        data = bytearray(self.synced.data[: choice.choice([len(self.synced.data), *self.cuts])])
        for page, versions in self.versions.items():
            start = page * PAGE
            old = bytes(data[start : start + PAGE])
            new = choice.choice([old, *versions, versions[-1]])
            if choice.random() < 0.1:
                torn = SECTOR * choice.randint(0, PAGE // SECTOR)
                new = new[:torn] + old[torn:]
            if new:
                data += bytes(max(0, start + len(new) - len(data)))
                data[start : start + len(new)] = new
        return bytes(data)

    def now(self) -> Content:
        return Content(bytes(self.data), tuple(self.attributes.items()))

    def after_cut(self, choice: random.Random | None) -> Content:
        if choice is None:
            return self.synced
        if self.versions or self.cuts:
            return Content(self._pages_after_cut(choice), self.synced.attributes)
        if not self.dirty:
            return self.synced
        data = bytes(self.data)
        old = self.synced.data[: len(data)]  # what was synced and not overwritten or cut off since is safe
        old += bytes(len(data) - len(old))
        keep = choice.randint(0, len(data))
        synced = min(len(data), len(self.synced.data))
        sectors = b"".join(choice.choice((data, old))[start : start + SECTOR] for start in range(0, len(data), SECTOR))
        shorter = max(keep, synced)
        damaged = [data, data[:shorter], data[:keep] + old[keep:], old, sectors, sectors[:shorter], self.synced.data]
        attributes = choice.choice([tuple(self.attributes.items()), self.synced.attributes])
        return Content(choice.choice(damaged), attributes)


class Change:
    """A change of names, and the directories that are still to be synced before it is durable."""

    def __init__(
        self,
        kind: str,
        path: str,
        new: str = "",
        inode: Inode | None = None,
        attribute: tuple[str, bytes] | None = None,
    ) -> None:
        self.kind = kind
        self.path = path
        self.new = new
        self.inode = inode
        self.attribute = attribute
        if attribute is None:
            self.unsynced = {os.path.dirname(each) for each in (path, new) if each}
        else:
            self.unsynced = {path}


class FaultyFiles(Files):
    """root: all that is there at first counts as durable. ordered: see `Files.orders_names`."""

    def __init__(self, root: str, unnamed: bool = True, ordered: bool = False) -> None:
        self.root = root
        self._ordered = ordered
        self.steps: list[str] = []
        self.cut_at: int | None = None
        self.fail_at: int | None = None
        self.failure = OSError(0, "")
        self.call_at: int | None = None
        self.call: Callable[[], None] = lambda: None
        self._dead = False
        self._unnamed = unnamed
        self._open: dict[int, Inode] = {}
        self._open_dirs: dict[int, str] = {}
        self._changes: list[Change] = []
        self._dirs, self._files = _scan(root)
        self._now: dict[str, Inode] = dict(self._files)

    def _step(self, what: str) -> None:
        if self._dead:
            raise PowerCut(what)
        self.steps.append(what)
        number = len(self.steps)
        if number == self.call_at:
            self.call()
        if number == self.cut_at:
            self._dead = True
            raise PowerCut(what)
        if number == self.fail_at:
            raise self.failure

    def cut(self) -> None:
        """Off, from now on."""
        self._dead = True
        raise PowerCut

    # Changes of content

    def create(self, path: str, mode: int = 0o644) -> OpenFile:
        self._step("create")
        file = super().create(path, mode)
        inode = self._open[file.fd] = Inode()
        self._changes.append(Change("link", path, inode=inode))
        self._now[path] = inode
        return file

    def create_unnamed(self, directory: str, mode: int = 0o644) -> OpenFile:
        self._step("create_unnamed")
        if not self._unnamed:
            raise OSError(95, "not supported")
        file = super().create_unnamed(directory, mode)
        self._open[file.fd] = Inode()
        return file

    def write(self, fd: int, pieces: Sequence[Buffer]) -> None:
        inode = self._open[fd]
        inode.dirty = True
        data = b"".join(pieces)
        inode.data += data[: len(data) // 2]
        self._step("write")
        inode.data += data[len(data) // 2 :]
        super().write(fd, pieces)

    def write_at(self, fd: int, pieces: Sequence[Buffer], offset: int) -> None:
        """A process killed in it has written half, or nothing of a single page."""
        data = b"".join(pieces)
        half = len(data) // 2 if len(data) > PAGE else 0
        self._put(fd, data[:half], offset)
        self._open[fd].write_at(data[half:], offset + half)  # a disk may have got what the process's end cuts off
        self._step("write_at")
        super().write_at(fd, (data[half:],), offset + half)

    def _put(self, fd: int, data: bytes, offset: int) -> None:
        if data:
            self._open[fd].write_at(data, offset)
            super().write_at(fd, (data,), offset)

    def truncate(self, fd: int, size: int) -> None:
        self._step("truncate")
        super().truncate(fd, size)
        self._open[fd].truncate(size)

    def preallocate(self, fd: int, size: int, offset: int = 0) -> None:
        self._step("preallocate")

    def open_to_write(self, path: str) -> OpenFile:
        file = super().open_to_write(path)
        self._open[file.fd] = self._now[path]
        return file

    def open_to_append(self, path: str, mode: int = 0o644) -> OpenFile:
        if path not in self._now:
            self._step("open_to_append")
            self._now[path] = Inode()
            self._changes.append(Change("link", path, inode=self._now[path]))
        file = super().open_to_append(path, mode)
        self._open[file.fd] = self._now[path]
        return file

    def punch(self, fd: int, offset: int, size: int) -> None:
        self._step("punch")
        super().punch(fd, offset, size)
        self._open[fd].write_at(bytes(size), offset)

    def set_attribute(self, fd: int, name: str, value: bytes) -> None:
        self._step("set_attribute")
        super().set_attribute(fd, name, value)
        self._open[fd].attributes[name] = value
        self._open[fd].dirty = True

    def fsync(self, fd: int) -> None:
        self._step("fsync")
        self._open[fd].sync()

    def fdatasync(self, fd: int) -> None:
        self._step("fdatasync")
        self._open[fd].sync_data()

    def set_direct(self, fd: int, direct: bool) -> bool:
        return True

    def write_direct(self, fd: int, block: memoryview) -> int:
        """As far as a power cut goes, the disk's own cache may lose what the page cache would."""
        self.write(fd, (block,))
        return len(block)

    def start_writeback(self, fd: int, offset: int = 0, size: int = 0) -> None:
        pass

    def await_writeback(self, fd: int, offset: int, size: int) -> None:
        pass

    def open_dir(self, path: str) -> OpenFile:
        file = super().open_dir(path)
        self._open_dirs[file.fd] = path
        return file

    def open_inside(self, directory: OpenFile, name: str, create: bool = False) -> OpenFile:
        path = f"{self._open_dirs[directory.fd]}/{name}"
        if create and path not in self._now:
            self._step("create")
            self._now[path] = Inode()
            self._changes.append(Change("link", path, inode=self._now[path]))
        file = super().open_inside(directory, name, create)
        self._open[file.fd] = self._now[path]
        return file

    def close(self, fd: int) -> None:
        self._open.pop(fd, None)
        self._open_dirs.pop(fd, None)
        super().close(fd)

    # Changes of names

    def link(self, file: OpenFile, path: str) -> None:
        self._step("link")
        super().link(file, path)
        self._now[path] = self._open[file.fd]
        self._changes.append(Change("link", path, inode=self._open[file.fd]))

    def link_again(self, path: str, new: str) -> None:
        self._step("link_again")
        super().link_again(path, new)
        self._now[new] = self._now[path]
        self._changes.append(Change("link", new, inode=self._now[path]))

    def mkdir(self, path: str) -> None:
        self._step("mkdir")
        super().mkdir(path)
        self._changes.append(Change("mkdir", path))

    def rmdir(self, path: str) -> None:
        self._step("rmdir")
        super().rmdir(path)
        self._changes.append(Change("rmdir", path))

    def unlink(self, path: str) -> None:
        if self._dead:  # the clean-up of a file let go, long after the cut
            raise OSError(errno.EIO, "off")
        self._step("unlink")
        super().unlink(path)
        self._now.pop(path, None)
        self._changes.append(Change("unlink", path))

    def rename(self, old: str, new: str) -> None:
        self._step("rename")
        super().rename(old, new)
        _move(self._now, old, new)
        for fd, path in self._open_dirs.items():
            self._open_dirs[fd] = _moved(path, old, new)
        self._changes.append(Change("rename", old, new, self._now.get(new)))

    def mark_dir(self, path: str, name: str, value: bytes, replace: bool = False) -> None:
        self._step("mark_dir")
        super().mark_dir(path, name, value, replace)
        self._changes.append(Change("mark", path, attribute=(name, value)))

    def unmark_dir(self, path: str, name: str) -> None:
        self._step("unmark_dir")
        super().unmark_dir(path, name)
        self._changes.append(Change("unmark", path, attribute=(name, b"")))

    def fsync_dir(self, path: str) -> None:
        self._step("fsync_dir")
        if not os.path.isdir(path):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        for change in self._changes:
            if self._ordered:
                change.unsynced.clear()
            else:
                change.unsynced.discard(path)

    def orders_names(self, path: str) -> bool:
        return self._ordered

    # After the cut

    def outcome(self, target: Path, seed: int | None) -> str:
        """Build in `target` what may be left; seed None: nothing that was not synced."""
        choice = None if seed is None else random.Random(seed)
        dirs = {path: dict(attributes) for path, attributes in self._dirs.items()}
        files = dict(self._files)
        for change in self._kept(choice):
            _apply(change, dirs, files)
        target.mkdir()
        for path, marks in sorted(dirs.items()):
            directory = target / os.path.relpath(path, self.root)
            directory.mkdir(exist_ok=True)
            for name, value in marks.items():
                os.setxattr(directory, name, value)
        for path, inode in files.items():
            data, attributes = inode.after_cut(choice)
            place = target / os.path.relpath(path, self.root)
            place.write_bytes(data)
            for name, value in attributes:
                os.setxattr(place, name, value)
        return str(target)

    def _kept(self, choice: random.Random | None) -> list[Change]:
        """The changes of directories that a cut leaves."""
        synced = [change for change in self._changes if not change.unsynced]
        if choice is None:
            return synced
        if self._ordered:
            return self._changes[: choice.randint(len(synced), len(self._changes))]
        return [change for change in self._changes if not change.unsynced or choice.random() < 0.5]


def _apply(change: Change, dirs: dict[str, dict[str, bytes]], files: dict[str, Inode]) -> None:
    """One change to the names on disk; without effect where what it rests on was lost."""
    parent = os.path.dirname(change.new or change.path)
    if change.kind == "mkdir" and parent in dirs:
        dirs[change.path] = {}
    elif change.kind == "rmdir":
        if not any(os.path.dirname(path) == change.path for path in (*files, *dirs)):
            dirs.pop(change.path, None)
    elif change.kind == "mark" and change.path in dirs:
        assert change.attribute is not None
        dirs[change.path].update((change.attribute,))
    elif change.kind == "unmark" and change.path in dirs:
        assert change.attribute is not None
        dirs[change.path].pop(change.attribute[0], None)
    elif change.kind == "unlink":
        files.pop(change.path, None)
    elif change.kind == "link" and parent in dirs:
        assert change.inode is not None
        files[change.path] = change.inode
    elif change.kind == "rename" and parent in dirs and (change.path in files or change.path in dirs):
        _move(files, change.path, change.new)
        _move(dirs, change.path, change.new)


def _moved(path: str, old: str, new: str) -> str:
    """A path after a file or directory was renamed."""
    return new + path.removeprefix(old) if path == old or path.startswith(f"{old}/") else path


def _move(paths: dict[str, Any], old: str, new: str) -> None:
    for path in list(paths):
        if _moved(path, old, new) != path:
            paths[_moved(path, old, new)] = paths.pop(path)


def _scan(root: str) -> tuple[dict[str, dict[str, bytes]], dict[str, Inode]]:
    dirs, files = {}, {}
    for directory, _, names in os.walk(root):
        dirs[directory] = {each: os.getxattr(directory, each) for each in os.listxattr(directory)}
        for name in names:
            path = f"{directory}/{name}"
            inode = files[path] = Inode()
            inode.data = bytearray(Path(path).read_bytes())
            with contextlib.suppress(OSError):
                inode.attributes = {each: os.getxattr(path, each) for each in os.listxattr(path)}
            inode.synced = inode.now()
    return dirs, files


class Inline:
    """A queue of commits without a thread: each is a group of its own."""

    def __init__(
        self, name: str, run_batch: Callable[..., Sequence[BaseException | None]], patience: float = 0.0
    ) -> None:
        self._run_batch = run_batch

    def aside(self, call: Callable[[], object]) -> None:
        call()

    def run_all(self, items: Sequence[object]) -> list[BaseException | None]:
        return list(self._run_batch(items))

    def run(self, item: object) -> None:
        (outcome,) = self._run_batch([item])
        if outcome is not None:
            raise outcome
