"""An S3 request for operations: addressed, authenticated, its body decoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from objstore.access.identity import ANYONE, Credential
from objstore.core.names import Name
from objstore.s3.request.signature.signing import Signing
from objstore.web.context import RequestContext
from objstore.web.requests import Environ


class S3Body(Protocol):
    """A request's payload, without aws-chunked framing.

    Reading it verifies the declarations of the request about it: the SHA-256, the chunk signatures, Content-MD5, the
    checksums (in headers or trailers). The last read raises S3Error if one does not match, and so does `read`: the
    bytes may be used only after the end. As the body of a put (`layers.bodies.ObjectBody`) it makes the whole put
    fail.
    """

    length: int | None  # bytes of the payload, None if not announced
    md5: str  # of the payload, in hexadecimal, if the request has a Content-MD5; else ''
    algorithm: str  # of the sent or requested checksum, in capitals; '' for none
    checksums: Mapping[str, str]  # algorithm in capitals (`CRC32C`) to base64; complete after the end

    def check(self) -> None:
        """Raise if the client is known to have gone; read nothing."""
        ...

    def read_chunk(self, limit: int = ..., /) -> bytes:
        """Return the next bytes, b'' at the end."""
        ...

    def read(self, size: int = -1) -> bytes: ...

    def whole(self, limit: int) -> bytes:
        """Return the whole payload, also repeatedly; raises S3Error MaxMessageLengthExceeded above `limit` bytes."""
        ...

    def add_checksum(self, algorithm: str) -> None:
        """Compute one more of the checksums (`CRC32C`). Must precede any read."""
        ...

    def settle_empty(self) -> None:
        """Check an empty body at once, since no operation will read it."""
        ...


class LoggedAccess(NamedTuple):
    """An access of a request to a bucket with server access logging. name: of the container. configuration: as stored.

    action: that was checked, '' if the request was refused before that. version: of the key, '' for the current one.
    """

    name: Name
    configuration: str
    action: str = ""
    key: str = ""
    version: str = ""


class DeletedKey(NamedTuple):
    """The outcome for one key of a DeleteObjects. error: code of S3, '' for none."""

    key: str
    version: str
    status: int
    error: str


class S3Request:
    """An S3 request.

    bucket, key: text, '' if the request names none. query: decoded, sub-resources as ''. headers: canonical name to
    text, `Content-Encoding` without aws-chunked. context: for calls of the object layer. identity: the client's.
    account: the one that it works in, '' for anonymous requests. operation: its name, after routing. version_id: of the
    query, '' for none. signing: the kind of its signature, None for none. containers: of the buckets that were resolved
    for it, by name. charged: the bucket's owner does not pay for requests, and the client agreed to pay for this one.
    logged: its accesses to buckets with logging, None for none; deleted: the keys of a DeleteObjects that is logged.
    by_acl: an ACL gave the right.
    """

    __slots__ = (
        "account", "body", "bucket", "by_acl", "charged", "containers", "context", "deleted", "environ", "headers",
        "identity", "key", "logged", "method", "operation", "query", "region", "signing", "source_ip",
    )  # fmt: skip

    def __init__(
        self,
        environ: Environ,
        bucket: str,
        key: str,
        query: dict[str, str],
        headers: dict[str, str],
        body: S3Body,
        credential: Credential | None,
        region: str = "us-east-1",
        signing: Signing | None = None,
    ) -> None:
        self.environ = environ
        self.context = RequestContext.of(environ)
        self.method: str = environ["REQUEST_METHOD"]
        self.bucket = bucket
        self.containers: dict[str, Name] = {}
        self.key = key
        self.query = query
        self.headers = headers
        self.body = body
        self.identity = ANYONE if credential is None else credential.identity
        self.account = self.identity.account
        self.region = region
        self.signing = signing
        self.operation = ""
        self.charged = self.by_acl = False
        self.logged: list[LoggedAccess] | None = None
        self.deleted: Sequence[DeletedKey] = ()
        self.source_ip: str = environ.get("REMOTE_ADDR", "")

    @property
    def version_id(self) -> str:
        return self.query.get("versionId", "")

    @property
    def trans_id(self) -> str:
        trans_id: str = self.environ.get("objstore.trans_id", "")
        return trans_id

    def header(self, name: str, default: object = "") -> Any:
        return self.headers.get(name, default)
