"""CopyObject and RenameObject."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from botocore.exceptions import ClientError
from harness.client import Client
from harness.s3 import S3, code_of, error_of

BODY = b"0123456789" * 10
EARLY, LATE = "Sat, 29 Oct 1994 19:43:31 GMT", "Sat, 29 Oct 2194 19:43:31 GMT"


def error(call: Any, **arguments: Any) -> tuple[int, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    response = caught.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


@pytest.fixture
def source(s3: Any, bucket: str) -> str:
    """The key of an object with all that can be said of one."""
    s3.put_object(
        Bucket=bucket,
        Key="a/source",
        Body=BODY,
        ContentType="text/x",
        CacheControl="no-store",
        Metadata={"one_name": "1", "empty": ""},
        Tagging="tag=value",
        StorageClass="STANDARD_IA",
        WebsiteRedirectLocation="/there",
        ChecksumAlgorithm="SHA256",
    )
    return "a/source"


def test_a_copy_has_the_bytes_and_what_is_said_of_them(s3: Any, bucket: str, source: str) -> None:
    result = s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": source})["CopyObjectResult"]
    got = s3.get_object(Bucket=bucket, Key="copy", ChecksumMode="ENABLED")
    assert got["Body"].read() == BODY
    assert result["ETag"] == got["ETag"] == f'"{hashlib.md5(BODY).hexdigest()}"'
    assert result["LastModified"] == got["LastModified"]
    assert result["ChecksumSHA256"] == got["ChecksumSHA256"]
    assert (got["ContentType"], got["CacheControl"]) == ("text/x", "no-store")
    assert got["Metadata"] == {"one_name": "1", "empty": ""}
    assert s3.get_object_tagging(Bucket=bucket, Key="copy")["TagSet"] == [{"Key": "tag", "Value": "value"}]
    assert not {"StorageClass", "WebsiteRedirectLocation"} & got.keys()


def test_a_copy_to_another_bucket(s3: Any, bucket: str, source: str, new_bucket: Callable[[], str]) -> None:
    other = new_bucket()
    s3.copy_object(Bucket=other, Key="é +%", CopySource=f"/{bucket}/{source}")
    s3.copy_object(Bucket=bucket, Key="back", CopySource={"Bucket": other, "Key": "é +%"})
    assert s3.get_object(Bucket=bucket, Key="back")["Body"].read() == BODY


def test_metadata_and_tags_can_be_replaced(s3: Any, bucket: str, source: str) -> None:
    s3.copy_object(
        Bucket=bucket,
        Key="copy",
        CopySource=f"{bucket}/{source}",
        MetadataDirective="REPLACE",
        Metadata={"two": "2"},
        ContentType="text/y",
        TaggingDirective="REPLACE",
        Tagging="other=1",
    )
    got = s3.head_object(Bucket=bucket, Key="copy")
    assert (got["Metadata"], got["ContentType"]) == ({"two": "2"}, "text/y")
    assert "CacheControl" not in got
    assert s3.get_object_tagging(Bucket=bucket, Key="copy")["TagSet"] == [{"Key": "other", "Value": "1"}]
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/{source}", TaggingDirective="REPLACE")
    assert s3.get_object_tagging(Bucket=bucket, Key="copy")["TagSet"] == []


def test_without_the_directive_what_the_request_says_does_not_count(s3: Any, bucket: str, source: str) -> None:
    s3.copy_object(
        Bucket=bucket, Key="copy", CopySource=f"{bucket}/{source}", Metadata={"two": "2"}, ContentType="text/y",
        Tagging="other=1",
    )  # fmt: skip
    got = s3.head_object(Bucket=bucket, Key="copy")
    assert (got["Metadata"], got["ContentType"]) == ({"one_name": "1", "empty": ""}, "text/x")
    assert s3.get_object_tagging(Bucket=bucket, Key="copy")["TagSet"] == [{"Key": "tag", "Value": "value"}]


def test_a_copy_onto_itself_must_change_something(s3: Any, bucket: str, source: str) -> None:
    where = {"Bucket": bucket, "Key": source, "CopySource": f"{bucket}/{source}"}
    assert error(s3.copy_object, **where) == (400, "InvalidRequest")
    assert error(s3.copy_object, **where, Metadata={"a": "b"}) == (400, "InvalidRequest")
    s3.copy_object(**where, MetadataDirective="REPLACE", Metadata={"a": "b"})
    got = s3.get_object(Bucket=bucket, Key=source)
    assert (got["Body"].read(), got["Metadata"]) == (BODY, {"a": "b"})
    s3.copy_object(**where, StorageClass="ONEZONE_IA")
    assert s3.head_object(Bucket=bucket, Key=source)["StorageClass"] == "ONEZONE_IA"
    assert s3.get_object(Bucket=bucket, Key=source)["Body"].read() == BODY


@pytest.mark.parametrize(
    ("conditions", "holds"),
    [
        ({"CopySourceIfMatch": "ETAG"}, True),
        ({"CopySourceIfMatch": '"x"'}, False),
        ({"CopySourceIfNoneMatch": '"x"'}, True),
        ({"CopySourceIfNoneMatch": "ETAG"}, False),
        ({"CopySourceIfModifiedSince": EARLY}, True),
        ({"CopySourceIfModifiedSince": LATE}, False),
        ({"CopySourceIfUnmodifiedSince": LATE}, True),
        ({"CopySourceIfUnmodifiedSince": EARLY}, False),
        # From the documentation of CopyObject.
        ({"CopySourceIfMatch": "ETAG", "CopySourceIfUnmodifiedSince": EARLY}, True),
        ({"CopySourceIfNoneMatch": "ETAG", "CopySourceIfModifiedSince": EARLY}, False),
    ],
)
def test_conditions_on_the_source(s3: Any, bucket: str, source: str, conditions: dict[str, str], holds: bool) -> None:
    etag = s3.head_object(Bucket=bucket, Key=source)["ETag"]
    sent = {name: value.replace("ETAG", etag) for name, value in conditions.items()}
    where = {"Bucket": bucket, "Key": "copy", "CopySource": f"{bucket}/{source}"}
    if holds:
        s3.copy_object(**where, **sent)
    else:
        assert error(s3.copy_object, **where, **sent) == (412, "PreconditionFailed")


def test_conditions_on_the_destination(s3: Any, bucket: str, source: str) -> None:
    where = {"Bucket": bucket, "Key": "copy", "CopySource": f"{bucket}/{source}"}
    etag = s3.copy_object(**where, IfNoneMatch="*")["CopyObjectResult"]["ETag"]
    assert error(s3.copy_object, **where, IfNoneMatch="*") == (412, "PreconditionFailed")
    assert error(s3.copy_object, **where, IfMatch='"x"') == (412, "PreconditionFailed")
    s3.copy_object(**where, IfMatch=etag)


def test_checksums_of_copies_are_of_their_bytes(s3: Any, bucket: str, source: str) -> None:
    where = {"Bucket": bucket, "CopySource": f"{bucket}/{source}"}
    kept = s3.copy_object(Key="same", **where)["CopyObjectResult"]
    head = s3.head_object(Bucket=bucket, Key=source, ChecksumMode="ENABLED")
    assert kept["ChecksumSHA256"] == head["ChecksumSHA256"]
    made = s3.copy_object(Key="other", ChecksumAlgorithm="CRC32", **where)["CopyObjectResult"]
    put = s3.put_object(Bucket=bucket, Key="same bytes", Body=BODY, ChecksumAlgorithm="CRC32")
    assert made["ChecksumCRC32"] == put["ChecksumCRC32"]
    assert s3.get_object(Bucket=bucket, Key="other", ChecksumMode="ENABLED")["Body"].read() == BODY


@pytest.mark.parametrize("header", ["", "nokey", "/", "/b", "b/", "%FF/k", "b/k?version=1", "b/%00"])
def test_sources_that_are_none(raw: S3, bucket: str, header: str) -> None:
    assert code_of(raw.put(f"/{bucket}/copy", b"", {"x-amz-copy-source": header})) == (400, "InvalidArgument")


def test_sources_that_are_not_there(s3: Any, raw: S3, bucket: str) -> None:
    where = {"Bucket": bucket, "Key": "copy"}
    assert error(s3.copy_object, CopySource=f"{bucket}/none", **where) == (404, "NoSuchKey")
    assert error(s3.copy_object, CopySource="no-such-bucket-here/k", **where) == (404, "NoSuchBucket")
    answer = raw.put("/no-such-bucket-here/k", b"", {"x-amz-copy-source": f"{bucket}/none"})
    assert code_of(answer) == (404, "NoSuchBucket")


def test_directives_that_are_none(s3: Any, bucket: str, source: str) -> None:
    where = {"Bucket": bucket, "Key": "copy", "CopySource": f"{bucket}/{source}"}
    for name in ("MetadataDirective", "TaggingDirective"):
        assert error(s3.copy_object, **where, **{name: "MERGE"}) == (400, "InvalidArgument")
    assert error(s3.copy_object, **where, ChecksumAlgorithm="MD4") == (400, "InvalidRequest")


def test_a_large_copy(s3: Any, bucket: str) -> None:
    body = b"abcdefg" * 1_000_000
    etag = s3.put_object(Bucket=bucket, Key="large", Body=body)["ETag"]
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/large")
    got = s3.get_object(Bucket=bucket, Key="copy")
    assert got["ETag"] == etag
    assert got["Body"].read() == body


def test_a_copy_of_what_another_owns_needs_the_right_to_read_it(
    s3: Any, s3_other: Any, bucket: str, source: str
) -> None:
    other = f"{bucket}-other"
    s3_other.create_bucket(Bucket=other)
    try:
        where = {"Bucket": other, "Key": "copy", "CopySource": f"{bucket}/{source}"}
        assert error(s3_other.copy_object, **where) == (403, "AccessDenied")
        s3.put_object_acl(Bucket=bucket, Key=source, ACL="public-read")
        s3_other.copy_object(**where)
        assert s3_other.get_object(Bucket=other, Key="copy")["Body"].read() == BODY
        s3_other.delete_object(Bucket=other, Key="copy")
    finally:
        s3_other.delete_bucket(Bucket=other)


# Renaming


def rename(raw: S3, bucket: str, old: str, new: str, **headers: str) -> Any:
    sent = {"x-amz-rename-source": quote(old), **{name.replace("_", "-"): value for name, value in headers.items()}}
    return raw.put(f"/{bucket}/{quote(new)}?renameObject", b"", sent)


def test_a_renamed_object_is_all_that_it_was(s3: Any, raw: S3, bucket: str, source: str) -> None:
    before = s3.get_object(Bucket=bucket, Key=source, ChecksumMode="ENABLED")
    assert rename(raw, bucket, source, "b/ü").status == 200
    after = s3.get_object(Bucket=bucket, Key="b/ü", ChecksumMode="ENABLED")
    assert after["Body"].read() == BODY
    for name in ("ETag", "Metadata", "ContentType", "CacheControl", "TagCount", "StorageClass", "ChecksumSHA256"):
        assert after[name] == before[name]
    assert error(s3.head_object, Bucket=bucket, Key=source) == (404, "404")
    assert rename(raw, bucket, f"/{bucket}/b/ü", "c").status == 200
    assert [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["c"]


def test_a_renamed_object_ends_when_it_would_have(owner: Client, raw: S3, bucket: str) -> None:
    owner.put(f"{bucket}/a", b"x", {"X-Delete-After": "900"})
    ends = owner.head(f"{bucket}/a")["X-Delete-At"]
    assert rename(raw, bucket, "a", "b").status == 200
    assert owner.head(f"{bucket}/b")["X-Delete-At"] == ends


def test_conditions_on_renaming(s3: Any, raw: S3, bucket: str, source: str) -> None:
    etag = s3.head_object(Bucket=bucket, Key=source)["ETag"]
    s3.put_object(Bucket=bucket, Key="there", Body=b"1")
    refused = (412, "PreconditionFailed")
    assert code_of(rename(raw, bucket, source, "there", If_None_Match="*")) == refused
    assert code_of(rename(raw, bucket, source, "there", If_Match=etag)) == refused
    assert code_of(rename(raw, bucket, source, "x", **{"x-amz-rename-source-if-match": '"x"'})) == refused
    assert code_of(rename(raw, bucket, source, "x", **{"x-amz-rename-source-if-none-match": etag})) == refused
    assert code_of(rename(raw, bucket, source, "x", **{"x-amz-rename-source-if-unmodified-since": EARLY})) == refused
    assert s3.get_object(Bucket=bucket, Key="there")["Body"].read() == b"1"
    assert s3.head_object(Bucket=bucket, Key=source)["ETag"] == etag
    assert rename(raw, bucket, source, "x", If_None_Match="*").status == 200
    assert rename(raw, bucket, "x", "there", **{"x-amz-rename-source-if-match": etag}).status == 200
    assert s3.get_object(Bucket=bucket, Key="there")["Body"].read() == BODY


def test_renamings_that_are_refused(raw: S3, bucket: str, source: str) -> None:
    assert code_of(rename(raw, bucket, "none", "x")) == (404, "NoSuchKey")
    assert code_of(rename(raw, bucket, source, source)) == (400, "InvalidRequest")
    assert code_of(rename(raw, bucket, source, "x/")) == (400, "InvalidRequest")
    assert code_of(rename(raw, bucket, "", "x")) == (400, "InvalidArgument")
    for dated in ({"If_Modified_Since": EARLY}, {"If_Unmodified_Since": LATE}):  # of the destination; were ignored
        assert code_of(rename(raw, bucket, source, "x", **dated)) == (501, "NotImplemented")
    answer = raw.put(f"/{bucket}/x?renameObject", b"", {"x-amz-rename-source": "%FF"})
    assert code_of(answer) == (400, "InvalidArgument")
    assert error_of(answer)["ArgumentName"] == "x-amz-rename-source"
    assert code_of(raw.put(f"/{bucket}/x?renameObject")) == (400, "InvalidArgument")
