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

The first version of a key, if it is small, needs none of this: it is written in place, under the condition that nothing
is there, and only if nothing ever was. So it replaces no version, and it counts from the moment at which it exists. Nor
does a pointer replace it unseen: one that finds nothing, or an object, is written under the condition that this is
still so. Others, which replace a pointer without a condition, are of keys that have been.

A writer that dies before 4 leaves an entry that does not count while it is the newest. If later writes
make it count, a write that was never answered has taken effect before them, as it may; one under a
condition never does, since it has no receipt.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from itertools import islice

from objstore.core.dlo import DLO
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
from objstore.core.links import LINK
from objstore.core.manifests import LARGE, MANIFEST, owned_prefix
from objstore.core.metadata import replaced_by_post, stored_with_object
from objstore.core.object_lock import LOCK
from objstore.core.timestamps import Timestamp
from objstore.core.versions import VERSION
from objstore.layers import copies, hidden
from objstore.layers.bodies import BytesBody, ObjectBody, whole
from objstore.layers.interface import (
    DeleteOptions,
    DeleteResult,
    PutOptions,
    PutResult,
    ReadOptions,
    Reply,
    UpdateOptions,
)
from objstore.layers.versions import names
from objstore.layers.versions.keys import (
    ABSENT,
    Key,
    Move,
    Seen,
    being_in_place,
    etag_of,
    move_to,
    not_in_place,
)
from objstore.layers.versions.names import Kind, Ref
from objstore.runtime import green
from objstore.web.write_conditions import WriteCondition

IN_PLACE_SIZE = 64 << 10  # bytes of a version that is written in place; they are kept until it is
# Headers of objects that stand for others, end by themselves, or cannot be replaced.
_APART = frozenset({MANIFEST, DELETE_AT, DLO, LARGE, LINK, LOCK})
TRIES = 20
PAUSE = 0.005  # seconds, times the number of tries so far
_MAX_CHECKED = 1000  # versions, newest first, that are checked for the one of an upload
_NOTHING: Mapping[str, str] = {}


def put(key: Key, options: PutOptions, body: ObjectBody, enabled: bool) -> PutResult:
    """Make an object the current version. enabled: else it is a null version. Raises as `ObjectLayer.put`."""
    key.make_container()  # also for a version in place: hosts must not remember that there is none
    condition = options.condition
    look = key.look_first()
    seen = _before(key, look.seen, condition, enabled)
    check(seen, condition)  # refuse before the upload
    if look.never_was and enabled and _may_lie_in_place(options, body):
        content = whole(body, IN_PLACE_SIZE)
        result = _put_in_place(key, options, content)
        if result is not None:
            return result
        body = BytesBody(content)
        seen = _before(key, key.look(newest=True), condition, enabled)
        check(seen, condition)
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


def _may_lie_in_place(options: PutOptions, body: ObjectBody) -> bool:
    """Return whether an object can be written in place: a small one of no special kind."""
    small = body.length is not None and body.length <= IN_PLACE_SIZE
    return small and options.rename is None and options.data_policy is None and _APART.isdisjoint(options.headers)


def _put_in_place(key: Key, options: PutOptions, content: bytes) -> PutResult | None:
    """Make an object the first version of a key, in place; return None if something else is stored under the key.

    Then nothing was written. Raises as `ObjectLayer.put` does.
    """
    ref = names.new_ref(Kind())
    headers = being_in_place(key.name, ref, options.headers)
    life = key.layer.container_info(key.context, key.name).life
    first = options._replace(headers=headers, timestamp=ref.stamp, condition=options.condition or ABSENT, life=life)
    try:
        result = key.layer.put(key.context, key.name, first, BytesBody(content))
    except ContainerReplaced:
        raise
    except (PreconditionFailed, Conflict):
        return None
    return PutResult(result.etag, ref.stamp, version_id=ref.version_id)


def mark_deleted(key: Key, options: DeleteOptions, enabled: bool) -> DeleteResult:
    """Make a delete marker the current version. Raises as `ObjectLayer.delete`."""
    condition = options.condition
    key.make_container()
    seen = _before(key, key.look(newest=True), condition, enabled)
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


def _before(key: Key, seen: Seen | None, condition: WriteCondition | None, enabled: bool) -> Seen | None:
    """Return the object under a key before a change. If the change has a condition, an expired one becomes deleted."""
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
        if preserve or not seen.null:
            if not _preserve(key, seen):
                return False
            keep = True
        condition = condition or as_seen(seen)
    elif seen is None:
        condition = condition or ABSENT  # the first version may have been written in place since
    elif seen.ref is not None:
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
    """Copy the data under a key to an entry; return False if they are no longer there."""
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
        # Another writer has preserved it already; there is only one content at a timestamp. Its metadata may be newer.
        _update_entry(key, seen, source.headers)
    return True


def move_out(key: Key, seen: Seen) -> None:
    """Make a version in place an entry with a pointer to it. Does nothing if it is no longer there."""
    if _preserve(key, seen):
        head = key.head(seen.current)
        if head is not None:
            key.point(move_to(seen.current, head), names.successor(seen.written), as_seen(seen), keep=True)


def _update_entry(key: Key, seen: Seen, headers: Mapping[str, str]) -> None:
    """Make the entry of data under a key have the metadata that a POST gave them. headers: of the data."""
    if seen.written <= seen.plain_ref.stamp:
        return
    posted = {name: value for name, value in headers.items() if replaced_by_post(name) and name != DELETE_AT}
    posted["Content-Type"] = headers["Content-Type"]
    with suppress(NotFound, Conflict):  # deleted, or changed since
        key.layer.update(key.context, key.entry(seen.plain_ref), UpdateOptions(posted, seen.written))


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
    headers = not_in_place(source.headers)
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
