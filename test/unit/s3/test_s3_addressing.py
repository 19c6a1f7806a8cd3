"""Buckets and keys in paths and host names."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.s3.language.errors import S3Error
from objstore.s3.request.addressing import bucket_of_host, locate

DOMAINS = ("s3.example.com", "local")


@pytest.mark.parametrize(
    ("path", "bucket", "key"),
    [
        ("/", "", ""),
        ("/b", "b", ""),
        ("/b/", "b", ""),
        ("/b/k", "b", "k"),
        ("/b/a//b", "b", "a//b"),
        ("/b//k", "b", "/k"),
        ("/b/a/../b", "b", "a/../b"),
        ("/b/a+b", "b", "a+b"),
        ("/b/a%2Fb", "b", "a/b"),
        ("/b/a%252Fb", "b", "a%2Fb"),
        ("/b/%C3%BC", "b", "ü"),
        ("/b/tail/", "b", "tail/"),
        ("/b/100%", "b", "100%"),
    ],
)
def test_path_style(path: str, bucket: str, key: str) -> None:
    assert locate(path, "127.0.0.1:8080", DOMAINS) == (bucket, key, False)


@pytest.mark.parametrize(
    ("host", "path", "address"),
    [
        ("b.s3.example.com", "/", ("b", "", True)),
        ("b.s3.example.com", "/k", ("b", "k", True)),
        ("b.s3.example.com", "//k", ("b", "/k", True)),
        ("B.S3.Example.com:8080", "/a/b", ("b", "a/b", True)),
        ("a.b.local", "/k", ("a.b", "k", True)),
        ("b.s3.example.com.", "/k", ("b", "k", True)),
        ("s3.example.com", "/b/k", ("b", "k", False)),
        ("xs3.example.com", "/b/k", ("b", "k", False)),
        ("[::1]:8080", "/b/k", ("b", "k", False)),
        ("[::1]", "/b/k", ("b", "k", False)),
    ],
)
def test_virtual_host_style(host: str, path: str, address: tuple[str, str, bool]) -> None:
    assert locate(path, host, DOMAINS) == address


def test_the_domain_itself_and_other_hosts() -> None:
    assert bucket_of_host("local", DOMAINS) == ""
    assert bucket_of_host("b.local", DOMAINS) == "b"
    assert bucket_of_host("elsewhere", DOMAINS) is None


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/b/%FF", "InvalidURI"),
        ("/b/a%00b", "InvalidURI"),
        ("/%00parts%00b/k", "InvalidURI"),
        ("b/k", "InvalidURI"),
        ("//k", "InvalidBucketName"),
        ("/b/" + "k" * 1025, "KeyTooLongError"),
        ("/b/" + "%C3%BC" * 513, "KeyTooLongError"),
    ],
)
def test_what_cannot_be_a_name(path: str, code: str) -> None:
    with pytest.raises(S3Error) as raised:
        locate(path, "h", ())
    assert raised.value.code == code


def test_the_longest_keys() -> None:
    assert len(locate("/b/" + "k" * 1024, "h", ()).key) == 1024
    assert len(locate("/b/" + "%C3%BC" * 512, "h", ()).key) == 512


@given(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1, max_size=50))
def test_any_key_comes_through(key: str) -> None:
    assert locate(f"/b/{quote(key)}", "h", DOMAINS).key == key
    assert locate(f"/{quote(key)}", "b.local", DOMAINS).key == key
