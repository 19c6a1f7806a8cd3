"""Listings in the format of the client's choice: JSON, XML or text.

Below this filter all listings are JSON. The format is chosen by the query's `format` or by Accept, as in Swift; the
answer is 406 if none fits.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from urllib.parse import parse_qsl, urlencode

from objstore.core.errors import InvalidInput
from objstore.web import listings
from objstore.web.errors import response_for
from objstore.web.requests import Environ, StartResponse, WsgiApp, to_text
from objstore.web.responses import Answer, Response, call, error

SETTINGS = ()

_METHODS = ("GET", "HEAD")
# Twice a page of 10,000 names of 1,024 bytes each: a longer body is not a listing.
_LONGEST = 2 * 10_000 * 1024


class ListingFormats:
    def __init__(self, app: WsgiApp) -> None:
        self.app = app

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] not in _METHODS:
            return self.app(environ, start_response)
        parts = environ["PATH_INFO"].split("/", 4)
        if (len(parts) > 4 and parts[4]) or len(parts) < 3 or parts[1] not in ("v1", "v1.0") or not parts[2]:
            return self.app(environ, start_response)
        try:
            format, query = _taken_from(environ.get("QUERY_STRING", ""))
        except InvalidInput as failure:
            return response_for(failure)(environ, start_response)
        versions = "&versions=" in f"&{query}" and environ["REQUEST_METHOD"] == "GET"
        kind = listings.negotiated(format, environ.get("HTTP_ACCEPT", ""), versions)
        environ["QUERY_STRING"] = query
        environ["HTTP_ACCEPT"] = listings.JSON
        answer = call(self.app, environ)
        container = to_text(parts[3]) if len(parts) > 3 and parts[3] else ""
        return _converted(answer, kind, to_text(parts[2]), container, environ)(environ, start_response)


def _taken_from(query: str) -> tuple[str, str]:
    """Return the format in a query, and the query with JSON instead."""
    if not query:
        return "", "format=json"
    try:
        pairs = parse_qsl(query, keep_blank_values=True, encoding="utf-8", errors="strict", max_num_fields=1000)
    except ValueError:
        raise InvalidInput("Invalid UTF8 or contains NULL") from None
    format = next((value for name, value in reversed(pairs) if name == "format"), "")
    return format, urlencode([*((name, value) for name, value in pairs if name != "format"), ("format", "json")])


def _converted(answer: Answer, kind: str | None, account: str, container: str, environ: Environ) -> WsgiApp:
    """Return the answer in the chosen format; unchanged if it is not a listing (an error, a page of staticweb).

    kind: a media type; None if the client accepts none, which matters for a listing alone.
    """
    headers = {name: to_text(value) for name, value in answer.headers.items()}
    media_type = headers.get("Content-Type", "").partition(";")[0].strip()
    # A response without a body may have no type; the client still gets that of a GET.
    is_listing = media_type == listings.JSON or (
        not media_type and (answer.status == 204 or environ["REQUEST_METHOD"] == "HEAD")
    )
    if answer.status not in (200, 204) or not is_listing or environ.get("objstore.web_page"):
        return Response(answer.status, headers, answer.body)
    if kind is None:
        answer.close()
        return error(406, "Supported formats: text/plain, application/json, application/xml or text/xml")
    if int(headers.get("Content-Length", 0)) > _LONGEST:
        return Response(answer.status, headers, answer.body)
    headers["Content-Type"] = f"{kind}; charset=utf-8"
    headers["Vary"] = ", ".join(filter(None, (headers.get("Vary"), "Accept")))
    if environ["REQUEST_METHOD"] == "HEAD":
        if answer.status == 200:
            headers.pop("Content-Length", None)  # that of JSON
        return Response(answer.status, headers, answer.body)
    if kind == listings.JSON:
        return Response(answer.status, headers, answer.body)
    body = answer.read()
    try:
        body = _rendered(json.loads(body or b"[]"), kind, account, container)
    except (ValueError, KeyError, TypeError):  # not a listing
        headers["Content-Type"] = f"{listings.JSON}; charset=utf-8"
    if body:
        headers["Content-Length"] = str(len(body))
        return Response(answer.status, headers, body)
    headers["Content-Length"] = "0"
    return Response(204, headers)


def _rendered(rows: listings.Listing, kind: str, account: str, container: str) -> bytes:
    if kind == listings.TEXT:
        return listings.text(rows)
    if container:
        return listings.container_xml(rows, container)
    return listings.account_xml(rows, account)


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WsgiApp], ListingFormats]:
    return ListingFormats
