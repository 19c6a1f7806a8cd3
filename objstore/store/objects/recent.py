"""Look-ups of a moment ago, without the disk.

What a look-up reads of a name, its directory and the file's metadata, may have left memory since, and the system has no
call that reads them from memory alone. So the result is kept, and is good as long as directory and file are unchanged:
that can be seen, and the file be opened, without waiting for the disk.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from objstore.runtime.files import Files, Stamp
from objstore.store.objects.liveness import Liveness
from objstore.store.objects.lookup import LiveObject, look_up

_SETTLED = 1_000_000_000  # nanoseconds after which another change of a directory has another time


class Looked(NamedTuple):
    """The result of a look-up, and the stamps of its directory and file; None if it is too fresh to be kept."""

    found: LiveObject | Liveness
    stamps: tuple[Stamp, Stamp] | None


def look(files: Files, directory: str, now: Callable[[], int] = time.time_ns) -> Looked:
    """Look a name up, in a thread. Raises what `look_up` raises."""
    before = None
    try:
        before = files.stamp_dir(directory)
    except FileNotFoundError:
        pass
    found = look_up(files, directory)
    if before is None or not isinstance(found, LiveObject) or now() - before[2] < _SETTLED:
        return Looked(found, None)
    return Looked(found, (before, files.stamp(found.file.fd)))


class Recent:
    """Results of look-ups by directory, the `limit` last used."""

    def __init__(self, files: Files, limit: int) -> None:
        self._files = files
        self._limit = limit
        self._entries: OrderedDict[str, tuple[LiveObject, str, tuple[Stamp, Stamp]]] = OrderedDict()

    def keep(self, directory: str, looked: Looked) -> None:
        if looked.stamps is None or not isinstance(looked.found, LiveObject) or not self._limit:
            return
        found = looked.found._replace(file=None)  # type: ignore[arg-type]
        self._entries[directory] = found, str(found.change), looked.stamps
        if len(self._entries) > self._limit:
            self._entries.popitem(last=False)

    def find(self, directory: str) -> LiveObject | None:
        """The live object, open; None if the disk must be asked."""
        kept = self._entries.get(directory)
        if kept is None:
            return None
        found, name, stamps = kept
        cached = self._files.open_cached(directory, name)
        if cached is not None:
            if (cached.directory_stamp, cached.file_stamp) == stamps:
                self._entries.move_to_end(directory)
                return LiveObject(found.change, cached.file, found.info, found.meta, found.spilled)
            cached.file.close()
        del self._entries[directory]
        return None
