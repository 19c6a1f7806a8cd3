"""DELETE of a manifest with its segments: the segments first, several at a time, then the manifest.

So a deletion that was interrupted can be repeated. A segment that is a manifest is deleted in the same way. The
manifest itself is deleted only if it was not replaced meanwhile. If its container keeps versions, or a history of them
in another container, the segments stay: the version that becomes a past one needs them. Those of a version that is
deleted by its id go, unless another version of the object lists them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice, takewhile
from typing import NamedTuple
from urllib.parse import quote

from objstore.core.errors import AccessDenied, NotFound, ObjstoreError, PreconditionFailed
from objstore.core.expiry import is_expired
from objstore.core.manifests import MANIFEST_ETAG, is_large
from objstore.core.names import Name
from objstore.core.versions import keeps_versions
from objstore.layers.interface import DeleteOptions, ObjectLayer, ReadOptions, Reply, Version, VersionsPage
from objstore.layers.versioned_writes import HISTORY, location_of, mode_of
from objstore.swift import parallel, versions
from objstore.swift.bulk.report import DELETED, NOT_FOUND, BulkReport, with_heartbeats
from objstore.swift.bulk.rights import Rights
from objstore.swift.large_objects import answers
from objstore.swift.large_objects.settings import LargeObjectSettings
from objstore.swift.request import TRUE, ProxyRequest, plain
from objstore.web import requests, segments
from objstore.web.errors import status_of
from objstore.web.responses import Response, error
from objstore.web.segments import Segment
from objstore.web.write_conditions import WriteCondition

NO_MANIFEST = "Not an SLO manifest"
_MAX_VERSIONS = 1000  # of an object that are searched for other users of segments
_PAST = DeleteOptions(mark_missing=False)


class Manifest(NamedTuple):
    """A manifest and its list. version_id: '' for the object itself."""

    name: Name
    headers: dict[str, str]
    listed: list[Segment]
    version_id: str = ""

    @property
    def deletion(self) -> DeleteOptions:
        """The options of its own deletion. An expired object would not satisfy a condition."""
        expired = is_expired(self.headers, time.time())
        condition = None if expired or self.version_id else WriteCondition(if_match=f'"{self.headers[MANIFEST_ETAG]}"')
        return _PAST._replace(condition=condition, version_id=self.version_id)

    def names(self, manifests: bool) -> list[Name]:
        """Return the names of the segments that are manifests, or of those that are not."""
        account = self.name.account
        paths = dict.fromkeys(each.path for each in self.listed if each.path and each.is_manifest == manifests)
        return [Name.parse(f"/{account}{path}") for path in paths]


class ManifestDelete:
    """The verb for DELETE with `multipart-manifest=delete`."""

    def __init__(self, layer: ObjectLayer, settings: LargeObjectSettings) -> None:
        self._layer = layer
        self._settings = settings

    def __call__(self, request: ProxyRequest) -> Response:
        container = self._layer.container_info(request.context, request.name)
        refused = request.permit(container)
        if refused is not None:
            return refused
        version_id = versions.checked_id(request, container)
        deletion = ManifestDeletion(self._layer, request, self._settings)
        if self._settings.allow_async_delete and requests.query(request.environ).get("async", "").lower() in TRUE:
            answer = self._later(deletion, request, version_id)
            if answer is not None:
                return answer
        kind = answers.media_type(request.headers.get("Accept", ""))
        body = with_heartbeats(deletion.run(version_id), deletion.report, kind, self._settings.yield_frequency)
        return Response(200, {"Content-Type": kind}, body)

    def _later(self, deletion: ManifestDeletion, request: ProxyRequest, version_id: str) -> Response | None:
        """Delete a manifest and leave its segments to the expirer; None if they must be deleted at once."""
        try:
            manifest = deletion.read(request.name, version_id)
        except NotFound:
            return error(404, "SLO manifest not found")
        if manifest is None:
            return error(400, NO_MANIFEST)
        names = manifest.names(False)
        containers = dict.fromkeys(each.path.split("/", 2)[1] for each in manifest.listed if each.path)
        if len(containers) > 1:
            found = ", ".join(f'"{quote(each)}"' for each in containers)
            return error(400, f"All segments must be in one container. Found segments in {found}")
        places = (request.name, *names[:1])
        infos = [self._layer.container_info(request.context, each).sysmeta for each in places]
        if manifest.names(True) or any(keeps_versions(each) or location_of(each) for each in infos):
            return None  # the expirer knows nothing of manifests, versions and archives
        for name in names:
            deletion.check(name)
        self._layer.delete(request.context, request.name, manifest.deletion)
        for _ in parallel.each(names, deletion.leave, self._settings.delete_concurrency, 1.0):
            pass
        return plain(204)


class ManifestDeletion:
    """The deletion of one manifest for a client."""

    def __init__(self, layer: ObjectLayer, request: ProxyRequest, settings: LargeObjectSettings) -> None:
        self.report = BulkReport("delete", (DELETED, NOT_FOUND), 200)
        self._layer = layer
        self._request = request
        self._settings = settings
        self._rights = Rights(request.environ, request.context, layer)
        self._above: list[Name] = []  # the manifests that are being deleted, each a segment of the one before

    def run(self, version_id: str = "") -> Iterator[None]:
        """Delete; yield from time to time."""
        yield from self._manifest(self._request.name, version_id)

    def read(self, name: Name, version_id: str = "") -> Manifest | None:
        """Return a manifest, None for any other object. Raises NotFound, AccessDenied and the errors of reading."""
        self._request.permit_read(name)
        options = ReadOptions(raw=True, newest=True, expired=True, link=True, version_id=version_id)
        return _manifest(name, self._layer.open(self._request.context, name, options), version_id)

    def check(self, name: Name) -> None:
        """Raises AccessDenied if the client may not delete an object."""
        status = self._rights.refusal("DELETE", name)
        if status:
            raise AccessDenied(name.account, status == 403)

    def leave(self, name: Name) -> None:
        """Leave an object to the expirer."""
        self._layer.delete(self._request.context, name, DeleteOptions(later=True))

    def _manifest(self, name: Name, version_id: str = "") -> Iterator[None]:
        """Delete a manifest and its segments."""
        try:
            manifest = self.read(name, version_id)
        except ObjstoreError as failure:
            self._fail(name, failure)
            return
        if manifest is None and name == self._request.name:
            self.report.errors.append((_shown(name), NO_MANIFEST))
            return
        if manifest is not None:
            yield from self._segments(manifest)
        self._delete(name, manifest.deletion if manifest is not None else _PAST)

    def _segments(self, manifest: Manifest) -> Iterator[None]:
        kept: frozenset[str] | None = frozenset()
        sysmeta = self._layer.container_info(self._request.context, manifest.name).sysmeta
        if keeps_versions(sysmeta):
            kept = self._paths_of_others(manifest) if manifest.version_id else None
        elif location_of(sysmeta) and mode_of(sysmeta) == HISTORY:
            kept = None  # the manifest is archived
        if kept is None:
            return
        unused = manifest._replace(listed=[each for each in manifest.listed if each.path not in kept])
        settings = self._settings
        yield from parallel.each(
            unused.names(False), self._delete, settings.delete_concurrency, settings.yield_frequency
        )
        self._above.append(manifest.name)
        for name in unused.names(True):
            if name not in self._above:
                yield from self._manifest(name)
                yield
        self._above.pop()

    def _paths_of_others(self, manifest: Manifest) -> frozenset[str] | None:
        """Return the paths of segments that other versions of an object list; None if that is unknown."""
        context, name = self._request.context, manifest.name
        assert name.object is not None
        page = VersionsPage(prefix=name.object, limit=_MAX_VERSIONS)
        rows = versions.layer_of(self._layer).list_versions(context, name.of_container, page)
        of_key = takewhile(lambda each: each.key == name.object, rows)
        found = list(islice((each for each in of_key if isinstance(each, Version)), _MAX_VERSIONS))
        if len(found) == _MAX_VERSIONS:
            return None
        paths: set[str] = set()
        for each in found:
            if each.marker or each.version_id == manifest.version_id:
                continue
            try:
                options = ReadOptions(raw=True, version_id=each.version_id, link=True)
                other = _manifest(name, self._layer.open(context, name, options), each.version_id)
            except NotFound:
                continue
            except ObjstoreError:
                return None
            if other is not None:
                paths.update(segment.path for segment in other.listed)
        return frozenset(paths)

    def _delete(self, name: Name, options: DeleteOptions = _PAST) -> None:
        """Delete an object, and count it or its error."""
        try:
            self.check(name)
            existed = self._layer.delete(self._request.context, name, options).existed
        except ObjstoreError as failure:
            self._fail(name, failure)
            return
        self.report.count(DELETED if existed else NOT_FOUND)

    def _fail(self, name: Name, failure: ObjstoreError) -> None:
        if isinstance(failure, NotFound) or (isinstance(failure, PreconditionFailed) and failure.missing):
            self.report.count(NOT_FOUND)
        elif isinstance(failure, AccessDenied):
            self.report.fail(_shown(name), 403 if failure.known else 401)
        else:
            self.report.fail(_shown(name), 409 if isinstance(failure, PreconditionFailed) else status_of(failure))


def _manifest(name: Name, reply: Reply, version_id: str) -> Manifest | None:
    if not is_large(reply.headers):
        reply.close()
        return None
    return Manifest(name, reply.headers, segments.parse(reply.read()), version_id)


def _shown(name: Name) -> str:
    return quote(f"/{name.container}/{name.object}")
