"""CORS rules: read, written and applied. The answers to browsers are tested from outside."""

from __future__ import annotations

import pytest

from objstore.s3.buckets import cors
from objstore.s3.buckets.cors import Rule
from objstore.s3.language import xml
from objstore.s3.language.errors import S3Error

RULE = Rule(("http://*.example.com", "https://one"), ("GET", "PUT"), ("x-*", "Content-Type"), ("ETag",), 30, "first")


def test_rules_are_kept_and_said_as_they_were_set() -> None:
    rules = [RULE, Rule(("*",), ("HEAD",))]
    assert cors.load(cors.dump(rules)) == rules
    assert cors.from_xml(xml.parse(cors.to_xml(rules))) == rules


def test_what_fits_a_rule() -> None:
    assert RULE.fits("http://a.example.com", "GET")
    assert not RULE.fits("http://example.com", "GET")
    assert not RULE.fits("https://one.two", "GET")
    assert not RULE.fits("https://one", "DELETE")
    assert RULE.lets_send(["x-any", "content-type"])
    assert not RULE.lets_send(["authorization"])


RULE_XML = "<CORSConfiguration><CORSRule>{}</CORSRule></CORSConfiguration>"
GOOD = "<AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod>"


@pytest.mark.parametrize(
    ("inner", "code"),
    [
        ("", "MalformedXML"),
        ("<AllowedOrigin>*</AllowedOrigin>", "MalformedXML"),
        ("<AllowedMethod>GET</AllowedMethod>", "MalformedXML"),
        (GOOD + "<Color/>", "MalformedXML"),
        (GOOD + "<MaxAgeSeconds>soon</MaxAgeSeconds>", "MalformedXML"),
        (GOOD + "<AllowedMethod>PATCH</AllowedMethod>", "InvalidRequest"),
        (GOOD + "<AllowedOrigin>*.*</AllowedOrigin>", "InvalidRequest"),
        (GOOD + "<AllowedHeader>*a*</AllowedHeader>", "InvalidRequest"),
        (GOOD + "<ExposeHeader>x-*</ExposeHeader>", "InvalidRequest"),
    ],
)
def test_bad_rules_are_refused(inner: str, code: str) -> None:
    with pytest.raises(S3Error) as caught:
        cors.from_xml(xml.parse(RULE_XML.format(inner).encode()))
    assert caught.value.code == code


def test_no_rules_and_too_many_are_refused() -> None:
    with pytest.raises(S3Error, match="well-formed"):
        cors.from_xml(xml.parse(b"<CORSConfiguration/>"))
    with pytest.raises(S3Error, match="100"):
        cors.from_xml(xml.parse(cors.to_xml([RULE] * 101)))
