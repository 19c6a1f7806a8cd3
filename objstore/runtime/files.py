"""The seam to the file system: the only caller of fsync, rename and link.

Whatever must survive a power cut passes through a `Files`; tests put a twin in its place
that forgets what was not synced.
"""

from __future__ import annotations

import os
import secrets


class Files:
    """The operating system's files."""

    def fsync_dir(self, path: str) -> None:
        """Make the entries of a directory durable."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def replace(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Put a small file in place as a whole: readers, and a power cut, see the old or the new."""
        temporary = f"{path}.{secrets.token_hex(6)}.tmp"
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.rename(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
        self.fsync_dir(os.path.dirname(path) or ".")


FILES = Files()
