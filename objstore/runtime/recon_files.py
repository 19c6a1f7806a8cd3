"""What the daemons of a host tell, as one JSON file a topic in a directory that /recon reads."""

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
    """Where the state of daemons is kept."""

    recon_cache_path: str = setting(
        str.strip, "", "directory of the daemons' status files for /recon; empty: .recon under devices"
    )


_END = ".json"


def directory(recon_cache_path: str, devices: str) -> str:
    """Where the files are. A name with a dot is none of a device."""
    return recon_cache_path or os.path.join(devices, ".recon")


def write(path: str, topic: str, told: object, files: Files = FILES) -> None:
    """Replace a topic's file in the directory `path`, which is made; readers see the old or the new. Blocks.

    Not synced: a power cut may leave an empty file, which counts as none. Raises OSError.
    """
    os.makedirs(path, exist_ok=True)
    final = os.path.join(path, topic + _END)
    file = files.create(f"{final}.{secrets.token_hex(6)}.tmp")
    try:
        files.write(file.fd, (json.dumps(told, default=str).encode(),))
        files.rename(file.path, final)
        file.path = ""  # nothing left to remove
    finally:
        file.close()


def forget(path: str, topic: str) -> None:
    """Let nothing be told of a topic any more. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(path, topic + _END))


def read(path: str, topic: str) -> object:
    """What was told of a topic; None where nothing was, or it cannot be read. Blocks."""
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
    return {name: told for name in names if (told := read(path, name)) is not None}
