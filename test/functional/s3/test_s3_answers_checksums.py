"""What S3 answers to checksum headers that are announced, odd, wrong or too many, and to DeleteObjects without any."""

from __future__ import annotations

from typing import Any

import pytest
from harness.layouts import ONE_DEVICE
from harness.s3 import S3, code_of, error_of
from harness.s3_answers import (
    ALL,
    BODY,
    CHECKSUMS,
    HASH,
    NOT_V4H,
    OTHER,
    V4H,
    Case,
    ask,
    b64,
    check,
    crc32,
    md5,
    parameters,
    sha256,
)

pytestmark = ONE_DEVICE  # what is decided before a byte is stored

CRC32, CRC32C, SHA1 = "x-amz-checksum-crc32", "x-amz-checksum-crc32c", "x-amz-checksum-sha1"
SDK, TRAILER = "x-amz-sdk-checksum-algorithm", "x-amz-trailer"
ANNOUNCED_ONLY = (
    "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers"
    " were found.$"
)
OTHER_ANNOUNCED = "Value for x-amz-sdk-checksum-algorithm header is invalid.$"
MALFORMED = "Value for x-amz-checksum-crc32 header is invalid.$"
WRONG = "The CRC32 you specified did not match the calculated checksum.$"
UNKNOWN = "The algorithm type you specified in x-amz-checksum- header is invalid.$"
ONE = "Expecting a single x-amz-checksum- header$"
SEVERAL = "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.$"
BAD_TRAILER = (
    "The request contained trailing data that was not well-formed or did not conform to our published schema.$"
)
UNSUPPORTED = "The value specified in the x-amz-trailer header is not supported$"
TWO = {CRC32: crc32(BODY), SHA1: CHECKSUMS["SHA1"](BODY)}
STREAMED = {HASH: "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "x-amz-decoded-content-length": str(len(BODY))}
MALFORMED_VALUES = ("AAAA", "AAA=", "AAAAAA=", "AAAAAAAA", "!!!!!!==", "AAAAAB==", "AAAAAA", "")


PUTS = [
    *(Case(f"right {name}", ALL, {f"x-amz-checksum-{name.lower()}": of(BODY)}, 200) for name, of in CHECKSUMS.items()),
    *(
        Case(f"right {name}, announced", ALL, {f"x-amz-checksum-{name.lower()}": of(BODY), SDK: name}, 200)
        for name, of in CHECKSUMS.items()
    ),
    *(
        Case(f"wrong {name}", ALL, {f"x-amz-checksum-{name.lower()}": of(OTHER)}, 400, "BadDigest",
             f"The {name} you specified did not match the calculated checksum.$")
        for name, of in CHECKSUMS.items()
    ),
    *(Case(f"{name} announced only", ALL, {SDK: name}, 400, "InvalidRequest", ANNOUNCED_ONLY) for name in CHECKSUMS),
    Case("MD5 announced only", ALL, {SDK: "MD5"}, 400, "InvalidRequest", ANNOUNCED_ONLY),
    Case("MD5 announced, as by the JavaScript SDK", ALL, {SDK: "MD5", "Content-MD5": md5(BODY)}, 200),
    Case("CRC32 announced, MD5 sent", ALL, {SDK: "CRC32", "Content-MD5": md5(BODY)}, 400, "InvalidRequest",
         ANNOUNCED_ONLY),
    Case("unknown one announced", ALL, {SDK: "NONSENSE"}, 400, "InvalidRequest", OTHER_ANNOUNCED),
    Case("nothing announced", ALL, {SDK: ""}, 400, "InvalidRequest", OTHER_ANNOUNCED),
    Case("another announced", ALL, {SDK: "SHA256", CRC32: crc32(BODY)}, 400, "InvalidRequest", OTHER_ANNOUNCED),
    Case("MD5 announced, CRC32 sent", ALL, {SDK: "MD5", CRC32: crc32(BODY), "Content-MD5": md5(BODY)}, 400,
         "InvalidRequest", OTHER_ANNOUNCED),
    Case("another announced, chunks", V4H, {**STREAMED, SDK: "SHA256", CRC32: crc32(BODY)}, 400, "InvalidRequest",
         OTHER_ANNOUNCED),
    Case("another announced, trailer", V4H, {**STREAMED, SDK: "SHA256", TRAILER: CRC32}, 400, "InvalidRequest",
         OTHER_ANNOUNCED),
    *(
        Case(f"malformed {value!r}", ALL, {CRC32: value}, 400, "InvalidRequest", MALFORMED)
        for value in MALFORMED_VALUES
    ),
    Case("unknown algorithm", ALL, {"x-amz-checksum-bad": "AAAA"}, 400, "InvalidRequest", UNKNOWN),
    *(
        Case(f"unsupported {name}", ALL, {f"x-amz-checksum-{name}": b64(bytes(8))}, 400, "InvalidRequest", UNKNOWN)
        for name in ("crc16", "whirlpool")
    ),
    *(
        Case("two checksums", ALL, {**TWO, **more}, 400, "InvalidRequest", SEVERAL)
        for more in ({}, {CRC32: crc32(OTHER)}, {SDK: "CRC32"}, {SDK: "SHA256"}, {TRAILER: CRC32})
    ),
    *(
        Case("two checksums, chunks", V4H, {**STREAMED, **TWO, **more}, 400, "InvalidRequest", SEVERAL)
        for more in ({}, {TRAILER: CRC32})
    ),
    Case("type beside it", V4H, {CRC32: crc32(BODY), "x-amz-checksum-type": "FULL_OBJECT"}, 200),
    Case("algorithm beside it", V4H, {CRC32: crc32(BODY), "x-amz-checksum-algorithm": "SHA256"}, 200),
    *(
        Case("trailer without chunks", ALL, {TRAILER: CRC32, **more}, 400, "MalformedTrailerError", BAD_TRAILER)
        for more in ({}, {SDK: "CRC32"}, {SDK: "SHA256"}, {"Content-Encoding": "aws-chunked"})
    ),
    *(
        Case("trailer and header without chunks", ALL, {TRAILER: name, CRC32: crc32(BODY), **more}, 400,
             "InvalidRequest", ONE)
        for name in (CRC32, CRC32C)
        for more in ({}, {SDK: "CRC32"})
    ),
    *(
        Case(f"trailers {names} and a header", ALL, {TRAILER: names, CRC32: crc32(BODY), **more}, 400,
             "InvalidRequest", SEVERAL)
        for names in (f"{CRC32},{CRC32C}", f"{CRC32C}, {CRC32C}", f"{CRC32},{CRC32}")
        for more in ({}, {SDK: "SHA256"})
    ),
    *(
        Case(f"trailer {name}", V4H, {**STREAMED, TRAILER: name}, 400, "InvalidRequest", UNSUPPORTED)
        for name in ("x-amz-checksum-bad", "x-amz-content-sha256", "content-md5", "foo", f"{CRC32},foo",
                     f"foo,{CRC32}", f",{CRC32}", f"{CRC32}, ,", f" ,{CRC32}", f"{CRC32},,{CRC32C}")
    ),
    Case("two trailers", V4H, {**STREAMED, TRAILER: f"{CRC32},{CRC32C}"}, 400, "InvalidRequest", SEVERAL),
]  # fmt: skip


@pytest.mark.parametrize(("form", "case"), parameters(PUTS))
def test_a_put_is_answered_as_s3_does(raw: S3, bucket: str, form: str, case: Case) -> None:
    answer = ask(raw, form, "PUT", f"/{bucket}/key", case.headers, case.body)
    check(case, answer)
    if case.code == "BadDigest":
        assert not any(value.encode() in answer.body for value in case.headers.values())
    stored = raw.get(f"/{bucket}/key")
    assert (stored.status, stored.body) == (200, BODY) if case.status == 200 else stored.status == 404


PARTS = [case for case in PUTS if "V4h" in case.forms and HASH not in case.headers]


@pytest.mark.parametrize("case", [pytest.param(case, id=case.situation) for case in PARTS])
def test_a_part_is_answered_as_s3_does(raw: S3, s3: Any, bucket: str, case: Case) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="key")["UploadId"]
    target = f"/{bucket}/key?partNumber=1&uploadId={upload}"
    check(case, ask(raw, "V4h", "PUT", target, case.headers, case.body))
    parts = s3.list_parts(Bucket=bucket, Key="key", UploadId=upload).get("Parts", [])
    assert len(parts) == (case.status == 200)


# DeleteObjects

DOCUMENT = b"<Delete><Object><Key>key</Key></Object></Delete>"
NEITHER = "Missing required header for this request: Content-MD5 OR x-amz-checksum-*$"
DELETIONS = [
    Case("neither MD5 nor checksum", ALL, {HASH: sha256(DOCUMENT)}, 400, "InvalidRequest", NEITHER),
    Case("neither MD5 nor checksum", ALL, {HASH: "UNSIGNED-PAYLOAD"}, 400, "InvalidRequest", NEITHER),
    Case("nothing at all", NOT_V4H, {}, 400, "InvalidRequest", NEITHER),
    Case("announced only", ALL, {SDK: "CRC32"}, 400, "InvalidRequest", ANNOUNCED_ONLY),
    Case("right checksum", ALL, {CRC32: crc32(DOCUMENT)}, 200),
    Case("right MD5", ALL, {"Content-MD5": md5(DOCUMENT)}, 200),
    Case("wrong checksum", ALL, {CRC32: crc32(OTHER)}, 400, "BadDigest", WRONG),
    Case("wrong checksum, right MD5 and hash", ALL,
         {CRC32: crc32(OTHER), "Content-MD5": md5(DOCUMENT), HASH: sha256(DOCUMENT)}, 400, "BadDigest", WRONG),
]  # fmt: skip


@pytest.mark.parametrize(("form", "case"), parameters(DELETIONS))
def test_a_deletion_of_several_is_answered_as_s3_does(raw: S3, bucket: str, form: str, case: Case) -> None:
    assert raw.put(f"/{bucket}/key", BODY).status == 200
    answer = ask(raw, form, "POST", f"/{bucket}?delete" + ("=" if form[:2] == "V4" else ""), case.headers, DOCUMENT)
    check(case, answer)
    assert raw.get(f"/{bucket}/key").status == (404 if case.status == 200 else 200)


@pytest.mark.parametrize("query", ["delete=", "delete=yes"])
@pytest.mark.parametrize("form", ["V4h", "V4q"])
def test_a_sub_resource_is_signed_as_it_was_sent(raw: S3, bucket: str, form: str, query: str) -> None:
    assert ask(raw, form, "POST", f"/{bucket}?{query}", {CRC32: crc32(DOCUMENT)}, DOCUMENT).status == 200


# Ranges and parts


def test_a_range_has_no_checksum_of_the_whole(raw: S3, bucket: str) -> None:
    """SDKs hold it against the bytes of the range, and fail."""
    assert raw.put(f"/{bucket}/key", BODY, {CRC32: crc32(BODY)}).status == 200
    mode = {"x-amz-checksum-mode": "ENABLED"}
    for method in ("GET", "HEAD"):
        for span in ("bytes=0-3", "bytes=4-", f"bytes=0-{len(BODY) - 1}", "bytes=0-", "bytes=-100"):
            answer = raw.request(method, f"/{bucket}/key", {**mode, "Range": span})
            assert (answer.status, answer.get(CRC32), answer.get("x-amz-checksum-type")) == (206, None, None), span
        whole = raw.request(method, f"/{bucket}/key", mode)
        assert (whole.status, whole[CRC32], whole["x-amz-checksum-type"]) == (200, crc32(BODY), "FULL_OBJECT")
        part = raw.request(method, f"/{bucket}/key?partNumber=1", mode)
        assert (part.status, part[CRC32], part["x-amz-checksum-type"]) == (206, crc32(BODY), "FULL_OBJECT")


@pytest.mark.parametrize(("name", "kind"), [("CRC32", "COMPOSITE"), ("CRC32", "FULL_OBJECT"), ("SHA256", "COMPOSITE")])
def test_a_part_has_its_own_checksum(raw: S3, s3: Any, bucket: str, name: str, kind: str) -> None:
    where = {"Bucket": bucket, "Key": "key"}
    upload = s3.create_multipart_upload(**where, ChecksumAlgorithm=name, ChecksumType=kind)["UploadId"]
    pieces = [b"a" * (5 << 20), b"b" * 100]
    listed = []
    for number, piece in enumerate(pieces, 1):
        sent = {f"Checksum{name}": CHECKSUMS[name](piece)}
        part = s3.upload_part(**where, UploadId=upload, PartNumber=number, Body=piece, **sent)
        listed.append({"PartNumber": number, "ETag": part["ETag"], **sent})
    s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": listed})
    for number, piece in enumerate(pieces, 1):
        got = s3.get_object(**where, PartNumber=number, ChecksumMode="ENABLED")
        assert (got[f"Checksum{name}"], got["ChecksumType"]) == (CHECKSUMS[name](piece), kind)
        assert got["Body"].read() == piece
        head = s3.head_object(**where, PartNumber=number, ChecksumMode="ENABLED")
        assert (head[f"Checksum{name}"], head["ChecksumType"]) == (CHECKSUMS[name](piece), kind)
        assert f"Checksum{name}" not in s3.head_object(**where, PartNumber=number)


def test_an_object_of_parts_without_an_algorithm_shows_no_checksum_unasked(raw: S3, s3: Any, bucket: str) -> None:
    where = {"Bucket": bucket, "Key": "key"}
    upload = s3.create_multipart_upload(**where)["UploadId"]
    etag = raw.request("PUT", f"/{bucket}/key?partNumber=1&uploadId={upload}", {}, BODY)["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload=parts)
    head = raw.request("HEAD", f"/{bucket}/key")
    assert not [name for name in head.headers if name.lower().startswith("x-amz-checksum")]


def test_the_completions_own_checksum_headers_are_not_looked_at(raw: S3, s3: Any, bucket: str) -> None:
    for form in ALL:
        upload = s3.create_multipart_upload(Bucket=bucket, Key="key")["UploadId"]
        etag = raw.request("PUT", f"/{bucket}/key?partNumber=1&uploadId={upload}", {}, BODY)["ETag"]
        document = (
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber>"
            f"<ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
        ).encode()
        answer = ask(raw, form, "POST", f"/{bucket}/key?uploadId={upload}", {CRC32: crc32(OTHER)}, document)
        assert answer.status == 200, answer
    answer = ask(raw, "V4h", "POST", f"/{bucket}/key?uploadId={upload}", {SDK: "CRC32"}, document)
    assert answer.status == 200, answer


def test_the_error_of_two_checksums_has_no_further_elements(raw: S3, s3: Any, bucket: str) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="key")["UploadId"]
    answer = raw.put(f"/{bucket}/key?partNumber=1&uploadId={upload}", BODY, TWO)
    assert code_of(answer) == (400, "InvalidRequest")
    assert set(error_of(answer)) == {"Code", "Message", "RequestId", "HostId"}
