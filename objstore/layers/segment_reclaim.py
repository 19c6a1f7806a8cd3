"""Freeing the segments of manifests that were deleted or replaced.

A change is answered before the segments that it leaves without an owner are deleted: reads of the
old object can go on. Segments are deleted after a delay, and a read that lasts longer than a
third of it writes a mark among the segments (`reading-...`), renewed while it lasts, that
delays the deletion.

Meanwhile a note in the segments' container (`freed/<when>/<prefix>`) names the segments to delete. If the
process ends before, the next process that frees something of that container deletes them.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

from objstore.core import manifests
from objstore.core.errors import NotFound, ObjstoreError
from objstore.core.names import Name
from objstore.layers.bodies import BytesBody
from objstore.layers.interface import DeleteOptions, ObjectLayer, Page, PutOptions
from objstore.runtime import green
from objstore.web.context import RequestContext

_AT_ONCE = 4  # deletions
_PAGE = 1000  # rows of one listing
_NOTES = 10  # of other processes, worked off after each job of this one
_MARK = "reading-"
_NOTE = "freed/"

_Change = Callable[[RequestContext, Name], None]  # of an object


class _Job(NamedTuple):
    """A prefix of segments to delete.

    due, noted: seconds since the epoch; noted: the time in its note. prefix: of the segments' names in the container.
    """

    due: float
    noted: float
    context: RequestContext
    account: str
    container: str
    prefix: str

    @property
    def note(self) -> str:
        return f"{_NOTE}{self.noted:.0f}/{quote(self.prefix, safe='')}"


class Reclaimer:
    """The deletions of segments of one process.

    layer: the layer in which segments are deleted. delay: seconds from the change to the deletion of its segments.
    """

    def __init__(self, layer: ObjectLayer, delay: float, logger: logging.Logger) -> None:
        self._layer = layer
        self.delay = delay
        self._logger = logger
        self._jobs: deque[_Job] = deque()
        self._running = False

    def free(self, context: RequestContext, account: str, owned: str) -> None:
        """Delete owned segments (`core.manifests.MANIFEST_OWNS`) after the delay. Does not wait."""
        container, _, prefix = manifests.owned(owned).partition("/")
        if not prefix:
            self._logger.error("a manifest of %s owned all of %s: nothing of it is freed", account, container)
            return
        due = time.time() + self.delay
        later = RequestContext(context.trans_id, context.cache)
        job = _Job(due, due, later, account, container, prefix)
        if self.delay:
            green.spawn(self._note, self.put, job)
        self._jobs.append(job)
        if not self._running:
            self._running = True
            green.spawn(self._work)

    def mark(self, context: RequestContext, account: str, owned: str) -> ReadMark | None:
        """Return a mark, which must be called while segments are read; None if there is no delay."""
        if not self.delay:
            return None
        return ReadMark(self, context, account, manifests.owned(owned), self.delay / 3)

    def _work(self) -> None:
        try:
            while self._jobs:
                job = self._jobs.popleft()
                green.sleep(max(0.0, job.due - time.time()))
                for one in (job, *self._unfinished(job)):
                    self._try(one)
        finally:
            self._running = False

    def _try(self, job: _Job) -> None:
        try:
            if self._is_read(job):
                self._jobs.append(job._replace(due=time.time() + max(self.delay, 1.0)))
                return
            self._delete_all(job)
        except Exception as failure:  # one that cannot be freed must not block the others
            self._logger.warning("%s of %s/%s is not freed: %s", job.prefix, job.account, job.container, failure)
            return
        if self.delay:
            self._note(self.delete, job)

    def _unfinished(self, job: _Job) -> list[_Job]:
        """Return jobs in the container of processes that have ended, or failed."""
        try:
            rows = self._rows(job, _NOTE, _NOTES) if self.delay else []
        except ObjstoreError:
            return []
        noted = [row["name"].split("/", 2) for row in rows]
        latest = time.time() - self.delay  # later ones may still be worked off by another process
        return [
            job._replace(due=float(due), noted=float(due), prefix=unquote(prefix))
            for _, due, prefix in noted
            if float(due) < latest and unquote(prefix) != job.prefix
        ]

    def _delete_all(self, job: _Job) -> None:
        """Delete all segments of a job. Raises ObjstoreError."""
        while names := [row["name"] for row in self._rows(job, job.prefix)]:
            for start in range(0, len(names), _AT_ONCE):
                waits = [green.spawn(self._delete, job, name) for name in names[start : start + _AT_ONCE]]
                deleted = [wait.wait() for wait in waits]
                if not all(deleted):
                    raise ObjstoreError("a segment was not deleted")

    def _is_read(self, job: _Job) -> bool:
        now = time.time()
        marks = self._rows(job, job.prefix + _MARK)
        return any(now - float(row["name"].rpartition("-")[2]) < self.delay for row in marks)

    def _rows(self, job: _Job, prefix: str, limit: int = _PAGE) -> list[dict[str, Any]]:
        """Return rows of the job's container; none if it does not exist. Raises ObjstoreError."""
        page = Page(prefix, limit=limit, reserved=True)
        try:
            return self._layer.list_objects(job.context, Name(job.account, job.container), page).rows
        except NotFound:
            return []

    def _delete(self, job: _Job, name: str) -> bool:
        try:
            self.delete(job.context, Name(job.account, job.container, name))
        except ObjstoreError:
            return False
        return True

    def _note(self, change: _Change, job: _Job) -> None:
        """Write or delete the note of a job."""
        try:
            change(job.context, Name(job.account, job.container, job.note))
        except ObjstoreError as failure:
            self._logger.warning("the note %s in %s/%s: %s", job.note, job.account, job.container, failure)

    def put(self, context: RequestContext, name: Name) -> None:
        """Make an empty object. Raises ObjstoreError."""
        self._layer.put(context, name, PutOptions({"Content-Type": "application/octet-stream"}), BytesBody(b""))

    def delete(self, context: RequestContext, name: Name) -> None:
        """Delete an object, if it and its container exist. Raises ObjstoreError."""
        with suppress(NotFound):
            self._layer.delete(context, name, DeleteOptions())


class ReadMark:
    """The mark of a long read among the segments. interval: seconds between its renewals."""

    def __init__(self, owner: Reclaimer, context: RequestContext, account: str, owned: str, interval: float) -> None:
        self._owner = owner
        self._context = context
        container, _, prefix = owned.partition("/")
        self._name = Name(account, container, f"{prefix}{_MARK}{secrets.token_hex(8)}")
        self._interval = interval
        self._due = time.monotonic() + interval
        self._last: Name | None = None

    def __call__(self, over: bool) -> None:
        """Renew the mark if it is due; remove it when the read is over."""
        if over:
            self._drop()
        elif time.monotonic() >= self._due:
            self._due = time.monotonic() + self._interval
            name = self._name._replace(object=f"{self._name.object}-{time.time():.0f}")
            self._try(self._owner.put, name)
            self._drop()
            self._last = name

    def _drop(self) -> None:
        last, self._last = self._last, None
        if last is not None:
            self._try(self._owner.delete, last)

    def _try(self, change: _Change, name: Name) -> None:
        """Try a change. Without the mark the read goes on as long as its segments exist."""
        with suppress(ObjstoreError):
            change(self._context, name)
