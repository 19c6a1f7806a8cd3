"""Links: what reads see through them, over the layers further inside and a layer in memory."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from harness.layer_stacks import STACKS, Shelf

from objstore.core import links
from objstore.core.errors import BrokenLink, Conflict, InvalidInput, IsLink, NotFound, TargetChanged, TooManyLinks
from objstore.core.links import LINK, LINK_ACCOUNT, LINK_ETAG, Link
from objstore.core.names import Name, hidden
from objstore.layers import stack, symlinks
from objstore.layers.interface import ContainerOptions, ReadOptions, Reply
from objstore.layers.symlinks import Symlinks

MD5 = hashlib.md5(b"content").hexdigest()
NOTHING = hashlib.md5(b"").hexdigest()


class Chain(Shelf):
    """With an object `t` of the content `content`."""

    def __init__(self, root: Path) -> None:
        super().__init__(STACKS["symlinks over memory"](root))
        self.put("t", b"content", {"X-Object-Meta-Color": "blue"})

    def link(self, key: str, target: str | Name, etag: str = "") -> None:
        name = self.name(target) if isinstance(target, str) else target
        self.put(key, b"", Link(name, etag, 7).headers(self.container.account))


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    return Chain(tmp_path)


def test_headers_of_a_link_are_read_back() -> None:
    for target in (Name("a", "c", "o/ü %2F?x=1"), Name("b/ä"[:1], "c", "o"), Name("ä%", "c d", "/o")):
        link = Link(target, "e", 5)
        assert links.parse(link.headers("a"), "a") == link
    assert LINK_ACCOUNT not in Link(Name("a", "c", "o")).headers("a")


def test_a_link_never_leads_to_a_reserved_name() -> None:
    for target in (Name("a", hidden("versions", "c"), "o"), Name("a", "c", "\0o"), Name("\0a", "c", "o")):
        with pytest.raises(InvalidInput):
            links.parse(Link(target).headers("b"), "b")


def test_a_stored_link_to_a_reserved_name_is_broken(chain: Chain) -> None:
    secret = Name(chain.container.account, hidden("versions", "c"))
    chain.layer.create_container(chain.context, secret, ContainerOptions({}))
    chain.link("l", secret._replace(object="o"))
    with pytest.raises(BrokenLink):
        chain.open("l")


def test_a_link_is_read_as_its_target(chain: Chain) -> None:
    chain.link("l", "t")
    reply = chain.open("l")
    assert reply.read() == b"content" and reply.target == chain.name("t")
    assert reply.headers["Etag"] == MD5 and reply.headers["X-Object-Meta-Color"] == "blue"
    assert chain.head("l")["Content-Length"] == "7"
    assert chain.open("t").target is None


def test_a_link_itself(chain: Chain) -> None:
    chain.link("l", "t")
    reply = chain.open("l", link=True)
    assert reply.read() == b"" and reply.headers[LINK] == "c/t" and reply.headers["Etag"] == NOTHING


def test_ranges_and_conditions_are_of_the_target(chain: Chain) -> None:
    chain.link("l", "t")
    assert chain.open("l", {"Range": "bytes=1-3"}).read() == b"ont"
    assert chain.open("l", {"Range": "bytes=9-"}).headers["Content-Range"] == "bytes */7"
    assert chain.open("l", {"If-None-Match": MD5}).status == 304
    assert chain.open("l", {"If-None-Match": NOTHING}).status == 200
    assert chain.open("l", {"If-Match": NOTHING}).status == 412
    assert chain.open("l", {"If-Match": MD5}).status == 200


def test_a_third_link_is_not_followed(chain: Chain) -> None:
    chain.link("one", "t")
    chain.link("two", "one")
    chain.link("three", "two")
    assert chain.read("two") == b"content"
    with pytest.raises(TooManyLinks, match="maximum allowed is 2"):
        chain.open("three")


def test_links_that_lead_to_each_other(chain: Chain) -> None:
    chain.link("a", "b")
    chain.link("b", "a")
    with pytest.raises(TooManyLinks):
        chain.open("a", head=True)


def test_a_missing_target_is_named(chain: Chain) -> None:
    chain.link("l", "gone")
    with pytest.raises(BrokenLink) as caught:
        chain.open("l")
    assert caught.value.target == chain.name("gone").path
    chain.link("other", Name("nobody", "c", "o"))
    with pytest.raises(NotFound):
        chain.open("other")


def test_each_target_must_be_permitted(chain: Chain) -> None:
    asked = []

    def permit(name: Name) -> None:
        asked.append(name.object)
        if name.object == "t":
            raise PermissionError

    chain.link("one", "t")
    chain.link("two", "one")
    with pytest.raises(PermissionError):
        chain.open("two", head=True, permit=permit)
    assert asked == ["one", "t"]


def test_a_static_link_is_read_while_its_target_is_the_same(chain: Chain) -> None:
    chain.link("l", "t", MD5)
    chain.link("outer", "l", MD5)
    assert chain.read("l") == chain.read("outer") == b"content"
    chain.put("t", b"changed")
    for key, options in (("l", {}), ("l", {"head": True}), ("outer", {})):
        with pytest.raises(TargetChanged) as caught:
            chain.open(key, {"If-None-Match": MD5}, **options)
        assert caught.value.target == chain.name("t").path
    assert chain.open("l", link=True).headers[LINK_ETAG] == MD5


def test_a_static_link_is_checked_when_it_is_made(chain: Chain) -> None:
    def resolve(target: str, etag: str) -> tuple[Link, Reply]:
        return symlinks.resolve(chain.layer, chain.context, Link(chain.name(target), etag), ReadOptions())

    link, target = resolve("t", MD5)
    assert link.size == 7 and target.headers["Content-Type"] == "text/plain"
    chain.link("static", "t", MD5)
    chain.link("dynamic", "t")
    assert resolve("static", MD5)[0].size == 7
    assert resolve("dynamic", NOTHING)[0].size == 0
    for key, etag in (("t", NOTHING), ("dynamic", MD5), ("gone", MD5)):
        with pytest.raises(TargetChanged):
            resolve(key, etag)


def test_the_metadata_of_a_link_stay(chain: Chain) -> None:
    chain.put("l", b"", Link(chain.name("t")).headers(chain.container.account) | {"X-Object-Meta-A": "1"})
    with pytest.raises(IsLink) as caught:
        chain.update("l", {"X-Object-Meta-A": "2"})
    assert caught.value.target == chain.name("t").path
    assert chain.open("l", link=True).headers["X-Object-Meta-A"] == "1" and "X-Object-Meta-A" not in chain.head("t")


def test_the_store_itself_refuses_to_change_the_metadata_of_a_link(tmp_path: Path) -> None:
    for name in ("memory", "cluster"):
        root = tmp_path / name
        root.mkdir()
        shelf = Shelf(STACKS[name](root))
        shelf.put("l", b"", Link(shelf.name("t")).headers(shelf.container.account))
        with pytest.raises(Conflict):
            shelf.update("l", {"X-Object-Meta-A": "2"})
        assert "X-Object-Meta-A" not in shelf.head("l")


def test_deleting_and_overwriting_a_link_leave_its_target(chain: Chain) -> None:
    chain.link("l", "t")
    assert chain.delete("l").existed and chain.read("t") == b"content"
    chain.link("l", "t")
    chain.put("l", b"own")
    assert chain.read("l") == b"own" and chain.read("t") == b"content"


def test_the_section_of_info(chain: Chain) -> None:
    layer = stack.find(chain.layer, Symlinks)
    assert layer is not None and layer.info() == {"symlink": {"symloop_max": 2, "static_links": True}}
