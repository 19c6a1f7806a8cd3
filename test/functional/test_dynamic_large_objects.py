"""Dynamic large objects (Swift: DLO) as clients see them."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from harness.client import Client
from harness.layouts import ONE_DEVICE
from harness.store import Store

pytestmark = ONE_DEVICE
PARTS = (b"aaaa", b"bbbb", b"cccc")
WHOLE = b"".join(PARTS)


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


ETAG = md5("".join(map(md5, PARTS)).encode())


class Large:
    """A container `here`, whose object `d` has the segments `s/0` to `s/2` of the container `there`."""

    def __init__(self, owner: Client, here: str, there: str) -> None:
        self.owner, self.here, self.there = owner, here, there
        for number, part in enumerate(PARTS):
            assert owner.put(f"{there}/s/{number}", part).status == 201
        self.path = f"{here}/d"
        made = self.manifest("d", f"{there}/s/", b"mine", {"X-Object-Meta-A": "1", "Content-Type": "a/b"})
        assert made == 201

    def manifest(self, key: str, value: str, body: bytes = b"", headers: dict[str, str] | None = None) -> int:
        return self.owner.put(f"{self.here}/{key}", body, {"X-Object-Manifest": value, **(headers or {})}).status


@pytest.fixture
def large(owner: Client, new_container: Callable[[], str]) -> Large:
    return Large(owner, new_container(), new_container())


def test_the_content_is_that_of_the_segments(owner: Client, large: Large) -> None:
    for answer in (owner.get(large.path), owner.head(large.path)):
        assert answer.status == 200 and answer["Etag"] == f'"{ETAG}"' and answer["Content-Length"] == "12"
        assert answer["X-Object-Manifest"] == f"{large.there}/s/" and answer["X-Object-Meta-A"] == "1"
        assert answer["Content-Type"] == "a/b" and answer.get("X-Manifest-Etag") is None
    assert owner.get(large.path).body == WHOLE


def test_the_own_body(owner: Client, large: Large) -> None:
    own = owner.get(large.path, **{"multipart-manifest": "get"})
    assert own.body == b"mine" and own["Etag"] == md5(b"mine") and own["Content-Type"] == "a/b"
    assert owner.head(large.path, **{"multipart-manifest": "get"})["Content-Length"] == "4"
    (row,) = owner.get(large.here, format="json").json
    assert row["bytes"] == 4 and row["hash"] == md5(b"mine")


def test_ranges(owner: Client, large: Large) -> None:
    part = owner.get(large.path, {"Range": "bytes=2-5"})
    assert part.status == 206 and part.body == b"aabb" and part["Content-Range"] == "bytes 2-5/12"
    assert owner.get(large.path, {"Range": "bytes=-3"}).body == b"ccc"
    assert owner.get(large.path, {"Range": "bytes=12-"})["Content-Range"] == "bytes */12"
    several = owner.get(large.path, {"Range": "bytes=0-1,5-8"})
    assert several.status == 206 and b"\r\n\r\naa\r\n" in several.body and b"\r\n\r\nbbbc\r\n" in several.body
    assert several["Etag"] == f'"{ETAG}"' and len(several.body) == int(several["Content-Length"])


def test_conditions(owner: Client, large: Large) -> None:
    for etag in (ETAG, f'"{ETAG}"'):
        assert owner.get(large.path, {"If-None-Match": etag}).status == 304
        assert owner.get(large.path, {"If-Match": etag}).body == WHOLE
    assert owner.get(large.path, {"If-Match": md5(b"mine")}).status == 412
    assert owner.get(large.path, {"If-None-Match": md5(b"mine")}).status == 200
    assert owner.get(large.path, {"If-None-Match": f'not-"{ETAG}"'}).status == 200
    stale = {"If-Range": '"x"', "Range": "bytes=0-1"}
    assert owner.get(large.path, stale).body == WHOLE


@pytest.mark.parametrize(
    "value", ["c", "c/", "/c/s", "", "c//s", "c/s?x", "c/s&x", "%00x/s", "c/%00s", "%00versions%00c/s", "c/%FF"]
)
def test_values_that_name_no_prefix(owner: Client, large: Large, value: str) -> None:
    assert large.manifest("bad", value) == 400
    assert owner.head(f"{large.here}/bad").status == 404
    if value:
        assert owner.post(large.path, {"X-Object-Manifest": value}).status == 400
        assert owner.get(large.path).body == WHOLE


def test_prefixes_that_need_encoding(owner: Client, large: Large) -> None:
    owner.put(f"{large.there}/ä b%/1", b"odd")
    assert large.manifest("e", quote(f"{large.there}/ä b%/")) == 201
    assert owner.get(f"{large.here}/e").body == b"odd"


def test_no_segments_and_no_container(owner: Client, large: Large) -> None:
    large.manifest("e", f"{large.there}/none")
    answer = owner.get(f"{large.here}/e")
    assert answer.status == 200 and answer.body == b"" and answer["Etag"] == f'"{md5(b"")}"'
    large.manifest("e", "no-such-container/none", b"own")
    assert owner.get(f"{large.here}/e").status == owner.head(f"{large.here}/e").status == 404
    assert owner.get(f"{large.here}/e", **{"multipart-manifest": "get"}).body == b"own"


def test_post(owner: Client, large: Large) -> None:
    assert owner.post(large.path, {"X-Object-Manifest": f"{large.there}/s/1"}).status == 202
    assert owner.get(large.path).body == b"bbbb"
    assert owner.post(large.path, {"X-Object-Meta-B": "2"}).status == 202
    plain = owner.get(large.path)
    assert plain.body == b"mine" and plain.get("X-Object-Manifest") is None and plain["Etag"] == md5(b"mine")


def test_copies(owner: Client, large: Large) -> None:
    assert owner.copy(large.path, f"{large.here}/content").status == 201
    copied = owner.get(f"{large.here}/content")
    assert copied.body == WHOLE and copied["Etag"] == md5(WHOLE) and copied.get("X-Object-Manifest") is None
    manifest = {"multipart-manifest": "get"}
    to = {"Destination": f"{large.here}/manifest"}
    assert owner.request("COPY", large.path, to, query=manifest).status == 201
    assert owner.head(f"{large.here}/manifest")["X-Object-Manifest"] == f"{large.there}/s/"
    assert owner.get(f"{large.here}/manifest").body == WHOLE
    assert owner.get(f"{large.here}/manifest", **manifest).body == b"mine"
    source = {"X-Copy-From": f"{large.here}/content", "X-Object-Manifest": f"{large.there}/s/1"}
    assert owner.put(f"{large.here}/made", b"", source).status == 201
    assert owner.get(f"{large.here}/made").body == b"bbbb"


def test_what_fits_its_own_prefix(owner: Client, large: Large) -> None:
    assert owner.put(f"{large.there}/s/", b"mine", {"X-Object-Manifest": f"{large.there}/s/"}).status == 201
    own = owner.get(f"{large.there}/s/")
    assert own.body == WHOLE and own["Etag"] == f'"{ETAG}"'
    assert owner.get(large.path).body == b"mine" + WHOLE


def test_segments_that_are_large_objects_or_links(owner: Client, large: Large) -> None:
    rows = [{"path": f"{large.there}/s/{number}"} for number in (2, 0)]
    put = owner.request("PUT", f"{large.there}/s/15", {}, json.dumps(rows).encode(), {"multipart-manifest": "put"})
    assert put.status == 201
    owner.put(f"{large.here}/target", b"target")
    assert owner.put(f"{large.there}/s/16", b"", {"X-Symlink-Target": f"{large.here}/target"}).status == 201
    assert owner.put(f"{large.there}/s/17", b"", {"X-Symlink-Target": large.path}).status == 201
    expected = b"aaaabbbb" + b"ccccaaaa" + b"target" + b"mine" + b"cccc"
    answer = owner.get(large.path)
    assert answer.body == expected and answer["Content-Length"] == str(len(expected))
    assert owner.get(large.path, {"Range": "bytes=10-19"}).body == expected[10:20]
    owner.delete(f"{large.here}/target")
    assert owner.head(large.path).status == owner.get(large.path).status == 409


def test_access_to_the_segments(owner: Client, anonymous: Client, large: Large) -> None:
    assert owner.post(large.here, {"X-Container-Read": ".r:*"}).status == 204
    assert anonymous.get(large.path).status == anonymous.head(large.path).status == 401
    large.manifest("e", f"{large.there}/none")
    large.manifest("x", "no-such-container/none")
    for key in ("e", "x"):
        assert anonymous.head(f"{large.here}/{key}").status == 401
    assert owner.post(large.there, {"X-Container-Read": ".r:*"}).status == 204
    assert anonymous.get(large.path).body == WHOLE and anonymous.head(f"{large.here}/e").status == 200


def test_deleting_leaves_the_segments(owner: Client, large: Large) -> None:
    answer = owner.request("DELETE", large.path, query={"multipart-manifest": "delete"})
    assert b"400 Bad Request" in answer.body and owner.get(large.path).body == WHOLE
    assert owner.delete(large.path).status == 204
    assert owner.get(f"{large.there}/s/0").body == b"aaaa"


def test_the_swift_command_uploads_in_segments(owner: Client, store: Store, large: Large, tmp_path: Path) -> None:
    data = os.urandom(2_500_000)
    (tmp_path / "file").write_bytes(data)
    command = [sys.executable, "-m", "swiftclient.shell", "-A", f"{store.endpoint}/auth/v1.0", "-U", store.user]
    command += ["-K", store.key]

    def run(*arguments: str) -> None:
        subprocess.run([*command, *arguments], cwd=tmp_path, check=True, capture_output=True, timeout=120)

    run("upload", "--use-dlo", "-S", "1000000", large.here, "file")
    head = owner.head(f"{large.here}/file")
    assert head["Content-Length"] == "2500000" and head["X-Object-Manifest"].startswith(f"{large.here}_segments/")
    run("download", large.here, "file", "-o", "back")
    assert (tmp_path / "back").read_bytes() == data
    run("delete", large.here, "file")
    assert owner.names(f"{large.here}_segments") == []
    assert owner.delete(f"{large.here}_segments").status == 204
