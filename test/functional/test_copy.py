"""Copies made by the server: COPY, and PUT with X-Copy-From."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

import pytest
from harness.client import Answer, Client
from harness.store import Store

BODY = b"some content"
DESCRIBED = {"X-Object-Meta-Color": "blue", "Content-Type": "text/x-thing", "Content-Encoding": "gzip"}


@pytest.fixture
def source(owner: Client, container: str) -> str:
    path = f"{container}/source"
    assert owner.put(path, BODY, DESCRIBED).status == 201
    return path


Copy = Callable[..., Answer]


@pytest.fixture(params=["COPY", "PUT"])
def copy(request: pytest.FixtureRequest, owner: Client) -> Copy:
    """Copies (source, target, headers) in the one way and the other."""

    def by_copy(source: str, target: str, headers: dict[str, str] | None = None) -> Answer:
        return owner.copy(source, target, headers)

    def by_put(source: str, target: str, headers: dict[str, str] | None = None) -> Answer:
        return owner.put(target, b"", {"X-Copy-From": quote(source), **(headers or {})})

    return by_copy if request.param == "COPY" else by_put


@pytest.mark.parametrize("body", [b"", BODY, bytes(range(256)) * 12_000], ids=["empty", "small", "large"])
def test_content_and_metadata_are_copied(owner: Client, container: str, copy: Copy, body: bytes) -> None:
    source, target = f"{container}/source", f"{container}/target"
    owner.put(source, body, DESCRIBED)
    answer = copy(source, target)
    assert answer.status == 201
    assert answer["Etag"] == owner.head(source)["Etag"]
    assert answer["X-Copied-From"] == source
    assert answer["X-Copied-From-Account"] == owner.account
    assert answer["X-Copied-From-Last-Modified"] == owner.head(source)["Last-Modified"]
    got = owner.get(target)
    assert got.body == body
    assert {name: got[name] for name in DESCRIBED} == DESCRIBED
    assert owner.names(container) == ["source", "target"]


def test_what_the_request_says_goes_over_the_sources(owner: Client, container: str, source: str, copy: Copy) -> None:
    copy(source, f"{container}/target", {"X-Object-Meta-Color": "red", "X-Object-Meta-New": "1"})
    head = owner.head(f"{container}/target")
    assert (head["X-Object-Meta-Color"], head["X-Object-Meta-New"]) == ("red", "1")
    assert head["Content-Type"] == "text/x-thing"
    copy(source, f"{container}/typed", {"Content-Type": "image/png"})
    assert owner.head(f"{container}/typed")["Content-Type"] == "image/png"


def test_empty_metadata_is_copied_and_replaces(owner: Client, container: str, copy: Copy) -> None:
    source = f"{container}/source"
    owner.put(source, BODY, {"X-Object-Meta-A": "", "X-Object-Meta-B": "1"})
    copy(source, f"{container}/target", {"X-Object-Meta-B": "", "X-Object-Meta-C": ""})
    head = owner.head(f"{container}/target")
    assert [head[f"X-Object-Meta-{name}"] for name in "ABC"] == ["", "", ""]


def test_fresh_metadata_leaves_the_sources_behind(owner: Client, container: str, source: str, copy: Copy) -> None:
    copy(source, f"{container}/target", {"X-Fresh-Metadata": "true", "X-Object-Meta-New": "1"})
    head = owner.head(f"{container}/target")
    assert head.get("X-Object-Meta-Color") is None
    assert head["X-Object-Meta-New"] == "1"
    assert head["Content-Type"] == "text/x-thing"


def test_to_another_container(owner: Client, source: str, copy: Copy, new_container: Callable[[], str]) -> None:
    other = new_container()
    assert copy(source, f"{other}/deep/er").status == 201
    assert owner.get(f"{other}/deep/er").body == BODY


def test_onto_itself_with_other_metadata(owner: Client, source: str, copy: Copy) -> None:
    assert copy(source, source, {"X-Object-Meta-Shape": "round"}).status == 201
    got = owner.get(source)
    assert got.body == BODY
    assert (got["X-Object-Meta-Color"], got["X-Object-Meta-Shape"]) == ("blue", "round")
    assert copy(source, source, {"X-Fresh-Metadata": "true"}).status == 201
    assert owner.head(source).get("X-Object-Meta-Color") is None


@pytest.mark.parametrize("name", ["ä b", "a/../b", "a%2Fb", "100%", "日本/🎈", "a?b#c", "//x"])
def test_names_are_percent_encoded_in_the_headers(owner: Client, container: str, copy: Copy, name: str) -> None:
    source, target = f"{container}/{name}", f"{container}/copy of {name}"
    owner.put(source, name.encode())
    answer = copy(source, target)
    assert answer.status == 201
    assert answer["X-Copied-From"] == quote(source)
    assert owner.get(target).text == name


def test_a_leading_slash_is_swifts_way_too(owner: Client, container: str, source: str) -> None:
    assert owner.copy(source, f"/{container}/a").status == 201
    assert owner.put(f"{container}/b", b"", {"X-Copy-From": f"/{source}"}).status == 201


def test_a_range_copies_a_part(owner: Client, container: str, source: str, copy: Copy) -> None:
    assert copy(source, f"{container}/part", {"Range": "bytes=5-8"}).status == 201
    assert owner.get(f"{container}/part").body == BODY[5:9]


def test_conditions_are_about_the_source(owner: Client, container: str, source: str, copy: Copy) -> None:
    assert copy(source, f"{container}/target", {"If-Match": "other"}).status == 412
    assert owner.head(f"{container}/target").status == 404
    assert copy(source, f"{container}/target", {"If-Match": owner.head(source)["Etag"]}).status == 201


def test_without_source_or_target(owner: Client, container: str, source: str, copy: Copy) -> None:
    assert copy(f"{container}/nothing", f"{container}/target").status == 404
    assert copy("no-such-container/object", f"{container}/target").status == 404
    assert copy(source, "no-such-container/object").status == 404


@pytest.mark.parametrize("value", ["", "object", "/", "container/", "/object", "%ff/x", "a%00/x"])
def test_headers_that_name_no_object(owner: Client, container: str, source: str, value: str) -> None:
    assert owner.request("COPY", source, {"Destination": value}).status == 412
    if value:  # an empty one is as good as none
        assert owner.put(f"{container}/target", b"", {"X-Copy-From": value}).status == 412


def test_a_copy_larger_than_what_is_read_at_once(owner: Client, container: str) -> None:
    # Pieces that waited to be written were overwritten by those read after them.
    body = b"abcdefg" * 1_000_000
    owner.put(f"{container}/large", body)
    assert owner.put(f"{container}/target", b"", {"X-Copy-From": f"{container}/large"}).status == 201
    assert owner.get(f"{container}/target").body == body


def test_a_copy_takes_no_body(owner: Client, container: str, source: str) -> None:
    assert owner.put(f"{container}/target", b"body", {"X-Copy-From": source}).status == 400
    assert owner.head(f"{container}/target").status == 404


def test_copy_is_no_verb_of_containers(owner: Client, container: str) -> None:
    assert owner.copy(container, "other/object").status == 405


def test_between_accounts_where_both_allow_it(owner: Client, store: Store, container: str, source: str) -> None:
    other = store.add_user("copies:anna", "--admin")
    other.put("inbox")
    ours = {"X-Copy-From": source, "X-Copy-From-Account": owner.account}
    assert other.put("inbox/object", b"", ours).status == 403
    owner.post(container, {"X-Container-Read": "copies:anna"})
    assert other.put("inbox/object", b"", ours).status == 201
    assert other.get("inbox/object").body == BODY

    there = {"Destination-Account": other.account}
    reader = store.add_user("copies:bob")
    owner.post(container, {"X-Container-Read": "copies:bob"})
    as_bob = owner.with_token(reader.token)
    assert as_bob.copy(source, "inbox/second", there).status == 403
    other.post("inbox", {"X-Container-Write": "copies:bob"})
    assert as_bob.copy(source, "inbox/second", there).status == 201
    assert other.get("inbox/second").body == BODY
    other.wipe("inbox")
