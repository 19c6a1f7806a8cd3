"""Uploads by forms of browsers, which need no token (Swift documentation: FormPost).

A form is signed with a key of temporary URLs. Its signature covers the path, which is the prefix of the names of its
files, the redirect, the maximum size and number of files, and the time of expiry. Each file becomes a PUT to the
pipeline below, with the rights of a bearer within the container; its content is never held as a whole. The fields
before a file describe it: `content-type`, `content-encoding`, `x_delete_at`, `x_delete_after`.

The first file that cannot be stored ends the form; those before it stay.
"""

from __future__ import annotations

import html
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote

from objstore.access.identity import bearer
from objstore.core.errors import InvalidInput, LimitExceeded, ObjstoreError
from objstore.core.names import Name
from objstore.core.numbers import whole
from objstore.core.text import is_header_value, to_native, to_text
from objstore.layers.interface import ObjectLayer
from objstore.runtime import settings
from objstore.runtime.settings import positive, setting, size, table
from objstore.web import features, forms, pipeline, requests, temp_urls, url_keys
from objstore.web.context import RequestContext
from objstore.web.errors import response_for
from objstore.web.forms import FormError, FormPart, FormReader
from objstore.web.requests import ENVIRON_KEY, Environ, StartResponse, WsgiApp
from objstore.web.responses import Response, call, error, status_line
from objstore.web.url_keys import UrlSignature


@dataclass(frozen=True)
class FormPostSettings:
    """Settings of the filter."""

    allowed_digests: tuple[str, ...] = setting(
        url_keys.digests, " ".join(url_keys.DIGESTS), "digests allowed in signatures; sha1 is deprecated"
    )
    max_fields: int = setting(positive, "1000", "maximum number of the fields and files of a form")
    max_fields_size: int = setting(size, "256K", "maximum size of the fields of a form, with the heads of its files")


SETTINGS = table(FormPostSettings)

_SIGNED = ("redirect", "max_file_size", "max_file_count", "expires")  # after the path, in this order
# Fields that become headers of the files after them: those that the head of a file may have too, and times.
_OF_PART = {"content-type": "Content-Type", "content-encoding": "Content-Encoding"}
_TIMES = {
    "x_delete_at": ("X-Delete-At", "Unix timestamp"),
    "x_delete_after": ("X-Delete-After", "Number of seconds"),
}
_USED = frozenset({*_SIGNED, "signature", *_OF_PART, *_TIMES})
# Headers of the form's request that the PUTs of its files have too. Nobody has signed the others.
_KEPT_HEADERS = tuple(
    ENVIRON_KEY[name]
    for name in (
        "Host", "Origin", "Referer", "User-Agent", "X-Cluster-Client-Ip", "X-Forwarded-For", "X-Forwarded-Host",
        "X-Forwarded-Proto", "X-Real-Ip",
    )
)  # fmt: skip
# Items of the environ that belong to the form's request alone.
_OF_REQUEST = frozenset({"CONTENT_LENGTH", "CONTENT_TYPE", "objstore.context", "objstore.owner", "objstore.identity"})
_CORS_HEADERS = ("Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Vary")
_SCRIPTS = frozenset({"javascript", "vbscript", "data"})  # schemes that are no place to go to
_SLASHES_OF_CONTAINER = 3  # in /v1/account/container


class _Refused(Exception):
    """A form is refused. status: 400 or 401. The message is for the client."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Outcome(NamedTuple):
    """The end of a form whose signature is valid. redirect: '' for none. headers: further ones of the answer."""

    status: int
    message: str
    redirect: str
    headers: Mapping[str, str] = {}


class _File:
    """A wsgi.input over the content of a file. failure: by which its reading ended.

    Raises LimitExceeded above `max_size` bytes.
    """

    def __init__(self, reader: FormReader, max_size: int) -> None:
        self._reader = reader
        self._size_left = max_size
        self.failure: ObjstoreError | None = None

    def read_chunk(self, limit: int) -> bytes:
        try:
            data = self._reader.read_chunk(limit)
            self._size_left -= len(data)
            if self._size_left < 0:
                raise LimitExceeded("max_file_size exceeded")
        except ObjstoreError as failure:
            self.failure = failure
            raise
        return data

    read = read_chunk


class FormPost:
    """The filter. app: the pipeline below, in which an app has the `layer`. now: the clock, in Unix seconds."""

    def __init__(self, app: WsgiApp, values: FormPostSettings, now: Callable[[], float] = time.time) -> None:
        self.app = app
        self._values = values
        self._now = now
        self._layer: ObjectLayer = pipeline.find(app, "layer")

    def info(self) -> dict[str, object]:
        return {"formpost": url_keys.info_of_digests(self._values.allowed_digests)}

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] != "POST" or environ.get("objstore.preauthorized"):
            return self.app(environ, start_response)
        try:
            boundary = forms.boundary_of(environ.get("CONTENT_TYPE", ""))
        except FormError:
            boundary = ""
        if not boundary:
            return self.app(environ, start_response)
        return self._answer(environ, boundary)(environ, start_response)

    def _answer(self, environ: Environ, boundary: str) -> Response:
        reader = FormReader(environ["wsgi.input"], boundary, self._values.max_fields_size, self._values.max_fields)
        try:
            return _response(self._upload(environ, _container_of(environ), reader))
        except _Refused as refused:
            if refused.status == 401:
                environ.setdefault("objstore.log_info", []).append("denied:formpost")
                return error(401, f"FormPost: {refused}", {"Www-Authenticate": 'Swift realm="unknown"'})
            return _plain(refused.status, f"FormPost: {refused}")
        except (FormError, LimitExceeded) as failure:
            return _plain(400, f"FormPost: {failure}")
        except ObjstoreError as failure:
            return response_for(failure)

    def _upload(self, environ: Environ, container: Name, reader: FormReader) -> _Outcome:
        """Store the files of a form. Raises _Refused, and the errors of reading it."""
        fields: dict[str, str] = {}
        count, headers = 0, {}
        while (part := reader.next_part()) is not None:
            if part.filename is None:
                name, value = part.name.lower(), reader.read_value()
                if name in _USED:  # the others are forgotten
                    fields[name] = value
                continue
            scope = self._verified_scope(environ, container, fields)
            if not part.filename:  # an input without a file
                continue
            if count >= _number(fields, "max_file_count"):
                return _Outcome(400, "max file count exceeded", fields.get("redirect", ""))
            file = _File(reader, _number(fields, "max_file_size"))
            answer = call(self.app, _put_environ(environ, part, file, fields, scope))
            answer.close()
            if file.failure is not None:
                raise file.failure
            headers = {name: answer.headers[name] for name in _CORS_HEADERS if name in answer.headers}
            if not answer.ok:
                return _Outcome(answer.status, "", fields.get("redirect", ""), headers)
            count += 1
        self._verified_scope(environ, container, fields)
        if not count:
            return _Outcome(400, "no files to process", fields.get("redirect", ""))
        return _Outcome(201, "", fields.get("redirect", ""), headers)

    def _verified_scope(self, environ: Environ, container: Name, fields: Mapping[str, str]) -> Name:
        """Return the scope of the key that signed the fields of a form. Raises _Refused."""
        for name in ("max_file_size", "max_file_count"):
            _number(fields, name)
        if _number(fields, "expires") < self._now():
            raise _Refused(401, "Form Expired")
        signature = url_keys.parse_signature(fields.get("signature", ""), self._values.allowed_digests)
        scope = None if signature is None else self._scope_of(environ, container, signature, fields)
        if scope is None:
            raise _Refused(401, "Invalid Signature")
        if not is_header_value(fields.get("redirect", "")):
            raise _Refused(400, "redirect has control characters")
        requests.vouch(environ)
        return scope

    def _scope_of(
        self, environ: Environ, container: Name, signature: UrlSignature, fields: Mapping[str, str]
    ) -> Name | None:
        context = RequestContext.of(environ)
        signed = (to_text(environ["PATH_INFO"]), *(fields.get(name, "") for name in _SIGNED))
        texts = ["\n".join(signed).encode("utf-8", "surrogateescape")]
        if signature.is_by(self._layer.container_info(context, container).meta, texts):
            return container
        if signature.is_by(self._layer.account_info(context, container.account).meta, texts):
            return container.of_account
        return None


def _container_of(environ: Environ) -> Name:
    """Return the container that a form is sent to. Raises _Refused for another path."""
    try:
        target = requests.api_name(environ["PATH_INFO"])
    except InvalidInput:
        target = None
    if target is None or target[0] != temp_urls.VERSION or target[1].container is None:
        raise _Refused(401, "Invalid Signature")
    return target[1].of_container


def _number(fields: Mapping[str, str], name: str) -> int:
    number = whole(fields.get(name, "0"))
    if number is None:
        raise _Refused(400, f"{name} not an integer")
    return number


def _put_environ(environ: Environ, part: FormPart, file: _File, fields: Mapping[str, str], scope: Name) -> Environ:
    """Return the environ of the PUT of a file. Raises _Refused if a field cannot be a header."""
    path = environ["PATH_INFO"]
    if path.count("/") == _SLASHES_OF_CONTAINER:
        path += "/"
    assert part.filename is not None
    made = {key: value for key, value in environ.items() if key[:5] != "HTTP_" and key not in _OF_REQUEST}
    made |= {key: environ[key] for key in _KEPT_HEADERS if key in environ}
    made |= {
        "REQUEST_METHOD": "PUT",
        "PATH_INFO": path + to_native(part.filename),
        "QUERY_STRING": "",
        "HTTP_TRANSFER_ENCODING": "chunked",  # the length is not known
        "wsgi.input": file,
        "objstore.identity": bearer(scope),
    }
    for header, value in _stored_headers(part, fields).items():
        if not is_header_value(value):
            raise _Refused(400, f"{header} has control characters")
        made[ENVIRON_KEY[header]] = to_native(value)
    return made


def _stored_headers(part: FormPart, fields: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of the PUT of a file: by fields, else by the head of its part. Raises _Refused."""
    headers = {}
    for name, header in _OF_PART.items():
        value = fields.get(name) or part.headers.get(name)
        if value:
            headers[header] = value
    for name, (header, unit) in _TIMES.items():
        if name in fields:
            if whole(fields[name]) is None:
                raise _Refused(400, f"{name} not an integer: {unit} required.")
            headers[header] = fields[name]
    return headers


def _response(outcome: _Outcome) -> Response:
    if not outcome.redirect:
        more = f"\r\nFormPost: {outcome.message.title()}" if outcome.message else ""
        return _plain(outcome.status, status_line(outcome.status) + more, outcome.headers)
    location = _with_status(outcome.redirect, outcome.status, outcome.message)
    link = html.escape(location)
    if location.partition(":")[0].lower() not in _SCRIPTS:
        link = f'<a href="{link}">{link}</a>'
    page = f"<html><body><p>{link}</p></body></html>"
    headers = {"Content-Type": "text/html; charset=UTF-8", "Location": location, **outcome.headers}
    return Response(303, headers, page.encode("utf-8", "surrogateescape"))


def _with_status(url: str, status: int, message: str) -> str:
    """Return a URL with the outcome in its query."""
    url, mark, fragment = url.partition("#")
    return f"{url}{'&' if '?' in url else '?'}status={status}&message={quote(message)}{mark}{fragment}"


def _plain(status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
    return Response(status, {"Content-Type": "text/plain", **(headers or {})}, text.encode())


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WsgiApp], FormPost]:
    values = settings.read(FormPostSettings, {**global_conf, **local_conf}, "filter:formpost")

    def make(app: WsgiApp) -> FormPost:
        features.announce(app, "formpost")
        return FormPost(app, values)

    return make
