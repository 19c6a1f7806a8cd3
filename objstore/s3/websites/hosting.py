"""The websites of all buckets, found by the host of a request: `bucket.domain/key`, or `domain/bucket/key`."""

from __future__ import annotations

from objstore.core.errors import ClientGone
from objstore.core.names import Name
from objstore.core.text import to_text
from objstore.layers import documents
from objstore.s3.buckets import bucket_config, cors
from objstore.s3.buckets.registry import no_such
from objstore.s3.context import Context
from objstore.s3.language.errors import S3Error
from objstore.s3.request import addressing, incoming
from objstore.s3.request.addressing import Address
from objstore.s3.request.incoming import Incoming
from objstore.s3.request.s3_request import S3Body
from objstore.s3.websites import configuration, pages, routing
from objstore.s3.websites.configuration import Website
from objstore.s3.websites.routing import Origin
from objstore.s3.websites.visit import ErrorOf, Visit, Visitor
from objstore.web import hosts
from objstore.web.context import RequestContext
from objstore.web.requests import Environ
from objstore.web.responses import Response

_READING = ("GET", "HEAD")
_OPERATION = "Website"  # in the access log and in metrics


class Websites:
    """The websites. domains: as `hosts.domains` returns them. body: an empty one. error_of: see `visit`."""

    def __init__(self, context: Context, domains: tuple[str, ...], body: S3Body, error_of: ErrorOf) -> None:
        self._context = context
        self._domains = domains
        self._body = body
        self._error_of = error_of

    def has(self, environ: Environ) -> bool:
        """Return whether the host of a request is one of websites."""
        return hosts.below(hosts.host_name(environ.get("HTTP_HOST", "")), self._domains) is not None

    def answer(self, environ: Environ) -> Response:
        """Return the answer to a request to a host of websites. Raises ClientGone."""
        environ["objstore.kind"] = "object"
        environ["objstore.operation"] = _OPERATION
        environ.setdefault("objstore.log_info", []).append(f"s3:{_OPERATION}")
        request_id = environ.get("objstore.trans_id", "")
        bucket = ""
        try:
            received = incoming.read(environ)
            address = addressing.locate(received.path, environ.get("HTTP_HOST", ""), self._domains)
            bucket = address.bucket
            response = self._answer(environ, received, address)
        except ClientGone:
            raise
        except Exception as failure:
            response = pages.error_page(self._error_of(environ, failure), request_id)
        if "HTTP_ORIGIN" in environ and environ["REQUEST_METHOD"] != "OPTIONS":
            response.headers |= cors.response_headers(self._context, environ, bucket)
        response.headers["X-Amz-Request-Id"] = response.headers["X-Amz-Id-2"] = request_id
        return response

    def _answer(self, environ: Environ, received: Incoming, address: Address) -> Response:
        method = received.method
        if method == "OPTIONS":
            return cors.preflight(self._context, environ, received.headers, address)
        if method not in _READING:
            extra = {"Method": method, "ResourceType": "OBJECT"}
            raise S3Error("MethodNotAllowed", "", extra, {"Allow": "GET, HEAD"})
        website = self._website(environ, address.bucket)
        origin = origin_of(environ, address)
        if not address.by_host and website.everything is None and "/" not in received.path[1:]:
            # Relative links of the index document need the slash.
            return pages.redirect(302, routing.location(configuration.Redirect(), "", origin))
        visitor = Visitor(self._context, environ, _anonymous(received.headers), self._body, self._error_of)
        return Visit(visitor, website, address.bucket, address.key, origin).answer()

    def _website(self, environ: Environ, bucket: str) -> Website:
        """Return the website of a bucket. Raises S3Error NoSuchBucket, NoSuchWebsiteConfiguration."""
        context = RequestContext.of(environ)
        # A bucket with a website is registered.
        account = self._context.buckets.entry(context, bucket).account if bucket else ""
        info = self._context.layer.container_info(context, Name(account, bucket)) if account else None
        if info is None or not info.exists:
            raise no_such(bucket)
        document = documents.read(info.sysmeta, bucket_config.WEBSITE)
        if not document:
            raise S3Error("NoSuchWebsiteConfiguration", "", {"BucketName": bucket})
        return configuration.load(document)


def origin_of(environ: Environ, address: Address) -> Origin:
    """Return the address of a website as the client knows it, also if another filter has replaced the host."""
    host = environ.get("objstore.client_host") or environ["HTTP_HOST"]
    root = "" if address.by_host else f"/{routing.quoted(address.bucket)}"
    return Origin(environ["wsgi.url_scheme"], host, root, to_text(environ["QUERY_STRING"]))


def _anonymous(headers: dict[str, str]) -> dict[str, str]:
    """Return the headers that count for a visit: browsers send none of S3's, and nobody is logged in."""
    return {name: value for name, value in headers.items() if not name.startswith("X-Amz-") and name != "Authorization"}
