"""Reading the data of a version, and changing its metadata."""

from __future__ import annotations

from typing import NamedTuple

from objstore.core.errors import Conflict, DeleteMarker, NotFound, ObjstoreError
from objstore.core.expiry import DELETE_AT
from objstore.core.listed import LISTED_TYPE
from objstore.core.names import Name
from objstore.core.versions import EXPIRES, VERSION
from objstore.layers.interface import ReadOptions, Reply, UpdateOptions
from objstore.layers.versions import names, states, writes
from objstore.layers.versions.keys import Key, move_to, pointing
from objstore.layers.versions.names import NULL, Ref
from objstore.runtime import green

_SHOWN = frozenset({"Content-Type", DELETE_AT})
_TRIES = 5  # each after a version was gone by the time it was read, since another became the current one


class VersionPlace(NamedTuple):
    """The name of the data of a version. ref: None for a plain object."""

    name: Name
    ref: Ref | None

    @property
    def version_id(self) -> str:
        return NULL if self.ref is None else self.ref.version_id


def open_version(key: Key, options: ReadOptions) -> Reply:
    """Open a version. Raises NotFound, NoSuchVersion, DeleteMarker, BadVersionId."""
    version_id = options.version_id
    if version_id:  # only under its name an object expires
        options = options._replace(expired=True)
    last: VersionPlace | None = None
    for _ in range(_TRIES):
        place = locate(key, version_id, options.newest)
        if place == last:
            break
        last = place
        try:
            reply = key.layer.open(key.context, place.name, options)
        except NotFound:
            if version_id:
                break
            continue
        if place.ref is not None or VERSION not in reply.headers:
            reply.version_id = place.version_id
            return reply
        reply.close()  # a pointer has replaced a plain object
    raise missing(key.name, version_id)


def update(key: Key, options: UpdateOptions) -> None:
    """Replace the metadata of a version. Raises as `open_version`, and PreconditionFailed, Conflict."""
    last: VersionPlace | None = None
    for _ in range(_TRIES):
        place = locate(key, options.version_id)
        if place == last:
            break
        last = place
        try:
            key.layer.update(key.context, place.name, options)
            if place.ref is not None and not options.version_id:
                _refresh(key, place.ref, options)
            return
        except NotFound:
            if options.version_id:
                break
    raise missing(key.name, options.version_id)


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


def locate(key: Key, version_id: str, newest: bool = False) -> VersionPlace:
    """Return the place of a version. newest: as in `ReadOptions`.

    Raises NotFound, NoSuchVersion, DeleteMarker, BadVersionId.
    """
    if version_id not in ("", NULL):
        return _not_a_marker(key, states.parse(version_id), version_id)
    seen = key.look(newest)
    if version_id == NULL:
        if seen is not None and seen.null:
            return VersionPlace(key.name, None) if seen.ref is None else _not_a_marker(key, seen.ref, version_id)
        ref = next((ref for ref in key.nulls() if seen is not None and seen.replaces(ref)), None)
        if ref is None:
            raise missing(key.name, version_id)
        return _not_a_marker(key, ref, version_id)
    if seen is None:
        raise missing(key.name, "")
    if seen.ref is None:
        return VersionPlace(key.name, None)
    if seen.ref.marker:
        raise _is_marker(key, seen.ref)
    return VersionPlace(key.entry(seen.ref), seen.ref)


def _not_a_marker(key: Key, ref: Ref, version_id: str) -> VersionPlace:
    """Return the place of a version. Raises DeleteMarker if it is one: it has no data."""
    if not ref.marker:
        return VersionPlace(key.entry(ref), ref)
    raise missing(key.name, version_id) if key.head(ref) is None else _is_marker(key, ref)


def _is_marker(key: Key, ref: Ref) -> ObjstoreError:
    return DeleteMarker(f"{key.name.path} is a delete marker", ref.version_id, ref.stamp)


def missing(name: Name, version_id: str) -> ObjstoreError:
    """Return the error for an object, or a version, that does not exist."""
    return states.no_such(name, version_id) if version_id else NotFound(name.path)
