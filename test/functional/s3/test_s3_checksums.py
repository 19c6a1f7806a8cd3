"""Checksums of every algorithm, wherever one can be sent, computed or shown."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from harness.client import Answer, Client
from harness.layouts import ONE_DEVICE
from harness.s3 import S3, code_of
from harness.s3_answers import CHECKSUMS, HASH, ask

BODY = b"some content of an object"
pytestmark = ONE_DEVICE

NEWER = ("SHA512", "MD5", "XXHASH64", "XXHASH3", "XXHASH128")
BY_BOTO = ("SHA512", "XXHASH64", "XXHASH3", "XXHASH128")  # it computes no MD5
MODE = {"x-amz-checksum-mode": "ENABLED"}


def value(algorithm: str, data: bytes = BODY) -> str:
    return CHECKSUMS[algorithm](data)


def shown(answer: Answer) -> dict[str, str]:
    """The checksums of an answer, by algorithm."""
    prefix = "x-amz-checksum-"
    named = {name.lower(): text for name, text in answer.headers.items()}
    return {
        name[len(prefix) :].upper(): text
        for name, text in named.items()
        if name.startswith(prefix) and name != "x-amz-checksum-type"
    }


@pytest.mark.parametrize("size", [0, 20, 3_000_000])
@pytest.mark.parametrize("algorithm", BY_BOTO)
def test_boto3_sends_and_verifies_it(s3: Any, bucket: str, algorithm: str, size: int) -> None:
    body, name = b"x" * size, f"Checksum{algorithm}"
    put = s3.put_object(Bucket=bucket, Key="k", Body=body, ChecksumAlgorithm=algorithm)
    got = s3.get_object(Bucket=bucket, Key="k")
    assert put[name] == got[name] == value(algorithm, body)
    assert got["Body"].read() == body  # boto3 compares
    attributes = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["Checksum"])
    assert attributes["Checksum"] == {name: value(algorithm, body), "ChecksumType": "FULL_OBJECT"}


@pytest.mark.parametrize("algorithm", NEWER)
def test_a_read_has_a_checksum_that_every_sdk_knows_beside_a_newer_one(raw: S3, bucket: str, algorithm: str) -> None:
    """The JavaScript SDK fails a read whose only checksum it does not have."""
    header = f"x-amz-checksum-{algorithm.lower()}"
    answer = raw.put(f"/{bucket}/k", BODY, {header: value(algorithm)})
    assert (answer.status, shown(answer)) == (200, {algorithm: value(algorithm)})
    assert shown(raw.get(f"/{bucket}/k", MODE)) == {algorithm: value(algorithm), "CRC32C": value("CRC32C")}
    assert shown(raw.request("HEAD", f"/{bucket}/k", MODE)) == {algorithm: value(algorithm)}
    assert shown(raw.get(f"/{bucket}/k", {**MODE, "Range": "bytes=0-3"})) == {}
    assert shown(raw.get(f"/{bucket}/k")) == {}


@pytest.mark.parametrize("algorithm", NEWER)
def test_a_wrong_or_malformed_one_is_refused(raw: S3, bucket: str, algorithm: str) -> None:
    header = f"x-amz-checksum-{algorithm.lower()}"
    answer = raw.put(f"/{bucket}/k", BODY, {header: value(algorithm, b"other")})
    assert code_of(answer) == (400, "BadDigest")
    assert f"The {algorithm} you specified did not match" in answer.text
    assert code_of(raw.put(f"/{bucket}/k", BODY, {header: "AAAA"})) == (400, "InvalidRequest")
    assert raw.get(f"/{bucket}/k").status == 404


@pytest.mark.parametrize("algorithm", NEWER)
def test_it_can_follow_the_body(raw: S3, bucket: str, algorithm: str) -> None:
    header = f"x-amz-checksum-{algorithm.lower()}"
    for data, expected in ((BODY, 200), (b"other", 400)):
        framed = f"{len(BODY):x}\r\n".encode() + BODY + f"\r\n0\r\n{header}:{value(algorithm, data)}\r\n\r\n".encode()
        headers = {
            HASH: "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            "x-amz-decoded-content-length": str(len(BODY)),
            "x-amz-trailer": header,
            "Content-Encoding": "aws-chunked",
        }
        answer = ask(raw, "V4h", "PUT", f"/{bucket}/k", headers, framed)
        assert answer.status == expected, answer.text
    assert raw.get(f"/{bucket}/k", MODE)[header] == value(algorithm)


def test_an_md5_of_the_javascript_sdk_is_one_of_the_object(raw: S3, s3: Any, bucket: str) -> None:
    """It comes as Content-MD5, with its announcement."""
    sent = {"Content-MD5": value("MD5"), "x-amz-sdk-checksum-algorithm": "MD5"}
    assert shown(raw.put(f"/{bucket}/k", BODY, sent)) == {"MD5": value("MD5")}
    where = {"Bucket": bucket, "Key": "parts"}
    upload = s3.create_multipart_upload(**where, ChecksumAlgorithm="MD5")["UploadId"]
    part = raw.put(f"/{bucket}/parts?partNumber=1&uploadId={upload}", BODY, sent)
    assert shown(part) == {"MD5": value("MD5")}
    listed = {"PartNumber": 1, "ETag": part["ETag"], "ChecksumMD5": value("MD5")}
    done = s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": [listed]})
    assert done["ChecksumMD5"] == f"{value('MD5', base64.b64decode(value('MD5')))}-1"
    assert s3.get_object(**where)["Body"].read() == BODY


def test_a_copy_has_the_checksum_of_its_source_or_the_requested_one(s3: Any, raw: S3, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=BODY, ChecksumAlgorithm="CRC32")
    for algorithm in NEWER:
        copied = s3.copy_object(Bucket=bucket, Key=algorithm, CopySource=f"{bucket}/k", ChecksumAlgorithm=algorithm)[
            "CopyObjectResult"
        ]
        assert copied[f"Checksum{algorithm}"] == value(algorithm)
        again = s3.copy_object(Bucket=bucket, Key="again", CopySource=f"{bucket}/{algorithm}")["CopyObjectResult"]
        assert again[f"Checksum{algorithm}"] == value(algorithm)
        assert shown(raw.get(f"/{bucket}/again", MODE)) == {algorithm: value(algorithm), "CRC32C": value("CRC32C")}


# Presigned URLs


@pytest.mark.parametrize("algorithm", ["CRC32", *NEWER])
def test_a_url_made_for_one_content_takes_no_other(raw: S3, bucket: str, algorithm: str) -> None:
    """A checksum in the query was not compared with the body."""
    of = value(algorithm)
    quoted = of.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")
    target = f"/{bucket}/k?x-amz-checksum-{algorithm.lower()}={quoted}&x-amz-sdk-checksum-algorithm={algorithm}"
    assert code_of(raw.presigned("PUT", target, b"other")) == (400, "BadDigest")
    answer = raw.presigned("PUT", target, BODY)
    assert (answer.status, shown(answer)) == (200, {algorithm: of})


def test_a_url_with_the_checksum_of_nothing_takes_any_content(raw: S3, bucket: str) -> None:
    """The JavaScript SDK makes these for browsers: when it signs, there is no body."""
    target = f"/{bucket}/k?x-amz-checksum-crc32=AAAAAA%3D%3D&x-amz-sdk-checksum-algorithm=CRC32"
    answer = raw.presigned("PUT", target, BODY)
    assert (answer.status, shown(answer)) == (200, {"CRC32": value("CRC32")})
    sent = {"x-amz-checksum-sha256": value("SHA256")}
    assert shown(raw.presigned("PUT", target, BODY, headers=sent)) == {"SHA256": sent["x-amz-checksum-sha256"]}


# Listings


def test_listings_name_algorithm_and_type(s3: Any, raw: S3, owner: Client, bucket: str) -> None:
    """They named none, as rows of containers held none."""
    for algorithm in ("CRC32", "SHA1", "SHA256", *BY_BOTO):
        s3.put_object(Bucket=bucket, Key=algorithm, Body=BODY, ChecksumAlgorithm=algorithm)
    raw.put(f"/{bucket}/CRC64NVME", BODY)  # without a checksum
    s3.put_object(Bucket=bucket, Key="CRC32-class", Body=BODY, StorageClass="STANDARD_IA", ChecksumAlgorithm="CRC32")
    s3.put_object(Bucket=bucket, Key="SHA1-odd", ContentType="a/b;s3_sum=CRC32", ChecksumAlgorithm="SHA1")
    s3.put_object_tagging(Bucket=bucket, Key="SHA1", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    assert owner.put(f"{bucket}/swift", BODY).status == 201
    for call in (s3.list_objects, s3.list_objects_v2):
        rows = {row["Key"]: row for row in call(Bucket=bucket)["Contents"]}
        assert "ChecksumAlgorithm" not in rows["swift"] and "ChecksumType" not in rows.pop("swift")
        for key, row in rows.items():
            assert (row["ChecksumAlgorithm"], row["ChecksumType"]) == ([key.partition("-")[0]], "FULL_OBJECT")
        assert rows["CRC32-class"]["StorageClass"] == "STANDARD_IA"
    listed = {row["name"]: row["content_type"] for row in owner.get(bucket, format="json").json}
    assert listed["SHA1-odd"] == "a/b;s3_sum=CRC32"
    assert set(listed.values()) == {"binary/octet-stream", "application/octet-stream", "a/b;s3_sum=CRC32"}


def test_listings_of_versions_name_them_too(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"1", ChecksumAlgorithm="SHA1")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket=bucket, Key="k", Body=b"2", ChecksumAlgorithm="XXHASH3")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k", ChecksumAlgorithm="CRC32")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=BODY, ChecksumAlgorithm="CRC32")
    parts = [{"PartNumber": 1, "ETag": part["ETag"], "ChecksumCRC32": part["ChecksumCRC32"]}]
    s3.complete_multipart_upload(Bucket=bucket, Key="k", UploadId=upload, MultipartUpload={"Parts": parts})
    rows = s3.list_object_versions(Bucket=bucket)["Versions"]
    assert [(row["ChecksumAlgorithm"], row["ChecksumType"]) for row in rows] == [
        (["CRC32"], "COMPOSITE"),
        (["XXHASH3"], "FULL_OBJECT"),
        (["SHA1"], "FULL_OBJECT"),
    ]
    for version, expected in ((rows[0]["VersionId"], "XXHASH3"), (rows[1]["VersionId"], "SHA1")):
        s3.delete_object(Bucket=bucket, Key="k", VersionId=version)
        (row,) = s3.list_objects_v2(Bucket=bucket)["Contents"]
        assert row["ChecksumAlgorithm"] == [expected]
