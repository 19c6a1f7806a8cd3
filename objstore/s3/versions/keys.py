"""One key of a bucket that keeps versions: its pointer, and the entries of its versions.

The *pointer* is the object under the key in the bucket itself. It says which entry is the current
version, and is the one thing that a write changes at last, so that to write is to move it. For Swift, and in
listings of keys, it is a manifest of that entry's bytes. Of a key whose current version is a delete
marker the pointer is there too, but has no row and is told to nobody.

An entry *counts* where it is not newer than the version that the pointer names. A newer one is
on its way, was refused, or is left of a writer that died: it is as if it were not there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from objstore.core.lives import LIFE
from objstore.core.manifests import FORM, KEEP_SEGMENTS, MANIFEST, MANIFEST_ETAG, MANIFEST_SIZE
from objstore.core.metadata import OBJECT_HEADERS, user_prefix
from objstore.core.names import Name
from objstore.core.timestamps import Timestamp
from objstore.core.versions import COUNTED_ELSEWHERE, DELETED, LISTED, MARKER_TYPE, UNLISTED, VERSION
from objstore.layers.interface import Reply
from objstore.s3 import headers as kept_headers
from objstore.s3.errors import S3Error
from objstore.s3.native import Native, ended, hidden, no_such, unexpected
from objstore.s3.versions import names
from objstore.s3.versions.names import Ref
from objstore.web import segments
from objstore.web.requests import Environ

KIND = "versions"
ITSELF = {"multipart-manifest": "get"}
_STAMP = "X-Timestamp"
_WRITTEN = "X-Backend-Timestamp"
_DATA_WRITTEN = "X-Backend-Data-Timestamp"
_LISTED_SIZE = "X-Object-Sysmeta-Container-Update-Override-Size"
_USER = user_prefix("Object")
# Headers of an entry that its pointer does not take over: they would act twice.
_OWN = frozenset({"X-Delete-At", "X-Static-Large-Object", "X-Object-Manifest"})
PAGE = 1000
_NEWEST = {"X-Newest": "true"}


class Seen(NamedTuple):
    """What lies under the key. ref: the current version, None for a *plain* object: data written before the bucket
    kept versions (or by Swift), whose version id is null. written: its last change.

    headers: of the object itself, values native.
    """

    ref: Ref | None
    written: Timestamp
    headers: Mapping[str, str]

    @property
    def marker(self) -> bool:
        return self.ref is not None and self.ref.marker

    @property
    def null(self) -> bool:
        return self.ref is None or self.ref.null

    @property
    def etag(self) -> str:
        """As clients know it, and as conditions on a native change are judged; without quotes."""
        return self.headers.get(MANIFEST_ETAG) or self.headers.get("Etag", "").strip('"')

    @property
    def latest(self) -> Timestamp:
        """What a newer version's timestamp must be greater than."""
        return self.written if self.ref is None else max(self.written, self.ref.stamp)

    @property
    def plain_ref(self) -> Ref:
        """The version that a plain object is, once it is an entry."""
        return Ref(Timestamp.parse(self.headers[_DATA_WRITTEN]), "n")

    @property
    def conditional(self) -> bool:
        return self.ref is not None and self.ref.conditional

    def same_data(self, headers: Mapping[str, str]) -> bool:
        """Are these the headers of the same data? headers: as `headers`."""
        return headers[_DATA_WRITTEN] == self.headers[_DATA_WRITTEN]

    def replaces(self, ref: Ref) -> bool:
        """Is the current version newer than this one?"""
        return (self.plain_ref if self.ref is None else self.ref).stamp > ref.stamp


class Move(NamedTuple):
    """Where a pointer is to point. stored: headers of the entry as text, its own Etag among them. size: its bytes."""

    ref: Ref
    stored: Mapping[str, str]
    size: int


class Key(NamedTuple):
    """name: of the pointer; its object is the key."""

    native: Native
    environ: Environ
    name: Name

    @property
    def text(self) -> str:
        assert self.name.object is not None
        return self.name.object

    @property
    def container(self) -> Name:
        assert self.name.container is not None
        return Name(self.name.account, hidden(KIND, self.name.container))

    def entry(self, ref: Ref) -> Name:
        return self.container._replace(object=names.entry(self.text, ref))

    def look(self, newest: bool = False) -> Seen | None:
        """What lies under the key, None for nothing. newest: ask a majority, as those must who change it."""
        headers = _NEWEST if newest else None
        answer = self.native.ask(self.environ, "HEAD", self.name, headers=headers, query=ITSELF)
        answer.close()
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise unexpected(answer.status)
        said = answer.headers.get(VERSION)
        written = Timestamp.parse(answer.headers[_WRITTEN])
        return Seen(names.parse_tail(said) if said else None, written, answer.headers)

    def head(self, ref: Ref) -> Reply | None:
        """The headers of an entry, None where it is gone."""
        answer = self.native.ask(self.environ, "HEAD", self.entry(ref), query=ITSELF)
        answer.close()
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise unexpected(answer.status)
        return answer

    def make_container(self) -> None:
        """Make the hidden container, with the bucket's storage policy."""
        if self.native.container(self.environ, self.container).exists:
            return
        bucket = self.native.ask(self.environ, "HEAD", self.name.of_container)
        bucket.close()
        if bucket.status == 404:
            raise no_such(self.name)
        policy = bucket.headers.get("X-Storage-Policy")
        headers = {"X-Storage-Policy": policy} if policy else {}
        made = self.native.done(self.environ, "PUT", self.container, (201, 202, 404, 409), headers=headers)
        if made.status >= 400:  # it is being deleted, with its bucket
            raise self.native.lost(self.environ, self.name)

    def refs(self, before: Ref | None = None, page: int = PAGE, majority: bool = False) -> Iterator[Ref]:
        """The entries of the key, newest first, from the one before `before`; conditional ones only with a receipt.

        majority: miss none whose write was answered, as those must not who delete or move by what they find here. One
        that was deleted may be among them.
        """
        prefix = self.text + names.SEPARATOR
        marker = names.receipt(self.text, before) if before is not None else ""
        held: Ref | None = None
        query = {"prefix": prefix, **({"marker": marker} if marker else {})}
        try:
            for row in self.native.pages(self.environ, self.container, query, page, majority):
                found = names.parse_entry(row["name"])
                if found.receipt:
                    if found.ref == held:
                        yield held
                    held = None
                elif found.ref.conditional:
                    held = found.ref
                else:
                    held = None
                    yield found.ref
        except S3Error as missing:
            if missing.code != "NoSuchBucket":
                raise

    def uploaded(self) -> Iterator[Ref]:
        """The entries that were uploaded by parts, newest first, whether they count or not."""
        prefix = self.text + names.SEPARATOR
        try:
            for row in self.native.pages(self.environ, self.container, {"prefix": prefix}, PAGE, majority=True):
                found = names.parse_entry(row["name"])
                if "-" in row["hash"] and not found.receipt:
                    yield found.ref
        except S3Error as missing:
            if missing.code != "NoSuchBucket":
                raise

    def nulls(self, majority: bool = False) -> Iterator[Ref]:
        """Those of `refs` whose version id is null."""
        return (ref for ref in self.refs(majority=majority) if ref.null)

    def give_receipt(self, ref: Ref) -> None:
        """Say for good that a conditional version was the current one."""
        if ref.conditional:
            self._put_small(self.container._replace(object=names.receipt(self.text, ref)))

    def put_marker(self, ref: Ref) -> None:
        """The entry of a delete marker."""
        self._put_small(self.entry(ref), ref.stamp)

    def _put_small(self, name: Name, stamp: Timestamp | None = None) -> None:
        headers = {"Content-Type": MARKER_TYPE, LISTED: "true"}
        if stamp is not None:
            headers[_STAMP] = stamp.internal
        answer = self.native.done(self.environ, "PUT", name, (201, 404, 409), headers=headers)
        if answer.status != 201:  # the container is of a life before this one, as other hosts may have ended it
            self.make_container()
            answer = self.native.done(self.environ, "PUT", name, (201, 404, 409), headers=headers)
        if answer.status != 201:  # the bucket is being deleted
            raise self.native.lost(self.environ, self.name)

    def drop(self, ref: Ref, keep: bool = False) -> None:
        """Delete an entry for good. keep: but not the segments that are its own."""
        headers = {KEEP_SEGMENTS: "true"} if keep else None
        self.native.done(self.environ, "DELETE", self.entry(ref), (204, 404), headers=headers)
        if ref.conditional:
            self.native.done(
                self.environ,
                "DELETE",
                self.container._replace(object=names.receipt(self.text, ref)),
                (204, 404),
            )

    def point(self, move: Move, stamp: Timestamp | None, conditions: Mapping[str, str], keep: bool = False) -> int:
        """Move the pointer; the status: 201, or 404, 409 and 412 where it was moved meanwhile.

        Raises S3Error NoSuchBucket, OperationAborted where the bucket was deleted since the request began: the entry
        may have gone with it. stamp: when the change counts as made, None for after all that is there. keep: the
        segments of what is replaced go on in an entry.
        """
        headers = {**_pointing(move), **conditions, LIFE: self.native.container(self.environ, self.name).life}
        if stamp is not None:
            headers[_STAMP] = stamp.internal
        if keep:
            headers[KEEP_SEGMENTS] = "true"
        answer = self.native.ask(self.environ, "PUT", self.name, headers=headers, body=self._list(move))
        answer.close()
        refusal = ended(answer, self.name)
        if refusal is not None:
            raise refusal
        return answer.status

    def _list(self, move: Move) -> bytes:
        """The content of the pointer: the segments that its entry is made of, or the entry as the only one."""
        if move.ref.marker:
            return b"[]"
        entry = self.entry(move.ref)
        if move.stored.get(MANIFEST) == FORM:
            answer = self.native.ask(self.environ, "GET", entry, query=ITSELF)
            if answer.status == 200:
                return answer.read()
            answer.close()
            raise unexpected(answer.status)
        etag = move.stored["Etag"].strip('"')
        return segments.dump([{"name": f"/{entry.container}/{entry.object}", "hash": etag, "bytes": move.size}])

    def remove_pointer(self, stamp: Timestamp, conditions: Mapping[str, str]) -> int:
        """Delete what lies under the key; the status, as of `point`, but 204."""
        headers = {**conditions, _STAMP: stamp.internal}
        answer = self.native.ask(self.environ, "DELETE", self.name, headers=headers)
        answer.close()
        return answer.status


def _pointing(move: Move) -> dict[str, str]:
    """The headers of a pointer, but its date and conditions."""
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
    etag = stored.get(MANIFEST_ETAG) or kept_headers.etag(stored)
    listed_size = stored.get(MANIFEST_SIZE) or str(move.size)
    return {
        "Content-Type": stored.get("Content-Type", kept_headers.DEFAULT_TYPE),
        **{name: value for name, value in stored.items() if _taken_over(name)},
        VERSION: ref.tail,
        MANIFEST: FORM,
        MANIFEST_ETAG: etag,
        MANIFEST_SIZE: listed_size,
        **kept_headers.listed_class(stored),
        kept_headers.LISTED_ETAG: etag,
        _LISTED_SIZE: listed_size,
        COUNTED_ELSEWHERE: "true",
    }


def _taken_over(name: str) -> bool:
    return name not in _OWN and (name in OBJECT_HEADERS or name.startswith(_USER))


def move_to(ref: Ref, head: Reply) -> Move:
    """head: of the entry itself."""
    headers = head.headers
    return Move(ref, headers, int(headers.get("Content-Length", 0)))
