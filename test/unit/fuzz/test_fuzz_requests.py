"""Whole requests, damaged at random, to a proxy with the S3 filter over real storage: never an answer of 500."""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest
from harness.fuzz import SECONDS, Damage, tries
from harness.in_process import InProcess
from harness.s3 import Signer

from objstore.access.identity import Credential, Identity
from objstore.assembly.apps import proxy_app
from objstore.http.request_head import HeadLimits, RequestRefused, parse_head
from objstore.runtime import settings
from objstore.s3.filter import S3Filter
from objstore.s3.settings import S3Settings
from objstore.web.responses import call

OWNER = Credential(Identity("a:b", ("a:b", "a"), ("AUTH_a",), account="AUTH_a"), "secret")
LOGGER = logging.getLogger("test.fuzz")
SIGNER = Signer("KEY", "secret")


class Keys:
    def find(self, access_key: str) -> Credential | None:
        return OWNER if access_key == "KEY" else None

    def has_account(self, account: str) -> bool:
        return account == OWNER.identity.account


class Stack:
    """The pipeline, for one owner of everything."""

    def __init__(self, root: Path) -> None:
        store = InProcess(root, devices=1, replicas=1)
        below = proxy_app(store.conf, store.transports)
        self.app = S3Filter(below, settings.read(S3Settings, {}), keys=Keys(), logger=LOGGER)

    def send(self, method: str, target: str, headers: dict[str, str], body: bytes) -> int:
        """The status; of what our server would not take as a request, 400. Values are native."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"{method} {target} HTTP/1.1\r\nHost: store\r\nContent-Length: {len(body)}\r\n{lines}\r\n"
        environ: dict[str, Any] = {
            "wsgi.input": io.BytesIO(body),
            "wsgi.url_scheme": "http",
            "wsgi.errors": io.StringIO(),
            "REMOTE_ADDR": "127.0.0.1",
            "objstore.trans_id": "tx1",
            "SCRIPT_NAME": "",
        }
        try:
            parse_head(head.encode("latin-1"), HeadLimits(), environ)
        except (RequestRefused, UnicodeEncodeError):
            return 400
        answer = call(self.app, environ)
        answer.read()
        return answer.status


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """A store for each test: damaged requests may delete what others use."""
    made = Stack(tmp_path)
    assert made.send("PUT", "/v1/AUTH_a/c", {}, b"") == 201
    assert signed(made, "PUT", "/bucket", {}, b"") == 200
    assert signed(made, "PUT", "/bucket?versioning", {}, VERSIONING) == 200
    assert signed(made, "PUT", "/bucket/k", {}, b"content") == 200
    yield made


VERSIONING = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"


def signed(stack: Stack, method: str, target: str, headers: dict[str, str], body: bytes) -> int:
    sent = SIGNER.headers(method, target, {"host": "store", **headers}, "UNSIGNED-PAYLOAD")
    del sent["host"]
    return stack.send(method, target, sent, body)


S3_TARGETS = (
    "/bucket/k?versionId=null", "/bucket/k?partNumber=1&uploadId=abc",
    "/bucket?versions&key-marker=k&version-id-marker=x",
    "/bucket?list-type=2&max-keys=2&prefix=a&delimiter=%2F&start-after=b&encoding-type=url", "/bucket/k?tagging",
    "/bucket?acl", "/bucket/k?acl", "/bucket?cors", "/bucket?policy", "/bucket?delete",
    "/bucket?uploads&max-uploads=1&upload-id-marker=a", "/bucket/k?attributes", "/bucket?tagging", "/bucket?location",
    "/bucket/k?response-content-type=a%2Fb", "/bucket/k?uploads", "/bucket/a/../b+c", "/bucket/k?retention",
    "/bucket?ownershipControls", "/bucket?publicAccessBlock", "/?max-buckets=3", "/bucket/k?renameObject",
)  # fmt: skip
S3_HEADERS = (
    ("x-amz-copy-source", "/bucket/k?versionId=null"), ("x-amz-copy-source-range", "bytes=0-3"),
    ("range", "bytes=0-3,5-"), ("if-match", '"abc", *'), ("if-none-match", "*"),
    ("if-modified-since", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-meta-a", "=?UTF-8?B?Z3LDvG4=?="),
    ("x-amz-tagging", "a=b&c=d"), ("x-amz-acl", "public-read"), ("x-amz-grant-read", 'id="AUTH_a"'),
    ("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg=="), ("x-amz-storage-class", "STANDARD"),
    ("x-amz-checksum-crc32", "AAAAAA=="), ("x-amz-object-attributes", "ETag,ObjectParts"), ("x-amz-max-parts", "3"),
    ("x-amz-website-redirect-location", "/a"), ("content-type", "a/b; c=d"), ("x-amz-metadata-directive", "REPLACE"),
    ("x-amz-if-match-size", "7"), ("x-amz-rename-source", "/bucket/k"), ("x-amz-mp-object-size", "9"),
    ("origin", "http://a"), ("x-amz-expected-bucket-owner", "AUTH_a"), ("expires", "0"),
    ("x-amz-part-number-marker", "1"),
)  # fmt: skip
S3_BODIES = (
    "", "content", "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>",
    "<Delete><Object><Key>z</Key><VersionId>null</VersionId></Object></Delete>", VERSIONING.decode(),
    "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>e</ETag></Part></CompleteMultipartUpload>",
    '{"Version": "2012-10-17", "Statement": []}', "<PublicAccessBlockConfiguration/>",
    "<OwnershipControls><Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule></OwnershipControls>",
)  # fmt: skip
SWIFT_TARGETS = (
    "/v1/AUTH_a/c/o?multipart-manifest=get",
    "/v1/AUTH_a/c?limit=2&marker=a&prefix=b&delimiter=%2F&format=json&path=x", "/v1/AUTH_a?format=xml&reverse=yes",
    "/v1/AUTH_a/c/a%2Fb", "/v1/AUTH_a/d",
)  # fmt: skip
SWIFT_HEADERS = (
    ("X-Object-Meta-A", "b"), ("X-Delete-At", "1999999999"), ("X-Delete-After", "60"), ("X-Copy-From", "/c/o"),
    ("Destination", "c/p"), ("Range", "bytes=0-3"), ("If-Match", "*"), ("ETag", "d41d8cd98f00b204e9800998ecf8427e"),
    ("X-Container-Read", ".r:*,a:b"), ("X-Storage-Policy", "gold"), ("X-Container-Meta-Quota", "1"),
    ("Accept", "text/xml"), ("X-Remove-Container-Meta-A", "x"), ("X-Account-Access-Control", '{"read-only": ["a"]}'),
    ("Content-Type", "a/b"), ("X-Detect-Content-Type", "true"), ("X-Newest", "true"), ("X-If-Delete-At", "1"),
    ("Origin", "http://a"),
)  # fmt: skip


def headers_of(damage: Damage, choices: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """Some of the headers, most of them good."""
    found = {}
    for number in range(damage.number(4)):
        name, value = choices[damage.number(len(choices))]
        found[name] = damage.native([value]) if damage.number(2) or number == 0 else value
    return {name: value.replace("\r", "").replace("\n", "").strip() for name, value in found.items()}


def target_of(damage: Damage, choices: tuple[str, ...]) -> str:
    raw = damage.native(choices) if damage.number(2) else choices[damage.number(len(choices))]
    return "/" + "".join(letter for letter in raw.lstrip("/") if letter > " " and letter != "\x7f")


def test_damaged_s3_requests_are_never_a_fault_of_ours(stack: Stack, caplog: pytest.LogCaptureFixture) -> None:
    damage = Damage("s3 requests")
    for _ in tries(12 * SECONDS):
        method = damage.pick(("GET", "GET", "HEAD", "PUT", "PUT", "POST", "DELETE", "OPTIONS"))
        target, headers = target_of(damage, S3_TARGETS), headers_of(damage, S3_HEADERS)
        body = damage.bytes(S3_BODIES) if method in ("PUT", "POST") else b""
        texts = {name: value.encode("latin-1").decode("utf-8", "surrogateescape") for name, value in headers.items()}
        try:
            sent = SIGNER.headers(method, target, {"host": "store", **texts}, "UNSIGNED-PAYLOAD")
        except UnicodeEncodeError:  # our signer takes text only: sent without a signature
            sent = {"host": "store", **texts}
        native = {name: value.encode("utf-8", "surrogateescape").decode("latin-1") for name, value in sent.items()}
        del native["host"]
        status = stack.send(method, target, native, body)
        assert status != 500, (method, target, headers, body[:500], caplog.text[-3000:])


def test_damaged_swift_requests_are_never_a_fault_of_ours(stack: Stack, caplog: pytest.LogCaptureFixture) -> None:
    damage = Damage("swift requests")
    for _ in tries(6 * SECONDS):
        method = damage.pick(("GET", "HEAD", "PUT", "PUT", "POST", "DELETE", "COPY", "OPTIONS"))
        target, headers = target_of(damage, SWIFT_TARGETS), headers_of(damage, SWIFT_HEADERS)
        if unquote_to_bytes(target.encode("latin-1")).startswith(b"/v1/"):
            status = stack.send(method, target, headers, b"content" if method == "PUT" else b"")
            assert status != 500, (method, target, headers, caplog.text[-3000:])


def test_the_requests_that_are_damaged_are_good(stack: Stack) -> None:
    """Else the damage would be done to what is refused in any case."""
    assert signed(stack, "GET", S3_TARGETS[3], {}, b"") == 200
    assert signed(stack, "PUT", "/bucket/copy", {"x-amz-copy-source": "/bucket/k"}, b"") == 200
    assert stack.send("PUT", "/v1/AUTH_a/c/good", {"X-Delete-At": str(int(time.time()) + 1000)}, b"content") == 201
