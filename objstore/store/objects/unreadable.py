"""Files that the device failed to read: noted, read again minutes later, and quarantined if only they fail again.

An EIO may come from a controller, a cable or a storage network, and be over in a second; a whole device may be failing,
too. So a file that cannot be read is left in place and noted, by an empty file that all processes of the host see. It
is bad if it fails again later while other files of the device can be read. Everything here blocks.
"""

from __future__ import annotations

import contextlib
import os
import random
import secrets
from collections.abc import Iterator

from objstore.core.names import Location, is_hash, is_suffix
from objstore.runtime.files import Files
from objstore.store.change import DATA, Change
from objstore.store.disk_errors import UNREADABLE
from objstore.store.interface import QuarantineNote
from objstore.store.objects.hashes import list_dir
from objstore.store.objects.layout import Layout, changes_among, file_path, is_partition

_SAMPLES = 8  # other files that are read
_SAMPLE_SIZE = 64 * 1024  # bytes of each
_PARTITIONS = 4 * _SAMPLES  # looked at to find them


def note(files: Files, layout: Layout, location: Location, change: Change) -> None:
    """Note that a file cannot be read. The time of an earlier note stays. Best effort: the device is failing."""
    with contextlib.suppress(OSError):
        for directory in (os.path.dirname(layout.unreadable), layout.unreadable):
            with contextlib.suppress(FileExistsError):
                files.mkdir(directory)
        file = files.create(layout.unreadable_note(location, change))
        file.path = ""  # the name stays
        file.close()


def all_notes(files: Files, layout: Layout) -> list[QuarantineNote]:
    """Raises OSError."""
    noted = []
    for entry in list_dir(files, layout.unreadable):
        parsed = layout.parse_unreadable_note(entry)
        if parsed is not None:
            with contextlib.suppress(FileNotFoundError):
                noted.append(QuarantineNote(*parsed, files.modified(f"{layout.unreadable}/{entry}")))
    return noted


def forget_note(files: Files, layout: Layout, location: Location, change: Change) -> None:
    """Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        files.unlink(layout.unreadable_note(location, change))


def others_read_well(files: Files, layout: Layout, besides: Location) -> bool:
    """Can a new file, and most of some other files of the device, be read from the disk now?"""
    try:
        _write_and_read(files, layout)
        good, bad = 0, 0
        for path in _samples(files, layout, besides):
            if _reads(files, path):
                good += 1
            else:
                bad += 1
        return good >= 3 * bad
    except OSError:
        return False


def _write_and_read(files: Files, layout: Layout) -> None:
    with contextlib.suppress(FileExistsError):
        files.mkdir(layout.temporary)
    with contextlib.closing(files.create(f"{layout.temporary}/{secrets.token_hex(12)}")) as file:
        data = os.urandom(4096)
        files.write(file.fd, (data,))
        files.fsync(file.fd)
        files.drop_cached(file.fd, 0, len(data))
        files.read_at(file.fd, bytearray(len(data)), 0)


def _reads(files: Files, path: str) -> bool:
    try:
        with contextlib.closing(files.open(path)) as file:
            size = min(_SAMPLE_SIZE, files.size(file.fd))
            files.drop_cached(file.fd, 0, size)
            files.read_at(file.fd, bytearray(size), 0)
        return True
    except FileNotFoundError:  # removed meanwhile
        return True
    except OSError as error:
        if error.errno not in UNREADABLE:
            raise
        return False


def _samples(files: Files, layout: Layout, besides: Location) -> Iterator[str]:
    """The paths of some objects, each of another partition."""
    partitions = [name for name in list_dir(files, layout.objects) if is_partition(name)]
    count = 0
    for partition in random.sample(partitions, min(len(partitions), _PARTITIONS)):
        path = _any_object(files, layout, int(partition), besides)
        if path:
            yield path
            count += 1
            if count == _SAMPLES:
                return


def _any_object(files: Files, layout: Layout, partition: int, besides: Location) -> str:
    for suffix in filter(is_suffix, list_dir(files, layout.partition_dir(partition))):
        directory = layout.suffix_dir(partition, suffix)
        for name_hash in filter(is_hash, list_dir(files, directory)):
            for change in changes_among(list_dir(files, f"{directory}/{name_hash}")):
                if change.kind == DATA and name_hash != besides.hash:
                    return file_path(f"{directory}/{name_hash}", change)
    return ""
