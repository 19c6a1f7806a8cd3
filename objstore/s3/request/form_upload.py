"""An upload by a browser's form, as the request that PostObject handles (S3 API: POST Object).

The form's fields become the headers of a PUT; the signature covers its policy instead of the request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from objstore.access.identity import Credential
from objstore.runtime.threads import ThreadPool
from objstore.s3.language import tags, xml
from objstore.s3.language.errors import S3Error
from objstore.s3.request import addressing, declared, post_policy
from objstore.s3.request.addressing import Address
from objstore.s3.request.body import Payload
from objstore.s3.request.form import Form, boundary_of
from objstore.s3.request.incoming import Incoming, as_header
from objstore.s3.request.s3_request import S3Request
from objstore.s3.request.signature import Checker, Signing, v4
from objstore.web.requests import Environ

FIELDS = "objstore.s3.request.form"  # key in environ of the form's fields, by lower-case name
MAX_SIZE = 5 << 30  # bytes of a file
_AS_HEADERS = frozenset(
    {"cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "expires"}
    | {"content-md5"}
)
# Headers of the request itself, for conditions in policies of buckets.
_REQUEST_HEADERS = ("Host", "Origin", "Referer", "User-Agent", "X-Forwarded-For")
# Fields of the signature, or declarations about the body that only a request's headers can make.
_NOT_HEADERS = frozenset(
    {"x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature", "x-amz-security-token"}
    | {"x-amz-content-sha256", "x-amz-decoded-content-length", "x-amz-trailer", "x-amz-copy-source"}
)


def is_form(received: Incoming, address: Address) -> bool:
    """Return whether this is a form sent to a bucket. Raises S3Error MalformedPOSTRequest if it has no boundary."""
    return (
        received.method == "POST"
        and bool(address.bucket)
        and not address.key
        and "Authorization" not in received.headers
        and bool(boundary_of(received.headers.get("Content-Type", "")))
    )


class FormUploads:
    """The conversion of forms into requests. region: of this store. now: the clock."""

    def __init__(self, checker: Checker, pool: ThreadPool, region: str, now: Callable[[], float]) -> None:
        self._checker = checker
        self._pool = pool
        self._region = region
        self._now = now

    def request(self, environ: Environ, received: Incoming, address: Address) -> S3Request:
        """Return the request of a form: always an upload.

        Raises S3Error if the form, its policy or a query does not allow it.
        """
        if received.pairs:
            extra = {"ArgumentName": received.pairs[0][0], "ArgumentValue": received.pairs[0][1]}
            raise S3Error("InvalidArgument", "A form upload must have no query string.", extra)
        form = Form(environ["wsgi.input"], boundary_of(received.headers["Content-Type"]))
        form.read_fields()
        fields = form.fields
        key = fields.get("key")
        if not key:
            raise _missing("key")
        key = fields["key"] = key.replace("${filename}", form.filename)
        if not key or "\0" in key:
            raise _missing("key")
        addressing.check_key(key)
        form.max_size = MAX_SIZE
        credential, signing = self._signer(fields)
        if credential is not None:
            policy = post_policy.parse(fields["policy"])
            post_policy.check(policy, {**fields, "bucket": address.bucket}, self._now())
            form.min_size, max_size = policy.sizes
            form.max_size = MAX_SIZE if max_size is None else min(max_size, MAX_SIZE)
        headers = _headers(fields, received.headers)
        declaration = declared.read({**headers, "Transfer-Encoding": "chunked"}, "")
        body: Any = Payload(form, declaration, None, self._pool)
        environ[FIELDS] = fields
        return S3Request(environ, address.bucket, key, {}, headers, body, credential, self._region, signing)

    def _signer(self, fields: Mapping[str, str]) -> tuple[Credential | None, Signing | None]:
        """Return the signer of the policy, and the kind of the signature; None for a form without both."""
        by_v4 = "x-amz-signature" in fields or "x-amz-credential" in fields
        by_v2 = "signature" in fields or "awsaccesskeyid" in fields
        if not by_v4 and not by_v2:
            if "policy" in fields:
                raise _missing("signature")
            return None, None
        required = _V4_FIELDS if by_v4 else _V2_FIELDS
        for name in required:
            if not fields.get(name):
                raise _missing(name)
        if by_v4:
            return self._by_v4(fields)
        return self._checker.form_by_v2(fields["awsaccesskeyid"], fields["signature"], fields["policy"])

    def _by_v4(self, fields: Mapping[str, str]) -> tuple[Credential, Signing]:
        if fields["x-amz-algorithm"] != v4.ALGORITHM:
            raise S3Error("InvalidArgument", 'X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"')
        return self._checker.form_by_v4(
            fields["x-amz-credential"], fields["x-amz-signature"], fields["x-amz-date"], fields["policy"]
        )


_V4_FIELDS = ("policy", "x-amz-signature", "x-amz-credential", "x-amz-algorithm", "x-amz-date")
_V2_FIELDS = ("policy", "signature", "awsaccesskeyid")


def _headers(fields: Mapping[str, str], request_headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of the equivalent PUT; raises S3Error for malformed tags."""
    headers = {name: request_headers[name] for name in _REQUEST_HEADERS if name in request_headers}
    for name, value in fields.items():
        if name in _AS_HEADERS or (name[:6] == "x-amz-" and name not in _NOT_HEADERS):
            headers.update([as_header(name, value)])
    if "acl" in fields:
        headers["X-Amz-Acl"] = fields["acl"]
    if "tagging" in fields:
        headers["X-Amz-Tagging"] = tags.dump(tags.from_xml(xml.parse(fields["tagging"].encode(), "Tagging")))
    return headers


def _missing(name: str) -> S3Error:
    return S3Error(
        "InvalidArgument",
        f"Bucket POST must contain a field named '{name}'.  If it is specified, please check the order of the fields.",
        {"ArgumentName": name, "ArgumentValue": ""},
    )
