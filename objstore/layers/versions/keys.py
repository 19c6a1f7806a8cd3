"""One key of a container that keeps versions: its pointer, and the entries of its versions.

The *pointer* is the object under the key in the container itself. It names the entry that is the current
version. A write changes it last, and takes effect with this change. In listings of keys, and
for readers without this layer, it is a manifest of that entry's bytes. If the current version of a key is a delete
marker the pointer exists too, but has no row.

The first version of a key, if it is small, lies *in place*: it is the object under the key, and has no entry. The next
write copies it to one, as it does with a *plain* object.

An entry *counts* if it is not newer than the pointer's *horizon*: the version that the pointer names or, if that one
was made current again, the time of this restoration. A newer one is on its way, was refused, or is of a writer that
died: it is ignored.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from objstore.core.errors import Conflict, ContainerReplaced, NoContainer, NodeFailure, NotFound, PreconditionFailed
from objstore.core.expiry import DELETE_AT, is_expired
from objstore.core.headers import DATA_TIMESTAMP, STORED_TIMESTAMP
from objstore.core.listed import (
    DEFAULT_TYPE,
    LISTED_ETAG,
    LISTED_FIELDS,
    LISTED_SIZE,
    LISTED_WHOLE,
    fields_header,
    listed_type_header,
)
from objstore.core.manifests import FORM, MANIFEST, MANIFEST_ETAG, MANIFEST_SIZE, shown_etag
from objstore.core.metadata import OBJECT_HEADERS, replaced_by_post, user_prefix
from objstore.core.names import Name, hidden
from objstore.core.object_lock import LOCK
from objstore.core.timestamps import ZERO, Timestamp
from objstore.core.versions import (
    COUNTED_ELSEWHERE,
    DELETED,
    EXPIRES,
    IN_PLACE,
    MARKER_TYPE,
    RESTORED,
    UNLISTED,
    VERSION,
)
from objstore.layers import hidden as containers
from objstore.layers import listings
from objstore.layers.bodies import BytesBody
from objstore.layers.interface import DeleteOptions, ObjectLayer, Page, PutOptions, ReadOptions, Reply, UpdateOptions
from objstore.layers.versions import names
from objstore.layers.versions.names import Ref
from objstore.web import segments
from objstore.web.context import RequestContext
from objstore.web.errors import location
from objstore.web.write_conditions import LockCondition, WriteCondition

KIND = "versions"
_USER = user_prefix("Object")
# Headers of an entry that its pointer does not take over: they would act twice.
_OWN = frozenset({DELETE_AT, "X-Static-Large-Object", "X-Object-Manifest"})
_ID_QUERY = "?version-id="
_LINK_FIELDS = frozenset({"symlink_path", "version_symlink"})  # of rows
PAGE = 1000
ABSENT = WriteCondition(if_none_match="*")
PRESENT = WriteCondition(if_match="*")


class Seen(NamedTuple):
    """The object under the key.

    ref: the version that it points to, None for data that lie under the key itself: a version in place, or a *plain*
    object, written before the container kept versions, whose version id is null. written: its last change. headers: of
    the object itself.
    """

    ref: Ref | None
    written: Timestamp
    headers: Mapping[str, str]

    @property
    def marker(self) -> bool:
        return self.ref is not None and self.ref.marker

    @property
    def null(self) -> bool:
        return self.current.null

    @property
    def etag(self) -> str:
        """The etag that clients see and that conditions of a change are checked against, without quotes."""
        return etag_of(self.headers)

    @property
    def latest(self) -> Timestamp:
        """The timestamp that a newer version's must exceed."""
        return self.written if self.ref is None else max(self.written, self.ref.stamp)

    @property
    def plain_ref(self) -> Ref:
        """The version of data under the key itself, also after it has become an entry."""
        return in_place(self.headers) or Ref(Timestamp.parse(self.headers[DATA_TIMESTAMP]), "n")

    @property
    def conditional(self) -> bool:
        return self.ref is not None and self.ref.conditional

    def same_data(self, headers: Mapping[str, str]) -> bool:
        """Return whether these are the headers of the same data. headers: as the field."""
        return headers[DATA_TIMESTAMP] == self.headers[DATA_TIMESTAMP]

    @property
    def current(self) -> Ref:
        """The current version, see `plain_ref`."""
        return self.plain_ref if self.ref is None else self.ref

    @property
    def horizon(self) -> Timestamp:
        """The time up to which entries count."""
        restored = self.headers.get(RESTORED)
        return Timestamp.parse(restored) if restored else self.current.stamp

    def replaces(self, ref: Ref) -> bool:
        """Return whether this version, if it is not the current one, counts."""
        return self.horizon > ref.stamp

    def shows(self, move: Move) -> bool:
        """Return whether this is the pointer after that move."""
        return self.ref == move.ref and self.horizon >= move.stamp


class FirstLook(NamedTuple):
    """A look of a writer under a key. never_was: nothing was ever stored under the key, as far as is known."""

    seen: Seen | None
    never_was: bool = False


class Move(NamedTuple):
    """A new target of a pointer. stored: headers of the entry, its own Etag among them. size: its bytes.

    restored: the time at which an older version becomes the current one again; None for a new one.
    """

    ref: Ref
    stored: Mapping[str, str]
    size: int
    restored: Timestamp | None = None

    @property
    def stamp(self) -> Timestamp:
        """The time of the change; the pointer's horizon after it."""
        return self.ref.stamp if self.restored is None else self.restored


class Key(NamedTuple):
    """A key of a container. name: of the pointer; its object is the key. unlimited: see `PutOptions`.

    locked: the container has object lock. bypass: see `DeleteOptions`.
    """

    layer: ObjectLayer
    context: RequestContext
    name: Name
    unlimited: bool = False
    locked: bool = False
    bypass: bool = False

    @property
    def text(self) -> str:
        assert self.name.object is not None
        return self.name.object

    @property
    def container(self) -> Name:
        return kept_in(self.name)

    def entry(self, ref: Ref) -> Name:
        return self.container._replace(object=names.entry(self.text, ref))

    def receipt(self, ref: Ref) -> Name:
        return self.container._replace(object=names.receipt(self.text, ref))

    def look(self, newest: bool = False) -> Seen | None:
        """Return the object under the key, None if there is none. newest: ask a majority, as every change must."""
        reply = self._head(self.name, newest)
        return None if reply is None else _seen(reply.headers)

    def look_first(self) -> FirstLook:
        """Look at a majority before a change, and also for what was deleted. Raises NoContainer."""
        try:
            return FirstLook(_seen(self._open_head(self.name, newest=True).headers))
        except NoContainer:
            raise
        except NotFound as missing:
            return FirstLook(None, missing.timestamp in (None, ZERO))

    def head(self, ref: Ref, expired: bool = False, newest: bool = False) -> Reply | None:
        """Return the headers of an entry, None if it is gone. expired: also those of an expired one.

        newest: as in `look`.
        """
        return self._head(self.entry(ref), newest, expired)

    def keep(self, ref: Ref, head: Reply) -> None:
        """Take the expiry from an entry, so that it stays. head: of the entry.

        The change is dated right after the last one, so that it loses against all newer ones; if the entry may be
        locked, it is made under the condition that the lock is still as it was. Raises Conflict.
        """
        headers = {name: value for name, value in head.headers.items() if replaced_by_post(name) and name != DELETE_AT}
        if self.locked:
            if not self.replace_metadata(ref, headers, LockCondition(head.headers.get(LOCK, ""))):
                raise Conflict("the lock of the version has changed")
            return
        stamp = names.successor(Timestamp.parse(head.headers[STORED_TIMESTAMP]))
        self.layer.update(self.context, self.entry(ref), UpdateOptions(headers, stamp, expired=True))

    def replace_metadata(self, ref: Ref, headers: Mapping[str, str], lock: LockCondition) -> bool:
        """Replace the metadata of an entry that may be locked; return False if its lock is not as the condition says.

        headers: complete, with the new state of the lock. Raises NotFound, ObjectHeld.
        """
        options = UpdateOptions(headers, condition=WriteCondition(lock=lock), expired=True)
        try:
            self.layer.update(self.context, self.entry(ref), options)
        except PreconditionFailed:
            return False
        return True

    def has_expired(self, seen: Seen) -> bool:
        """Return whether the current version has expired."""
        if seen.ref is None or EXPIRES not in seen.headers:
            return False
        head = self.head(seen.ref, expired=True)
        return head is None or is_expired(head.headers, time.time())

    def _head(self, name: Name, newest: bool = False, expired: bool = False) -> Reply | None:
        try:
            return self._open_head(name, newest, expired)
        except NotFound:
            return None

    def _open_head(self, name: Name, newest: bool = False, expired: bool = False) -> Reply:
        return self.layer.open(self.context, name, ReadOptions(head=True, newest=newest, raw=True, expired=expired))

    def make_container(self) -> None:
        """Make the hidden container, with the storage policy of the other. Raises NoContainer, ContainerReplaced."""
        containers.make(self.layer, self.context, self.container, self.name)

    def refs(self, before: Ref | None = None, page: int = PAGE, majority: bool = False) -> Iterator[Ref]:
        """Yield the entries of the key, newest first, from the one before `before`; conditional ones with a receipt.

        majority: include every entry whose write was answered, as deletions and moves require. An entry that was
        deleted may be among them.
        """
        marker = names.receipt(self.text, before) if before is not None else ""
        conditional: Ref | None = None
        for row in self._rows(marker, page, majority):
            entry = names.parse_entry(row["name"])
            if entry.receipt:
                if entry.ref == conditional:
                    yield conditional
                conditional = None
            elif entry.ref.conditional:
                conditional = entry.ref
            else:
                conditional = None
                yield entry.ref

    def uploaded(self) -> Iterator[Ref]:
        """Yield the entries that were uploaded by parts, newest first, whether they count or not."""
        for row in self._rows("", PAGE, majority=True):
            entry = names.parse_entry(row["name"])
            if "-" in row["hash"] and not entry.receipt:
                yield entry.ref

    def _rows(self, marker: str, page: int, majority: bool) -> Iterator[dict[str, Any]]:
        """Yield the rows of the key's entries; none if the hidden container does not exist."""
        entries = Page(self.text + names.SEPARATOR, marker=marker, limit=page, data_times=True, majority=majority)
        try:
            yield from listings.rows(self.layer, self.context, self.container, entries)
        except NotFound:
            return

    def nulls(self, majority: bool = False) -> Iterator[Ref]:
        """Return those of `refs` whose version id is null."""
        return (ref for ref in self.refs(majority=majority) if ref.null)

    def give_receipt(self, ref: Ref) -> None:
        """Record that a conditional version was the current one."""
        if ref.conditional:
            self._put_small(self.receipt(ref))

    def put_marker(self, ref: Ref) -> None:
        """Write the entry of a delete marker."""
        self._put_small(self.entry(ref), ref.stamp)

    def _put_small(self, name: Name, stamp: Timestamp | None = None) -> None:
        options = PutOptions({"Content-Type": MARKER_TYPE}, timestamp=stamp, listed=True, unlimited=True)
        try:
            self.layer.put(self.context, name, options, BytesBody(b""))
            return
        except (NotFound, Conflict):
            # The container is of an earlier life, which another host may have ended.
            self.make_container()
        try:
            self.layer.put(self.context, name, options, BytesBody(b""))
        except (NotFound, Conflict):
            raise containers.gone(self.layer, self.context, self.name) from None

    def drop(self, ref: Ref, keep: bool = False, lock: str | None = None) -> None:
        """Delete an entry permanently. keep: but not the segments that it owns.

        lock: the state of its lock. Else the entry must be one that never counted: its lock does not count either.
        Raises PreconditionFailed if the lock is in another state.
        """
        condition = None
        if self.locked and not ref.marker:
            if lock is None:
                head = self.head(ref, expired=True, newest=True)
                lock = "" if head is None else head.headers.get(LOCK, "")
            condition = WriteCondition(lock=LockCondition(lock))
        self._delete(self.entry(ref), DeleteOptions(condition=condition, keep_segments=keep))
        if ref.conditional:
            self._delete(self.receipt(ref), DeleteOptions())

    def _delete(self, name: Name, options: DeleteOptions) -> None:
        try:
            self.layer.delete(self.context, name, options)
        except NotFound:
            pass

    def point(self, move: Move, stamp: Timestamp | None, condition: WriteCondition | None, keep: bool = False) -> bool:
        """Move the pointer; return False if it was moved meanwhile.

        stamp: of the change, None for one after all that is stored. keep: the segments of the replaced object now
        belong to an entry. Raises NoContainer, ContainerReplaced if the container was deleted since the request began:
        the entry may have been deleted with it.
        """
        life = self.layer.container_info(self.context, self.name).life
        headers = pointing(self.name, move)
        options = PutOptions(headers, timestamp=stamp, condition=condition, life=life, keep_segments=keep)
        if self.unlimited:
            options = options._replace(unlimited=True)
        try:
            self.layer.put(self.context, self.name, options, BytesBody(self._list(move)))
        except ContainerReplaced:
            raise
        except (PreconditionFailed, Conflict):
            return False
        return True

    def _list(self, move: Move) -> bytes:
        """Return the content of the pointer: the segments of its entry, or the entry as the only one."""
        if move.ref.marker:
            return b"[]"
        entry = self.entry(move.ref)
        if move.stored.get(MANIFEST) == FORM:
            try:
                return self.layer.open(self.context, entry, ReadOptions(raw=True)).read()
            except NotFound:
                raise NodeFailure(f"{entry.path} cannot be read") from None
        etag = move.stored["Etag"].strip('"')
        return segments.dump([{"name": f"/{entry.container}/{entry.object}", "hash": etag, "bytes": move.size}])

    def remove_pointer(self, stamp: Timestamp) -> bool:
        """Delete the pointer; return False if it was moved meanwhile."""
        try:
            self.layer.delete(self.context, self.name, DeleteOptions(stamp, PRESENT))
        except NoContainer:
            raise
        except (NotFound, PreconditionFailed, Conflict):
            return False
        return True


def _seen(headers: Mapping[str, str]) -> Seen:
    tail = headers.get(VERSION)
    return Seen(names.parse_tail(tail) if tail else None, Timestamp.parse(headers[STORED_TIMESTAMP]), headers)


def in_place(headers: Mapping[str, str]) -> Ref | None:
    """Return the version that an object under a key is itself; None for a pointer and a plain object."""
    tail = headers.get(IN_PLACE)
    if not tail:
        return None
    ref = names.parse_tail(tail)
    # A copy of the object that was made with all its headers is not the version.
    return ref if ref.stamp.raw == Timestamp.parse(headers[DATA_TIMESTAMP]).raw else None


def being_in_place(name: Name, ref: Ref, stored: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of a version in place. stored: those of its data."""
    return {**stored, IN_PLACE: ref.tail, **_fields(name, ref, stored)}


def not_in_place(headers: dict[str, str]) -> dict[str, str]:
    """Return the headers of a version in place, or of a plain object, without those that `being_in_place` adds."""
    if IN_PLACE not in headers:
        return headers
    added = (IN_PLACE, LISTED_FIELDS)
    fields = json.loads(headers.get(LISTED_FIELDS) or "{}")
    own = {key: value for key, value in fields.items() if key not in _LINK_FIELDS}
    return {**{name: value for name, value in headers.items() if name not in added}, **fields_header(own)}


def id_of_row(row: Mapping[str, Any]) -> str:
    """Return the version id of the row of a key without entries."""
    return str(row["symlink_path"]).rpartition(_ID_QUERY)[2] if row.get("version_symlink") else names.NULL


def kept_in(name: Name) -> Name:
    """Return the container of the versions of a container, or of a name in that."""
    assert name.container is not None
    return Name(name.account, hidden(KIND, name.container))


def keeps_entries(container: str) -> bool:
    """Return whether a container is that of the versions of another one."""
    return container.startswith(hidden(KIND, ""))


def version_at(entry: Name) -> tuple[Name, Ref]:
    """Return the key and the version of an entry. Raises ValueError if the name is not that of one."""
    container, text = entry.container or "", entry.object or ""
    if not keeps_entries(container):
        raise ValueError(f"not a container of versions: {container!r}")
    parsed = names.parse_entry(text)
    return Name(entry.account, container[len(hidden(KIND, "")) :], parsed.key), parsed.ref


def etag_of(headers: Mapping[str, str]) -> str:
    """Return the etag of an object that clients see, without quotes. headers: its own, Etag among them."""
    return shown_etag(headers, headers.get("Etag", "").strip('"'))


def pointing(name: Name, move: Move) -> dict[str, str]:
    """Return the headers of a pointer."""
    ref, stored = move.ref, move.stored
    if ref.marker:
        return {
            "Content-Type": MARKER_TYPE,
            VERSION: ref.tail,
            DELETED: "true",
            UNLISTED: "true",
            MANIFEST: FORM,
            MANIFEST_ETAG: ref.tail,
            MANIFEST_SIZE: "0",
        }
    return {
        "Content-Type": stored.get("Content-Type", DEFAULT_TYPE),
        **{name: value for name, value in stored.items() if _taken_over(name)},
        VERSION: ref.tail,
        MANIFEST: FORM,
        MANIFEST_ETAG: etag_of(stored),
        MANIFEST_SIZE: stored.get(MANIFEST_SIZE) or str(move.size),
        **({EXPIRES: stored[DELETE_AT]} if DELETE_AT in stored else {}),
        **({RESTORED: move.restored.internal} if move.restored is not None else {}),
        **listed_type_header(stored),
        LISTED_ETAG: stored.get(LISTED_ETAG) or stored["Etag"].strip('"'),
        LISTED_SIZE: stored.get(LISTED_SIZE) or str(move.size),
        **({LISTED_WHOLE: stored[LISTED_WHOLE]} if LISTED_WHOLE in stored else {}),
        **_fields(name, ref, stored),
        COUNTED_ELSEWHERE: "true",
    }


def _fields(name: Name, ref: Ref, stored: Mapping[str, str]) -> dict[str, str]:
    """Return the header with the further keys of the row: as in Swift, where the name is a link to the version."""
    fields = json.loads(stored.get(LISTED_FIELDS) or "{}")
    if ref.null:
        return fields_header(fields)
    path = f"{location(name.path)}{_ID_QUERY}{ref.version_id}"
    return fields_header({**fields, "symlink_path": path, "version_symlink": True})


def _taken_over(name: str) -> bool:
    return name not in _OWN and (name in OBJECT_HEADERS or name.startswith(_USER))


def move_to(ref: Ref, head: Reply) -> Move:
    """Return the move to an entry. head: of the entry itself."""
    return Move(ref, head.headers, head.size)
