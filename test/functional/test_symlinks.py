"""Links (Swift: Symlinks) as clients see them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from urllib.parse import quote

import pytest
from harness.client import Answer, Client
from harness.layouts import ONE_DEVICE

pytestmark = ONE_DEVICE
CONTENT = b"hello world"
MD5 = hashlib.md5(CONTENT).hexdigest()
NOTHING = hashlib.md5(b"").hexdigest()


class Links:
    """A container with links, `here`, and one with targets, `there`, which has an object `t`."""

    def __init__(self, owner: Client, here: str, there: str) -> None:
        self.owner, self.here, self.there = owner, here, there
        assert owner.put(f"{there}/t", CONTENT, {"X-Object-Meta-Color": "blue", "Content-Type": "text/x"}).status == 201

    def link(
        self, key: str = "l", target: str = "", headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        sent = {"X-Symlink-Target": target or f"{self.there}/t", **(headers or {})}
        return self.owner.put(f"{self.here}/{key}", body, sent)

    def itself(self, key: str = "l") -> Answer:
        return self.owner.head(f"{self.here}/{key}", symlink="get")

    def location(self, target: str) -> str:
        return quote(f"{self.owner.root}/{target}")


@pytest.fixture
def links(owner: Client, new_container: Callable[[], str]) -> Links:
    return Links(owner, new_container(), new_container())


def test_get_and_head_show_the_target(owner: Client, links: Links) -> None:
    made = links.link(headers={"X-Object-Meta-Own": "1"})
    assert made.status == 201 and made["Etag"] == NOTHING
    for answer in (owner.get(f"{links.here}/l"), owner.head(f"{links.here}/l")):
        assert answer.status == 200 and answer["Content-Length"] == "11" and answer["Etag"] == MD5
        assert answer["Content-Location"] == links.location(f"{links.there}/t")
        assert answer["X-Object-Meta-Color"] == "blue" and answer.get("X-Object-Meta-Own") is None
        assert answer["Content-Type"] == "text/x" and answer.get("X-Symlink-Target") is None
    assert owner.get(f"{links.here}/l").body == CONTENT


def test_the_link_itself(owner: Client, links: Links) -> None:
    links.link(headers={"X-Object-Meta-Own": "1"})
    answer = links.itself()
    assert answer["X-Symlink-Target"] == f"{links.there}/t" and answer["Content-Length"] == "0"
    assert answer["Content-Type"] == "application/symlink" and answer["X-Object-Meta-Own"] == "1"
    assert answer["Etag"] == NOTHING and answer.get("X-Symlink-Target-Account") is None
    assert not [name for name in answer.headers if "sysmeta" in name.lower()]
    links.link("typed", headers={"Content-Type": "a/b"})
    assert links.itself("typed")["Content-Type"] == "a/b"


def test_ranges_and_conditions(owner: Client, links: Links) -> None:
    links.link()
    path = f"{links.here}/l"
    part = owner.get(path, {"Range": "bytes=1-3"})
    assert part.status == 206 and part.body == b"ell" and part["Content-Range"] == "bytes 1-3/11"
    several = owner.get(path, {"Range": "bytes=0-1,3-4"})
    assert several.status == 206 and b"\r\n\r\nhe\r\n" in several.body and b"\r\n\r\nlo\r\n" in several.body
    assert several["Content-Location"] == links.location(f"{links.there}/t")
    assert owner.get(path, {"Range": "bytes=-4,100-200"}).body == b"orld"
    assert owner.get(path, {"Range": "bytes=100-"})["Content-Range"] == "bytes */11"
    assert owner.get(path, {"If-None-Match": MD5}).status == 304
    assert owner.get(path, {"If-Match": NOTHING}).status == 412


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("c", 412), ("/c/o", 412), ("c/", 412), ("%00versions%00c/o", 412), ("c/%00o", 412), ("c/%FF", 412),
        ("c" * 300 + "/o", 400), ("c/" + "o" * 2000, 400),
    ],
)  # fmt: skip
def test_a_malformed_target(owner: Client, links: Links, target: str, status: int) -> None:
    assert links.link("bad", target).status == status
    assert links.itself("bad").status == 404


def test_an_empty_target_a_body_and_itself(owner: Client, links: Links) -> None:
    assert owner.put(f"{links.here}/bad", b"", {"X-Symlink-Target": ""}).status == 412
    assert links.link("bad", body=b"content").status == 400
    assert owner.put(f"{links.here}/bad", iter([b"con", b"tent"]), {"X-Symlink-Target": "c/o"}).status == 400
    assert links.link("bad", f"{links.here}/bad").status == 400
    assert links.link("bad", headers={"X-Symlink-Target-Account": "a/b"}).status == 412
    assert links.link("bad", headers={"X-Object-Manifest": "c/o"}).status in (400, 501)
    assert links.itself("bad").status == 404
    assert owner.put(f"{links.here}/empty", iter([]), {"X-Symlink-Target": "c/o"}).status == 201


def test_names_that_need_encoding(owner: Client, links: Links) -> None:
    name = "a?b%20 ü/x"
    owner.put(f"{links.there}/{name}", b"odd")
    assert links.link("odd", quote(f"{links.there}/{name}")).status == 201
    answer = owner.get(f"{links.here}/odd")
    assert answer.body == b"odd" and answer["Content-Location"] == links.location(f"{links.there}/{name}")
    assert links.itself("odd")["X-Symlink-Target"] == quote(f"{links.there}/{name}")


def test_chains(owner: Client, links: Links) -> None:
    links.link("one")
    links.link("two", f"{links.here}/one")
    links.link("three", f"{links.here}/two")
    links.link("a", f"{links.here}/b")
    links.link("b", f"{links.here}/a")
    assert owner.get(f"{links.here}/two").body == CONTENT
    assert owner.get(f"{links.here}/three").status == owner.head(f"{links.here}/a").status == 409


def test_a_missing_target(owner: Client, links: Links) -> None:
    for target in (f"{links.there}/gone", "no-such-container/gone"):
        assert links.link("broken", target).status == 201
        for answer in (owner.get(f"{links.here}/broken"), owner.head(f"{links.here}/broken")):
            assert answer.status == 404 and answer["Content-Location"] == links.location(target)


def test_static_links(owner: Client, links: Links) -> None:
    etag = {"X-Symlink-Target-Etag": f'"{MD5}"'}
    assert links.link("s", headers=etag).status == 201
    assert links.link("outer", f"{links.here}/s", etag).status == 201
    assert owner.get(f"{links.here}/outer").body == CONTENT
    shown = links.itself("s")
    assert shown["X-Symlink-Target-Etag"] == MD5 and shown["X-Symlink-Target-Bytes"] == "11"
    assert shown["Content-Type"] == "text/x"
    owner.put(f"{links.there}/t", b"changed")
    for answer in (owner.get(f"{links.here}/s"), owner.get(f"{links.here}/outer", {"Range": "bytes=0-1"})):
        assert answer.status == 409 and answer["Content-Location"] == links.location(f"{links.there}/t")
    assert links.itself("s").status == 200


def test_a_static_link_must_fit_at_once(owner: Client, links: Links) -> None:
    for target, etag in ((f"{links.there}/t", NOTHING), (f"{links.there}/gone", MD5), (f"{links.there}/t", "x")):
        answer = links.link("s", target, {"X-Symlink-Target-Etag": etag})
        assert answer.status == 409 and answer["Content-Location"] == links.location(target)
    assert links.itself("s").status == 404


def test_post_changes_nothing(owner: Client, links: Links) -> None:
    links.link(headers={"X-Object-Meta-Own": "1"})
    answer = owner.post(f"{links.here}/l", {"X-Object-Meta-New": "1"})
    assert answer.status == 307 and answer["Location"] == links.location(f"{links.there}/t")
    assert links.itself()["X-Object-Meta-Own"] == "1" and links.itself().get("X-Object-Meta-New") is None
    links.link("s", headers={"X-Symlink-Target-Etag": MD5})
    assert owner.post(f"{links.here}/s", {"X-Object-Meta-New": "1"})["X-Symlink-Target-Etag"] == MD5
    assert owner.post(f"{links.there}/t", {"X-Symlink-Target": "c/o"}).status == 400
    assert owner.head(f"{links.there}/t")["X-Object-Meta-Color"] == "blue"


def test_copies(owner: Client, links: Links) -> None:
    links.link(headers={"X-Object-Meta-Own": "1"})
    assert owner.copy(f"{links.here}/l", f"{links.here}/content").status == 201
    copied = links.itself("content")
    assert copied["Content-Length"] == "11" and copied["X-Object-Meta-Color"] == "blue"
    destination = {"Destination": f"{links.here}/link"}
    assert owner.request("COPY", f"{links.here}/l", destination, query={"symlink": "get"}).status == 201
    assert links.itself("link")["X-Symlink-Target"] == f"{links.there}/t"
    assert links.itself("link")["X-Object-Meta-Own"] == "1"
    source = {"X-Copy-From": f"{links.here}/l"}
    assert owner.request("PUT", f"{links.here}/link2", source, b"", {"symlink": "get"}).status == 201
    assert owner.get(f"{links.here}/link2").body == CONTENT
    elsewhere = {**source, "X-Symlink-Target-Account": "AUTH_other"}
    assert owner.request("PUT", f"{links.here}/link3", elsewhere, b"", {"symlink": "get"}).status == 201
    assert links.itself("link3")["X-Symlink-Target-Account"] == "AUTH_other"
    assert owner.copy(f"{links.there}/t", f"{links.here}/l").status == 201
    assert links.itself().get("X-Symlink-Target") is None and owner.get(f"{links.here}/l").body == CONTENT
    assert owner.copy(f"{links.there}/t", f"{links.here}/x", {"X-Symlink-Target": "c/o"}).status == 400


def test_deleting(owner: Client, links: Links) -> None:
    links.link()
    assert owner.delete(f"{links.here}/l").status == 204
    assert links.itself().status == 404 and owner.get(f"{links.there}/t").body == CONTENT


def test_rows(owner: Client, links: Links) -> None:
    links.link("d")
    links.link("s", headers={"X-Symlink-Target-Etag": MD5, "Content-Type": "a/b"})
    dynamic, static = owner.get(links.here, format="json").json
    path = links.location(f"{links.there}/t")
    assert dynamic["bytes"] == static["bytes"] == 0 and dynamic["hash"] == static["hash"] == NOTHING
    assert dynamic["symlink_path"] == static["symlink_path"] == path
    assert dynamic["content_type"] == "application/symlink" and static["content_type"] == "a/b"
    assert static["symlink_bytes"] == 11 and static["symlink_etag"] == MD5 and "symlink_etag" not in dynamic
    assert owner.head(links.here)["X-Container-Bytes-Used"] == "0"


def test_a_link_gives_no_right_to_its_target(owner: Client, anonymous: Client, links: Links) -> None:
    links.link()
    links.link("two", f"{links.here}/l")
    assert owner.post(links.here, {"X-Container-Read": ".r:*"}).status == 204
    for key in ("l", "two"):
        refused = anonymous.get(f"{links.here}/{key}")
        assert refused.status == anonymous.head(f"{links.here}/{key}").status == 401
    assert refused["Content-Location"] == links.location(f"{links.there}/t") and refused.get("WWW-Authenticate")
    assert owner.post(links.there, {"X-Container-Read": ".r:*"}).status == 204
    assert anonymous.get(f"{links.here}/two").body == CONTENT
    assert anonymous.head(f"{links.here}/l").status == 200


def test_info(owner: Client) -> None:
    answer = owner.send("GET", "/info")
    assert json.loads(answer.body)["symlink"] == {"symloop_max": 2, "static_links": True}
