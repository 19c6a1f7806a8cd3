"""Reading the data of a version, and changing its metadata."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from objstore.core.errors import Conflict, DeleteMarker, NotFound, ObjstoreError, PreconditionFailed
from objstore.core.expiry import DELETE_AT
from objstore.core.listed import LISTED_TYPE
from objstore.core.names import Name
from objstore.core.object_lock import LOCK
from objstore.core.versions import EXPIRES, VERSION
from objstore.layers.interface import ReadOptions, Reply, UpdateOptions
from objstore.layers.versions import names, states, writes
from objstore.layers.versions.keys import Key, etag_of, in_place, move_to, not_in_place, pointing
from objstore.layers.versions.names import NULL, Ref
from objstore.runtime import green
from objstore.web.write_conditions import LockCondition, WriteCondition

_SHOWN = frozenset({"Content-Type", DELETE_AT})
_TRIES = 5  # each after a version was gone by the time it was read, since another became the current one


class VersionPlace(NamedTuple):
    """The name of the data of a version.

    ref: that of its entry, None for data under the key itself; etag: of such data, without quotes.
    """

    name: Name
    ref: Ref | None
    etag: str = ""


def open_version(key: Key, options: ReadOptions) -> Reply:
    """Open a version. Raises NotFound, NoSuchVersion, DeleteMarker, BadVersionId."""
    version_id = options.version_id
    if version_id:  # only under its name an object expires
        options = options._replace(expired=True)
    for place in _places(key, version_id, options.newest):
        try:
            reply = key.layer.open(key.context, place.name, options)
        except NotFound:
            continue
        if place.ref is not None:
            reply.version_id = place.ref.version_id
            return reply
        own = in_place(reply.headers)
        reply.version_id = NULL if own is None else own.version_id
        if VERSION not in reply.headers and version_id in ("", reply.version_id):
            reply.headers = not_in_place(reply.headers)
            return reply
        reply.close()  # another version has replaced it
    raise missing(key.name, version_id)


def update(key: Key, options: UpdateOptions) -> None:
    """Replace the metadata of a version. Raises as `open_version`, and PreconditionFailed, Conflict."""
    for place in _places(key, options.version_id):
        try:
            if place.ref is None:
                if _update_in_place(key, place, options):
                    return
                continue
            if key.locked:
                _update_locked(key, place.ref, options)
            else:
                key.layer.update(key.context, place.name, options)
            if not options.version_id:
                _refresh(key, place.ref, options)
            return
        except NotFound:
            continue
    raise missing(key.name, options.version_id)


def _update_in_place(key: Key, place: VersionPlace, options: UpdateOptions) -> bool:
    """Replace the metadata of data under a key; return False if they are no longer there.

    A version that gets an expiry must stay after it, so it moves to an entry.
    """
    if DELETE_AT in options.headers:
        seen = key.look(newest=True)
        if seen is not None and in_place(seen.headers):
            writes.move_out(key, seen)
            return False
    own_condition = options.condition is None
    if own_condition:  # a pointer that has replaced them must not get the metadata
        options = options._replace(condition=WriteCondition(f'"{place.etag}"'))
    try:
        key.layer.update(key.context, place.name, options)
    except PreconditionFailed:
        if not own_condition:
            raise
        return False
    return True


def _update_locked(key: Key, ref: Ref, options: UpdateOptions) -> None:
    """Replace the metadata of an entry that may be locked: its lock stays. Raises as `ObjectLayer.update`."""
    for attempt in range(writes.TRIES):
        head = key.head(ref, expired=options.expired, newest=True)
        if head is None:
            raise missing(key.name, options.version_id)
        if options.condition is not None:
            options.condition.check(etag_of(head.headers))
        state = head.headers.get(LOCK, "")
        headers = {**options.headers, LOCK: state} if state else dict(options.headers)
        if not state:
            headers.pop(LOCK, None)
        if key.replace_metadata(ref, headers, LockCondition(state)):
            return
        green.sleep(writes.PAUSE * attempt)
    raise Conflict("others change the version all the time")


def _refresh(key: Key, ref: Ref, options: UpdateOptions) -> None:
    """Make the pointer to a version show the type and the expiry that its entry has after a change.

    It is written again at the timestamp right after its own, so it loses against all newer versions.
    """
    for attempt in range(writes.TRIES):
        seen = key.look(newest=True)
        if seen is None or seen.ref != ref:
            return
        if _SHOWN.isdisjoint(options.headers) and EXPIRES not in seen.headers:
            return
        head = key.head(ref)
        if head is None:
            return
        move = move_to(ref, head)
        if seen.horizon > ref.stamp:
            move = move._replace(restored=seen.horizon)
        shown = pointing(key.name, move)
        if all(seen.headers.get(name) == shown.get(name) for name in ("Content-Type", LISTED_TYPE, EXPIRES)):
            return
        if key.point(move, names.successor(seen.written), writes.as_seen(seen), keep=True):
            return
        green.sleep(writes.PAUSE * attempt)
    raise Conflict("others change the key all the time")


def _places(key: Key, version_id: str, newest: bool = False) -> Iterator[VersionPlace]:
    """Yield where a version is, and then where it has gone if it was not there. newest: as in `ReadOptions`.

    Raises NotFound, NoSuchVersion, DeleteMarker, BadVersionId.
    """
    if version_id in ("", NULL):
        last: VersionPlace | None = None
        for _ in range(_TRIES):
            place = locate(key, version_id, newest)
            if place == last:
                return
            last = place
            yield place
        return
    ref = states.parse(version_id)
    entry = _not_a_marker(key, ref, version_id)
    yield entry
    seen = key.look(newest)
    if seen is None:
        return
    if seen.ref is None and seen.current == ref:
        yield VersionPlace(key.name, None, seen.etag)
        yield entry
    elif seen.current == ref or seen.replaces(ref):
        yield entry  # it may have become one between the two looks


def locate(key: Key, version_id: str, newest: bool = False) -> VersionPlace:
    """Return the place of a version: by its id, where its entry would be. newest: as in `ReadOptions`.

    Raises NotFound, NoSuchVersion, DeleteMarker, BadVersionId.
    """
    if version_id not in ("", NULL):
        return _not_a_marker(key, states.parse(version_id), version_id)
    seen = key.look(newest)
    if version_id == NULL:
        if seen is not None and seen.null:
            if seen.ref is None:
                return VersionPlace(key.name, None, seen.etag)
            return _not_a_marker(key, seen.ref, version_id)
        ref = next((ref for ref in key.nulls() if seen is not None and seen.replaces(ref)), None)
        if ref is None:
            raise missing(key.name, version_id)
        return _not_a_marker(key, ref, version_id)
    if seen is None:
        raise missing(key.name, "")
    if seen.ref is None:
        return VersionPlace(key.name, None, seen.etag)
    if seen.ref.marker:
        raise _is_marker(key, seen.ref)
    return VersionPlace(key.entry(seen.ref), seen.ref)


def _not_a_marker(key: Key, ref: Ref, version_id: str) -> VersionPlace:
    """Return the place of a version's entry. Raises DeleteMarker if it is one: it has no data."""
    if not ref.marker:
        return VersionPlace(key.entry(ref), ref)
    raise missing(key.name, version_id) if key.head(ref) is None else _is_marker(key, ref)


def _is_marker(key: Key, ref: Ref) -> ObjstoreError:
    return DeleteMarker(f"{key.name.path} is a delete marker", ref.version_id, ref.stamp)


def missing(name: Name, version_id: str) -> ObjstoreError:
    """Return the error for an object, or a version, that does not exist."""
    return states.no_such(name, version_id) if version_id else NotFound(name.path)
