"""Making an older version the current one again.

The pointer moves to the version's entry, which stays where it is. All newer versions go on counting: the pointer
records the time of the restoration (`core.versions.RESTORED`), which takes its place among the writes of the key like
that of a new version.
"""

from __future__ import annotations

import time

from objstore.core.errors import InvalidInput
from objstore.core.expiry import DELETE_AT, is_expired
from objstore.layers.interface import PutResult
from objstore.layers.versions import names, removal, states, writes
from objstore.layers.versions.keys import Key, etag_of, move_to
from objstore.web.write_conditions import WriteCondition


def restore(key: Key, version_id: str, condition: WriteCondition | None) -> PutResult:
    """See `VersionedLayer.restore`."""
    ref = states.parse(version_id)
    head = key.head(ref, expired=True)
    if head is None:
        seen = key.look(newest=True)
        if seen is None or seen.current != ref:
            raise states.no_such(key.name, version_id)
        writes.check(seen, condition)
        return PutResult(seen.etag, ref.stamp, version_id=version_id)
    if ref.marker:
        raise InvalidInput("A delete marker cannot be made the current version")
    if is_expired(head.headers, time.time()):
        key.keep(ref, head)
        del head.headers[DELETE_AT]
    seen = key.look(newest=True)
    writes.check(seen, condition)
    if seen is None or seen.ref != ref:
        stamp = names.new_stamp(seen and seen.latest)
        writes.commit(key, move_to(ref, head)._replace(restored=stamp), seen, condition, preserve=True)
        if key.head(ref) is None:  # deleted meanwhile, perhaps before the pointer named it
            removal.step_aside(key, ref)
            raise states.no_such(key.name, version_id)
    return PutResult(etag_of(head.headers), ref.stamp, version_id=version_id)
