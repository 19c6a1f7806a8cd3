"""ListObjects and ListObjectsV2 against a model that looks at every key."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import quote, unquote

import pytest
from harness.layouts import ONE_DEVICE
from harness.s3 import NAMESPACE, S3, code_of, error_of
from harness.xml import children, parse

pytestmark = ONE_DEVICE

KEYS = [
    "asdf", "asdf+b", "boo/bar", "boo/baz/xyzzy", "cquux/thud", "cquux/bla", "foo+1/bar", "foo/bar/xyzzy",
    "quux ab/thud",
    "é/1", "é/2", "éa", "\ue000", "\uffee", "\U0001f600/x", "0/", "0/1", "0//2", "z", "z/", "z/z/", "%41", "a%2Fb",
    "~",
]  # fmt: skip


@pytest.fixture(scope="module")
def full(s3: Any) -> Iterator[str]:
    """A bucket with KEYS."""
    name = "test-s3-listing-of-keys"
    s3.create_bucket(Bucket=name)
    for key in KEYS:
        s3.put_object(Bucket=name, Key=key, Body=key.encode())
    yield name
    s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": key} for key in KEYS]})
    s3.delete_bucket(Bucket=name)


def in_order(keys: Sequence[str]) -> list[str]:
    return sorted(keys, key=str.encode)


def model(prefix: str = "", delimiter: str = "", after: str = "") -> list[str]:
    """Keys and common prefixes in their order."""
    found: dict[str, None] = {}
    for key in in_order(KEYS):
        if not key.startswith(prefix) or key.encode() <= after.encode():
            continue
        head, sep, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
        entry = prefix + head + sep if sep else key
        if sep and entry == after:
            continue
        found[entry] = None
    return list(found)


def entries(page: Any) -> list[str]:
    keys = [one["Key"] for one in page.get("Contents", [])]
    prefixes = [one["Prefix"] for one in page.get("CommonPrefixes", [])]
    return in_order(keys + prefixes)


def test_order_is_that_of_bytes(s3: Any, full: str) -> None:
    for call in (s3.list_objects, s3.list_objects_v2):
        assert [one["Key"] for one in call(Bucket=full)["Contents"]] == in_order(KEYS)


@pytest.mark.parametrize("delimiter", ["", "/", "a", "//", "é"])
@pytest.mark.parametrize("prefix", ["", "0/", "boo/", "é", "none", "z"])
def test_prefixes_and_delimiters(s3: Any, full: str, prefix: str, delimiter: str) -> None:
    for call in (s3.list_objects, s3.list_objects_v2):
        page = call(Bucket=full, Prefix=prefix, Delimiter=delimiter)
        assert entries(page) == model(prefix, delimiter)
        assert page["IsTruncated"] is False
        assert page["Prefix"] == prefix
        assert page.get("Delimiter", "") == delimiter


@pytest.mark.parametrize("delimiter", ["", "/"])
@pytest.mark.parametrize("size", [1, 2, 5, 23, 24, 25])
def test_pages_make_up_the_whole_and_know_their_end(s3: Any, full: str, delimiter: str, size: int) -> None:
    expected = model(delimiter=delimiter)
    pages = list(s3.get_paginator("list_objects_v2").paginate(Bucket=full, Delimiter=delimiter, MaxKeys=size))
    assert [entry for page in pages for entry in entries(page)] == expected
    assert len(pages) == -(-len(expected) // size)
    assert all(page["KeyCount"] == len(entries(page)) for page in pages)
    pages = list(
        s3.get_paginator("list_objects").paginate(Bucket=full, Delimiter=delimiter, PaginationConfig={"PageSize": size})
    )
    assert [entry for page in pages for entry in entries(page)] == expected
    assert len(pages) == -(-len(expected) // size)
    for page in pages[:-1]:
        assert page["IsTruncated"] is True
        assert ("NextMarker" in page) == bool(delimiter)


@pytest.mark.parametrize("delimiter", ["", "/"])
@pytest.mark.parametrize("after", ["asdf", "boo/", "boo/bar", "boo/a", "m", "é/1", "\U0010ffff", "0/", "0/1"])
def test_where_to_begin(s3: Any, full: str, after: str, delimiter: str) -> None:
    expected = model(delimiter=delimiter, after=after)
    page = s3.list_objects(Bucket=full, Marker=after, Delimiter=delimiter)
    assert (entries(page), page["Marker"]) == (expected, after)
    page = s3.list_objects_v2(Bucket=full, StartAfter=after, Delimiter=delimiter)
    assert (entries(page), page["StartAfter"]) == (expected, after)


def test_what_is_told_of_a_key(s3: Any, full: str) -> None:
    head = s3.head_object(Bucket=full, Key="asdf")
    for page in (s3.list_objects(Bucket=full), s3.list_objects_v2(Bucket=full, FetchOwner=True)):
        one = next(one for one in page["Contents"] if one["Key"] == "asdf")
        assert one["ETag"] == head["ETag"]
        assert one["Size"] == 4
        assert one["LastModified"] == head["LastModified"]
        assert one["StorageClass"] == "STANDARD"
        assert one["Owner"]["ID"]
    assert "Owner" not in s3.list_objects_v2(Bucket=full)["Contents"][0]


def test_storage_classes(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="put", StorageClass="STANDARD_IA", ContentType="text/x")
    where = {"Bucket": bucket, "CopySource": f"{bucket}/put"}
    s3.copy_object(Key="copy", StorageClass="ONEZONE_IA", **where)
    s3.copy_object(Key="standard", **where)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts", StorageClass="GLACIER_IR")["UploadId"]
    etag = s3.upload_part(Bucket=bucket, Key="parts", UploadId=upload, PartNumber=1, Body=b"x")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    s3.complete_multipart_upload(Bucket=bucket, Key="parts", UploadId=upload, MultipartUpload=parts)
    expected = {"put": "STANDARD_IA", "copy": "ONEZONE_IA", "standard": "STANDARD", "parts": "GLACIER_IR"}
    for page in (s3.list_objects(Bucket=bucket)["Contents"], s3.list_objects_v2(Bucket=bucket)["Contents"]):
        assert {one["Key"]: one["StorageClass"] for one in page} == expected
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket=bucket, Key="put", StorageClass="REDUCED_REDUNDANCY")
    versions = s3.list_object_versions(Bucket=bucket, Prefix="put")["Versions"]
    assert [one["StorageClass"] for one in versions] == ["REDUCED_REDUNDANCY", "STANDARD_IA"]
    assert s3.list_objects_v2(Bucket=bucket, Prefix="put")["Contents"][0]["StorageClass"] == "REDUCED_REDUNDANCY"


def test_types_that_look_like_storage_classes(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", ContentType="a/b;s3_class=<x>")
    assert s3.list_objects_v2(Bucket=bucket)["Contents"][0]["StorageClass"] == "STANDARD"
    assert s3.head_object(Bucket=bucket, Key="k")["ContentType"] == "a/b;s3_class=<x>"


def test_an_empty_bucket(s3: Any, bucket: str) -> None:
    page = s3.list_objects(Bucket=bucket)
    assert (page["IsTruncated"], page["Marker"], page["Prefix"], page["MaxKeys"]) == (False, "", "", 1000)
    assert not {"Contents", "CommonPrefixes", "NextMarker", "Delimiter"} & page.keys()
    page = s3.list_objects_v2(Bucket=bucket)
    assert (page["IsTruncated"], page["KeyCount"]) == (False, 0)
    assert "NextContinuationToken" not in page


def test_limits_of_a_page(s3: Any, full: str, raw: S3) -> None:
    for call in (s3.list_objects, s3.list_objects_v2):
        page = call(Bucket=full, MaxKeys=0)
        assert (page["MaxKeys"], page["IsTruncated"]) == (0, False)
        assert entries(page) == []
        assert call(Bucket=full, MaxKeys=100_000)["MaxKeys"] == 1000
    for value in ("x", "-1", "1.5", "2147483648", "9" * 5000):
        for form in ("", "&list-type=2"):
            answer = raw.get(f"/{full}?max-keys={value}{form}")
            assert code_of(answer) == (400, "InvalidArgument")
            assert error_of(answer)["ArgumentName"] == "max-keys"
    assert raw.get(f"/{full}?max-keys=").status == 200


def test_tokens(s3: Any, full: str, raw: S3) -> None:
    first = s3.list_objects_v2(Bucket=full, MaxKeys=3)
    token = first["NextContinuationToken"]
    second = s3.list_objects_v2(Bucket=full, MaxKeys=3, ContinuationToken=token, StartAfter="zzz")
    assert second["ContinuationToken"] == token
    assert entries(second) == model()[3:6]
    for wrong in ("", token[:-1], token[1:], "x", "AAAA", "\u00e9", token + "="):
        answer = raw.get(f"/{full}?list-type=2&continuation-token={quote(wrong)}")
        assert code_of(answer) == (400, "InvalidArgument")
        assert error_of(answer)["ArgumentName"] == "continuation-token"


def test_what_was_sent_is_said_back_also_where_it_is_empty(s3: Any, bucket: str) -> None:
    said = s3.list_objects_v2(Bucket=bucket, StartAfter="", Prefix="")
    assert (said["StartAfter"], said["Prefix"]) == ("", "")
    assert not {"StartAfter", "ContinuationToken"} & s3.list_objects_v2(Bucket=bucket).keys()


@pytest.mark.parametrize("form", ["", "list-type=2&"])
def test_names_by_url_encoding(raw: S3, full: str, form: str) -> None:
    answer = raw.get(f"/{full}?{form}encoding-type=url&delimiter=%2F&prefix=%C3%A9")
    root = parse(answer.body)
    assert root.findtext(f"{NAMESPACE}EncodingType") == "url"
    assert unquote(root.findtext(f"{NAMESPACE}Prefix") or "") == "é"
    assert [child["Prefix"] for child in children(root, "CommonPrefixes")] == ["%C3%A9/"]
    keys = [child["Key"] for child in children(root, "Contents")]
    assert keys == ["%C3%A9a"]
    root = parse(raw.get(f"/{full}?{form}encoding-type=url").body)
    keys = [child["Key"] for child in children(root, "Contents")]
    assert [unquote(key) for key in keys] == in_order(KEYS)
    assert "asdf%2Bb" in keys
    assert "quux%20ab/thud" in keys
    wrong = raw.get(f"/{full}?{form}encoding-type=base64")
    assert code_of(wrong) == (400, "InvalidArgument")


def test_names_that_xml_cannot_say(s3: Any, raw: S3, bucket: str) -> None:
    for key in ("a\x01b", "tab\there", "new\nline", "\r", "<&>\"'"):
        s3.put_object(Bucket=bucket, Key=key)
    assert entries(s3.list_objects_v2(Bucket=bucket)) == in_order(["a\x01b", "tab\there", "new\nline", "\r", "<&>\"'"])
    body = raw.get(f"/{bucket}?list-type=2").body
    assert b"<Key>a&#x1;b</Key>" in body
    assert b"<Key>&#xd;</Key>" in body
    assert b"<Key>&lt;&amp;&gt;" in body


def test_a_key_is_listed_as_soon_as_it_is_there(s3: Any, bucket: str) -> None:
    for number in range(20):
        key = f"k{number:02d}"
        s3.put_object(Bucket=bucket, Key=key, Body=b"x" * number)
        page = s3.list_objects_v2(Bucket=bucket, Prefix=key)
        assert [(one["Key"], one["Size"]) for one in page["Contents"]] == [(key, number)]
        if number % 2:
            s3.delete_object(Bucket=bucket, Key=key)
            assert s3.list_objects_v2(Bucket=bucket, Prefix=key)["KeyCount"] == 0


def test_what_is_not_a_listing(raw: S3, full: str) -> None:
    assert code_of(raw.get("/no-such-bucket-here")) == (404, "NoSuchBucket")
    assert code_of(raw.get("/no-such-bucket-here?list-type=2")) == (404, "NoSuchBucket")
    assert code_of(raw.get(f"/{full}?list-type=3")) == (400, "InvalidArgument")


def test_a_thousand_and_one_keys(s3: Any, new_bucket: Callable[[], str]) -> None:
    bucket = new_bucket()
    keys = [f"d{number % 11}/{number:05d}" for number in range(1001)]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key)
    page = s3.list_objects_v2(Bucket=bucket)
    assert (page["KeyCount"], page["IsTruncated"]) == (1000, True)
    rest = s3.list_objects_v2(Bucket=bucket, ContinuationToken=page["NextContinuationToken"])
    assert entries(page) + entries(rest) == in_order(keys)
    assert entries(s3.list_objects_v2(Bucket=bucket, Delimiter="/")) == in_order([f"d{n}/" for n in range(11)])
    deleted = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys[:1000]]})
    assert len(deleted["Deleted"]) == 1000
    assert entries(s3.list_objects_v2(Bucket=bucket)) == keys[1000:]
