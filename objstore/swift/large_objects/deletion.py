"""DELETE of a manifest with its segments: the segments first, several at a time, then the manifest.

So a deletion that was interrupted can be repeated. A segment that is a manifest is deleted in the same way. The
manifest itself is deleted only if it was not replaced meanwhile. If its container keeps versions, the segments stay:
the version that becomes a past one needs them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from urllib.parse import quote

from objstore.core.errors import NotFound, ObjstoreError, PreconditionFailed
from objstore.core.expiry import is_expired
from objstore.core.manifests import MANIFEST_ETAG, is_large
from objstore.core.names import Name
from objstore.core.versions import keeps_versions
from objstore.layers.interface import DeleteOptions, ObjectLayer, ReadOptions
from objstore.runtime import green
from objstore.swift.large_objects import answers
from objstore.swift.large_objects.settings import LargeObjectSettings
from objstore.swift.large_objects.validation import error_line
from objstore.swift.request import ProxyRequest
from objstore.web import segments
from objstore.web.requests import Environ
from objstore.web.responses import Response, status_line
from objstore.web.segments import Segment
from objstore.web.write_conditions import WriteCondition

NO_MANIFEST = "Not an SLO manifest"


class ManifestDelete:
    """The verb for DELETE with `multipart-manifest=delete`."""

    def __init__(self, layer: ObjectLayer, settings: LargeObjectSettings) -> None:
        self._layer = layer
        self._settings = settings

    def __call__(self, request: ProxyRequest) -> Response:
        refused = request.permit()
        if refused is not None:
            return refused
        deletion = ManifestDeletion(self._layer, request, self._settings.delete_concurrency)
        kind = answers.media_type(request.headers.get("Accept", ""))
        return Response(200, {"Content-Type": kind}, self._body(deletion, kind))

    def _body(self, deletion: ManifestDeletion, kind: str) -> Iterator[bytes]:
        """Yield the body of the answer."""
        yield from answers.quiet_heartbeats(deletion.run(), self._settings.yield_frequency)
        yield deletion.rendered(kind)


class ManifestDeletion:
    """The deletion of one manifest for a client. concurrency: segments that are deleted at once."""

    def __init__(self, layer: ObjectLayer, request: ProxyRequest, concurrency: int) -> None:
        self._layer = layer
        self._request = request
        self._concurrency = concurrency
        self._deleted = 0
        self._missing = 0
        self._errors: list[tuple[str, str]] = []
        self._path: list[Name] = []  # the manifests that are being deleted, each a segment of the one before

    def run(self) -> Iterator[None]:
        """Delete; yield from time to time."""
        yield from self._manifest(self._request.name)

    def rendered(self, kind: str) -> bytes:
        """Return the answer's body. kind: its media type."""
        counts = {"Number Deleted": self._deleted, "Number Not Found": self._missing}
        status = {"Response Body": "", "Response Status": status_line(400 if self._errors else 200)}
        return answers.rendered(kind, {**counts, **status}, self._errors, root="delete")

    def _manifest(self, name: Name) -> Iterator[None]:
        """Delete a manifest and its segments."""
        try:
            self._request.permit_read(name)
            reply = self._layer.open(
                self._request.context, name, ReadOptions(raw=True, newest=True, expired=True, link=True)
            )
        except ObjstoreError as failure:
            self._fail(name, failure)
            return
        if not is_large(reply.headers):
            reply.close()
            if name == self._request.name:
                self._errors.append((quote(f"/{name.container}/{name.object}"), NO_MANIFEST))
            else:
                self._delete(name, DeleteOptions(mark_missing=False))
            return
        try:
            listed = segments.parse(reply.read())
        except ObjstoreError as failure:
            self._fail(name, failure)
            return
        self._path.append(name)
        if not keeps_versions(self._layer.container_info(self._request.context, name).sysmeta):
            yield from self._segments(listed)
        self._path.pop()
        expired = is_expired(reply.headers, time.time())
        condition = None if expired else WriteCondition(if_match=f'"{reply.headers[MANIFEST_ETAG]}"')
        self._delete(name, DeleteOptions(condition=condition, mark_missing=False))

    def _segments(self, listed: list[Segment]) -> Iterator[None]:
        manifests: list[Name] = []
        objects: list[Name] = []
        for segment in listed:
            if segment.path:
                name = Name.parse(f"/{self._request.name.account}{segment.path}")
                (manifests if segment.is_manifest else objects).append(name)
        remaining = iter(objects)
        ended = green.Queue()
        threads = [green.spawn(self._work, remaining, ended) for _ in range(min(self._concurrency, len(objects)))]
        try:
            for _ in objects:
                ended.get()
                yield
        finally:
            for thread in threads:
                green.kill(thread)
        for name in manifests:
            if name not in self._path:
                yield from self._manifest(name)
                yield

    def _work(self, remaining: Iterator[Name], ended: green.Queue) -> None:
        for name in remaining:
            try:
                self._delete(name, DeleteOptions(mark_missing=False))
            except Exception:
                self._errors.append((quote(f"/{name.container}/{name.object}"), status_line(500)))
                raise
            finally:
                ended.put(None)

    def _delete(self, name: Name, options: DeleteOptions) -> None:
        request = self._request
        environ: Environ = {**request.environ, "REQUEST_METHOD": "DELETE", "objstore.log_info": []}
        refused = request.derived(environ, name).permit()
        if refused is not None:
            self._errors.append((quote(f"/{name.container}/{name.object}"), status_line(refused.status)))
            return
        try:
            existed = self._layer.delete(request.context, name, options).existed
        except ObjstoreError as failure:
            self._fail(name, failure)
            return
        self._deleted += existed
        self._missing += not existed

    def _fail(self, name: Name, failure: ObjstoreError) -> None:
        if isinstance(failure, NotFound) or (isinstance(failure, PreconditionFailed) and failure.missing):
            self._missing += 1
            return
        self._errors.append((quote(f"/{name.container}/{name.object}"), error_line(failure)))
