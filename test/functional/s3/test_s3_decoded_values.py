"""Values that are good until they are decoded: none may reach what is stored, or the head of an answer."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote

import pytest
from harness.client import Answer
from harness.layouts import ONE_DEVICE
from harness.s3 import S3, code_of

pytestmark = ONE_DEVICE

CONTROLS = ["\r", "\n", "\0", "\r\nSet-Cookie: a=b", "\x01", "\x7f", "\x1b[0m"]
BOUNDARY = "b0undary"


def word(text: str) -> str:
    return f"=?UTF-8?B?{base64.b64encode(text.encode()).decode()}?="


def refused(answer: Answer) -> bool:
    # Not parsed: S3 sends the controls of a value by number, and XML 1.0 has no such characters.
    return answer.status == 400 and b"<Code>InvalidArgument</Code>" in answer.body


def post_form(raw: S3, bucket: str, fields: dict[str, str]) -> Answer:
    """A form without a policy: the bucket is writable for everyone."""
    parts = [*fields.items(), ("file", "content")]
    body = "".join(
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in parts
    )
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    return raw.send("POST", f"/{bucket}", headers, f"{body}--{BOUNDARY}--\r\n".encode())


@pytest.fixture
def open_bucket(s3: Any, bucket: str) -> str:
    s3.delete_bucket_ownership_controls(Bucket=bucket)
    s3.put_bucket_acl(Bucket=bucket, ACL="public-read-write")
    return bucket


@pytest.mark.parametrize("control", CONTROLS)
def test_an_encoded_word_with_controls_is_refused_in_metadata(raw: S3, bucket: str, control: str) -> None:
    """It was stored, and the object answered 500 for good; with nodes over HTTP the PUT never ended."""
    bad = {"x-amz-meta-a": word(f"a{control}b")}
    assert refused(raw.put(f"/{bucket}/k", b"x", bad))
    assert raw.get(f"/{bucket}/k").status == 404
    assert raw.put(f"/{bucket}/k", b"x", {"x-amz-meta-a": word("grün")}).status == 200
    replace = {"x-amz-copy-source": f"/{bucket}/k", "x-amz-metadata-directive": "REPLACE", **bad}
    assert refused(raw.put(f"/{bucket}/copy", b"", replace))
    assert refused(raw.request("POST", f"/{bucket}/k?uploads", bad))
    assert raw.get(f"/{bucket}/k").get("x-amz-meta-a") == word("grün")


@pytest.mark.parametrize("control", CONTROLS)
def test_a_presigned_query_with_controls_is_refused(raw: S3, bucket: str, control: str) -> None:
    for name in ("x-amz-meta-a", "x-amz-website-redirect-location", "x-amz-meta-a b", "x-amz-meta-a:b", "x-amz-meta-ü"):
        value = quote(f"/a{control}b" if name.endswith(("-a", "-location")) else "v", safe="")
        target = raw.signer.presign("PUT", f"/{bucket}/k?{quote(name)}={value}", raw.host)
        assert refused(raw.send("PUT", target, {}, b"x")), name
    assert raw.get(f"/{bucket}/k").status == 404


@pytest.mark.parametrize("control", CONTROLS)
def test_a_field_with_controls_is_refused(raw: S3, open_bucket: str, control: str) -> None:
    for name in ("x-amz-meta-a", "content-type", "content-disposition", "x-amz-website-redirect-location"):
        answer = post_form(raw, open_bucket, {"key": "k", name: f"/a{control}b"})
        assert answer.status == 400, name
    assert post_form(raw, open_bucket, {"key": "k", "x-amz-meta-a": word(f"a{control}b")}).status == 400
    assert raw.get(f"/{open_bucket}/k").status == 404


@pytest.mark.parametrize("name", ["x-amz-meta-a b", "x-amz-meta-a:b", "x-amz-meta-ü", "x-amz-meta-(a)", "x-amz-元"])
@pytest.mark.parametrize("value", ["v", ""])
def test_a_field_whose_name_is_no_header_name_is_refused(raw: S3, open_bucket: str, name: str, value: str) -> None:
    assert refused(post_form(raw, open_bucket, {"key": "k", name: value}))


def test_fields_that_are_no_headers_may_have_any_name(raw: S3, open_bucket: str) -> None:
    assert post_form(raw, open_bucket, {"key": "k", "元 any\tthing": "a\r\nb"}).status == 204
    assert raw.get(f"/{open_bucket}/k").body == b"content"


@pytest.mark.parametrize("control", CONTROLS)
def test_controls_in_what_overrides_an_answers_headers_are_refused(raw: S3, bucket: str, control: str) -> None:
    assert raw.put(f"/{bucket}/k", b"x").status == 200
    for name in ("response-content-disposition", "response-content-type", "response-expires"):
        assert refused(raw.get(f"/{bucket}/k?{name}=a{quote(control)}b"))


def test_controls_in_a_cors_document_reach_no_answer(raw: S3, bucket: str) -> None:
    rule = "<AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod>"
    for element in ("ExposeHeader", "AllowedHeader"):
        for value in ("x-a&#13;&#10;Set-Cookie: b", "a b", "ü"):
            document = f"<CORSRule>{rule}<{element}>{value}</{element}></CORSRule>"
            answer = raw.put(f"/{bucket}?cors", f"<CORSConfiguration>{document}</CORSConfiguration>".encode())
            assert code_of(answer) == (400, "InvalidRequest")


@pytest.mark.parametrize("charset", ["utf-7", "unicode_escape", "idna", "utf-16", "hex", "punycode"])
def test_words_of_odd_charsets_are_kept_as_they_are(raw: S3, bucket: str, charset: str) -> None:
    text = f"=?{charset}?Q?+2AA-a=5Cx0d?="
    assert raw.put(f"/{bucket}/k", b"x", {"x-amz-meta-a": text}).status == 200
    assert raw.get(f"/{bucket}/k").get("x-amz-meta-a") == text
