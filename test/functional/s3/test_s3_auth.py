"""Who signed a request, seen from outside: both versions, in headers and in URLs."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from harness.layouts import ONE_DEVICE
from harness.s3 import S3, Signer, code_of, error_of

pytestmark = ONE_DEVICE
HARD_KEYS = [
    "a b",
    "a//b",
    "a/../b",
    "./c",
    "/leading",
    "a+b",
    "a%2Fb",
    "ü/日本/😀",
    "x?y#z&a=b",
    "tail/",
    "~(')!*",
    "..",
    "\x01",
]


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_boto3_works_by_both_versions(make_s3: Callable[..., Any], bucket: str, version: str) -> None:
    client = make_s3(signature_version=version)
    client.put_object(Bucket=bucket, Key="key", Body=b"hello", Metadata={"a": "two  spaces"})
    found = client.get_object(Bucket=bucket, Key="key")
    assert (found["Body"].read(), found["Metadata"]) == (b"hello", {"a": "two  spaces"})


@pytest.mark.parametrize("version", ["s3v4", "s3"])
@pytest.mark.parametrize("key", HARD_KEYS)
def test_keys_are_taken_as_they_are_sent(make_s3: Callable[..., Any], bucket: str, version: str, key: str) -> None:
    client = make_s3(signature_version=version)
    client.put_object(Bucket=bucket, Key=key, Body=key.encode())
    assert client.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()
    assert [one["Key"] for one in client.list_objects_v2(Bucket=bucket)["Contents"]] == [key]
    url = client.generate_presigned_url("get_object", {"Bucket": bucket, "Key": key})
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == key.encode()
    client.delete_object(Bucket=bucket, Key=key)
    assert "Contents" not in client.list_objects_v2(Bucket=bucket)


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_urls_put_and_override_headers(make_s3: Callable[..., Any], bucket: str, version: str) -> None:
    client = make_s3(signature_version=version)
    url = client.generate_presigned_url("put_object", {"Bucket": bucket, "Key": "key", "ContentType": "a/b"})
    request = urllib.request.Request(url, b"hello", {"Content-Type": "a/b"}, method="PUT")
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 200
    asked = {"Bucket": bucket, "Key": "key", "ResponseContentType": "c/d", "ResponseContentDisposition": 'x; y="ü"'}
    with urllib.request.urlopen(client.generate_presigned_url("get_object", asked)) as answer:
        assert (answer.read(), answer.headers["Content-Type"]) == (b"hello", "c/d")


def test_a_raw_presigned_url(raw: S3, bucket: str) -> None:
    raw.put(f"/{bucket}/key", b"hello")
    assert raw.presigned("GET", f"/{bucket}/key").body == b"hello"
    assert raw.presigned("GET", f"/{bucket}/key?x-id=GetObject").body == b"hello"
    old = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() - 100))
    answer = raw.presigned("GET", f"/{bucket}/key", stamp=old, life=50)
    assert code_of(answer) == (403, "AccessDenied")
    assert error_of(answer)["Message"] == "Request has expired"
    assert error_of(answer)["X-Amz-Expires"] == "50"
    assert raw.presigned("GET", f"/{bucket}/key", stamp=old, life=150).status == 200
    assert code_of(raw.presigned("GET", f"/{bucket}/key", life=604801)) == (400, "AuthorizationQueryParametersError")
    url = raw.signer.presign("GET", f"/{bucket}/key", raw.host)
    assert code_of(raw.send("GET", url + "&versionId=1")) == (403, "SignatureDoesNotMatch")
    assert code_of(raw.send("PUT", url)) == (403, "SignatureDoesNotMatch")


def test_a_copy_source_that_is_not_signed_is_refused(raw: S3, bucket: str) -> None:
    raw.put(f"/{bucket}/secret", b"secret")
    url = raw.signer.presign("PUT", f"/{bucket}/copy", raw.host)
    answer = raw.send("PUT", url, {"x-amz-copy-source": f"/{bucket}/secret"})
    assert code_of(answer) == (403, "AccessDenied")
    assert error_of(answer)["HeadersNotSigned"] == "x-amz-copy-source"
    signed = raw.signer.headers("PUT", f"/{bucket}/copy", {"Host": raw.host}, "UNSIGNED-PAYLOAD")
    answer = raw.send("PUT", f"/{bucket}/copy", {**signed, "x-amz-copy-source": f"/{bucket}/secret"})
    assert code_of(answer) == (403, "AccessDenied")
    assert raw.get(f"/{bucket}/copy").status == 404
    # WSGI cannot tell this name from the real one; it must not count as it.
    raw.send("PUT", f"/{bucket}/copy", {**signed, "x_amz_copy_source": f"/{bucket}/secret"})
    assert raw.get(f"/{bucket}/copy").body == b""


@pytest.mark.parametrize("shift", [-1000, 1000])
def test_a_clock_that_is_off(raw: S3, bucket: str, shift: int) -> None:
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() + shift))
    answer = raw.request("GET", f"/{bucket}", stamp=stamp)
    assert code_of(answer) == (403, "RequestTimeTooSkewed")
    assert error_of(answer)["MaxAllowedSkewMilliseconds"] == "900000"


def signed_by(raw: S3, target: str, signer: Signer) -> Any:
    headers = signer.headers("GET", target, {"Host": raw.host}, "UNSIGNED-PAYLOAD")
    return raw.send("GET", target, headers)


def test_who_is_not_known_and_what_is_wrong(raw: S3, bucket: str) -> None:
    key, secret = raw.signer.access_key, raw.signer.secret_key
    answer = signed_by(raw, f"/{bucket}", Signer("nobody", secret))
    assert code_of(answer) == (403, "InvalidAccessKeyId")
    assert error_of(answer)["AWSAccessKeyId"] == "nobody"
    answer = signed_by(raw, f"/{bucket}", Signer(key, "wrong"))
    assert code_of(answer) == (403, "SignatureDoesNotMatch")
    assert {"StringToSign", "SignatureProvided", "CanonicalRequest"} <= error_of(answer).keys()
    answer = signed_by(raw, f"/{bucket}", Signer(key, secret, region="mars-north-1"))
    assert code_of(answer) == (400, "AuthorizationHeaderMalformed")
    assert error_of(answer)["Region"] == "us-east-1"
    assert code_of(signed_by(raw, f"/{bucket}", Signer(key, secret, service="ec2"))) == (
        400, "AuthorizationHeaderMalformed",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Authorization": "AWS nonsense"}, (400, "InvalidArgument")),
        ({"Authorization": "AWS4-HMAC-SHA256 nonsense"}, (400, "AuthorizationHeaderMalformed")),
        ({"Authorization": "AWS a:b"}, (403, "AccessDenied")),
        ({"Authorization": "AWS a:b", "Date": "Tue, 27 Mar 2007 19:36:42 GMT"}, (403, "RequestTimeTooSkewed")),
        ({}, (403, "AccessDenied")),
    ],
)
def test_malformed_and_missing_signatures(raw: S3, bucket: str, headers: dict[str, str], code: tuple[int, str]) -> None:
    assert code_of(raw.send("GET", f"/{bucket}", headers)) == code


def test_errors_are_documents_with_ids(raw: S3, bucket: str) -> None:
    answer = raw.get(f"/{bucket}/no/such%20key")
    told = error_of(answer)
    assert (answer.status, answer["Content-Type"]) == (404, "application/xml")
    assert told["Code"] == "NoSuchKey"
    assert told["Key"] == "no/such key"
    assert set(told) == {"Code", "Message", "Key", "RequestId", "HostId"}
    assert told["RequestId"] == answer["x-amz-request-id"]
    assert told["HostId"] == answer["x-amz-id-2"]
    assert told["Message"]
    head = raw.request("HEAD", f"/{bucket}/no")
    assert (head.status, head.body) == (404, b"")
    assert head["x-amz-request-id"]


@pytest.mark.parametrize(
    ("method", "target", "code"),
    [
        ("GET", "/{}?versions&uploads", (400, "InvalidArgument")),
        ("GET", "/{}/key?location", (400, "InvalidRequest")),
        ("POST", "/{}/key", (405, "MethodNotAllowed")),
        ("PATCH", "/{}/key", (405, "MethodNotAllowed")),
        ("POST", "/{}", (412, "PreconditionFailed")),
        ("DELETE", "/", (405, "MethodNotAllowed")),
        ("GET", "/{}?session", (501, "NotImplemented")),
        ("GET", "/{}/a%FFb", (400, "InvalidURI")),
        ("GET", "/{}/a%00b", (400, "InvalidURI")),
        ("GET", "/{}/" + "k" * 1025, (400, "KeyTooLongError")),
        ("GET", "/no-such-bucket-anywhere/key", (404, "NoSuchBucket")),
        ("GET", "/no-such-bucket-anywhere?acl", (404, "NoSuchBucket")),
    ],
)
def test_requests_that_nothing_answers(raw: S3, bucket: str, method: str, target: str, code: tuple[int, str]) -> None:
    assert code_of(raw.request(method, target.format(bucket))) == code


def test_sub_resources_come_with_and_without_an_equals_sign(raw: S3, bucket: str) -> None:
    for query in ("location", "location="):
        assert b"LocationConstraint" in raw.get(f"/{bucket}?{query}").body


def test_the_native_api_is_as_it_was(raw: S3, owner: Any) -> None:
    assert owner.get().status in (200, 204)
    assert owner.send("GET", "/healthcheck").body == b"OK"
    assert "s3api" in owner.send("GET", "/info").json
    assert raw.send("GET", "/v1/AUTH_nobody").status == 401
    assert owner.send("GET", "/no-version/AUTH_x").status == 412  # with a token


def test_a_bucket_in_anothers_account_is_not_seen(s3_other: Any, bucket: str) -> None:
    with pytest.raises(ClientError) as raised:
        s3_other.list_objects_v2(Bucket=bucket)
    assert raised.value.response["Error"]["Code"] == "AccessDenied"
