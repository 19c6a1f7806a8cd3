"""Uploads by parts: begun, uploaded, listed, completed, aborted; what readers see meanwhile."""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import pytest
from botocore.exceptions import ClientError
from harness.client import Client
from harness.processes import wait_until
from harness.s3 import NAMESPACE, S3, code_of, error_of

MIB = 1 << 20
PART = 5 * MIB
ONE, TWO = b"1" * PART, b"2" * PART
NO_UPLOAD = "0" * 32


class Upload:
    """An upload of boto3's, and what was uploaded of it."""

    def __init__(self, s3: Any, bucket: str, key: str = "key", **options: Any) -> None:
        self.s3 = s3
        self.names = {"Bucket": bucket, "Key": key}
        self.id = s3.create_multipart_upload(**self.names, **options)["UploadId"]
        self.etags: dict[int, str] = {}

    def put(self, number: int, body: bytes, **options: Any) -> Any:
        said = self.s3.upload_part(**self.names, UploadId=self.id, PartNumber=number, Body=body, **options)
        self.etags[number] = said["ETag"]
        return said

    def parts(self, *numbers: int) -> dict[str, Any]:
        return {"Parts": [{"PartNumber": n, "ETag": self.etags[n]} for n in numbers or sorted(self.etags)]}

    def complete(self, *numbers: int, **options: Any) -> Any:
        return self.s3.complete_multipart_upload(
            **self.names, UploadId=self.id, MultipartUpload=self.parts(*numbers), **options
        )

    def abort(self) -> Any:
        return self.s3.abort_multipart_upload(**self.names, UploadId=self.id)

    def list(self, **options: Any) -> Any:
        return self.s3.list_parts(**self.names, UploadId=self.id, **options)


def fails(code: str, call: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """The error that a call of boto3's ends with."""
    with pytest.raises(ClientError) as caught:
        call(*args, **options)
    assert caught.value.response["Error"]["Code"] == code, caught.value.response
    return caught.value.response["Error"]


def read(s3: Any, bucket: str, key: str = "key", **options: Any) -> bytes:
    body: bytes = s3.get_object(Bucket=bucket, Key=key, **options)["Body"].read()
    return body


def etag_of(*parts: bytes) -> str:
    digests = b"".join(hashlib.md5(part).digest() for part in parts)
    return f'"{hashlib.md5(digests).hexdigest()}-{len(parts)}"'


@pytest.fixture
def done(s3: Any, bucket: str) -> Upload:
    """A completed upload of three parts."""
    upload = Upload(s3, bucket)
    for number, body in ((1, ONE), (2, TWO), (3, b"tail")):
        upload.put(number, body)
    upload.complete()
    return upload


def test_parts_become_an_object(s3: Any, bucket: str) -> None:
    upload = Upload(s3, bucket, "a/é b", ContentType="text/x", Metadata={"color": "red"}, CacheControl="no-cache")
    for number, body in ((3, b"tail"), (1, ONE), (2, TWO)):  # in any order
        assert upload.put(number, body)["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
    said = upload.complete()
    assert said["ETag"] == etag_of(ONE, TWO, b"tail")
    assert (said["Bucket"], said["Key"]) == (bucket, "a/é b")
    assert said["Location"].endswith(f"/{bucket}/a/%C3%A9%20b")
    got = s3.get_object(Bucket=bucket, Key="a/é b")
    assert got["Body"].read() == ONE + TWO + b"tail"
    assert (got["ETag"], got["ContentLength"]) == (said["ETag"], 2 * PART + 4)
    assert (got["ContentType"], got["Metadata"], got["CacheControl"]) == ("text/x", {"color": "red"}, "no-cache")
    head = s3.head_object(Bucket=bucket, Key="a/é b")
    assert (head["ETag"], head["ContentLength"]) == (said["ETag"], 2 * PART + 4)


def test_the_listing_shows_the_whole(s3: Any, bucket: str, done: Upload) -> None:
    (row,) = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert (row["Key"], row["Size"], row["ETag"]) == ("key", 2 * PART + 4, etag_of(ONE, TWO, b"tail"))
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


@pytest.mark.parametrize(
    ("asked", "got"),
    [
        ("bytes=0-3", b"1111"),
        (f"bytes={PART - 2}-{PART + 1}", b"1122"),
        (f"bytes={2 * PART - 1}-", b"2tail"),
        ("bytes=-6", b"22tail"),
        (f"bytes={2 * PART}-{2 * PART + 99}", b"tail"),
    ],
)
def test_ranges(s3: Any, bucket: str, done: Upload, asked: str, got: bytes) -> None:
    said = s3.get_object(Bucket=bucket, Key="key", Range=asked)
    assert said["Body"].read() == got and said["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert said["ContentRange"].endswith(f"/{2 * PART + 4}")


def test_a_range_behind_the_end(s3: Any, bucket: str, done: Upload) -> None:
    fails("InvalidRange", s3.get_object, Bucket=bucket, Key="key", Range=f"bytes={2 * PART + 4}-")


def test_conditions_go_by_the_etag_of_the_whole(s3: Any, bucket: str, done: Upload) -> None:
    etag = etag_of(ONE, TWO, b"tail")
    assert read(s3, bucket, IfMatch=etag, Range="bytes=-4") == b"tail"
    fails("PreconditionFailed", s3.get_object, Bucket=bucket, Key="key", IfMatch='"other"')
    fails("304", s3.get_object, Bucket=bucket, Key="key", IfNoneMatch=etag)
    s3.put_object(Bucket=bucket, Key="key", Body=b"new", IfMatch=etag)
    assert read(s3, bucket) == b"new"


def test_parts_by_number(s3: Any, bucket: str, done: Upload) -> None:
    said = s3.get_object(Bucket=bucket, Key="key", PartNumber=3)
    assert said["Body"].read() == b"tail" and said["PartsCount"] == 3
    assert said["ContentRange"] == f"bytes {2 * PART}-{2 * PART + 3}/{2 * PART + 4}"
    assert s3.head_object(Bucket=bucket, Key="key", PartNumber=1)["ContentLength"] == PART
    fails("416", s3.head_object, Bucket=bucket, Key="key", PartNumber=4)


def test_attributes_tell_of_parts(s3: Any, bucket: str, done: Upload) -> None:
    said = s3.get_object_attributes(Bucket=bucket, Key="key", ObjectAttributes=["ObjectParts", "ObjectSize", "ETag"])
    assert said["ObjectParts"]["TotalPartsCount"] == 3 and said["ObjectSize"] == 2 * PART + 4
    assert [part["Size"] for part in said["ObjectParts"]["Parts"]] == [PART, PART, 4]


def test_completing_again_has_the_same_answer(s3: Any, bucket: str) -> None:
    upload = Upload(s3, bucket)
    upload.put(1, b"small")
    first, again = upload.complete(), upload.complete()
    assert (first["ETag"], first["Location"]) == (again["ETag"], again["Location"])
    s3.put_object(Bucket=bucket, Key="key", Body=b"new")
    fails("NoSuchUpload", upload.complete)
    assert read(s3, bucket) == b"new"


def test_only_listed_parts_count(s3: Any, bucket: str) -> None:
    upload = Upload(s3, bucket)
    for number, body in ((1, ONE), (4, TWO), (10_000, b"end")):
        upload.put(number, body)
    upload.complete(1, 10_000)
    assert read(s3, bucket) == ONE + b"end"


def test_the_last_upload_of_a_part_counts(s3: Any, bucket: str) -> None:
    upload = Upload(s3, bucket)
    upload.put(1, b"first")
    old = dict(upload.etags)
    upload.put(1, b"second")
    assert [part["Size"] for part in upload.list()["Parts"]] == [6]
    new, upload.etags = upload.etags, old
    error = fails("InvalidPart", upload.complete)
    assert (error["PartNumber"], error["UploadId"]) == ("1", upload.id)
    upload.etags = new
    upload.complete()
    assert read(s3, bucket) == b"second"


class Interrupted:
    """A body in whose middle something else happens."""

    def __init__(self, size: int, letter: bytes, then: Callable[[], Any]) -> None:
        self.size, self.letter, self.then = size, letter, then

    def __iter__(self) -> Iterable[bytes]:
        yield self.letter * (self.size // 2)
        self.then()
        yield self.letter * (self.size - self.size // 2)


def test_of_uploads_of_a_part_at_once_the_last_to_end_counts(raw: S3, s3: Any, bucket: str) -> None:
    upload = Upload(s3, bucket)
    target = f"/{bucket}/key?partNumber=1&uploadId={upload.id}"
    body = Interrupted(200_000, b"a", lambda: upload.put(1, b"b" * 10))
    signed = raw.signer.headers("PUT", target, {"Host": raw.host, "Content-Length": "200000"}, "UNSIGNED-PAYLOAD")
    answer = raw.send("PUT", target, signed, body)  # type: ignore[arg-type]
    assert answer.status == 200
    upload.etags[1] = answer["ETag"]
    upload.complete()
    assert read(s3, bucket) == b"a" * 200_000


@pytest.mark.parametrize("number", ["0", "10001", "-1", "x", "", "1.5", "99999999999999999999"])
def test_wrong_part_numbers(raw: S3, s3: Any, bucket: str, number: str) -> None:
    upload = Upload(s3, bucket)
    answer = raw.put(f"/{bucket}/key?partNumber={number}&uploadId={upload.id}", b"x")
    assert code_of(answer) == (400, "InvalidArgument")
    assert error_of(answer)["Message"] == "Part number must be an integer between 1 and 10000, inclusive"


def test_small_parts_only_at_the_end(s3: Any, bucket: str) -> None:
    upload = Upload(s3, bucket)
    upload.put(1, b"small")
    upload.put(2, b"end")
    error = fails("EntityTooSmall", upload.complete)
    assert (error["ProposedSize"], error["MinSizeAllowed"], error["PartNumber"]) == ("5", str(PART), "1")
    upload.complete(2)  # the upload goes on after the refusal
    assert read(s3, bucket) == b"end"


def test_parts_out_of_order(s3: Any, bucket: str) -> None:
    upload = Upload(s3, bucket)
    upload.put(1, ONE)
    upload.put(2, b"end")
    fails("InvalidPartOrder", upload.complete, 2, 1)
    fails("InvalidPartOrder", upload.complete, 1, 1)


def test_parts_that_are_not_there(s3: Any, bucket: str) -> None:
    upload = Upload(s3, bucket)
    upload.put(1, b"one")
    upload.etags[2] = upload.etags[1]
    fails("InvalidPart", upload.complete)
    upload.etags = {1: '"ffffffffffffffffffffffffffffffff"'}
    fails("InvalidPart", upload.complete)


@pytest.mark.parametrize(
    "document",
    [
        "",
        "<CompleteMultipartUpload/>",
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>",
        "<CompleteMultipartUpload><Part><PartNumber>x</PartNumber><ETag>e</ETag></Part></CompleteMultipartUpload>",
        "<CompleteMultipartUpload><Other/></CompleteMultipartUpload>",
        "<Delete><Part><PartNumber>1</PartNumber><ETag>e</ETag></Part></Delete>",
        "<CompleteMultipartUpload><Part>",
    ],
)
def test_malformed_completions(raw: S3, s3: Any, bucket: str, document: str) -> None:
    upload = Upload(s3, bucket)
    answer = raw.request("POST", f"/{bucket}/key?uploadId={upload.id}", body=document.encode())
    assert code_of(answer) == (400, "MalformedXML")


def test_etags_without_quotes_and_without_namespace(raw: S3, s3: Any, bucket: str) -> None:
    upload = Upload(s3, bucket)
    etag = upload.put(1, b"one")["ETag"].strip('"')
    document = f"<CompleteMultipartUpload><Part><ETag>{etag}</ETag><PartNumber>1</PartNumber></Part>"
    answer = raw.request(
        "POST", f"/{bucket}/key?uploadId={upload.id}", body=f"{document}</CompleteMultipartUpload>".encode()
    )
    assert answer.status == 200
    root = ElementTree.fromstring(answer.body)
    assert root.tag == f"{NAMESPACE}CompleteMultipartUploadResult"
    assert root.findtext(f"{NAMESPACE}ETag") == etag_of(b"one")


@pytest.mark.parametrize("upload_id", [NO_UPLOAD, "nonsense", "../x", "é"])
def test_no_such_upload(s3: Any, bucket: str, upload_id: str) -> None:
    names = {"Bucket": bucket, "Key": "key", "UploadId": upload_id}
    fails("NoSuchUpload", s3.upload_part, **names, PartNumber=1, Body=b"x")
    fails("NoSuchUpload", s3.list_parts, **names)
    fails("NoSuchUpload", s3.abort_multipart_upload, **names)
    part = {"PartNumber": 1, "ETag": "e"}
    fails("NoSuchUpload", s3.complete_multipart_upload, **names, MultipartUpload={"Parts": [part]})


def test_an_upload_belongs_to_its_key(s3: Any, bucket: str) -> None:
    upload = Upload(s3, bucket)
    fails("NoSuchUpload", s3.upload_part, Bucket=bucket, Key="other", UploadId=upload.id, PartNumber=1, Body=b"x")


def test_nothing_works_without_a_bucket(s3: Any) -> None:
    name = f"test-{uuid.uuid4().hex[:12]}"
    fails("NoSuchBucket", s3.create_multipart_upload, Bucket=name, Key="key")
    fails("NoSuchBucket", s3.list_multipart_uploads, Bucket=name)


def test_aborting_forgets_all(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=b"old")
    upload = Upload(s3, bucket)
    upload.put(1, ONE)
    assert upload.abort()["ResponseMetadata"]["HTTPStatusCode"] == 204
    for call in (upload.abort, upload.complete, upload.list):
        fails("NoSuchUpload", call)
    fails("NoSuchUpload", upload.put, 2, b"late")
    assert read(s3, bucket) == b"old"


def test_an_abort_after_completion(s3: Any, bucket: str, done: Upload) -> None:
    fails("NoSuchUpload", done.abort)
    assert len(read(s3, bucket)) == 2 * PART + 4


def test_parts_are_listed_by_number(s3: Any, bucket: str) -> None:
    upload = Upload(s3, bucket, StorageClass="STANDARD_IA")
    for number in (10, 2, 9999, 1):
        upload.put(number, b"x" * number)
    said = upload.list()
    assert [(part["PartNumber"], part["Size"]) for part in said["Parts"]] == [(n, n) for n in (1, 2, 10, 9999)]
    assert said["Parts"][0]["ETag"] == upload.etags[1] and not said["IsTruncated"]
    assert (said["StorageClass"], said["UploadId"], said["Key"]) == ("STANDARD_IA", upload.id, "key")
    assert said["Owner"]["ID"] == said["Initiator"]["ID"]


def test_parts_are_listed_in_pages(s3: Any, bucket: str) -> None:
    upload = Upload(s3, bucket)
    for number in range(1, 6):
        upload.put(number, b"x")
    upload.put(3, b"again")
    first = upload.list(MaxParts=3)
    assert [part["PartNumber"] for part in first["Parts"]] == [1, 2, 3]
    assert first["Parts"][2]["Size"] == 5
    assert (first["IsTruncated"], first["NextPartNumberMarker"], first["MaxParts"]) == (True, 3, 3)
    rest = upload.list(MaxParts=3, PartNumberMarker=3)
    assert ([part["PartNumber"] for part in rest["Parts"]], rest["IsTruncated"]) == ([4, 5], False)
    assert "Parts" not in upload.list(PartNumberMarker=99_999)
    fails("InvalidArgument", upload.list, MaxParts=-1)


def test_uploads_are_listed_by_key_and_age(s3: Any, bucket: str) -> None:
    made = [Upload(s3, bucket, key) for key in ("b", "a", "b", "ü", "b!")]
    said = s3.list_multipart_uploads(Bucket=bucket)
    assert [(row["Key"], row["UploadId"]) for row in said["Uploads"]] == [
        (made[index].names["Key"], made[index].id) for index in (1, 0, 2, 4, 3)
    ]
    assert not said["IsTruncated"] and said["MaxUploads"] == 1000
    made[0].abort()
    assert len(s3.list_multipart_uploads(Bucket=bucket)["Uploads"]) == 4


def test_uploads_by_prefix_and_delimiter(s3: Any, bucket: str) -> None:
    for key in ("a/1", "a/2", "b", "a/c/3", "a0"):
        Upload(s3, bucket, key)
    said = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/")
    assert [row["Key"] for row in said["Uploads"]] == ["a0", "b"]
    assert said["CommonPrefixes"] == [{"Prefix": "a/"}] and said["Delimiter"] == "/"
    said = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/", Prefix="a/")
    assert [row["Key"] for row in said["Uploads"]] == ["a/1", "a/2"]
    assert said["CommonPrefixes"] == [{"Prefix": "a/c/"}]
    assert [row["Key"] for row in s3.list_multipart_uploads(Bucket=bucket, Delimiter="0")["Uploads"]] == [
        "a/1", "a/2", "a/c/3", "b",
    ]  # fmt: skip
    for digit in "123456789abcdef":  # of which ids are made
        found = s3.list_multipart_uploads(Bucket=bucket, Prefix="b", Delimiter=digit)
        assert [row["Key"] for row in found["Uploads"]] == ["b"] and "CommonPrefixes" not in found


def test_uploads_are_listed_in_pages(s3: Any, bucket: str) -> None:
    made = [Upload(s3, bucket, key) for key in ("a", "a", "b", "c/1", "c/2", "d")]
    for limit in (1, 2, 3):
        for delimiter in ({}, {"Delimiter": "/"}):
            seen: list[str] = []  # on a page of both, groups stand behind the rest
            marker: dict[str, str] = {}
            while True:
                said = s3.list_multipart_uploads(Bucket=bucket, MaxUploads=limit, **delimiter, **marker)
                seen += [row["UploadId"] for row in said.get("Uploads", [])]
                seen += [row["Prefix"] for row in said.get("CommonPrefixes", [])]
                if not said["IsTruncated"]:
                    break
                marker = {"KeyMarker": said["NextKeyMarker"], "UploadIdMarker": said["NextUploadIdMarker"]}
            expected = [upload.id for upload in made]
            if delimiter:
                expected[3:5] = ["c/"]
            assert sorted(seen) == sorted(expected), (limit, delimiter)
            assert limit == 3 or seen == expected
    said = s3.list_multipart_uploads(Bucket=bucket, KeyMarker="a")
    assert [row["UploadId"] for row in said["Uploads"]] == [upload.id for upload in made[2:]]


def test_names_of_uploads_are_encoded_on_demand(raw: S3, s3: Any, bucket: str) -> None:
    Upload(s3, bucket, "a b+ü")
    answer = raw.get(f"/{bucket}?uploads&encoding-type=url")
    root = ElementTree.fromstring(answer.body)
    assert root.findtext(f"{NAMESPACE}Upload/{NAMESPACE}Key") == quote("a b+ü")
    assert root.findtext(f"{NAMESPACE}EncodingType") == "url"
    assert code_of(raw.get(f"/{bucket}?uploads&encoding-type=x")) == (400, "InvalidArgument")
    assert code_of(raw.get(f"/{bucket}?uploads&max-uploads=x")) == (400, "InvalidArgument")


def test_parts_from_objects(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="source é", Body=b"0123456789" * (PART // 10))
    upload = Upload(s3, bucket)
    source = {"Bucket": bucket, "Key": "source é"}
    said = s3.upload_part_copy(**upload.names, UploadId=upload.id, PartNumber=1, CopySource=source)
    upload.etags[1] = said["CopyPartResult"]["ETag"]
    said = s3.upload_part_copy(
        **upload.names, UploadId=upload.id, PartNumber=2, CopySource=source, CopySourceRange="bytes=3-5"
    )
    upload.etags[2] = said["CopyPartResult"]["ETag"]
    assert upload.etags[2] == f'"{hashlib.md5(b"345").hexdigest()}"' and said["CopyPartResult"]["LastModified"]
    upload.complete()
    assert read(s3, bucket) == b"0123456789" * (PART // 10) + b"345"


def test_parts_from_objects_made_of_parts(s3: Any, bucket: str, done: Upload) -> None:
    upload = Upload(s3, bucket, "copy")
    for number, asked in ((1, f"bytes=0-{PART}"), (2, f"bytes={PART + 1}-{2 * PART + 3}")):
        said = s3.upload_part_copy(
            **upload.names, UploadId=upload.id, PartNumber=number, CopySourceRange=asked,
            CopySource={"Bucket": bucket, "Key": "key"},
        )  # fmt: skip
        upload.etags[number] = said["CopyPartResult"]["ETag"]
    upload.complete()
    assert read(s3, bucket, "copy") == ONE + TWO + b"tail"


@pytest.mark.parametrize(
    "asked",
    ["0-2", "bytes=0", "bytes=hello-world", "bytes=0-bar", "bytes=-5", "bytes=2-", "bytes=0-2,3-5", "bytes=3-2"],
)
def test_malformed_ranges_of_sources(s3: Any, bucket: str, asked: str) -> None:
    s3.put_object(Bucket=bucket, Key="source", Body=b"01234")
    upload = Upload(s3, bucket)
    source = {"Bucket": bucket, "Key": "source"}
    fails(
        "InvalidArgument", s3.upload_part_copy,
        **upload.names, UploadId=upload.id, PartNumber=1, CopySource=source, CopySourceRange=asked,
    )  # fmt: skip


def test_ranges_and_sources_that_are_not_there(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="source", Body=b"01234")
    upload = Upload(s3, bucket)
    names = {**upload.names, "UploadId": upload.id, "PartNumber": 1}
    source = {"Bucket": bucket, "Key": "source"}
    fails("InvalidRange", s3.upload_part_copy, **names, CopySource=source, CopySourceRange="bytes=0-5")
    fails("NoSuchKey", s3.upload_part_copy, **names, CopySource={"Bucket": bucket, "Key": "none"})
    fails("PreconditionFailed", s3.upload_part_copy, **names, CopySource=source, CopySourceIfMatch='"x"')
    etag = s3.head_object(Bucket=bucket, Key="source")["ETag"]
    fails("PreconditionFailed", s3.upload_part_copy, **names, CopySource=source, CopySourceIfNoneMatch=etag)
    assert s3.upload_part_copy(**names, CopySource=source, CopySourceIfMatch=etag)["CopyPartResult"]["ETag"] == etag


def test_conditions_on_the_completion(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=b"old")
    etag = s3.head_object(Bucket=bucket, Key="key")["ETag"]
    upload = Upload(s3, bucket)
    upload.put(1, b"new")
    fails("PreconditionFailed", upload.complete, IfNoneMatch="*")
    fails("PreconditionFailed", upload.complete, IfMatch='"other"')
    assert read(s3, bucket) == b"old"
    upload.complete(IfMatch=etag)
    assert read(s3, bucket) == b"new"
    fresh = Upload(s3, bucket, "fresh")
    fresh.put(1, b"fresh")
    fails("NoSuchKey", fresh.complete, IfMatch='"other"')
    fresh.complete(IfNoneMatch="*")
    assert read(s3, bucket, "fresh") == b"fresh"


def test_the_announced_size_must_be_right(s3: Any, bucket: str) -> None:
    upload = Upload(s3, bucket)
    upload.put(1, b"12345")
    fails("InvalidRequest", upload.complete, MpuObjectSize=4)
    upload.complete(MpuObjectSize=5)


def test_of_completions_at_once_all_make_the_same_object(s3: Any, bucket: str, make_s3: Callable[..., Any]) -> None:
    upload = Upload(s3, bucket)
    upload.put(1, ONE)
    upload.put(2, b"end")
    codes: list[str] = []

    def complete() -> None:
        try:
            make_s3().complete_multipart_upload(**upload.names, UploadId=upload.id, MultipartUpload=upload.parts())
            codes.append("")
        except ClientError as error:
            codes.append(error.response["Error"]["Code"])

    threads = [threading.Thread(target=complete) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert "" in codes and set(codes) <= {"", "OperationAborted", "ConditionalRequestConflict"}, codes
    assert read(s3, bucket) == ONE + b"end"
    upload.complete()


def test_completion_against_abortion(s3: Any, bucket: str, make_s3: Callable[..., Any]) -> None:
    for round_number in range(5):
        upload = Upload(s3, bucket, f"key{round_number}")
        upload.put(1, b"content")
        outcome: dict[str, str] = {}

        def run(name: str, call: Callable[..., Any], outcome: dict[str, str] = outcome, **options: Any) -> None:
            try:
                call(**options)
                outcome[name] = ""
            except ClientError as error:
                outcome[name] = error.response["Error"]["Code"]

        names = {**upload.names, "UploadId": upload.id}
        threads = [
            threading.Thread(
                target=run,
                args=("complete", make_s3().complete_multipart_upload),
                kwargs={**names, "MultipartUpload": upload.parts()},
            ),
            threading.Thread(target=run, args=("abort", make_s3().abort_multipart_upload), kwargs=names),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if outcome["complete"] == "":
            assert outcome["abort"] in ("NoSuchUpload", "OperationAborted"), outcome
            assert read(s3, bucket, f"key{round_number}") == b"content"
        else:
            assert outcome["abort"] == "", outcome
            fails("NoSuchKey", s3.get_object, Bucket=bucket, Key=f"key{round_number}")


def test_readers_see_one_object_or_the_other(s3: Any, bucket: str, make_s3: Callable[..., Any], done: Upload) -> None:
    """Also one who began before the object was replaced reads it to its end."""
    old = s3.get_object(Bucket=bucket, Key="key")
    head = old["Body"].read(1000)
    upload = Upload(s3, bucket)
    upload.put(1, TWO)
    upload.put(2, b"new")
    stop = threading.Event()
    seen: set[str] = set()
    wrong: list[str] = []
    known = {etag_of(ONE, TWO, b"tail"): ONE + TWO + b"tail", etag_of(TWO, b"new"): TWO + b"new"}

    def look() -> None:
        client = make_s3()
        while not stop.is_set():
            said = client.get_object(Bucket=bucket, Key="key")
            seen.add(said["ETag"])
            if said["Body"].read() != known[said["ETag"]]:
                wrong.append(said["ETag"])

    reader = threading.Thread(target=look)
    reader.start()
    wait_until(lambda: seen, "a first read")
    upload.complete()
    wait_until(lambda: len(seen) == 2, "a read of the new object")
    stop.set()
    reader.join()
    assert not wrong and seen == set(known)
    assert head + old["Body"].read() == ONE + TWO + b"tail"


def test_swift_reads_what_s3_uploaded(owner: Client, s3: Any, bucket: str, done: Upload) -> None:
    got = owner.get(f"{bucket}/key")
    assert got.body == ONE + TWO + b"tail" and got["X-Static-Large-Object"] == "True"
    assert owner.get(f"{bucket}/key", {"Range": "bytes=-6"}).body == b"22tail"
    assert owner.head(f"{bucket}/key")["Content-Length"] == str(2 * PART + 4)
    assert [row["bytes"] for row in owner.get(bucket, format="json").json] == [2 * PART + 4]
    assert owner.get(f"{bucket}/key", **{"multipart-manifest": "get"}).json == []
    assert owner.copy(f"{bucket}/key", f"{bucket}/copy").status == 201
    assert owner.get(f"{bucket}/copy").body == ONE + TWO + b"tail"
    assert owner.delete(f"{bucket}/key").status == 204
    assert owner.get(f"{bucket}/key").status == 404


def test_parts_are_hidden_and_count_once(owner: Client, s3: Any, bucket: str) -> None:
    def counted_once() -> bool:
        """Of what earlier tests left, the account may not have heard yet: only the sum over all buckets is sure."""
        held = sum(int(owner.head(name)["X-Container-Bytes-Used"]) for name in owner.names())
        return int(owner.head()["X-Account-Bytes-Used"]) == held

    containers = set(owner.names())
    upload = Upload(s3, bucket)
    upload.put(1, ONE)
    upload.put(1, ONE)  # the first is not taken
    upload.put(2, b"end")
    upload.complete()
    assert set(owner.names()) == containers
    assert int(owner.head(bucket)["X-Container-Bytes-Used"]) == PART + 3
    wait_until(counted_once, "the account to count the object once", 30)


def test_buckets_with_uploads_can_be_deleted(s3: Any, new_bucket: Callable[..., str]) -> None:
    name = new_bucket()
    Upload(s3, name).put(1, b"x")
    s3.delete_bucket(Bucket=name)
    s3.create_bucket(Bucket=name)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=name)


def test_uploads_into_versioned_buckets(s3: Any, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    ids = []
    for letter in (b"a", b"b"):
        upload = Upload(s3, bucket)
        upload.put(1, letter * PART)
        upload.put(2, b"end")
        said = upload.complete()
        ids.append(said["VersionId"])
        assert upload.complete()["VersionId"] == said["VersionId"]
    assert read(s3, bucket) == b"b" * PART + b"end"
    assert read(s3, bucket, VersionId=ids[0]) == b"a" * PART + b"end"
    s3.delete_object(Bucket=bucket, Key="key", VersionId=ids[1])
    assert read(s3, bucket, Range="bytes=-4") == b"aend"
    copied = Upload(s3, bucket, "copy")
    source = {"Bucket": bucket, "Key": "key", "VersionId": ids[0]}
    said = s3.upload_part_copy(**copied.names, UploadId=copied.id, PartNumber=1, CopySource=source)
    assert said["CopySourceVersionId"] == ids[0]


def test_boto3_uploads_large_files_by_parts(s3: Any, bucket: str, tmp_path: Any) -> None:
    path = tmp_path / "file"
    content = hashlib.sha256(b"seed").digest() * (20 * MIB // 32) + b"end"
    path.write_bytes(content)
    s3.upload_file(str(path), bucket, "file")
    assert s3.head_object(Bucket=bucket, Key="file")["ETag"].endswith('-3"')
    s3.download_file(bucket, "file", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == content
    s3.copy({"Bucket": bucket, "Key": "file"}, bucket, "copy")
    assert read(s3, bucket, "copy") == content


def test_an_empty_part(s3: Any, bucket: str) -> None:
    upload = Upload(s3, bucket)
    upload.put(1, b"")
    assert upload.complete()["ETag"] == etag_of(b"")
    assert read(s3, bucket) == b""


def test_tags_and_acl_of_the_beginning(s3: Any, bucket: str) -> None:
    upload = Upload(s3, bucket, Tagging="a=1&b=2", ACL="public-read")
    upload.put(1, b"x")
    upload.complete()
    assert {tag["Key"]: tag["Value"] for tag in s3.get_object_tagging(Bucket=bucket, Key="key")["TagSet"]} == {
        "a": "1", "b": "2",
    }  # fmt: skip
    grants = s3.get_object_acl(Bucket=bucket, Key="key")["Grants"]
    assert any(grant["Grantee"].get("URI", "").endswith("AllUsers") for grant in grants)
    s3.put_object_tagging(Bucket=bucket, Key="key", Tagging={"TagSet": [{"Key": "c", "Value": "3"}]})
    assert read(s3, bucket) == b"x"


def test_others_may_not(s3: Any, s3_other: Any, bucket: str) -> None:
    upload = Upload(s3, bucket)
    names = {**upload.names, "UploadId": upload.id}
    fails("AccessDenied", s3_other.create_multipart_upload, Bucket=bucket, Key="key")
    fails("AccessDenied", s3_other.upload_part, **names, PartNumber=1, Body=b"x")
    fails("AccessDenied", s3_other.list_parts, **names)
    fails("AccessDenied", s3_other.abort_multipart_upload, **names)
    fails("AccessDenied", s3_other.list_multipart_uploads, Bucket=bucket)


def test_long_keys(s3: Any, bucket: str) -> None:
    key = "k" * 1024
    upload = Upload(s3, bucket, key)
    upload.put(1, b"x")
    assert s3.list_multipart_uploads(Bucket=bucket)["Uploads"][0]["Key"] == key
    upload.complete()
    assert read(s3, bucket, key) == b"x"
    fails("KeyTooLongError", s3.create_multipart_upload, Bucket=bucket, Key="k" * 1025)
