"""Versions of objects, in containers where versioning is or was enabled.

Nouns: a *version* of a key is data or a *delete marker*; its *entry* holds it, an object in the
hidden container `versions` of the container (`names`). The *pointer*, under the key itself, names the *current*
version (`keys`). The *null* version is the one that writes replace while versioning is suspended; a
*plain* object, from before the container kept versions, is one. A *receipt* records that a version written under
a condition was the current one.

Promises: an answered write is kept until its version is deleted by id, even if others write the key at
the same time; the newest version is the current one, the one that reads and listings agree on; a version whose
write was never answered is never current over one whose write was. See `writes` and `removal`, and doc/versioning.md.
"""

from objstore.layers.versions.layer import KIND, Versions
from objstore.layers.versions.locks import CONFIG as LOCK_CONFIG
from objstore.layers.versions.locks import is_locked
from objstore.layers.versions.locks import rule as lock_rule
from objstore.layers.versions.states import CONFIG, ENABLED, SUSPENDED, state

__all__ = [
    "CONFIG", "ENABLED", "KIND", "LOCK_CONFIG", "SUSPENDED", "Versions", "is_locked", "lock_rule", "state",
]  # fmt: skip
