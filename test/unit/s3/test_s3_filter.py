"""What is S3's and what passes; how answers and errors leave."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from harness.layer_over_app import LayerOverApp

from objstore.access.identity import Credential
from objstore.core import errors
from objstore.core.errors import ConfigError
from objstore.runtime import settings
from objstore.s3.filter import S3Filter, filter_factory
from objstore.s3.language import failures
from objstore.s3.language.errors import ERRORS, S3Error
from objstore.s3.settings import S3Settings

V4 = "AWS4-HMAC-SHA256 Credential=a/20240506/us-east-1/s3/aws4_request,SignedHeaders=host,Signature=x"


class Keys:
    def find(self, access_key: str) -> Credential | None:
        return None

    def has_account(self, account: str) -> bool:
        return False


class Below:
    """The pipeline below: it tells whether it was asked."""

    def __init__(self) -> None:
        self.layer = LayerOverApp(self)
        self.asked: list[str] = []
        self.access_keys = Keys()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        self.asked.append(environ["PATH_INFO"])
        start_response("200 OK", [])
        return (b"native",)


def ask(target: str, host: str = "127.0.0.1", method: str = "GET", domains: str = "", **headers: str) -> Any:
    below = Below()
    values = settings.read(S3Settings, {"domains": domains})
    app = S3Filter(below, values, keys=below.access_keys, logger=logging.getLogger("test"))
    path, _, query = target.partition("?")
    environ = {
        "REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query, "objstore.raw_target": target,
        "HTTP_HOST": host, "wsgi.input": io.BytesIO(), "wsgi.url_scheme": "http", "objstore.trans_id": "tx1",
        **{f"HTTP_{name.upper()}": value for name, value in headers.items()},
    }  # fmt: skip
    report: list[Any] = []
    body = b"".join(app(environ, lambda status, pairs, exc_info=None: report.extend([status, dict(pairs)])))
    return below.asked and body == b"native", report, body


@pytest.mark.parametrize(
    ("target", "options"),
    [
        ("/v1/AUTH_a/c/o", {}),
        ("/v1/AUTH_a?format=json&prefix=X-Amz-", {}),
        ("/auth/v1.0", {}),
        ("/info", {}),
        ("/healthcheck", {}),
        ("/v2/AUTH_a", {"x_auth_token": "tk"}),
        ("/bucket/key", {"x_storage_token": "tk"}),
        ("/v1/AUTH_a", {"host": "s3.test:8080", "domains": "s3.test"}),
        ("/v1/AUTH_a", {"authorization": "Bearer AWS"}),
        ("*", {"method": "OPTIONS"}),
    ],
)
def test_what_passes(target: str, options: dict[str, str]) -> None:
    native, _, _ = ask(target, **options)  # type: ignore[arg-type]
    assert native


@pytest.mark.parametrize(
    ("target", "options"),
    [
        ("/", {}),
        ("/bucket/key", {}),
        ("/v1/AUTH_a/c/o", {"authorization": V4}),
        ("/v1/AUTH_a/c/o", {"authorization": "AWS a:b"}),
        ("/v1/key?X-Amz-Algorithm=AWS4-HMAC-SHA256", {}),
        ("/v1/key?AWSAccessKeyId=a&Signature=b&Expires=1", {}),
        ("/v1/key", {"host": "bucket.s3.test", "domains": "s3.test"}),
        ("/bucket", {"authorization": V4, "x_auth_token": "tk"}),
    ],
)
def test_what_is_answered(target: str, options: dict[str, str]) -> None:
    native, report, body = ask(target, **options)  # type: ignore[arg-type]
    assert not native
    assert report[0][:3] in ("400", "403", "404")
    assert body.startswith(b"<?xml")
    assert report[1]["X-Amz-Request-Id"] == report[1]["X-Amz-Id-2"] == "tx1"
    assert b"<RequestId>tx1</RequestId><HostId>tx1</HostId>" in body


def test_the_answer_to_head_has_no_body() -> None:
    _, report, body = ask("/bucket", method="HEAD", authorization="AWS a:b")
    assert (report[0][:3], body) == ("403", b"")


def test_something_below_must_know_access_keys() -> None:
    below = Below()

    class Between:
        app = below

    assert filter_factory({"log_to": "none"})(Between()).info()["s3api"]["max_upload_part_num"] == 10_000  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="access keys"):
        filter_factory({"log_to": "none"})(lambda environ, start: ())


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (errors.LimitExceeded("too large"), "EntityTooLarge"),
        (errors.InvalidInput("bad"), "InvalidRequest"),
        (errors.ChecksumMismatch("other"), "BadDigest"),
        (errors.BodyTruncated("short"), "IncompleteBody"),
        (errors.NodeTimeout("late"), "ServiceUnavailable"),
        (errors.NoSpace("full"), "ServiceUnavailable"),
        (errors.Corrupt("rotten"), "InternalError"),
        (ValueError("a mistake"), "InternalError"),
    ],
)
def test_our_own_errors_have_a_meaning_in_s3(failure: Exception, code: str) -> None:
    found = failures.from_core(failure)
    assert found.code == code
    assert ("a mistake" in found.message) is False


def test_an_error_tells_what_it_is_about() -> None:
    answer = failures.respond(S3Error("NoSuchKey"), "b", "a b", "tx1")
    assert answer.status == 404
    assert isinstance(answer.body, bytes)
    assert b"<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message><Key>a b</Key>" in (
        answer.body
    )
    answer = failures.respond(S3Error("NoSuchBucket"), "b", "", "tx1")
    assert b"<BucketName>b</BucketName>" in answer.body  # type: ignore[operator]


def test_an_error_without_elements_of_its_own_has_code_message_and_ids_alone() -> None:
    answer = failures.respond(S3Error("InvalidRequest", "Why"), "b", "k", "tx1")
    assert answer.body == (
        b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>InvalidRequest</Code><Message>Why</Message>'
        b"<RequestId>tx1</RequestId><HostId>tx1</HostId></Error>"
    )


@pytest.mark.parametrize(
    ("error", "seconds", "milliseconds"),
    [
        (S3Error("SlowDown"), "1", "1000"),
        (S3Error("ServiceUnavailable", headers={"Retry-After": "30"}), "30", "30000"),
        (S3Error("InternalError"), None, None),
    ],
)
def test_an_answer_503_says_when_to_try_again(error: S3Error, seconds: str | None, milliseconds: str | None) -> None:
    headers = failures.respond(error, "b", "k", "tx1").headers
    assert (headers.get("Retry-After"), headers.get("x-amz-retry-after")) == (seconds, milliseconds)


def test_the_table_of_errors_is_sorted_and_sound() -> None:
    assert list(ERRORS) == sorted(ERRORS)
    assert all(300 <= meaning.status < 600 and meaning.message for meaning in ERRORS.values())


HTML = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize(
    ("target", "options", "shown"),
    [
        ("/", {"accept": HTML}, True),
        ("/", {"accept": HTML, "method": "HEAD"}, True),
        ("/", {}, False),
        ("/", {"accept": "*/*"}, False),
        ("/", {"accept": HTML, "authorization": V4}, False),
        ("/?X-Amz-Algorithm=AWS4-HMAC-SHA256", {"accept": HTML}, False),
        ("/", {"accept": HTML, "method": "POST"}, False),
        ("/bucket", {"accept": HTML}, False),
        ("/", {"accept": HTML, "host": "bucket.s3.test", "domains": "s3.test"}, False),
    ],
)
def test_only_a_browser_without_keys_is_shown_a_page(target: str, options: dict[str, str], shown: bool) -> None:
    native, report, body = ask(target, **options)  # type: ignore[arg-type]
    assert not native
    assert (report[0] == "200 OK") is shown
    assert report[1].get("Content-Type", "").startswith("text/html") is shown
    assert (b"<!DOCTYPE html>" in body) is (shown and options.get("method") != "HEAD")
