"""The spool of updates that a server could not deliver: stored on the device until it can.

An object server that has stored an object updates the servers of its container; a container server those of its
account. Updates to servers that do not answer are sent later, from here. An update is a
file

    <device>/async_pending[-<policy>]/<suffix>/<hash>-<timestamp>

with hash and suffix of the name that changed, holding one record (see
`store.objects.format.encode_record`): JSON with a version and a checksum. Updates of one
name do not replace each other: each may be needed by another server.

The spool knows nothing of the receivers and contents of updates.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from objstore.core.errors import InvalidInput
from objstore.core.names import is_hash, is_suffix
from objstore.core.timestamps import Timestamp
from objstore.runtime.files import FILES, Files
from objstore.store import ballast
from objstore.store.disk_errors import FULL, translate
from objstore.store.objects.format import Unsound, decode_record, encode_record

VERSION = 1


def spool_dir(policy_index: int) -> str:
    """The directory on a device for the updates of a policy's objects; containers use 0."""
    return f"async_pending-{policy_index}" if policy_index else "async_pending"


class SpooledUpdate(NamedTuple):
    """hash: of the name that changed, 32 hex digits. payload: JSON; the update, and the receivers that still need
    it."""

    hash: str
    timestamp: Timestamp
    payload: Mapping[str, Any]

    @property
    def file_name(self) -> str:
        return f"{self.hash}-{self.timestamp.internal}"


def parse_file_name(name: str) -> tuple[str, Timestamp] | None:
    """Return hash and timestamp of an update's file name; None for other names."""
    name_hash, _, stamp = name.partition("-")
    try:
        timestamp = Timestamp.parse(stamp)
    except InvalidInput:
        return None
    return (name_hash, timestamp) if is_hash(name_hash) and timestamp.internal == stamp else None


class Spool:
    """The updates of one device and policy. All methods block; call them from a thread.

    root: the device's directory, which must exist. They raise NoSpace and DeviceUnavailable.
    """

    def __init__(self, root: str, files: Files = FILES, policy: int = 0) -> None:
        self._device = root.rstrip("/")
        self._files = files
        self._root = f"{self._device}/{spool_dir(policy)}"
        self._quarantined = f"{self._device}/quarantined"

    @property
    def directory(self) -> str:
        return self._root

    def _path(self, update: SpooledUpdate) -> str:
        return f"{self._root}/{update.hash[-3:]}/{update.file_name}"

    def put(self, update: SpooledUpdate) -> None:
        """Keep an update; on return it would survive a power cut. One of the same name and time is replaced."""
        record = encode_record({"version": VERSION, "payload": dict(update.payload)})
        path = self._path(update)
        try:
            try:
                self._put(path, record)
            except OSError as error:
                if error.errno not in FULL or not ballast.release(self._files, self._device):
                    raise
                self._put(path, record)
        except OSError as error:
            raise translate(error, self._device) from error

    def _put(self, path: str, record: bytes) -> None:
        """Raises OSError."""
        for parent in (self._root, path.rpartition("/")[0]):
            with contextlib.suppress(FileExistsError):
                self._files.mkdir(parent)
            # Also if it was there: its maker may not have synced it yet.
            self._files.fsync_dir(parent.rpartition("/")[0])
        self._files.replace(path, record)

    def iter(self) -> Iterator[SpooledUpdate]:
        """All updates, each name's in order of time; what is put or removed meanwhile may be seen or not.

        Files that cannot be read as updates are moved to `quarantined/` and passed over.
        """
        for suffix in filter(is_suffix, self._entries(self._root)):
            directory = f"{self._root}/{suffix}"
            for name in sorted(self._entries(directory)):
                parsed = parse_file_name(name)
                if parsed is None:
                    continue
                payload = self._payload(f"{directory}/{name}")
                if payload is not None:
                    yield SpooledUpdate(*parsed, payload)

    def count(self) -> int:
        """Return the number of waiting updates, counted by their names."""
        suffixes = filter(is_suffix, self._entries(self._root))
        names = (name for suffix in suffixes for name in self._entries(f"{self._root}/{suffix}"))
        return sum(parse_file_name(name) is not None for name in names)

    def remove(self, update: SpooledUpdate) -> None:
        """Remove an update; it is not an error if it is missing. It may reappear after a power cut, and is then sent
        again."""
        with contextlib.suppress(FileNotFoundError):
            self._files.unlink(self._path(update))

    def _entries(self, path: str) -> list[str]:
        try:
            return self._files.list(path)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise translate(error, self._device) from error

    def _payload(self, path: str) -> dict[str, object] | None:
        try:
            with contextlib.closing(self._files.open(path)) as file:
                buffer = bytearray(self._files.size(file.fd))
                self._files.read_at(file.fd, buffer, 0)
            fields = decode_record(bytes(buffer))
            if fields.get("version") != VERSION or type(fields.get("payload")) is not dict:
                raise Unsound(f"no update of version {VERSION}")
            payload: dict[str, object] = fields["payload"]
            return payload
        except FileNotFoundError:
            return None
        except Unsound:
            self._quarantine(path)
            return None
        except OSError as error:
            raise translate(error, self._device) from error

    def _quarantine(self, path: str) -> None:
        with contextlib.suppress(FileExistsError):
            self._files.mkdir(self._quarantined)
        with contextlib.suppress(FileNotFoundError):
            self._files.rename(path, f"{self._quarantined}/{path.rpartition('/')[2]}-{secrets.token_hex(4)}")
