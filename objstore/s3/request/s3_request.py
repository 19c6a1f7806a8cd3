"""An S3 request as operations see it: addressed, authenticated, its body decoded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from objstore.access.identity import ANYONE, Credential
from objstore.core.names import Name
from objstore.s3.request.signature.signing import Signing
from objstore.web.context import RequestContext
from objstore.web.requests import Environ


class Body(Protocol):
    """A request's payload, without aws-chunked framing.

    Reading it verifies what was declared of it: the SHA-256, the chunk signatures, Content-MD5,
    the checksums (in headers or trailers). The last read raises S3Error where it is not so, and
    so does `read`: what was read may be used only once the end was reached. As the body of a put
    (`layers.bodies.ObjectBody`) it makes that fail whole.
    """

    length: int | None  # bytes of the payload, None where not announced
    algorithm: str  # of the checksum that comes with it or is asked for, in capitals; '' for none
    checksums: Mapping[str, str]  # algorithm in capitals (`CRC32C`) to base64; complete once the end was read

    def check(self) -> None:
        """Raise if the client is known to have gone; reads nothing."""
        ...

    def read_chunk(self, most: int = ..., /) -> bytes:
        """The next bytes, b'' at the end."""
        ...

    def read(self, size: int = -1) -> bytes: ...

    def whole(self, most: int) -> bytes:
        """All of it, again and again; S3Error MaxMessageLengthExceeded above `most` bytes."""
        ...

    def want(self, algorithm: str) -> None:
        """Compute one more of the checksums (`CRC32C`); to be said before anything is read."""
        ...

    def settle_empty(self) -> None:
        """Check a body of no bytes at once, since nobody will read it."""
        ...


class S3Request:
    """bucket and key are text, '' where the request names none. query: decoded, sub-resources as ''.

    headers: canonical name to text, `Content-Encoding` without aws-chunked. identity: who asks. account: the one that
    it works in, '' for anonymous requests. operation: its name, once routed. version_id: of the query, '' for none.
    signing: how it is signed, None if it is not. containers: of the buckets that were looked up for it.
    """

    __slots__ = (
        "account", "body", "bucket", "containers", "environ", "headers", "identity", "key", "method", "operation",
        "query", "region", "signing", "source_ip",
    )  # fmt: skip

    def __init__(
        self,
        environ: Environ,
        bucket: str,
        key: str,
        query: dict[str, str],
        headers: dict[str, str],
        body: Body,
        credential: Credential | None,
        region: str = "us-east-1",
        signing: Signing | None = None,
    ) -> None:
        self.environ = environ
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
        self.source_ip: str = environ.get("REMOTE_ADDR", "")

    @property
    def context(self) -> RequestContext:
        """What the object layer is given with each call."""
        return RequestContext.of(self.environ)

    @property
    def version_id(self) -> str:
        return self.query.get("versionId", "")

    @property
    def trans_id(self) -> str:
        trans_id: str = self.environ.get("objstore.trans_id", "")
        return trans_id

    def header(self, name: str, default: object = "") -> Any:
        return self.headers.get(name, default)
