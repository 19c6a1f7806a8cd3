"""Object names are any UTF-8 of up to 1024 bytes."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from harness.client import Client

ODD = [
    "a b", "a+b", "a%20b", "a%2Fb", "100%", "a?b", "a#b", "a&b=c", "a;b", "a\\b", "~", "*", "'", '"', "<x>", "[x]",
    "a:b", ".", "..", "../..", "a/../b", "./a", "a/.", "/", "//", "///", "/a", "//a", "a/", "a//", "a//b", " ",
    "  ", "a ", " a", "für", "fu\u0308r", "日本語", "🎈", "\u200b", "\u202e", "\ufeff", "\uffff", "\U0010ffff",
    "\x01", "\t", "\n", "a\r\nb", "\x7f", "\x1b[31m",
    "x" * 1024, "ä" * 512, "🎈" * 256, "/" * 1024, "a/" * 512, "%" * 1024,
]  # fmt: skip


@pytest.mark.parametrize("name", ODD, ids=[ascii(name)[:40] for name in ODD])
def test_every_name_is_put_read_listed_and_deleted(owner: Client, container: str, name: str) -> None:
    path = f"{container}/{name}"
    assert owner.put(path, name.encode()).status == 201
    got = owner.get(path)
    assert (got.status, got.body) == (200, name.encode())
    assert [row["name"] for row in owner.get(container, format="json").json] == [name]
    assert owner.post(path, {"X-Object-Meta-A": "1"}).status == 202
    assert owner.head(path)["X-Object-Meta-A"] == "1"
    assert owner.delete(path).status == 204
    assert owner.get(path).status == 404
    assert owner.get(container, format="json").json == []


@pytest.mark.parametrize("name", ["a/../b", "a/./b", "a//b", "..", "a%2Fb"])
def test_names_are_not_tidied_up(owner: Client, container: str, name: str) -> None:
    owner.put(f"{container}/{name}", b"x")
    for other in ("b", "a/b", "a"):
        assert owner.head(f"{container}/{other}").status == 404, other


def test_an_encoded_slash_is_a_slash(owner: Client, container: str) -> None:
    root = f"{owner.root}/{container}"
    assert owner.send("PUT", f"{root}/a%2Fb", body=b"x").status == 201
    assert owner.get(f"{container}/a/b").body == b"x"
    assert owner.send("GET", f"{root}%2Fa/b").body == b"x"
    assert owner.names(container) == ["a/b"]


@pytest.mark.parametrize("target", ["%41", "%61%62", "%E6%97%A5", "%e6%97%a5", "%7E", "%2e%2E"])
def test_encodings_of_the_same_name_are_the_same(owner: Client, container: str, target: str) -> None:
    assert owner.send("PUT", f"{owner.root}/{container}/{target}", body=b"x").status == 201
    assert owner.names(container) == [unquote(target)]
    assert owner.get(f"{container}/{unquote(target)}").body == b"x"


@pytest.mark.parametrize("target", ["%00", "a%00b", "%ff", "%C3", "a%C3%28", "%ED%A0%80"])
def test_names_that_are_no_text_are_refused(owner: Client, container: str, target: str) -> None:
    for method in ("PUT", "GET", "DELETE"):
        answer = owner.send(method, f"{owner.root}/{container}/{target}", {"Content-Length": "0"})
        assert answer.status in (400, 412), method
    assert owner.names(container) == []
    assert owner.send("PUT", f"{owner.root}/{target}", {"Content-Length": "0"}).status in (400, 412)


@pytest.mark.parametrize("name", ["x" * 1025, "ä" * 513, "a/" * 513])
def test_longer_names_are_refused(owner: Client, container: str, name: str) -> None:
    refused = owner.put(f"{container}/{name}", b"x")
    assert refused.status == 400
    assert "1024" in refused.text
    assert owner.get(f"{container}/{name}").status in (400, 404)
