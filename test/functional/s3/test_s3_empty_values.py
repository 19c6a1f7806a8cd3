"""Requests with empty values: refused, or answered as what they are, and never as if the value were not there."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
from harness.client import Answer, Client
from harness.layouts import ONE_DEVICE
from harness.s3 import S3

pytestmark = ONE_DEVICE


@pytest.fixture(params=["plain", "with versions"])
def filled(request: pytest.FixtureRequest, s3: Any, raw: S3, bucket: str) -> str:
    """A bucket with the object `k`, which holds `content`."""
    if request.param == "with versions":
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    assert raw.put(f"/{bucket}/k", b"content").status == 200
    return bucket


def unchanged(raw: S3, bucket: str) -> bool:
    return raw.get(f"/{bucket}/k").body == b"content"


@pytest.mark.parametrize("query", ["versionId=", "versionId", "uploadId=", "partNumber=1", "partNumber=&uploadId="])
def test_no_empty_parameter_makes_a_change_that_was_not_asked_for(raw: S3, filled: str, query: str) -> None:
    """`DELETE ?versionId=` deleted the current object."""
    for method, body in (("DELETE", b""), ("PUT", b"other"), ("POST", b"<CompleteMultipartUpload/>")):
        if (method, query) != ("DELETE", "partNumber=1"):  # it says nothing of a deletion, and S3 passes it over
            assert raw.request(method, f"/{filled}/k?{query}", body=body).status >= 400, method
    assert unchanged(raw, filled)


@pytest.mark.parametrize("header", ["If-Match", "If-None-Match"])
def test_an_empty_condition_is_not_no_condition(raw: S3, filled: str, header: str) -> None:
    for method in ("DELETE", "PUT"):
        assert raw.request(method, f"/{filled}/k", {header: ""}, b"other" if method == "PUT" else b"").status == 400
    copy = {"x-amz-copy-source": f"/{filled}/k", f"x-amz-copy-source-{header}": ""}
    assert raw.put(f"/{filled}/copy", b"", copy).status == 400
    assert raw.get(f"/{filled}/k", {header: ""}).status == (412 if header == "If-Match" else 200)
    assert unchanged(raw, filled)


def test_an_empty_version_in_a_deletion_of_many_is_a_version_that_is_not_there(raw: S3, filled: str) -> None:
    document = b"<Delete><Object><Key>k</Key><VersionId></VersionId></Object></Delete>"
    md5 = base64.b64encode(hashlib.md5(document).digest()).decode()
    answer = raw.request("POST", f"/{filled}?delete", {"Content-MD5": md5}, document)
    assert (answer.status, b"<Code>NoSuchVersion</Code>" in answer.body) == (200, True)
    assert unchanged(raw, filled)


@pytest.mark.parametrize(
    "query",
    [
        "versions&key-marker=k&version-id-marker=", "list-type=2&continuation-token=", "list-type=",
    ],
)  # fmt: skip
def test_empty_parameters_of_listings_are_refused(raw: S3, filled: str, query: str) -> None:
    assert raw.get(f"/{filled}?{query}").status == 400


def test_empty_markers_and_prefixes_of_listings_mean_the_beginning(raw: S3, filled: str) -> None:
    queries = ("prefix=&marker=&delimiter=&max-keys=", "list-type=2&start-after=&prefix=&encoding-type=")
    for query in (*queries, "versions&key-marker="):
        answer = raw.get(f"/{filled}?{query}")
        assert (answer.status, b"<Key>k</Key>" in answer.body) == (200, True), query


def test_an_empty_range_of_a_copied_part_is_refused(raw: S3, s3: Any, filled: str) -> None:
    upload = s3.create_multipart_upload(Bucket=filled, Key="m")["UploadId"]
    headers = {"x-amz-copy-source": f"/{filled}/k", "x-amz-copy-source-range": ""}
    assert raw.put(f"/{filled}/m?partNumber=1&uploadId={upload}", b"", headers).status == 400
    s3.abort_multipart_upload(Bucket=filled, Key="m", UploadId=upload)


def empty_put(owner: Client, container: str, header: str) -> Answer:
    return owner.put(f"{container}/o", b"", {header: ""})


def test_swift_takes_no_empty_value_for_an_absent_one(owner: Client, container: str) -> None:
    assert owner.put(f"{container}/o", b"content").status == 201
    for header, status in (
        ("X-Delete-At", 400), ("X-Delete-After", 400), ("X-Copy-From", 412), ("If-Match", 412), ("If-None-Match", 400),
    ):  # fmt: skip
        assert empty_put(owner, container, header).status == status, header
    assert owner.post(f"{container}/o", {"X-Delete-At": ""}).status == 400
    assert owner.copy(f"{container}/o", "").status == 412
    assert owner.delete(f"{container}/o", {"If-Match": ""}).status == 412
    assert owner.get(f"{container}/o").body == b"content"
    assert owner.names(container, limit="", marker="", prefix="", delimiter="") == ["o"]
