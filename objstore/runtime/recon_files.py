"""The status files of a host's daemons, one JSON file per topic in a directory that /recon reads."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from objstore.runtime.files import FILES, Files
from objstore.runtime.settings import setting


@dataclass(frozen=True)
class ReconSettings:
    """The settings of the daemons' status files."""

    recon_cache_path: str = setting(
        str.strip, "", "directory of the daemons' status files for /recon; empty: .recon under devices"
    )


_END = ".json"


def directory(recon_cache_path: str, devices: str) -> str:
    """Return the directory of the files. A name with a dot is not that of a device."""
    return recon_cache_path or os.path.join(devices, ".recon")


def write(path: str, topic: str, status: object, files: Files = FILES) -> None:
    """Replace a topic's file in the directory `path`, which is made; readers see the old or the new. Blocks.

    Not synced: a power cut may leave an empty file, which counts as none. Raises OSError.
    """
    os.makedirs(path, exist_ok=True)
    final = os.path.join(path, topic + _END)
    file = files.create(f"{final}.{secrets.token_hex(6)}.tmp")
    try:
        files.write(file.fd, (json.dumps(status, default=str).encode(),))
        files.rename(file.path, final)
        file.path = ""  # nothing left to remove
    finally:
        file.close()


def forget(path: str, topic: str) -> None:
    """Remove the file of a topic. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(path, topic + _END))


def read(path: str, topic: str) -> object:
    """Read the status of a topic; None if it is missing or cannot be read. Blocks."""
    try:
        with open(os.path.join(path, topic + _END), "rb") as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def read_all(path: str) -> Mapping[str, object]:
    """All topics by name. Blocks."""
    try:
        names = sorted(entry.removesuffix(_END) for entry in os.listdir(path) if entry.endswith(_END))
    except OSError:
        return {}
    return {name: status for name in names if (status := read(path, name)) is not None}
