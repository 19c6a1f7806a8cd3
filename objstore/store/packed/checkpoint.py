"""Making the index durable as it is, so that the recovery after a power cut need not replay all volumes."""

from __future__ import annotations

import contextlib
import time

from objstore.runtime.boot import boot_id
from objstore.runtime.files import Files
from objstore.store.objects.format import Unsound
from objstore.store.packed.index import Index
from objstore.store.packed.index_state import IndexState, VolumePosition, index_lock, read_state, write_state
from objstore.store.packed.page_files import StaleIndex
from objstore.store.packed.volumes import Volumes

_MARKS_AGE = 30.0  # seconds between two checkpoints, so that marks of before the first are surely applied at the second


def checkpoint(files: Files, directory: str, volumes: Volumes, index: Index, boot: str = "") -> None:
    """Make the index durable, and note how far volumes are in it, to shorten the recovery after a power cut.

    directory: `<device>/packed`. boot: identity of this boot, by default that of the system. Call it every minute.
    Raises StaleIndex, DeviceUnavailable, OSError.
    """
    path = f"{directory}/index"
    state = _state_now(volumes, boot or boot_id(), read_state(files, path))
    volumes.sync_marks()
    index.sync()
    with index_lock(files, directory):
        if not index.is_current():
            raise StaleIndex(path)
        write_state(files, path, state)


def _state_now(volumes: Volumes, boot: str, before: IndexState | None) -> IndexState:
    """The positions up to which volumes are in the index now. before: the state of the last checkpoint."""
    now = time.time()
    if before is None or before.boot != boot:
        before = IndexState(boot, 0.0, {})
    is_old = before.at <= now - _MARKS_AGE
    positions = {}
    for volume in volumes.numbers():
        with contextlib.suppress(FileNotFoundError, Unsound):
            marks = volumes.marks_size(volume)
            last = before.volumes.get(volume, VolumePosition(0, 0, 0))
            older = last.marks if is_old else last.older_marks
            positions[volume] = VolumePosition(volumes.noted(volume), marks if is_old else last.marks, older)
    return IndexState(boot, now if is_old else before.at, positions)
