"""Lines of server access logs: the fields of S3's format in their order, and how text is kept from breaking them."""

from __future__ import annotations

import re

import pytest

from objstore.s3.bucket_logs import record
from objstore.s3.bucket_logs.record import LogRecord, line, operation_name, source_operation_name
from objstore.s3.operations import OPERATIONS
from objstore.s3.request.signature import signing

FULL = LogRecord(
    owner="AUTH_test",
    bucket="photos",
    seconds=1549411238.9,
    remote="192.0.2.3",
    requester="arn:aws:iam::AUTH_test:user/ann",
    request_id="tx1",
    operation="REST.GET.OBJECT",
    key="cats/tom.jpg",
    method="GET",
    target="/photos/cats/tom.jpg?versionId=v1",
    protocol="HTTP/1.1",
    status=206,
    error="",
    sent=10,
    size=4096,
    total=7,
    turnaround=3,
    referrer="http://example.com/",
    user_agent="curl/8.0",
    version_id="v1",
    signature=signing.V4,
    cipher="TLS_AES_256_GCM_SHA384",
    authentication=signing.BY_HEADER,
    host="photos.example.com",
    tls="TLSv1.3",
    by_acl=True,
    region="us-east-1",
)
FIELD = re.compile(r'\[[^]]*\]|"[^"]*"|[^ ]+')


def fields(entry: LogRecord) -> list[str]:
    return FIELD.findall(line(entry))


def test_all_fields_stand_in_the_order_of_s3() -> None:
    assert fields(FULL) == [
        "AUTH_test", "photos", "[06/Feb/2019:00:00:38 +0000]", "192.0.2.3", "arn:aws:iam::AUTH_test:user/ann", "tx1",
        "REST.GET.OBJECT", "cats/tom.jpg", '"GET /photos/cats/tom.jpg?versionId=v1 HTTP/1.1"', "206", "-", "10", "4096",
        "7", "3", '"http://example.com/"', '"curl/8.0"', "v1", "tx1", "SigV4", "TLS_AES_256_GCM_SHA384", "AuthHeader",
        "photos.example.com", "TLSv1.3", "-", "Yes", "us-east-1",
    ]  # fmt: skip


def test_an_empty_field_is_a_dash() -> None:
    bare = LogRecord(
        "", "", 0, "", "", "", "REST.GET.BUCKET", "", "GET", "/b", "HTTP/1.1", 403, "AccessDenied", 0, -1, -1, -1, "",
        "", "", "", "", "", "", "", False, "",
    )  # fmt: skip
    assert line(bare) == (
        '- - [01/Jan/1970:00:00:00 +0000] - - - REST.GET.BUCKET - "GET /b HTTP/1.1" 403 AccessDenied - - - - "-" "-"'
        " - - - - - - - - - -"
    )


@pytest.mark.parametrize(
    ("change", "index", "field"),
    [
        ({"sent": 0}, 11, "-"),
        ({"size": 0}, 12, "0"),
        ({"total": 0}, 13, "0"),
        ({"key": "a b\n\u00e9\udcff"}, 7, "a%20b%0A%C3%A9%FF"),
        ({"user_agent": 'a "b"\r\nc\u00e9'}, 16, '"a %22b%22%0D%0Ac%C3%A9"'),
        ({"referrer": "x\x00"}, 15, '"x%00"'),
        ({"host": "a b"}, 22, "a%20b"),
        ({"version_id": 'x "y'}, 17, "x%20%22y"),
        ({"signature": signing.V2}, 19, "SigV2"),
        ({"authentication": signing.BY_URL}, 21, "QueryString"),
        ({"authentication": signing.BY_FORM}, 21, "-"),
        ({"by_acl": False}, 25, "-"),
        (
            {"target": "/b/k?X-Amz-Expires=9&X-Amz-Signature=abc&x=1"},
            8,
            '"GET /b/k?X-Amz-Expires=9&X-Amz-Signature=-&x=1 HTTP/1.1"',
        ),
        ({"target": "/b/k?Signature=a%3D&Expires=1"}, 8, '"GET /b/k?Signature=-&Expires=1 HTTP/1.1"'),
    ],
)
def test_a_field(change: dict[str, object], index: int, field: str) -> None:
    made = fields(FULL._replace(**change))  # type: ignore[arg-type]
    assert made[index] == field and len(made) == 27


@pytest.mark.parametrize(
    ("operation", "method", "level", "name"),
    [
        ("GetObject", "GET", "object", "REST.GET.OBJECT"),
        ("PostObject", "POST", "bucket", "REST.POST.OBJECT"),
        ("CopyObject", "PUT", "object", "REST.COPY.OBJECT"),
        ("UploadPartCopy", "PUT", "object", "REST.COPY.PART"),
        ("ListObjectsV2", "GET", "bucket", "REST.GET.BUCKET"),
        ("GetBucketLogging", "GET", "bucket", "REST.GET.LOGGING_STATUS"),
        ("DeleteObjects", "POST", "bucket", "REST.POST.MULTI_OBJECT_DELETE"),
        ("OptionsObject", "OPTIONS", "object", "REST.OPTIONS.PREFLIGHT"),
        ("", "GET", "object", "REST.GET.OBJECT"),
        ("", "GET", "bucket", "REST.GET.BUCKET"),
    ],
)
def test_the_name_of_an_operation(operation: str, method: str, level: str, name: str) -> None:
    assert operation_name(operation, method, level) == name


def test_the_source_of_a_copy_has_a_name_of_its_own() -> None:
    assert [source_operation_name(copy) for copy in sorted(record.COPIES)] == [
        "REST.COPY.OBJECT_GET",
        "REST.COPY.PART_GET",
    ]


def test_every_operation_with_a_subresource_has_a_resource() -> None:
    plain = ("REST.GET.OBJECT", "REST.GET.BUCKET")
    lists = ("ListObjectsV2", "RenameObject")  # whose parameters do not name a resource
    for operation in OPERATIONS:
        if operation.subresource and operation.name not in lists:
            assert operation_name(operation.name, "GET", operation.level) not in plain, operation.name
