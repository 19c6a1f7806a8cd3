"""The contract of the object layer: its operations, and the values that go in and come out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlencode

from objstore.core.json_body import JsonBody
from objstore.core.names import Name
from objstore.core.object_lock import LockChange
from objstore.core.timestamps import Timestamp
from objstore.layers.bodies import ObjectBody
from objstore.web.context import RequestContext
from objstore.web.infos import AccountInfo, ContainerInfo
from objstore.web.responses import Answer
from objstore.web.write_conditions import WriteCondition


class ReadOptions(NamedTuple):
    """Options of a read.

    conditions: `If-Match`, `If-None-Match`, `If-Modified-Since`, `If-Unmodified-Since`, `Range` and `If-Range` as in
    HTTP (RFC 9110, 13 and 14), by their canonical names; a `Range` of several ranges is ignored. head: without the
    content; then a range is ignored. newest: ask a majority of the replicas for the newest version. raw: the stored
    object itself (the list of a manifest), not its content through the layers. version: the data timestamp that the
    object must have, else the status is 412; '' for any. policy: the storage policy, None for the container's. expired:
    also read an expired object. version_id: of the version to read, '' for the current one. link: a link itself, in
    place of its target. part: the number, from 1, of the part of a manifest to read in place of a range; None for the
    whole. It is ignored for other objects. permit: called with the name of each further object before it is read (a
    segment in a client's container, the target of a link); raises the language's error if the client may not read it.
    None: everything may be read. dynamic: False for the own bytes of a dynamic large object, in place of its segments'.
    depth: number of objects through which this read came, each a segment of or a link in the one before.
    """

    conditions: Mapping[str, str] = {}
    head: bool = False
    newest: bool = False
    raw: bool = False
    version: str = ""
    policy: int | None = None
    expired: bool = False
    version_id: str = ""
    link: bool = False
    part: int | None = None
    permit: Callable[[Name], None] | None = None
    dynamic: bool = True
    depth: int = 0


class Page(NamedTuple):
    """The rows of a listing whose names begin with `prefix`, after `marker` and before `end_marker`.

    Rows are in the order of the UTF-8 of their names; the markers change sides with `reverse`. An expired object is
    listed until it is deleted.

    limit: of rows, None for the limit of a node (10,000 unless set in `limits`), which cannot be exceeded.
    delimiter: names that have it behind the prefix are rolled up to one row `{"subdir": ...}`, which ends with
    it. A group with exactly the marker's name is left out. path: only objects directly below that pseudo-directory,
    without regard to prefix and delimiter; None for no such filter. reserved: list reserved names too. markers: list
    keys whose current version is a delete marker. data_times: show when the data were written, not when metadata
    changed. majority: ask a majority of the replicas and list the rows that any of them has, also rows that another
    knows to be deleted; needs a limit, and excludes a delimiter and reverse. A page may then exceed its limit, and rows
    on which the replicas do not agree have the key `disputed`.
    """

    prefix: str = ""
    delimiter: str = ""
    marker: str = ""
    end_marker: str = ""
    limit: int | None = None
    reverse: bool = False
    path: str | None = None
    reserved: bool = False
    markers: bool = False
    data_times: bool = False
    majority: bool = False

    def query(self) -> str:
        """Return the query string for a request to a node."""
        texts = ("prefix", self.prefix), ("delimiter", self.delimiter), ("marker", self.marker)
        pairs = [(name, text) for name, text in (*texts, ("end_marker", self.end_marker)) if text]
        if self.limit is not None:
            pairs.append(("limit", str(self.limit)))
        if self.reverse:
            pairs.append(("reverse", "true"))
        if self.path is not None:
            pairs.append(("path", self.path))
        return urlencode(pairs, errors="surrogateescape")


class Listing(NamedTuple):
    """An account or container: its headers (canonical name to text), and its rows in the form of Swift's API.

    body: the rows as JSON, empty if only the headers were requested.
    """

    headers: dict[str, str]
    body: bytes | JsonBody = b""

    @property
    def content(self) -> bytes:
        """The rows as JSON."""
        return self.body.encode() if isinstance(self.body, JsonBody) else self.body

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows as values."""
        if isinstance(self.body, JsonBody):
            rows: list[dict[str, Any]] = self.body.value()
            return rows
        return json.loads(self.body) if self.body else []


class Reply(Answer):
    """An object that was opened, or the outcome of a condition.

    status: 200, 206, 304, 412 or 416; only the first two have a content and its length. headers: canonical name to
    text, with those of `core.headers`. body: pieces of the content, which must be read to
    the end or closed; it raises NodeFailure if no replica can continue. version_id: '' if the container never kept
    versions. target: the object that was opened in place of a link, None for no link; link_version_id: of the
    link itself.
    """

    __slots__ = ("link_version_id", "target", "version_id")
    link_version_id: str  # set if there is a target

    def __init__(self, status: int, headers: dict[str, str], body: Iterable[Any] = (), version_id: str = "") -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.version_id = version_id
        self.target: Name | None = None

    @property
    def size(self) -> int:
        """Bytes of the body."""
        return int(self.headers.get("Content-Length", 0))


class RenameSource(NamedTuple):
    """The old name of an object that is put under a new one. It is deleted in the same step.

    If the container keeps versions, it is marked as deleted afterwards. object: in the same container. etag: that it
    must still have; else Conflict.
    """

    object: str
    etag: str = "*"


class PutOptions(NamedTuple):
    """Options of a PUT.

    headers: stored with it, by canonical names: Content-Type (always), X-Delete-At, metadata. Others are skipped, and
    those without a value unless they are user metadata. etag: MD5 that the body must have, '' for any. timestamp: of
    the change, which then is final: it loses against anything that is not older; None for now, or just after the stored
    one. condition: on the stored object; an expired one counts as missing. policy: the storage policy, None for the
    container's. life: of the container, if the object depends on it (see `core.lives`); '' for the current one. late:
    returns further headers; called after the body was read. listed: acknowledge it only after a majority of the
    container's replicas lists it. keep_segments: those of a manifest that it replaces belong to another object now.
    data_policy: the storage policy that keeps the content, if not that of the container. unlimited: no quota refuses
    it, as it only moves what is in the container, or makes room.
    """

    headers: Mapping[str, str]
    etag: str = ""
    timestamp: Timestamp | None = None
    condition: WriteCondition | None = None
    policy: int | None = None
    life: str = ""
    late: Callable[[], Mapping[str, str]] | None = None
    rename: RenameSource | None = None
    listed: bool = False
    keep_segments: bool = False
    data_policy: int | None = None
    unlimited: bool = False


class PutResult(NamedTuple):
    """The result of a PUT. etag: the MD5 of the body; of a manifest in a container with versions, that of the whole.

    segments: of manifests that the object replaced, as values of MANIFEST_OWNS. version_id: '' if the container never
    kept versions.
    """

    etag: str
    timestamp: Timestamp
    segments: tuple[str, ...] = ()
    version_id: str = ""


class UpdateOptions(NamedTuple):
    """New metadata of an object, instead of all that an update may replace (`core.metadata.replaced_by_post`).

    The fields are those of `PutOptions`. The content type stays if the headers have none. version_id: of the version to
    change, '' for the current one. expired: also change an expired object, which expires when the headers say.
    """

    headers: Mapping[str, str]
    timestamp: Timestamp | None = None
    condition: WriteCondition | None = None
    policy: int | None = None
    version_id: str = ""
    expired: bool = False


class DeleteOptions(NamedTuple):
    """Options of a DELETE. delete_at: delete only an object that expires at this time, in seconds since the epoch.

    bypass: the caller may delete a version in spite of a retention in governance mode.
    version_id: of the version to delete permanently. Without it the object itself is deleted; if the container keeps
    versions, a delete marker becomes the current version. mark_missing: also if there is no object. mark_again: also if
    a marker is the current version already. later: only put it down for the expirer, which deletes what is stored now;
    excludes all other options, and containers that keep versions. The others are as in `PutOptions`.
    """

    timestamp: Timestamp | None = None
    condition: WriteCondition | None = None
    policy: int | None = None
    delete_at: int | None = None
    keep_segments: bool = False
    version_id: str = ""
    mark_missing: bool = True
    mark_again: bool = True
    later: bool = False
    bypass: bool = False


class DeleteResult(NamedTuple):
    """The result of a DELETE. existed: there was an object, not expired (unless that was the condition).

    segments: as in `PutResult`. marker: a delete marker was made or deleted; version_id is then that of the marker.
    """

    existed: bool
    segments: tuple[str, ...] = ()
    version_id: str = ""
    marker: bool = False


class VersionsPage(NamedTuple):
    """A selection of the versions of a container; '' for a field that is not given.

    key_marker: keys up to and including it are skipped, or, with a version_marker, its versions up to and including
    that id. limit: of the rows that are read at a time, and with `reverse`
    of the versions of a key that are needed. end_marker: the first key that is left out. reverse: everything
    in the opposite order, and the markers change sides.
    """

    prefix: str = ""
    delimiter: str = ""
    key_marker: str = ""
    version_marker: str = ""
    limit: int = 1000
    end_marker: str = ""
    reverse: bool = False


class Version(NamedTuple):
    """A version of a key. row: as in a listing, with `hash`, `bytes`, `last_modified`."""

    key: str
    version_id: str
    latest: bool
    marker: bool
    row: Mapping[str, Any]


class Group(NamedTuple):
    """Keys rolled up by the delimiter."""

    key: str


class AccountOptions(NamedTuple):
    """Changes of an account. headers: metadata, '' removes; of two values of a key the newer one counts.

    timestamp: of the change; None for now.
    """

    headers: Mapping[str, str]
    timestamp: Timestamp | None = None


class ContainerOptions(NamedTuple):
    """Changes of a container.

    headers: metadata and ACLs, '' removes; of two values of a key the newer one counts. timestamp: as in `PutOptions`.
    policy: the storage policy of a new container, None for the default one.
    """

    headers: Mapping[str, str]
    timestamp: Timestamp | None = None
    policy: int | None = None


class ObjectLayer(Protocol):
    """The operations that a language can call. `memory.MemoryLayer` implements all of them in few lines.

    Every operation may raise NodeFailure if too few nodes answer. Names are checked by the caller. The conformance
    suite, `test/unit/layers/test_layers_conformance_*.py`, checks every layer against this contract.
    """

    def open(self, context: RequestContext, name: Name, options: ReadOptions) -> Reply:
        """Open an object. Raises NotFound, with the time of its deletion or expired change if that is known."""
        ...

    def container(self, context: RequestContext, name: Name) -> Listing:
        """Return the current headers of a container. Raises NoContainer."""
        ...

    def list_objects(self, context: RequestContext, name: Name, page: Page) -> Listing:
        """Return a page of the rows of a container. Raises NoContainer, InvalidInput."""
        ...

    def account(self, context: RequestContext, name: Name) -> Listing:
        """Return the current headers of an account. Raises NotFound, AccountDeleted."""
        ...

    def list_containers(self, context: RequestContext, name: Name, page: Page) -> Listing:
        """Return a page of the rows of an account. Raises NotFound, AccountDeleted, InvalidInput."""
        ...

    def container_info(self, context: RequestContext, name: Name) -> ContainerInfo:
        """Return the info of the container of a name, from the cache if possible. Its status shows if it exists.

        All look-ups with one context see the same state, until an operation with this context changes the container.
        """
        ...

    def account_info(self, context: RequestContext, account: str) -> AccountInfo:
        """Return the info of an account, likewise."""
        ...

    def put(self, context: RequestContext, name: Name, options: PutOptions, body: ObjectBody) -> PutResult:
        """Store an object, or nothing if it raises anything but NodeFailure.

        Raises NoContainer, ContainerReplaced, PreconditionFailed, Conflict (others change the name all the time, or
        have something newer than a final timestamp), ChecksumMismatch, LimitExceeded, NoSpace, and the errors of
        reading the body.
        """
        ...

    def update(self, context: RequestContext, name: Name, options: UpdateOptions) -> None:
        """Replace the metadata of an object. Raises NotFound, Conflict for a link (`core.links`), and as `put` does."""
        ...

    def delete(self, context: RequestContext, name: Name, options: DeleteOptions) -> DeleteResult:
        """Delete an object; it is not an error if there is none. Raises as `put` does.

        The deletion counts even then: a final timestamp that is not newer loses against it.
        """
        ...

    def create_container(self, context: RequestContext, name: Name, options: ContainerOptions) -> bool:
        """Make a container, and its account if there is none; return False if it existed, and then update it.

        A deleted one starts again without metadata, in another life. Raises AccountDeleted, NotFound (the account, if
        accounts are not made on demand), TooManyContainers, Conflict (another policy).
        """
        ...

    def update_container(self, context: RequestContext, name: Name, options: ContainerOptions) -> None:
        """Change the metadata of a container. Raises NoContainer."""
        ...

    def delete_container(self, context: RequestContext, name: Name, timestamp: Timestamp | None = None) -> bool:
        """Delete an empty container; return False if a replica was away: it may restore rows the others do not know.

        Raises NotFound, Conflict (it is not empty, even if only of an expired object, or was made later than that).
        """
        ...

    def create_account(self, context: RequestContext, name: Name, options: AccountOptions) -> bool:
        """Make an account; return False if it existed, and then update it. Raises AccountDeleted."""
        ...

    def update_account(self, context: RequestContext, name: Name, options: AccountOptions) -> None:
        """Update an account, which is made if there is none. Raises AccountDeleted, NotFound if that is not allowed."""
        ...

    def delete_account(self, context: RequestContext, name: Name, options: AccountOptions) -> None:
        """Delete an account; its containers and objects are deleted later. Raises NotFound, AccountDeleted.

        It cannot be created again until all of it is deleted and its deletion is forgotten, after `reclaim_age`.
        """
        ...


class VersionedLayer(ObjectLayer, Protocol):
    """An object layer that keeps versions, for containers that have versioning enabled (`layers.versions`).

    `open`, `update` and `delete` then raise BadVersionId, NoSuchVersion, and DeleteMarker for a name whose current
    version is one, or for one by its id.
    """

    def list_versions(self, context: RequestContext, name: Name, page: VersionsPage) -> Iterator[Version | Group]:
        """Yield the versions of a container: keys ascending by their UTF-8 bytes, of each the newest first.

        Raises NotFound.
        """
        ...

    def restore(
        self, context: RequestContext, name: Name, version_id: str, condition: WriteCondition | None = None
    ) -> PutResult:
        """Make an older version the current one again, under its id; all others stay.

        condition: on the current one. Raises BadVersionId, NoSuchVersion, InvalidInput (it is a delete marker), and
        as `put` does.
        """
        ...

    def set_lock(
        self, context: RequestContext, name: Name, version_id: str, change: LockChange, bypass: bool = False
    ) -> str:
        """Change the lock of a version, '' for the current one; return its id. bypass: as in `DeleteOptions`.

        Raises ObjectHeld if the present lock forbids it, InvalidInput if the container has no object lock, and as
        `update` does.
        """
        ...

    def find_owner(self, context: RequestContext, name: Name, prefix: str) -> Reply | None:
        """Return the version of a name whose manifest owns the segments with this prefix; only its headers.

        Entries of attempts that never counted are deleted, so that no two versions own the same segments.
        """
        ...
