"""Copies made by the server: the COPY method, and PUT with X-Copy-From (Swift: Server Side Copy).

The source is read, and the destination written, with the rights of the client. Headers of the request are for the PUT,
except Range and conditions, which select the source. The source's metadata is copied unless the request replaces it;
with X-Fresh-Metadata: true only its content type and system metadata are. The ACL that S3 set is not: the copy is its
container's owner's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import quote

from objstore.access.judge import OBJECT_ACL
from objstore.core.dlo import DLO
from objstore.core.errors import BodyTruncated, InvalidInput, MalformedHeader, NotFound
from objstore.core.manifests import MANIFEST, is_large
from objstore.core.metadata import OBJECT_HEADERS, is_sysmeta, user_prefix
from objstore.core.names import Name
from objstore.core.text import ENVIRON_KEY, HEADER_NAME, to_native
from objstore.layers import copies
from objstore.layers.interface import ObjectLayer, ReadOptions, Reply
from objstore.swift import object_get, symlinks, versions
from objstore.swift.large_objects import views
from objstore.swift.named_object import named_object
from objstore.swift.object_put import ObjectPut
from objstore.swift.request import TRUE, ProxyRequest, opens_expired
from objstore.web import ranges
from objstore.web.requests import Environ, content_length, header
from objstore.web.responses import Response, error

_LIST = "multipart-manifest=get"
_CONDITIONS = ("Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since")
# Headers that are not the PUT's.
_OF_COPY = (
    "X-Copy-From", "X-Copy-From-Account", "Destination", "Destination-Account", "X-Fresh-Metadata", *_CONDITIONS,
)  # fmt: skip
_USER_METADATA = user_prefix("Object")


class _Copy(NamedTuple):
    source: Name
    target: Name
    fresh: bool
    raw: bool = False


class ObjectCopy:
    """The verb for COPY, and for PUT with X-Copy-From. max_size: bytes of a source. opens_expired: see `ObjectGet`."""

    def __init__(self, layer: ObjectLayer, put: ObjectPut, max_size: int, opens_expired: bool = False) -> None:
        self._layer = layer
        self._put = put
        self.put_manifest: Callable[[ProxyRequest, bytes], Response] | None = None
        self.max_size = max_size
        self._opens_expired = opens_expired

    def __call__(self, request: ProxyRequest) -> Response:
        copy = _parse_copy(request)
        reader = request.derived(_part(request, "GET", copy.source), copy.source)
        container = self._layer.container_info(reader.context, reader.name)
        refused = reader.permit(container)
        if refused is not None:
            return refused
        version_id = versions.checked_id(reader, container)
        conditions = {name: request.headers[name] for name in _CONDITIONS if name in request.headers}
        if len(ranges.parse(conditions.get("Range", "")) or ()) > 1:
            return error(400, "A copy takes one range of its source")
        expired = self._opens_expired and opens_expired(request.environ)
        link = symlinks.is_about_link(request.environ)
        # The newest: a copy must not be of an older object than the one last written.
        options = ReadOptions(
            conditions,
            newest=True,
            expired=expired,
            version_id=version_id,
            link=link,
            part=object_get.part_of(request.environ) if request.environ.get("QUERY_STRING") else None,
            permit=reader.permit_read,
        )
        raw = _LIST in request.environ.get("QUERY_STRING", "")
        if raw and self.put_manifest is not None:
            copied = self._copy_manifest(request, copy, reader, options)
            if copied is not None:
                return copied
        try:
            source = self._layer.open(reader.context, reader.name, options._replace(raw=raw))
            if raw and MANIFEST in source.headers:  # not of a client
                source.close()
                raw = False
                source = self._layer.open(reader.context, reader.name, options)
        except NotFound as failure:
            return versions.missing(failure, version_id)
        try:
            if source.status not in (200, 206):
                return object_get.response(reader, source, options)
            if int(source.headers["Content-Length"]) > self.max_size:
                return error(413)
            response = self._write(request, copy._replace(raw=raw), source)
            if version_id and response.status == 201:
                response.headers["X-Copied-From-Version-Id"] = version_id
            return response
        finally:
            source.close()

    def _copy_manifest(
        self, request: ProxyRequest, copy: _Copy, reader: ProxyRequest, options: ReadOptions
    ) -> Response | None:
        """Write the manifest of a static large object as another one; return None if the source is none."""
        try:
            head = self._layer.open(reader.context, reader.name, options._replace(head=True))
            if head.status != 200 or not is_large(head.headers):
                return None
            pinned = options._replace(conditions={"If-Match": f'"{head.headers["Etag"]}"'}, raw=True)
            source = self._layer.open(reader.context, reader.name, pinned)
        except NotFound as failure:
            return versions.missing(failure, options.version_id)
        if source.status != 200:
            source.close()
            return error(409)
        return self._write(request, copy, source, views.document_of(source.read()))

    def _write(self, request: ProxyRequest, copy: _Copy, source: Reply, document: bytes | None = None) -> Response:
        """document: of a manifest to write; None to write the content of the source."""
        carried = copies.carried(source.headers, request.headers, copy.fresh, copy.raw)
        carried.pop(OBJECT_ACL, None)  # whom the source lets in, the copy may not
        length = source.headers["Content-Length"] if document is None else str(len(document))
        writer = _writer(request, copy, length, carried)
        try:
            if document is None:
                response = self._put(writer, source)
            else:
                assert self.put_manifest is not None
                response = self.put_manifest(writer, document)
        except BodyTruncated:
            return error(503, "The source of the copy broke off")
        if response.status == 201:
            response.headers |= _answer_headers(copy, source, carried)
        return response


def _part(request: ProxyRequest, method: str, name: Name) -> Environ:
    """The environ of one of the two requests that a copy amounts to. The access log sees what both note."""
    environ = request.environ
    environ.setdefault("objstore.log_info", [])
    version = environ["PATH_INFO"].split("/", 2)[1]
    return {**environ, "REQUEST_METHOD": method, "PATH_INFO": to_native(f"/{version}{name.path}")}


def _writer(request: ProxyRequest, copy: _Copy, length: str, carried: Mapping[str, str]) -> ProxyRequest:
    """The PUT of the destination."""
    environ = _part(request, "PUT", copy.target)
    for name in _OF_COPY:
        environ.pop(ENVIRON_KEY[name], None)
    if copy.fresh:
        for key in [key for key in environ if key[:5] == "HTTP_" and is_sysmeta(HEADER_NAME[key])]:
            del environ[key]
    for name, value in carried.items():
        environ[ENVIRON_KEY[name]] = to_native(value)
    environ["CONTENT_LENGTH"] = length
    return request.derived(environ, copy.target)


def _parse_copy(request: ProxyRequest) -> _Copy:
    """The copy that a request asks for.

    Raises InvalidInput for a body, MalformedHeader.
    """
    environ = request.environ
    if content_length(environ) or "HTTP_TRANSFER_ENCODING" in environ:
        raise InvalidInput("Copy requests require a zero byte body")
    fresh = header(environ, "X-Fresh-Metadata").strip().lower() in TRUE
    which = "Destination" if request.method == "COPY" else "X-Copy-From"
    if not environ.get(ENVIRON_KEY[which]):
        raise MalformedHeader(f"{which} header required")
    other = named_object(environ, which, request.name.account, slash=True)
    source, target = (request.name, other) if request.method == "COPY" else (other, request.name)
    return _Copy(source, target, fresh)


def _answer_headers(copy: _Copy, source: Reply, carried: Mapping[str, str]) -> dict[str, str]:
    """The headers of the response that describe the source, as in Swift."""
    shown = {key: text for key, text in carried.items() if key in OBJECT_HEADERS or key.startswith(_USER_METADATA)}
    shown.pop(DLO, None)
    shown["X-Copied-From"] = quote(f"{copy.source.container}/{copy.source.object}")
    shown["X-Copied-From-Account"] = quote(copy.source.account)
    if "Last-Modified" in source.headers:
        shown["X-Copied-From-Last-Modified"] = source.headers["Last-Modified"]
    return shown
