"""Reading, copying and renaming objects that were uploaded in parts."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError
from harness.s3 import S3, code_of, error_of

MIB = 1 << 20
PARTS = [b"a" * (5 * MIB), b"b" * (6 * MIB), b"c" * 1000]
WHOLE = b"".join(PARTS)


@pytest.fixture
def upload(s3: Any, bucket: str) -> str:
    """The key of an object in three parts."""
    where = {"Bucket": bucket, "Key": "whole"}
    made = s3.create_multipart_upload(
        **where, ContentType="text/x", Metadata={"a": "b"}, Tagging="t=1", ChecksumAlgorithm="CRC32"
    )
    parts = []
    for number, body in enumerate(PARTS, 1):
        part = s3.upload_part(
            **where, UploadId=made["UploadId"], PartNumber=number, Body=body, ChecksumAlgorithm="CRC32"
        )
        parts.append({"PartNumber": number, "ETag": part["ETag"], "ChecksumCRC32": part["ChecksumCRC32"]})
    s3.complete_multipart_upload(**where, UploadId=made["UploadId"], MultipartUpload={"Parts": parts})
    return "whole"


def test_single_parts(s3: Any, raw: S3, bucket: str, upload: str) -> None:
    start = 0
    for number, body in enumerate(PARTS, 1):
        got = s3.get_object(Bucket=bucket, Key=upload, PartNumber=number)
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
        assert got["PartsCount"] == 3
        assert got["ContentRange"] == f"bytes {start}-{start + len(body) - 1}/{len(WHOLE)}"
        assert got["Body"].read() == body
        head = s3.head_object(Bucket=bucket, Key=upload, PartNumber=number)
        assert (head["ContentLength"], head["PartsCount"]) == (len(body), 3)
        start += len(body)
    answer = raw.get(f"/{bucket}/{upload}?partNumber=4")
    assert code_of(answer) == (416, "InvalidPartNumber")
    assert error_of(answer)["ActualPartCount"] == "3"
    whole = s3.head_object(Bucket=bucket, Key=upload)
    assert (whole["ContentLength"], whole["ETag"][-3:]) == (len(WHOLE), '-3"')
    assert "PartsCount" not in whole


def test_ranges_and_conditions(s3: Any, raw: S3, bucket: str, upload: str) -> None:
    etag = s3.head_object(Bucket=bucket, Key=upload)["ETag"]
    got = s3.get_object(Bucket=bucket, Key=upload, Range=f"bytes={5 * MIB - 2}-{5 * MIB + 1}", IfMatch=etag)
    assert got["Body"].read() == b"aabb"
    assert s3.get_object(Bucket=bucket, Key=upload, Range="bytes=-1001")["Body"].read() == b"b" + b"c" * 1000
    assert s3.head_object(Bucket=bucket, Key=upload, Range="bytes=0-9")["ContentLength"] == 10
    assert raw.get(f"/{bucket}/{upload}", {"If-None-Match": etag}).status == 304
    assert code_of(raw.get(f"/{bucket}/{upload}", {"If-Match": '"x"'})) == (412, "PreconditionFailed")
    assert code_of(raw.get(f"/{bucket}/{upload}", {"Range": "bytes=99999999-"})) == (416, "InvalidRange")


def test_tags_of_an_upload_can_be_changed(s3: Any, bucket: str, upload: str) -> None:
    before = s3.head_object(Bucket=bucket, Key=upload, ChecksumMode="ENABLED")
    s3.put_object_tagging(Bucket=bucket, Key=upload, Tagging={"TagSet": [{"Key": "x", "Value": "y"}]})
    after = s3.get_object(Bucket=bucket, Key=upload, ChecksumMode="ENABLED")
    assert after["Body"].read() == WHOLE
    for name in ("ETag", "Metadata", "ContentType", "LastModified", "ContentLength", "ChecksumType"):
        assert after[name] == before[name]
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"][0]
    assert (listed["ETag"], listed["Size"]) == (before["ETag"], len(WHOLE))


def test_a_copy_is_in_one_piece(s3: Any, bucket: str, upload: str) -> None:
    made = s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/{upload}")["CopyObjectResult"]
    got = s3.get_object(Bucket=bucket, Key="copy", ChecksumMode="ENABLED")
    assert got["Body"].read() == WHOLE
    assert "-" not in got["ETag"]
    assert got["ETag"] == made["ETag"]
    assert got["ChecksumType"] == "FULL_OBJECT"
    assert got["ContentType"] == "text/x"
    listed = {one["Key"]: (one["ETag"], one["Size"]) for one in s3.list_objects_v2(Bucket=bucket)["Contents"]}
    assert listed["copy"] == (got["ETag"], len(WHOLE))


def test_a_renamed_upload_keeps_its_tag(s3: Any, raw: S3, bucket: str, upload: str) -> None:
    before = s3.head_object(Bucket=bucket, Key=upload)
    for old, new in ((upload, "b"), ("b", "c")):
        assert raw.put(f"/{bucket}/{new}?renameObject", b"", {"x-amz-rename-source": old}).status == 200
    got = s3.get_object(Bucket=bucket, Key="c", IfMatch=before["ETag"])
    assert got["Body"].read() == WHOLE
    for name in ("ETag", "Metadata", "ContentType", "TagCount"):
        assert got[name] == before[name]
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert [(one["Key"], one["ETag"], one["Size"]) for one in listed] == [("c", before["ETag"], len(WHOLE))]
    with pytest.raises(ClientError):
        s3.get_object(Bucket=bucket, Key="c", IfMatch='"x"')


def test_attributes_of_parts(s3: Any, bucket: str, upload: str) -> None:
    asked = {"Bucket": bucket, "Key": upload, "ObjectAttributes": ["ObjectParts", "ObjectSize", "ETag"]}
    got = s3.get_object_attributes(**asked)
    assert got["ObjectSize"] == len(WHOLE)
    assert got["ETag"].endswith("-3")
    parts = got["ObjectParts"]
    assert (parts["TotalPartsCount"], parts["IsTruncated"]) == (3, False)
    assert [(part["PartNumber"], part["Size"]) for part in parts["Parts"]] == list(enumerate(map(len, PARTS), 1))
    assert all(part["ChecksumCRC32"] for part in parts["Parts"])
    page = s3.get_object_attributes(**asked, MaxParts=1, PartNumberMarker=1)["ObjectParts"]
    assert [part["PartNumber"] for part in page["Parts"]] == [2]
    assert (page["IsTruncated"], page["NextPartNumberMarker"]) == (True, 2)
