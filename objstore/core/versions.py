"""Headers of a name whose versions are stored elsewhere, known to all servers and filters.

The object under such a name is the first version itself or, later, a *pointer*: a manifest of the current version's
bytes or, for a delete marker, of nothing. Clients do not see the latter, and it has no row in a listing.
"""

from __future__ import annotations

from collections.abc import Mapping

VERSION = "X-Object-Sysmeta-Version"  # which version is the current one, in the form of who keeps them
# Of a version that lies under its name itself, with its data, and not behind a pointer: which one it is, in that form.
IN_PLACE = "X-Object-Sysmeta-Version-In-Place"
# Up to which time versions count, if that is after the current one, since an older version was made current again.
RESTORED = "X-Object-Sysmeta-Version-Restored"
# X-Delete-At of the current version, which may be out of date: the version itself has the true one.
EXPIRES = "X-Object-Sysmeta-Version-Expires"
DELETED = "X-Object-Sysmeta-Deleted"  # `true` where that is a delete marker
# With an object without a row: the container's servers get a deletion.
UNLISTED = "X-Object-Sysmeta-Container-Update-Override-Deleted"
# With an object whose bytes are the version's: the account counts them there.
COUNTED_ELSEWHERE = "X-Object-Sysmeta-Container-Update-Override-Elsewhere"
# The content type of a delete marker's pointer. Its row is a deletion of this type: no listing shows it, but the
# container is not empty while it is there.
MARKER_TYPE = "application/x-delete-marker"


def keeps_versions(sysmeta: Mapping[str, str]) -> bool:
    """Return whether a container's bucket has, or had, versioning enabled. sysmeta: as in `web.infos.ContainerInfo`."""
    return bool(sysmeta.get("s3-versioning-0"))
