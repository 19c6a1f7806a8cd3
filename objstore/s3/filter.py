"""The S3 API as a filter of the proxy's pipeline: it answers S3 requests, all others pass.

A request is an S3 request if its signature has the form of S3's. An unsigned one is, unless it has a token or its path
is of the native API (setting `native_paths`); with a host `bucket.domain` it is one for any path.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Iterable

from objstore.access.identity import AccessKeys
from objstore.core.errors import ClientGone, ConfigError, ObjstoreError
from objstore.core.names import Name
from objstore.core.policies import ONE_POLICY, Policies
from objstore.core.text import to_native
from objstore.layers.interface import VersionedLayer
from objstore.runtime import log, metrics, settings
from objstore.runtime.threads import ThreadPool
from objstore.s3 import welcome
from objstore.s3.access import Access
from objstore.s3.bucket_logs import exchange as exchanges
from objstore.s3.bucket_logs.exchange import Exchange
from objstore.s3.bucket_logs.service import BucketLogs
from objstore.s3.buckets import cors
from objstore.s3.buckets.registry import Buckets, hidden_kinds
from objstore.s3.context import Context
from objstore.s3.data.object_store import S3Objects
from objstore.s3.data.storage_classes import StorageClasses
from objstore.s3.language import checksums, failures
from objstore.s3.language.errors import S3Error
from objstore.s3.operation import Level, Operation
from objstore.s3.operations import OPERATIONS
from objstore.s3.request import addressing, amz_headers, declared, empty, form_upload, incoming
from objstore.s3.request.addressing import Address
from objstore.s3.request.body import EMPTY, Payload
from objstore.s3.request.form_upload import FormUploads
from objstore.s3.request.incoming import Incoming
from objstore.s3.request.s3_request import LoggedAccess, S3Request
from objstore.s3.request.signature import Checker, Proof, SignatureRules
from objstore.s3.request.signature.keys import EMPTY_SHA256
from objstore.s3.request.signature.times import Window
from objstore.s3.router import Router
from objstore.s3.settings import SETTINGS, S3Settings
from objstore.s3.websites.hosting import Websites
from objstore.web import guards, hosts, pipeline, requests
from objstore.web.counted_body import CountedBody
from objstore.web.requests import Environ, StartResponse, WsgiApp, has_body
from objstore.web.responses import Response

__all__ = ["SETTINGS", "S3Filter", "filter_factory"]

_CHECK_BODY = "objstore.check_body"  # of the HTTP server: raises if the client has gone within the body
_SIGNING_PARAMETERS = ("X-Amz-Algorithm=", "X-Amz-Credential=", "AWSAccessKeyId=")
_HASHING_THREADS = 2
# Methods whose bodies no operation reads.
_READING = frozenset({"GET", "HEAD"})
_UPLOADS = frozenset({"PutObject", "UploadPart"})  # without a length, the store would create an empty object
_REGISTRY_OPERATIONS = frozenset({"CreateBucket", "DeleteBucket"})  # these write the registry themselves
_LISTINGS = frozenset({"ListObjects", "ListObjectsV2", "ListObjectVersions", "ListMultipartUploads"})
# The methods of Swift for operations that change a bucket.
_AS_SWIFT = {"PUT": "POST", "POST": "POST", "DELETE": "POST"}
_UNDECLARED = frozenset({"", declared.UNSIGNED_PAYLOAD, EMPTY_SHA256})


class S3Filter:
    """The filter `s3`. app: the pipeline below, in which a filter has `access_keys`. policies: of the store.

    Raises ConfigError if `storage_classes` names a missing policy, or a domain is of both buckets and websites.
    """

    def __init__(
        self,
        app: WsgiApp,
        values: S3Settings,
        *,
        keys: AccessKeys,
        logger: logging.Logger,
        policies: Policies = ONE_POLICY,
        now: Callable[[], float] = time.time,
        registry: metrics.Metrics | None = None,
    ) -> None:
        self.app = app
        self._now = now
        self._values = values
        self._logger = logger
        self._native_paths = frozenset(path.strip("/") for path in values.native_paths)
        self._domains = hosts.domains(values.domains)
        sites = website_domains(values.website_domains, self._domains)
        self.bucket_domains = hosts.domains((*self._domains, *sites))
        window = Window(values.max_clock_skew, values.max_presigned_life, values.max_v2_url_life)
        regions = (values.region, *values.accepted_regions)
        self._checker = Checker(keys, SignatureRules(regions, window, values.signature_v2), now)
        self._pool = ThreadPool("s3-hash", _HASHING_THREADS)
        self._no_body = Payload(EMPTY, declared.NOTHING, None, self._pool)
        self._no_body.settle_empty()
        self._forms = FormUploads(self._checker, self._pool, values.region, now)
        layer: VersionedLayer = pipeline.find(app, "layer")
        classes = StorageClasses(values.storage_classes, policies)
        buckets = Buckets(layer, values, kinds=hidden_kinds(policies))
        access = Access(layer, buckets, values, keys)
        objects = S3Objects(layer, access.permit_read, classes)
        self._context = Context(layer, objects, buckets, access, values, classes)
        self._router = Router(OPERATIONS)
        self._websites: Websites | None = None
        if sites:
            self._websites = Websites(self._context, sites, self._no_body, self._error_of)
        self._bucket_logs: BucketLogs | None = None
        if values.bucket_log_spool and registry is not None:
            self._bucket_logs = BucketLogs(layer, values, access.defaults, logger, registry)
            self._bucket_logs.start()

    def info(self) -> dict[str, object]:
        values = self._values
        return {
            "s3api": {
                "region": values.region,
                "allow_multipart_uploads": True,
                "max_bucket_listing": values.max_listing,
                "max_multi_delete_objects": values.max_multi_delete,
                "max_parts_listing": values.max_listing,
                "max_upload_part_num": values.max_parts,
                "min_segment_size": values.min_part_size,
                "s3_acl": True,
            }
        }

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if self._websites is not None and self._websites.has(environ):
            return self._websites.answer(environ)(environ, start_response)
        if not self._speaks_s3(environ):
            environ["objstore.bucket_defaults"] = self._context.access.defaults
            return self.app(environ, start_response)
        if self._bucket_logs is None:
            return self._answer(environ)[0](environ, start_response)
        started = self._now()
        response, address, request, error = self._answer(environ)
        accesses = self._logged_accesses(environ, address, request, response)
        if accesses:
            answered, status, headers = self._now(), response.status, response.headers
            region = self._values.region
            exchange = Exchange(environ, address, request, region, started, answered, status, headers, error)
            response.body = self._logged_body(self._bucket_logs, exchange, accesses, response.body)
        return response(environ, start_response)

    def _logged_accesses(
        self, environ: Environ, address: Address, request: S3Request | None, response: Response
    ) -> list[LoggedAccess]:
        """Return the accesses of a request to buckets with logging. A request that no check has seen was refused, or is
        a browser's OPTIONS."""
        if request is not None and (request.logged is not None or response.status < 400):
            return request.logged or []
        if not address.bucket:
            return []
        try:
            return exchanges.unchecked(self._context, environ, address.bucket)
        except ObjstoreError:
            return []  # it is best effort, and the client needs its answer

    def _logged_body(
        self, logs: BucketLogs, exchange: Exchange, accesses: list[LoggedAccess], body: bytes | Iterable[bytes]
    ) -> bytes | Iterable[bytes]:
        """Return the body of an answer, which adds the records of the exchange to the logs at its end."""

        def end(sent: int, failed: int, closed: bool) -> None:
            for entry in exchanges.entries(exchange, accesses, sent, self._now(), failed or exchange.status):
                logs.add(entry)

        if isinstance(body, bytes):
            end(0 if exchange.environ["REQUEST_METHOD"] == "HEAD" else len(body), 0, False)
            return body
        return CountedBody(body, end)

    def _speaks_s3(self, environ: Environ) -> bool:
        authorization = environ.get("HTTP_AUTHORIZATION")
        if authorization is not None and authorization[:3] == "AWS":
            return True
        query = environ["QUERY_STRING"]
        if query:
            for parameter in _SIGNING_PARAMETERS:
                if parameter in query:
                    return True
        path = environ["PATH_INFO"]
        if path[:1] != "/":  # OPTIONS *
            return False
        if "HTTP_X_AUTH_TOKEN" not in environ and "HTTP_X_STORAGE_TOKEN" not in environ:
            if path.split("/", 2)[1] not in self._native_paths:
                return True
            return self.names_bucket(environ)
        return False

    def names_bucket(self, environ: Environ) -> bool:
        """Return whether the host of a request names a bucket. For earlier filters that have paths of their own."""
        if self._websites is not None and self._websites.has(environ):
            return True
        return bool(self._domains and addressing.bucket_of_host(environ.get("HTTP_HOST", ""), self._domains))

    def _answer(self, environ: Environ) -> tuple[Response, Address, S3Request | None, str]:
        """Return the answer with what is known of the request, and the code of its error or ''."""
        address, request, code = Address("", ""), None, ""
        environ["objstore.operation"] = "none"  # until the router selects one
        try:
            received = incoming.read(environ)
            plus = "+" in received.path and incoming.means_space(received, self._values.plus_in_path)
            address = addressing.locate(received.path, received.headers.get("Host", ""), self._domains, plus)
            if (page := welcome.page(environ, address)) is not None:
                return page, address, None, ""
            environ["objstore.kind"] = "object" if address.key else "container" if address.bucket else "account"
            if received.method == "OPTIONS":
                response = cors.preflight(self._context, environ, received.headers, address)
            else:
                request = self._request(environ, received, address)
                response = self._perform(request)
        except ClientGone:
            raise
        except Exception as failure:
            error = self._error_of(environ, failure)
            code = error.code
            response = self._refusal(error, environ, address)
        if "HTTP_ORIGIN" in environ and environ["REQUEST_METHOD"] != "OPTIONS":
            response.headers |= cors.response_headers(self._context, environ, address.bucket)
        request_id = environ.get("objstore.trans_id", "")
        response.headers["X-Amz-Request-Id"] = response.headers["X-Amz-Id-2"] = request_id
        return response, address, request, code

    def _error_of(self, environ: Environ, failure: Exception) -> S3Error:
        """Return the error to answer a failure with. Our own faults are logged."""
        if isinstance(failure, S3Error):
            error, is_fault = failure, failure.code == "InternalError"
        elif isinstance(failure, ObjstoreError):
            error = failures.from_core(failure)
            is_fault = error.status >= 500
        else:
            error, is_fault = S3Error("InternalError"), True
        if is_fault:
            self._log(environ, failure)
        return error

    def _request(self, environ: Environ, received: Incoming, address: Address) -> S3Request:
        if form_upload.is_form(received, address):
            request = self._forms.request(environ, received, address)
        else:
            request = self._signed(environ, received, address)
        if request.identity.known:
            requests.vouch(environ)
            environ["objstore.identity"] = request.identity
            request.context.reseller = request.identity.reseller_admin
            environ["REMOTE_USER"] = to_native(request.identity.user)
        return request

    def _signed(self, environ: Environ, received: Incoming, address: Address) -> S3Request:
        proof = self._checker.check(received, address.bucket if address.by_host else "")
        headers = received.headers
        if proof.headers:
            headers = {**checksums.of_url(proof.headers), **headers}
        body = self._body(environ, received, headers, proof)
        if proof.words and proof.payload in declared.FRAMINGS:
            _strip_aws_chunked(headers)
        region = self._values.region
        return S3Request(
            environ, address.bucket, address.key, received.query, headers, body, proof.credential, region, proof.signing
        )

    def _body(self, environ: Environ, received: Incoming, headers: dict[str, str], proof: Proof) -> Payload:
        if received.method in _READING:
            if proof.words and proof.payload not in _UNDECLARED:
                declared.framing_of(proof.payload)
            return self._no_body  # S3 does not check a body that no operation reads
        if received.method == "DELETE" and proof.payload in _UNDECLARED and not has_body(environ):
            return self._no_body
        if received.method == "POST" and "uploadId" in received.query:  # the checksum is that of the whole object
            headers = {name: value for name, value in headers.items() if not checksums.is_declaration(name)}
        algorithm = checksums.declared_algorithm(proof.headers) if proof.headers else ""
        declaration = declared.read(headers, proof.payload, proof.words, algorithm)
        if received.method == "POST":
            declaration = declaration._replace(document=True)
        return Payload(environ["wsgi.input"], declaration, proof.seed, self._pool, environ.get(_CHECK_BODY))

    def _perform(self, request: S3Request) -> Response:
        level: Level = "object" if request.key else "bucket" if request.bucket else "service"
        empty.check(request.method, request.query, request.headers)
        amz_headers.check(request.method, request.headers, self._values.unknown_amz_headers)
        if form_upload.FIELDS in request.environ:
            # The signature is of an upload: neither query nor fields select another operation.
            operation = self._router.route("POST", "bucket", {}, {})
        else:
            operation = self._router.route(request.method, level, request.query, request.headers)
        request.operation = operation.name
        request.environ["objstore.operation"] = operation.name
        request.environ.setdefault("objstore.log_info", []).append(f"s3:{operation.name}")
        self._context.access.check(request, operation.action, operation.versioned_action)
        if guards.KEY in request.environ:
            self._check_guards(request, operation)
        if request.bucket and request.method not in _READING and operation.name not in _REGISTRY_OPERATIONS:
            self._context.buckets.claim(request)
        if operation.name in _UPLOADS and not declared.has_length(request.headers):
            raise S3Error("MissingContentLength")
        request.body.settle_empty()
        response = operation.handler(self._context, request)
        if request.charged:
            response.headers["x-amz-request-charged"] = "requester"
        return response

    def _check_guards(self, request: S3Request, operation: Operation) -> None:
        """Check the request by its equivalent of Swift. DeleteObjects checks each of its keys."""
        if operation.name == "DeleteObjects":
            return
        method, name = operation.method, Name(request.account)
        if operation.name == "CreateBucket":
            name = Name(request.account, request.bucket)
        elif request.bucket:
            name = self._context.buckets.resolve(request, request.bucket)
            if request.key or operation.name == "PostObject":
                name = name._replace(object=request.key)
            elif operation.name != "DeleteBucket":
                method = _AS_SWIFT.get(operation.method, "GET" if operation.name in _LISTINGS else "HEAD")
        if operation.name == "PostObject":
            method = "PUT"
        guards.check(request.environ, request.context, method, name)

    def _refusal(self, error: S3Error, environ: Environ, address: Address) -> Response:
        return failures.respond(error, address.bucket, address.key, environ.get("objstore.trans_id", ""))

    def _log(self, environ: Environ, failure: Exception) -> None:
        self._logger.error(
            "%s %r failed: %s: %s",
            environ["REQUEST_METHOD"],
            environ.get("PATH_INFO"),
            type(failure).__name__,
            failure,
            exc_info=None if isinstance(failure, ObjstoreError) else failure,
            extra={"trans_id": environ.get("objstore.trans_id", "")},
        )


def website_domains(texts: Iterable[str], domains: tuple[str, ...]) -> tuple[str, ...]:
    """Return the domains of websites. Raises ConfigError if a host could be that of a bucket and of a website."""
    own = hosts.domains(texts)
    for inner, outer in itertools.chain(itertools.product(own, domains), itertools.product(domains, own)):
        if hosts.below(inner, (outer,)) is not None:
            raise ConfigError(
                f"filter:s3: domains and website_domains overlap: {inner} belongs to {outer}, whose subdomains are "
                "named by buckets; use another domain"
            )
    return own


def _strip_aws_chunked(headers: dict[str, str]) -> None:
    """Remove `aws-chunked`, in any case: it is the framing of the body, not a coding of the object."""
    coding = headers.get("Content-Encoding")
    if coding is None or "aws-chunked" not in coding.lower():
        return
    codings = [part.strip() for part in coding.split(",") if part.strip().lower() not in ("aws-chunked", "")]
    if codings:
        headers["Content-Encoding"] = ", ".join(codings)
    else:
        del headers["Content-Encoding"]


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WsgiApp], S3Filter]:
    conf = {**global_conf, **local_conf}
    values = settings.read(S3Settings, conf, "filter:s3")
    logger = log.from_conf(conf)

    def make(app: WsgiApp) -> S3Filter:
        keys: AccessKeys | None = pipeline.find(app, "access_keys")
        if keys is None:
            raise ConfigError("filter:s3: none of the filters after it knows access keys, as tempauth does")
        policies: Policies = pipeline.find(app, "policies") or ONE_POLICY
        registry = metrics.from_conf(conf) if values.bucket_log_spool else None
        return S3Filter(app, values, keys=keys, logger=logger, policies=policies, registry=registry)

    return make
