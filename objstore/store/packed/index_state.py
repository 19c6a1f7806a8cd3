"""The state of a checkpoint: how far volumes and marks were in the index when all of it was durable.

The file `index/state` is a line of JSON, replaced as a whole:

    {"boot": <text>, "at": <seconds>, "volumes": {"<number>": [<position>, <marks>, <marks of the one before>]}}

It lies in the directory of the index, and so goes with it. Whoever writes it, or makes the index ready, holds the lock
`<device>/packed/.rebuild`.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from typing import NamedTuple

from objstore.core.errors import DeviceUnavailable
from objstore.runtime.files import Files

_NAME = "state"
_LOCK = ".rebuild"
_PATIENCE = 1.0  # seconds to wait for others who make the index ready
_PAUSE = 0.02
_MAX_BYTES = 1 << 24


class VolumePosition(NamedTuple):
    """Records before `position` are in the index, and so are the first bytes of marks: `marks`.

    older_marks: as `marks`, of a checkpoint some time before.
    """

    position: int
    marks: int
    older_marks: int


class IndexState(NamedTuple):
    """boot: the identity of the boot in which the index was last in use. at: seconds since the epoch."""

    boot: str
    at: float
    volumes: dict[int, VolumePosition]


def read_state(files: Files, index: str) -> IndexState | None:
    """Return the state of the index in a directory; None if there is none, or none that is sound. Raises OSError."""
    try:
        file = files.open(f"{index}/{_NAME}")
    except (FileNotFoundError, NotADirectoryError):
        return None
    data = bytearray(min(files.size(file.fd), _MAX_BYTES))
    del data[files.read_at(file.fd, data, 0) :]
    try:
        fields = json.loads(data)
        volumes = {int(number): VolumePosition(*map(int, values)) for number, values in fields["volumes"].items()}
        return IndexState(str(fields["boot"]), float(fields["at"]), volumes)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def write_state(files: Files, index: str, state: IndexState) -> None:
    """Replace the state of an index, durably. Raises OSError."""
    files.replace(f"{index}/{_NAME}", json.dumps(state._asdict()).encode())


@contextlib.contextmanager
def index_lock(files: Files, directory: str) -> Iterator[None]:
    """Keep others from making the index ready. Raises DeviceUnavailable if one takes long.

    directory: `<device>/packed`.
    """
    lock = files.open_to_append(f"{directory}/{_LOCK}")
    try:
        deadline = time.monotonic() + _PATIENCE
        while not files.try_lock(lock.fd):
            if time.monotonic() > deadline:
                raise DeviceUnavailable(f"{directory}: the index is being rebuilt")
            time.sleep(_PAUSE)
        yield
    finally:
        with contextlib.suppress(OSError):
            files.unlock(lock.fd)
        lock.close()
