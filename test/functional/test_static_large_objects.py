"""Static large objects: manifests that clients write, over segments that are objects of their own."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from http.client import IncompleteRead
from typing import Any
from urllib.parse import quote

import pytest
from harness.client import Answer, Client
from harness.layouts import ONE_DEVICE
from harness.store import Store

pytestmark = ONE_DEVICE

PUT = {"multipart-manifest": "put"}
LIST = {"multipart-manifest": "get"}
DELETE = {"multipart-manifest": "delete"}
AS_JSON = {"Accept": "application/json"}
PARTS = {"a": b"aaaaa", "b": b"bbbbbb", "c": b"ccc"}


def md5(data: bytes | str) -> str:
    return hashlib.md5(data.encode() if isinstance(data, str) else data).hexdigest()


class Shop:
    """A container of manifests and one of segments `a`, `b` and `c`."""

    def __init__(self, owner: Client, container: str, segments: str) -> None:
        self.owner = owner
        self.container = container
        self.segments = segments
        for name, data in PARTS.items():
            assert owner.put(f"{segments}/{name}", data).status == 201

    def path(self, name: str) -> str:
        return f"/{self.segments}/{name}"

    def put(
        self, name: str, entries: object, headers: dict[str, str] | None = None, query: dict[str, str] | None = None
    ) -> Answer:
        body = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
        return self.owner.request("PUT", f"{self.container}/{name}", headers, body, {**PUT, **(query or {})})

    def make(self, name: str, *paths: str, **headers: str) -> None:
        answer = self.put(name, [{"path": self.path(path)} for path in paths], headers)
        assert answer.status == 201, answer

    def get(self, name: str, headers: dict[str, str] | None = None, /, **query: str | int) -> Answer:
        return self.owner.get(f"{self.container}/{name}", headers, **query)

    def head(self, name: str, headers: dict[str, str] | None = None, /, **query: str | int) -> Answer:
        return self.owner.head(f"{self.container}/{name}", headers, **query)

    def delete(self, name: str, **query: str) -> Any:
        answer = self.owner.request("DELETE", f"{self.container}/{name}", AS_JSON, query={**DELETE, **query})
        assert answer.status == 200, answer
        return answer.json

    def row(self, name: str) -> dict[str, Any]:
        rows = self.owner.get(self.container, format="json", prefix=name, limit=1).json
        row: dict[str, Any] = rows[0]
        return row


@pytest.fixture
def shop(owner: Client, new_container: Callable[[], str]) -> Shop:
    return Shop(owner, new_container(), new_container())


def test_a_manifest_of_all_kinds_of_segments(shop: Shop) -> None:
    answer = shop.put(
        "o",
        [
            {"path": shop.path("a"), "etag": md5(PARTS["a"]), "size_bytes": 5},
            {"path": shop.path("b")[1:], "range": "1-3"},
            {"data": base64.b64encode(b"hello").decode()},
            {"path": shop.path("c"), "etag": None, "size_bytes": None, "range": None},
        ],
        {"Content-Type": "text/plain; charset=utf-8", "X-Object-Meta-Foo": "bar"},
    )
    etag = md5(f"{md5(PARTS['a'])}{md5(PARTS['b'])}:1-3;{md5('hello')}{md5(PARTS['c'])}")
    assert (answer.status, answer["Etag"], answer.body) == (201, f'"{etag}"', b"")
    whole = b"aaaaabbbhelloccc"
    head = shop.head("o")
    assert (head["Content-Length"], head["Etag"], head["X-Static-Large-Object"]) == ("16", f'"{etag}"', "True")
    assert (head["Content-Type"], head["X-Object-Meta-Foo"]) == ("text/plain; charset=utf-8", "bar")
    assert shop.get("o").body == whole
    listed = shop.get("o", **LIST)
    assert listed["Etag"] == md5(listed.body) == head["X-Manifest-Etag"]
    assert listed["Content-Type"] == "application/json; charset=utf-8" and "X-Manifest-Etag" not in listed.headers
    assert [sorted(row) for row in listed.json][1] == sorted(
        ["name", "bytes", "hash", "content_type", "last_modified", "range"]
    )
    assert [row.get("bytes") for row in listed.json] == [5, 6, None, 3]
    assert shop.head("o", **LIST)["Content-Length"] == str(len(listed.body))
    raw = shop.get("o", **LIST, format="raw")
    assert raw["Content-Type"] == "text/plain; charset=utf-8" and raw["Etag"] == md5(raw.body)
    assert raw.json[1] == {"etag": md5(PARTS["b"]), "path": shop.path("b"), "range": "1-3", "size_bytes": 6}
    assert shop.put("again", raw.body)["Etag"] == f'"{etag}"'
    for start in range(16):
        for stop in range(start + 1, 17):
            part = shop.get("o", {"Range": f"bytes={start}-{stop - 1}"})
            assert (part.status, part.body) == (206, whole[start:stop]), (start, stop)
            assert part["Content-Range"] == f"bytes {start}-{stop - 1}/16"
    assert shop.get("o", {"Range": "bytes=16-"}).status == 416


def test_several_ranges(shop: Shop) -> None:
    shop.make("o", "a", "b", "c")
    answer = shop.get("o", {"Range": "bytes=0-1,4-6,-1"})
    boundary = answer["Content-Type"].partition("boundary=")[2].encode()
    pieces = [piece.partition(b"\r\n\r\n")[2].rstrip(b"\r\n") for piece in answer.body.split(b"--" + boundary)[1:-1]]
    assert (answer.status, pieces) == (206, [b"aa", b"abb", b"c"])


def test_listings_show_the_whole_size_and_usage_that_of_the_list(shop: Shop) -> None:
    shop.make("o", "a", "b")
    head = shop.head("o")
    row = shop.row("o")
    assert (row["bytes"], row["hash"], row["slo_etag"]) == (11, head["X-Manifest-Etag"], head["Etag"])
    shop.make("typed", "a", **{"Content-Type": 'text/plain; charset=utf-8;  q="a; b"'})
    assert shop.row("typed")["content_type"] == 'text/plain;charset=utf-8;q="a; b"'
    assert shop.head("typed")["Content-Type"] == 'text/plain; charset=utf-8;  q="a; b"'
    assert shop.owner.delete(f"{shop.container}/typed").status == 204
    size = int(shop.head("o", **LIST)["Content-Length"])
    assert shop.owner.head(shop.container)["X-Container-Bytes-Used"] == str(size)
    answer = shop.owner.post(f"{shop.container}/o", {"Content-Type": "x/y"})
    assert answer.status == 202
    changed = shop.head("o")
    assert (changed["Content-Type"], changed["Etag"], changed["X-Static-Large-Object"]) == ("x/y", head["Etag"], "True")
    row = shop.row("o")
    assert (row["bytes"], row["slo_etag"], row["content_type"]) == (11, head["Etag"], "x/y")
    assert shop.get("o").body == b"aaaaabbbbbb"


def test_parts_by_number(shop: Shop) -> None:
    shop.make("inner", "a", "b")
    assert shop.put("o", [{"path": f"/{shop.container}/inner"}, {"path": shop.path("c")}]).status == 201
    for number, part, place in ((1, b"aaaaabbbbbb", "0-10"), (2, b"ccc", "11-13")):
        answer = shop.get("o", **{"part-number": number})
        head = shop.head("o", **{"part-number": number})
        assert (answer.status, answer.body, answer["X-Parts-Count"]) == (206, part, "2")
        assert answer["Content-Range"] == head["Content-Range"] == f"bytes {place}/14"
        assert (head.status, head["Content-Length"], head["X-Parts-Count"]) == (206, str(len(part)), "2")
    beyond = shop.get("o", **{"part-number": 3})
    assert (beyond.status, beyond["X-Parts-Count"], beyond["Content-Range"]) == (416, "2", "bytes */14")
    for wrong in ("0", "x", "-1", "9" * 5000):
        assert shop.get("o", **{"part-number": wrong}).status == 400, wrong
    assert shop.get("o", {"Range": "bytes=0-1"}, **{"part-number": 1}).status == 400
    plain = shop.owner.get(f"{shop.segments}/a", **{"part-number": 7})
    assert (plain.status, plain.body) == (200, b"aaaaa")


def test_conditions_take_either_etag(shop: Shop) -> None:
    shop.make("o", "a")
    head = shop.head("o")
    for etag in (head["Etag"], f'"{head["X-Manifest-Etag"]}"'):
        assert shop.get("o", {"If-Match": etag}).status == 200
        assert shop.get("o", {"If-None-Match": etag}).status == 304
    assert shop.get("o", {"If-Match": '"x"'}).status == 412
    assert shop.get("o", {"If-Match": head["Etag"]}, **LIST).status == 200
    assert shop.put("o", [{"path": shop.path("b")}], {"If-None-Match": "*"}).status == 412
    assert shop.put("o", [{"path": shop.path("b")}], {"If-Match": head["Etag"]}).status == 201
    assert shop.get("o").body == PARTS["b"]


BAD: list[tuple[object, str]] = [
    (b"", "valid JSON"),
    (b"\xff", "valid JSON"),
    ({}, "must be a list"),
    ([1], "Index 0"),
    ([[]], "must be a list"),
    ([{"path": "/a"}], "Index 0: path does not refer to an object"),
    ([{"path": "/a//"}], "Index 0: path does not refer to an object"),
    ([{"path": 5}], '"path" must be a string'),
    ([{}], '"path" must be a string'),
    ([{"path": "/S/a", "x": 1}], 'extraneous keys "x"'),
    ([{"path": "/S/a", "size_bytes": "x"}], "invalid size_bytes"),
    ([{"path": "/S/a", "size_bytes": True}], "invalid size_bytes"),
    ([{"path": "/S/a", "size_bytes": 1.5}], "invalid size_bytes"),
    (b'[{"path": "/S/a", "size_bytes": 1e999}]', "invalid size_bytes"),
    (b'[{"path": "/S/a", "size_bytes": ' + b"9" * 5000 + b"}]", "valid JSON"),
    ([{"path": "/S/a", "size_bytes": 10**30}], "Size Mismatch"),
    ([{"path": "/S/a", "size_bytes": -1}], "Size Mismatch"),
    ([{"path": "/S/a", "etag": 5}], '"etag" must be a string'),
    ([{"path": "/S/a", "etag": "zz"}], "Etag Mismatch"),
    ([{"path": "/S/a", "range": 5}], "invalid range"),
    ([{"path": "/S/a", "range": "3-1"}], "invalid range"),
    ([{"path": "/S/a", "range": "bytes=1-2"}], "invalid range"),
    ([{"path": "/S/a", "range": "0-1,3-4"}], "multiple ranges"),
    ([{"path": "/S/a", "range": "9-"}], "Unsatisfiable Range"),
    ([{"path": "/S/a", "range": "-0"}], "Unsatisfiable Range"),
    ([{"path": "/S/none"}], "404 Not Found"),
    ([{"path": "/nowhere-at-all/a"}], "404 Not Found"),
    ([{"path": "/S/empty"}], "Too Small"),
    ([{"path": "/C/bad"}], "must not include itself"),
    ([{"path": "/\x00parts\x00S/a"}], "NUL"),
    ([{"path": "/S/\ud800"}], "UTF-8"),
    ([{"path": "/S/" + "x" * 1100}], "longer than"),
    ([{"data": "aGVsbG8="}], "at least one object-backed"),
    ([{"path": "/S/a"}, {"data": "a"}], "Index 1: data must be valid base64"),
    ([{"path": "/S/a"}, {"data": ""}], "Index 1: too small"),
    ([{"path": "/S/a"}, {"data": 5}], "Index 1: data must be valid base64"),
    ([{"path": "/S/a", "data": "aGVsbG8="}], 'extraneous keys "path"'),
]


@pytest.mark.parametrize(("entries", "problem"), BAD, ids=[str(number) for number in range(len(BAD))])
def test_a_document_with_a_problem_is_refused(shop: Shop, entries: object, problem: str) -> None:
    shop.owner.put(f"{shop.segments}/empty", b"")
    body = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    for short, container in ((b"/S/", shop.segments), (b"/C/", shop.container)):
        body = body.replace(short, f"/{container}/".encode())
    answer = shop.put("bad", body)
    assert answer.status == 400 and problem in answer.text, answer
    assert shop.head("bad").status == 404


def test_documents_that_are_too_large(shop: Shop) -> None:
    many = b"[" + b",".join([json.dumps({"path": shop.path("a")}).encode()] * 1001) + b"]"
    for body in (
        many,
        b"[" + b"{}," * 1_000_000 + b"{}]",
        b"[" + b"1," * 1_000_000 + b"1]",
        b"[" + b'"",' * 1_000_000 + b'""]',
        b" " * (8 << 20) + b"[]",
    ):
        assert shop.put("bad", body).status == 413
    for body in (b"[" * 1_000_000, b"[" + b"[]," * 1000 + b"[]]", b'{"a":' * 1900 + b"1", b'[{"a":' * 900 + b"1"):
        assert shop.put("bad", body).status == 400
    assert shop.head("bad").status == 404


def test_all_problems_are_listed_in_the_format_of_the_client(shop: Shop) -> None:
    entries = [{"path": shop.path("a"), "size_bytes": 6, "etag": "zz"}, {"path": shop.path("nö")}]
    a, none = shop.path("a"), quote(shop.path("nö"))
    answer = shop.put("o", entries)
    assert answer["Content-Type"] == "text/plain"
    assert answer.text == f"Errors:\n{a}, Size Mismatch\n{a}, Etag Mismatch\n{none}, 404 Not Found\n"
    answer = shop.put("o", entries, AS_JSON)
    assert answer.json == {"Errors": [[a, "Size Mismatch"], [a, "Etag Mismatch"], [none, "404 Not Found"]]}
    answer = shop.put("o", entries, {"Accept": "text/xml"})
    assert answer["Content-Type"] == "text/xml"
    assert f"<object><name>{none}</name><status>404 Not Found</status></object>" in answer.text


def test_one_of_a_thousand_segments_is_missing(shop: Shop) -> None:
    paths = [shop.path("a")] * 1000
    paths[617] = shop.path("gone")
    answer = shop.put("o", [{"path": path} for path in paths])
    assert answer.text == f"Errors:\n{shop.path('gone')}, 404 Not Found\n"
    assert shop.put("o", [{"path": shop.path("abc"[number % 3])} for number in range(1000)]).status == 201
    assert shop.get("o").body == (b"aaaaabbbbbbccc" * 334)[: 5 * 334 + 6 * 333 + 3 * 333]


def test_the_etag_of_the_request(shop: Shop) -> None:
    entries = [{"path": shop.path("a")}]
    assert shop.put("o", entries, {"Etag": "abc"}).status == 422
    assert shop.head("o").status == 404
    assert shop.put("o", entries, {"Etag": md5(md5(PARTS["a"]))}).status == 201


@pytest.mark.parametrize("accept", ["application/json", "text/xml", "text/plain"])
def test_heartbeats(shop: Shop, accept: str) -> None:
    entries = [{"path": shop.path("a")}]
    headers = {"Accept": accept}
    answer = shop.put("o", entries, headers, {"heartbeat": "on"})
    etag = md5(md5(PARTS["a"]))
    assert (answer.status, answer["Content-Type"]) == (202, accept)
    assert answer.body.startswith(b" \r\n\r\n") and "201 Created" in answer.text and etag in answer.text
    assert shop.get("o").body == PARTS["a"]
    answer = shop.put("p", [*entries, {"path": shop.path("gone")}], headers, {"heartbeat": "on"})
    assert answer.status == 202 and "400 Bad Request" in answer.text and "404 Not Found" in answer.text
    answer = shop.put("o", entries, {**headers, "If-None-Match": "*"}, {"heartbeat": "on"})
    assert answer.status == 202 and "412 Precondition Failed" in answer.text
    answer = shop.put("o", entries, {**headers, "Etag": "abc"}, {"heartbeat": "on"})
    assert answer.status == 202 and "422 Unprocessable Entity" in answer.text
    assert shop.put("o", b"x", headers, {"heartbeat": "on"}).status == 400
    if accept == "application/json":
        assert shop.put("o", entries, headers, {"heartbeat": "on"}).json["Response Status"] == "201 Created"


def test_a_segment_is_gone(shop: Shop) -> None:
    large = b"x" * 70_000
    shop.owner.put(f"{shop.segments}/large", large)
    shop.make("first", "a", "b")
    shop.make("second", "large", "a", "b")
    shop.make("third", "b", "a")
    assert shop.owner.delete(f"{shop.segments}/a").status == 204
    assert shop.head("first").status == 200
    assert shop.get("first").status == 409
    with pytest.raises((IncompleteRead, ConnectionResetError)):
        shop.get("second")
    assert shop.get("second", {"Range": "bytes=0-69999"}).body == large
    assert shop.get("second", {"Range": "bytes=70001-"}).status == 409
    assert shop.get("third").status == 409  # small segments are opened before the answer
    shop.owner.put(f"{shop.segments}/a", b"other")
    assert shop.get("first").status == 409


def test_large_objects_as_segments(shop: Shop) -> None:
    shop.make("inner", "a", "b")
    path = f"/{shop.container}/inner"
    assert shop.put("o", [{"path": path}, {"path": path, "range": "3-7"}, {"path": shop.path("c")}]).status == 201
    assert shop.get("o").body == b"aaaaabbbbbb" + b"aabbb" + b"ccc"
    assert shop.get("o", {"Range": "bytes=9-13"}).body == b"bbaab"
    rows = shop.get("o", **LIST).json
    etag = shop.head("inner")["Etag"].strip('"')
    assert [(row.get("sub_slo"), row["hash"]) for row in rows[:2]] == [(True, etag)] * 2
    assert "sub_slo" not in rows[2]
    for depth in range(10):
        before = f"/{shop.container}/deep-{depth - 1}" if depth else shop.path("a")
        assert shop.put(f"deep-{depth}", [{"path": before}]).status == 201
    assert shop.get("deep-9").body == b"aaaaa"
    answer = shop.put("deep-10", [{"path": f"/{shop.container}/deep-9"}])
    assert answer.status == 201 and "cannot be read" in answer.text
    assert shop.get("deep-10").status == 409


def test_manifests_that_list_each_other_do_not_loop(shop: Shop) -> None:
    shop.make("one", "a")
    assert shop.put("two", [{"path": f"/{shop.container}/one"}]).status == 201
    assert shop.put("one", [{"path": f"/{shop.container}/two"}]).status == 201
    assert shop.get("one").status == 409
    counts = shop.delete("one")
    assert counts["Number Deleted"] == 2 and counts["Response Status"] == "200 OK"


def test_copies(shop: Shop) -> None:
    owner = shop.owner
    shop.make("o", "a", "b", **{"X-Object-Meta-Color": "blue", "Content-Type": "x/y"})
    head = shop.head("o")
    assert owner.copy(f"{shop.container}/o", f"{shop.container}/content").status == 201
    content = shop.head("content")
    assert content["Etag"] == md5(b"aaaaabbbbbb") and content.get("X-Static-Large-Object") is None
    destination = {"Destination": f"{shop.container}/manifest"}
    answer = owner.request("COPY", f"{shop.container}/o", destination, query=LIST)
    assert (answer.status, answer["Etag"]) == (201, head["Etag"])
    source = {"X-Copy-From": f"{shop.container}/o", "Content-Length": "0"}
    assert owner.request("PUT", f"{shop.container}/manifest2", source, query=LIST).status == 201
    for name in ("manifest", "manifest2"):
        copied = shop.head(name)
        assert (copied["Etag"], copied["X-Manifest-Etag"]) == (head["Etag"], head["X-Manifest-Etag"])
        assert (copied["Content-Type"], copied["X-Object-Meta-Color"]) == ("x/y", "blue")
        assert shop.get(name).body == b"aaaaabbbbbb"
    assert owner.request("PUT", f"{shop.container}/no", source, query=PUT).status == 400
    owner.delete(f"{shop.segments}/a")
    answer = owner.request("COPY", f"{shop.container}/o", destination, query=LIST)
    assert answer.status == 400 and "404 Not Found" in answer.text
    assert owner.request("COPY", f"{shop.segments}/b", destination, query=LIST).status == 201
    assert shop.get("manifest").body == PARTS["b"]


def test_clients_cannot_make_a_manifest_by_headers(shop: Shop) -> None:
    owner = shop.owner
    assert owner.put(f"{shop.container}/x", b"[]", {"X-Static-Large-Object": "True"}).status == 400
    forged = {
        "X-Object-Sysmeta-Manifest": "json",
        "X-Object-Sysmeta-Manifest-Owns": quote(f"{shop.segments}/"),
        "X-Object-Sysmeta-Manifest-Etag": "e",
        "X-Object-Sysmeta-Manifest-Size": "1",
    }
    assert owner.put(f"{shop.container}/x", b"[]", forged).status == 201
    assert shop.get("x").body == b"[]" and shop.head("x").get("X-Static-Large-Object") is None
    assert shop.put("y", [{"path": shop.path("a")}], forged).status == 201
    assert shop.get("y").body == b"aaaaa"
    assert owner.delete(f"{shop.container}/y").status == 204
    time.sleep(0.2)
    assert sorted(owner.names(shop.segments)) == ["a", "b", "c"]


def test_delete_with_segments(shop: Shop) -> None:
    shop.make("inner", "a", "b")
    assert shop.put("o", [{"path": f"/{shop.container}/inner"}, {"path": shop.path("c")}]).status == 201
    expected = {"Number Deleted": 5, "Number Not Found": 0, "Response Status": "200 OK", "Response Body": ""}
    assert shop.delete("o") == {**expected, "Errors": []}
    assert shop.owner.names(shop.container) == shop.owner.names(shop.segments) == []
    assert shop.delete("o") == {**expected, "Number Deleted": 0, "Number Not Found": 1, "Errors": []}
    shop.owner.put(f"{shop.container}/plain", b"x")
    counts = shop.delete("plain")
    assert counts["Response Status"] == "400 Bad Request" and counts["Number Deleted"] == 0
    assert counts["Errors"] == [[f"/{shop.container}/plain", "Not an SLO manifest"]]
    assert shop.get("plain").body == b"x"


def test_delete_with_segments_of_which_one_is_gone(shop: Shop) -> None:
    shop.make("o", "a", "b")
    shop.owner.delete(f"{shop.segments}/a")
    answer = shop.owner.request("DELETE", f"{shop.container}/o", query=DELETE)
    assert answer["Content-Type"] == "text/plain"
    assert answer.text == "Number Deleted: 2\nNumber Not Found: 1\nResponse Body: \nResponse Status: 200 OK\nErrors:\n"


def test_an_expired_manifest_is_deleted_with_its_segments(shop: Shop) -> None:
    answer = shop.put("o", [{"path": shop.path("a")}], {"X-Delete-After": "1"})
    assert answer.status == 201
    time.sleep(2.1)
    assert shop.head("o").status == 404
    assert shop.delete("o")["Number Deleted"] == 1
    assert sorted(shop.owner.names(shop.segments)) == ["b", "c"]


def test_the_answer_warns_of_segments_that_expire_before_the_manifest(shop: Shop) -> None:
    shop.owner.put(f"{shop.segments}/soon", b"x", {"X-Delete-After": "1000"})
    entries = [{"path": shop.path("soon")}, {"path": shop.path("a")}]
    answer = shop.put("o", entries, AS_JSON)
    assert answer.status == 201 and answer.json["Warnings"][0][0] == shop.path("soon")
    assert shop.put("o", entries, {**AS_JSON, "X-Delete-After": "100"}).body == b""
    assert "Warnings" in shop.put("o", entries, AS_JSON, {"heartbeat": "on"}).json


def test_who_reads_a_large_object_must_be_permitted_to_read_its_segments(shop: Shop, anonymous: Client) -> None:
    shop.make("o", "a", "b")
    path = f"{shop.container}/o"
    assert shop.owner.post(shop.container, {"X-Container-Read": ".r:*"}).status == 204
    ranged = {"Range": "bytes=0-1"}
    for headers in ({}, ranged):
        assert [anonymous.request(method, path, headers).status for method in ("GET", "HEAD")] == [401, 401]
    assert shop.owner.post(shop.segments, {"X-Container-Read": ".r:*"}).status == 204
    assert anonymous.get(path).body == b"aaaaabbbbbb" and anonymous.head(path).status == 200


def test_a_large_object_over_many_containers(shop: Shop, anonymous: Client, new_container: Callable[[], str]) -> None:
    containers = [new_container() for _ in range(3)]
    long = "x" * 1000
    entries = []
    for container in containers:
        assert shop.owner.put(f"{container}/{long}", b"1").status == 201
        entries.append({"path": f"/{container}/{long}"})
    assert shop.put("o", entries).status == 201 and shop.get("o").body == b"111"
    for container in (shop.container, *containers[:-1]):
        assert shop.owner.post(container, {"X-Container-Read": ".r:*"}).status == 204
    assert anonymous.head(f"{shop.container}/o").status == 401
    shop.owner.post(containers[-1], {"X-Container-Read": ".r:*"})
    assert anonymous.head(f"{shop.container}/o").status == 200
    assert anonymous.get(f"{shop.container}/o").body == b"111"


def test_rights_of_other_users(shop: Shop, store: Store) -> None:
    user = shop.owner.with_token(store.add_user("slofriends:anna").token)
    shop.owner.post(shop.container, {"X-Container-Write": "slofriends:anna", "X-Container-Read": "slofriends:anna"})
    entries = json.dumps([{"path": shop.path("a")}]).encode()
    answer = user.request("PUT", f"{shop.container}/o", None, entries, PUT)
    assert answer.status == 400 and "403 Forbidden" in answer.text
    shop.owner.post(shop.segments, {"X-Container-Read": "slofriends:anna"})
    assert user.request("PUT", f"{shop.container}/o", None, entries, PUT).status == 201
    counts = user.request("DELETE", f"{shop.container}/o", AS_JSON, query=DELETE).json
    assert counts["Errors"] == [[shop.path("a"), "403 Forbidden"]] and counts["Response Status"] == "400 Bad Request"
    assert shop.owner.head(f"{shop.segments}/a").status == 200


def test_delete_with_segments_that_go_later(shop: Shop) -> None:
    shop.make("o", "a", "b")
    answer = shop.owner.request("DELETE", f"{shop.container}/o", AS_JSON, query={**DELETE, "async": "true"})
    assert (answer.status, answer.body) == (204, b"")
    assert shop.head("o").status == 404
    kept = shop.owner.get(f"{shop.segments}/a")
    assert kept.body == b"aaaaa" and kept.get("X-Delete-At") is None
    assert sorted(shop.owner.names(shop.segments)) == ["a", "b", "c"]
    answer = shop.owner.request("DELETE", f"{shop.container}/o", query={**DELETE, "async": "true"})
    assert (answer.status, answer.text) == (404, "SLO manifest not found")
    answer = shop.owner.request("DELETE", f"{shop.segments}/a", query={**DELETE, "async": "true"})
    assert (answer.status, answer.text) == (400, "Not an SLO manifest")
    shop.owner.put(f"{shop.container}/x", b"x")
    assert shop.put("p", [{"path": shop.path("c")}, {"path": f"/{shop.container}/x"}]).status == 201
    answer = shop.owner.request("DELETE", f"{shop.container}/p", query={**DELETE, "async": "true"})
    assert answer.status == 400 and "must be in one container" in answer.text and shop.get("p").body == b"cccx"


def test_links_as_segments_and_links_to_large_objects(shop: Shop) -> None:
    owner = shop.owner
    link = {"X-Symlink-Target": f"{shop.segments}/a"}
    assert owner.put(f"{shop.segments}/link", b"", link).status == 201
    assert shop.put("o", [{"path": shop.path("link")}, {"path": shop.path("b"), "range": "0-1"}]).status == 201
    assert shop.get("o").body == b"aaaaabb"
    assert owner.put(f"{shop.container}/to-o", b"", {"X-Symlink-Target": f"{shop.container}/o"}).status == 201
    assert shop.get("to-o").body == b"aaaaabb" and shop.head("to-o")["X-Static-Large-Object"] == "True"
    assert shop.get("to-o", {"Range": "bytes=4-5"}).body == b"ab"
    assert shop.put("over-link", [{"path": f"/{shop.container}/to-o"}]).status == 201
    assert shop.get("over-link").body == b"aaaaabb"
    counts = shop.delete("to-o")
    assert counts["Errors"] == [[f"/{shop.container}/to-o", "Not an SLO manifest"]] and counts["Number Deleted"] == 0
    assert shop.get("o").body == b"aaaaabb"


def test_the_rights_to_what_links_of_segments_lead_to(
    shop: Shop, anonymous: Client, new_container: Callable[[], str]
) -> None:
    private = new_container()
    shop.owner.put(f"{private}/secret", b"secret")
    shop.owner.put(f"{shop.segments}/link", b"", {"X-Symlink-Target": f"{private}/secret"})
    shop.make("o", "link")
    for container in (shop.container, shop.segments):
        shop.owner.post(container, {"X-Container-Read": ".r:*"})
    assert anonymous.get(f"{shop.container}/o").status == 401
    shop.owner.post(private, {"X-Container-Read": ".r:*"})
    assert anonymous.get(f"{shop.container}/o").body == b"secret"


def test_dynamic_and_static_large_objects_below_each_other(shop: Shop) -> None:
    owner = shop.owner
    assert owner.put(f"{shop.segments}/d", b"", {"X-Object-Manifest": f"{shop.segments}/a"}).status == 201
    shop.make("o", "d", "b")
    assert shop.get("o").body == b"aaaaabbbbbb"
    owner.put(f"{shop.container}/over", b"", {"X-Object-Manifest": f"{shop.container}/o"})
    assert shop.get("over").body == b"aaaaabbbbbb"
    assert owner.post(f"{shop.container}/o", {"X-Object-Manifest": f"{shop.segments}/c"}).status == 202
    assert shop.get("o").body == b"aaaaabbbbbb"


def test_a_tower_of_dynamic_and_static_large_objects_ends(shop: Shop) -> None:
    owner, below = shop.owner, shop.path("a")
    for level in range(30):
        assert shop.put(f"s-{level:02}-", [{"path": below}]).status == 201
        dynamic = {"X-Object-Manifest": f"{shop.container}/s-{level:02}-"}
        assert owner.put(f"{shop.segments}/d-{level:02}", b"", dynamic).status == 201
        below = shop.path(f"d-{level:02}")
    assert shop.get("s-00-").body == shop.get("s-04-").body == b"aaaaa"
    assert shop.get("s-29-").status == 409


def test_a_temporary_url_opens_only_segments_within_its_scope(shop: Shop, anonymous: Client) -> None:
    owner, container = shop.owner, shop.container
    owner.put(f"{container}/own", b"own")
    assert shop.put("inside", [{"path": f"/{container}/own"}]).status == 201
    shop.make("beyond", "a")

    def get(name: str, key: str) -> Answer:
        path, expires = f"{owner.root}/{container}/{name}", str(int(time.time()) + 100)
        signature = hmac.new(key.encode(), f"GET\n{expires}\n{path}".encode(), "sha256").hexdigest()
        return anonymous.get(f"{container}/{name}", temp_url_sig=signature, temp_url_expires=expires)

    owner.post(container, {"X-Container-Meta-Temp-Url-Key": "of-container"})
    assert get("inside", "of-container").body == b"own"
    assert get("beyond", "of-container").status == 401
    owner.post("", {"X-Account-Meta-Temp-Url-Key": "of-account"})
    try:
        assert get("inside", "of-account").body == b"own" and get("beyond", "of-account").body == b"aaaaa"
    finally:
        owner.post("", {"X-Remove-Account-Meta-Temp-Url-Key": "x"})


@pytest.fixture
def versioned(shop: Shop) -> Shop:
    """The container of manifests keeps versions."""
    assert shop.owner.post(shop.container, {"X-Versions-Enabled": "true"}).status == 204
    return shop


def test_large_objects_are_versions(versioned: Shop) -> None:
    shop = versioned
    shop.make("o", "a", "b")
    first = shop.head("o")
    shop.make("o", "c")
    assert shop.get("o").body == b"ccc"
    version = {"version-id": first["X-Object-Version-Id"]}
    assert shop.get("o", **version).body == b"aaaaabbbbbb"
    assert shop.head("o", **version)["Etag"] == first["Etag"]
    assert shop.get("o", {"Range": "bytes=4-5"}, **version).body == b"ab"
    part = shop.get("o", **version, **{"part-number": 2})
    assert (part.body, part["X-Object-Version-Id"]) == (b"bbbbbb", version["version-id"])
    beyond = shop.head("o", **version, **{"part-number": 3})
    assert (beyond.status, beyond["X-Object-Version-Id"]) == (416, version["version-id"])
    assert [row["name"] for row in shop.get("o", **version, **LIST).json] == [shop.path("a"), shop.path("b")]
    rows = shop.owner.get(shop.container, format="json", versions="").json
    assert [(row["bytes"], row["slo_etag"]) for row in rows] == [
        (3, shop.head("o")["Etag"]), (11, first["Etag"]),
    ]  # fmt: skip
    row = shop.row("o")
    assert (row["bytes"], row["slo_etag"], row["hash"]) == (
        3,
        shop.head("o")["Etag"],
        shop.head("o")["X-Manifest-Etag"],
    )


def test_segments_stay_while_a_version_needs_them(versioned: Shop) -> None:
    shop = versioned
    shop.make("o", "a", "b")
    first = shop.head("o")["X-Object-Version-Id"]
    assert shop.delete("o")["Number Deleted"] == 1
    assert shop.head("o").status == 404
    assert shop.get("o", **{"version-id": first}).body == b"aaaaabbbbbb"
    shop.make("o", "b", "c")
    second = shop.head("o")["X-Object-Version-Id"]
    assert shop.delete("o", **{"version-id": first})["Number Deleted"] == 2  # the version, and `a`
    assert sorted(shop.owner.names(shop.segments)) == ["b", "c"]
    assert shop.get("o").body == b"bbbbbbccc"
    assert shop.delete("o", **{"async": "true"})["Number Deleted"] == 1
    assert shop.delete("o", **{"version-id": second})["Number Deleted"] == 3
    assert shop.owner.names(shop.segments) == []


def test_a_history_in_another_container_keeps_large_objects(shop: Shop, new_container: Callable[[], str]) -> None:
    history = new_container()
    assert shop.owner.post(shop.container, {"X-History-Location": history}).status == 204
    shop.make("o", "a", "b")
    shop.make("o", "c")
    assert shop.delete("o")["Number Deleted"] == 1
    names = shop.owner.names(history)
    assert [shop.owner.get(f"{history}/{name}").body for name in names] == [b"aaaaabbbbbb", b"ccc", b""]
    assert sorted(shop.owner.names(shop.segments)) == ["a", "b", "c"]


def test_segments_in_a_container_that_keeps_versions(shop: Shop) -> None:
    assert shop.owner.post(shop.segments, {"X-Versions-Enabled": "true"}).status == 204
    shop.owner.put(f"{shop.segments}/v", b"one")
    shop.make("o", "v", "a")
    assert shop.get("o").body == b"oneaaaaa"
    shop.owner.put(f"{shop.segments}/v", b"two")
    assert shop.get("o").status == 409
    assert shop.delete("o")["Number Deleted"] == 3
    assert shop.owner.names(shop.segments) == ["b", "c"]


def test_info(owner: Client) -> None:
    info = owner.send("GET", "/info").json["slo"]
    assert info["max_manifest_segments"] == 1000 and info["max_manifest_size"] == 8 << 20
    assert info["min_segment_size"] == 1 and info["allow_async_delete"] is True
