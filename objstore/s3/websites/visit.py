"""A visit: the request of a browser for a page of a website.

1. A rule without an error code that matches the key redirects.
2. A key that is empty or ends with a slash is that of a directory, and means its index document.
3. An object with x-amz-website-redirect-location redirects to it.
4. A key that cannot be read, and with a slash after it has an index document that can, redirects to that directory.
5. An error of the 4XX class has the page of the error document, unless a rule for the error redirects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from objstore.core.errors import ClientGone
from objstore.s3.context import Context
from objstore.s3.language.errors import S3Error
from objstore.s3.operations.object import reading
from objstore.s3.request.addressing import check_key
from objstore.s3.request.s3_request import S3Body, S3Request
from objstore.s3.websites import pages, routing
from objstore.s3.websites.configuration import Redirect, RoutingRule, Website
from objstore.s3.websites.routing import Origin
from objstore.web import guards
from objstore.web.requests import Environ
from objstore.web.responses import Response, close_body

ErrorOf = Callable[[Environ, Exception], S3Error]  # of a failure, which is logged if it is unexpected

_CONDITIONS = frozenset({"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range", "Range"})
_MISSING = frozenset({403, 404})
# Answers to what the client asked; they have no pages.
_OF_CONDITIONS = frozenset({412, 416})
_REDIRECT = "x-amz-website-redirect-location"


class Visitor(NamedTuple):
    """The request of a browser, for the reads of its visit. headers: those that count for an anonymous GET."""

    context: Context
    environ: Environ
    headers: Mapping[str, str]
    body: S3Body
    error_of: ErrorOf


class Visit:
    """A request of a visitor for a key of a bucket with a website."""

    def __init__(self, visitor: Visitor, website: Website, bucket: str, key: str, origin: Origin) -> None:
        self._visitor = visitor
        self._website = website
        self._bucket = bucket
        self._key = key
        self._origin = origin

    def answer(self) -> Response:
        """Return the answer. Raises ClientGone."""
        website, key = self._website, self._key
        if website.everything is not None:
            return self._redirect(RoutingRule(website.everything))
        rule = routing.rule_for(website.rules, key)
        if rule is not None:
            return self._redirect(rule)
        is_directory = not key or key.endswith("/")
        try:
            return self._page(key + website.suffix if is_directory else key)
        except ClientGone:
            raise
        except Exception as failure:
            error = self._visitor.error_of(self._visitor.environ, failure)
        if error.status in _MISSING and not is_directory and self._has_index(f"{key}/"):
            return pages.redirect(302, routing.location(Redirect(), f"{key}/", self._origin))
        rule = routing.rule_for(website.rules, key, error.status)
        return self._redirect(rule) if rule is not None else self._error(error)

    def _redirect(self, rule: RoutingRule) -> Response:
        location = routing.location(rule.redirect, self._key, self._origin, rule.prefix)
        return pages.redirect(rule.redirect.status or 301, location)

    def _page(self, key: str, whole: bool = False) -> Response:
        """Return an object as a page. whole: ignore conditions and ranges. Raises S3Error, ObjstoreError."""
        try:
            response = self._read(key, whole=whole)
        except S3Error as failure:
            if failure.status not in _OF_CONDITIONS:
                raise
            # An object that redirects has no content to which a range or condition could apply.
            response = self._read(key, "HEAD", whole=True)
            if _REDIRECT not in response.headers:
                raise
        target = response.headers.get(_REDIRECT)
        if target is None:
            return response
        close_body(response.body)
        return pages.redirect(301, routing.object_location(target, self._origin))

    def _has_index(self, directory: str) -> bool:
        """Return whether the visitor can read the index document of a directory."""
        try:
            close_body(self._read(directory + self._website.suffix, "HEAD", whole=True).body)
        except S3Error:
            return False
        return True

    def _error(self, error: S3Error) -> Response:
        """Return the page for an error: the error document of the website, or else one of our own."""
        second = None
        if self._website.error_key and 400 <= error.status < 500 and error.status not in _OF_CONDITIONS:
            try:
                response = self._page(self._website.error_key, whole=True)
            except ClientGone:
                raise
            except Exception as failure:
                second = self._visitor.error_of(self._visitor.environ, failure)
            else:
                if response.status != 200:
                    return response
                response.status = error.status
                response.headers.pop("Accept-Ranges", None)  # ranges are of pages that were found
                response.headers.update(pages.error_headers(error))
                return response
        return pages.error_page(error, self._visitor.environ.get("objstore.trans_id", ""), second)

    def _read(self, key: str, method: str = "", whole: bool = False) -> Response:
        """Read an object as an anonymous client of S3. method: HEAD, or '' for that of the visitor.

        Raises S3Error, ObjstoreError.
        """
        context, environ, headers, body, _ = self._visitor
        check_key(key)
        if whole:
            headers = {name: value for name, value in headers.items() if name not in _CONDITIONS}
        request = S3Request(environ, self._bucket, key, {}, dict(headers), body, None, context.settings.region)
        request.method = method or request.method
        request.operation = "GetObject"
        context.access.check(request, "s3:GetObject", "")
        if guards.KEY in environ:
            name = context.buckets.resolve(request, self._bucket)._replace(object=key)
            guards.check(environ, request.context, request.method, name)
        return reading.answer(context, request)
