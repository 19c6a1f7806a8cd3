"""Bulk deletion: the names of a list, objects first, then the containers that these may have emptied."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import NamedTuple
from urllib.parse import quote, unquote, unquote_to_bytes

from objstore.core.errors import BodyTimeout, BodyTruncated, Conflict, InvalidInput, NotFound, ObjstoreError
from objstore.core.limits import Limits
from objstore.core.names import Name
from objstore.layers.bodies import ObjectBody
from objstore.layers.interface import DeleteOptions, ObjectLayer
from objstore.runtime import green
from objstore.swift import versions
from objstore.swift.bulk.report import DELETED, NOT_FOUND, BulkReport, beats
from objstore.swift.bulk.rights import Rights
from objstore.swift.bulk.settings import BulkSettings
from objstore.web import constraints
from objstore.web.context import RequestContext
from objstore.web.errors import status_of

_VERSION = b"?version-id="
_PIECE = 1 << 14  # bytes of a list that are parsed before other requests get their turn
_PAUSE = 0.25  # seconds before a container that is not empty is tried again; doubles


class ListedName(NamedTuple):
    """A name of the list. version_id: of an object, '' for the current version."""

    container: str
    object: str | None
    version_id: str = ""

    @property
    def shown(self) -> str:
        path = f"/{self.container}" if self.object is None else f"/{self.container}/{self.object}"
        version = f"?version-id={quote(self.version_id)}" if self.version_id else ""
        return quote(path) + version


class BadName(NamedTuple):
    """A line of the list that is not a name. status: of the error in the answer."""

    shown: str
    status: int


class ListRefused(InvalidInput):
    """The whole list is refused, before anything is deleted. status: in the answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def parse_line(line: bytes) -> ListedName | BadName | None:
    """Return the name in a line, percent-decoded; None for an empty line.

    A `?` of a name is encoded by clients, so `?version-id=` is not a part of it.
    """
    line = line.strip()
    if not line:
        return None
    path, mark, version = line.partition(_VERSION)
    if not mark or b"&" in version:
        path, version = line, b""
    raw = unquote_to_bytes(path) if b"%" in path else path
    raw = raw[1:] if raw.startswith(b"/") else raw
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    container, _, key = text.partition("/")
    problem = _problem(text, container, key, version)
    if problem:
        return BadName("/" + quote(raw), problem)
    return ListedName(container, key or None, unquote(version.decode("latin-1")))


def _problem(text: str, container: str, key: str, version: bytes) -> int:
    """Return the status of a line that is not a name, 0 for a name."""
    if "\0" in text:
        return 412
    if not container and not key:
        return 403  # the account itself
    return 400 if version and not key else 0  # containers have no versions


def read_lines(body: ObjectBody, max_line: int) -> Iterator[bytes]:
    """Yield the lines of a body. Raises ListRefused if one is longer than `max_line` bytes, and errors of reading."""
    rest = b""
    while piece := bytes(body.read_chunk(_PIECE)):
        green.sleep(0)
        *lines, rest = (rest + piece).split(b"\n")
        if any(len(line) > max_line for line in lines) or len(rest) > max_line:
            raise ListRefused(400, "Invalid File Name")
        yield from lines
    yield rest


def read_list(body: ObjectBody, limits: Limits, max_names: int) -> list[ListedName | BadName]:
    """Return the list in a body. Raises ListRefused if it is too long or empty, and the errors of reading."""
    # Each byte of a name may be encoded in three; a version's id is short.
    max_line = 3 * (limits.max_container_name_length + limits.max_object_name_length + 2) + 256
    items: list[ListedName | BadName] = []
    for line in read_lines(body, max_line):
        item = parse_line(line)
        if item is None:
            continue
        items.append(item)
        if len(items) > max_names:
            raise ListRefused(413, f"Maximum Bulk Deletes: {max_names} per request")
    if not items:
        raise ListRefused(400, "Invalid bulk delete.")
    return items


class BulkDeletion:
    """The work of one request. account: that all names belong to."""

    def __init__(
        self,
        layer: ObjectLayer,
        context: RequestContext,
        rights: Rights,
        settings: BulkSettings,
        limits: Limits,
        logger: logging.Logger,
        account: str,
    ) -> None:
        self.report = BulkReport("delete", (DELETED, NOT_FOUND), 200)
        self._layer = layer
        self._context = context
        self._rights = rights
        self._settings = settings
        self._limits = limits
        self._logger = logger
        self._account = account
        self._is_ended = False

    def run(self, body: ObjectBody) -> Iterator[None]:
        """Delete the names in a body; yield from time to time."""
        try:
            items = read_list(body, self._limits, self._settings.max_deletes_per_request)
        except ListRefused as refused:
            self.report.refuse(refused.status, str(refused))
            return
        except (BodyTruncated, BodyTimeout) as failure:
            self.report.refuse(status_of(failure), str(failure))
            return
        for bad in items:
            if isinstance(bad, BadName):
                self.report.fail(bad.shown, bad.status)
        found = [item for item in items if isinstance(item, ListedName)]
        distinct = dict.fromkeys(found)  # a second deletion finds nothing
        self.report.count(NOT_FOUND, len(found) - len(distinct))
        try:
            yield from self._all([item for item in distinct if item.object is not None], self._delete_object)
            yield from self._all([item for item in distinct if item.object is None], self._delete_container)
        finally:
            self._is_ended = True

    def _all(self, items: list[ListedName], delete: Callable[[ListedName], None]) -> Iterator[None]:
        """Delete items, several at once, since each waits for disks most of the time."""
        remaining = iter(items)
        ended = green.Queue()
        threads = min(self._settings.delete_concurrency, len(items))
        beat = green.spawn(beats, ended.put, False, self._settings.yield_frequency)
        for _ in range(threads):
            green.spawn(self._work, remaining, delete, ended)
        try:
            while threads:
                if ended.get():
                    threads -= 1
                yield
        finally:
            green.kill(beat)

    def _work(self, remaining: Iterator[ListedName], delete: Callable[[ListedName], None], ended: green.Queue) -> None:
        report, max_failed = self.report, self._settings.max_failed_deletes
        try:
            for item in remaining:
                if self._is_ended:
                    return
                if len(report.errors) >= max_failed:
                    report.refuse(400, f"More than {max_failed} names could not be deleted; the others were left")
                    return
                self._delete(item, delete)
        finally:
            ended.put(True)

    def _delete(self, item: ListedName, delete: Callable[[ListedName], None]) -> None:
        try:
            delete(item)
        except NotFound:
            self.report.count(NOT_FOUND)
        except ObjstoreError as failure:
            self.report.fail(item.shown, status_of(failure))
        except Exception:
            self._logger.exception("bulk deletion of %s failed", item.shown)
            self.report.fail(item.shown, 500)

    def _delete_object(self, item: ListedName) -> None:
        if not item.container:
            raise NotFound("no container has an empty name")
        name = Name(self._account, item.container, item.object)
        query = f"version-id={quote(item.version_id)}" if item.version_id else ""
        if self._is_refused("DELETE", name, item, query):
            return
        try:
            constraints.check_name(name, self._limits)
        except InvalidInput:
            raise NotFound("no object has a name as long as this") from None
        if item.version_id:
            versions.check_id(item.version_id, self._layer.container_info(self._context, name))
        options = DeleteOptions(version_id=item.version_id, mark_missing=False)
        result = self._layer.delete(self._context, name, options)
        self.report.count(DELETED if result.existed else NOT_FOUND)

    def _delete_container(self, item: ListedName) -> None:
        name = Name(self._account, item.container)
        if self._is_refused("DELETE", name, item):
            return
        for attempt in range(self._settings.delete_container_retry_count + 1):
            if attempt:
                green.sleep(_PAUSE * 2 ** (attempt - 1))
            try:
                self._layer.delete_container(self._context, name)
            except Conflict:
                if attempt < self._settings.delete_container_retry_count and not self._is_ended:
                    continue
                raise
            self.report.count(DELETED)
            return

    def _is_refused(self, method: str, name: Name, item: ListedName, query: str = "") -> bool:
        status = self._rights.refusal(method, name, query)
        if status:
            self.report.fail(item.shown, status)
        return bool(status)
