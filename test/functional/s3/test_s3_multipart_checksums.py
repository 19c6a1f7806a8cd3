"""Checksums of uploads by parts: chosen, checked, composite and of the full object."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from harness.layouts import ONE_DEVICE
from harness.s3 import S3, code_of, error_of
from harness.s3_answers import CHECKSUMS

pytestmark = ONE_DEVICE

PART = 5 << 20
BODIES = (b"1" * PART, b"tail of the object")


def value(algorithm: str, data: bytes) -> str:
    return CHECKSUMS[algorithm](data)


def raw(algorithm: str, data: bytes) -> bytes:
    return base64.b64decode(CHECKSUMS[algorithm](data))


def composite(algorithm: str, *parts: bytes) -> str:
    return f"{value(algorithm, b''.join(raw(algorithm, part) for part in parts))}-{len(parts)}"


class Upload:
    def __init__(self, s3: Any, bucket: str, **options: Any) -> None:
        self.s3 = s3
        self.names = {"Bucket": bucket, "Key": "key"}
        self.begun = s3.create_multipart_upload(**self.names, **options)
        self.id = self.begun["UploadId"]
        self.parts: list[dict[str, Any]] = []

    def put(self, number: int, body: bytes, keep: str = "", **options: Any) -> Any:
        """keep: the checksum to name at the completion, '' for none."""
        said = self.s3.upload_part(**self.names, UploadId=self.id, PartNumber=number, Body=body, **options)
        part = {"PartNumber": number, "ETag": said["ETag"]}
        self.parts.append(part | ({f"Checksum{keep}": said[f"Checksum{keep}"]} if keep else {}))
        return said

    def complete(self, **options: Any) -> Any:
        return self.s3.complete_multipart_upload(
            **self.names, UploadId=self.id, MultipartUpload={"Parts": self.parts}, **options
        )


def refused(code: str, call: Callable[..., Any], *args: Any, **options: Any) -> str:
    """The message of the error that a call ends with."""
    with pytest.raises(ClientError) as caught:
        call(*args, **options)
    error = caught.value.response["Error"]
    assert error["Code"] == code, error
    return str(error["Message"])


@pytest.fixture
def plain(make_s3: Callable[..., Any]) -> Any:
    """A client that sends no checksums untold."""
    return make_s3(request_checksum_calculation="when_required", response_checksum_validation="when_required")


NEWER = {"SHA512", "XXHASH64", "XXHASH3", "XXHASH128"}
CHOICES = [
    ("CRC32", "COMPOSITE"), ("CRC32C", "COMPOSITE"), ("SHA1", "COMPOSITE"), ("SHA256", "COMPOSITE"),
    ("SHA512", "COMPOSITE"), ("XXHASH64", "COMPOSITE"), ("XXHASH3", "COMPOSITE"), ("XXHASH128", "COMPOSITE"),
    ("CRC32", "FULL_OBJECT"), ("CRC32C", "FULL_OBJECT"), ("CRC64NVME", "FULL_OBJECT"),
]  # fmt: skip


@pytest.mark.parametrize(("algorithm", "kind"), CHOICES)
def test_each_algorithm_and_type(s3: Any, bucket: str, algorithm: str, kind: str) -> None:
    upload = Upload(s3, bucket, ChecksumAlgorithm=algorithm, ChecksumType=kind)
    assert (upload.begun["ChecksumAlgorithm"], upload.begun["ChecksumType"]) == (algorithm, kind)
    for number, body in enumerate(BODIES, 1):
        said = upload.put(number, body, algorithm, ChecksumAlgorithm=algorithm)
        assert said[f"Checksum{algorithm}"] == value(algorithm, body)
    listed = s3.list_parts(**upload.names, UploadId=upload.id)
    assert (listed["ChecksumAlgorithm"], listed["ChecksumType"]) == (algorithm, kind)
    assert [part[f"Checksum{algorithm}"] for part in listed["Parts"]] == [value(algorithm, body) for body in BODIES]
    (row,) = s3.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert (row["ChecksumAlgorithm"], row["ChecksumType"]) == (algorithm, kind)
    whole = composite(algorithm, *BODIES) if kind == "COMPOSITE" else value(algorithm, b"".join(BODIES))
    said = upload.complete(ChecksumType=kind, **{f"Checksum{algorithm}": whole})
    assert (said[f"Checksum{algorithm}"], said["ChecksumType"]) == (whole, kind)
    head = s3.head_object(**upload.names, ChecksumMode="ENABLED")
    assert (head[f"Checksum{algorithm}"], head["ChecksumType"]) == (whole, kind)
    assert s3.get_object(**upload.names)["Body"].read() == b"".join(BODIES)  # boto3 checks what it knows how to
    for number, body in enumerate(BODIES, 1):
        part = s3.get_object(**upload.names, PartNumber=number)
        assert part["Body"].read() == body and part[f"Checksum{algorithm}"] == value(algorithm, body)
        assert "ChecksumCRC32C" in part or algorithm not in NEWER
    (row,) = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert (row["ChecksumAlgorithm"], row["ChecksumType"]) == ([algorithm], kind)
    parts = s3.get_object_attributes(**upload.names, ObjectAttributes=["ObjectParts", "Checksum"])
    assert parts["Checksum"][f"Checksum{algorithm}"] == whole
    assert [part[f"Checksum{algorithm}"] for part in parts["ObjectParts"]["Parts"]] == [
        value(algorithm, body) for body in BODIES
    ]


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "SHA1", "SHA256", "MD5", *sorted(NEWER)])
def test_composite_is_the_default(s3: Any, bucket: str, algorithm: str) -> None:
    assert Upload(s3, bucket, ChecksumAlgorithm=algorithm).begun["ChecksumType"] == "COMPOSITE"


def test_without_a_choice_the_full_object_has_a_crc64(plain: Any, bucket: str) -> None:
    upload = Upload(plain, bucket)
    assert "ChecksumAlgorithm" not in upload.begun
    assert upload.put(1, BODIES[0])["ChecksumCRC64NVME"] == value("CRC64NVME", BODIES[0])
    upload.put(2, BODIES[1])
    said = upload.complete()
    assert (said["ChecksumCRC64NVME"], said["ChecksumType"]) == (value("CRC64NVME", b"".join(BODIES)), "FULL_OBJECT")


def test_full_objects_need_no_checksums_of_parts(plain: Any, bucket: str) -> None:
    upload = Upload(plain, bucket, ChecksumAlgorithm="CRC32C", ChecksumType="FULL_OBJECT")
    assert upload.put(1, BODIES[0])["ChecksumCRC32C"] == value("CRC32C", BODIES[0])
    upload.put(2, BODIES[1])
    assert upload.complete()["ChecksumCRC32C"] == value("CRC32C", b"".join(BODIES))


def test_parts_may_tell_another_checksum_where_none_was_chosen(s3: Any, bucket: str) -> None:
    upload = Upload(s3, bucket)
    said = upload.put(1, b"x", "SHA256", ChecksumAlgorithm="SHA256")
    assert said["ChecksumSHA256"] == value("SHA256", b"x")
    assert upload.complete()["ChecksumType"] == "FULL_OBJECT"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ChecksumType": "COMPOSITE"}, "can only be used with the x-amz-checksum-algorithm header"),
        ({"ChecksumAlgorithm": "nope"}, "Checksum algorithm provided is unsupported"),
        ({"ChecksumAlgorithm": "CRC32,CRC32C"}, "Invalid types are specified in x-amz-checksum-algorithm header"),
        ({"ChecksumAlgorithm": "CRC32", "ChecksumType": "X"}, "Value for x-amz-checksum-type header is invalid"),
        ({"ChecksumAlgorithm": "SHA1", "ChecksumType": "FULL_OBJECT"}, "FULL_OBJECT checksum type cannot be used"),
        ({"ChecksumAlgorithm": "XXHASH3", "ChecksumType": "FULL_OBJECT"}, "FULL_OBJECT checksum type cannot be used"),
        ({"ChecksumAlgorithm": "CRC64NVME", "ChecksumType": "COMPOSITE"}, "COMPOSITE checksum type cannot be used"),
    ],
)
def test_choices_that_make_no_sense(s3: Any, bucket: str, options: dict[str, str], message: str) -> None:
    assert message in refused("InvalidRequest", Upload, s3, bucket, **options)


def test_parts_must_have_the_chosen_checksum(s3: Any, plain: Any, bucket: str) -> None:
    upload = Upload(s3, bucket, ChecksumAlgorithm="SHA256")
    for client, told in ((plain, "null"), (s3, "crc32")):
        upload.s3 = client
        message = refused("InvalidRequest", upload.put, 1, b"x")
        assert (
            message == f"Checksum Type mismatch occurred, expected checksum Type: sha256, actual checksum Type: {told}"
        )
    refused("BadDigest", upload.put, 1, b"x", ChecksumSHA256=value("SHA256", b"y"))
    assert "Parts" not in s3.list_parts(**upload.names, UploadId=upload.id)


def test_completions_of_composites_name_each_checksum(s3: Any, bucket: str) -> None:
    upload = Upload(s3, bucket, ChecksumAlgorithm="CRC32C")
    upload.put(1, b"x", ChecksumAlgorithm="CRC32C")
    message = refused("InvalidRequest", upload.complete)
    assert message == (
        "The upload was created using a crc32c checksum. The complete request must include the checksum for each part. "
        "It was missing for part 1 in the request."
    )
    part = upload.parts[0]
    for wrong, code in (
        ({"ChecksumCRC32C": value("CRC32C", b"y")}, "InvalidPart"),
        ({"ChecksumCRC32": value("CRC32", b"x")}, "BadDigest"),
        ({"ChecksumCRC32C": "4waSgx=="}, "InvalidArgument"),
        ({"ChecksumCRC32C": "x"}, "InvalidArgument"),
        ({"ChecksumCRC32C": value("CRC32C", b"x"), "ChecksumSHA1": value("SHA1", b"x")}, "InvalidArgument"),
    ):
        upload.parts = [part | wrong]
        refused(code, upload.complete)
    upload.parts = [part | {"ChecksumCRC32C": value("CRC32C", b"x")}]
    assert upload.complete()["ChecksumCRC32C"] == composite("CRC32C", b"x")


def test_the_checksum_of_the_whole_is_checked(s3: Any, bucket: str) -> None:
    upload = Upload(s3, bucket, ChecksumAlgorithm="CRC32")
    upload.put(1, b"x", "CRC32", ChecksumAlgorithm="CRC32")
    good = composite("CRC32", b"x")
    bare = good.partition("-")[0]
    for wrong in (value("CRC32", b"y"), f"{bare}-2"):
        message = refused("BadDigest", upload.complete, ChecksumCRC32=wrong)
        assert message == "The crc32 you specified did not match the calculated checksum."
    for wrong in ("x", f"{bare}-a"):
        refused("InvalidRequest", upload.complete, ChecksumCRC32=wrong)
    refused("InvalidRequest", upload.complete, ChecksumType="FULL_OBJECT")
    assert upload.complete(ChecksumCRC32=bare)["ChecksumCRC32"] == good


def test_the_checksum_of_a_full_object_is_checked(s3: Any, bucket: str) -> None:
    upload = Upload(s3, bucket, ChecksumAlgorithm="CRC64NVME")
    upload.put(1, b"x", ChecksumAlgorithm="CRC64NVME")
    refused("BadDigest", upload.complete, ChecksumCRC64NVME=value("CRC64NVME", b"y"))
    upload.complete(ChecksumCRC64NVME=value("CRC64NVME", b"x"))


def test_parts_without_the_named_checksum(s3: Any, bucket: str) -> None:
    upload = Upload(s3, bucket)
    upload.put(1, b"x")
    upload.parts[0]["ChecksumSHA1"] = value("SHA1", b"x")
    refused("InvalidPart", upload.complete)


def test_copied_parts_have_checksums(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="source", Body=b"content")
    upload = Upload(s3, bucket, ChecksumAlgorithm="SHA256")
    said = s3.upload_part_copy(
        **upload.names, UploadId=upload.id, PartNumber=1, CopySource={"Bucket": bucket, "Key": "source"}
    )["CopyPartResult"]
    assert said["ChecksumSHA256"] == value("SHA256", b"content")
    upload.parts = [{"PartNumber": 1, "ETag": said["ETag"], "ChecksumSHA256": said["ChecksumSHA256"]}]
    assert upload.complete()["ChecksumSHA256"] == composite("SHA256", b"content")


def test_copies_of_composites_have_checksums_of_their_own(s3: Any, bucket: str) -> None:
    upload = Upload(s3, bucket, ChecksumAlgorithm="CRC32")
    upload.put(1, b"content", "CRC32", ChecksumAlgorithm="CRC32")
    upload.complete()
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "key"})
    said = s3.get_object(Bucket=bucket, Key="copy", ChecksumMode="ENABLED")
    assert said["Body"].read() == b"content"
    assert (said["ChecksumCRC32"], said["ChecksumType"]) == (value("CRC32", b"content"), "FULL_OBJECT")


def test_a_wrong_md5_of_a_part(raw: S3, s3: Any, bucket: str) -> None:
    upload = Upload(s3, bucket)
    target = f"/{bucket}/key?partNumber=1&uploadId={upload.id}"
    wrong = value("MD5", b"y")
    answer = raw.put(target, b"x", {"Content-MD5": wrong})
    assert code_of(answer) == (400, "BadDigest") and "MD5" in error_of(answer)["Message"]
    assert "Parts" not in s3.list_parts(**upload.names, UploadId=upload.id)
