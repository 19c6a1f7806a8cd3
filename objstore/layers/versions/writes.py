"""Writing versions and delete markers: the entry first, the pointer last.

Rules, in order:

1. The key is read, and the version gets a timestamp greater than all that exist.
2. Its data are written to an entry of their own, at that timestamp. The entry does not count yet.
3. The object under the key is preserved: a plain object becomes an entry; a version written under a
   condition gets its receipt.
4. The pointer is moved, at the version's timestamp. Of several writers the newest version wins,
   in any order of arrival; a version that finds a newer one is a past version from the
   start. The store checks a client's condition with this change.
5. A version written under a condition gets its receipt. The client is answered.

A writer that dies before 4 leaves an entry that does not count while it is the newest. If later writes
make it count, a write that was never answered has taken effect before them, as it may; one under a
condition never does, since it has no receipt.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from objstore.core.errors import (
    Conflict,
    ContainerReplaced,
    NoContainer,
    NodeFailure,
    NotFound,
    ObjstoreError,
    PreconditionFailed,
    is_refusal,
)
from objstore.core.expiry import DELETE_AT
from objstore.core.manifests import owned_prefix
from objstore.core.metadata import stored_with_object
from objstore.core.timestamps import Timestamp
from objstore.core.versions import VERSION
from objstore.layers import copies, hidden
from objstore.layers.bodies import ObjectBody
from objstore.layers.interface import DeleteOptions, DeleteResult, PutOptions, PutResult, ReadOptions, Reply
from objstore.layers.versions import names
from objstore.layers.versions.keys import ABSENT, Key, Move, Seen, etag_of, move_to
from objstore.layers.versions.names import Kind, Ref
from objstore.runtime import green
from objstore.web.write_conditions import WriteCondition

TRIES = 20
PAUSE = 0.005  # seconds, times the number of tries so far
_MAX_CHECKED = 1000  # versions, newest first, that are checked for the one of an upload
_NOTHING: Mapping[str, str] = {}


def put(key: Key, options: PutOptions, body: ObjectBody, enabled: bool) -> PutResult:
    """Make an object the current version. enabled: else it is a null version. Raises as `ObjectLayer.put`."""
    key.make_container()
    condition = options.condition
    seen = _look(key, condition, enabled)
    check(seen, condition)  # refuse before the upload
    ref = names.new_ref(Kind(null=not enabled, conditional=condition is not None), seen and seen.latest)
    entry = options._replace(timestamp=ref.stamp, condition=None, life="", rename=None, listed=True)
    try:
        result = key.layer.put(key.context, key.entry(ref), entry, body)
    except NoContainer:
        raise hidden.gone(key.layer, key.context, key.name) from None
    stored = {**options.headers, "Etag": result.etag}
    if body.length is None:
        head = key.head(ref)
        if head is None:
            raise NodeFailure(f"{key.entry(ref).path} was written, and cannot be read")
        move = move_to(ref, head)
    else:
        move = Move(ref, stored, body.length)
    ref = _commit(key, move, seen, condition, enabled)
    return PutResult(etag_of(stored), ref.stamp, version_id=ref.version_id)


def mark_deleted(key: Key, options: DeleteOptions, enabled: bool) -> DeleteResult:
    """Make a delete marker the current version. Raises as `ObjectLayer.delete`."""
    condition = options.condition
    key.make_container()
    seen = _look(key, condition, enabled)
    check(seen, condition)
    if options.delete_at is not None:
        _check_expiry(key, seen, options.delete_at)
        condition = condition or as_seen(seen)
    is_marked = seen is None or seen.marker
    if is_marked and not (options.mark_missing and (seen is None or options.mark_again)):
        return DeleteResult(False)
    existed = not is_marked and not (seen is not None and key.has_expired(seen))
    kind = Kind(marker=True, null=not enabled, conditional=condition is not None)
    ref = names.new_ref(kind, seen and seen.latest)
    key.put_marker(ref)
    ref = _commit(key, Move(ref, _NOTHING, 0), seen, condition, enabled)
    return DeleteResult(existed, (), ref.version_id, marker=True)


def check(seen: Seen | None, condition: WriteCondition | None) -> None:
    """Check the condition of a change. Raises PreconditionFailed if it does not hold."""
    if condition is not None:
        condition.check(None if seen is None or seen.marker else seen.etag)


def _look(key: Key, condition: WriteCondition | None, enabled: bool) -> Seen | None:
    """Return the object under a key before a change. If the change has a condition, an expired one becomes deleted."""
    seen = key.look(newest=True)
    if condition is None or seen is None or not key.has_expired(seen):
        return seen
    expire(key, seen, enabled)
    return key.look(newest=True)


def expire(key: Key, seen: Seen, enabled: bool) -> None:
    """Make a delete marker the current version instead of one that has expired, which stays as a past version.

    seen: the pointer to it. Raises Conflict if it is not current.
    """
    ref = names.new_ref(Kind(marker=True, null=not enabled, conditional=True), seen.latest)
    key.put_marker(ref)
    _commit(key, Move(ref, _NOTHING, 0), seen, as_seen(seen), enabled)


def _check_expiry(key: Key, seen: Seen | None, due: int) -> None:
    """Raises PreconditionFailed unless the object expires at this time."""
    headers: Mapping[str, str] = {} if seen is None else seen.headers
    if seen is not None and seen.ref is not None:
        head = key.head(seen.ref, expired=True)
        headers = {} if head is None else head.headers
    if headers.get(DELETE_AT) != str(due):
        raise PreconditionFailed("the object does not expire at that time")


def _commit(key: Key, move: Move, seen: Seen | None, condition: WriteCondition | None, enabled: bool) -> Ref:
    """Move the pointer; return the version. If versioning is suspended, it replaces the last null version."""
    ref = commit(key, move, seen, condition, preserve=enabled)
    if not enabled:
        _drop_older_nulls(key, ref)
    return ref


def commit(key: Key, move: Move, seen: Seen | None, condition: WriteCondition | None, preserve: bool) -> Ref:
    """Move the pointer, unless it names a newer version; return the version. If refused, drop its entry.

    preserve: a plain object that is replaced becomes a past version. Raises Conflict after too many tries, and for a
    newer version if there is a condition.
    """
    odd = False  # the store has something newer under the key than reads show
    for attempt in range(TRIES):
        try:
            check(seen, condition)
            if seen is not None and seen.horizon > move.stamp:
                if condition is not None:
                    raise Conflict("a newer version is the current one")
                if not seen.conditional:
                    return move.ref
                move = _renewed(key, move, seen)  # its condition held without this version, which must be later
            moved = _move(key, move, seen, condition, preserve, odd)
        except ObjstoreError as failure:
            if is_refusal(failure):
                _abandon(key, move)
                raise
            seen = key.look(newest=True)
            if seen is None or not seen.shows(move):
                raise  # the pointer may be moved nevertheless: the entry must stay
            _confirm(key, move, seen, preserve)
            break
        if moved:
            break
        green.sleep(PAUSE * attempt)
        before, seen = seen, key.look(newest=True)
        odd = (before and before.written) == (seen and seen.written)
        if seen is not None and seen.shows(move):
            _confirm(key, move, seen, preserve)
            break
    else:
        _abandon(key, move)
        raise Conflict("others change the key all the time")
    key.give_receipt(move.ref)
    return move.ref


def _abandon(key: Key, move: Move) -> None:
    """Delete the entry of a version that was refused, but not one that was made current again."""
    if move.restored is None:
        key.drop(move.ref, keep=True)  # an upload by parts still needs its segments


def _move(key: Key, move: Move, seen: Seen | None, condition: WriteCondition | None, preserve: bool, odd: bool) -> bool:
    """Preserve the object under the key and move the pointer; return False if another change came first."""
    stamp: Timestamp | None = move.stamp
    keep = False
    if seen is not None and seen.ref is None:
        if preserve:
            if not _preserve(key, seen):
                return False
            keep = True
        condition = condition or as_seen(seen)
    elif seen is not None and seen.ref is not None:
        key.give_receipt(seen.ref)
        if seen.marker and condition is not None:  # clients see no object: only If-None-Match comes here
            condition = as_seen(seen)
    if odd:  # a tombstone, or the promise to a conditional writer that died: the store chooses a later time
        stamp = None
        condition = condition or as_seen(seen)
    elif seen is not None and seen.written >= move.stamp:
        stamp = names.successor(seen.written)
        condition = condition or as_seen(seen)
    return key.point(move, stamp, condition, keep)


def _confirm(key: Key, move: Move, seen: Seen, keep: bool) -> None:
    """Write a pointer again that at least one replica has: after an unclear answer too few may have it.

    It does not matter if another has moved it since: this version was the current one then. What counts stays the same.
    """
    if seen.horizon > move.ref.stamp:
        move = move._replace(restored=seen.horizon)
    key.point(move, names.successor(seen.written), as_seen(seen), keep)


def as_seen(seen: Seen | None) -> WriteCondition:
    """Return the condition that the object under the key has not changed since it was read."""
    return ABSENT if seen is None else WriteCondition(if_match=f'"{seen.etag}"')


def _preserve(key: Key, seen: Seen) -> bool:
    """Copy the plain object under a key to an entry; return False if it no longer exists."""
    try:
        source = key.layer.open(key.context, key.name, ReadOptions(raw=True))
    except NotFound:
        return False
    if VERSION in source.headers or not seen.same_data(source.headers):
        source.close()
        return False
    try:
        _copy(key, source, seen.plain_ref, False)  # a past version does not expire
    except ContainerReplaced:
        raise
    except Conflict:
        pass  # Another writer has preserved it already; there is only one content at a timestamp.
    return True


def _renewed(key: Key, move: Move, seen: Seen) -> Move:
    """Write the same version again, newer than the current one; return the move to it."""
    if move.restored is not None:
        return move._replace(restored=names.new_stamp(seen.latest))
    ref = Ref(names.new_stamp(seen.latest), move.ref.letter)
    if ref.marker:
        key.put_marker(ref)
    else:
        try:
            source = key.layer.open(key.context, key.entry(move.ref), ReadOptions(raw=True))
        except NotFound:
            raise NodeFailure(f"{key.entry(move.ref).path} cannot be read") from None
        _copy(key, source, ref, True)
    key.drop(move.ref, keep=True)
    return move._replace(ref=ref)


def _copy(key: Key, source: Reply, ref: Ref, expires: bool) -> None:
    """Write an open object as an entry, with the metadata stored with it. expires: with its expiry too."""
    headers = source.headers
    stored = {
        name: value for name, value in headers.items() if stored_with_object(name) and (expires or name != DELETE_AT)
    }
    stored["Content-Type"] = headers["Content-Type"]
    options = PutOptions(stored, headers["Etag"], ref.stamp, listed=True, unlimited=True)
    try:
        copies.copy(key.layer, key.context, source, key.entry(ref), options)
    except NoContainer:
        raise ContainerReplaced(f"{key.name.of_container.path} was deleted meanwhile") from None


def _drop_older_nulls(key: Key, ref: Ref) -> None:
    """Delete the null versions that a new one replaces."""
    for old in list(key.nulls()):
        if old.stamp < ref.stamp:
            key.drop(old)


def find_owner(key: Key, prefix: str) -> Reply | None:
    """See `VersionedLayer.find_owner`: return the version of an upload by parts that was completed before."""
    seen = key.look(newest=True)
    for ref in list(islice(key.uploaded(), _MAX_CHECKED)):
        head = key.head(ref)
        if head is None or owned_prefix(head.headers) != prefix:
            continue
        if seen is not None and (seen.ref == ref or (seen.replaces(ref) and ref in set(key.refs(majority=True)))):
            if seen.ref == ref:
                _confirm(key, move_to(ref, head), seen, keep=True)
            head.version_id = ref.version_id
            return head
        key.drop(ref, keep=True)
    return None
