"""Deleting versions for good. Where it is the current one, the next newest becomes current first.

The pointer moves before the entry goes, so that what is current can be read at every moment. All moves are
made at the timestamp right after the one that was seen: they lose against any write since.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from objstore.core.timestamps import Timestamp
from objstore.runtime import green
from objstore.s3.errors import S3Error
from objstore.s3.native import unexpected
from objstore.s3.request import S3Request
from objstore.s3.stored import NULL, Deleted, Target
from objstore.s3.versions import names, states, writes
from objstore.s3.versions.keys import Key, Move, Seen, move_to
from objstore.s3.versions.names import Ref

if TYPE_CHECKING:
    from objstore.s3.context import Context

_FEW = 5  # rows of a listing of what comes next


def delete(context: Context, request: S3Request, target: Target, conditions: Mapping[str, str]) -> Deleted:
    """As `current.delete`."""
    if not target.version:
        return writes.mark_deleted(context, request, target.name, conditions)
    key = Key(context.native, request.environ, target.name)
    if target.version == NULL:
        return _remove_null(key, conditions)
    ref = states.parse(target)
    marker = _remove(key, ref, conditions)
    return Deleted(target.version, marker)


def _remove(key: Key, ref: Ref, conditions: Mapping[str, str]) -> bool:
    """Was it there as a delete marker?"""
    head = key.head(ref)
    if head is None:
        return False
    if conditions:
        etag = writes.etag_of(head.headers)
        writes.check(Seen(None, ref.stamp, {"Etag": etag}), conditions, key.name)
    step_aside(key, ref)
    key.drop(ref)
    step_aside(key, ref)  # another's deletion may have made it current meanwhile
    return ref.marker


def _remove_null(key: Key, conditions: Mapping[str, str]) -> Deleted:
    seen = key.look(newest=True)
    if seen is not None and seen.ref is None:
        writes.check(seen, conditions, key.name)
        step_aside(key, None)
        for ref in list(key.nulls(majority=True)):
            key.drop(ref)
        return Deleted(NULL)
    found = [ref for ref in key.nulls(majority=True) if seen is not None and (seen.ref == ref or seen.replaces(ref))]
    marker = False
    for index, ref in enumerate(found):
        was_marker = _remove(key, ref, {} if index else conditions)
        marker = marker or (index == 0 and was_marker)
    return Deleted(NULL, marker)


def step_aside(key: Key, ref: Ref | None) -> None:
    """Make the next newest version the current one where this one is it. ref: None for a plain object.

    It is searched for again once the pointer is moved: another deletion may have taken it meanwhile, or a slow write
    may have found the version that goes still there, and so have become a past one, newer than what was found.
    """
    seen = key.look(newest=True)
    if seen is None or seen.ref != ref:
        return
    pointer = _Pointer(ref, True, seen.written)
    for attempt in range(writes.TRIES):
        following = _next(key, seen)
        if pointer.moved and pointer.names(following):
            return
        status = _point(key, following, pointer)
        if status in (201, 204):
            there = following is not None
            pointer = _Pointer(following.ref if following else None, there, names.successor(pointer.written), True)
            continue
        if status not in writes.MOVED:
            raise unexpected(status)
        green.sleep(writes.PAUSE * attempt)
        now = key.look(newest=True)
        if (now is not None) != pointer.there or (now is not None and now.ref != pointer.ref):
            return
        if now is not None:
            pointer = pointer._replace(written=now.written)
    raise S3Error("OperationAborted")


class _Pointer(NamedTuple):
    """The pointer as a deletion has left it. there: False once it is deleted. written: its last change."""

    ref: Ref | None
    there: bool
    written: Timestamp
    moved: bool = False

    def names(self, move: Move | None) -> bool:
        """Is it where this would move it?"""
        return not self.there if move is None else self.there and self.ref == move.ref


def _point(key: Key, following: Move | None, pointer: _Pointer) -> int:
    """The status, as of `Key.point`, but 204 for a pointer that is deleted, as there is nothing to name."""
    stamp = names.successor(pointer.written)
    if following is None:
        return key.remove_pointer(stamp, {"If-Match": "*"})
    return key.point(following, stamp, {"If-Match": "*"} if pointer.there else {"If-None-Match": "*"})


def _next(key: Key, seen: Seen) -> Move | None:
    """To the newest version older than what is seen; where that is a null version, the other nulls go with it.

    Entries that others have deleted are passed over: their rows may stay listed for a while.
    """
    before = seen.plain_ref if seen.ref is None else seen.ref
    for ref in key.refs(before, _FEW, majority=True):
        if seen.null and ref.null:
            continue
        head = key.head(ref)
        if head is not None:
            return move_to(ref, head)
    return None
