"""DeleteObject and DeleteObjects."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
from botocore.exceptions import ClientError
from harness.s3 import S3, code_of
from harness.xml import children, parse


def body_of(*objects: str, quiet: str = "") -> bytes:
    inner = "".join(f"<Object>{one}</Object>" for one in objects)
    return f'<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{quiet}{inner}</Delete>'.encode()


def post(raw: S3, bucket: str, body: bytes, headers: dict[str, str] | None = None) -> Any:
    if headers is None:
        headers = {"Content-MD5": base64.b64encode(hashlib.md5(body).digest()).decode()}
    return raw.request("POST", f"/{bucket}?delete", headers, body)


def keys(s3: Any, bucket: str) -> list[str]:
    return [one["Key"] for one in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


def test_deleting_is_done_once_and_told_as_often_as_wanted(s3: Any, raw: S3, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k")
    for _ in range(2):
        answer = raw.request("DELETE", f"/{bucket}/k")
        assert (answer.status, answer.body) == (204, b"")
        assert answer.get("x-amz-delete-marker") is None
    assert keys(s3, bucket) == []


def test_many_keys_at_once(s3: Any, bucket: str) -> None:
    names = ["a", "b//c", "é&<>", "line\nfeed", "tail/", " spaces "]
    for name in [*names, "kept"]:
        s3.put_object(Bucket=bucket, Key=name)
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": name} for name in [*names, "none"]]})
    assert [one["Key"] for one in answer["Deleted"]] == [*names, "none"]
    assert "Errors" not in answer
    assert keys(s3, bucket) == ["kept"]


def test_quietly_only_errors_are_told(s3: Any, raw: S3, bucket: str) -> None:
    for name in ("a", "b"):
        s3.put_object(Bucket=bucket, Key=name)
    objects = ("<Key>a</Key>", f"<Key>{'x' * 1025}</Key>")
    root = parse(post(raw, bucket, body_of(*objects, quiet="<Quiet>true</Quiet>")).body)
    assert children(root, "Deleted") == []
    assert [one["Code"] for one in children(root, "Error")] == ["KeyTooLongError"]
    assert keys(s3, bucket) == ["b"]
    root = parse(post(raw, bucket, body_of("<Key>b</Key>", quiet="<Quiet>false</Quiet>")).body)
    assert children(root, "Deleted") == [{"Key": "b"}]


def test_conditions_are_those_of_each_key(s3: Any, raw: S3, bucket: str) -> None:
    etags = {name: s3.put_object(Bucket=bucket, Key=name, Body=name.encode())["ETag"] for name in ("a", "b", "c", "d")}
    answer = post(
        raw,
        bucket,
        body_of(
            f"<Key>a</Key><ETag>{etags['a']}</ETag>",
            f"<Key>b</Key><ETag>{etags['a']}</ETag>",
            "<Key>c</Key><Size>1</Size>",
            "<Key>d</Key><Size>2</Size>",
            f"<Key>none</Key><ETag>{etags['a']}</ETag>",
        ),
    )
    root = parse(answer.body)
    assert [one["Key"] for one in children(root, "Deleted")] == ["a", "c"]
    errors = [(one["Key"], one["Code"]) for one in children(root, "Error")]
    assert errors == [("b", "PreconditionFailed"), ("d", "PreconditionFailed"), ("none", "NoSuchKey")]
    assert keys(s3, bucket) == ["b", "d"]


def test_conditions_by_size_and_time(s3: Any, raw: S3, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"123")
    modified = raw.request("HEAD", f"/{bucket}/k")["Last-Modified"]

    def delete(**headers: str) -> Any:
        named = {f"x-amz-if-match-{name.replace('_', '-')}": value for name, value in headers.items()}
        return raw.request("DELETE", f"/{bucket}/k", named)

    assert code_of(delete(size="4")) == (412, "PreconditionFailed")
    assert code_of(delete(size="x")) == (400, "InvalidArgument")
    assert code_of(delete(last_modified_time="Sat, 29 Oct 1994 19:43:31 GMT")) == (412, "PreconditionFailed")
    assert code_of(delete(last_modified_time="x")) == (400, "InvalidArgument")
    assert delete(size="3", last_modified_time=modified).status == 204
    assert delete(size="3").status == 204
    assert keys(s3, bucket) == []


def test_a_checksum_is_required_and_verified(s3: Any, raw: S3, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k")
    body = body_of("<Key>k</Key>")
    assert code_of(post(raw, bucket, body, {})) == (400, "InvalidRequest")
    wrong = base64.b64encode(bytes(16)).decode()
    assert code_of(post(raw, bucket, body, {"Content-MD5": wrong})) == (400, "BadDigest")
    assert code_of(post(raw, bucket, body, {"x-amz-checksum-crc32": "AAAAAA=="})) == (400, "BadDigest")
    assert keys(s3, bucket) == ["k"]


@pytest.mark.parametrize(
    "body",
    [
        b"<Delete>",
        b"<Delete/>",
        b"<Remove><Object><Key>k</Key></Object></Remove>",
        body_of(""),
        body_of("<Key/>"),
        body_of("<Key>k</Key><Other/>"),
        body_of("<Key>k</Key>", quiet="<Quiet>perhaps</Quiet>"),
        body_of(*["<Key>k</Key>"] * 1001),
        b'<!DOCTYPE d [<!ENTITY k "k">]><Delete><Object><Key>&k;</Key></Object></Delete>',
    ],
)
def test_documents_that_are_refused(s3: Any, raw: S3, bucket: str, body: bytes) -> None:
    s3.put_object(Bucket=bucket, Key="k")
    assert code_of(post(raw, bucket, body)) == (400, "MalformedXML")
    assert keys(s3, bucket) == ["k"]


def test_bodies_that_are_empty_or_endless(raw: S3, bucket: str) -> None:
    assert code_of(post(raw, bucket, b"")) == (400, "MissingRequestBodyError")
    assert code_of(post(raw, bucket, b" " * (3 << 20))) == (400, "MaxMessageLengthExceeded")
    assert code_of(post(raw, "no-such-bucket-here", body_of("<Key>k</Key>"))) == (404, "NoSuchBucket")


def test_each_key_needs_the_right_to_delete_it(s3: Any, s3_other: Any, bucket: str) -> None:
    for name in ("mine", "yours"):
        s3.put_object(Bucket=bucket, Key=name)
    objects = {"Objects": [{"Key": "mine"}, {"Key": "yours"}]}
    answer = s3_other.delete_objects(Bucket=bucket, Delete=objects)
    assert [one["Code"] for one in answer["Errors"]] == ["AccessDenied"] * 2
    with pytest.raises(ClientError) as caught:
        s3_other.delete_object(Bucket=bucket, Key="mine")
    assert caught.value.response["Error"]["Code"] == "AccessDenied"
    policy = (
        '{"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:DeleteObject",'
        f' "Resource": "arn:aws:s3:::{bucket}/yours"}}]}}'
    )
    s3.put_bucket_policy(Bucket=bucket, Policy=policy)
    answer = s3_other.delete_objects(Bucket=bucket, Delete=objects)
    assert [one["Key"] for one in answer["Deleted"]] == ["yours"]
    assert [one["Key"] for one in answer["Errors"]] == ["mine"]
    assert keys(s3, bucket) == ["mine"]


def test_conditions_on_a_version(s3: Any, raw: S3, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    version = s3.put_object(Bucket=bucket, Key="k", Body=b"first")["VersionId"]
    s3.put_object(Bucket=bucket, Key="k", Body=b"second one")
    first = s3.head_object(Bucket=bucket, Key="k", VersionId=version)
    where = {"Bucket": bucket, "Key": "k", "VersionId": version}
    for wrong in ({"IfMatchSize": 10}, {"IfMatch": '"x"'}, {"IfMatchLastModifiedTime": "2001-02-03T04:05:06Z"}):
        with pytest.raises(ClientError) as caught:
            s3.delete_object(**where, **wrong)
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412
    right = {"ETag": first["ETag"], "Size": 5, "LastModifiedTime": first["LastModified"]}
    entry = {"Key": "k", "VersionId": version}
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{**entry, **right, "Size": 6}]})
    assert [one["Code"] for one in answer["Errors"]] == ["PreconditionFailed"]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{**entry, **right}]})
    assert [one["VersionId"] for one in answer["Deleted"]] == [version]
    assert len(s3.list_object_versions(Bucket=bucket)["Versions"]) == 1


def test_a_condition_by_a_date_without_a_time_zone_is_refused(s3: Any, raw: S3, bucket: str) -> None:
    """It was taken for one of the server's own zone."""
    s3.put_object(Bucket=bucket, Key="k")
    answer = raw.request("DELETE", f"/{bucket}/k", {"x-amz-if-match-last-modified-time": "2001-02-03T04:05:06"})
    assert code_of(answer) == (400, "InvalidArgument")
    assert keys(s3, bucket) == ["k"]
