"""Writing versions and delete markers: the entry first, the pointer last.

Rules, in order:

1. The key is looked at, and the version gets a timestamp greater than all that is there.
2. Its data are written to an entry of their own, at that timestamp. Nobody sees it yet.
3. What is under the key is made safe: a plain object becomes an entry; a version written under a
   condition gets its receipt.
4. The pointer is moved, at the version's timestamp. Of several writers the newest version wins,
   in whatever order they come; a version that finds a newer one already there is a past version from the
   start. A client's condition is judged with this change, by the store.
5. A version written under a condition gets its receipt. The client is answered.

A writer that dies before 4 leaves an entry that does not count while it is the newest. If later writes
make it count, a write that was never answered has taken effect before them, as it may; one under a
condition never does, for want of a receipt.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING

from objstore.core.manifests import owned_prefix
from objstore.core.metadata import stored_with_object
from objstore.core.names import Name
from objstore.core.timestamps import Timestamp
from objstore.core.versions import LISTED, VERSION
from objstore.layers.interface import Reply
from objstore.runtime import green
from objstore.s3 import headers as kept_headers
from objstore.s3.errors import S3Error
from objstore.s3.native import again, ended, no_such, unexpected
from objstore.s3.outflow import Outflow
from objstore.s3.request import S3Request
from objstore.s3.stored import Deleted, Stored, Target, Upload, Written, refused
from objstore.s3.versions import names, states
from objstore.s3.versions.keys import ITSELF, Key, Move, Seen, move_to
from objstore.s3.versions.names import Kind, Ref
from objstore.web import conditions as http_conditions
from objstore.web.responses import http_date

if TYPE_CHECKING:
    from objstore.s3.context import Context

TRIES = 20
PAUSE = 0.005  # seconds, times the number of tries so far
MOVED = (404, 409, 412)  # another came first
_MOST_LOOKED_AT = 1000  # versions, newest first, for the one that an upload became
NOTHING: Mapping[str, str] = {}


def write(context: Context, request: S3Request, name: Name, upload: Upload) -> Written:
    """As `current.write`."""
    key = Key(context.native, request.environ, name)
    enabled = states.state(context, request, name) == states.ENABLED
    key.make_container()
    seen = key.look(newest=True)
    check(seen, upload.conditions, name)  # a refusal need not cost an upload
    ref = names.new_ref(Kind(null=not enabled, conditional=bool(upload.conditions)), seen and seen.latest)
    answer = context.native.ask(
        request.environ,
        "PUT",
        key.entry(ref),
        headers={**upload.headers, "X-Timestamp": ref.stamp.internal, LISTED: "true"},
        body=upload.body,
        stream=upload.stream,
        length=upload.length,
        late=upload.late,
    )
    answer.close()
    if answer.status == 404:
        raise context.native.lost(request.environ, name)
    if answer.status != 201:
        raise ended(answer, name) or refused(answer.status, Target(name), NOTHING)
    stored = {**upload.headers, "Etag": answer.headers.get("Etag", "")}
    size = upload.length if upload.stream is not None else len(upload.body)
    if size is None:
        head = key.head(ref)
        if head is None:
            raise S3Error("InternalError")
        move = move_to(ref, head)
    else:
        move = Move(ref, stored, size)
    ref = commit(key, move, seen, upload.conditions, preserve=enabled)
    if not enabled:
        drop_older_nulls(key, ref)
    return Written(etag_of(stored), http_date(ref.stamp.ceiling), ref.version_id)


def mark_deleted(context: Context, request: S3Request, name: Name, conditions: Mapping[str, str]) -> Deleted:
    """Make a delete marker the current version."""
    key = Key(context.native, request.environ, name)
    enabled = states.state(context, request, name) == states.ENABLED
    key.make_container()
    seen = key.look(newest=True)
    check(seen, conditions, name)
    kind = Kind(marker=True, null=not enabled, conditional=bool(conditions))
    ref = names.new_ref(kind, seen and seen.latest)
    key.put_marker(ref)
    ref = commit(key, Move(ref, NOTHING, 0), seen, conditions, preserve=enabled)
    if not enabled:
        drop_older_nulls(key, ref)
    return Deleted(ref.version_id, marker=True)


def etag_of(stored: Mapping[str, str]) -> str:
    """The etag that clients know an entry by. stored: its headers, its own Etag among them."""
    return stored.get("X-Object-Sysmeta-Manifest-Etag") or kept_headers.etag(stored)


def check(seen: Seen | None, conditions: Mapping[str, str], name: Name) -> None:
    """Raises S3Error NoSuchKey or PreconditionFailed where conditions of a change do not hold."""
    if not conditions:
        return
    etag = None if seen is None or seen.marker else seen.etag
    if etag is None and "If-Match" in conditions:
        raise refused(404, Target(name), conditions)
    if http_conditions.evaluate("PUT", conditions, etag, None) is not None:
        raise refused(412, Target(name), conditions)


def commit(key: Key, move: Move, seen: Seen | None, conditions: Mapping[str, str], preserve: bool) -> Ref:
    """Move the pointer, unless a newer version is there; the version that it is now. Dropped where that is refused.

    preserve: a plain object that is replaced becomes a past version. Raises S3Error.
    """
    odd = False  # the store has something newer under the key than can be seen
    for attempt in range(TRIES):
        try:
            check(seen, conditions, key.name)
            if seen is not None and seen.replaces(move.ref):
                if conditions:
                    raise S3Error("ConditionalRequestConflict")
                if not seen.conditional:
                    return move.ref
                move = _renewed(key, move, seen)  # its condition held without this version: that comes later, then
            status = _move(key, move, seen, conditions, preserve, odd)
            if status == 404:
                raise no_such(key.name)
        except S3Error as refusal:
            if refusal.status < 500:
                key.drop(move.ref, keep=True)  # an upload by parts goes on
            raise
        if status == 201:
            break
        green.sleep(PAUSE * attempt)
        before, seen = seen, key.look(newest=True)
        odd = (before and before.written) == (seen and seen.written)
        if seen is not None and seen.ref == move.ref:
            _confirm(key, move, seen, preserve)
            break
        if status not in MOVED:
            raise unexpected(status)  # it may be moved all the same: the entry must stay
    else:
        key.drop(move.ref, keep=True)
        raise S3Error("ConditionalRequestConflict" if conditions else "OperationAborted")
    key.give_receipt(move.ref)
    return move.ref


def _move(key: Key, move: Move, seen: Seen | None, conditions: Mapping[str, str], preserve: bool, odd: bool) -> int:
    """The status of `Key.point`, 404 only where there is no bucket."""
    native = dict(conditions)
    stamp: Timestamp | None = move.ref.stamp
    keep = False
    if seen is not None and seen.ref is None:
        if preserve:
            if not _preserve(key, seen):
                return 409
            keep = True
        native = native or _as_seen(seen)
    elif seen is not None and seen.ref is not None:
        key.give_receipt(seen.ref)
        if seen.marker and conditions:  # to the client there is nothing: only If-None-Match comes here
            native = _as_seen(seen)
    if odd:  # a tombstone, or what a conditional writer that died was promised: the store finds a later time
        stamp = None
        native = native or _as_seen(seen)
    elif seen is not None and seen.written >= move.ref.stamp:
        stamp = names.successor(seen.written)
        native = native or _as_seen(seen)
    status = key.point(move, stamp, native, keep)
    return 412 if status == 404 and "If-Match" in native else status


def _confirm(key: Key, move: Move, seen: Seen, keep: bool) -> None:
    """Write a pointer again that at least one replica has: after an unclear answer too few may have it.

    That another has moved it since is as good, as this version was the current one then. Raises S3Error.
    """
    status = key.point(move, names.successor(seen.written), _as_seen(seen), keep)
    if status not in (201, *MOVED):
        raise unexpected(status)


def _as_seen(seen: Seen | None) -> dict[str, str]:
    """The condition that under the key is still what was seen."""
    return {"If-None-Match": "*"} if seen is None else {"If-Match": f'"{seen.etag}"'}


def _preserve(key: Key, seen: Seen) -> bool:
    """Make the plain object under a key an entry too; False where it is no longer there."""
    ref = seen.plain_ref
    source = key.native.ask(key.environ, "GET", key.name, query=ITSELF)
    if source.status == 200 and VERSION not in source.headers and seen.same_data(source.headers):
        # 409: another writer has preserved it already; at one timestamp there is but one content.
        _copy(key, source, ref, (201, 409))
        return True
    source.close()
    if source.status not in (200, 404):
        raise unexpected(source.status)
    return False


def _renewed(key: Key, move: Move, seen: Seen) -> Move:
    """The same version once more, newer than what is there."""
    ref = Ref(names.new_stamp(seen.latest), move.ref.letter)
    if ref.marker:
        key.put_marker(ref)
    else:
        source = key.native.ask(key.environ, "GET", key.entry(move.ref), query=ITSELF)
        if source.status != 200:
            source.close()
            raise unexpected(source.status)
        _copy(key, source, ref, (201,))
    key.drop(move.ref, keep=True)
    return move._replace(ref=ref)


def _copy(key: Key, source: Reply, ref: Ref, ok: tuple[int, ...]) -> None:
    """Write what was opened as an entry, with all that is kept with it."""
    headers = source.headers
    size = int(headers["Content-Length"])
    kept = {name: value for name, value in headers.items() if stored_with_object(name) and name != "X-Delete-At"}
    kept |= {"Content-Type": headers["Content-Type"], "Etag": headers["Etag"], "X-Timestamp": ref.stamp.internal}
    kept[LISTED] = "true"
    flow = Outflow(source, size)
    try:
        answer = key.native.done(key.environ, "PUT", key.entry(ref), (*ok, 404), headers=kept, stream=flow, length=size)
    finally:
        flow.close()
    if answer.status == 404:
        raise again()


def drop_older_nulls(key: Key, ref: Ref) -> None:
    """A null version takes the place of the one before it."""
    for old in list(key.nulls()):
        if old.stamp < ref.stamp:
            key.drop(old)


def earlier(context: Context, request: S3Request, name: Name, prefix: str) -> Stored | None:
    """The version that an upload by parts became when it was completed before; None where it became none.

    prefix: of the names of the parts that its manifest owns. What an attempt left that never counted is deleted, so
    that no two versions have the same parts.
    """
    key = Key(context.native, request.environ, name)
    seen = key.look(newest=True)
    for ref in list(islice(key.uploaded(), _MOST_LOOKED_AT)):
        head = key.head(ref)
        if head is None or owned_prefix(head.headers) != prefix:
            continue
        if seen is not None and (seen.ref == ref or (seen.replaces(ref) and ref in set(key.refs(majority=True)))):
            if seen.ref == ref:
                _confirm(key, move_to(ref, head), seen, keep=True)
            return Stored(head, ref.version_id)
        key.drop(ref, keep=True)
    return None
