"""The values that an S3 request has for the condition keys of policies, and which actions it comes to."""

from __future__ import annotations

import time
from typing import Any

import pytest
from harness.identities import identity

from objstore.access import condition_keys
from objstore.access.condition_keys import Subject
from objstore.s3 import access
from objstore.s3.request.s3_request import S3Request
from objstore.s3.request.signature import Signing

V4, V2 = "AWS4-HMAC-SHA256", "AWS"
HASH = "e3b0c442"


def request(
    headers: dict[str, str] | None = None,
    query: dict[str, str] | None = None,
    signing: Signing | None = None,
    operation: str = "PutObject",
    **environ: str,
) -> S3Request:
    body: Any = None
    made = S3Request(
        {"REQUEST_METHOD": "PUT", **environ}, "bucket", "key", query or {}, headers or {}, body, None, signing=signing
    )
    made.operation = operation
    return made


def values(one: S3Request, *keys: str) -> dict[str, tuple[str, ...]]:
    asked = access.circumstances(one, frozenset(keys))
    subject = Subject(asked, identity("AUTH_a", "u"), "AUTH_owner")
    return {key: tuple(value) for key, value in condition_keys.gather(keys, subject).items()}


SIGNATURE = ("s3:authtype", "s3:signatureversion", "s3:x-amz-content-sha256")


@pytest.mark.parametrize(
    ("signing", "expected"),
    [
        (Signing(V4, "REST-HEADER", HASH, 1.0), ("REST-HEADER", V4, HASH)),
        (Signing(V4, "REST-QUERY-STRING", "UNSIGNED-PAYLOAD", 1.0), ("REST-QUERY-STRING", V4, "UNSIGNED-PAYLOAD")),
        (Signing(V4, "POST", "UNSIGNED-PAYLOAD", 1.0), ("POST", V4, "UNSIGNED-PAYLOAD")),
        (Signing(V2, "REST-HEADER", "", 1.0), ("REST-HEADER", V2, None)),
        (Signing(V2, "REST-QUERY-STRING"), ("REST-QUERY-STRING", V2, None)),
        (Signing(V2, "POST"), ("POST", V2, None)),
        (None, (None, None, None)),
    ],
)
def test_how_a_request_is_signed(signing: Signing | None, expected: tuple[str | None, ...]) -> None:
    found = values(request(signing=signing), *SIGNATURE)
    assert found == {key: (value,) for key, value in zip(SIGNATURE, expected, strict=True) if value is not None}


def test_a_header_that_is_not_signed_does_not_say_how_a_request_is_signed() -> None:
    headers = {"X-Amz-Content-Sha256": HASH, "Authorization": "AWS a:b", "X-Amz-Date": "20000101T000000Z"}
    url = request(headers, {"Signature": "x"}, Signing(V4, "REST-QUERY-STRING", "UNSIGNED-PAYLOAD", time.time()))
    found = values(url, *SIGNATURE, "s3:signatureage")
    assert [found[key] for key in SIGNATURE] == [("REST-QUERY-STRING",), (V4,), ("UNSIGNED-PAYLOAD",)]
    assert int(found["s3:signatureage"][0]) < 5000


@pytest.mark.parametrize("type", ["REST-HEADER", "REST-QUERY-STRING", "POST"])
def test_the_age_of_a_signature_is_told_in_milliseconds(type: str) -> None:
    age = values(request(signing=Signing(V4, type, "", time.time() - 60)), "s3:signatureage")["s3:signatureage"][0]
    assert 60_000 <= int(age) < 65_000
    assert values(request(signing=Signing(V2, type)), "s3:signatureage") == {}


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [("TLSv1.3", {"s3:tlsversion": ("1.3",)}), ("TLSv1.2", {"s3:tlsversion": ("1.2",)}), ("", {})],
)
def test_the_version_of_tls_is_that_of_the_connection(protocol: str, expected: dict[str, tuple[str, ...]]) -> None:
    environ = {"SSL_PROTOCOL": protocol} if protocol else {}
    assert values(request(**environ), "s3:tlsversion") == expected


@pytest.mark.parametrize(
    "header",
    ["b/secret/x", "/b/secret/x", "b/%73ecret/x", "/b/%73ecr%65t/x", "b%2Fsecret%2Fx", "b/secret/x?versionId=1"],
)
def test_a_source_of_a_copy_is_the_same_in_any_spelling(header: str) -> None:
    """A policy that denies `b/secret/*` was passed by another spelling of it."""
    found = values(request({"X-Amz-Copy-Source": header}), "s3:x-amz-copy-source")
    assert found == {"s3:x-amz-copy-source": ("b/secret/x", "/b/secret/x")}


@pytest.mark.parametrize(
    ("operation", "headers", "further"),
    [
        ("PutObject", {}, []),
        ("PutObject", {"X-Amz-Acl": "private"}, ["s3:PutObjectAcl"]),
        ("PutObject", {"X-Amz-Grant-Read": "id=x"}, ["s3:PutObjectAcl"]),
        ("PutObject", {"X-Amz-Grant-Write-Acp": ""}, ["s3:PutObjectAcl"]),
        ("PutObject", {"X-Amz-Tagging": "a=b"}, ["s3:PutObjectTagging"]),
        ("PostObject", {"X-Amz-Tagging": "a=b", "X-Amz-Acl": "x"}, ["s3:PutObjectTagging", "s3:PutObjectAcl"]),
        ("CreateMultipartUpload", {"X-Amz-Tagging": "a=b"}, ["s3:PutObjectTagging"]),
        ("CopyObject", {"X-Amz-Tagging": "a=b"}, []),
        ("CopyObject", {"X-Amz-Tagging": "a=b", "X-Amz-Tagging-Directive": "COPY"}, []),
        ("CopyObject", {"X-Amz-Tagging": "a=b", "X-Amz-Tagging-Directive": "REPLACE"}, ["s3:PutObjectTagging"]),
        ("CopyObject", {"X-Amz-Acl": "private"}, ["s3:PutObjectAcl"]),
    ],
)
def test_headers_of_an_upload_ask_for_further_actions(
    operation: str, headers: dict[str, str], further: list[str]
) -> None:
    assert access.described_actions(request(headers, operation=operation)) == tuple(further)


def test_whether_an_operation_makes_an_object() -> None:
    key = "s3:objectcreationoperation"
    assert values(request(), key) == {key: ("true",)}
    assert values(request(operation="UploadPart"), key) == {key: ("false",)}
    assert values(request(operation="GetObject"), key) == {}


def test_the_account_of_the_bucket() -> None:
    assert values(request(), "s3:resourceaccount", "aws:resourceaccount") == {
        "s3:resourceaccount": ("AUTH_owner",),
        "aws:resourceaccount": ("AUTH_owner",),
    }


def test_each_header_key_and_query_key_has_a_reader() -> None:
    headers = dict.fromkeys(condition_keys._HEADER_KEYS, "x")
    keys = [f"s3:{name.lower()}" for name in condition_keys._HEADER_KEYS]
    assert values(request(headers), *keys) == dict.fromkeys(keys, ("x",))
    listing = {"prefix": "p", "delimiter": "/", "max-keys": "1"}
    assert values(request(query=listing), *condition_keys._QUERY_KEYS) == {
        "s3:prefix": ("p",), "s3:delimiter": ("/",), "s3:max-keys": ("1",),
    }  # fmt: skip
