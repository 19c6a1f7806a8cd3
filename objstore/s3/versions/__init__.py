"""Versions of objects, in buckets where versioning is or was enabled.

Nouns: a *version* of a key is data or a *delete marker*; its *entry* holds it, an object in the
hidden container `versions` of the bucket (`names`). The *pointer*, under the key itself, names the *current*
version (`keys`). The *null* version is the one that writes replace while versioning is suspended; a
*plain* object, from before the bucket kept versions, is one. A *receipt* says that a version written under
a condition was the current one.

Promises: an answered write is kept until its version is deleted by id, whoever else writes the key at
once; the newest version is the current one, the one that reads and listings agree on; what was never
answered is never current over what was. How is told in `writes` and `removal`, and in doc/versioning.md.
"""

from objstore.s3.versions.history import any_left
from objstore.s3.versions.reads import change, read
from objstore.s3.versions.removal import delete
from objstore.s3.versions.states import ENABLED, SUSPENDED, check_id, state, unknown
from objstore.s3.versions.writes import earlier, write

__all__ = [
    "ENABLED",
    "SUSPENDED",
    "any_left",
    "change",
    "check_id",
    "delete",
    "earlier",
    "read",
    "state",
    "unknown",
    "write",
]
