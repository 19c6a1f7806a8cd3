"""Websites of buckets, on a server that has a domain for them: set by boto3, visited as browsers do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from harness.client import Answer, log_in
from harness.processes import S3_FILTER, Serve
from harness.s3 import S3, boto_client, code_of

DOMAIN = "web.test"
SITE = {"IndexDocument": {"Suffix": "index.html"}, "ErrorDocument": {"Key": "errors/page.html"}}
Visit = Callable[..., Answer]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    place: Path = tmp_path_factory.mktemp("websites")
    made = Serve(place / "data", place / "log", workers=1)
    settings = f"{S3_FILTER}domains = s3.test\nwebsite_domains = {DOMAIN}\n"
    made.start_with(S3_FILTER, settings)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def s3(server: Serve) -> Any:
    known = server.credentials
    return boto_client(known["endpoint"], known["access_key"], known["secret_key"])


@pytest.fixture(scope="module")
def raw(server: Serve) -> Iterator[S3]:
    known = server.credentials
    client = S3(known["endpoint"], known["access_key"], known["secret_key"])
    yield client
    client.close()


def public(bucket: str) -> str:
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.fixture(scope="module")
def site(s3: Any) -> str:
    """A public bucket with a website."""
    s3.create_bucket(Bucket="site")
    s3.put_bucket_policy(Bucket="site", Policy=public("site"))
    s3.put_bucket_website(Bucket="site", WebsiteConfiguration=SITE)
    for key in ("index.html", "docs/index.html", "errors/page.html", "a b.html"):
        s3.put_object(Bucket="site", Key=key, Body=f"page {key}".encode(), ContentType="text/html")
    s3.put_object(Bucket="site", Key="moved", WebsiteRedirectLocation="/docs/")
    s3.put_object(Bucket="site", Key="away/index.html", WebsiteRedirectLocation="https://example.com/?a#b")
    return "site"


@pytest.fixture(scope="module")
def visit(raw: S3) -> Visit:
    """Requests a path of the website of a bucket, as a browser does."""

    def ask(path: str, bucket: str = "site", method: str = "GET", headers: Mapping[str, str] = {}) -> Answer:
        return raw.send(method, path, {"Host": f"{bucket}.{DOMAIN}:81", **headers})

    return ask


def led_to(answer: Answer) -> tuple[int, str]:
    return answer.status, answer["Location"]


RULES = [
    {"Condition": {"KeyPrefixEquals": "old/"}, "Redirect": {"ReplaceKeyPrefixWith": "docs/"}},
    {"Condition": {"KeyPrefixEquals": "api", "HttpErrorCodeReturnedEquals": "404"},
     "Redirect": {"HostName": "api.example.com", "Protocol": "https", "HttpRedirectCode": "307"}},
]  # fmt: skip


def test_a_configuration_is_set_shown_and_removed(s3: Any) -> None:
    s3.create_bucket(Bucket="conf")
    for website in (SITE | {"RoutingRules": RULES}, {"RedirectAllRequestsTo": {"HostName": "a", "Protocol": "https"}}):
        s3.put_bucket_website(Bucket="conf", WebsiteConfiguration=website)
        shown = s3.get_bucket_website(Bucket="conf")
        del shown["ResponseMetadata"]
        assert shown == website
    for _ in range(2):
        assert s3.delete_bucket_website(Bucket="conf")["ResponseMetadata"]["HTTPStatusCode"] == 204
    with pytest.raises(ClientError, match="NoSuchWebsiteConfiguration"):
        s3.get_bucket_website(Bucket="conf")
    with pytest.raises(ClientError, match="limited to 50"):
        s3.put_bucket_website(Bucket="conf", WebsiteConfiguration=SITE | {"RoutingRules": RULES[:1] * 51})


def test_a_document_that_is_too_long_or_not_one_is_refused(s3: Any, raw: S3, site: str) -> None:
    for body, expected in (
        (b" " * (128 * 1024 + 1), (400, "MaxMessageLengthExceeded")),
        (b"<x/>", (400, "MalformedXML")),
        (b"", (400, "MissingRequestBodyError")),
    ):
        assert code_of(raw.put(f"/{site}?website", body)) == expected
    assert s3.get_bucket_website(Bucket=site)["IndexDocument"] == SITE["IndexDocument"]


def test_only_who_may_configure_the_bucket_does(raw: S3, site: str) -> None:
    for method in ("GET", "PUT", "DELETE"):
        assert raw.send(method, f"/{site}?website", body=b"<x/>" if method == "PUT" else None).status == 403


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("/", "index.html"),
        ("/?a=b&versionId=c&acl", "index.html"),
        ("/docs/", "docs/index.html"),
        ("/docs/index.html", "docs/index.html"),
        ("/a%20b.html", "a b.html"),
    ],
)
def test_pages_and_index_documents(visit: Visit, site: str, path: str, key: str) -> None:
    page = visit(path)
    assert (page.status, page.body) == (200, f"page {key}".encode())
    assert page["Content-Type"] == "text/html"
    head = visit(path, method="HEAD")
    assert (head.status, head.body, head["Content-Length"]) == (200, b"", str(len(page.body)))
    by_path = visit(f"/{site}{path}", headers={"Host": DOMAIN})
    assert (by_path.status, by_path.body) == (200, page.body)


def test_a_directory_without_its_slash_redirects(visit: Visit, site: str) -> None:
    assert led_to(visit("/docs?a=b")) == (302, f"http://site.{DOMAIN}:81/docs/?a=b")
    assert led_to(visit(f"/{site}/docs", headers={"Host": DOMAIN})) == (302, f"http://{DOMAIN}/site/docs/")
    assert led_to(visit(f"/{site}", headers={"Host": DOMAIN})) == (302, f"http://{DOMAIN}/site/")
    assert visit("/doc").status == 404
    assert visit("/nothing/").status == 404


def test_objects_that_redirect(visit: Visit, site: str, raw: S3) -> None:
    assert led_to(visit("/moved?a=b")) == (301, f"http://site.{DOMAIN}:81/docs/")
    assert led_to(visit("/moved", headers={"Range": "bytes=0-"})) == (301, f"http://site.{DOMAIN}:81/docs/")
    assert led_to(visit(f"/{site}/moved", headers={"Host": DOMAIN})) == (301, f"http://{DOMAIN}/site/docs/")
    assert led_to(visit("/away/", method="HEAD")) == (301, "https://example.com/?a#b")
    assert raw.send("GET", f"/{site}/moved").status == 200  # through the API


def test_conditions_and_ranges(visit: Visit, site: str) -> None:
    page = visit("/")
    assert visit("/", headers={"If-None-Match": page["ETag"]}).status == 304
    assert visit("/", headers={"If-Modified-Since": page["Last-Modified"]}).status == 304
    refused = visit("/", headers={"If-Match": '"other"'})
    assert (refused.status, refused["x-amz-error-code"]) == (412, "PreconditionFailed")
    part = visit("/", headers={"Range": "bytes=5-9"})
    assert (part.status, part.body, part["Content-Range"]) == (206, b"index", "bytes 5-9/15")
    beyond = visit("/", headers={"Range": "bytes=99-"})
    assert (beyond.status, beyond["Content-Range"]) == (416, "bytes */15")
    missing = visit("/none", headers={"Range": "bytes=0-1", "If-None-Match": "*"})
    assert (missing.status, missing.body) == (404, b"page errors/page.html")


def test_an_error_has_the_error_document(visit: Visit, s3: Any, site: str) -> None:
    page = visit("/none")
    assert (page.status, page.body, page["Content-Type"]) == (404, b"page errors/page.html", "text/html")
    assert page["x-amz-error-code"] == "NoSuchKey"
    head = visit("/none", method="HEAD")
    assert (head.status, head["Content-Length"]) == (404, str(len(page.body)))
    s3.put_bucket_website(Bucket=site, WebsiteConfiguration=SITE | {"ErrorDocument": {"Key": "gone"}})
    page = visit("/%3Cb%3E")
    s3.put_bucket_website(Bucket=site, WebsiteConfiguration=SITE)
    assert (page.status, page["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert "<li>Key: &lt;b&gt;</li>" in page.text
    assert "error document of this website could not be read" in page.text
    assert "<li>Key: gone</li>" in page.text


def test_rules_redirect_before_the_look_up_and_for_errors(visit: Visit, s3: Any, site: str) -> None:
    s3.put_bucket_website(Bucket=site, WebsiteConfiguration=SITE | {"RoutingRules": RULES})
    s3.put_object(Bucket=site, Key="api/there", Body=b"there")
    try:
        assert led_to(visit("/old/a?b=c")) == (301, f"http://site.{DOMAIN}:81/docs/a?b=c")
        assert led_to(visit("/site/old/a", headers={"Host": DOMAIN})) == (301, f"http://{DOMAIN}/site/docs/a")
        assert led_to(visit("/api/none")) == (307, "https://api.example.com/api/none")
        assert visit("/api/there").body == b"there"
        assert visit("/none").body == b"page errors/page.html"
    finally:
        s3.put_bucket_website(Bucket=site, WebsiteConfiguration=SITE)


def test_all_requests_redirect(visit: Visit, s3: Any) -> None:
    s3.create_bucket(Bucket="all")
    everything = {"RedirectAllRequestsTo": {"HostName": "example.com", "Protocol": "https"}}
    s3.put_bucket_website(Bucket="all", WebsiteConfiguration=everything)
    assert led_to(visit("/a/b?c", "all")) == (301, "https://example.com/a/b?c")
    assert led_to(visit("/all", headers={"Host": DOMAIN})) == (301, "https://example.com/")
    s3.delete_bucket_website(Bucket="all")
    page = visit("/", "all")
    assert (page.status, page["x-amz-error-code"]) == (404, "NoSuchWebsiteConfiguration")


def test_only_what_everyone_may_read_is_served(visit: Visit, s3: Any, raw: S3, site: str) -> None:
    s3.create_bucket(Bucket="part")
    s3.put_bucket_website(Bucket="part", WebsiteConfiguration=SITE)
    s3.put_object(Bucket="part", Key="index.html", Body=b"private")
    s3.put_object(Bucket="part", Key="docs/index.html", Body=b"public", ACL="public-read")
    signed = raw.signer.headers("GET", "/", {"Host": f"part.{DOMAIN}:81"}, "UNSIGNED-PAYLOAD")
    for headers in ({}, signed):  # nobody is logged in
        page = visit("/", "part", headers=headers)
        assert (page.status, page["x-amz-error-code"]) == (403, "AccessDenied")
        assert "<li>Code: AccessDenied</li>" in page.text
    assert visit("/docs/", "part").body == b"public"
    assert visit("/docs", "part").status == 302
    s3.put_object(Bucket="part", Key="errors/page.html", Body=b"sorry", ACL="public-read")
    page = visit("/", "part")
    assert (page.status, page.body) == (403, b"sorry")
    s3.put_public_access_block(Bucket="part", PublicAccessBlockConfiguration={"IgnorePublicAcls": True})
    assert visit("/docs/", "part").status == 403


def test_only_get_and_head(visit: Visit, s3: Any, site: str) -> None:
    for method in ("PUT", "POST", "DELETE"):
        page = visit("/new", method=method)
        assert (page.status, page["Allow"], page["x-amz-error-code"]) == (405, "GET, HEAD", "MethodNotAllowed")
    with pytest.raises(ClientError, match="404"):
        s3.head_object(Bucket=site, Key="new")


def test_scripts_of_other_origins_by_the_rules_of_the_bucket(visit: Visit, s3: Any, site: str) -> None:
    rule = {"AllowedOrigins": ["https://a.test"], "AllowedMethods": ["GET"]}
    s3.put_bucket_cors(Bucket=site, CORSConfiguration={"CORSRules": [rule]})
    asked = {"Origin": "https://a.test", "Access-Control-Request-Method": "GET"}
    for path in ("/", "/none"):
        assert visit(path, headers=asked)["Access-Control-Allow-Origin"] == "https://a.test"
    assert visit("/", method="OPTIONS", headers=asked).status == 200
    assert visit("/", method="OPTIONS", headers=asked | {"Origin": "https://b.test"}).status == 403


@pytest.mark.parametrize(
    ("path", "bucket", "status", "code"),
    [
        ("/", "no-such-bucket", 404, "NoSuchBucket"),
        ("/%FF", "site", 400, "InvalidURI"),
        ("/" + "a" * 1025, "site", 400, "KeyTooLongError"),
        ("/healthcheck", "site", 404, "NoSuchKey"),
        ("/info", "site", 404, "NoSuchKey"),
        ("/metrics", "site", 404, "NoSuchKey"),
        ("/v1/AUTH_a/c/o", "site", 404, "NoSuchKey"),
    ],
)
def test_every_path_is_one_of_the_website(
    visit: Visit, site: str, path: str, bucket: str, status: int, code: str
) -> None:
    page = visit(path, bucket)
    assert (page.status, page["x-amz-error-code"]) == (status, code)


def test_other_hosts_are_those_of_the_api(raw: S3, site: str) -> None:
    for host in (raw.host, "s3.test", "web.test.example.com", f"x{DOMAIN}"):
        answer = raw.send("GET", "/site/none", {"Host": host})
        assert code_of(answer) == (404, "NoSuchKey")


def test_the_domain_itself_is_no_website(visit: Visit) -> None:
    for path in ("/", "//", "/healthcheck"):
        page = visit(path, headers={"Host": DOMAIN})
        assert page.status in (400, 404)
        assert page["Content-Type"].startswith("text/html")


def test_a_container_of_swift_is_a_website_once_it_is_configured(server: Serve, s3: Any, visit: Visit) -> None:
    known = server.credentials
    client = log_in(known["endpoint"], known["user"], known["key"])
    assert client.request("PUT", "swift-site", {"X-Container-Read": ".r:*"}).status == 201
    assert client.request("PUT", "swift-site/index.html", body=b"hello").status == 201
    client.close()
    assert visit("/", "swift-site").status == 404
    s3.put_bucket_website(Bucket="swift-site", WebsiteConfiguration=SITE)
    assert visit("/", "swift-site").body == b"hello"
