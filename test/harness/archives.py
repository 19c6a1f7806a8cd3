"""Tar archives for tests of bulk uploads."""

from __future__ import annotations

import io
import tarfile
from typing import Any


def archive(*members: Any, mode: str = "w", **options: Any) -> bytes:
    """Return an archive of (name, content, PAX records) and of TarInfos. options: of `tarfile.open`."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=mode, errors="surrogateescape", **options) as tar:  # type: ignore[call-overload]
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
                continue
            name, content, *records = member
            info = tarfile.TarInfo(name)
            info.size = len(content)
            info.pax_headers = records[0] if records else {}
            tar.addfile(info, io.BytesIO(content))
    return made.getvalue()


def of_type(name: str, type: bytes, size: int = 0) -> tarfile.TarInfo:
    """Return a member of another type than a file."""
    info = tarfile.TarInfo(name)
    info.type, info.size = type, size
    return info
