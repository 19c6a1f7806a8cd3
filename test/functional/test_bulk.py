"""Bulk uploads from archives and bulk deletions, over HTTP and with python-swiftclient."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import random
import shutil
import socket
import subprocess
import tarfile
import time
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
import zstandard
from harness.archives import archive, of_type
from harness.client import Answer, Client
from harness.layouts import ONE_DEVICE
from harness.store import Store
from swiftclient.service import SwiftService

pytestmark = ONE_DEVICE

JSON = {"Accept": "application/json"}
LIST = {"Content-Type": "text/plain", **JSON}


def extract(client: Client, path: str, body: Any, headers: dict[str, str] | None = None, format: str = "tar") -> Any:
    answer = client.request("PUT", path, {**JSON, **(headers or {})}, body, f"extract-archive={format}")
    assert answer.status == 200, answer
    return answer.json


def delete(client: Client, *names: str | bytes, method: str = "POST", headers: dict[str, str] | None = None) -> Any:
    body = b"".join((name if isinstance(name, bytes) else name.encode()) + b"\n" for name in names)
    answer = client.request(method, "", {**LIST, **(headers or {})}, body, "bulk-delete")
    assert answer.status == 200, answer
    return answer.json


def stored(status: str, created: int, errors: Any = (), note: str = "", **more: Any) -> dict[str, Any]:
    return {
        "Response Status": status, "Response Body": note, "Number Files Created": created,
        "Errors": [list(error) for error in errors], **{name.replace("_", " "): value for name, value in more.items()},
    }  # fmt: skip


def deleted(status: str, count: int, missing: int = 0, errors: Any = (), note: str = "") -> dict[str, Any]:
    return {
        "Response Status": status, "Response Body": note, "Number Deleted": count, "Number Not Found": missing,
        "Errors": [list(error) for error in errors],
    }  # fmt: skip


def s3_client(store: Store) -> Any:
    known = store.started_here().credentials
    return boto3.client(
        "s3", endpoint_url=store.endpoint, region_name="us-east-1",
        aws_access_key_id=known["access_key"], aws_secret_access_key=known["secret_key"],
    )  # fmt: skip


# Extraction


@pytest.mark.parametrize(
    ("format", "pack"),
    [
        ("tar", bytes), ("tar.gz", gzip.compress), ("tar.xz", lzma.compress),
        ("tar.bz2", bz2.compress),
        ("tar.zst", zstandard.ZstdCompressor().compress),
    ],
)  # fmt: skip
def test_files_of_all_sizes_in_all_formats(
    owner: Client, container: str, format: str, pack: Callable[[bytes], bytes]
) -> None:
    chance = random.Random(3)
    files = {
        f"d/{size}": chance.randbytes(size // 2) + bytes(size - size // 2) for size in (0, 1, 5000, 65536, 3 << 20)
    }
    body = pack(archive(*files.items()))
    assert extract(owner, f"{container}/top", body, format=format) == stored("201 Created", len(files))
    for name, content in files.items():
        assert owner.get(f"{container}/top/{name}").body == content
    assert extract(owner, f"{container}/chunked", iter([body[:5000], body[5000:]]), format=format)[
        "Number Files Created"
    ] == len(files)


def test_streams_that_follow_each_other(owner: Client, container: str) -> None:
    data = archive(("a", b"x" * 3000), ("b", b"y"))
    joined = gzip.compress(data[:2000]) + gzip.compress(data[2000:]) + bytes(100)
    assert extract(owner, container, joined, format="tar.gz") == stored("201 Created", 2)


def test_into_an_account_a_container_and_a_prefix(owner: Client, new_container: Callable[[], str]) -> None:
    first, second = new_container(), new_container()
    owner.delete(second)  # is made again
    body = archive(("outside", b"0"), (f"{first}/a", b"1"), (f"./{second}/b/c", b"2"), (f"/{first}/d", b"3"))
    skipped = [["outside", "file outside of a container"]]
    assert extract(owner, "", body) == stored("201 Created", 3, Number_Skipped=1, Skipped=skipped)
    assert (owner.names(first), owner.names(second)) == (["a", "d"], ["b/c"])
    assert extract(owner, f"{first}/x/", archive(("y", b""))) == stored("201 Created", 1)
    assert owner.names(first) == ["a", "d", "x/y"]


def test_members_that_are_no_files_are_reported(owner: Client, container: str) -> None:
    kinds = {
        "directory": tarfile.DIRTYPE, "symbolic link": tarfile.SYMTYPE, "hard link": tarfile.LNKTYPE,
        "device": tarfile.CHRTYPE, "named pipe": tarfile.FIFOTYPE,
    }  # fmt: skip
    members = [of_type(kind.replace(" ", ""), type) for kind, type in kinds.items()]
    skipped = [[f"{container}/{kind.replace(' ', '')}" + ("/" if kind == "directory" else ""), kind] for kind in kinds]
    found = extract(owner, container, archive(*members, ("f", b"1")))
    assert found == stored("201 Created", 1, Number_Skipped=5, Skipped=skipped)
    alone = extract(owner, container, archive(members[0]))
    note = "Invalid Tar File: No Valid Files"
    assert alone == stored("400 Bad Request", 0, note=note, Number_Skipped=1, Skipped=skipped[:1])


def test_metadata_of_the_request_and_of_members(owner: Client, container: str) -> None:
    records = {
        "SCHILY.xattr.user.mime_type": "a/b",
        "SCHILY.xattr.user.meta.foo": "bär",
        "LIBARCHIVE.xattr.user.meta.lib": "Zm9vYg",
        "SCHILY.xattr.user.other": "not stored",
    }
    sent = {"X-Object-Meta-All": "v", "Content-Type": "not/this", "X-Delete-After": "1000", "Content-Encoding": "x"}
    assert extract(owner, container, archive(("x.html", b"1"), ("y", b"2", records)), sent) == stored("201 Created", 2)
    plain, rich = owner.head(f"{container}/x.html"), owner.head(f"{container}/y")
    assert (plain["Content-Type"], plain["X-Object-Meta-All"]) == ("text/html", "v")
    assert abs(int(plain["X-Delete-At"]) - time.time() - 1000) < 60
    assert plain.get("Content-Encoding") is None
    assert rich["Content-Type"] == "a/b"
    assert (rich["X-Object-Meta-Foo"], rich["X-Object-Meta-Lib"], rich["X-Object-Meta-All"]) == ("bär", "foob", "v")
    assert rich["X-Delete-At"] == plain["X-Delete-At"]


def test_bad_metadata_fails_its_member_alone(owner: Client, container: str) -> None:
    body = archive(
        ("a", b"1", {"SCHILY.xattr.user.meta.x": "a\nb"}),
        ("b", b"1", {"SCHILY.xattr.user.mime_type": "a\nb"}),
        ("c", b"1", {"SCHILY.xattr.user.meta.x": "v" * 10_000}),
        ("d", b"1", {"SCHILY.xattr.user.meta.": "v"}),
        ("e", b"1"),
    )
    errors = [(f"{container}/{name}", "400 Bad Request") for name in "abcd"]
    found = extract(owner, container, body)
    assert sorted(found["Errors"]) == sorted(map(list, errors))
    assert owner.names(container) == ["e"]
    assert extract(owner, container, archive(("f", b"")), {"X-Delete-After": "-5"})["Response Status"].startswith("400")


def test_the_last_member_of_a_name_wins(owner: Client, container: str) -> None:
    members = [(f"n{number % 3}", b"%d" % number * (1 + 20_000 * (number % 7))) for number in range(60)]
    assert extract(owner, container, archive(*members)) == stored("201 Created", 60)
    for name, content in dict(members).items():
        assert owner.get(f"{container}/{name}").body == content


def test_sparse_files_are_stored_whole(owner: Client, container: str, tmp_path: Path) -> None:
    tar = shutil.which("tar")
    if tar is None:
        pytest.skip("needs tar")
    with open(tmp_path / "hole", "wb") as file:
        file.write(b"begin")
        file.seek(3 << 20)
        file.write(b"end")
    content = (tmp_path / "hole").read_bytes()
    for number, options in enumerate(
        (["--format=gnu"], ["--format=posix"], ["--format=posix", "--sparse-version=0.1"])
    ):
        made = subprocess.run([tar, "-cS", *options, "-f-", "hole"], cwd=tmp_path, capture_output=True, check=True)
        assert len(made.stdout) < 1 << 20
        assert extract(owner, f"{container}/{number}", made.stdout) == stored("201 Created", 1)
        assert owner.get(f"{container}/{number}/hole").body == content


def test_answers_in_the_forms_of_swift(owner: Client, container: str) -> None:
    body = archive(("a", b"1"), ("b" * 1100, b"2"))
    errors = f"{container}/{'b' * 1100}"

    def answer(accept: str) -> Answer:
        return owner.request("PUT", container, {"Accept": accept} if accept else {}, body, "extract-archive=tar")

    for accept in ("", "text/plain", "*/*"):
        text = answer(accept)
        assert text["Content-Type"] == "text/plain"
        assert text.text == (
            "Number Files Created: 1\nResponse Body: \nResponse Status: 400 Bad Request\n"
            f"Errors:\n{errors}, 400 Bad Request\n"
        )
    for accept in ("application/xml", "text/xml"):
        found = answer(accept)
        assert found["Content-Type"] == accept
        root = ET.fromstring(found.text)
        assert [(each.tag, each.text) for each in root][:3] == [
            ("number_files_created", "1"), ("response_body", None), ("response_status", "400 Bad Request"),
        ]  # fmt: skip
        assert root.findtext("errors/object/name") == errors
    assert "Response Status: 406 Not Acceptable" in answer("image/png").text
    assert owner.request("PUT", container, JSON, body, "extract-archive=zip").status == 400


def test_names_that_could_leave_their_target_do_not(owner: Client, container: str) -> None:
    before = set(owner.names())
    body = archive(
        ("../x", b"1"), ("/etc/y", b"2"), ("a/../../../z", b"3"), ("./w", b"4"), ("..", b"5"), ("a//b", b"6")
    )
    assert extract(owner, f"{container}/in", body) == stored("201 Created", 6)
    assert owner.names(container) == ["in/..", "in/../x", "in/a/../../../z", "in/a//b", "in/etc/y", "in/w"]
    assert set(owner.names()) == before


def test_names_that_no_object_can_have(owner: Client, container: str) -> None:
    body = archive(("a\udcff", b"1"), ("n" * 1100, b"2"), ("", b"3"), ("ok", b"4"))
    errors = [
        (f"{container}/a%FF", "412 Precondition Failed"),
        (f"{container}/{'n' * 1100}", "400 Bad Request"),
        (f"{container}/", "400 Bad Request"),
    ]
    assert extract(owner, container, body) == stored("400 Bad Request", 1, errors)
    long = "c" * 300
    found = extract(owner, "", archive((f"{long}/a", b"1"), (f"{long}/b", b"1")))
    assert [error[0] for error in found["Errors"]] == [f"/v1/{owner.account}/{long}", f"{long}/a", f"{long}/b"]


def test_a_quota_refuses_members_and_not_the_archive(owner: Client, container: str) -> None:
    assert owner.post(container, {"X-Container-Meta-Quota-Bytes": "100"}).status == 204
    body = archive(("a", b"1" * 60), ("large", b"2" * 200_000), ("b", b"3" * 60), ("c", b"4" * 30))
    found = extract(owner, container, body)
    refused = [[f"{container}/{name}", "413 Request Entity Too Large"] for name in ("b", "large")]
    assert (found["Response Status"], sorted(found["Errors"])) == ("400 Bad Request", refused)
    assert owner.names(container) == ["a", "c"]


# Hostile archives


def test_what_was_stored_of_a_truncated_archive_stays(owner: Client, container: str) -> None:
    whole = archive(("a", b"1"), ("small", b"2" * 5000), ("large", b"3" * 500_000))
    for size, created, failed in ((1024 + 512 + 100, 1, "small"), (60_000, 2, "large")):
        found = extract(owner, container, whole[:size])
        note = "Invalid Tar File: unexpected end of data"
        assert found == stored("400 Bad Request", created, [(f"{container}/{failed}", "400 Bad Request")], note)
    assert owner.names(container) == ["a", "small"]
    found = extract(owner, container, gzip.compress(whole)[:-50], format="tar.gz")
    assert found["Response Body"] == "Invalid Tar File: unexpected end of compressed data"
    unmarked = extract(owner, container, whole[:1024])
    assert unmarked["Response Status"] == "201 Created"
    assert "may be truncated" in unmarked["Response Body"]


def test_an_upload_that_is_cut_off_keeps_whole_members_alone(owner: Client, container: str) -> None:
    body = archive(("a", b"1"), ("large", b"3" * 500_000))
    head = (
        f"PUT {owner.root}/{container}?extract-archive=tar HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {owner.token}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    with socket.create_connection(owner.address, 30) as sock:
        sock.sendall(head + body[:100_000])
        end = time.monotonic() + 20
        while owner.names(container) != ["a"] and time.monotonic() < end:
            time.sleep(0.1)
    time.sleep(1)
    assert owner.names(container) == ["a"]


def test_garbage_is_refused(owner: Client, container: str) -> None:
    tar = archive(("a", b"1"))
    for body, format, note in (
        (b"", "tar", "empty file"), (b"x" * 3000, "tar", "invalid header"),
        (gzip.compress(tar), "tar", "truncated header"),
        (tar, "tar.gz", "invalid compressed data"), (tar, "tar.bz2", "invalid compressed data"),
        (tar, "tar.xz", "invalid compressed data"), (tar, "tar.zst", "invalid compressed data"),
        (gzip.compress(b""), "tar.gz", "empty file"),
    ):  # fmt: skip
        found = extract(owner, container, body, format=format)
        assert found["Response Status"] == "400 Bad Request"
        assert note in found["Response Body"], found
    assert owner.names(container) == []


def _bomb(format: str) -> bytes:
    """Return a file of a GiB of zeros in an archive."""
    info = tarfile.TarInfo("bomb")
    info.size = 1 << 30
    pieces = [info.tobuf(), *[bytes(1 << 20)] * 1024]
    if format == "tar.zst":
        packer: Any = zstandard.ZstdCompressor().compressobj()
    elif format == "tar.bz2":
        packer = bz2.BZ2Compressor()
    elif format == "tar.xz":
        packer = lzma.LZMACompressor(preset=0)
    else:
        packer = zlib.compressobj(wbits=31)
    return b"".join([*map(packer.compress, pieces), packer.flush()])


@pytest.mark.parametrize("format", ["tar.gz", "tar.zst", "tar.bz2"])
def test_a_bomb_is_stopped(owner: Client, container: str, format: str) -> None:
    body = _bomb(format)
    assert len(body) < 2 << 20
    start = time.monotonic()
    found = extract(owner, container, body, format=format)
    assert time.monotonic() - start < 50
    assert "expands to more than" in found["Response Body"]
    assert found["Errors"] == [[f"{container}/bomb", "400 Bad Request"]]
    assert owner.names(container) == []


def test_an_endless_sparse_file_is_stopped(owner: Client, container: str) -> None:
    records = {"GNU.sparse.size": str(4 << 30), "GNU.sparse.map": "0,1", "GNU.sparse.name": "hole"}
    found = extract(owner, container, archive(("s", b"1", records)))
    assert "expands to more than" in found["Response Body"]
    records["GNU.sparse.size"] = str(1 << 60)
    assert extract(owner, container, archive(("s", b"1", records)))["Errors"] == [
        [f"{container}/hole", "413 Request Entity Too Large"]
    ]
    assert owner.names(container) == []


def test_extended_headers_of_a_gibibyte_are_refused_before_they_are_read(owner: Client, container: str) -> None:
    for type in (b"L", b"x", b"g"):
        info = tarfile.TarInfo("././@LongLink")
        info.type, info.size = type, 1 << 30
        body = archive(("a", b"1"))[:1024] + info.tobuf() + b"n" * 10_000
        found = extract(owner, container, body)
        assert found["Number Files Created"] == 1
        assert "1073741824 bytes" in found["Response Body"]


def test_failures_end_an_extraction(owner: Client, container: str) -> None:
    body = archive(("first", b"1"), *((f"{number}\udcff", b"") for number in range(1100)), ("last", b"2"))
    found = extract(owner, container, body)
    assert (len(found["Errors"]), found["Response Status"]) == (1000, "400 Bad Request")
    assert "More than 1000 members" in found["Response Body"]
    assert owner.names(container) == ["first"]


def test_many_members_that_are_no_files(owner: Client, container: str) -> None:
    block = of_type("d", tarfile.DIRTYPE).tobuf()
    found = extract(owner, container, iter([block * 2000] * 50))
    assert found["Number Skipped"] == 100_000
    assert len(found["Skipped"]) == 1000


# Deletion


def test_names_in_all_spellings(owner: Client, container: str) -> None:
    for name in ("a", "b c", "ä", "e?version-id=1", "f%", "g"):
        owner.put(f"{container}/{name}", b"x")
    names = [
        f"/{container}/a",
        f"{container}/b%20c\r",
        f"/{container}/%C3%A4",
        "",
        "  ",
        f"{container}/e%3Fversion-id=1",
    ]
    assert delete(owner, *names, f"/{container}/f%25", f"/{container}/none") == deleted("200 OK", 5, 1)
    assert owner.names(container) == ["g"]
    assert delete(owner, f"{container}/g", method="DELETE") == deleted("200 OK", 1)
    assert delete(owner, f"{container}/g", f"{container}/g") == deleted("200 OK", 0, 2)


def test_a_name_given_twice_is_deleted_once(owner: Client, container: str) -> None:
    owner.put(f"{container}/a", b"x")
    assert delete(owner, f"{container}/a", f"/{container}/a") == deleted("200 OK", 1, 1)


def test_containers_go_after_what_is_in_them(owner: Client, new_container: Callable[[], str]) -> None:
    first, second = new_container(), new_container()
    owner.put(f"{first}/a", b"x")
    owner.put(f"{second}/a", b"x")
    found = delete(owner, first, f"{first}/a", f"{second}/", "missing-container", "missing-container/a")
    assert found == deleted("400 Bad Request", 2, 2, [(f"/{second}", "409 Conflict")])
    assert owner.head(first).status == 404


def test_bad_names_fail_alone(owner: Client, container: str) -> None:
    owner.put(f"{container}/a", b"x")
    names: list[str | bytes] = [
        f"{container}/%ff",
        b"/" + container.encode() + b"/\xfe",
        f"{container}/%00",
        "/",
        f"{container}/a",
    ]
    refused = "412 Precondition Failed"
    errors = [
        (f"/{container}/%FF", refused),
        (f"/{container}/%FE", refused),
        (f"/{container}/%00", refused),
        ("/", "403 Forbidden"),
    ]
    assert delete(owner, *names) == deleted("400 Bad Request", 1, 0, errors)
    assert delete(owner, f"{container}/{'x' * 1100}") == deleted("200 OK", 0, 1)
    encoded = "ä" * 512
    owner.put(f"{container}/{encoded}", b"x")
    assert delete(owner, f"{container}/" + "%C3%A4" * 512) == deleted("200 OK", 1)


def test_lists_that_are_refused_as_a_whole(owner: Client, container: str) -> None:
    owner.put(f"{container}/a", b"x")
    name = f"{container}/a"
    assert delete(owner, name, "x" * 10_000) == deleted("400 Bad Request", 0, note="Invalid File Name")
    assert delete(owner) == deleted("400 Bad Request", 0, note="Invalid bulk delete.")
    assert delete(owner, "", " ") == deleted("400 Bad Request", 0, note="Invalid bulk delete.")
    found = delete(owner, name, *(f"{container}/{number}" for number in range(10_000)))
    assert found == deleted("413 Request Entity Too Large", 0, note="Maximum Bulk Deletes: 10000 per request")
    found = delete(owner, name, headers={"Content-Type": "application/json"})
    assert found["Response Status"] == "406 Not Acceptable"
    endless = owner.request("POST", "", LIST, iter([b"x" * 65536] * 100), "bulk-delete")
    assert endless.json["Response Body"] == "Invalid File Name"
    assert owner.names(container) == ["a"]


def test_ten_thousand_names(owner: Client, container: str) -> None:
    assert (
        extract(owner, container, archive(*((f"{number}", b"") for number in range(500))))["Number Files Created"]
        == 500
    )
    found = delete(owner, *(f"{container}/{number}" for number in range(10_000)))
    assert found == deleted("200 OK", 500, 9500)
    assert owner.names(container) == []


def test_versions_by_their_ids(owner: Client, container: str, store: Store) -> None:
    s3 = s3_client(store)
    s3.put_bucket_versioning(Bucket=container, VersioningConfiguration={"Status": "Enabled"})
    ids = [s3.put_object(Bucket=container, Key="o", Body=b"%d" % number)["VersionId"] for number in range(3)]
    found = delete(owner, f"{container}/o?version-id={ids[0]}", f"{container}/o?version-id={ids[2]}")
    assert found == deleted("200 OK", 2)
    assert owner.get(f"{container}/o").body == b"1"
    assert delete(owner, f"{container}/o?version-id={ids[0]}", f"{container}/o?version-id=nonsense") == deleted(
        "400 Bad Request", 0, 1, [(f"/{container}/o?version-id=nonsense", "400 Bad Request")]
    )
    assert delete(owner, f"{container}/never") == deleted("200 OK", 0, 1)
    assert [each["Key"] for each in s3.list_object_versions(Bucket=container)["Versions"]] == ["o"]
    assert "DeleteMarkers" not in s3.list_object_versions(Bucket=container)
    assert delete(owner, f"{container}/o?version-id={ids[1]}", container) == deleted("200 OK", 2)


# Rights


@pytest.fixture(scope="module")
def stranger(store: Store) -> Client:
    return store.add_user("bulkfriends:anna")


def test_anonymous_requests(anonymous: Client, owner: Client, container: str) -> None:
    owner.put(f"{container}/a", b"x")
    assert extract(anonymous, container, archive(("b", b"1")))["Response Status"] == "401 Unauthorized"
    assert delete(anonymous, f"{container}/a") == deleted(
        "400 Bad Request", 0, 0, [(f"/{container}/a", "401 Unauthorized")]
    )
    assert owner.names(container) == ["a"]


def test_what_an_acl_allows(owner: Client, stranger: Client, container: str) -> None:
    guest = owner.with_token(stranger.token)
    other = f"{container}-new"
    owner.put(f"{container}/a", b"x")
    body = archive((f"{container}/b", b"1"), (f"{other}/c", b"2"))
    found = extract(guest, "", body)
    assert (found["Response Status"], found["Number Files Created"]) == ("400 Bad Request", 0)
    assert {error[1] for error in found["Errors"]} == {"403 Forbidden"}
    assert delete(guest, f"{container}/a", container)["Errors"] == [
        [f"/{container}/a", "403 Forbidden"], [f"/{container}", "403 Forbidden"],
    ]  # fmt: skip
    owner.post(container, {"X-Container-Write": "bulkfriends:anna"})
    errors = [(f"/v1/{owner.account}/{other}", "403 Forbidden"), (f"{other}/c", "403 Forbidden")]
    assert extract(guest, "", body) == stored("400 Bad Request", 1, errors)
    assert delete(guest, f"{container}/a", container) == deleted(
        "400 Bad Request", 1, 0, [(f"/{container}", "403 Forbidden")]
    )
    assert owner.names(container) == ["b"]
    assert owner.head(other).status == 404


def test_a_policy_counts_for_each_name(owner: Client, container: str, store: Store) -> None:
    s3 = s3_client(store)
    owner.put(f"{container}/keep/a", b"x")
    owner.put(f"{container}/b", b"x")
    statement = {
        "Effect": "Deny", "Principal": "*", "Action": ["s3:DeleteObject", "s3:PutObject"],
        "Resource": f"arn:aws:s3:::{container}/keep/*",
    }  # fmt: skip
    s3.put_bucket_policy(Bucket=container, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    denied = "403 Forbidden"
    found = delete(owner, f"{container}/b", f"{container}/keep/a", f"{container}/c")
    assert found == deleted("400 Bad Request", 1, 1, [(f"/{container}/keep/a", denied)])
    found = extract(owner, container, archive(("d", b"1"), ("keep/e", b"1"), ("f", b"1")))
    assert found == stored("400 Bad Request", 2, [(f"{container}/keep/e", denied)])
    s3.delete_bucket_policy(Bucket=container)


# Other requests, and clients


def test_other_methods_are_not_bulk_requests(owner: Client, container: str) -> None:
    assert owner.request("GET", query="bulk-delete").status == 200
    assert owner.request("GET", container, query="bulk-delete").status == 204
    assert owner.request("HEAD", container, query="extract-archive=tar").status == 204
    assert owner.request("POST", f"{container}/none", query="extract-archive=tar").status == 404


def test_features_are_announced(owner: Client) -> None:
    found = owner.with_token(None).send("GET", "/info").json
    assert found["bulk_delete"] == {"max_deletes_per_request": 10000, "max_failed_deletes": 1000}
    assert found["bulk_upload"]["max_failed_extractions"] == 1000
    assert "tar.gz" in found["bulk_upload"]["formats"]


def test_swiftclient_deletes_by_bulk_requests(store: Store, owner: Client, container: str) -> None:
    names = [f"d {number}/ä?x=%41" for number in range(30)]
    for name in names:
        owner.put(f"{container}/{name}", b"x")
    options = {"auth_version": "1.0", "auth": f"{store.endpoint}/auth/v1.0", "user": store.user, "key": store.key}
    with SwiftService({**options, "retries": 0}) as swift:
        results = list(swift.delete(container, names))
        assert {result["action"] for result in results} == {"bulk_delete"}
        assert all(result["success"] for result in results), results
        assert owner.names(container) == []
        for name in names:
            owner.put(f"{container}/{name}", b"x")
        assert all(result["success"] for result in swift.delete(container))
    assert owner.head(container).status == 404


def test_bytes_of_one_archive_arrive_as_they_were(owner: Client, container: str, tmp_path: Path) -> None:
    """A directory as GNU tar packs it."""
    tar = shutil.which("tar")
    if tar is None:
        pytest.skip("needs tar")
    root = tmp_path / "tree"
    chance = random.Random(5)
    for number in range(60):
        path = root / f"d{number % 7}" / ("long" * 30) / f"f{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(chance.randbytes(chance.choice([0, 10, 4096, 70_000, 300_000])))
    made = subprocess.run([tar, "-czf-", "tree"], cwd=tmp_path, capture_output=True, check=True)
    assert extract(owner, container, made.stdout, format="tar.gz")["Number Files Created"] == 60
    for path in root.rglob("f*"):
        assert owner.get(f"{container}/{path.relative_to(tmp_path)}").body == path.read_bytes()
    assert os.path.isdir(root)
