"""Websites of buckets: configurations read, written and refused; the decision over redirects; error pages."""

from __future__ import annotations

import pytest

from objstore.core.errors import ConfigError
from objstore.s3.filter import website_domains
from objstore.s3.language import xml
from objstore.s3.language.errors import S3Error
from objstore.s3.request.addressing import Address
from objstore.s3.websites import configuration, pages, routing
from objstore.s3.websites.configuration import Redirect, RoutingRule, Website
from objstore.s3.websites.hosting import origin_of
from objstore.s3.websites.routing import Origin

RULES = (
    RoutingRule(Redirect(prefix="documents/"), "docs/"),
    RoutingRule(Redirect("example.com", "https", 307, key="error.html"), "images/", 404),
    RoutingRule(Redirect(prefix=""), status=403),
    RoutingRule(Redirect(host="www.example.com")),
)


@pytest.mark.parametrize(
    "website",
    [
        Website("index.html"),
        Website("index.html", "errors/ü <&>.html", RULES),
        Website(everything=Redirect("example.com")),
        Website(everything=Redirect("example.com", "https")),
    ],
)
def test_a_configuration_is_stored_and_shown_as_it_was_set(website: Website) -> None:
    assert configuration.load(configuration.dump(website)) == website
    assert configuration.from_xml(xml.parse(configuration.to_xml(website), "WebsiteConfiguration")) == website


INDEX = "<IndexDocument><Suffix>index.html</Suffix></IndexDocument>"
ALL = "<RedirectAllRequestsTo><HostName>a</HostName></RedirectAllRequestsTo>"


def rule(redirect: str, condition: str = "") -> str:
    return f"{INDEX}<RoutingRules><RoutingRule>{condition}<Redirect>{redirect}</Redirect></RoutingRule></RoutingRules>"


def of_error(code: str) -> str:
    return rule(
        "<HostName>a</HostName>",
        f"<Condition><HttpErrorCodeReturnedEquals>{code}</HttpErrorCodeReturnedEquals></Condition>",
    )


@pytest.mark.parametrize(
    ("inner", "code", "message"),
    [
        ("", "InvalidArgument", "IndexDocument Suffix must be provided"),
        ("<ErrorDocument><Key>e</Key></ErrorDocument>", "InvalidArgument", "IndexDocument Suffix must be provided"),
        ("<IndexDocument/>", "MalformedXML", ""),
        ("<IndexDocument><Suffix/></IndexDocument>", "InvalidArgument", "not well formed"),
        ("<IndexDocument><Suffix>a/b</Suffix></IndexDocument>", "InvalidArgument", "not well formed"),
        (f"<IndexDocument><Suffix>{'a' * 1025}</Suffix></IndexDocument>", "KeyTooLongError", ""),
        (f"{INDEX}<ErrorDocument/>", "MalformedXML", ""),
        (f"{INDEX}<ErrorDocument><Key/></ErrorDocument>", "InvalidArgument", "not well formed"),
        (f"{INDEX}<Color/>", "MalformedXML", ""),
        (ALL + INDEX, "InvalidRequest", "in conjunction"),
        ("<RedirectAllRequestsTo/>", "MalformedXML", ""),
        (ALL.replace(">a<", ">a b<"), "InvalidRequest", "HostName"),
        (ALL.replace("</HostName>", "</HostName><Protocol>ftp</Protocol>"), "InvalidRequest", "protocol"),
        (f"{INDEX}<RoutingRules><RoutingRule/></RoutingRules>", "MalformedXML", ""),
        (rule(""), "MalformedXML", ""),
        (rule("<HostName>a</HostName>", "<Condition/>"), "InvalidRequest", "Condition cannot be empty"),
        (rule("<ReplaceKeyWith>a</ReplaceKeyWith><ReplaceKeyPrefixWith/>"), "InvalidRequest", "but not both"),
        (rule("<HttpRedirectCode>300</HttpRedirectCode>"), "InvalidRequest", "(300) is not valid"),
        (rule("<HttpRedirectCode>304</HttpRedirectCode>"), "InvalidRequest", "(304) is not valid"),
        (rule("<HttpRedirectCode>200</HttpRedirectCode>"), "InvalidRequest", "(200) is not valid"),
        (of_error("399"), "InvalidRequest", "(399) is not valid"),
        (of_error("600"), "InvalidRequest", "(600) is not valid"),
        (of_error("4xx"), "InvalidRequest", "(4xx) is not valid"),
    ],
)
def test_a_bad_configuration_is_refused(inner: str, code: str, message: str) -> None:
    with pytest.raises(S3Error) as caught:
        configuration.from_xml(xml.parse(f"<WebsiteConfiguration>{inner}</WebsiteConfiguration>".encode()))
    assert caught.value.code == code
    assert message in caught.value.message


def test_there_are_at_most_fifty_rules() -> None:
    most = Website("i", rules=RULES[:1] * 50)
    assert configuration.from_xml(xml.parse(configuration.to_xml(most))) == most
    with pytest.raises(S3Error, match="limited to 50"):
        configuration.from_xml(xml.parse(configuration.to_xml(Website("i", rules=RULES[:1] * 51))))


@pytest.mark.parametrize(
    ("key", "status", "expected"),
    [
        ("docs/a", 0, 0),
        ("docs", 0, 3),
        ("images/a", 404, 1),
        ("images/a", 403, 2),
        ("docs/a", 404, None),
        ("images/a", 500, None),
        ("", 0, 3),
    ],
)
def test_the_first_rule_that_matches_key_and_error_applies(key: str, status: int, expected: int | None) -> None:
    assert routing.rule_for(RULES, key, status) == (None if expected is None else RULES[expected])
    assert routing.rule_for((), key, status) is None


HERE = Origin("http", "site.test:8080")


@pytest.mark.parametrize(
    ("redirect", "key", "matched", "expected"),
    [
        (Redirect(), "a/b", "", "http://site.test:8080/a/b"),
        (Redirect(protocol="https"), "a", "", "https://site.test:8080/a"),
        (Redirect("example.com", "https"), "a", "", "https://example.com/a"),
        (Redirect(prefix="documents/"), "docs/a/b", "docs/", "http://site.test:8080/documents/a/b"),
        (Redirect(prefix="/documents/"), "docs/a", "docs/", "http://site.test:8080/documents/a"),
        (Redirect(prefix=""), "docs/a", "docs/", "http://site.test:8080/a"),
        (Redirect(prefix="resize?key="), "a b/c", "", "http://site.test:8080/resize?key=a%20b/c"),
        (Redirect(prefix="#!/"), "a", "", "http://site.test:8080/#!/a"),
        (Redirect(key="new.html"), "old/page", "old/", "http://site.test:8080/new.html"),
        (Redirect(key=""), "old", "", "http://site.test:8080/"),
        (Redirect(), "a?b#c%d ü", "", "http://site.test:8080/a%3Fb%23c%25d%20%C3%BC"),
        (Redirect(), "a\r\nSet-Cookie: b", "", "http://site.test:8080/a%0D%0ASet-Cookie:%20b"),
        (Redirect(key="a\nb"), "", "", "http://site.test:8080/a%0Ab"),
        (Redirect(), "/evil.test/", "", "http://site.test:8080//evil.test/"),
        (Redirect(), "\udcff", "", "http://site.test:8080/%FF"),
    ],
)
def test_the_location_of_a_redirect(redirect: Redirect, key: str, matched: str, expected: str) -> None:
    assert routing.location(redirect, key, HERE, matched) == expected


@pytest.mark.parametrize(
    ("redirect", "expected"),
    [
        (Redirect(), "https://h/bucket/a?x=1&y=%20"),
        (Redirect("example.com"), "https://example.com/a?x=1&y=%20"),
        (Redirect(key="b"), "https://h/bucket/b?x=1&y=%20"),
        (Redirect(key="b?c=d"), "https://h/bucket/b?c=d"),
        (Redirect(prefix="#/"), "https://h/bucket/#/a"),
    ],
)
def test_a_redirect_keeps_the_query_and_the_root_of_the_website(redirect: Redirect, expected: str) -> None:
    assert routing.location(redirect, "a", Origin("https", "h", "/bucket", "x=1&y= ")) == expected


@pytest.mark.parametrize(
    ("value", "root", "expected"),
    [
        ("/a b?c", "", "http://h/a%20b?c"),
        ("/a%20b", "/bucket", "http://h/bucket/a%20b"),
        ("https://example.com/a#b", "/bucket", "https://example.com/a#b"),
        ("http://example.com/ü", "", "http://example.com/%C3%BC"),
        ("/\udcff", "", "http://h/%FF"),
    ],
)
def test_where_the_redirect_of_an_object_leads(value: str, root: str, expected: str) -> None:
    assert routing.object_location(value, Origin("http", "h", root, "q=1")) == expected


def test_redirects_lead_to_the_host_that_the_client_used() -> None:
    environ = {"HTTP_HOST": "www.a.test.web.test", "wsgi.url_scheme": "https", "QUERY_STRING": "\xc3\xbc"}
    address = Address("www.a.test", "k", True)
    assert origin_of(environ, address) == Origin("https", "www.a.test.web.test", "", "ü")
    named = environ | {"objstore.client_host": "www.a.test"}  # by the filter cname_lookup
    assert origin_of(named, address) == Origin("https", "www.a.test", "", "ü")
    assert origin_of(environ, Address("A b", "k")).root == "/A%20b"


def test_an_error_page_escapes_what_the_client_sent() -> None:
    error = S3Error("NoSuchKey", "", {"Key": "<script>\udcff"})
    page = pages.error_page(error, "tx1", S3Error("AccessDenied"))
    assert page.status == 404
    assert isinstance(page.body, bytes)
    text = page.body.decode()
    assert "<script>" not in text
    assert "<li>Key: &lt;script&gt;?</li>" in text
    assert "<li>Code: AccessDenied</li>" in text
    assert page.headers["x-amz-error-code"] == "NoSuchKey"
    assert page.headers["x-amz-error-message"] == "The specified key does not exist."


def test_a_message_that_no_header_can_have_is_in_the_page_alone() -> None:
    assert "x-amz-error-message" not in pages.error_headers(S3Error("InvalidRequest", "a\nb"))
    assert "Retry-After" in pages.error_headers(S3Error("ServiceUnavailable"))


@pytest.mark.parametrize(
    ("websites", "buckets"), [("a.test", "a.test"), ("web.a.test", "a.test"), ("a.test", "s3.a.test x.test")]
)
def test_a_host_cannot_be_that_of_a_bucket_and_of_a_website(websites: str, buckets: str) -> None:
    with pytest.raises(ConfigError, match="overlap"):
        website_domains(websites.split(), tuple(buckets.split()))


def test_other_domains_are_those_of_websites() -> None:
    assert website_domains(["Web.Test.", "b"], ("s3.test",)) == ("web.test", "b")
