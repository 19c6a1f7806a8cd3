"""Uploads by browser forms."""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import json
import time
from typing import Any

import pytest
from harness.client import Answer
from harness.layouts import ONE_DEVICE
from harness.s3 import S3, code_of, error_of
from harness.s3_answers import CHECKSUMS

pytestmark = ONE_DEVICE
BOUNDARY = "9431149156168"


def part(name: str, value: bytes, more: str = "") -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'
    return head.encode() + value + b"\r\n"


def post(raw: S3, bucket: str, fields: dict[str, str], file: bytes = b"bar", filename: str = "foo.txt") -> Answer:
    body = b"".join(part(name, value.encode()) for name, value in fields.items())
    body += part("file", file, f'; filename="{filename}"') + f"--{BOUNDARY}--\r\n".encode()
    return raw.send("POST", f"/{bucket}", {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}, body)


def policy(bucket: str, *conditions: Any, **more: Any) -> str:
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=100)
    document = {
        "expiration": end.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "conditions": [{"bucket": bucket}, ["starts-with", "$key", "foo"], *conditions],
        **more,
    }
    return base64.b64encode(json.dumps(document).encode()).decode()


def by_v2(raw: S3, encoded: str) -> dict[str, str]:
    digest = hmac.new(raw.signer.secret_key.encode(), encoded.encode(), hashlib.sha1).digest()
    return {
        "AWSAccessKeyId": raw.signer.access_key,
        "policy": encoded,
        "signature": base64.b64encode(digest).decode(),
    }


def by_v4(raw: S3, bucket: str, *conditions: Any) -> dict[str, str]:
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    fields = {
        "x-amz-algorithm": "AWS4-HMAC-SHA256",
        "x-amz-credential": f"{raw.signer.access_key}/{raw.signer.scope(stamp[:8])}",
        "x-amz-date": stamp,
    }
    encoded = policy(bucket, *fields_as_conditions(fields), *conditions)
    return {**fields, "policy": encoded, "x-amz-signature": raw.signer.hex(stamp[:8], encoded)}


def fields_as_conditions(fields: dict[str, str]) -> list[dict[str, str]]:
    return [{name: value} for name, value in fields.items()]


PRIVATE = {"acl": "private"}
TYPE = ["starts-with", "$Content-Type", "text/plain"]
SIZE = ["content-length-range", 0, 1024]


@pytest.mark.parametrize("version", ["2", "4"])
@pytest.mark.parametrize("size", [0, 3, 1000, 2_000_000])
def test_a_signed_form_uploads(raw: S3, s3: Any, bucket: str, version: str, size: int) -> None:
    conditions = (PRIVATE, TYPE, ["content-length-range", 0, 3_000_000], ["starts-with", "$x-amz-meta-color", ""])
    signed = by_v2(raw, policy(bucket, *conditions)) if version == "2" else by_v4(raw, bucket, *conditions)
    fields = {"key": "foo/${filename}", **signed, "acl": "private", "Content-Type": "text/plain", "x-ignore-a": "1"}
    answer = post(raw, bucket, {**fields, "x-amz-meta-color": "blue"}, b"x" * size, "C:\\dir\\bar.txt")
    assert answer.status == 204, answer
    assert answer["Location"] == f"{raw.endpoint}/{bucket}/foo/bar.txt"
    found = s3.get_object(Bucket=bucket, Key="foo/bar.txt")
    assert answer["ETag"] == found["ETag"]
    assert found["Body"].read() == b"x" * size
    assert (found["ContentType"], found["Metadata"]) == ("text/plain", {"color": "blue"})


def test_boto3s_form_uploads(raw: S3, s3: Any, bucket: str) -> None:
    made = s3.generate_presigned_post(bucket, "foo.txt")
    assert post(raw, bucket, made["fields"]).status == 204
    assert raw.get(f"/{bucket}/foo.txt").body == b"bar"


def test_names_of_fields_and_conditions_may_be_in_any_case(raw: S3, bucket: str) -> None:
    document = policy(bucket, {"aCl": "private"}, ["StArTs-WiTh", "$CoNtEnT-TyPe", "text/plain"])
    signed = by_v2(raw, document)
    fields = {"kEy": "foo.txt", **{name.upper(): value for name, value in signed.items()}}
    assert post(raw, bucket, {**fields, "aCl": "private", "Content-TYPE": "text/plain"}).status == 204


@pytest.mark.parametrize(
    ("status", "answered"), [("200", 200), ("201", 201), ("204", 204), ("404", 204), ("nonsense", 204)]
)
def test_the_form_chooses_the_status(raw: S3, bucket: str, status: str, answered: int) -> None:
    signed = by_v2(raw, policy(bucket, ["eq", "$success_action_status", status]))
    answer = post(raw, bucket, {"key": "foo.txt", "success_action_status": status, **signed})
    assert answer.status == answered
    if answered == 201:
        assert b"<PostResponse>" in answer.body
        assert f"<Key>foo.txt</Key><ETag>{answer['ETag']}</ETag>".replace('"', "&quot;").encode() in answer.body
    else:
        assert answer.body == b""


def test_the_form_redirects(raw: S3, bucket: str) -> None:
    signed = by_v2(raw, policy(bucket, ["starts-with", "$success_action_redirect", ""]))
    fields = {"key": "foo.txt", **signed}
    answer = post(raw, bucket, {**fields, "success_action_redirect": "https://example.com/done?a=b"})
    assert answer.status == 303
    etag = hashlib.md5(b"bar").hexdigest()
    assert answer["Location"] == f"https://example.com/done?a=b&bucket={bucket}&key=foo.txt&etag=%22{etag}%22"
    for useless in ("javascript:alert(1)", "/relative", "http://[bad"):
        assert post(raw, bucket, {**fields, "success_action_redirect": useless}).status == 204


def test_tags_and_checksums_of_a_form(raw: S3, s3: Any, bucket: str) -> None:
    tagging = "<Tagging><TagSet><Tag><Key>a</Key><Value>b c</Value></Tag></TagSet></Tagging>"
    sha256 = base64.b64encode(hashlib.sha256(b"bar").digest()).decode()
    free = [["starts-with", "$tagging", ""], ["starts-with", "$x-amz-checksum-sha256", ""]]
    fields = {"key": "foo.txt", **by_v2(raw, policy(bucket, *free)), "tagging": tagging}
    assert post(raw, bucket, {**fields, "x-amz-checksum-sha256": sha256}).status == 204
    assert s3.get_object_tagging(Bucket=bucket, Key="foo.txt")["TagSet"] == [{"Key": "a", "Value": "b c"}]
    assert s3.head_object(Bucket=bucket, Key="foo.txt", ChecksumMode="ENABLED")["ChecksumSHA256"] == sha256
    answer = post(raw, bucket, {**fields, "x-amz-checksum-sha256": sha256}, b"other")
    assert code_of(answer) == (400, "BadDigest")
    assert raw.get(f"/{bucket}/foo.txt").body == b"bar"


@pytest.mark.parametrize("algorithm", ["SHA512", "MD5", "XXHASH64", "XXHASH3", "XXHASH128"])
def test_a_form_can_have_a_checksum_of_any_algorithm(raw: S3, bucket: str, algorithm: str) -> None:
    field = f"x-amz-checksum-{algorithm.lower()}"
    value = CHECKSUMS[algorithm](b"bar")
    fields = {"key": "foo.txt", **by_v2(raw, policy(bucket, ["starts-with", f"${field}", ""])), field: value}
    answer = post(raw, bucket, fields)
    assert (answer.status, answer[field], answer["x-amz-checksum-type"]) == (204, value, "FULL_OBJECT")
    assert code_of(post(raw, bucket, fields, b"other")) == (400, "BadDigest")


def test_what_the_policy_does_not_allow(raw: S3, bucket: str) -> None:
    def refused(*conditions: Any, file: bytes = b"bar", key: str = "foo.txt", **fields: str) -> tuple[int, str]:
        named = {name.replace("_", "-"): value for name, value in fields.items()}
        return code_of(post(raw, bucket, {"key": key, **by_v2(raw, policy(bucket, *conditions)), **named}, file))

    assert refused(key="other") == (403, "AccessDenied")
    assert refused(PRIVATE, acl="public-read") == (403, "AccessDenied")
    assert refused(PRIVATE) == (403, "AccessDenied")
    assert refused(x_amz_meta_a="extra") == (403, "AccessDenied")
    assert refused(["content-length-range", 0, 2]) == (400, "EntityTooLarge")
    assert refused(["content-length-range", 4, 9]) == (400, "EntityTooSmall")
    assert refused(["content-length-range", 0, 1_000_000], file=b"x" * 2_000_000) == (400, "EntityTooLarge")
    assert refused(["content-length-range", 9, 1]) == (400, "InvalidPolicyDocument")
    other = by_v2(raw, policy("other-bucket"))
    assert code_of(post(raw, bucket, {"key": "foo.txt", **other})) == (403, "AccessDenied")
    old = by_v2(raw, policy(bucket, expiration="2020-01-01T00:00:00Z"))
    answer = post(raw, bucket, {"key": "foo.txt", **old})
    assert code_of(answer) == (403, "AccessDenied")
    assert error_of(answer)["Message"] == "Invalid according to Policy: Policy expired."
    assert raw.get(f"/{bucket}/foo.txt").status == 404


def test_who_did_not_sign_the_policy(raw: S3, bucket: str) -> None:
    good = {"key": "foo.txt", **by_v2(raw, policy(bucket))}
    assert code_of(post(raw, bucket, {**good, "signature": "x"})) == (403, "SignatureDoesNotMatch")
    assert code_of(post(raw, bucket, {**good, "AWSAccessKeyId": "nobody"})) == (403, "InvalidAccessKeyId")
    for name in ("signature", "policy", "AWSAccessKeyId", "key"):
        left = {other: value for other, value in good.items() if other != name}
        assert code_of(post(raw, bucket, left)) == (400, "InvalidArgument"), name
    good = {"key": "foo.txt", **by_v4(raw, bucket)}
    assert code_of(post(raw, bucket, {**good, "x-amz-signature": "0" * 64})) == (403, "SignatureDoesNotMatch")
    assert code_of(post(raw, bucket, {**good, "x-amz-credential": "x"})) == (
        400, "AuthorizationHeaderMalformed",
    )  # fmt: skip
    assert code_of(post(raw, bucket, {"key": "foo.txt"})) == (403, "AccessDenied")


def test_what_is_no_form(raw: S3, bucket: str) -> None:
    kind = {"Content-Type": "multipart/form-data"}
    assert code_of(raw.send("POST", f"/{bucket}", kind, b"abc"))[0] == 400
    kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    assert code_of(raw.send("POST", f"/{bucket}", kind, b"abc")) == (400, "IncompleteBody")
    assert code_of(raw.send("POST", f"/{bucket}", kind, part("key", b"x") + f"--{BOUNDARY}--".encode()))[0] == 400
