"""The paths of databases on a device: all of them are built and parsed here.

`<root>/<directory of the kind>/<partition>/<suffix>/<hash>/<hash>.db`, beside it SQLite's
`-wal` and `-shm`; damaged ones under `<root>/quarantined/<directory of the kind>/<hash>`. An empty file
`<root>/unreadable/<directory of the kind>/<partition>-<hash>` notes one that the device failed to read.
"""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Iterator, Sequence

from objstore.core.names import Location
from objstore.runtime.files import Files

TEMPORARY = "tmp"
UNREADABLE = "unreadable"
QUARANTINED = "quarantined"
_PARTITION = re.compile(r"\d{1,10}\Z", re.ASCII)
_SUFFIX = re.compile(r"[0-9a-f]{3}\Z")
_REMOVED = re.compile(r"[0-9a-f]{32}-[0-9a-f]{12}\Z")
_QUARANTINED = re.compile(r"[0-9a-f]{32}(?:-[0-9a-f]{12})?\Z")
_NOTE = re.compile(r"\d{1,10}-[0-9a-f]{32}\Z", re.ASCII)
_HASH = re.compile(r"[0-9a-f]{32}\Z")


def parts(kind_directory: str, location: Location) -> tuple[str, ...]:
    """The directories from the root down to the one that holds the database."""
    return kind_directory, str(location.partition), location.suffix, location.hash


def directory(root: str, kind_directory: str, location: Location) -> str:
    return f"{root}/{kind_directory}/{location.partition}/{location.suffix}/{location.hash}"


def path(root: str, kind_directory: str, location: Location) -> str:
    return f"{directory(root, kind_directory, location)}/{location.hash}.db"


def quarantine(root: str, kind_directory: str, name_hash: str) -> str:
    return f"{root}/{QUARANTINED}/{kind_directory}/{name_hash}"


def unreadable_note(root: str, kind_directory: str, location: Location) -> str:
    """The path of the note that the device failed to read a database."""
    return f"{root}/{UNREADABLE}/{kind_directory}/{location.partition}-{location.hash}"


def all_unreadable(files: Files, root: str, kind_directory: str) -> list[Location]:
    """The databases of which there is such a note."""
    notes = _names(files, f"{root}/{UNREADABLE}/{kind_directory}", _NOTE)
    return [Location(int(partition), name_hash) for partition, _, name_hash in (note.partition("-") for note in notes)]


def all_quarantined(files: Files, root: str, kind_directory: str) -> list[str]:
    """The directories of quarantined databases of a kind."""
    top = f"{root}/{QUARANTINED}/{kind_directory}"
    return [f"{top}/{name}" for name in _names(files, top, _QUARANTINED)]


def hash_of_quarantined(path: str) -> str:
    return path.rpartition("/")[2].partition("-")[0]


def removed_name(location: Location) -> str:
    """Return the name under `tmp` of a database's directory while it is deleted."""
    return f"{location.hash}-{secrets.token_hex(6)}"


def list_removed(files: Files, temporary: str) -> list[str]:
    """Names in `tmp` that are those of directories being deleted."""
    return _names(files, temporary, _REMOVED)


def position(location: Location) -> list[str]:
    """By which the databases of a device are in order."""
    return [str(location.partition), location.suffix, location.hash]


def locations(files: Files, root: str, kind_directory: str, first: Sequence[str] = ()) -> Iterator[Location]:
    """Every place that has, or had a moment ago, a database, in order of their positions, from one on.

    What is not named as a database is passed over. Blocks, again and again.
    """
    begin = list(first)
    for partition in _names(files, f"{root}/{kind_directory}", _PARTITION):
        if [partition] >= begin[:1]:
            for location in of_partition(files, root, kind_directory, int(partition)):
                if position(location) >= begin:
                    yield location


def partitions(files: Files, root: str, kind_directory: str) -> list[int]:
    """Those that have a directory, in order."""
    return sorted(map(int, _names(files, f"{root}/{kind_directory}", _PARTITION)))


def of_partition(files: Files, root: str, kind_directory: str, partition: int) -> list[Location]:
    """The places in a partition that have, or had a moment ago, a database."""
    top = f"{root}/{kind_directory}/{partition}"
    return [
        Location(partition, name_hash)
        for suffix in _names(files, top, _SUFFIX)
        for name_hash in _names(files, f"{top}/{suffix}", _HASH)
        if name_hash.endswith(suffix)
    ]


def remove_empty(files: Files, root: str, kind_directory: str, partition: int) -> None:
    """Remove a partition's directories that hold nothing."""
    top = f"{root}/{kind_directory}/{partition}"
    for path in (*(f"{top}/{suffix}" for suffix in _names(files, top, _SUFFIX)), top):
        with contextlib.suppress(OSError):  # something is in it, or it is gone
            files.rmdir(path)


def _names(files: Files, directory: str, pattern: re.Pattern[str]) -> list[str]:
    try:
        return sorted(filter(pattern.match, files.list(directory)))
    except (FileNotFoundError, NotADirectoryError):
        return []
