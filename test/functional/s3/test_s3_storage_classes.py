"""Storage classes that other storage policies keep: on a store of two policies, started for these tests."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import Request, urlopen

import pytest
from botocore.exceptions import ClientError
from harness.client import Client, log_in
from harness.copies import copies
from harness.processes import Serve, command, run, wait_until
from harness.s3 import boto_client

CLASSES = "STANDARD_IA=cold, DEEP_ARCHIVE=cold, INTELLIGENT_TIERING=warm"
DATA = b"cold data" * 1000
PART = 5 << 20


class Shop(NamedTuple):
    server: Serve
    s3: Any
    owner: Client

    def stored(self, policy: int) -> list[int]:
        """Sizes of the objects that a policy keeps, those of under 1 KiB (lists, records) left out."""
        found = [copy for device in (self.server.data / "devices").iterdir() for copy in copies(device, policy)]
        return sorted(copy.size for copy in found if copy.size > 1024)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with started(tmp_path_factory.mktemp("classes")) as found:
        yield found


@contextlib.contextmanager
def started(place: Path, free_delay: str = "2m") -> Iterator[Shop]:
    """A store of three policies: Policy-0, cold and warm."""
    server = Serve(place / "data", place / "log", workers=1)
    server.start()
    server.stop()
    etc = server.data / "etc"
    with open(etc / "objstore.conf", "a") as conf:
        conf.write("\n[storage-policy:1]\nname = cold\n\n[storage-policy:2]\nname = warm\n")
    for index in (1, 2):
        shutil.copy(etc / "object.ring", etc / f"object-{index}.ring")
    configure(etc, "filter:s3", "storage_classes", CLASSES)
    configure(etc, "app:proxy-server", "free_delay", free_delay)
    server.start()
    known = server.credentials
    owner = log_in(known["endpoint"], known["user"], known["key"])
    try:
        yield Shop(server, boto_client(known["endpoint"], known["user"], known["key"]), owner)
    finally:
        owner.close()
        server.stop()


def configure(etc: Path, section: str, setting: str, value: str) -> None:
    conf = etc / "proxy-server.conf"
    lines = conf.read_text().splitlines()
    place = lines.index(f"[{section}]") + 2  # behind `use`
    conf.write_text("\n".join([*lines[:place], f"{setting} = {value}", *lines[place:]]) + "\n")


@pytest.fixture
def bucket(shop: Shop) -> Iterator[str]:
    name = f"test-{uuid.uuid4().hex[:12]}"
    shop.s3.create_bucket(Bucket=name)
    yield name
    for page in shop.s3.get_paginator("list_object_versions").paginate(Bucket=name):
        for row in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
            shop.s3.delete_object(Bucket=name, Key=row["Key"], VersionId=row["VersionId"])
    shop.s3.delete_bucket(Bucket=name)


def test_an_object_of_a_mapped_class_lies_in_its_policy(shop: Shop, bucket: str) -> None:
    before, plain = shop.stored(1), shop.stored(0)
    put = shop.s3.put_object(Bucket=bucket, Key="k", Body=DATA, StorageClass="STANDARD_IA", Metadata={"a": "b"})
    assert len(shop.stored(1)) == len(before) + 1
    assert shop.stored(0) == plain
    got = shop.s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert got["Body"].read() == DATA
    assert (got["ETag"], got["StorageClass"], got["Metadata"]) == (put["ETag"], "STANDARD_IA", {"a": "b"})
    assert got["ChecksumCRC32"] == put["ChecksumCRC32"]
    part = shop.s3.get_object(Bucket=bucket, Key="k", PartNumber=1)
    assert part["Body"].read() == DATA
    assert "PartsCount" not in part
    row = shop.s3.list_objects_v2(Bucket=bucket)["Contents"][0]
    assert (row["Size"], row["ETag"], row["StorageClass"]) == (len(DATA), put["ETag"], "STANDARD_IA")
    assert shop.owner.get(f"{bucket}/k").body == DATA
    assert shop.s3.get_object(Bucket=bucket, Key="k", Range="bytes=5-8")["Body"].read() == DATA[5:9]


def test_classes_without_a_policy_lie_with_the_bucket(shop: Shop, bucket: str) -> None:
    before = shop.stored(0)
    shop.s3.put_object(Bucket=bucket, Key="k", Body=DATA, StorageClass="ONEZONE_IA")
    assert len(shop.stored(0)) == len(before) + 1


@pytest.mark.parametrize("name", ["GLACIER", "SMALL"])
def test_other_classes_are_refused(shop: Shop, bucket: str, name: str) -> None:
    with pytest.raises(ClientError) as refused:
        shop.s3.put_object(Bucket=bucket, Key="k", Body=DATA, StorageClass=name)
    assert refused.value.response["Error"]["Code"] == "InvalidStorageClass"


def test_a_class_whose_policy_is_named_needs_no_restoration(shop: Shop, bucket: str) -> None:
    shop.s3.put_object(Bucket=bucket, Key="k", Body=DATA, StorageClass="DEEP_ARCHIVE")
    got = shop.s3.get_object(Bucket=bucket, Key="k")
    assert (got["Body"].read(), got["StorageClass"]) == (DATA, "DEEP_ARCHIVE")


def test_a_copy_onto_itself_moves_an_object_between_policies(shop: Shop, bucket: str) -> None:
    shop.s3.put_object(Bucket=bucket, Key="k", Body=DATA)
    cold, warm = len(shop.stored(1)), len(shop.stored(2))
    source = {"Bucket": bucket, "Key": "k"}
    shop.s3.copy_object(Bucket=bucket, Key="k", CopySource=source, StorageClass="STANDARD_IA")
    assert len(shop.stored(1)) == cold + 1
    shop.s3.copy_object(Bucket=bucket, Key="k", CopySource=source, StorageClass="INTELLIGENT_TIERING")
    assert len(shop.stored(2)) == warm + 1
    shop.s3.copy_object(Bucket=bucket, Key="k", CopySource=source, StorageClass="STANDARD")
    got = shop.s3.get_object(Bucket=bucket, Key="k")
    assert (got["Body"].read(), got.get("StorageClass")) == (DATA, None)


def test_a_renamed_object_keeps_its_data(shop: Shop, bucket: str) -> None:
    put = shop.s3.put_object(Bucket=bucket, Key="k", Body=DATA, StorageClass="STANDARD_IA")
    shop.s3.rename_object(Bucket=bucket, Key="new", RenameSource="k")
    got = shop.s3.get_object(Bucket=bucket, Key="new")
    assert (got["Body"].read(), got["ETag"], got["StorageClass"]) == (DATA, put["ETag"], "STANDARD_IA")
    assert [row["Key"] for row in shop.s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["new"]
    shop.s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "new"})
    assert shop.s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == DATA


def test_a_form_can_name_a_class(shop: Shop, bucket: str) -> None:
    before = len(shop.stored(1))
    fields = {"x-amz-storage-class": "STANDARD_IA"}
    form = shop.s3.generate_presigned_post(bucket, "k", Fields=fields, Conditions=[fields])
    line = "--sep\r\nContent-Disposition: form-data; name="
    body = "".join(f'{line}"{name}"\r\n\r\n{value}\r\n' for name, value in form["fields"].items())
    body += f'{line}"file"; filename="f"\r\n\r\n'
    sent = Request(form["url"], body.encode() + DATA + b"\r\n--sep--\r\n", method="POST")
    sent.add_header("Content-Type", "multipart/form-data; boundary=sep")
    with urlopen(sent) as answer:
        assert answer.status == 204
    assert len(shop.stored(1)) == before + 1
    assert shop.s3.get_object(Bucket=bucket, Key="k")["Body"].read() == DATA


def test_a_refused_upload_leaves_no_data(shop: Shop, bucket: str) -> None:
    before = shop.stored(1)
    shop.s3.put_object(Bucket=bucket, Key="k", Body=b"first")
    with pytest.raises(ClientError) as refused:
        shop.s3.put_object(Bucket=bucket, Key="k", Body=DATA, StorageClass="STANDARD_IA", IfNoneMatch="*")
    assert refused.value.response["Error"]["Code"] == "PreconditionFailed"
    with pytest.raises(ClientError) as refused:
        shop.s3.put_object(Bucket=bucket, Key="k", Body=DATA, StorageClass="STANDARD_IA", ChecksumSHA256=f"{'A' * 43}=")
    assert refused.value.response["Error"]["Code"] == "BadDigest"
    assert shop.stored(1) == before
    assert shop.s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"first"


def test_an_upload_by_parts_has_them_in_the_policy(shop: Shop, bucket: str) -> None:
    begun = shop.s3.create_multipart_upload(Bucket=bucket, Key="k", StorageClass="STANDARD_IA")
    upload = {"Bucket": bucket, "Key": "k", "UploadId": begun["UploadId"]}
    before = len(shop.stored(1))
    bodies = [b"a" * PART, DATA]
    parts = [
        {"PartNumber": number, "ETag": shop.s3.upload_part(**upload, PartNumber=number, Body=body)["ETag"]}
        for number, body in enumerate(bodies, 1)
    ]
    assert len(shop.stored(1)) == before + 2
    assert len(shop.s3.list_parts(**upload)["Parts"]) == 2
    assert [one["StorageClass"] for one in shop.s3.list_multipart_uploads(Bucket=bucket)["Uploads"]] == ["STANDARD_IA"]
    done = shop.s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    again = shop.s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    assert done["ETag"] == again["ETag"]
    got = shop.s3.get_object(Bucket=bucket, Key="k")
    assert (got["Body"].read(), got["StorageClass"]) == (b"".join(bodies), "STANDARD_IA")


def test_an_aborted_upload_leaves_nothing_in_the_policy(shop: Shop, bucket: str) -> None:
    before = shop.stored(1)
    begun = shop.s3.create_multipart_upload(Bucket=bucket, Key="k", StorageClass="STANDARD_IA")
    upload = {"Bucket": bucket, "Key": "k", "UploadId": begun["UploadId"]}
    shop.s3.upload_part(**upload, PartNumber=1, Body=DATA)
    shop.s3.abort_multipart_upload(**upload)
    assert shop.stored(1) == before


def test_versions_are_kept_by_the_policies_of_their_classes(shop: Shop, bucket: str) -> None:
    shop.s3.put_object(Bucket=bucket, Key="k", Body=b"plain", StorageClass="STANDARD_IA")
    shop.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    before = len(shop.stored(1))
    first = shop.s3.put_object(Bucket=bucket, Key="k", Body=DATA, StorageClass="STANDARD_IA")["VersionId"]
    second = shop.s3.put_object(Bucket=bucket, Key="k", Body=b"other")["VersionId"]
    assert len(shop.stored(1)) == before + 1
    for version, data in (("null", b"plain"), (first, DATA), (second, b"other"), ("", b"other")):
        chosen = {"VersionId": version} if version else {}
        assert shop.s3.get_object(Bucket=bucket, Key="k", **chosen)["Body"].read() == data
    listed = {row["VersionId"]: row for row in shop.s3.list_object_versions(Bucket=bucket)["Versions"]}
    assert (listed[first]["Size"], listed[first]["StorageClass"]) == (len(DATA), "STANDARD_IA")
    shop.s3.delete_object(Bucket=bucket, Key="k", VersionId=second)
    got = shop.s3.get_object(Bucket=bucket, Key="k")
    assert (got["Body"].read(), got["VersionId"]) == (DATA, first)


def test_a_bucket_goes_with_its_hidden_containers(shop: Shop) -> None:
    name = f"test-{uuid.uuid4().hex[:12]}"
    shop.s3.create_bucket(Bucket=name)
    shop.s3.put_object(Bucket=name, Key="k", Body=DATA, StorageClass="STANDARD_IA")
    shop.s3.create_multipart_upload(Bucket=name, Key="k", StorageClass="STANDARD_IA")
    shop.s3.delete_object(Bucket=name, Key="k")
    shop.s3.delete_bucket(Bucket=name)
    shop.s3.create_bucket(Bucket=name)
    shop.s3.put_object(Bucket=name, Key="k", Body=DATA, StorageClass="STANDARD_IA")
    shop.s3.delete_object(Bucket=name, Key="k")
    shop.s3.delete_bucket(Bucket=name)


def test_data_go_with_the_object_or_version_that_has_them(tmp_path: Path) -> None:
    with started(tmp_path, free_delay="0") as shop:
        s3, bucket = shop.s3, "with-versions-later"

        def kept(count: int) -> None:
            wait_until(lambda: len(shop.stored(1)) == count, f"{count} objects to be left", 20)

        def put() -> str | None:
            version: str | None = s3.put_object(Bucket=bucket, Key="k", Body=DATA, StorageClass="STANDARD_IA").get(
                "VersionId"
            )
            return version

        s3.create_bucket(Bucket=bucket)
        put()
        put()
        kept(1)
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        version = put()
        kept(2)
        s3.delete_object(Bucket=bucket, Key="k", VersionId=version)
        kept(1)
        assert s3.get_object(Bucket=bucket, Key="k", VersionId="null")["Body"].read() == DATA
        s3.delete_object(Bucket=bucket, Key="k", VersionId="null")
        kept(0)


def test_a_policy_that_is_not_there_is_told_at_the_start(tmp_path: Path) -> None:
    server = Serve(tmp_path / "data", tmp_path / "log", workers=1)
    server.start()
    server.stop()
    configure(server.data / "etc", "filter:s3", "storage_classes", "STANDARD_IA=nowhere")
    told = subprocess.run(
        command("serve", "--data", str(server.data), "--bind", "127.0.0.1:0", "--workers", "1"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert told.returncode != 0
    assert "nowhere" in told.stdout + told.stderr


def test_bytes_of_an_account_count_once(shop: Shop) -> None:
    user, key = "usage:owner", "usage-secret"  # of an account of its own, which nothing else changes
    run("user", "add", user, "--data", str(shop.server.data), "--key", key, "--admin")
    endpoint = shop.server.credentials["endpoint"]
    s3, owner = boto_client(endpoint, user, key), log_in(endpoint, user, key)

    def used() -> int:
        return int(owner.head()["X-Account-Bytes-Used"])

    name = f"test-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="cold", Body=DATA, StorageClass="STANDARD_IA")
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    versions = [
        s3.put_object(Bucket=name, Key="k", Body=DATA[:size], StorageClass=kind)["VersionId"]
        for size, kind in ((100, "STANDARD"), (5000, "STANDARD_IA"), (70, "STANDARD"))
    ]
    wait_until(lambda: used() == len(DATA) + 5170, "the account to be told of three versions", 60)
    assert int(owner.head(name)["X-Container-Bytes-Used"]) == len(DATA) + 5170  # of all versions, as in Swift
    s3.delete_object(Bucket=name, Key="k", VersionId=versions[2])
    wait_until(lambda: used() == len(DATA) + 5100, "the account to be told of two versions", 60)
    for version in versions[:2]:
        s3.delete_object(Bucket=name, Key="k", VersionId=version)
    s3.delete_object(Bucket=name, Key="cold", VersionId="null")
    wait_until(lambda: used() == 0, "the account to be told of nothing", 60)
    s3.delete_bucket(Bucket=name)
    owner.close()
