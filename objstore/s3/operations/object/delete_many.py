"""DeleteObjects: up to 1,000 keys, each deleted, refused or failing by itself."""

from __future__ import annotations

from typing import Any, NamedTuple

from objstore.core.errors import ObjstoreError
from objstore.layers.interface import DeleteResult
from objstore.runtime import green
from objstore.s3.context import Context
from objstore.s3.data.object_store import Target
from objstore.s3.language import failures, xml
from objstore.s3.language.errors import S3Error
from objstore.s3.operation import Operation
from objstore.s3.operations import objects
from objstore.s3.operations.object import deleting
from objstore.s3.operations.object.deleting import DeleteConditions
from objstore.s3.request import addressing
from objstore.s3.request.s3_request import DeletedKey, S3Request
from objstore.web import guards
from objstore.web.responses import Response

MAX_BODY = 2 << 20  # bytes; 1,000 keys of 1,024 bytes with their XML elements
_AT_ONCE = 16
_ACTIONS = ("s3:DeleteObject", "s3:DeleteObjectVersion")


class Item(NamedTuple):
    """An object to delete. version: None for the current one."""

    key: str
    version: str | None
    conditions: DeleteConditions


Outcome = DeleteResult | S3Error


def delete_many(context: Context, request: S3Request) -> Response:
    bucket = context.buckets.resolve(request, request.bucket)
    context.access.check_anonymous(request, _ACTIONS, bucket)
    objects.require_checksum(request.headers)
    body = request.body.whole(MAX_BODY)
    if not body:
        raise S3Error("MissingRequestBodyError")
    items, quiet = read(body, context.settings.max_multi_delete)
    outcomes = _delete_all(context, request, items)
    if request.logged is not None:
        request.deleted = [_deleted(item, outcome) for item, outcome in zip(items, outcomes, strict=True)]
    entries = [_entry(item, outcome) for item, outcome in zip(items, outcomes, strict=True)]
    shown = [entry for entry in entries if not quiet or entry[0] == "Error"]
    return Response(200, {"Content-Type": "application/xml"}, xml.document("DeleteResult", shown))


def read(body: bytes, limit: int) -> tuple[list[Item], bool]:
    """Return the objects of a Delete document, and whether to report only errors. Raises S3Error MalformedXML."""
    root = xml.parse(body, "Delete")
    xml.only(root, ("Object", "Quiet"))
    quiet = xml.text(root, "Quiet").lower()
    count = sum(1 for _ in root.iterchildren("Object"))
    if not 0 < count <= limit or quiet not in ("", "true", "false"):
        raise S3Error("MalformedXML")
    items = [_item(element) for element in root.iterchildren("Object")]
    return items, quiet == "true"


def _item(element: Any) -> Item:
    xml.only(element, ("Key", "VersionId", "ETag", "LastModifiedTime", "Size"))
    key = element.findtext("Key")
    if not key:
        raise S3Error("MalformedXML")
    conditions = DeleteConditions(*(xml.optional(element, name) for name in ("ETag", "LastModifiedTime", "Size")))
    return Item(key, xml.optional(element, "VersionId"), conditions)


def _delete_all(context: Context, request: S3Request, items: list[Item]) -> list[Outcome]:
    """Return the outcome of each deletion. Several run at once, since each waits for disks most of the time."""
    outcomes: list[Outcome] = [DeleteResult(False)] * len(items)
    waiting = iter(enumerate(items))

    def work() -> None:
        for index, item in waiting:
            outcomes[index] = _delete_one(context, request, item)

    threads = [green.spawn(work) for _ in range(min(_AT_ONCE, len(items)))]
    for thread in threads:
        thread.wait()
    return outcomes


def _delete_one(context: Context, request: S3Request, item: Item) -> Outcome:
    version = item.version or ""
    action = _ACTIONS[1] if version else _ACTIONS[0]
    if item.version == "":  # no version has this id, and it is not the current one
        return S3Error("NoSuchVersion")
    try:
        addressing.check_key(item.key)
        name = context.access.require(request, action, request.bucket, item.key, version)
        if guards.KEY in request.environ:
            guards.check(request.environ, request.context, "DELETE", name._replace(object=item.key))
        return deleting.delete(context, request, Target(name, version), item.conditions)
    except S3Error as failure:
        if failure.code == "NoSuchVersion" and item.conditions == deleting.NONE:
            return DeleteResult(False, (), version)
        return failure
    except ObjstoreError as failure:
        return failures.from_core(failure)


def _entry(item: Item, outcome: Outcome) -> tuple[str, list[tuple[str, object]]]:
    elements: list[tuple[str, object]] = [("Key", item.key), ("VersionId", item.version)]
    if isinstance(outcome, S3Error):
        return "Error", [*elements, ("Code", outcome.code), ("Message", outcome.message)]
    if outcome.marker:
        elements += [("DeleteMarker", True), ("DeleteMarkerVersionId", outcome.version_id)]
    return "Deleted", elements


def _deleted(item: Item, outcome: Outcome) -> DeletedKey:
    error = outcome if isinstance(outcome, S3Error) else None
    return DeletedKey(item.key, item.version or "", error.status if error else 204, error.code if error else "")


OPERATIONS = (Operation("DeleteObjects", "POST", "bucket", delete_many, "", "delete"),)
