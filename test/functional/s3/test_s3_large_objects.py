"""Static large objects of the Swift API as S3 clients see them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from harness.client import Client
from harness.layouts import ONE_DEVICE

pytestmark = ONE_DEVICE

WHOLE = b"aaaaabbbhelloccc"


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


@pytest.fixture
def large(owner: Client, bucket: str) -> str:
    """The etag of the large object `o` in the bucket, of four segments."""
    for name, data in (("a", b"aaaaa"), ("b", b"bbbbbb"), ("c", b"ccc")):
        assert owner.put(f"{bucket}/s/{name}", data).status == 201
    entries = [{"path": f"/{bucket}/s/a"}, {"path": f"/{bucket}/s/b", "range": "1-3"}, {"data": "aGVsbG8="}]
    body = json.dumps([*entries, {"path": f"/{bucket}/s/c"}]).encode()
    headers = {"X-Object-Meta-Color": "blue", "Content-Type": "text/x"}
    answer = owner.request("PUT", f"{bucket}/o", headers, body, {"multipart-manifest": "put"})
    assert answer.status == 201, answer
    return answer["Etag"]


def test_reads(s3: Any, bucket: str, large: str) -> None:
    head = s3.head_object(Bucket=bucket, Key="o")
    assert (head["ContentLength"], head["ETag"], head["Metadata"]) == (16, large, {"color": "blue"})
    assert s3.get_object(Bucket=bucket, Key="o")["Body"].read() == WHOLE
    part = s3.get_object(Bucket=bucket, Key="o", Range="bytes=4-9", IfMatch=large)
    assert part["Body"].read() == WHOLE[4:10] and part["ContentRange"] == "bytes 4-9/16"
    attributes = s3.get_object_attributes(Bucket=bucket, Key="o", ObjectAttributes=["ETag", "ObjectSize"])
    assert (attributes["ETag"], attributes["ObjectSize"]) == (large.strip('"'), 16)


def test_parts(s3: Any, bucket: str, large: str) -> None:
    parts = [b"aaaaa", b"bbb", b"hello", b"ccc"]
    for number, expected in enumerate(parts, 1):
        answer = s3.get_object(Bucket=bucket, Key="o", PartNumber=number)
        assert (answer["Body"].read(), answer["PartsCount"]) == (expected, 4)
        head = s3.head_object(Bucket=bucket, Key="o", PartNumber=number)
        assert (head["ContentLength"], head["PartsCount"]) == (len(expected), 4)
    with pytest.raises(s3.exceptions.ClientError) as beyond:
        s3.get_object(Bucket=bucket, Key="o", PartNumber=5)
    assert beyond.value.response["Error"]["Code"] == "InvalidPartNumber"


def test_listings(s3: Any, bucket: str, large: str) -> None:
    row = s3.list_objects_v2(Bucket=bucket, Prefix="o")["Contents"][0]
    assert (row["Size"], row["ETag"]) == (16, large)
    version = s3.list_object_versions(Bucket=bucket, Prefix="o")["Versions"][0]
    assert (version["Size"], version["ETag"]) == (16, large)


def test_copies_are_of_the_content(s3: Any, owner: Client, bucket: str, large: str) -> None:
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "o"})
    head = s3.head_object(Bucket=bucket, Key="copy")
    assert (head["ETag"], head["Metadata"]) == (f'"{md5(WHOLE)}"', {"color": "blue"})
    assert owner.head(f"{bucket}/copy").get("X-Static-Large-Object") is None


def test_versions(s3: Any, owner: Client, bucket: str, large: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    before = s3.list_object_versions(Bucket=bucket, Prefix="o")["Versions"][0]["VersionId"]
    s3.put_object(Bucket=bucket, Key="o", Body=b"new")
    assert s3.get_object(Bucket=bucket, Key="o", VersionId=before)["Body"].read() == WHOLE
    body = json.dumps([{"path": f"/{bucket}/s/a"}]).encode()
    answer = owner.request("PUT", f"{bucket}/o", None, body, {"multipart-manifest": "put"})
    version = answer["X-Object-Version-Id"]
    s3.put_object(Bucket=bucket, Key="o", Body=b"newer")
    assert s3.get_object(Bucket=bucket, Key="o", VersionId=version)["Body"].read() == b"aaaaa"
    rows = {row["VersionId"]: row for row in s3.list_object_versions(Bucket=bucket, Prefix="o")["Versions"]}
    assert (rows[version]["Size"], rows[version]["ETag"]) == (5, answer["Etag"])
    assert (rows[before]["Size"], rows[before]["ETag"]) == (16, large)
