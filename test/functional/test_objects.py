"""PUT, GET, HEAD, POST and DELETE of objects."""

from __future__ import annotations

import hashlib
import re
from email.utils import parsedate_to_datetime

import pytest
from harness.client import Client

ALPHABET = b"abcdefghijklmnopqrstuvwxyz"
LARGE = bytes(range(256)) * 12_000  # more than what a proxy reads before it asks nodes


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


@pytest.fixture
def path(container: str) -> str:
    return f"{container}/object"


@pytest.mark.parametrize("body", [b"", b"x", ALPHABET, LARGE], ids=["empty", "byte", "small", "large"])
def test_what_was_put_is_read_back(owner: Client, path: str, body: bytes) -> None:
    put = owner.put(path, body, {"Content-Type": "text/x-thing"})
    assert (put.status, put.body) == (201, b"")
    assert put["Etag"] == md5(body)
    got = owner.get(path)
    assert (got.status, got.body) == (200, body)
    assert got["Etag"] == md5(body)
    assert got["Content-Length"] == str(len(body))
    assert got["Content-Type"] == "text/x-thing"
    assert got["Accept-Ranges"] == "bytes"
    assert got["Last-Modified"] == put["Last-Modified"]


@pytest.mark.parametrize("pieces", [[], [b"one"], [b"a" * 70_000, b"b", b"c" * 1_500_000]], ids=["none", "one", "more"])
def test_a_chunked_body_needs_no_length(owner: Client, path: str, pieces: list[bytes]) -> None:
    assert owner.put(path, iter(pieces)).status == 201
    assert owner.get(path).body == b"".join(pieces)


def test_head_says_what_get_says_without_the_body(owner: Client, path: str) -> None:
    owner.put(path, ALPHABET, {"X-Object-Meta-Color": "blue", "Content-Disposition": "attachment"})
    got, head = owner.get(path), owner.head(path)
    assert (head.status, head.body) == (200, b"")
    varying = {"Date", "X-Trans-Id", "X-Openstack-Request-Id"}
    assert {item for item in got.headers.items() if item[0] not in varying} == {
        item for item in head.headers.items() if item[0] not in varying
    }


def test_times_and_ids_have_swifts_forms(owner: Client, path: str) -> None:
    owner.put(path, ALPHABET)
    head = owner.head(path)
    assert re.fullmatch(r"tx[0-9a-f]{21}-[0-9a-f]{10}.*", head["X-Trans-Id"])
    assert head["X-Openstack-Request-Id"] == head["X-Trans-Id"]
    assert re.fullmatch(r"\d{10}\.\d{5}", head["X-Timestamp"])
    modified = parsedate_to_datetime(head["Last-Modified"])
    assert 0 <= modified.timestamp() - float(head["X-Timestamp"]) < 1
    assert head["Last-Modified"].endswith(" GMT")


def test_the_last_put_wins(owner: Client, path: str) -> None:
    for number in range(5):
        assert owner.put(path, f"version {number}".encode()).status == 201
        assert owner.get(path).text == f"version {number}"


def test_a_right_etag_is_accepted_with_and_without_quotes(owner: Client, path: str) -> None:
    assert owner.put(path, ALPHABET, {"Etag": md5(ALPHABET)}).status == 201
    assert owner.put(path, ALPHABET, {"Etag": f'"{md5(ALPHABET)}"'}).status == 201
    assert owner.put(path, ALPHABET, {"Etag": md5(ALPHABET).upper()}).status == 201


@pytest.mark.parametrize("body", [ALPHABET, LARGE], ids=["small", "large"])
def test_a_wrong_etag_keeps_nothing(owner: Client, path: str, body: bytes) -> None:
    assert owner.put(path, body, {"Etag": md5(b"another")}).status == 422
    assert owner.get(path).status == 404
    assert owner.names(path.partition("/")[0]) == []


def test_a_wrong_etag_leaves_what_was_there(owner: Client, path: str) -> None:
    owner.put(path, b"before")
    assert owner.put(path, LARGE, {"Etag": md5(b"another")}).status == 422
    assert owner.get(path).body == b"before"


def test_no_container_no_object(owner: Client) -> None:
    for method in ("PUT", "POST", "GET", "HEAD", "DELETE"):
        assert owner.request(method, "no-such-container/object", {"Content-Length": "0"}).status == 404, method


def test_a_deleted_object_is_gone(owner: Client, container: str, path: str) -> None:
    owner.put(path, ALPHABET)
    gone = owner.delete(path)
    assert (gone.status, gone.body) == (204, b"")
    for method in ("GET", "HEAD", "POST", "DELETE"):
        assert owner.request(method, path, {"Content-Length": "0"}).status == 404, method
    assert owner.names(container) == []
    owner.put(path, b"again")
    assert owner.get(path).body == b"again"


def test_the_type_is_guessed_by_the_name(owner: Client, container: str) -> None:
    owner.put(f"{container}/page.html", b"x")
    owner.put(f"{container}/unknown", b"x")
    assert owner.head(f"{container}/page.html")["Content-Type"] == "text/html"
    assert owner.head(f"{container}/unknown")["Content-Type"] == "application/octet-stream"
    owner.put(f"{container}/told.html", b"x", {"Content-Type": "text/plain; charset=utf-8"})
    assert owner.head(f"{container}/told.html")["Content-Type"] == "text/plain; charset=utf-8"
    owner.put(f"{container}/detect.html", b"x", {"Content-Type": "a/b", "X-Detect-Content-Type": "true"})
    assert owner.head(f"{container}/detect.html")["Content-Type"] == "text/html"


KEPT = {
    "Content-Encoding": "gzip",
    "Content-Disposition": 'attachment; filename="für.txt"',
    "Content-Language": "de",
    "Cache-Control": "no-cache",
    "Expires": "Thu, 01 Dec 2033 16:00:00 GMT",
    "X-Robots-Tag": "noindex",
}


def test_headers_that_objects_keep(owner: Client, path: str) -> None:
    owner.put(path, ALPHABET, KEPT | {"X-Unknown": "dropped"})
    head = owner.head(path)
    assert {name: head[name] for name in KEPT} == KEPT
    assert head.get("X-Unknown") is None


def test_a_put_replaces_all_metadata(owner: Client, path: str) -> None:
    owner.put(path, b"1", {"X-Object-Meta-A": "1", "X-Object-Meta-B": "2", **KEPT})
    owner.put(path, b"2", {"X-Object-Meta-B": "3"})
    head = owner.head(path)
    assert head.get("X-Object-Meta-A") is None
    assert head["X-Object-Meta-B"] == "3"
    assert head.get("Content-Encoding") is None


@pytest.mark.parametrize("value", ["plain", "für", "日本語 и 🎈", "  spaces around  ", "a,b;c=d"])
def test_metadata_is_any_text(owner: Client, path: str, value: str) -> None:
    owner.put(path, b"", {"X-Object-Meta-Note": value})
    assert owner.head(path)["X-Object-Meta-Note"] == value.strip()


def test_metadata_may_be_empty(owner: Client, path: str) -> None:
    owner.put(path, b"x", {"X-Object-Meta-A": "", "X-Object-Meta-B": "1"})
    for answer in (owner.head(path), owner.get(path)):
        assert (answer["X-Object-Meta-A"], answer["X-Object-Meta-B"]) == ("", "1")
    owner.post(path, {"X-Object-Meta-B": "", "X-Object-Meta-C": "2"})
    head = owner.head(path)
    assert (head.get("X-Object-Meta-A"), head["X-Object-Meta-B"], head["X-Object-Meta-C"]) == (None, "", "2")


@pytest.mark.parametrize("name", ["X-Object-Meta-", "X-Delete-At", "X-Delete-After"])
def test_what_must_have_a_value_is_refused_without_one(owner: Client, path: str, name: str) -> None:
    assert owner.put(path, b"x", {name: ""}).status == 400


def test_a_post_replaces_metadata_and_keeps_type_and_content(owner: Client, path: str) -> None:
    owner.put(path, ALPHABET, {"X-Object-Meta-A": "1", "X-Object-Meta-B": "2", "Content-Type": "text/x-thing"})
    before = owner.head(path)
    posted = owner.post(path, {"X-Object-Meta-B": "3", "X-Object-Meta-C": "4"})
    assert posted.status == 202
    got = owner.get(path)
    assert got.body == ALPHABET
    assert got.get("X-Object-Meta-A") is None
    assert (got["X-Object-Meta-B"], got["X-Object-Meta-C"]) == ("3", "4")
    assert got["Content-Type"] == "text/x-thing"
    assert got["Etag"] == before["Etag"]
    assert float(got["X-Timestamp"]) > float(before["X-Timestamp"])


def test_a_post_drops_the_headers_it_does_not_send(owner: Client, path: str) -> None:
    owner.put(path, b"", {"Content-Encoding": "gzip", "Content-Disposition": "inline"})
    owner.post(path, {"Content-Disposition": "attachment"})
    head = owner.head(path)
    assert head.get("Content-Encoding") is None
    assert head["Content-Disposition"] == "attachment"


def test_a_post_may_change_the_type(owner: Client, container: str, path: str) -> None:
    owner.put(path, ALPHABET, {"Content-Type": "text/plain"})
    assert owner.post(path, {"Content-Type": "image/png"}).status == 202
    assert owner.head(path)["Content-Type"] == "image/png"
    (row,) = owner.get(container, format="json").json
    assert row["content_type"] == "image/png"
    assert row["bytes"] == len(ALPHABET)
    assert row["hash"] == md5(ALPHABET)


def test_a_put_after_a_post_starts_anew(owner: Client, path: str) -> None:
    owner.put(path, b"1", {"X-Object-Meta-A": "1"})
    owner.post(path, {"X-Object-Meta-B": "2"})
    owner.put(path, b"2")
    head = owner.head(path)
    assert head.get("X-Object-Meta-A") is None
    assert head.get("X-Object-Meta-B") is None


def test_the_systems_own_headers_do_not_pass(owner: Client, path: str) -> None:
    hidden = {
        "X-Object-Sysmeta-Secret": "1",
        "X-Object-Transient-Sysmeta-Secret": "1",
        "X-Backend-Secret": "1",
        "X-Timestamp": "0000000001.00000",
    }
    owner.put(path, b"x", hidden)
    got = owner.get(path)
    assert not [name for name in got.headers if "sysmeta" in name.lower() or "backend" in name.lower()]
    assert float(got["X-Timestamp"]) > 1_000_000_000
    assert got.get("X-Backend-Secret") is None


def test_container_totals_count_at_once(owner: Client, container: str) -> None:
    owner.put(f"{container}/a", b"123")
    owner.put(f"{container}/b", b"4567")
    head = owner.head(container)
    assert (head["X-Container-Object-Count"], head["X-Container-Bytes-Used"]) == ("2", "7")
    owner.put(f"{container}/a", b"1")
    owner.delete(f"{container}/b")
    head = owner.head(container)
    assert (head["X-Container-Object-Count"], head["X-Container-Bytes-Used"]) == ("1", "1")
