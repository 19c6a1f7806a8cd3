"""Frees the segments of manifests that are no more.

A change is answered before the segments it leaves to no one are deleted: those who read the
old object by then read on. So segments go after a delay, and a read that lasts longer than a
third of it leaves a mark among the segments (`reading-...`), renewed while it lasts, that puts
the deletion off. What waits is known to this process alone: where it ends before, the segments
stay, as garbage that does no harm.
"""

from __future__ import annotations

import json
import logging
import secrets
import time
from collections import deque
from typing import NamedTuple
from urllib.parse import urlencode

from objstore.core import manifests
from objstore.core.errors import ObjstoreError
from objstore.runtime import green
from objstore.web.requests import Environ, WsgiApp
from objstore.web.responses import Answer, call
from objstore.web.subrequests import subrequest

_AT_ONCE = 4  # deletions
_PAGE = 1000  # rows of one listing
_TRIES = 5
_MARK = "reading-"
_CARRIED = ("objstore.cache", "objstore.trans_id", "HTTP_X_TRANS_ID", "wsgi.errors", "wsgi.url_scheme")


class _Job(NamedTuple):
    """due: by the monotonic clock, in seconds. owned: `container/prefix`."""

    due: float
    environ: Environ
    account: str
    owned: str
    tries: int = 0


class Reclaimer:
    """delay: seconds from the change to the deletion of what it left."""

    def __init__(self, app: WsgiApp, delay: float, logger: logging.Logger) -> None:
        self._app = app
        self._delay = delay
        self._logger = logger
        self._jobs: deque[_Job] = deque()
        self._running = False

    def free(self, environ: Environ, account: str, owned: str) -> None:
        """Soon delete what was owned (percent-encoded, as `core.manifests.MANIFEST_OWNS`). Does not wait."""
        kept = {key: environ[key] for key in _CARRIED if key in environ}
        self._jobs.append(_Job(time.monotonic() + self._delay, kept, account, manifests.owned(owned)))
        if not self._running:
            self._running = True
            green.spawn(self._work)

    def mark(self, environ: Environ, account: str, owned: str) -> ReadMark:
        """To be ticked while segments are read."""
        kept = {key: environ[key] for key in _CARRIED if key in environ}
        return ReadMark(self, kept, account, manifests.owned(owned), self._delay / 3)

    def _work(self) -> None:
        try:
            while self._jobs:
                job = self._jobs.popleft()
                green.sleep(max(0.0, job.due - time.monotonic()))
                try:
                    done = self._free(job)
                except Exception as failure:  # one that cannot be freed must not keep the others
                    self._logger.warning("segments %s of %s are not freed: %s", job.owned, job.account, failure)
                    done = False
                    job = job._replace(tries=job.tries + 1)
                if not done and job.tries < _TRIES:
                    self._jobs.append(job._replace(due=time.monotonic() + max(self._delay, 1.0)))
        finally:
            self._running = False

    def _free(self, job: _Job) -> bool:
        """Delete it all; False where someone still reads."""
        container, _, prefix = job.owned.partition("/")
        if not prefix:
            raise ObjstoreError("a whole container is owned by nobody")
        if self._is_read(job, container, prefix):
            return False
        while names := [row["name"] for row in self._rows(job, container, prefix)]:
            for start in range(0, len(names), _AT_ONCE):
                chosen = names[start : start + _AT_ONCE]
                waits = [green.spawn(self._delete, job, f"{container}/{name}") for name in chosen]
                if not all([wait.wait() for wait in waits]):  # noqa: C419 - all of them, before the next
                    raise ObjstoreError("a segment was not deleted")
        return True

    def _is_read(self, job: _Job, container: str, prefix: str) -> bool:
        marks = self._rows(job, container, prefix + _MARK)
        now = time.time()
        return any(now - float(row["name"].rpartition("-")[2]) < self._delay for row in marks)

    def _rows(self, job: _Job, container: str, prefix: str) -> list[dict[str, str]]:
        query = urlencode({"format": "json", "prefix": prefix, "limit": _PAGE})
        answer = self.ask(job.environ, "GET", f"{job.account}/{container}", query)
        body = answer.read()
        if answer.status == 404:
            return []
        if not answer.ok:
            raise ObjstoreError(f"a listing was answered {answer.status}")
        return json.loads(body) if body else []

    def _delete(self, job: _Job, path: str) -> bool:
        try:
            answer = self.ask(job.environ, "DELETE", f"{job.account}/{path}")
            answer.close()
        except ObjstoreError:
            return False
        return answer.ok or answer.status == 404

    def ask(self, environ: Environ, method: str, path: str, query: str = "") -> Answer:
        headers = {"X-Backend-Allow-Reserved-Names": "true"}
        made = subrequest(
            environ, method, f"/v1/{path}", source="manifest", headers=headers, query=query, preauthorized=True
        )
        return call(self._app, made)


class ReadMark:
    """What a long read leaves among the segments. interval: seconds between its renewals."""

    def __init__(self, owner: Reclaimer, environ: Environ, account: str, owned: str, interval: float) -> None:
        self._owner = owner
        self._environ = environ
        self._path = f"{account}/{owned}{_MARK}{secrets.token_hex(8)}"
        self._interval = interval
        self._due = time.monotonic() + interval
        self._last = ""

    def __call__(self, over: bool) -> None:
        """Renew the mark where it is time to; take it away once the read is over."""
        if over:
            self._drop()
        elif time.monotonic() >= self._due:
            self._due = time.monotonic() + self._interval
            name = f"{self._path}-{time.time():.0f}"
            self._ask("PUT", name)
            self._drop()
            self._last = name

    def _drop(self) -> None:
        last, self._last = self._last, ""
        if last:
            self._ask("DELETE", last)

    def _ask(self, method: str, path: str) -> None:
        try:
            self._owner.ask(self._environ, method, path).close()
        except ObjstoreError:
            pass  # without the mark the read goes on as long as its segments are there
