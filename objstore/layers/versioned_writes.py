"""Former versions of objects in another container, the *archive*: Swift's versioned writes (X-Versions-Location).

What a write replaces is copied to the archive first, under the name `LLLname/time`: the length of the name in bytes as
three hex digits, and the time of its PUT. In the mode `history` a deletion copies too, and adds an empty object as a
marker of its own; in the mode `stack` it brings the newest archived object back.

Rules, in order:

1. The object is read, and copied to the archive. It is copied as what it is: a manifest of a client's segments as a
   manifest, a link as a link. Only one that owns its segments (`core.manifests.MANIFEST_OWNS`) is copied as its
   content, since segments are deleted with the container of their object.
2. The change is made under the condition that the object is still the one that was copied. Otherwise all is done
   again, so that each of several writers archives what it replaces. A long body cannot be sent again: what came
   meanwhile is archived after the body was read; if even then another change comes first, the write is refused.
3. An archived object that was brought back is deleted from the archive last.

A writer that dies in between leaves a copy of the current object in the archive. The archive is written with the
system's rights: who may write the container archives.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

from objstore.core.errors import (
    Conflict,
    ContainerReplaced,
    LimitExceeded,
    NoContainer,
    NodeFailure,
    NotFound,
    ObjstoreError,
    PreconditionFailed,
)
from objstore.core.headers import DATA_TIMESTAMP
from objstore.core.limits import Limits
from objstore.core.listed import LISTED_ETAG, LISTED_FIELDS, LISTED_SIZE, LISTED_WHOLE
from objstore.core.manifests import MANIFEST, MANIFEST_ETAG, MANIFEST_OWNS, MANIFEST_SIZE, shown_etag
from objstore.core.metadata import TRANSIENT_SYSMETA, stored_with_object
from objstore.core.names import Name
from objstore.core.timestamps import ZERO, Timestamp
from objstore.layers import copies, listings
from objstore.layers.bodies import PIECE, BytesBody, ObjectBody, whole
from objstore.layers.interface import (
    DeleteOptions,
    DeleteResult,
    ObjectLayer,
    Page,
    PutOptions,
    PutResult,
    ReadOptions,
    Reply,
)
from objstore.layers.passing import Passing
from objstore.layers.renames import delete_old_name
from objstore.layers.stack import Deps, LayerKind
from objstore.layers.versions.names import NULL
from objstore.runtime import green, settings
from objstore.runtime.settings import boolean, setting
from objstore.web.context import RequestContext
from objstore.web.write_conditions import WriteCondition

ARCHIVED = "versions-location"  # in `web.infos.ContainerInfo.sysmeta` of a container that has an archive
STACK, HISTORY = "stack", "history"
LOCATION = "X-Container-Sysmeta-Versions-Location"  # the archive, percent-encoded as the client sent it
MODE = "X-Container-Sysmeta-Versions-Mode"
MARKER_TYPE = "application/x-deleted;swift_versions_deleted=1"
RESTORED_FROM = "X-Object-Sysmeta-Versions-Restored-From"  # the archived name of an object that was brought back
_STAMP = re.compile(r"\d{10}\.\d{5}", re.ASCII)
_REFUSED = (PreconditionFailed, Conflict)
_TRIES = 20
_PAUSE = 0.005  # seconds, times the number of tries so far
_NEWER = 100  # rows of a listing that are read behind the newest that one replica lists
# Headers that describe a list of segments, which a copy of the content has not.
_OF_LIST = frozenset(
    {MANIFEST, MANIFEST_ETAG, MANIFEST_SIZE, MANIFEST_OWNS, LISTED_ETAG, LISTED_SIZE, LISTED_WHOLE, LISTED_FIELDS}
)


class Archive(NamedTuple):
    """The archive of a container. mode: STACK or HISTORY."""

    container: Name
    mode: str

    def prefix(self, key: str) -> str:
        """Return how the names of the archived objects of a key begin."""
        return f"{len(key.encode('utf-8', 'surrogateescape')):03x}{key}/"

    def name(self, key: str, stamp: Timestamp) -> Name:
        return self.container._replace(object=self.prefix(key) + stamp.normal)


def location_of(sysmeta: Mapping[str, str]) -> str:
    """Return LOCATION of a container, '' for none. sysmeta: as in `web.infos.ContainerInfo`."""
    return sysmeta.get(ARCHIVED, "")


def mode_of(sysmeta: Mapping[str, str]) -> str:
    return sysmeta.get("versions-mode", STACK)


def archive_of(sysmeta: Mapping[str, str], name: Name) -> Archive | None:
    """Return the archive of a container; None if it has none."""
    location = location_of(sysmeta)
    return Archive(Name(name.account, unquote(location)), mode_of(sysmeta)) if location else None


@dataclass(frozen=True)
class VersionedWritesSettings:
    """Settings of the layer."""

    allow_versioned_writes: bool = setting(
        boolean, "true", "X-Versions-Location and X-History-Location in the Swift API"
    )


class VersionedWrites(Passing):
    """The layer around `inner`. in_swift: announce it to the Swift API. limits: of names, and of an object's bytes."""

    def __init__(self, inner: ObjectLayer, in_swift: bool, limits: Limits) -> None:
        super().__init__(inner)
        self.features = ("versioned_writes",) if in_swift else ()
        self._limits = limits

    def info(self) -> dict[str, dict[str, object]]:
        """Return the section of /info by which Swift's clients find the feature."""
        flags = ["x-versions-location", "x-history-location"]
        return {"versioned_writes": {"allowed_flags": flags}} if self.features else {}

    def put(self, context: RequestContext, name: Name, options: PutOptions, body: ObjectBody) -> PutResult:
        sysmeta = self.container_info(context, name).sysmeta
        archive = archive_of(sysmeta, name) if ARCHIVED in sysmeta else None
        if archive is None:
            return self.inner.put(context, name, options, body)
        rename, options = options.rename, options._replace(rename=None)
        result = _Change(self.inner, self._limits, context, name, archive).put(options, body)
        if rename is not None:
            delete_old_name(self, context, name, rename)
        return result

    def delete(self, context: RequestContext, name: Name, options: DeleteOptions) -> DeleteResult:
        archive = archive_of(self.container_info(context, name).sysmeta, name)
        if archive is None or options.version_id not in ("", NULL) or options.delete_at is not None:
            return self.inner.delete(context, name, options)
        options = options._replace(version_id="")
        change = _Change(self.inner, self._limits, context, name, archive)
        return change.delete(options) if archive.mode == HISTORY else change.restore(options)


class _Change:
    """A change of one object of a container with an archive."""

    def __init__(
        self, inner: ObjectLayer, limits: Limits, context: RequestContext, name: Name, archive: Archive
    ) -> None:
        assert name.object is not None
        self._inner = inner
        self._limits = limits
        self._context = context
        self._name = name
        self._key = name.object
        self._archive = archive

    def put(self, options: PutOptions, body: ObjectBody) -> PutResult:
        if body.length is None or body.length > PIECE:
            return self._put_long(options, body)
        data = whole(body, PIECE)
        if options.late is not None:
            options = options._replace(headers={**options.headers, **options.late()}, late=None)
        for _ in self._tries():
            expected = self._archive_current(options.condition)
            try:
                return self._put(self._name, options._replace(condition=expected), BytesBody(data))
            except _Overtaken:
                if options.timestamp is not None:
                    raise Conflict("something newer is stored") from None
        raise AssertionError("unreachable")

    def _put_long(self, options: PutOptions, body: ObjectBody) -> PutResult:
        expected = _Latest()
        expected.etag = self._archive_current(options.condition).etag

        def late() -> Mapping[str, str]:
            """Archive what came during the upload."""
            expected.etag = self._archive_current(options.condition, expected.etag).etag
            expected.is_settled = True
            return options.late() if options.late is not None else {}

        try:
            return self._put(self._name, options._replace(condition=expected, late=late), body)
        except _Overtaken:
            if options.timestamp is not None:
                raise Conflict("something newer is stored") from None
            raise NodeFailure(f"others write {self._name.path} at the same time") from None

    def delete(self, options: DeleteOptions) -> DeleteResult:
        """Archive the object and a marker of the deletion, and delete it."""
        for _ in self._tries():
            with self._current(options.condition) as current:
                if not current.exists:
                    return self._inner.delete(self._context, self._name, options._replace(condition=None))
                self._copy_to_archive(current)
            marker = self._archive.name(self._key, max(Timestamp.from_seconds(time.time()), current.written.next()))
            self._check_length(marker)
            self._put(marker, PutOptions({"Content-Type": MARKER_TYPE}, listed=True), BytesBody(b""))
            try:
                return self._delete(options, current)
            except _Overtaken:
                self._drop(marker)
        raise AssertionError("unreachable")

    def restore(self, options: DeleteOptions) -> DeleteResult:
        """Replace the object by the newest one in the archive; delete it if that is a marker, or there is none."""
        for _ in self._tries():
            with self._current(options.condition) as current:
                pass
            try:
                done = self._step_back(current, options)
            except _Overtaken:
                continue
            return done
        raise AssertionError("unreachable")

    def _step_back(self, current: _Current, options: DeleteOptions) -> DeleteResult:
        is_popped = False
        for row in self._archived():
            former = self._archive.container._replace(object=row["name"])
            if row["name"] == current.restored_from:  # left by a deletion that died
                self._drop(former)
                continue
            if row["content_type"] == MARKER_TYPE:
                if current.exists or is_popped:
                    break
                is_popped = self._drop(former)
                continue
            if self._bring_back(former, current):
                self._drop(former)
                return DeleteResult(True)
        if current.exists:
            return self._delete(options, current)
        result = self._inner.delete(self._context, self._name, options._replace(condition=None))
        return DeleteResult(is_popped, result.segments)

    def _bring_back(self, former: Name, current: _Current) -> bool:
        """Put an archived object in place of the current one; return False if it is gone."""
        try:
            source = self._inner.open(self._context, former, ReadOptions(newest=True, raw=True))
        except NotFound:
            return False
        marked = {RESTORED_FROM: quote(former.object or "")}
        options = PutOptions(marked, condition=current.expected, unlimited=True)
        self._copy(source, former, self._name, options)
        return True

    def _archived(self) -> Iterator[dict[str, Any]]:
        """Yield the rows of the archived objects of the key, the newest first: also what one replica lacks as yet."""
        prefix = self._archive.prefix(self._key)
        page = Page(prefix, limit=_NEWER)
        try:
            known = listings.rows(self._inner, self._context, self._archive.container, page._replace(reverse=True))
            first = next(known, None)
            marker = first["name"] if first is not None else ""
            later = page._replace(marker=marker, majority=True)
            newer = deque(listings.rows(self._inner, self._context, self._archive.container, later), _NEWER)
            for row in chain(reversed(newer), [first] if first is not None else [], known):
                if _STAMP.fullmatch(row["name"][len(prefix) :]):
                    yield row
        except NotFound:
            return

    def _tries(self) -> Iterator[int]:
        """Yield the numbers of the tries, after a pause each. Raises Conflict after the last one."""
        for attempt in range(_TRIES):
            green.sleep(_PAUSE * attempt)
            yield attempt
        raise Conflict("others change the object all the time")

    # The current object

    def _current(self, condition: WriteCondition | None) -> _Current:
        """Return the object. Raises PreconditionFailed if the client's condition does not hold."""
        try:
            current = _Current(self._inner.open(self._context, self._name, ReadOptions(newest=True, raw=True)))
        except NotFound:
            current = _Current(None)
        if condition is not None:
            try:
                condition.check(current.etag)
            except PreconditionFailed:
                current.close()
                raise
        return current

    def _archive_current(self, condition: WriteCondition | None, archived: str | None = "") -> _Latest:
        """Archive the object; return the condition that it is still the same.

        condition: the client's. archived: the etag of the one that is archived already, '' for none.
        """
        with self._current(condition) as current:
            if current.exists and current.etag != archived:
                self._copy_to_archive(current)
        return current.expected

    def _copy_to_archive(self, current: _Current) -> None:
        assert current.reply is not None
        target = self._archive.name(self._key, current.written)
        self._check_length(target)
        self._copy(current.reply, self._name, target, PutOptions({}))

    def _check_length(self, target: Name) -> None:
        if len((target.object or "").encode("utf-8", "surrogateescape")) > self._limits.max_object_name_length:
            raise PreconditionFailed("the name is too long for the archive")

    def _copy(self, source: Reply, name: Name, target: Name, options: PutOptions) -> None:
        """Put an open stored object under another name, with all that is kept with it. Raises _Overtaken."""
        headers = source.headers
        left_out = {RESTORED_FROM}
        if MANIFEST_OWNS in headers:
            written = headers[DATA_TIMESTAMP]
            source.close()
            try:
                source = self._inner.open(self._context, name, ReadOptions(newest=True))
            except NotFound:
                raise _Overtaken from None
            if source.headers[DATA_TIMESTAMP] != written:
                source.close()
                raise _Overtaken
            left_out |= _OF_LIST
        etag = "" if MANIFEST_OWNS in headers else headers["Etag"]
        stored = {
            header: value
            for header, value in headers.items()
            if header not in left_out and (stored_with_object(header) or header.startswith(TRANSIENT_SYSMETA))
        }
        stored["Content-Type"] = headers["Content-Type"]
        made = options._replace(headers={**stored, **options.headers}, etag=etag, listed=True)
        try:
            copies.copy(self._inner, self._context, source, target, made)
        except NoContainer:
            raise self._gone(target) from None
        except LimitExceeded:
            raise PreconditionFailed("the object is too large to be archived") from None
        except _REFUSED as failure:
            raise _overtaken(failure) from None

    def _put(self, target: Name, options: PutOptions, body: ObjectBody) -> PutResult:
        """Raises _Overtaken if another change came first."""
        try:
            return self._inner.put(self._context, target, options, body)
        except NoContainer as failure:
            if target.container == self._name.container:
                raise
            raise self._gone(target) from failure
        except _REFUSED as failure:
            raise _overtaken(failure) from None

    def _gone(self, target: Name) -> ObjstoreError:
        if target.container == self._name.container:
            return NoContainer(f"{target.of_container.path} was deleted", ended=True)
        return PreconditionFailed(f"the archive {target.of_container.path} does not exist")

    def _delete(self, options: DeleteOptions, current: _Current) -> DeleteResult:
        """Delete the object if it is still the current one. Raises _Overtaken."""
        try:
            return self._inner.delete(self._context, self._name, options._replace(condition=current.expected))
        except _REFUSED as failure:
            raise _overtaken(failure) from None

    def _drop(self, name: Name) -> bool:
        """Delete an object of the archive; return whether it existed."""
        try:
            return self._inner.delete(self._context, name, DeleteOptions()).existed
        except NotFound:
            return False


class _Overtaken(Exception):
    """Another change of the object came first."""


def _overtaken(failure: ObjstoreError) -> Exception:
    return failure if isinstance(failure, ContainerReplaced) else _Overtaken()


class _Latest(WriteCondition):
    """The condition that an object is still the one that was archived.

    etag: of that one, None for no object. is_settled: False while a body is read, after which the etag is renewed.
    """

    etag: str | None = None
    is_settled = False

    @property
    def headers(self) -> dict[str, str]:
        return {"If-None-Match": "*"} if self.etag is None else {"If-Match": f'"{self.etag}"'}

    def check(self, etag: str | None, second_etag: str = "", lock: str = "") -> None:
        if self.is_settled and etag != self.etag:
            raise PreconditionFailed("another change came first", missing=etag is None)


class _Current:
    """The object as it was read. reply: None if there is none. etag: as conditions of a change see it."""

    def __init__(self, reply: Reply | None) -> None:
        self.reply = reply
        self.exists = reply is not None
        headers: Mapping[str, str] = {} if reply is None else reply.headers
        self.etag = shown_etag(headers, headers["Etag"].strip('"')) if headers else None
        self.written = Timestamp.parse(headers[DATA_TIMESTAMP]) if headers else ZERO
        self.restored_from = unquote(headers.get(RESTORED_FROM, ""))

    @property
    def expected(self) -> _Latest:
        """The condition that this object, or none, is still stored."""
        condition = _Latest()
        condition.etag, condition.is_settled = self.etag, True
        return condition

    def close(self) -> None:
        if self.reply is not None:
            self.reply.close()

    def __enter__(self) -> _Current:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()


def _make(inner: ObjectLayer, deps: Deps) -> VersionedWrites:
    values = settings.read(VersionedWritesSettings, deps.conf, "app:proxy-server")
    return VersionedWrites(inner, values.allow_versioned_writes, deps.limits)


KIND = LayerKind(
    "versioned_writes",
    _make,
    VersionedWritesSettings,
    outside_of=("placement", "versions", "manifests", "encryption"),
    needed="writes to containers with X-Versions-Location would lose what they replace",
)
