"""Situations in which several features of the Swift API, or both APIs, meet in one request."""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import permutations
from typing import Any
from urllib.parse import quote

import pytest
from harness.client import Answer, Client
from harness.s3 import boto_client
from harness.store import Store

PUT = {"multipart-manifest": "put"}
LIST = {"multipart-manifest": "get"}
DELETE = {"multipart-manifest": "delete"}
AS_JSON = {"Accept": "application/json"}
ALL = ("plain", "large", "dynamic", "link")


class Shop:
    """A container of objects of all kinds, and one with their segments and targets. Both are the owner's.

    Each of `ALL` is read as `0123456789`.
    """

    def __init__(self, owner: Client, make: Callable[[], str]) -> None:
        self.owner, self.make = owner, make
        self.top, self.below = make(), make()
        for name, data in (("s/1", b"01234"), ("s/2", b"56789"), ("whole", b"0123456789")):
            self.put(f"{self.below}/{name}", data)

    def fill(self, container: str = "") -> None:
        top = container or self.top
        self.put(f"{top}/plain", b"0123456789")
        self.large(f"{top}/large", f"{self.below}/s/1", f"{self.below}/s/2")
        self.put(f"{top}/dynamic", b"", {"X-Object-Manifest": f"{self.below}/s/"})
        self.link(f"{top}/link", f"{self.below}/whole")

    def put(self, path: str, data: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
        answer = self.owner.put(path, data, headers)
        assert answer.status == 201, (path, answer)
        return answer

    def large(self, path: str, *segments: str | dict[str, str]) -> Answer:
        answer = self.try_large(path, *segments)
        assert answer.status == 201, (path, answer)
        return answer

    def try_large(self, path: str, *segments: str | dict[str, str], headers: Mapping[str, str] | None = None) -> Answer:
        entries = [{"path": f"/{one}"} if isinstance(one, str) else one for one in segments]
        return self.owner.request("PUT", path, headers, json.dumps(entries).encode(), PUT)

    def link(self, path: str, target: str, **headers: str) -> Answer:
        return self.put(path, b"", {"X-Symlink-Target": quote(target), **headers})

    def versions(self) -> str:
        """The name of a new container that keeps versions."""
        name = self.make()
        assert self.owner.post(name, {"X-Versions-Enabled": "true"}).status == 204
        return name

    def allow(self, *containers: str, **lists: str) -> None:
        for name in containers:
            headers = {f"X-Container-{which.title()}": value for which, value in lists.items()}
            assert self.owner.post(name, headers).status == 204

    def rows(self, container: str, **query: str) -> Any:
        return self.owner.get(container, format="json", **query).json


@pytest.fixture
def shop(owner: Client, new_container: Callable[[], str]) -> Shop:
    return Shop(owner, new_container)


@pytest.fixture(scope="module")
def s3(store: Store) -> Any:
    return boto_client(store.endpoint, store.user, store.key)


@pytest.fixture(scope="module")
def stranger(store: Store, owner: Client) -> Iterator[Client]:
    """The admin of another account, who looks at the owner's."""
    client = owner.with_token(store.add_user("crossings:stranger", "--admin").token)
    yield client
    client.close()


def signed(path: str, key: str, prefix: str | None = None) -> str:
    """The query of a temporary URL for GET. path: with the storage URL. prefix: of names that it opens."""
    expires = int(time.time()) + 600
    text = path if prefix is None else f"prefix:{'/'.join(path.split('/')[:4])}/{prefix}"
    signature = hmac.new(key.encode(), f"GET\n{expires}\n{text}".encode(), "sha256").hexdigest()
    query = f"temp_url_sig={signature}&temp_url_expires={expires}"
    return query if prefix is None else f"{query}&temp_url_prefix={quote(prefix)}"


def archive(*members: tuple[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def test_temporary_url_of_a_prefix_opens_a_link_to_a_large_object(shop: Shop) -> None:
    shop.fill()
    shop.link(f"{shop.below}/dir/l", f"{shop.top}/large")
    shop.owner.post("", {"X-Account-Meta-Temp-Url-Key": "whole account"})
    shop.owner.post(shop.below, {"X-Container-Meta-Temp-Url-Key": "one container"})
    path = f"{shop.owner.root}/{shop.below}/dir/l"
    visitor = shop.owner.with_token(None)
    answer = visitor.send("GET", path, {"Range": "bytes=3-6"}, query=signed(path, "whole account", "dir/"))
    assert (answer.status, answer.body) == (206, b"3456")
    assert visitor.send("GET", path, query=signed(path, "one container")).status == 401  # the manifest is beyond it
    shop.owner.post("", {"X-Remove-Account-Meta-Temp-Url-Key": "x"})


@pytest.mark.parametrize("name", ["large", "dynamic", "link"])
def test_anonymous_reads_need_the_right_to_all_that_is_below(shop: Shop, name: str) -> None:
    shop.fill()
    shop.link(f"{shop.top}/way", f"{shop.top}/{name}")
    visitor = shop.owner.with_token(None)
    shop.allow(shop.top, read=".r:*")
    for path in (f"{shop.top}/{name}", f"{shop.top}/way"):
        assert [visitor.get(path).status, visitor.head(path).status] == [401, 401]
    shop.allow(shop.below, read=".r:*")
    for path in (f"{shop.top}/{name}", f"{shop.top}/way"):
        assert [visitor.get(path).body, visitor.head(path).status] == [b"0123456789", 200]


def test_rights_of_another_account(shop: Shop, stranger: Client) -> None:
    shop.fill()
    shop.allow(shop.top, read="crossings:stranger", write="crossings:stranger")
    for name in ("large", "dynamic", "link"):
        path = f"{shop.top}/{name}"
        assert [stranger.get(path).status, stranger.head(path).status] == [403, 403]
        assert stranger.copy(path, f"{shop.top}/taken").status == 403
    segment = json.dumps([{"path": f"/{shop.below}/s/1"}]).encode()
    assert stranger.request("PUT", f"{shop.top}/mine", None, segment, PUT).status in (400, 403)
    deletion = stranger.request("DELETE", f"{shop.top}/large", AS_JSON, query=DELETE).json
    assert deletion["Response Status"] == "400 Bad Request"  # the manifest may go, the segments may not
    assert shop.owner.names(shop.below) == ["s/1", "s/2", "whole"]
    shop.fill()
    shop.allow(shop.below, read="crossings:stranger")
    assert [stranger.get(f"{shop.top}/{name}").body for name in ALL] == [b"0123456789"] * 4


def test_loop_of_links_across_accounts(store: Store, shop: Shop) -> None:
    other = store.add_user("crossings:looper", "--admin")
    other.put("loop")
    there = {"X-Symlink-Target-Account": other.account}
    here = {"X-Symlink-Target-Account": shop.owner.account}
    other.post("loop", {"X-Container-Read": shop.owner.account})
    shop.link(f"{shop.top}/l", "loop/l", **there)
    assert other.put("loop/l", b"", {"X-Symlink-Target": f"{shop.top}/l", **here}).status == 201
    assert [shop.owner.get(f"{shop.top}/l").status, shop.owner.head(f"{shop.top}/l").status] == [409, 409]
    assert shop.owner.copy(f"{shop.top}/l", f"{shop.top}/copy").status == 409
    assert shop.owner.delete(f"{shop.top}/l").status == 204
    other.wipe("loop")
    other.close()


def test_ranges_of_a_large_object_of_links(shop: Shop) -> None:
    shop.fill()
    for number in (1, 2):
        shop.link(f"{shop.top}/l{number}", f"{shop.below}/s/{number}")
    shop.link(f"{shop.top}/nested", f"{shop.top}/large")
    inner: dict[str, str] = {"path": f"/{shop.top}/nested", "range": "2-7"}
    etag = shop.large(f"{shop.top}/o", f"{shop.top}/l1", inner, {"data": "eHl6"}, f"{shop.top}/l2")["Etag"]
    shop.link(f"{shop.top}/way", f"{shop.top}/o")
    whole = b"01234" + b"234567" + b"xyz" + b"56789"
    for path in (f"{shop.top}/o", f"{shop.top}/way"):
        assert shop.owner.get(path).body == whole
        assert shop.owner.get(path, {"Range": "bytes=3-12"}).body == whole[3:13]
        assert shop.owner.get(path, {"Range": "bytes=-7"}).body == whole[-7:]
        several = shop.owner.get(path, {"Range": "bytes=0-1,4-6,-2"})
        assert several.status == 206 and several.body.count(b"Content-Range") == 3
        assert all(piece in several.body for piece in (whole[:2], whole[4:7], whole[-2:]))
        assert shop.owner.get(path, {"Range": f"bytes={len(whole)}-"}).status == 416
        assert shop.owner.get(path, {"If-None-Match": etag}).status == 304
        parts = [shop.owner.get(path, **{"part-number": n}).body for n in (1, 2, 3, 4)]
        assert parts == [b"01234", b"234567", b"xyz", b"56789"]


@pytest.mark.parametrize("kept", [False, True])
def test_several_ranges_of_versions_of_links(shop: Shop, kept: bool) -> None:
    """The version's id is that of the link, whatever the target is."""
    target, links = (shop.versions() if kept else shop.make()), shop.versions()
    shop.fill(target)
    for name in ALL:
        path = f"{links}/{name}"
        version = shop.link(path, f"{target}/{name}")["X-Object-Version-Id"]
        shop.put(path, b"newer")
        answer = shop.owner.get(path, {"Range": "bytes=0-0,2-3"}, **{"version-id": version})
        assert answer.status == 206 and b"\r\n\r\n0\r\n" in answer.body and b"\r\n\r\n23\r\n" in answer.body, name


def test_a_link_is_no_manifest(shop: Shop) -> None:
    target = {"X-Symlink-Target": f"{shop.below}/whole"}
    assert shop.try_large(f"{shop.top}/o", f"{shop.below}/s/1", headers=target).status == 400
    both = {**target, "X-Object-Manifest": f"{shop.below}/s/"}
    assert shop.owner.put(f"{shop.top}/o", b"", both).status == 400
    assert shop.owner.head(f"{shop.top}/o").status == 404


def test_conditions_of_a_put_are_about_the_link(shop: Shop) -> None:
    shop.link(f"{shop.top}/broken", f"{shop.below}/missing")
    absent = {"If-None-Match": "*"}
    assert shop.owner.put(f"{shop.top}/broken", b"x", absent).status == 412
    again = {"X-Symlink-Target": f"{shop.below}/whole", **absent}
    assert shop.owner.put(f"{shop.top}/broken", b"", again).status == 412
    assert shop.owner.put(f"{shop.top}/other", b"", again).status == 201


def test_segments_of_all_kinds(shop: Shop) -> None:
    """Of static and dynamic large objects: a large object, a dynamic one, a link."""
    shop.fill()
    shop.large(f"{shop.top}/of-all", *(f"{shop.top}/{name}" for name in ALL))
    assert shop.owner.get(f"{shop.top}/of-all").body == b"0123456789" * 4
    shop.link(f"{shop.top}/l/1", f"{shop.top}/large")
    shop.link(f"{shop.top}/l/2", f"{shop.below}/whole")
    shop.put(f"{shop.top}/d", b"", {"X-Object-Manifest": f"{shop.top}/l/"})
    assert shop.owner.get(f"{shop.top}/d", {"Range": "bytes=8-11"}).body == b"8901"


def test_manifests_within_manifests_stay_cheap(shop: Shop) -> None:
    """50 segments which are the same manifest, five levels deep: 3 GB which are 10 bytes."""
    before = f"{shop.below}/whole"
    for level in range(5):
        shop.large(f"{shop.top}/{level}", *[before] * 50)
        before = f"{shop.top}/{level}"
    size = 10 * 50**5
    assert shop.owner.head(before)["Content-Length"] == str(size)
    assert shop.owner.get(before, {"Range": f"bytes={size // 2 + 3}-{size // 2 + 5}"}).body == b"345"
    deletion = shop.owner.request("DELETE", before, AS_JSON, query=DELETE).json
    assert (deletion["Number Deleted"], deletion["Errors"]) == (6, [])
    assert shop.owner.names(shop.top) == []


NAMES = (
    "%",
    "%00",
    "a%2Fb",
    "a?b",
    "é/ü",
    "end/",
    "a//b",
    "..",
    "../x",
    "a/../b",
    " ",
    "\n",
    "\x7f",
    "#",
    "a&b=c",
    "+",
    "😀",
)


@pytest.mark.parametrize("name", NAMES)
def test_odd_names_as_segments_targets_and_prefixes(shop: Shop, s3: Any, name: str) -> None:
    path, below = f"{shop.top}/{name}", f"{shop.below}/{name}"
    shop.put(below, b"data")
    shop.large(path, below)
    assert shop.owner.get(path).body == b"data"
    assert shop.owner.get(path, **LIST).json[0]["name"] == f"/{below}"
    shop.put(path, b"", {"X-Object-Manifest": quote(below)})
    assert shop.owner.get(path)["X-Object-Manifest"] == quote(below)
    assert shop.owner.get(path).body.startswith(b"data")
    shop.link(path, below)
    answer = shop.owner.get(path)
    assert (answer.body, answer["Content-Location"]) == (b"data", quote(f"{shop.owner.root}/{below}"))
    assert s3.get_object(Bucket=shop.top, Key=name)["Body"].read() == b"data"
    listed = quote(f"/{path}").encode()
    deletion = shop.owner.request("POST", "", {**AS_JSON, "Content-Type": "text/plain"}, listed, "bulk-delete").json
    assert deletion["Number Deleted"] == 1 and shop.owner.head(path).status == 404
    assert shop.owner.delete(below).status == 204  # lists as text cannot show each name


def test_bulk_delete_of_all_kinds(shop: Shop) -> None:
    """Targets and segments stay; a version goes by its id; the emptied container goes."""
    shop.fill()
    kept = shop.versions()
    version = shop.put(f"{kept}/o", b"1")["X-Object-Version-Id"]
    shop.put(f"{kept}/o", b"2")
    names = [*(f"{shop.top}/{name}" for name in ALL), f"{kept}/o?version-id={version}", f"{kept}/never", shop.top]
    deletion = shop.owner.request(
        "POST", "", {**AS_JSON, "Content-Type": "text/plain"}, "\n".join(names).encode(), "bulk-delete"
    ).json
    assert (deletion["Number Deleted"], deletion["Number Not Found"], deletion["Errors"]) == (6, 1, [])
    assert shop.owner.head(shop.top).status == 404
    assert shop.owner.names(shop.below) == ["s/1", "s/2", "whole"]
    assert len(shop.rows(kept, versions="")) == 1


def test_archive_into_versions_and_quotas(shop: Shop) -> None:
    versions, quota, former = shop.versions(), shop.make(), shop.make()
    shop.owner.post(quota, {"X-Container-Meta-Quota-Bytes": "10"})
    shop.owner.post(shop.top, {"X-Versions-Location": former})
    extract = {"extract-archive": "tar"}
    for number in (b"1", b"2"):
        for place in (versions, shop.top):
            sent = archive(("a", number), ("b/c", b"x"))
            assert shop.owner.request("PUT", place, AS_JSON, sent, extract).json["Number Files Created"] == 2
    assert len(shop.rows(versions, versions="")) == 4 and len(shop.rows(former)) == 2
    sent = archive(("a", b"1" * 8), ("b", b"2" * 8), ("c", b"3"))
    report = shop.owner.request("PUT", quota, AS_JSON, sent, extract).json
    assert (report["Number Files Created"], report["Response Status"]) == (2, "400 Bad Request")
    assert [error[1][:3] for error in report["Errors"]] == ["413"]
    assert shop.try_large(f"{quota}/large", f"{shop.below}/s/1").status == 413  # counts with its full size
    shop.link(f"{quota}/link", f"{shop.below}/whole")


def test_site_of_links_versions_and_large_objects(shop: Shop) -> None:
    site = shop.versions()
    shop.fill()
    web = {"Index": "index.html", "Error": "error.html", "Listings": "true"}
    shop.owner.post(site, {f"X-Container-Meta-Web-{name}": value for name, value in web.items()})
    shop.allow(site, read=".r:*,.rlistings")
    shop.link(f"{site}/index.html", f"{shop.top}/large")
    shop.link(f"{site}/404error.html", f"{shop.below}/s/1")
    shop.put(f"{site}/401error.html", b"no")
    visitor = shop.owner.with_token(None)
    answer = visitor.get(f"{site}/")
    assert (answer.status, answer.body) == (401, b"no")
    shop.allow(shop.top, shop.below, read=".r:*")
    assert visitor.get(f"{site}/").body == b"0123456789"
    assert visitor.get(f"{site}/", {"Range": "bytes=4-5"}).body == b"45"
    answer = visitor.get(f"{site}/nothing")
    assert (answer.status, answer.body) == (404, b"01234")
    shop.put(f"{site}/dir/gone", b"x")
    shop.owner.delete(f"{site}/dir/gone")
    assert visitor.get(f"{site}/dir/").status == 404


def test_large_object_in_a_container_of_versions(shop: Shop) -> None:
    kept = shop.versions()
    version = shop.large(f"{kept}/o", f"{shop.below}/s/1")["X-Object-Version-Id"]
    assert shop.owner.post(f"{kept}/o", {"X-Object-Meta-Color": "blue"}).status == 202
    head = shop.owner.head(f"{kept}/o")
    assert (head["X-Object-Version-Id"], head["X-Static-Large-Object"]) == (version, "True")
    deletion = shop.owner.request("DELETE", f"{kept}/o", AS_JSON, query=DELETE).json
    assert deletion["Response Status"] == "200 OK" and shop.owner.head(f"{kept}/o").status == 404
    assert shop.owner.get(f"{kept}/o", **{"version-id": version}).body == b"01234"
    assert shop.owner.request("PUT", f"{kept}/o", {"Content-Length": "0"}, query={"version-id": version}).status == 201
    assert shop.owner.get(f"{kept}/o").body == b"01234"


def test_versions_made_by_both_apis(shop: Shop, s3: Any) -> None:
    bucket = shop.versions()
    shop.fill()
    made = [shop.large(f"{bucket}/o", f"{shop.below}/s/1", f"{shop.below}/s/2")["X-Object-Version-Id"]]
    upload = s3.create_multipart_upload(Bucket=bucket, Key="o")["UploadId"]
    part = {"Bucket": bucket, "Key": "o", "UploadId": upload}
    etag = s3.upload_part(**part, PartNumber=1, Body=b"0123456789")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    made.append(s3.complete_multipart_upload(**part, MultipartUpload=parts)["VersionId"])
    made.append(shop.link(f"{bucket}/o", f"{shop.below}/whole")["X-Object-Version-Id"])
    made.append(shop.put(f"{bucket}/o", b"", {"X-Object-Manifest": f"{shop.below}/s/"})["X-Object-Version-Id"])
    shop.owner.delete(f"{bucket}/o")
    assert [row["version_id"] for row in shop.rows(bucket, versions="")[1:]] == made[::-1]
    assert [row["VersionId"] for row in s3.list_object_versions(Bucket=bucket)["Versions"]] == made[::-1]
    for version in made:
        assert shop.owner.get(f"{bucket}/o", **{"version-id": version}).body == b"0123456789"
        assert s3.get_object(Bucket=bucket, Key="o", VersionId=version)["Body"].read() == b"0123456789"
        restored = shop.owner.request("PUT", f"{bucket}/o", {"Content-Length": "0"}, query={"version-id": version})
        assert restored.status == 201
        assert shop.owner.get(f"{bucket}/o").body == b"0123456789"
        assert shop.owner.head(f"{bucket}/o", symlink="get")["X-Object-Version-Id"] == version
    for version in made:
        s3.delete_object(Bucket=bucket, Key="o", VersionId=version)
    assert shop.owner.head(f"{bucket}/o").status == 404


@pytest.mark.parametrize("name", ALL)
def test_copies_by_s3(shop: Shop, s3: Any, name: str) -> None:
    """A copy has the content and needs neither segments nor targets."""
    shop.fill()
    target = shop.versions()
    s3.copy_object(Bucket=target, Key="o", CopySource={"Bucket": shop.top, "Key": name})
    upload = s3.create_multipart_upload(Bucket=target, Key="p")["UploadId"]
    part = {"Bucket": target, "Key": "p", "UploadId": upload}
    source = {"Bucket": shop.top, "Key": name}
    copied = s3.upload_part_copy(**part, PartNumber=1, CopySource=source, CopySourceRange="bytes=3-6")
    parts = {"Parts": [{"PartNumber": 1, "ETag": copied["CopyPartResult"]["ETag"]}]}
    s3.complete_multipart_upload(**part, MultipartUpload=parts)
    for path in shop.owner.names(shop.below):
        shop.owner.delete(f"{shop.below}/{path}")
    head = shop.owner.head(f"{target}/o")
    assert head.get("X-Static-Large-Object") is None and head.get("X-Object-Manifest") is None
    assert shop.owner.get(f"{target}/o").body == b"0123456789"
    assert shop.owner.get(f"{target}/p").body == b"3456"


def test_s3_deletes_manifests_and_links_alone(shop: Shop, s3: Any) -> None:
    shop.fill()
    s3.delete_object(Bucket=shop.top, Key="large")
    s3.delete_objects(Bucket=shop.top, Delete={"Objects": [{"Key": name} for name in ALL]})
    assert shop.owner.names(shop.top) == [] and len(shop.owner.names(shop.below)) == 3


def test_uploads_by_parts_as_segments_and_targets(shop: Shop, s3: Any) -> None:
    upload = s3.create_multipart_upload(Bucket=shop.below, Key="parts")["UploadId"]
    part = {"Bucket": shop.below, "Key": "parts", "UploadId": upload}
    etags = [s3.upload_part(**part, PartNumber=n, Body=body)["ETag"] for n, body in ((1, b"P" * 5242880), (2, b"Q"))]
    parts = {"Parts": [{"PartNumber": n, "ETag": etag} for n, etag in enumerate(etags, 1)]}
    s3.complete_multipart_upload(**part, MultipartUpload=parts)
    shop.link(f"{shop.top}/l", f"{shop.below}/parts")
    shop.large(f"{shop.top}/o", f"{shop.below}/s/1", {"path": f"/{shop.top}/l", "range": "5242878-"})
    assert shop.owner.get(f"{shop.top}/o").body == b"01234PPQ"
    deletion = shop.owner.request("DELETE", f"{shop.below}/parts", AS_JSON, query=DELETE).json
    assert deletion["Response Status"] == "400 Bad Request" and shop.owner.head(f"{shop.below}/parts").status == 200


def test_expiring_segments_targets_and_manifests(shop: Shop) -> None:
    soon = {"X-Delete-After": "1"}
    shop.put(f"{shop.below}/soon", b"soon")
    shop.large(f"{shop.top}/large", f"{shop.below}/soon", f"{shop.below}/whole")
    shop.link(f"{shop.top}/link", f"{shop.below}/soon")
    assert shop.owner.post(f"{shop.below}/soon", soon).status == 202
    shop.link(f"{shop.top}/link-soon", f"{shop.below}/whole", **soon)
    shop.put(f"{shop.top}/dynamic", b"", {"X-Object-Manifest": f"{shop.below}/s/", **soon})
    time.sleep(2.1)
    statuses = {name: shop.owner.get(f"{shop.top}/{name}").status for name in ("large", "link", "link-soon", "dynamic")}
    assert statuses == {"large": 409, "link": 404, "link-soon": 404, "dynamic": 404}
    assert shop.owner.get(f"{shop.top}/large", {"Range": "bytes=4-"}).body == b"0123456789"
    assert shop.try_large(f"{shop.top}/new", f"{shop.below}/soon").status == 400
    assert shop.owner.get(f"{shop.below}/whole").status == 200


def test_archive_of_all_kinds(shop: Shop) -> None:
    """An archive of versioned writes keeps links and manifests as what they are, and brings them back."""
    shop.owner.post(shop.top, {"X-History-Location": (former := shop.make())})
    shop.large(f"{shop.top}/o", f"{shop.below}/s/1", f"{shop.below}/s/2")
    shop.link(f"{shop.top}/o", f"{shop.below}/whole")
    shop.put(f"{shop.top}/o", b"", {"X-Object-Manifest": f"{shop.below}/s/"})
    shop.put(f"{shop.top}/o", b"0123456789")
    shop.owner.delete(f"{shop.top}/o")
    bodies = [shop.owner.get(f"{former}/{name}").body for name in shop.owner.names(former)]
    assert bodies == [b"0123456789"] * 4 + [b""]
    shop.owner.post(shop.top, {"X-Versions-Location": former})
    shown = []
    for _ in range(4):
        assert shop.owner.delete(f"{shop.top}/o").status == 204
        answer = shop.owner.get(f"{shop.top}/o")
        assert answer.body == b"0123456789"
        shown.append(tuple(bool(answer.get(f"{one}")) for one in KINDS))
    assert shown == [(False, False, False), (False, True, False), (False, False, True), (True, False, False)]
    assert shop.owner.delete(f"{shop.top}/o").status == 204 and shop.owner.get(f"{shop.top}/o").status == 404


KINDS = ("X-Static-Large-Object", "X-Object-Manifest", "Content-Location")


def test_objects_from_before_versions(shop: Shop) -> None:
    shop.fill()
    shop.owner.post(shop.top, {"X-Versions-Enabled": "true"})
    for name in ALL:
        path = f"{shop.top}/{name}"
        shop.put(path, b"newer")
        assert shop.owner.get(path, **{"version-id": "null"}).body == b"0123456789"
        answer = shop.owner.get(path, {"Range": "bytes=0-0,2-3"}, **{"version-id": "null"})
        assert answer.status == 206 and b"\r\n\r\n23\r\n" in answer.body
        assert (
            shop.owner.request("COPY", path, {"Destination": f"{shop.below}/{name}"}, query="version-id=null").status
            == 201
        )
        assert shop.owner.get(f"{shop.below}/{name}").body == b"0123456789"


def test_every_kind_replaces_every_other(shop: Shop, s3: Any) -> None:
    """Listings, and the container's totals, are those of the newest."""
    path = f"{shop.top}/o"

    def by_parts() -> None:
        part = {"Bucket": shop.top, "Key": "o"}
        part["UploadId"] = s3.create_multipart_upload(**part)["UploadId"]
        etag = s3.upload_part(**part, PartNumber=1, Body=b"0123456789")["ETag"]
        s3.complete_multipart_upload(**part, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})

    kinds: dict[str, tuple[Callable[[], object], int]] = {
        "plain": (lambda: shop.put(path, b"0123456789"), 10),
        "large": (lambda: shop.large(path, f"{shop.below}/s/1", f"{shop.below}/s/2"), 10),
        "dynamic": (lambda: shop.put(path, b"", {"X-Object-Manifest": f"{shop.below}/s/"}), 0),
        "link": (lambda: shop.link(path, f"{shop.below}/whole"), 0),
        "by parts": (by_parts, 10),
    }
    for before, after in permutations(kinds, 2):
        kinds[before][0]()
        kinds[after][0]()
        answer, row = shop.owner.get(path), shop.rows(shop.top)[0]
        assert (answer.body, row["bytes"]) == (b"0123456789", kinds[after][1]), (before, after)
        shown = [bool(answer.get(one)) for one in ("X-Manifest-Etag", "X-Object-Manifest", "Content-Location")]
        assert shown == [after == "large", after == "dynamic", after == "link"], (before, after)
        assert ("slo_etag" in row, "symlink_path" in row) == (after == "large", after == "link"), (before, after)
    kinds["plain"][0]()
    head = shop.owner.head(shop.top)
    assert (head["X-Container-Object-Count"], head["X-Container-Bytes-Used"]) == ("1", "10")


def test_s3_tags_and_lists_leave_manifests_as_they_are(shop: Shop, s3: Any) -> None:
    shop.fill()
    tags = {"TagSet": [{"Key": "a", "Value": "b"}]}
    for name in ("large", "dynamic"):
        s3.put_object_tagging(Bucket=shop.top, Key=name, Tagging=tags)
        s3.put_object_acl(Bucket=shop.top, Key=name, ACL="private")
        assert s3.get_object_tagging(Bucket=shop.top, Key=name)["TagSet"] == tags["TagSet"]
    assert shop.owner.head(f"{shop.top}/large")["X-Static-Large-Object"] == "True"
    assert shop.owner.head(f"{shop.top}/dynamic")["X-Object-Manifest"] == f"{shop.below}/s/"
    with pytest.raises(s3.exceptions.ClientError) as refused:
        s3.put_object_tagging(Bucket=shop.top, Key="link", Tagging=tags)
    assert refused.value.response["Error"]["Code"] == "InvalidRequest"
    assert [shop.owner.get(f"{shop.top}/{name}").body for name in ALL] == [b"0123456789"] * 4


def test_s3_conditions_of_writes_are_about_the_object_itself(shop: Shop, s3: Any) -> None:
    """Not about what a link or a dynamic large object leads to, which others may change meanwhile."""
    shop.fill()
    for name in ("dynamic", "link"):
        one = {"Bucket": shop.top, "Key": name}
        with pytest.raises(s3.exceptions.ClientError) as refused:
            s3.put_object(**one, Body=b"n", IfMatch=s3.head_object(**one)["ETag"])
        assert refused.value.response["Error"]["Code"] == "PreconditionFailed"
        s3.put_object(**one, Body=b"n", IfMatch=f'"{hashlib.md5(b"").hexdigest()}"')
        assert shop.owner.get(f"{shop.top}/{name}").body == b"n"
    one = {"Bucket": shop.top, "Key": "large"}
    s3.put_object(**one, Body=b"n", IfMatch=s3.head_object(**one)["ETag"])


def test_policies_bind_every_way(shop: Shop, s3: Any) -> None:
    """A bucket policy that denies an action, and all requests of Swift that amount to it."""
    shop.fill()
    key = {"X-Container-Meta-Temp-Url-Key": "k", "X-Container-Meta-Web-Index": "plain", "X-Container-Read": ".r:*"}
    shop.owner.post(shop.top, key)
    visitor, path = shop.owner.with_token(None), f"{shop.top}/plain"

    def deny(action: str) -> None:
        what = {"Principal": "*", "Action": action, "Resource": f"arn:aws:s3:::{shop.top}/*"}
        policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", **what}]}
        s3.put_bucket_policy(Bucket=shop.top, Policy=json.dumps(policy))

    deny("s3:DeleteObject")
    sent = {**AS_JSON, "Content-Type": "text/plain"}
    errors = shop.owner.request("POST", "", sent, f"{path}\n{shop.top}/link".encode(), "bulk-delete").json["Errors"]
    assert [status for _, status in errors] == ["403 Forbidden"] * 2
    for query in (DELETE, {**DELETE, "async": "true"}):
        assert shop.owner.request("DELETE", f"{shop.top}/large", query=query).status == 403
    shop.large(f"{shop.below}/m", path)
    errors = shop.owner.request("DELETE", f"{shop.below}/m", AS_JSON, query=DELETE).json["Errors"]
    assert errors == [[f"/{path}", "403 Forbidden"]]
    deny("s3:PutObject")
    report = shop.owner.request("PUT", shop.top, AS_JSON, archive(("x", b"1")), {"extract-archive": "tar"}).json
    assert report["Errors"] == [[f"{shop.top}/x", "403 Forbidden"]]
    assert shop.try_large(f"{shop.top}/x", f"{shop.below}/whole").status == 403
    assert shop.owner.put(f"{shop.top}/x", b"", {"X-Symlink-Target": f"{shop.below}/whole"}).status == 403
    assert shop.owner.copy(f"{shop.below}/whole", f"{shop.top}/x").status == 403
    assert sorted(shop.owner.names(shop.top)) == sorted(ALL)
    deny("s3:GetObject")
    full = f"{shop.owner.root}/{path}"
    assert visitor.send("GET", full, query=signed(full, "k")).status == 401
    assert visitor.get(f"{shop.top}/").status == 401
    shop.link(f"{shop.below}/l", path)
    shop.put(f"{shop.below}/d", b"", {"X-Object-Manifest": path})
    assert [shop.owner.get(f"{shop.below}/{name}").status for name in "ld"] == [403, 403]
    assert shop.try_large(f"{shop.below}/m", path).status == 400
    s3.delete_bucket_policy(Bucket=shop.top)


def test_copies_of_a_version_as_a_manifest(shop: Shop) -> None:
    kept = shop.versions()
    version = shop.large(f"{kept}/o", f"{shop.below}/s/1")["X-Object-Version-Id"]
    shop.large(f"{kept}/o", f"{shop.below}/s/2")
    shop.link(f"{kept}/l", f"{kept}/o")
    for path, query, body in (
        (f"{kept}/o", {**LIST, "version-id": version}, b"01234"),
        (f"{kept}/l", LIST, b"56789"),
    ):
        answer = shop.owner.request("COPY", path, {"Destination": f"{shop.top}/copy"}, query=query)
        assert answer.status == 201, answer
        answer = shop.owner.get(f"{shop.top}/copy")
        assert (answer.body, answer["X-Static-Large-Object"]) == (body, "True")


def test_hostile_manifests(shop: Shop) -> None:
    hidden = ("/\0versions\0x/o", "/\0parts\0x/o", "//o", "/", "", "/c", 5, None, {"a": 1})
    bodies = [json.dumps([{"path": path}]).encode() for path in hidden]
    bodies += [b"[" * 100_000, b'{"a":' * 50_000, b"null", b"{}", b"[null]", b"\xff", b"", b'[{"path":"/a/b\\ud800"}]']
    bodies += [b'[{"path":"/a/b","size_bytes":1e400}]', b'[{"path":"/a/b","size_bytes":' + b"9" * 10_000 + b"}]"]
    bodies += [b'[{"path":"/a/b","range":"-"}]', b'[{"data":"!!"}]', b'[{"data":""}]']
    for body in bodies:
        answer = shop.owner.request("PUT", f"{shop.top}/o", None, body, PUT)
        assert answer.status in (400, 413), (body[:60], answer)
    for manifest in ("%00versions%00x/", f"{shop.top}/a%00b", "/", "x", "/x"):
        assert shop.owner.put(f"{shop.top}/o", b"", {"X-Object-Manifest": manifest}).status == 400
    assert shop.owner.put(f"{shop.top}/o", b"", {"X-Symlink-Target": "%00versions%00x/o"}).status == 412
    assert shop.owner.names(shop.top) == []


def test_etags_of_a_link_to_a_large_object(shop: Shop) -> None:
    """A static link takes that of the list, and that of the content; conditions are about the content."""
    shop.fill()
    head = shop.owner.head(f"{shop.top}/large")
    content = hashlib.md5(b"".join(hashlib.md5(one).hexdigest().encode() for one in (b"01234", b"56789"))).hexdigest()
    assert head["Etag"] == f'"{content}"'
    for etag in (content, head["X-Manifest-Etag"]):
        shop.link(f"{shop.top}/static", f"{shop.top}/large", **{"X-Symlink-Target-Etag": etag})
        assert shop.owner.get(f"{shop.top}/static", {"If-Match": f'"{content}"'}).body == b"0123456789"
    shop.large(f"{shop.top}/large", f"{shop.below}/s/1")
    assert shop.owner.get(f"{shop.top}/static").status == 409
