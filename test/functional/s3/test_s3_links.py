"""Links and dynamic large objects that Swift's clients made, as S3 sees them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from harness.client import Client
from harness.layouts import ONE_DEVICE

pytestmark = ONE_DEVICE
CONTENT = b"hello world"
MD5 = hashlib.md5(CONTENT).hexdigest()


@pytest.fixture
def bucket(s3: Any, owner: Client, new_container: Callable[[], str]) -> str:
    """A bucket with an object `t`, a dynamic and a static link to it, and the dynamic large object `d`."""
    name = new_container()
    s3.put_object(Bucket=name, Key="t", Body=CONTENT, ContentType="a/b", Metadata={"x": "1"})
    target = {"X-Symlink-Target": f"{name}/t"}
    assert owner.put(f"{name}/link", b"", target).status == 201
    assert owner.put(f"{name}/static", b"", {**target, "X-Symlink-Target-Etag": MD5}).status == 201
    for number in range(3):
        owner.put(f"{name}/s/{number}", b"abc" * number)
    assert owner.put(f"{name}/d", b"own", {"X-Object-Manifest": f"{name}/s/"}).status == 201
    return name


def code(call: Callable[..., object], **arguments: object) -> str:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return str(caught.value.response["Error"]["Code"])


@pytest.mark.parametrize("key", ["link", "static"])
def test_a_link_is_its_target(s3: Any, bucket: str, key: str) -> None:
    head = s3.head_object(Bucket=bucket, Key=key)
    assert head["ContentLength"] == 11 and head["ETag"] == f'"{MD5}"' and head["Metadata"] == {"x": "1"}
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == CONTENT
    assert s3.get_object(Bucket=bucket, Key=key, Range="bytes=1-4")["Body"].read() == b"ello"
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/{key}")
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == CONTENT
    s3.delete_object(Bucket=bucket, Key=key)
    assert code(s3.head_object, Bucket=bucket, Key=key) == "404"
    assert s3.get_object(Bucket=bucket, Key="t")["Body"].read() == CONTENT


def test_a_link_keeps_its_metadata(s3: Any, bucket: str) -> None:
    tags = {"TagSet": [{"Key": "a", "Value": "b"}]}
    assert code(s3.put_object_tagging, Bucket=bucket, Key="link", Tagging=tags) == "InvalidRequest"
    assert code(s3.put_object_acl, Bucket=bucket, Key="link", ACL="public-read") == "InvalidRequest"
    assert s3.get_object_tagging(Bucket=bucket, Key="t")["TagSet"] == []


def test_links_that_cannot_be_followed(s3: Any, owner: Client, bucket: str) -> None:
    owner.put(f"{bucket}/gone", b"", {"X-Symlink-Target": f"{bucket}/none"})
    owner.put(f"{bucket}/a", b"", {"X-Symlink-Target": f"{bucket}/b"})
    owner.put(f"{bucket}/b", b"", {"X-Symlink-Target": f"{bucket}/a"})
    assert code(s3.get_object, Bucket=bucket, Key="gone") == "NoSuchKey"
    assert code(s3.get_object, Bucket=bucket, Key="a") == "InvalidRequest"
    s3.put_object(Bucket=bucket, Key="t", Body=b"changed")
    assert code(s3.get_object, Bucket=bucket, Key="static") == "InvalidRequest"


def test_listings_show_what_is_certain(s3: Any, bucket: str) -> None:
    rows = {row["Key"]: (row["Size"], row["ETag"]) for row in s3.list_objects_v2(Bucket=bucket)["Contents"]}
    assert rows["static"] == rows["t"] == (11, f'"{MD5}"')
    assert rows["link"][0] == 0 and rows["d"][0] == 3


def test_a_dynamic_large_object_is_its_segments(s3: Any, owner: Client, bucket: str) -> None:
    head = s3.head_object(Bucket=bucket, Key="d")
    assert head["ContentLength"] == 9 and head["ETag"] == owner.head(f"{bucket}/d")["Etag"]
    assert s3.get_object(Bucket=bucket, Key="d")["Body"].read() == b"abc" * 3
    s3.put_object_tagging(Bucket=bucket, Key="d", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    assert s3.get_object_tagging(Bucket=bucket, Key="d")["TagSet"] == [{"Key": "a", "Value": "b"}]
    assert s3.get_object(Bucket=bucket, Key="d", Range="bytes=2-4")["Body"].read() == b"cab"
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/d")
    assert owner.head(f"{bucket}/copy").get("X-Object-Manifest") is None
    assert owner.get(f"{bucket}/copy").body == b"abc" * 3


def test_a_bucket_policy_binds_reads_through_links_and_segments(s3: Any, owner: Client, bucket: str) -> None:
    anonymous = owner.with_token(None)
    assert owner.post(bucket, {"X-Container-Read": ".r:*"}).status == 204
    assert anonymous.get(f"{bucket}/link").body == CONTENT and anonymous.get(f"{bucket}/d").body == b"abc" * 3
    denied = [f"arn:aws:s3:::{bucket}/{key}" for key in ("t", "s/1")]
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": denied}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [deny]}))
    assert anonymous.get(f"{bucket}/link").status == anonymous.head(f"{bucket}/link").status == 401
    assert anonymous.get(f"{bucket}/d").status == 401
    assert anonymous.get(f"{bucket}/d", {"Range": "bytes=3-"}).body == b"abcabc"
    assert code(s3.get_object, Bucket=bucket, Key="link") == "AccessDenied"


def test_versions_that_are_links(s3: Any, owner: Client, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    made = owner.put(f"{bucket}/v", b"", {"X-Symlink-Target": f"{bucket}/t"})["X-Object-Version-Id"]
    s3.put_object(Bucket=bucket, Key="v", Body=b"own")
    old = s3.get_object(Bucket=bucket, Key="v", VersionId=made)
    assert old["Body"].read() == CONTENT and old["VersionId"] == made
    assert s3.get_object(Bucket=bucket, Key="v")["Body"].read() == b"own"
    linked = owner.put(f"{bucket}/w", b"", {"X-Symlink-Target": f"{bucket}/t"})["X-Object-Version-Id"]
    (row,) = owner.get(bucket, format="json", prefix="w").json
    assert row["version_symlink"] and row["symlink_path"] == f"{owner.root}/{bucket}/w?version-id={linked}"
    (version,) = owner.get(bucket, format="json", prefix="w", versions="").json
    assert version["symlink_path"] == f"{owner.root}/{bucket}/t"
