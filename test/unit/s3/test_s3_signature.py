"""Signatures of both versions: AWS's published examples, and botocore's signers as an oracle."""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any
from unittest import mock
from urllib.parse import quote, urlsplit

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.access.identity import Credential, Identity
from objstore.s3.language.errors import S3Error
from objstore.s3.operations import OPERATIONS
from objstore.s3.request import incoming
from objstore.s3.request.addressing import locate
from objstore.s3.request.incoming import Incoming
from objstore.s3.request.signature import Checker, Proof, SignatureRules, Signing
from objstore.s3.request.signature.keys import EMPTY_SHA256, Seed, derive
from objstore.s3.request.signature.times import Window
from objstore.s3.request.signature.v2 import RESOURCE_PARAMETERS, YOUNG_PARAMETERS
from objstore.s3.router import Router

KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
DOMAINS = ("s3.amazonaws.com",)
NOW_2013 = 1369353600.0  # 24 May 2013, 00:00 UTC, the day of AWS's examples
WINDOW = Window(skew=900, life=604800)
OWNER = Credential(Identity("a:b", ("a:b", "a"), ("AUTH_a",), account="AUTH_a"), SECRET)


class Keys:
    def find(self, access_key: str) -> Credential | None:
        return OWNER if access_key == KEY else None

    def has_account(self, account: str) -> bool:
        return account == OWNER.identity.account


def checker(now: float = NOW_2013, region: str = "us-east-1", accepted: str = "", **rules: Any) -> Checker:
    return Checker(Keys(), SignatureRules((region, *accepted.split()), **{"window": WINDOW, **rules}), lambda: now)


def sent(method: str, target: str, headers: Mapping[str, str]) -> Incoming:
    lines = list(headers.items())
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method, "objstore.raw_target": target, "objstore.headers": lines,
        **{"HTTP_" + name.upper().replace("-", "_"): value for name, value in lines},
        "CONTENT_TYPE": "", "CONTENT_LENGTH": "",
    }  # fmt: skip
    return incoming.read(environ)


def check(one: Incoming, **options: Any) -> Proof:
    address = locate(one.path, one.headers.get("Host", ""), DOMAINS)
    return checker(**options).check(one, address.bucket if address.by_host else "")


def failure(one: Incoming, **options: Any) -> S3Error:
    with pytest.raises(S3Error) as raised:
        check(one, **options)
    return raised.value


def v4(signature: str, signed: str, method: str, target: str, headers: Mapping[str, str]) -> Incoming:
    authorization = (
        f"AWS4-HMAC-SHA256 Credential={KEY}/20130524/us-east-1/s3/aws4_request,"
        f"SignedHeaders={signed},Signature={signature}"
    )
    return sent(method, target, {"Host": "examplebucket.s3.amazonaws.com", **headers, "Authorization": authorization})


ISO = "20130524T000000Z"
GET_OBJECT = v4(
    "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    "host;range;x-amz-content-sha256;x-amz-date",
    "GET",
    "/test.txt",
    {"Range": "bytes=0-9", "x-amz-content-sha256": EMPTY_SHA256, "x-amz-date": ISO},
)
EXAMPLES = {
    "get object": GET_OBJECT,
    "put object": v4(
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
        "PUT",
        "/test%24file.text",
        {
            "Date": "Fri, 24 May 2013 00:00:00 GMT",
            "x-amz-date": ISO,
            "x-amz-storage-class": "REDUCED_REDUNDANCY",
            "x-amz-content-sha256": "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
        },
    ),
    "sub-resource": v4(
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        "host;x-amz-content-sha256;x-amz-date",
        "GET",
        "/?lifecycle",
        {"x-amz-date": ISO, "x-amz-content-sha256": EMPTY_SHA256},
    ),
    "listing": v4(
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        "host;x-amz-content-sha256;x-amz-date",
        "GET",
        "/?max-keys=2&prefix=J",
        {"x-amz-date": ISO, "x-amz-content-sha256": EMPTY_SHA256},
    ),
    "presigned": sent(
        "GET",
        "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3"
        "%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature="
        "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
        {"Host": "examplebucket.s3.amazonaws.com"},
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_aws_examples_of_version_4(name: str) -> None:
    assert check(EXAMPLES[name]).credential is OWNER


NOW_2007 = 1175024202.0  # Tue, 27 Mar 2007 19:36:42
V2_EXAMPLES = {
    "get object": ("GET", "/photos/puppy.jpg", {"Date": "Tue, 27 Mar 2007 19:36:42 +0000"},
                   "bWq2s1WEIj+Ydj0vQ697zp+IXMU="),
    "put object": ("PUT", "/photos/puppy.jpg", {"Date": "Tue, 27 Mar 2007 21:15:45 +0000",
                   "Content-Type": "image/jpeg", "Content-Length": "94328"}, "MyyxeRY7whkBe+bq8fHCL/2kKUg="),
    "listing": ("GET", "/?prefix=photos&max-keys=50&marker=puppy", {"Date": "Tue, 27 Mar 2007 19:42:41 +0000"},
                "htDYFYduRNen8P9ZfE/s9SuKy0U="),
    "sub-resource": ("GET", "/?acl", {"Date": "Tue, 27 Mar 2007 19:44:46 +0000"}, "c2WLPFtWHVgbEmeEG93a4cG37dM="),
}  # fmt: skip


@pytest.mark.parametrize("name", V2_EXAMPLES)
def test_aws_examples_of_version_2(name: str) -> None:
    method, target, headers, signature = V2_EXAMPLES[name]
    one = sent(
        method, target, {"Host": "johnsmith.s3.amazonaws.com", **headers, "Authorization": f"AWS {KEY}:{signature}"}
    )
    date = datetime.datetime.strptime(headers["Date"], "%a, %d %b %Y %H:%M:%S %z").timestamp()
    assert check(one, now=date).credential is OWNER
    assert failure(one, now=date + 1000).code == "RequestTimeTooSkewed"


def test_aws_example_of_a_url_of_version_2() -> None:
    one = sent(
        "GET",
        f"/photos/puppy.jpg?AWSAccessKeyId={KEY}&Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D&Expires=1175139620",
        {"Host": "johnsmith.s3.amazonaws.com"},
    )
    assert check(one, now=NOW_2007).credential is OWNER
    late = failure(one, now=1175139621.0)
    assert (late.code, late.message) == ("AccessDenied", "Request has expired")
    far = failure(one, now=1175139620.0 - (1 << 32) - 1)
    assert (far.code, far.message) == ("AccessDenied", "Invalid date (should be seconds since epoch): 1175139620")


def test_aws_example_of_signed_chunks() -> None:
    key = derive(SECRET, "20130524", "us-east-1")
    start = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
    seed = Seed(key, ISO, "20130524/us-east-1/s3/aws4_request", start)
    for data, signature in (
        (b"a" * 65536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
        (b"a" * 1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
        (b"", "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
    ):
        seed.check_chunk(hashlib.sha256(data).hexdigest(), signature)
    with pytest.raises(S3Error, match="signature we calculated"):
        seed.check_chunk(EMPTY_SHA256, "0" * 64)


def test_a_wrong_signature_of_a_chunk_shows_the_request_that_it_belongs_to() -> None:
    seed = Seed(derive(SECRET, "20130524", "us-east-1"), ISO, "scope", "0" * 64, KEY, "canonical")
    with pytest.raises(S3Error) as raised:
        seed.check_chunk(EMPTY_SHA256, "invalid")
    extra = raised.value.extra
    assert (extra["AWSAccessKeyId"], extra["SignatureProvided"]) == (KEY, "invalid")
    assert extra["StringToSign"].startswith(f"AWS4-HMAC-SHA256-PAYLOAD\n{ISO}\nscope\n")
    assert (extra["CanonicalRequest"], extra["CanonicalRequestBytes"]) == ("canonical", b"canonical".hex(" "))


def test_aws_example_of_a_signed_trailer() -> None:
    key = derive(SECRET, "20130524", "us-east-1")
    start = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"
    seed = Seed(key, ISO, "20130524/us-east-1/s3/aws4_request", start)
    for data, signature in (
        (b"a" * 65536, "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2"),
        (b"a" * 1024, "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7"),
        (b"", "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992"),
    ):
        seed.check_chunk(hashlib.sha256(data).hexdigest(), signature)
    seed.check_trailer(
        b"x-amz-checksum-crc32c:sOO8/Q==\n", "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435"
    )


# botocore as an oracle

_KEYS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1, max_size=30)
_VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)
_HEADERS = st.dictionaries(
    st.sampled_from(["x-amz-meta-a", "x-amz-acl", "content-type", "range", "x-amz-meta-b-c"]),
    st.lists(_VALUES, min_size=1, max_size=3).map("  ".join),
    max_size=4,
)
_QUERY = st.dictionaries(
    st.sampled_from(["prefix", "acl", "uploads", "marker", "versionId", "list-type", "response-content-type"]),
    st.text(st.characters(blacklist_categories=["Cs"]), max_size=12),
    max_size=4,
)
_METHODS = st.sampled_from(["GET", "PUT", "DELETE", "HEAD", "POST"])
_NOW = datetime.datetime(2024, 5, 6, 7, 8, 9, tzinfo=datetime.timezone.utc)  # noqa: UP017


def aws_request(
    method: str, key: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes = b""
) -> AWSRequest:
    text = "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in query.items())
    url = "http://127.0.0.1:8080/bucket/" + quote(key, safe="/~") + (f"?{text}" if text else "")
    made = AWSRequest(method, url, dict(headers), body)
    made.context["timestamp"] = "20240506T070809Z"
    made.context["signing"] = {"region": "us-east-1"}
    return made


def sign(signer: Any, request: AWSRequest) -> Incoming:
    with mock.patch("botocore.auth.get_current_datetime", lambda *_, **__: _NOW.replace(tzinfo=None)):
        signer.add_auth(request)
    parts = urlsplit(request.url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    return sent(request.method, target, {"Host": parts.netloc, **dict(request.headers.items())})


CREDENTIALS = Credentials(KEY, SECRET)


@settings(max_examples=60, deadline=None)
@given(_METHODS, _KEYS, _QUERY, _HEADERS)
def test_what_botocore_signs_by_version_4_is_right(
    method: str, key: str, query: dict[str, str], headers: dict[str, str]
) -> None:
    signer = botocore.auth.S3SigV4Auth(CREDENTIALS, "s3", "us-east-1")
    one = sign(signer, aws_request(method, key, query, headers, b"body" if method in ("PUT", "POST") else b""))
    assert check(one, now=_NOW.timestamp()).credential is OWNER


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["GET", "PUT"]), _KEYS, _QUERY, _HEADERS)
def test_urls_of_botocore_by_version_4_are_right(
    method: str, key: str, query: dict[str, str], headers: dict[str, str]
) -> None:
    signer = botocore.auth.S3SigV4QueryAuth(CREDENTIALS, "s3", "us-east-1", expires=60)
    one = sign(signer, aws_request(method, key, query, headers))
    assert check(one, now=_NOW.timestamp()).credential is OWNER
    late = failure(one, now=_NOW.timestamp() + 61)
    assert (late.code, late.message) == ("AccessDenied", "Request has expired")


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["GET", "PUT", "DELETE"]), _KEYS, _QUERY, _HEADERS)
def test_what_botocore_signs_by_version_2_is_right(
    method: str, key: str, query: dict[str, str], headers: dict[str, str]
) -> None:
    one = sign(botocore.auth.HmacV1Auth(CREDENTIALS), aws_request(method, key, query, headers))
    date = datetime.datetime.strptime(one.headers["Date"], "%a, %d %b %Y %H:%M:%S %Z").replace(tzinfo=datetime.UTC)
    assert check(one, now=date.timestamp()).credential is OWNER


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["GET", "PUT"]), _KEYS, _QUERY, _HEADERS)
def test_urls_of_botocore_by_version_2_are_right(
    method: str, key: str, query: dict[str, str], headers: dict[str, str]
) -> None:
    one = sign(botocore.auth.HmacV1QueryAuth(CREDENTIALS, expires=60), aws_request(method, key, query, headers))
    assert check(one, now=float(one.query["Expires"])).credential is OWNER


# What is refused, and how

AUTHORIZATION = GET_OBJECT.headers["Authorization"]


def changed(**headers: str | None) -> Incoming:
    """The example of a GET with other headers; names with underscores for hyphens, None to leave one out."""
    made = dict(GET_OBJECT.headers)
    for name, value in headers.items():
        made[name.replace("_", "-").title()] = value  # type: ignore[assignment]
    return GET_OBJECT._replace(headers={name: value for name, value in made.items() if value is not None})


def test_a_wrong_signature_is_told_byte_by_byte() -> None:
    error = failure(changed(Range="bytes=0-8"))
    assert (error.status, error.code) == (403, "SignatureDoesNotMatch")
    assert error.extra["AWSAccessKeyId"] == KEY
    assert error.extra["CanonicalRequest"].startswith("GET\n/test.txt\n\nhost:examplebucket")
    assert error.extra["StringToSign"].startswith("AWS4-HMAC-SHA256\n20130524T000000Z\n20130524/us-east-1/s3/")
    assert error.extra["StringToSignBytes"].startswith("41 57 53 34")
    assert error.extra["SignatureProvided"] in AUTHORIZATION


@pytest.mark.parametrize(
    ("old", "new", "code", "message"),
    [
        ("AWS4-HMAC-SHA256 ", "Basic ", "InvalidArgument", "Unsupported Authorization Type"),
        (KEY, "nobody", "InvalidAccessKeyId", "does not exist in our records"),
        (
            "us-east-1",
            "eu-west-1",
            "AuthorizationHeaderMalformed",
            "region 'eu-west-1' is wrong; expecting 'us-east-1'",
        ),
        ("/s3/", "/ec2/", "AuthorizationHeaderMalformed", 'incorrect service "ec2"'),
        ("aws4_request", "aws5_request", "AuthorizationHeaderMalformed", 'incorrect terminal "aws5_request"'),
        ("20130524/us", "20130525/us", "AuthorizationHeaderMalformed", "Invalid credential date"),
        ("/20130524/us-east-1/s3", "", "AuthorizationHeaderMalformed", "the Credential is mal-formed"),
        ("SignedHeaders", "Signed", "AuthorizationHeaderMalformed", "missing SignedHeaders"),
        ("Signature=", "Sig=", "AuthorizationHeaderMalformed", "missing Signature"),
        ("host;", "", "AccessDenied", "headers present in the request which were not signed"),
    ],
)
def test_a_claim_that_is_wrong_is_named(old: str, new: str, code: str, message: str) -> None:
    error = failure(changed(Authorization=AUTHORIZATION.replace(old, new, 1)))
    assert error.code == code
    assert message in error.message


def test_the_parts_of_a_claim_come_in_any_order_and_spacing() -> None:
    head, *parts = AUTHORIZATION.replace("AWS4-HMAC-SHA256 ", "AWS4-HMAC-SHA256,").split(",")
    for joined in (", ".join(parts[::-1]), ",".join([parts[1], parts[2], parts[0]]), " , ".join(parts)):
        assert check(changed(Authorization=f"{head} {joined}")).credential is OWNER


def test_a_wrong_region_is_told_in_an_element() -> None:
    assert failure(GET_OBJECT, region="eu-central-1").extra == {"Region": "eu-central-1"}


@pytest.mark.parametrize("name", ["x-amz-copy-source", "x-amz-meta-a", "X-Amz-Acl"])
def test_a_header_that_matters_must_be_signed(name: str) -> None:
    error = failure(changed(**{name: "/other/secret"}))
    assert error.code == "AccessDenied"
    assert error.extra["HeadersNotSigned"] == name.lower()


def test_a_request_without_a_date_is_refused() -> None:
    error = failure(changed(x_amz_date=None))
    assert (error.code, error.message) == (
        "AccessDenied", "AWS authentication requires a valid Date or x-amz-date header",
    )  # fmt: skip
    assert failure(changed(x_amz_date="yesterday")).code == "AccessDenied"
    assert failure(changed(x_amz_date="20130532T000000Z")).code == "AccessDenied"


@pytest.mark.parametrize("seconds", [-901, 901])
def test_a_clock_that_is_off_is_told(seconds: int) -> None:
    error = failure(GET_OBJECT, now=NOW_2013 + seconds)
    assert (error.status, error.code) == (403, "RequestTimeTooSkewed")
    assert error.extra["RequestTime"] == ISO
    assert error.extra["MaxAllowedSkewMilliseconds"] == "900000"


def test_the_hash_of_the_body_must_be_told() -> None:
    error = failure(changed(x_amz_content_sha256=None))
    assert (error.code, error.message) == (
        "InvalidRequest", "Missing required header for this request: x-amz-content-sha256",
    )  # fmt: skip


def test_a_token_of_temporary_keys_is_refused() -> None:
    assert failure(changed(x_amz_security_token="abc")).code == "InvalidToken"


def test_two_signatures_are_one_too_many() -> None:
    both = EXAMPLES["presigned"]._replace(headers=GET_OBJECT.headers)
    error = failure(both)
    assert error.code == "InvalidArgument"
    assert error.message.startswith("Only one auth mechanism allowed")


def presigned(**query: str | None) -> Incoming:
    one = EXAMPLES["presigned"]
    asked = {**one.query, **{name.replace("_", "-"): value for name, value in query.items()}}
    kept = {name: value for name, value in asked.items() if value is not None}
    pairs = [(name, quote(value, safe="-_.~")) for name, value in kept.items()]
    return one._replace(query=kept, pairs=pairs)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"X_Amz_Expires": "604801"}, "X-Amz-Expires must be less than a week"),
        ({"X_Amz_Expires": "-1"}, "X-Amz-Expires must be non-negative"),
        ({"X_Amz_Expires": "soon"}, "X-Amz-Expires should be a number"),
        ({"X_Amz_Expires": str((1 << 63) - 1)}, "X-Amz-Expires must be less than"),
        ({"X_Amz_Expires": str(1 << 63)}, "X-Amz-Expires should be a number"),
        ({"X_Amz_Expires": "9" * 5000}, "X-Amz-Expires should be a number"),
        ({"X_Amz_Expires": None}, "requires the X-Amz-Algorithm"),
        ({"X_Amz_Signature": None}, "requires the X-Amz-Algorithm"),
        ({"X_Amz_SignedHeaders": None}, "requires the X-Amz-Algorithm"),
        ({"X_Amz_Date": None}, "requires the X-Amz-Algorithm"),
        ({"X_Amz_Date": "Fri"}, "X-Amz-Date must be in the ISO8601 Long Format"),
        ({"X_Amz_Algorithm": "AWS4-HMAC-SHA1"}, "X-Amz-Algorithm only supports"),
        ({"X_Amz_Credential": KEY}, "the Credential is mal-formed"),
        ({"X_Amz_Credential": f"{KEY}/20130524/eu-west-1/s3/aws4_request"}, "the region 'eu-west-1' is wrong"),
        ({"X_Amz_Credential": f"{KEY}/20130524/us-east-1/sqs/aws4_request"}, 'incorrect service "sqs"'),
    ],
)
def test_parameters_of_a_url_that_are_wrong_are_named(query: dict[str, str | None], message: str) -> None:
    error = failure(presigned(**query))
    assert (error.status, error.code) == (400, "AuthorizationQueryParametersError")
    assert message in error.message


def test_a_url_changed_by_another_is_refused() -> None:
    assert failure(presigned(versionId="1")).code == "SignatureDoesNotMatch"
    assert failure(presigned(X_Amz_Expires="604800")).code == "SignatureDoesNotMatch"
    one = EXAMPLES["presigned"]
    assert failure(one._replace(method="PUT")).code == "SignatureDoesNotMatch"
    error = failure(one._replace(headers={**one.headers, "X-Amz-Copy-Source": "/a/b"}))
    assert (error.code, error.extra) == ("AccessDenied", {"HeadersNotSigned": "x-amz-copy-source"})


def test_a_url_of_the_future_is_not_valid_yet() -> None:
    assert failure(EXAMPLES["presigned"], now=NOW_2013 - 1000).message == "Request is not yet valid"


def test_headers_in_the_query_of_a_url_count_as_headers() -> None:
    request = aws_request("PUT", "key", {"x-amz-acl": "public-read", "x-amz-meta-a": "1"}, {})
    one = sign(botocore.auth.S3SigV4QueryAuth(CREDENTIALS, "s3", "us-east-1", expires=60), request)
    assert check(one, now=_NOW.timestamp()).headers == {"X-Amz-Acl": "public-read", "X-Amz-Meta-A": "1"}


def test_an_unsigned_request_is_anonymous() -> None:
    one = sent("GET", "/bucket/key", {"Host": "127.0.0.1"})
    assert check(one) == Proof(None, "")


@pytest.mark.parametrize("authorization", [f"AWS {KEY}", "AWS :x", f"AWS {KEY}:"])
def test_a_malformed_header_of_version_2_is_refused(authorization: str) -> None:
    one = sent("GET", "/bucket/key", {"Host": "h", "Date": "x", "Authorization": authorization})
    assert failure(one).code == "InvalidArgument"


def test_a_sub_resource_added_to_a_url_of_version_2_is_refused() -> None:
    signer = botocore.auth.HmacV1QueryAuth(CREDENTIALS, expires=60)
    one = sign(signer, aws_request("PUT", "key", {}, {}))
    now = float(one.query["Expires"])
    for name in ("acl", "retention", "legal-hold", "attributes", "tagging"):
        error = failure(one._replace(pairs=[*one.pairs, (name, "")], query={**one.query, name: ""}), now=now)
        assert error.code == "SignatureDoesNotMatch"


# A URL of version 2, and what others could make of it without the key: each is read in another way than it is signed
# unless names and values are decoded before both.
ADDED_TO_A_URL_OF_VERSION_2 = (
    "acl", "%61cl", "ac%6C", "%70olicy", "%76ersions", "publicAccessBlock", "%74agging=", "delete", "uploads",
    "x-amz-acl=public-read", "X-Amz-%41cl=public-read", "x-amz-copy-source=/other/secret", "content-type=text/html",
    "partNumber=1&uploadId=x", "%75ploadId=x&p%61rtNumber=1", "response-content-type=text/html", "versionId=1",
)  # fmt: skip


def url_of_version_2(target: str = "/bka/k1", method: str = "PUT", end: int = 1369357200, signed: str = "") -> str:
    """A presigned URL that ends an hour after NOW_2013. signed: the resource and headers, if not those of target."""
    text = f"{method}\n\n\n{end}\n{signed or target}"
    signature = base64.b64encode(hmac.digest(SECRET.encode(), text.encode(), "sha1")).decode()
    return f"{target}{'&' if '?' in target else '?'}AWSAccessKeyId={KEY}&Expires={end}&Signature={quote(signature)}"


@pytest.mark.parametrize("added", ADDED_TO_A_URL_OF_VERSION_2)
def test_what_is_added_to_a_url_of_version_2_is_not_signed(added: str) -> None:
    url = url_of_version_2()
    assert check(sent("PUT", url, {"Host": "h"})).credential is OWNER
    assert failure(sent("PUT", f"{url}&{added}", {"Host": "h"})).code == "SignatureDoesNotMatch"
    assert failure(sent("PUT", url.replace("?", f"?{added}&"), {"Host": "h"})).code == "SignatureDoesNotMatch"


def spelt(name: str, mask: int) -> str:
    """A name with some of its letters percent-encoded."""
    return "".join(f"%{ord(one):02x}" if mask >> place & 1 else one for place, one in enumerate(name))


_ROUTER = Router(OPERATIONS)
_ADDED_NAMES = st.sampled_from(
    [*sorted(_ROUTER._all_names - {"list-type"}), "versionId", "partNumber", "response-expires", "x-amz-acl",
     "X-Amz-Copy-Source", "x-amz-tagging", "Content-Type", "content-md5", "prefix", "x-id"]
)  # fmt: skip
_ADDED = st.lists(
    st.tuples(_ADDED_NAMES, st.integers(0, 1 << 20), st.sampled_from(["", "=", "=1", "=%26acl"])), max_size=3
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["GET", "PUT", "POST", "DELETE"]), _ADDED, st.booleans())
def test_what_is_added_to_a_url_of_version_2_never_makes_another_operation(
    method: str, added: list[tuple[str, int, str]], before: bool
) -> None:
    url = url_of_version_2(method=method)
    more = "&".join(spelt(name, mask) + value for name, mask, value in added)
    one = sent(method, url.replace("?", f"?{more}&") if before else f"{url}&{more}", {"Host": "h"})
    try:
        proof = check(one)
    except S3Error as refused:
        assert refused.code in ("SignatureDoesNotMatch", "InvalidArgument")
        return
    assert proof.headers == {}
    assert not set(one.query) & (RESOURCE_PARAMETERS | YOUNG_PARAMETERS)
    assert _ROUTER._selected(method, "object", one.query) == ""


@pytest.mark.parametrize("spelling", ["acl", "acl=", "%61cl", "a%63l="])
def test_a_signed_sub_resource_may_be_spelt_in_any_way(spelling: str) -> None:
    url = url_of_version_2(f"/bka/k1?{spelling}", signed="/bka/k1?acl")
    one = sent("PUT", url, {"Host": "h"})
    assert check(one).credential is OWNER
    assert "acl" in one.query  # by which it is routed


def test_version_2_signs_every_name_that_chooses_an_operation() -> None:
    names = Router(OPERATIONS)._all_names
    assert names - RESOURCE_PARAMETERS - YOUNG_PARAMETERS == {"list-type"}


def test_a_value_that_reads_like_a_further_parameter_is_refused() -> None:
    """Both URLs have one signed text, but the second reads the current version."""
    signed = "/bka/k1?response-content-type=text/html&versionId=7"
    honest = url_of_version_2(signed, "GET")
    assert check(sent("GET", honest, {"Host": "h"})).credential is OWNER
    other = honest.replace("text/html&versionId=7", "text%2Fhtml%26versionId%3D7")
    assert failure(sent("GET", other, {"Host": "h"})).code == "InvalidArgument"
    name = "/bka/k1?response-content-disposition=attachment; filename=a&b"
    mere = url_of_version_2(name.replace(" ", "%20").replace("&", "%26"), "GET", signed=name)
    assert check(sent("GET", mere, {"Host": "h"})).credential is OWNER


@pytest.mark.parametrize("value", ["b%0Ax-amz-acl%3Aprivate", "b%0D", "b%00"])
def test_a_header_in_a_query_has_no_line_ends(value: str) -> None:
    """Signed were two headers; the query makes one of them, so that the ACL is left out."""
    end = 1369357200
    url = url_of_version_2(signed="x-amz-acl:private\nx-amz-meta-a:b\n/bka/k1", end=end)
    assert check(sent("PUT", f"{url}&x-amz-acl=private&x-amz-meta-a=b", {"Host": "h"})).credential is OWNER
    assert failure(sent("PUT", f"{url}&x-amz-meta-a={value}", {"Host": "h"})).code == "InvalidArgument"


def test_a_url_of_version_2_lives_no_longer_than_the_settings_let_it() -> None:
    url = sent("PUT", url_of_version_2(), {"Host": "h"})
    assert check(url, window=WINDOW._replace(old_life=3600)).credential is OWNER
    for life in (3599, 0):
        error = failure(url, window=WINDOW._replace(old_life=life))
        assert (error.status, error.code) == (403, "AccessDenied")


def test_version_2_can_be_switched_off() -> None:
    method, target, headers, signature = V2_EXAMPLES["get object"]
    by_header = sent(
        method, target, {"Host": "johnsmith.s3.amazonaws.com", **headers, "Authorization": f"AWS {KEY}:{signature}"}
    )
    for one in (by_header, sent("PUT", url_of_version_2(), {"Host": "h"})):
        assert failure(one, now=NOW_2007, old=False).code == "InvalidRequest"
    with pytest.raises(S3Error, match="not supported"):
        checker(old=False).form_by_v2(KEY, "x", "policy")
    assert check(GET_OBJECT, old=False).credential is OWNER


@pytest.mark.parametrize("accepted", ["eu-west-1 us-east-1", "any"])
def test_claims_may_name_regions_that_are_accepted_besides_ours(accepted: str) -> None:
    assert check(GET_OBJECT, region="eu-central-1", accepted=accepted).credential is OWNER
    assert check(EXAMPLES["presigned"], region="eu-central-1", accepted=accepted).credential is OWNER
    error = failure(GET_OBJECT, region="eu-central-1", accepted="eu-west-1")
    assert (error.code, error.extra) == ("AuthorizationHeaderMalformed", {"Region": "eu-central-1"})


@pytest.mark.parametrize("names", ["host;x-\u20ac", "host;\xe4", "host; range", "host;a\tb"])
def test_signed_headers_that_no_header_can_be_are_refused(names: str) -> None:
    error = failure(changed(Authorization=re.sub("SignedHeaders=[^,]*", f"SignedHeaders={names}", AUTHORIZATION)))
    assert (error.status, error.code) == (400, "AuthorizationHeaderMalformed")
    error = failure(presigned(X_Amz_SignedHeaders=names))
    assert (error.status, error.code) == (400, "AuthorizationQueryParametersError")


@pytest.mark.parametrize("name", ["x-amz-meta-\u20ac", "x-amz-meta-a b", "x-amz-meta-a:b", "x-amz-meta-\n"])
def test_a_parameter_that_no_header_can_be_is_refused_in_a_url(name: str) -> None:
    request = aws_request("PUT", "key", {name: "1"}, {})
    one = sign(botocore.auth.S3SigV4QueryAuth(CREDENTIALS, "s3", "us-east-1", expires=60), request)
    assert failure(one, now=_NOW.timestamp()).code == "InvalidArgument"


def test_headers_that_the_gatekeeper_holds_back_are_part_of_what_is_signed() -> None:
    headers = {"x-timestamp": "1", "x-backend-storage-policy-index": "1", "x-object-sysmeta-a": "b"}
    one = sign(botocore.auth.S3SigV4Auth(CREDENTIALS, "s3", "us-east-1"), aws_request("GET", "key", {}, headers))
    lines = [(name, value) for name, value in one.headers.items()]
    environ = {"REQUEST_METHOD": "GET", "objstore.raw_target": one.path, "objstore.headers": lines}
    assert check(incoming.read(environ), now=_NOW.timestamp()).credential is OWNER


def test_the_host_that_routes_a_request_is_the_one_that_is_signed() -> None:
    """A target with a host of its own (`GET http://other.s3.../`) goes before the header."""
    environ = {"REQUEST_METHOD": "GET", "objstore.raw_target": "/", "HTTP_HOST": "other.s3.test",
               "objstore.headers": [("Host", "mine.s3.test")]}  # fmt: skip
    assert incoming.read(environ).headers == {"Host": "other.s3.test"}


@pytest.mark.parametrize(
    ("one", "now", "expected"),
    [
        (GET_OBJECT, NOW_2013, Signing("AWS4-HMAC-SHA256", "REST-HEADER", EMPTY_SHA256, NOW_2013)),
        (EXAMPLES["presigned"], NOW_2013,
         Signing("AWS4-HMAC-SHA256", "REST-QUERY-STRING", "UNSIGNED-PAYLOAD", NOW_2013)),
        (sent("PUT", url_of_version_2(), {"Host": "h"}), NOW_2013, Signing("AWS", "REST-QUERY-STRING")),
    ],
)  # fmt: skip
def test_how_a_request_is_signed_is_reported(one: Incoming, now: float, expected: Signing) -> None:
    assert check(one, now=now).signing == expected


def test_an_unsigned_header_does_not_say_what_the_payload_of_a_url_is() -> None:
    """Anyone could add it; a policy on `s3:x-amz-content-sha256` must see what is signed."""
    presigned_url = EXAMPLES["presigned"]
    one = presigned_url._replace(headers={**presigned_url.headers, "X-Amz-Content-Sha256": EMPTY_SHA256})
    signing = check(one).signing
    assert signing is not None
    assert signing.payload == "UNSIGNED-PAYLOAD"


def test_headers_keep_their_underscores_and_repeats_their_order() -> None:
    environ = {
        "REQUEST_METHOD": "GET", "objstore.raw_target": "/", "HTTP_X_AMZ_META_A_B": "1,2,3",
        "objstore.headers": [("x-amz-meta-a_b", "1"), ("X-Amz-Meta-A-B", "2"), ("x-amz-meta-a_b", "3"),
                             ("X-Backend-Secret", "1")],
    }  # fmt: skip
    assert incoming.read(environ).headers == {
        "X-Amz-Meta-A_B": "1,3", "X-Amz-Meta-A-B": "2", "X-Backend-Secret": "1",
    }  # fmt: skip
