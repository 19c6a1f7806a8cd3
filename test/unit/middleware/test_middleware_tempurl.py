"""The filter of temporary URLs over a layer in memory: what passes to the app below, and what of it comes back."""

from __future__ import annotations

import hmac
import io
from typing import Any
from urllib.parse import quote

import pytest

from objstore.core.errors import ConfigError
from objstore.core.names import Name
from objstore.layers.interface import AccountOptions, ContainerOptions
from objstore.layers.memory import MemoryLayer
from objstore.middleware.tempurl import TempUrls, TempUrlSettings, filter_factory
from objstore.runtime import settings
from objstore.web.context import RequestContext
from objstore.web.requests import ENVIRON_KEY
from objstore.web.responses import Answer, Response, call

NOW = 1_000_000
PATH = "/v1/AUTH_a/c/o"
STORED = {
    "Content-Length": "1", "X-Object-Meta-Secret": "1", "X-Object-Meta-Public-A": "2", "X-Own-A": "3", "X-Own-B": "4",
    "Access-Control-Expose-Headers": "etag, x-object-meta-secret, x-object-meta-public-a",
}  # fmt: skip


class Below:
    """The pipeline below. environ: of the last request that came through."""

    def __init__(self, status: int = 200) -> None:
        self.layer = MemoryLayer()
        self.features: list[str] = []
        self.support = self.features.append
        self.environ: dict[str, Any] | None = None
        self._status = status
        context = RequestContext()
        self.layer.create_account(context, Name("AUTH_a"), AccountOptions({"X-Account-Meta-Temp-Url-Key": "ak"}))
        headers = {"X-Container-Meta-Temp-Url-Key": "ck"}
        self.layer.create_container(context, Name("AUTH_a", "c"), ContainerOptions(headers))

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        self.environ = dict(environ)
        return Response(self._status, STORED, b"x")(environ, start_response)


def ask(below: Below, query: str, method: str = "GET", headers: dict[str, str] | None = None, **conf: str) -> Answer:
    values = settings.read(TempUrlSettings, conf)
    environ = {
        "REQUEST_METHOD": method, "PATH_INFO": PATH, "QUERY_STRING": query, "REMOTE_ADDR": "192.0.2.1",
        "wsgi.input": io.BytesIO(), **{ENVIRON_KEY[name]: value for name, value in (headers or {}).items()},
    }  # fmt: skip
    return call(TempUrls(below, values, lambda: NOW), environ)


def signed(method: str = "GET", key: str = "ck", expires: int = NOW + 10, digest: str = "sha256") -> str:
    mac = hmac.new(key.encode(), f"{method}\n{expires}\n{PATH}".encode(), digest).hexdigest()
    return f"temp_url_sig={mac}&temp_url_expires={expires}"


@pytest.mark.parametrize(("key", "scope"), [("ck", Name("AUTH_a", "c")), ("ak", Name("AUTH_a"))])
def test_a_valid_url_is_a_bearer_within_the_scope_of_its_key(key: str, scope: Name) -> None:
    below = Below()
    assert ask(below, signed(key=key) + "&multipart-manifest=get").status == 200
    assert below.environ is not None
    identity = below.environ["objstore.identity"]
    assert (identity.scope, identity.known, identity.accounts) == (scope, False, ("AUTH_a",))
    assert below.environ["QUERY_STRING"] == ""


def test_tokens_and_dropped_headers_stay_outside() -> None:
    below = Below()
    sent = dict.fromkeys(
        ("X-Auth-Token", "X-Storage-Token", "X-Service-Token", "X-Timestamp", "X-Own-1", "X-Own-2"), "x"
    )
    conf = {"incoming_remove_headers": "X-Timestamp x-own-*", "incoming_allow_headers": "X-Own-2"}
    assert ask(below, signed(), headers=sent, **conf).status == 200
    assert below.environ is not None
    assert [key for key in below.environ if key.startswith("HTTP_")] == ["HTTP_X_OWN_2"]


def test_hidden_headers_do_not_come_out_and_are_not_named() -> None:
    answer = ask(Below(), signed())
    assert "X-Object-Meta-Secret" not in answer.headers
    assert answer.headers["X-Object-Meta-Public-A"] == "2"
    assert answer.headers["Access-Control-Expose-Headers"] == "etag, x-object-meta-public-a"
    answer = ask(Below(), signed(), outgoing_remove_headers="X-Own-*", outgoing_allow_headers="x-own-b")
    assert [name for name in STORED if name not in answer.headers] == ["X-Own-A"]


@pytest.mark.parametrize(("status", "method", "is_download"), [
    (200, "GET", True), (206, "HEAD", True), (304, "GET", False), (404, "GET", False), (200, "PUT", False)
])  # fmt: skip
def test_only_what_is_read_gets_a_file_name(status: int, method: str, is_download: bool) -> None:
    answer = ask(Below(status), signed(method), method)
    assert answer.status == status
    assert ("Content-Disposition" in answer.headers) is is_download
    assert ("Expires" in answer.headers) is is_download
    assert "X-Object-Meta-Secret" not in answer.headers


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        (signed(expires=NOW - 1), "expired"), (signed(key="x"), "signature"), (signed("PUT"), "signature"),
        (signed(digest="md5"), "digest"), ("temp_url_sig", "malformed"), (signed() + "&temp_url_prefix=x", "prefix"),
        (signed() + "&temp_url_ip_range=10.0.0.1", "address"),
    ],
)  # fmt: skip
def test_a_refusal_has_its_reason_in_the_log(query: str, reason: str) -> None:
    below = Below()
    log: list[str] = []
    app = TempUrls(below, TempUrlSettings(), lambda: NOW)
    environ = {
        "REQUEST_METHOD": "GET", "PATH_INFO": PATH, "QUERY_STRING": query, "REMOTE_ADDR": "192.0.2.1",
        "objstore.log_info": log,
    }  # fmt: skip
    answer = call(app, environ)
    assert (answer.status, below.environ) == (401, None)
    assert answer.read() == b"401 Unauthorized: Temp URL invalid\n"
    assert log == [f"denied:tempurl-{reason}"]


def test_a_url_is_valid_until_its_second() -> None:
    assert ask(Below(), signed(expires=NOW)).status == 200


def test_requests_without_a_mark_pass() -> None:
    below = Below()
    headers = {"X-Auth-Token": "t"}
    assert (
        ask(below, "format=json&filename=" + quote("temp&url"), headers=headers).headers["X-Object-Meta-Secret"] == "1"
    )
    assert below.environ is not None
    assert "objstore.identity" not in below.environ
    assert below.environ["HTTP_X_AUTH_TOKEN"] == "t"


def test_a_method_or_digest_that_is_switched_off() -> None:
    assert ask(Below(), signed("PUT"), "PUT", methods="GET HEAD").status == 401
    assert ask(Below(), signed("PUT"), "HEAD", methods="GET HEAD").status == 200
    assert ask(Below(), signed(digest="sha1"), allowed_digests="sha256 sha512").status == 401


@pytest.mark.parametrize("conf", [
    {"methods": "GET COPY"}, {"allowed_digests": "md5"}, {"outgoing_remove_headers": "x-*-y"}
])  # fmt: skip
def test_settings_that_cannot_be(conf: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        filter_factory({}, **conf)


def test_the_filter_reports_to_the_proxy_and_to_info() -> None:
    below = Below()
    made = filter_factory({}, allowed_digests="sha256", methods="get head")(below)
    assert below.features == ["tempurl"]
    section = made.info()["tempurl"]
    assert section["methods"] == ["GET", "HEAD"]
    assert (section["allowed_digests"], section["deprecated_digests"]) == (["sha256"], [])
