"""The volumes that a process has open for reading."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from objstore.runtime.files import Files, OpenFile
from objstore.store.objects.format import Unsound
from objstore.store.packed.format import FIELDS_SIZE, decode_volume_header
from objstore.store.packed.volume_directory import VolumeDirectory, volume_name

_CHECK_SECONDS = 1.0
_MAX_OPEN = 128


class OpenVolume:
    """A volume open for reading. good_until: when it must be seen to be still under its path.

    marks: the file of its marks, once one has been written.
    """

    __slots__ = ("file", "good_until", "marks", "tag", "used")

    def __init__(self, file: OpenFile, tag: bytes, now: float) -> None:
        self.file = file
        self.tag = tag
        self.marks: OpenFile | None = None
        self.good_until = now + _CHECK_SECONDS
        self.used = now


class OpenVolumes:
    """Opens volumes when they are asked for, and keeps the last ones open. For any number of threads."""

    def __init__(
        self, files: Files, directory: VolumeDirectory, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._files = files
        self._directory = directory
        self._monotonic = monotonic
        self._opened: dict[int, OpenVolume] = {}
        self._lock = threading.Lock()

    def get(self, volume: int) -> OpenVolume:
        """Return an open volume. Raises OSError, FileNotFoundError if it is gone, Unsound if its header is not."""
        now = self._monotonic()
        opened = self._current(volume, now)
        if opened is None:
            file = self._files.open(self._directory.volume_path(volume))
            opened = self._add(volume, OpenVolume(file, self._directory.header(file).tag, now))
        opened.used = now
        return opened

    def cached(self, volume: int) -> OpenVolume | None:
        """As `get`, without waiting for the disk; None if that is not possible."""
        now = self._monotonic()
        opened = self._opened.get(volume)
        if opened is None or now > opened.good_until:
            opened = self._current(volume, now) or self._open_cached(volume, now)
            if opened is None:
                return None
        opened.used = now
        return opened

    def _open_cached(self, volume: int, now: float) -> OpenVolume | None:
        cached = self._files.open_cached(self._directory.path, volume_name(volume))
        if cached is None:
            return None
        header = bytearray(FIELDS_SIZE)
        try:
            del header[self._files.read_cached(cached.file.fd, header, 0) :]
            tag = decode_volume_header(header).tag
        except (OSError, Unsound):
            return None
        return self._add(volume, OpenVolume(cached.file, tag, now))

    def _current(self, volume: int, now: float) -> OpenVolume | None:
        """The open volume, if it is still the file under its path."""
        opened = self._opened.get(volume)
        if opened is None or now <= opened.good_until:
            return opened
        # An open file keeps its directories in memory, so that this does not wait.
        if self._files.is_at(opened.file.fd, self._directory.volume_path(volume)):
            opened.good_until = now + _CHECK_SECONDS
            return opened
        self.drop(volume, opened)
        return None

    def _add(self, volume: int, opened: OpenVolume) -> OpenVolume:
        self._files.reads_exactly(opened.file.fd)
        with self._lock:
            if len(self._opened) >= _MAX_OPEN:
                del self._opened[min(self._opened, key=lambda each: self._opened[each].used)]
            self._opened[volume] = opened
        return opened

    def drop(self, volume: int, opened: OpenVolume) -> None:
        """Forget an open volume, unless another file was opened in its place; its last user closes it."""
        with self._lock:
            if self._opened.get(volume) is opened:
                del self._opened[volume]

    def forget(self, volume: int) -> None:
        """Forget whatever is open of a volume."""
        with self._lock:
            self._opened.pop(volume, None)

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._opened.clear()
