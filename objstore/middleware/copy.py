"""Copies made by the server: the COPY method, and PUT with X-Copy-From (Swift: Server Side Copy).

The source is read by a GET with the rights of the client, and its body becomes that of a PUT of the destination with
the same rights. Headers of the request are for the PUT, except Range and conditions, which select the source. Metadata
of the source is copied unless the request overrides it; with X-Fresh-Metadata: true only its content type and system
metadata are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import quote, unquote_to_bytes

from objstore.core.errors import BodyTruncated, InvalidInput, ObjstoreError
from objstore.core.limits import DEFAULT_LIMITS
from objstore.core.metadata import OBJECT_HEADERS, TRANSIENT_SYSMETA, is_sysmeta, stored_with_object, user_prefix
from objstore.core.names import Name
from objstore.core.text import HEADER_NAME
from objstore.runtime import settings
from objstore.runtime.settings import boolean, setting, size, table
from objstore.web.errors import response_for
from objstore.web.requests import (
    ENVIRON_KEY,
    Environ,
    StartResponse,
    WsgiApp,
    api_name,
    content_length,
    header,
    headers,
    to_native,
    to_text,
)
from objstore.web.responses import Answer, Response, call, error, status_line
from objstore.web.subrequests import subrequest


@dataclass(frozen=True)
class CopySettings:
    """Settings of the filter."""

    max_file_size: int = setting(size, str(DEFAULT_LIMITS.max_file_size), "maximum size of the source of a copy")


SETTINGS = table(CopySettings)

_SOURCE_HEADERS = (
    "Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "X-Backend-Allow-Reserved-Names",
)  # fmt: skip
_COPY_HEADERS = (
    "X-Copy-From", "X-Copy-From-Account", "Destination", "Destination-Account", "X-Fresh-Metadata",
    "Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "Transfer-Encoding",
)  # fmt: skip
# The headers of manifests belong to the code that serves manifests.
_MANIFEST_HEADERS = frozenset({"X-Object-Manifest", "X-Static-Large-Object"})
_USER_METADATA = user_prefix("Object")


class _Malformed(Exception):
    """412 with a message."""


class _Copy(NamedTuple):
    version: str
    source: Name
    target: Name
    fresh: bool


class Copy:
    def __init__(self, app: WsgiApp, *, max_file_size: int = DEFAULT_LIMITS.max_file_size) -> None:
        self.app = app
        self._max_file_size = max_file_size

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        if method == "OPTIONS":
            return self._options(environ, start_response)
        if method != "COPY" and not (method == "PUT" and "HTTP_X_COPY_FROM" in environ):
            return self.app(environ, start_response)
        try:
            copy = _asked(environ, method)
        except _Malformed as malformed:
            return error(412, str(malformed))(environ, start_response)
        except InvalidInput as failure:
            return response_for(failure)(environ, start_response)
        if copy is None:
            return self.app(environ, start_response)
        return self._copied(environ, copy)(environ, start_response)

    def _copied(self, environ: Environ, copy: _Copy) -> WsgiApp:
        source = self._read(environ, copy)
        refused = self._refused(source)
        if refused is not None:
            return refused
        body = SourceBody(source, int(source.headers["Content-Length"]))
        carried = _carried(source.headers, headers(environ), copy.fresh)
        try:
            answer = call(self.app, _put(environ, copy, source, body, carried))
        except ObjstoreError as failure:
            if not body.broken:
                raise
            return response_for(failure) if not isinstance(failure, BodyTruncated) else _broken()
        finally:
            body.close()
        if body.broken:
            answer.close()
            return _broken()
        about = _about_source(copy, source, carried) if answer.ok else {}
        return Response(
            answer.status, {name: to_text(value) for name, value in answer.headers.items()} | about, answer.body
        )

    def _read(self, environ: Environ, copy: _Copy) -> Answer:
        wanted = {name: header(environ, name) for name in _SOURCE_HEADERS if ENVIRON_KEY[name] in environ}
        # A copy must have the last written object as its source.
        wanted["X-Newest"] = "true"
        path = f"/{copy.version}{copy.source.path}"
        query = environ.get("QUERY_STRING", "")
        return call(self.app, subrequest(environ, "GET", path, source="copy", headers=wanted, query=query))

    def _refused(self, source: Answer) -> WsgiApp | None:
        """Return the refusal of a copy before it begins: the source's own refusal, or its size."""
        if source.status not in (200, 206):
            return _as_is(source)
        length = source.headers.get("Content-Length")
        if length is None or int(length) > self._max_file_size:
            source.close()
            return error(413)
        if source.headers.get("Content-Type", "").startswith("multipart/byteranges"):
            source.close()
            return error(400, "A copy can use only one range of its source")
        return None

    def _options(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Add COPY to the methods of objects, as the app below does not know it."""

        def start(status: str, pairs: list[tuple[str, str]], exc_info: object = None) -> object:
            about = [
                (name, f"{value}, COPY")
                if name.title() in ("Allow", "Access-Control-Allow-Methods") and "PUT" in value and "COPY" not in value
                else (name, value)
                for name, value in pairs
            ]
            return start_response(status, about, exc_info) if exc_info else start_response(status, about)

        parts = environ["PATH_INFO"].split("/", 4)
        is_object = len(parts) > 4 and parts[4]
        return self.app(environ, start if is_object else start_response)


def _asked(environ: Environ, method: str) -> _Copy | None:
    """Return the copy that a request asks for, None if it names no object.

    Raises InvalidInput (400) for a body or a name that is not UTF-8, _Malformed (412) for wrong headers.
    """
    parsed = api_name(environ["PATH_INFO"])
    if parsed is None or parsed[1].object is None:
        return None
    version, name = parsed
    if content_length(environ) or "HTTP_TRANSFER_ENCODING" in environ:
        raise InvalidInput("Copy requests require a zero byte body")
    fresh = header(environ, "X-Fresh-Metadata", "false")
    other = _named(environ, "Destination" if method == "COPY" else "X-Copy-From", name.account)
    source, target = (name, other) if method == "COPY" else (other, name)
    try:
        return _Copy(version, source, target, boolean(fresh))
    except ValueError:
        return _Copy(version, source, target, False)


def _named(environ: Environ, which: str, account: str) -> Name:
    """Return the object in a header `/container/object`, in the account of a second header or the given one."""
    native = environ.get(ENVIRON_KEY[which])
    if not native:
        raise _Malformed(f"{which} header required")
    parts = _unquoted(native, which).removeprefix("/").split("/", 1)
    if len(parts) < 2 or not all(parts):
        raise _Malformed(f"{which} header must be of the form <container name>/<object name>")
    other = environ.get(ENVIRON_KEY[f"{which}-Account"])
    if other:
        account = _unquoted(other, f"{which}-Account")
        if "/" in account:
            raise _Malformed("Account name cannot contain slashes")
    return Name(account, *parts)


def _unquoted(native: str, which: str) -> str:
    try:
        text = unquote_to_bytes(native.encode("latin-1")).decode("utf-8")
    except UnicodeDecodeError:
        raise _Malformed(f"{which} header must be UTF-8") from None
    if "\x00" in text:
        raise _Malformed(f"{which} header must not contain NUL")
    return text


def _carried(source: Mapping[str, str], request: Mapping[str, str], fresh: bool) -> dict[str, str]:
    """Return the headers of the PUT that come from the source; names canonical, values native.

    With fresh metadata the source's system metadata also replaces the request's.
    """
    kept = {}
    for name, value in source.items():
        if name in _MANIFEST_HEADERS or not (stored_with_object(name) or name.startswith(TRANSIENT_SYSMETA)):
            continue
        if name == "X-Delete-At" and "X-Delete-After" in request:
            continue
        if is_sysmeta(name) if fresh else name not in request:
            kept[name] = to_text(value)
    if not request.get("Content-Type") and "Content-Type" in source:
        kept["Content-Type"] = to_text(source["Content-Type"])
    return kept


def _put(environ: Environ, copy: _Copy, source: Answer, body: SourceBody, carried: Mapping[str, str]) -> Environ:
    """Send the PUT of the destination. The request itself is unchanged, for its log line."""
    log_info = environ.setdefault("objstore.log_info", [])
    environ = {**environ, "objstore.log_info": log_info}
    environ["REQUEST_METHOD"] = "PUT"
    environ["PATH_INFO"] = to_native(f"/{copy.version}{copy.target.path}")
    for name in _COPY_HEADERS:
        environ.pop(ENVIRON_KEY[name], None)
    if copy.fresh:
        for key in [key for key in environ if key[:5] == "HTTP_" and is_sysmeta(HEADER_NAME[key])]:
            del environ[key]
    for name, value in carried.items():
        environ[ENVIRON_KEY[name]] = to_native(value)
    environ["CONTENT_LENGTH"] = source.headers["Content-Length"]
    environ["wsgi.input"] = body
    # The PUT fails if the written data does not match the source's ETag. For a range or a manifest the ETag describes
    # other data.
    etag = source.headers.get("Etag", "").strip('"')
    if source.status == 200 and not (_MANIFEST_HEADERS & source.headers.keys()) and len(etag) == 32:
        environ["HTTP_ETAG"] = etag
    return environ


def _about_source(copy: _Copy, source: Answer, carried: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of the response about the source, as in Swift."""
    about = {
        name: value for name, value in carried.items() if name in OBJECT_HEADERS or name.startswith(_USER_METADATA)
    }
    about["X-Copied-From"] = quote(f"{copy.source.container}/{copy.source.object}")
    about["X-Copied-From-Account"] = quote(copy.source.account)
    if "Last-Modified" in source.headers:
        about["X-Copied-From-Last-Modified"] = source.headers["Last-Modified"]
    return about


def _as_is(answer: Answer) -> WsgiApp:
    def respond(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response(status_line(answer.status), list(answer.headers.items()))
        return answer.body

    return respond


def _broken() -> Response:
    return error(503, "The source of the copy ended early")


class SourceBody:
    """A wsgi.input over the body of a source.

    If the source fails or ends early, reading raises BodyTruncated, so that the PUT stores nothing; `broken` is then
    true.
    """

    def __init__(self, source: Answer, size: int) -> None:
        self._source = source
        self._pieces: Iterator[Any] = iter(source.body)
        self._left = size  # bytes not read from the source yet
        self._piece: Any = b""
        self.broken = False

    def read_chunk(self, most: int = 1 << 20) -> Any:
        """Return up to `most` bytes; b'' at the end."""
        while not self._piece:
            try:
                self._piece = next(self._pieces)
            except StopIteration:
                if self._left:
                    self.broken = True
                    raise BodyTruncated(f"the source of a copy ended {self._left} bytes early") from None
                return b""
            except (ObjstoreError, OSError) as failure:
                self.broken = True
                raise BodyTruncated(f"the source of a copy failed: {failure}") from failure
            # Copied: the buffer is reused while the returned piece waits in a queue.
            self._piece = bytes(self._piece)
            self._left -= len(self._piece)
        if len(self._piece) <= most:
            piece, self._piece = self._piece, b""
        else:
            whole = memoryview(self._piece)
            piece, self._piece = whole[:most], whole[most:]
        return piece

    def read(self, size: int | None = -1) -> bytes:
        left = -1 if size is None else size
        pieces = []
        while left:
            piece = bytes(self.read_chunk(1 << 20 if left < 0 else left))
            if not piece:
                break
            pieces.append(piece)
            left -= len(piece) if left > 0 else 0
        return b"".join(pieces)

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        piece = self.read_chunk(len(view))
        view[: len(piece)] = piece
        return len(piece)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.read_chunk, b"")

    def close(self) -> None:
        self._source.close()


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WsgiApp], Copy]:
    values = settings.read(CopySettings, {**global_conf, **local_conf}, "filter:copy")
    return lambda app: Copy(app, max_file_size=values.max_file_size)
