"""The answers of websites to failed requests, as HTML, and their redirects."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from objstore.s3.language import failures
from objstore.s3.language.errors import S3Error
from objstore.web import responses
from objstore.web.responses import Response

_TYPE = {"Content-Type": "text/html; charset=utf-8"}


def redirect(status: int, location: str) -> Response:
    return responses.error(status, headers={"Location": location})


def error_headers(error: S3Error) -> dict[str, str]:
    """Return the headers that name an error to programs, as S3's websites do, and those of the error itself."""
    named = {"x-amz-error-code": error.code}
    if error.message.isascii() and error.message.isprintable():
        named["x-amz-error-message"] = error.message
    return {**named, **failures.retry_headers(error), **error.headers}


def error_page(error: S3Error, request_id: str, second: S3Error | None = None) -> Response:
    """Return the page for an error. second: the error met when the website's own error document was read."""
    title = escape(responses.status_line(error.status))
    rows = [("Code", error.code), ("Message", error.message), *error.extra.items(), ("RequestId", request_id)]
    further = ""
    if second is not None:
        reasons = _items([("Code", second.code), ("Message", second.message), *second.extra.items()])
        further = f"<h2>The error document of this website could not be read</h2>\n{reasons}"
    page = (
        f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{title}</title></head>\n<body>\n'
        f"<h1>{title}</h1>\n{_items(rows)}{further}</body>\n</html>\n"
    )
    return Response(error.status, {**_TYPE, **error_headers(error)}, page.encode("utf-8", "replace"))


def _items(rows: Iterable[tuple[str, str]]) -> str:
    items = "".join(f"<li>{escape(name)}: {escape(value)}</li>\n" for name, value in rows)
    return f"<ul>\n{items}</ul>\n"
