"""Reading the data of a version, and changing its metadata."""

from __future__ import annotations

from typing import NamedTuple

from objstore.core.errors import DeleteMarker, NotFound, ObjstoreError
from objstore.core.names import Name
from objstore.core.versions import VERSION
from objstore.layers.interface import ReadOptions, Reply, UpdateOptions
from objstore.layers.versions import states
from objstore.layers.versions.keys import Key
from objstore.layers.versions.names import NULL, Ref

_TRIES = 5  # each after a version was gone by the time it was read, since another became the current one


class Place(NamedTuple):
    """The name of the data of a version. ref: None for a plain object."""

    name: Name
    ref: Ref | None

    @property
    def version_id(self) -> str:
        return NULL if self.ref is None else self.ref.version_id


def open_version(key: Key, options: ReadOptions) -> Reply:
    """Open a version. Raises NotFound, NoSuchVersion, DeleteMarker, BadVersionId."""
    version_id = options.version_id
    for _ in range(_TRIES):
        place = locate(key, version_id, options.newest)
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
    for _ in range(_TRIES):
        place = locate(key, options.version_id)
        try:
            key.layer.update(key.context, place.name, options)
            return
        except NotFound:
            if options.version_id:
                break
    raise missing(key.name, options.version_id)


def locate(key: Key, version_id: str, newest: bool = False) -> Place:
    """Return the place of a version. newest: as in `ReadOptions`.

    Raises NotFound, NoSuchVersion, DeleteMarker, BadVersionId.
    """
    if version_id not in ("", NULL):
        return _not_a_marker(key, states.parse(version_id), version_id)
    seen = key.look(newest)
    if version_id == NULL:
        if seen is not None and seen.null:
            return Place(key.name, None) if seen.ref is None else _not_a_marker(key, seen.ref, version_id)
        ref = next((ref for ref in key.nulls() if seen is not None and seen.replaces(ref)), None)
        if ref is None:
            raise missing(key.name, version_id)
        return _not_a_marker(key, ref, version_id)
    if seen is None:
        raise missing(key.name, "")
    if seen.ref is None:
        return Place(key.name, None)
    if seen.ref.marker:
        raise _is_marker(key, seen.ref)
    return Place(key.entry(seen.ref), seen.ref)


def _not_a_marker(key: Key, ref: Ref, version_id: str) -> Place:
    """Return the place of a version. Raises DeleteMarker if it is one: it has no data."""
    if not ref.marker:
        return Place(key.entry(ref), ref)
    raise missing(key.name, version_id) if key.head(ref) is None else _is_marker(key, ref)


def _is_marker(key: Key, ref: Ref) -> ObjstoreError:
    return DeleteMarker(f"{key.name.path} is a delete marker", ref.version_id, ref.stamp)


def missing(name: Name, version_id: str) -> ObjstoreError:
    """Return the error for an object, or a version, that does not exist."""
    return states.no_such(name, version_id) if version_id else NotFound(name.path)
