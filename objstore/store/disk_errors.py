"""The meaning of an OSError of a device for callers of an engine."""

from __future__ import annotations

import errno

from objstore.core.errors import DeviceUnavailable, NoSpace, ObjstoreError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
# The device or its file system fails to read. A controller or a cable may be the reason, for a second only,
# so that none of these says anything of what is stored.
UNREADABLE = frozenset({errno.EIO, errno.EILSEQ, getattr(errno, "EUCLEAN", errno.EIO), errno.EBADMSG})
# Besides those, the errors by which a device or its file system is gone, or takes no writes any more.
GONE = frozenset(
    {errno.EROFS, errno.ENODEV, errno.ENXIO, errno.ESTALE, errno.ENOTCONN, errno.ESHUTDOWN, errno.EREMOTEIO}
    | {errno.ETIMEDOUT, errno.ENOMEDIUM}
)


def translate(error: OSError, root: str) -> ObjstoreError:
    """NoSpace for a full device; DeviceUnavailable for all else, a device at `root` that fails us."""
    if error.errno in FULL:
        return NoSpace(f"{root}: {error.strerror}")
    return DeviceUnavailable(f"{root}: {error}")
