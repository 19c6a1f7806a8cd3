"""Links in the Swift API (Swift: Symlinks): the headers that make one, and those that show it."""

from __future__ import annotations

from urllib.parse import quote

from objstore.core.dlo import DLO
from objstore.core.errors import InvalidInput
from objstore.core.limits import Limits
from objstore.core.links import LINK, LINK_ACCOUNT, LINK_BYTES, LINK_ETAG, LINK_TYPE, Link, parse
from objstore.core.listed import fields_header
from objstore.core.manifests import is_large
from objstore.core.numbers import whole
from objstore.core.text import ENVIRON_KEY
from objstore.layers import symlinks
from objstore.layers.interface import ObjectLayer, PutOptions, ReadOptions
from objstore.swift.named_object import named_object, unquoted
from objstore.swift.request import ProxyRequest
from objstore.web import constraints
from objstore.web.errors import location
from objstore.web.requests import Environ, WsgiBody, content_length, header

TARGET = "X-Symlink-Target"
_TARGET_KEY = ENVIRON_KEY[TARGET]
_COPIED_KEY = ENVIRON_KEY[LINK]
_SHOWN = {
    LINK: TARGET, LINK_ACCOUNT: f"{TARGET}-Account", LINK_ETAG: f"{TARGET}-Etag", LINK_BYTES: f"{TARGET}-Bytes",
}  # fmt: skip
_ACCOUNT = f"{TARGET}-Account"
_ITSELF = "symlink=get"


def is_about_link(environ: Environ) -> bool:
    """Return whether a request is about a link itself, and not its target."""
    query = environ.get("QUERY_STRING", "")
    return _ITSELF in query and _ITSELF in query.split("&")


def is_link(environ: Environ) -> bool:
    """Return whether a PUT makes a link, or the copy of one."""
    return _TARGET_KEY in environ or _COPIED_KEY in environ


def link_options(request: ProxyRequest, layer: ObjectLayer, limits: Limits, options: PutOptions) -> PutOptions:
    """Return the options of a PUT that makes a link. options: as of other objects.

    Raises MalformedHeader, InvalidInput, TargetChanged, AccessDenied.
    """
    link = _link(request, limits)
    if DLO in options.headers:
        raise InvalidInput("A link cannot be the manifest of a large object")
    _refuse_body(request)
    headers = {name: value for name, value in options.headers.items() if name not in _SHOWN}
    content_type = header(request.environ, "Content-Type") and headers["Content-Type"]
    fields: dict[str, str | int | bool] = {}
    if link.etag and request.synced:
        link = link._replace(size=whole(request.headers.get(f"{TARGET}-Bytes", "")) or 0)
    elif link.etag:
        link, target = symlinks.resolve(layer, request.context, link, ReadOptions(permit=request.permit_read))
        content_type = content_type or target.headers["Content-Type"]
        if is_large(target.headers):
            fields["slo_etag"] = f'"{target.headers["Etag"]}"'
    if link.etag:
        fields |= {"symlink_etag": link.etag, "symlink_bytes": link.size}
    headers["Content-Type"] = content_type or LINK_TYPE
    fields["symlink_path"] = location(link.target.path)
    return options._replace(headers=headers | link.headers(request.name.account) | fields_header(fields))


def _link(request: ProxyRequest, limits: Limits) -> Link:
    """Return the link that a PUT asks for, or copies."""
    environ = request.environ
    if _TARGET_KEY not in environ:
        copied = {name: header(environ, name) for name in _SHOWN if ENVIRON_KEY[name] in environ}
        if ENVIRON_KEY[_ACCOUNT] in environ:  # the copy leads to another account
            copied[LINK_ACCOUNT] = quote(unquoted(environ[ENVIRON_KEY[_ACCOUNT]], _ACCOUNT), safe="")
        return parse(copied, request.name.account)
    target = named_object(environ, TARGET, request.name.account)
    if target == request.name:
        raise InvalidInput("Symlink cannot target itself")
    constraints.check_name(target, limits)
    etag = unquoted(environ.get(ENVIRON_KEY[f"{TARGET}-Etag"], ""), f"{TARGET}-Etag").strip().strip('"')
    if len(etag) > 256 or not etag.isprintable():
        raise InvalidInput(f"{TARGET}-Etag is not an etag")
    return Link(target, etag)


def _refuse_body(request: ProxyRequest) -> None:
    """Raise InvalidInput if a link would have content."""
    environ = request.environ
    if content_length(environ) or (WsgiBody(environ).length is None and WsgiBody(environ).read_chunk(1)):
        raise InvalidInput("Symlink requests require a zero byte body")


def shown(headers: dict[str, str]) -> dict[str, str]:
    """Return the headers that show clients a link. headers: of the stored object."""
    return {name: headers[stored] for stored, name in _SHOWN.items() if stored in headers}


def refuse_post(request: ProxyRequest) -> None:
    """Raise InvalidInput for a POST that would make a link."""
    if _TARGET_KEY in request.environ:
        raise InvalidInput("A PUT request is required to set a symlink target")
