"""From requests to operations."""

from __future__ import annotations

from typing import Any

import pytest

from objstore.s3.language.errors import S3Error
from objstore.s3.operation import Operation
from objstore.s3.router import Router


def nothing(*_: Any) -> Any:
    raise AssertionError


def operation(name: str, method: str, level: Any, subresource: str = "", header: str = "") -> Operation:
    return Operation(name, method, level, nothing, "", subresource, header)


ROUTER = Router(
    [
        operation("GetObject", "GET", "object"),
        operation("GetObjectAcl", "GET", "object", "acl"),
        operation("HeadObject", "HEAD", "object"),
        operation("PutObject", "PUT", "object"),
        operation("CopyObject", "PUT", "object", header="X-Amz-Copy-Source"),
        operation("UploadPart", "PUT", "object", "uploadId"),
        operation("ListObjects", "GET", "bucket"),
        operation("ListObjectsV2", "GET", "bucket", "list-type"),
        operation("HeadBucket", "HEAD", "bucket"),
        operation("ListBuckets", "GET", "service"),
    ]
)


@pytest.mark.parametrize(
    ("method", "level", "query", "name"),
    [
        ("GET", "object", {}, "GetObject"),
        ("GET", "object", {"x-id": "GetObject", "versionId": "1", "partNumber": "2"}, "GetObject"),
        ("GET", "object", {"acl": "", "versionId": "1"}, "GetObjectAcl"),
        ("PUT", "object", {"uploadId": "1", "partNumber": "2"}, "UploadPart"),
        ("GET", "bucket", {"prefix": "acl"}, "ListObjects"),
        ("GET", "bucket", {"list-type": "2"}, "ListObjectsV2"),
        ("HEAD", "bucket", {"location": ""}, "HeadBucket"),
        ("HEAD", "object", {"acl": ""}, "HeadObject"),
        ("GET", "service", {"x-id": "ListBuckets"}, "ListBuckets"),
    ],
)
def test_a_request_finds_its_operation(method: str, level: Any, query: dict[str, str], name: str) -> None:
    assert ROUTER.route(method, level, query, {}).name == name


def test_a_header_chooses_between_operations() -> None:
    assert ROUTER.route("PUT", "object", {}, {}).name == "PutObject"
    assert ROUTER.route("PUT", "object", {}, {"X-Amz-Copy-Source": "/a/b"}).name == "CopyObject"


@pytest.mark.parametrize(
    ("method", "level", "query", "code"),
    [
        ("GET", "bucket", {"lifecycle": ""}, "NotImplemented"),
        ("PUT", "object", {"acl": ""}, "NotImplemented"),
        ("DELETE", "object", {"acl": ""}, "MethodNotAllowed"),
        ("PATCH", "object", {}, "MethodNotAllowed"),
        ("PUT", "service", {}, "MethodNotAllowed"),
        ("GET", "bucket", {"acl": "", "policy": ""}, "InvalidArgument"),
        ("PUT", "object", {"policy": ""}, "InvalidRequest"),
        ("GET", "bucket", {"uploadId": "1"}, "InvalidRequest"),
    ],
)
def test_a_request_that_nothing_answers_is_told_why(method: str, level: Any, query: dict[str, str], code: str) -> None:
    with pytest.raises(S3Error) as raised:
        ROUTER.route(method, level, query, {})
    assert raised.value.code == code


def test_what_is_allowed_is_told() -> None:
    with pytest.raises(S3Error) as raised:
        ROUTER.route("PATCH", "object", {}, {})
    assert raised.value.headers == {"Allow": "GET, HEAD, PUT"}


def test_two_operations_for_one_request_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="answer the same request"):
        Router([operation("A", "GET", "object"), operation("B", "GET", "object")])
