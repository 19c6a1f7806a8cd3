"""What an OSError of a device means to callers of an engine."""

from __future__ import annotations

import errno

from objstore.core.errors import DeviceUnavailable, NoSpace, ObjstoreError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
# The file system says that these bytes cannot be had, though the device answers.
UNREADABLE = frozenset({errno.EIO, errno.EILSEQ, getattr(errno, "EUCLEAN", errno.EIO), errno.EBADMSG})


def translate(error: OSError, root: str) -> ObjstoreError:
    """NoSpace for a full device; DeviceUnavailable for all else, a device at `root` that fails us."""
    if error.errno in FULL:
        return NoSpace(f"{root}: {error.strerror}")
    return DeviceUnavailable(f"{root}: {error}")
