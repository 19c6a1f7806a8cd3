"""What S3 answers to odd hashes, MD5s and lengths of bodies, in each form of signature."""

from __future__ import annotations

import hashlib
import http.client
from typing import Any

import pytest
from harness.layouts import ONE_DEVICE
from harness.s3 import S3, code_of, error_of
from harness.s3_answers import (
    ALL,
    BODY,
    HASH,
    LEFT_OUT,
    NOT_V4H,
    OTHER,
    V4H,
    Case,
    ask,
    ask_bare,
    b64,
    check,
    crc32,
    md5,
    parameters,
    sha256,
)
from harness.store import Store

pytestmark = ONE_DEVICE  # what is decided before a byte is stored

MISSING = "Missing required header for this request: x-amz-content-sha256$"
MUST_BE = "x-amz-content-sha256 must be UNSIGNED-PAYLOAD"
DIFFERS = "The provided 'x-amz-content-sha256' header does not match what was computed.$"
BAD_MD5 = "The Content-MD5 you specified was invalid.$"
OTHER_MD5 = "The Content-MD5 you specified did not match what we received.$"
NO_LENGTH = "You must provide the Content-Length HTTP header.$"
WRONG_COUNT = "You did not provide the number of bytes specified by the Content-Length HTTP header$"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
WORDS = (UNSIGNED_TRAILER, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER")
DECODED = "x-amz-decoded-content-length"


def mismatch(sent: str, body: bytes = BODY) -> dict[str, str | None]:
    return {"ClientComputedContentSHA256": sent, "S3ComputedContentSHA256": sha256(body)}


def of_md5(sent: bytes, body: bytes = BODY) -> dict[str, str | None]:
    return {"ExpectedDigest": hashlib.md5(sent).hexdigest(), "CalculatedDigest": md5(body)}


HASHES = [
    Case("no hash", V4H, {HASH: LEFT_OUT}, 400, "InvalidRequest", MISSING),
    Case("no hash, malformed MD5", V4H, {HASH: LEFT_OUT, "Content-MD5": "x"}, 400, "InvalidRequest", MISSING),
    Case("no hash, other MD5", V4H, {HASH: LEFT_OUT, "Content-MD5": md5(OTHER)}, 400, "InvalidRequest", MISSING),
    Case("no hash, bad checksum", V4H, {HASH: LEFT_OUT, "x-amz-checksum-crc32": "x"}, 400, "InvalidRequest", MISSING),
    Case("no hash", NOT_V4H, {}, 200),
    *(
        Case(
            f"malformed hash {word}", V4H, {HASH: word, **more}, 400, "InvalidArgument", MUST_BE,
            {"ArgumentName": HASH, "ArgumentValue": word},
        )
        for word in ("invalid", "INVALID", "unsigned-payload")
        for more in ({}, {"Content-MD5": "x"}, {"Content-MD5": md5(OTHER)}, {"Content-MD5": md5(BODY)})
    ),
    *(
        Case(f"malformed hash {word}", NOT_V4H, {HASH: word, **more}, 400, "XAmzContentSHA256Mismatch", DIFFERS,
             mismatch(word))
        for word in ("invalid", "INVALID", "unsigned-payload")
        for more in ({}, {"Content-MD5": md5(OTHER)}, {"Content-MD5": md5(BODY)})
    ),
    Case("malformed hash and MD5", NOT_V4H, {HASH: "invalid", "Content-MD5": "x"}, 400, "InvalidDigest", BAD_MD5),
    *(
        Case("other hash", ALL, {HASH: word, **more}, 400, "XAmzContentSHA256Mismatch", DIFFERS, mismatch(word))
        for word in (sha256(OTHER), sha256(OTHER).upper())
        for more in ({}, {"Content-MD5": md5(OTHER)}, {"x-amz-checksum-crc32": crc32(OTHER)})
    ),
    Case("other hash of nothing", ALL, {HASH: sha256(OTHER)}, 400, "XAmzContentSHA256Mismatch", DIFFERS,
         mismatch(sha256(OTHER), b""), b""),
    Case("right hash", ALL, {HASH: sha256(BODY)}, 200),
    Case("right hash in upper case", ALL, {HASH: sha256(BODY).upper()}, 200),
    Case("unsigned payload", ALL, {HASH: "UNSIGNED-PAYLOAD"}, 200),
    *(
        Case(f"{word} with its length", NOT_V4H, {HASH: word, DECODED: str(len(BODY))}, 400,
             "XAmzContentSHA256Mismatch", DIFFERS, mismatch(word))
        for word in WORDS
    ),
    *(
        Case(f"{word} with another length", NOT_V4H, {HASH: word, DECODED: str(length)}, 400, "IncompleteBody",
             WRONG_COUNT, {"NumberBytesExpected": str(length), "NumberBytesProvided": str(len(BODY))})
        for word in WORDS
        for length in (len(BODY) - 1, len(BODY) + 1)
    ),
]  # fmt: skip
DIGESTS = [
    *(
        Case("malformed MD5", forms, {"Content-MD5": value, **more}, 400, "InvalidDigest", BAD_MD5,
             {"Content-MD5": value})
        for value in ("invalid", b64(b"too short"), b64(bytes(17)))
        for forms, more in (
            (NOT_V4H, {}), (ALL, {HASH: sha256(BODY)}), (ALL, {HASH: sha256(OTHER)}), (ALL, {HASH: "UNSIGNED-PAYLOAD"}),
        )
    ),
    *(
        Case("MD5 of other bytes", forms, {"Content-MD5": md5(OTHER), **more}, 400, "BadDigest", OTHER_MD5,
             of_md5(OTHER))
        for forms, more in ((NOT_V4H, {}), (ALL, {HASH: sha256(BODY)}), (ALL, {HASH: "UNSIGNED-PAYLOAD"}))
    ),
    Case("right MD5", ALL, {"Content-MD5": md5(BODY), HASH: sha256(BODY)}, 200),
    Case("right MD5 alone", NOT_V4H, {"Content-MD5": md5(BODY)}, 200),
]  # fmt: skip
LENGTHS = [
    Case("no decoded length", ALL, {HASH: UNSIGNED_TRAILER}, 411, "MissingContentLength", NO_LENGTH),
    Case("no decoded length in HTTP chunks", V4H, {HASH: UNSIGNED_TRAILER}, 411, "MissingContentLength", NO_LENGTH,
         body=[b"0\r\n\r\n"]),
    *(
        Case(f"decoded length {value}", ALL, {HASH: UNSIGNED_TRAILER, DECODED: value}, 411, "MissingContentLength",
             NO_LENGTH)
        for value in ("not a number", "-1", "1.5", "0x5")
    ),
]  # fmt: skip


@pytest.mark.parametrize(("form", "case"), parameters(HASHES + DIGESTS + LENGTHS))
def test_a_put_is_answered_as_s3_does(raw: S3, bucket: str, form: str, case: Case) -> None:
    check(case, ask(raw, form, "PUT", f"/{bucket}/key", case.headers, case.body))
    stored = raw.get(f"/{bucket}/key")
    assert (stored.status, stored.body) == (200, case.body) if case.status == 200 else stored.status == 404


@pytest.mark.parametrize("form", ALL)
@pytest.mark.parametrize("word", [sha256(OTHER), sha256(OTHER).upper()])
def test_other_hashes_of_documents_are_refused(raw: S3, bucket: str, form: str, word: str) -> None:
    for target in (f"/{bucket}?delete", f"/{bucket}/key?uploadId=none"):
        if form == "V4h":
            target = target.replace("?delete", "?delete=")
        answer = ask(raw, form, "POST", target, {HASH: word, "Content-MD5": md5(BODY)}, BODY)
        assert code_of(answer) == (400, "XAmzContentSHA256Mismatch"), answer
        assert mismatch(word).items() <= error_of(answer).items()


@pytest.mark.parametrize("form", ALL)
def test_other_md5s_of_documents_are_shown_as_they_were_sent(raw: S3, bucket: str, form: str) -> None:
    for target in (f"/{bucket}?delete", f"/{bucket}/key?uploadId=none"):
        answer = ask(raw, form, "POST", target, {"Content-MD5": md5(OTHER)}, BODY)
        assert code_of(answer) == (400, "BadDigest")
        assert error_of(answer)["ExpectedDigest"] == md5(OTHER)


@pytest.mark.parametrize("form", ALL)
@pytest.mark.parametrize("hashed", [True, False])
def test_a_put_that_announces_no_length_stores_nothing(raw: S3, bucket: str, form: str, hashed: bool) -> None:
    """It was taken for an empty body, which replaced the object that was there."""
    if form == "V4h" and not hashed:
        answer = ask_bare(raw, form, "PUT", f"/{bucket}/key", {}, BODY)
        assert code_of(answer) == (400, "InvalidRequest")  # the missing hash comes first
        return
    answer = ask_bare(raw, form, "PUT", f"/{bucket}/key", {HASH: sha256(BODY)} if hashed else {}, BODY)
    assert code_of(answer) == (411, "MissingContentLength")
    assert error_of(answer)["Message"] == NO_LENGTH[:-1]
    assert raw.get(f"/{bucket}/key").status == 404


@pytest.mark.parametrize("form", ["V2h", "V2q", "V4q"])
def test_bytes_behind_the_announced_length_are_not_of_the_body(raw: S3, bucket: str, form: str) -> None:
    for data, status in ((BODY, 200), (BODY + b"more", 400)):
        headers = {"x-amz-checksum-crc32": crc32(data), "Content-Length": str(len(BODY))}
        answer = ask_bare(raw, form, "PUT", f"/{bucket}/key", headers, BODY + b"more")
        assert answer.status == status, answer
        if status == 400:
            assert code_of(answer) == (400, "BadDigest")
    assert raw.get(f"/{bucket}/key").body == BODY


# Requests that read


READS = (("GET", ""), ("GET", "/{}"), ("GET", "/{}/key"), ("HEAD", "/{}"), ("HEAD", "/{}/key"))


@pytest.mark.parametrize("form", ALL)
def test_the_hash_of_a_request_that_reads_is_not_compared(raw: S3, bucket: str, form: str) -> None:
    assert raw.put(f"/{bucket}/key", BODY).status == 200
    hashes = [sha256(OTHER), sha256(OTHER).upper(), sha256(b""), "UNSIGNED-PAYLOAD"]
    hashes += ["invalid", *WORDS, LEFT_OUT] if form != "V4h" else []
    for method, target in READS:
        for word in hashes:
            answer = ask(raw, form, method, target.format(bucket) or "/", {HASH: word})
            assert answer.status == 200, (method, target, word, answer)
    for word in hashes:
        assert ask(raw, form, "HEAD", "/", {HASH: word}).status == 405


@pytest.mark.parametrize(("method", "target"), [*READS, ("HEAD", ""), ("DELETE", "/{}/key")])
def test_a_request_signed_in_its_headers_needs_a_hash(raw: S3, bucket: str, method: str, target: str) -> None:
    for word in (LEFT_OUT, "invalid"):
        answer = ask(raw, "V4h", method, target.format(bucket) or "/", {HASH: word})
        assert answer.status == 400
        if method != "HEAD":
            assert error_of(answer)["Code"] == ("InvalidRequest" if word == LEFT_OUT else "InvalidArgument")


@pytest.mark.parametrize("form", NOT_V4H)
def test_an_md5_of_a_request_that_reads_is_ignored(raw: S3, bucket: str, form: str) -> None:
    for method in ("GET", "HEAD"):
        assert ask(raw, form, method, f"/{bucket}", {"Content-MD5": md5(OTHER)}).status == 200


def test_a_body_of_a_request_that_reads_is_passed_over(raw: S3, bucket: str) -> None:
    assert raw.put(f"/{bucket}/key", BODY).status == 200
    for _ in range(2):
        for method, body in (("GET", BODY), ("HEAD", BODY), ("GET", [BODY, OTHER])):
            answer = ask(raw, "V4h", method, f"/{bucket}/key", {HASH: sha256(OTHER)}, body)
            assert (answer.status, answer["Content-Length"]) == (200, str(len(BODY)))


def test_a_missing_hash_comes_before_the_rules_of_an_operation(raw: S3, bucket: str) -> None:
    for target in (f"/{bucket}?delete=", f"/{bucket}/key?uploadId=none"):
        answer = ask(raw, "V4h", "POST", target, {HASH: LEFT_OUT}, BODY)
        assert code_of(answer) == (400, "InvalidRequest")
        assert error_of(answer)["Message"] == MISSING[:-1]


# Signatures around the hash


@pytest.mark.parametrize("signed", ["the header's hash", "UNSIGNED-PAYLOAD"])
def test_a_presigned_url_with_a_hash_that_is_no_signed_header(raw: S3, bucket: str, signed: str) -> None:
    payload = sha256(BODY) if signed == "the header's hash" else signed
    target = raw.signer.presign("PUT", f"/{bucket}/key", raw.host, payload=payload)
    assert raw.send("PUT", target, {HASH: sha256(BODY)}, BODY).status == 200
    target = raw.signer.presign("PUT", f"/{bucket}/key", raw.host)
    assert code_of(raw.send("PUT", target, {HASH: sha256(OTHER)}, BODY)) == (400, "XAmzContentSHA256Mismatch")


def test_a_presigned_put_of_the_javascript_sdk(raw: S3, bucket: str) -> None:
    """It signs a checksum of nothing into the query, long before the browser has the body."""
    query = "x-amz-checksum-crc32=AAAAAA%3D%3D&x-amz-sdk-checksum-algorithm=CRC32&x-id=PutObject"
    answer = raw.presigned("PUT", f"/{bucket}/key?{query}", BODY)
    assert (answer.status, answer["x-amz-checksum-crc32"]) == (200, crc32(BODY))
    assert raw.get(f"/{bucket}/key").body == BODY
    head = raw.request("HEAD", f"/{bucket}/key", {"x-amz-checksum-mode": "ENABLED"})
    assert head["x-amz-checksum-crc32"] == crc32(BODY)


def test_a_checksum_header_beside_one_in_the_query_counts(raw: S3, bucket: str) -> None:
    target = f"/{bucket}/key?x-amz-checksum-crc32=AAAAAA%3D%3D&x-amz-sdk-checksum-algorithm=CRC32"
    headers = {"x-amz-checksum-crc32": crc32(OTHER)}
    assert code_of(raw.presigned("PUT", target, BODY, headers=headers)) == (400, "BadDigest")


def test_presigned_parts_of_the_javascript_sdk(raw: S3, s3: Any, bucket: str) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="key", ChecksumAlgorithm="CRC32")["UploadId"]
    query = f"uploadId={upload}&partNumber=1&x-amz-checksum-crc32=AAAAAA%3D%3D&x-amz-sdk-checksum-algorithm=CRC32"
    answer = raw.presigned("PUT", f"/{bucket}/key?{query}", BODY)
    assert (answer.status, answer["x-amz-checksum-crc32"]) == (200, crc32(BODY))


@pytest.mark.parametrize(
    ("life", "message"),
    [
        ("-1", "X-Amz-Expires must be non-negative"),
        ("604801", "X-Amz-Expires must be less than 604800 seconds"),
        (str((1 << 63) - 1), "X-Amz-Expires must be less than 604800 seconds"),
        (str(1 << 63), "X-Amz-Expires should be a number"),
        ("soon", "X-Amz-Expires should be a number"),
    ],
)
def test_lives_of_presigned_urls(raw: S3, bucket: str, life: str, message: str) -> None:
    answer = raw.presigned("GET", f"/{bucket}", life=life)
    assert code_of(answer) == (400, "AuthorizationQueryParametersError")
    assert message in error_of(answer)["Message"]


def test_the_whole_url_as_the_target_of_a_request(store: Store, raw: S3, bucket: str) -> None:
    connection = http.client.HTTPConnection(*store.address, timeout=10)
    signed = raw.signer.headers("GET", f"/{bucket}", {"Host": raw.host}, "UNSIGNED-PAYLOAD")
    connection.request("GET", f"{raw.endpoint}/{bucket}", headers=signed)
    assert connection.getresponse().status == 200
    connection.close()
