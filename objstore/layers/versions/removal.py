"""Deleting versions permanently. If it is the current one, the next newest becomes current first.

The pointer moves before the entry is deleted, so that the current version can be read at every moment. All moves are
made at the timestamp right after the one that was read: they lose against any write since.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import NamedTuple

from objstore.core.errors import Conflict, PreconditionFailed
from objstore.core.expiry import DELETE_AT, is_expired
from objstore.core.timestamps import Timestamp
from objstore.layers.interface import DeleteResult
from objstore.layers.versions import locks, names, states, writes
from objstore.layers.versions.keys import ABSENT, PRESENT, Key, Move, Seen, move_to
from objstore.layers.versions.names import NULL, Ref
from objstore.runtime import green
from objstore.web.write_conditions import WriteCondition

_FEW = 5  # rows of a listing of the next versions


def remove(key: Key, version_id: str, condition: WriteCondition | None) -> DeleteResult:
    """Delete a version permanently. Raises BadVersionId, PreconditionFailed, Conflict (others keep changing it)."""
    if version_id == NULL:
        return _remove_null(key, condition)
    ref = states.parse(version_id)
    existed = _remove(key, ref, condition)
    return DeleteResult(existed, (), version_id, existed and ref.marker)


def _remove(key: Key, ref: Ref, condition: WriteCondition | None) -> bool:
    """Delete a version; return whether it existed."""
    headers = _headers(key, ref)
    if headers is None:
        step_aside(key, ref)  # one that was made current again while it was deleted
        return False
    writes.check(Seen(None, ref.stamp, headers), condition)
    if key.locked and not ref.marker:
        return _remove_sealed(key, ref)
    step_aside(key, ref)
    key.drop(ref)  # also of one in place: a writer that still sees that must not make it an entry afterwards
    step_aside(key, ref)  # another's deletion may have made it current meanwhile
    return True


def _remove_sealed(key: Key, ref: Ref) -> bool:
    """Delete a version that may be held; return whether it existed. Raises ObjectHeld."""
    for attempt in range(writes.TRIES):
        state = locks.seal(key, ref)
        if state is None:
            step_aside(key, ref)
            return False
        try:
            if state:
                step_aside(key, ref)
            key.drop(ref, lock=state)  # of data under the key: from now on nobody can make them an entry, and hold that
            step_aside(key, ref)
            return True
        except PreconditionFailed:
            green.sleep(writes.PAUSE * attempt)  # they have become an entry meanwhile
    raise Conflict("others change the version all the time")


def _headers(key: Key, ref: Ref) -> Mapping[str, str] | None:
    """Return the headers of a version; None if there is none."""
    for _ in range(2):
        head = key.head(ref, expired=True)
        if head is not None:
            return head.headers
        seen = key.look(newest=True)
        if seen is not None and seen.ref is None and seen.current == ref:
            return seen.headers
        if seen is None or not seen.replaces(ref):
            break
        # It may have become an entry between the two looks.
    return None


def _remove_null(key: Key, condition: WriteCondition | None) -> DeleteResult:
    seen = key.look(newest=True)
    if seen is not None and seen.ref is None and seen.null:
        writes.check(seen, condition)
        if key.locked:
            return DeleteResult(_remove_sealed(key, seen.current), (), NULL)
        step_aside(key, None)
        for ref in list(key.nulls(majority=True)):
            key.drop(ref)
        return DeleteResult(True, (), NULL)
    nulls = [ref for ref in key.nulls(majority=True) if seen is not None and (seen.ref == ref or seen.replaces(ref))]
    existed = marker = False
    for index, ref in enumerate(nulls):
        removed = _remove(key, ref, None if index else condition)
        existed = existed or removed
        marker = marker or (index == 0 and removed and ref.marker)
    return DeleteResult(existed, (), NULL, marker)


def step_aside(key: Key, ref: Ref | None) -> None:
    """Make the next newest version the current one, if this one is. ref: None for whichever plain object is there.

    The search is repeated after the pointer is moved: another deletion may have deleted that version meanwhile, or a
    slow write may still have seen the version being deleted, and so have become a past one, newer than that version.
    """
    seen = key.look(newest=True)
    if seen is None or (seen.current != ref if ref is not None else seen.ref is not None or not seen.null):
        return
    pointer = _Pointer(seen.current, True, seen.written)
    for attempt in range(writes.TRIES):
        following = _next(key, seen)
        if pointer.moved and pointer.names(following):
            return
        if _point(key, following, pointer):
            exists = following is not None
            pointer = _Pointer(following.ref if following else None, exists, names.successor(pointer.written), True)
            continue
        green.sleep(writes.PAUSE * attempt)
        now = key.look(newest=True)
        if (now is not None) != pointer.exists or (now is not None and now.current != pointer.ref):
            return
        if now is not None:
            pointer = pointer._replace(written=now.written)
    raise Conflict("others change the key all the time")


class _Pointer(NamedTuple):
    """The pointer after a step of a deletion. ref: of the current version. exists: False after it is deleted.

    written: its last change.
    """

    ref: Ref | None
    exists: bool
    written: Timestamp
    moved: bool = False

    def names(self, move: Move | None) -> bool:
        """Return whether the pointer already is as this move would leave it."""
        return not self.exists if move is None else self.exists and self.ref == move.ref


def _point(key: Key, following: Move | None, pointer: _Pointer) -> bool:
    """Move the pointer, or delete it if no version is left; return False if another change came first."""
    stamp = names.successor(pointer.written)
    if following is None:
        return key.remove_pointer(stamp)
    return key.point(following, stamp, PRESENT if pointer.exists else ABSENT)


def _next(key: Key, seen: Seen) -> Move | None:
    """Return the move to the newest version that counts, other than the current one; None if there is none.

    If the current one is a null version, other nulls are skipped. Entries that others have deleted are skipped: their
    rows may stay listed for a while.
    """
    before = Ref(seen.horizon, seen.current.letter)
    for ref in key.refs(before, _FEW, majority=True):
        if ref == seen.current or (seen.null and ref.null):
            continue
        head = key.head(ref, expired=True)
        if head is not None:
            if DELETE_AT in head.headers and is_expired(head.headers, time.time()):
                key.keep(ref, head)  # its time was that of its name, which passed
                del head.headers[DELETE_AT]
            return move_to(ref, head)
    return None
