"""Objects by S3: put, get, head, delete; metadata, ranges, conditions, tags, attributes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import zlib
from email.utils import formatdate
from typing import Any
from urllib.parse import quote

import pytest
from botocore.exceptions import ClientError
from harness.client import Client
from harness.s3 import S3, code_of, error_of

BODY = b"0123456789" * 10


def error(call: Any, **arguments: Any) -> tuple[int, str]:
    """Status and code of the error that a call ends with."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    response = caught.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


def headers_of(response: Any) -> dict[str, str]:
    return response["ResponseMetadata"]["HTTPHeaders"]


# Keys


@pytest.mark.parametrize(
    "key",
    ["a//b", "a/../b", "./c", "/lead", "é/\U0001f600", "a+b c%2F", "~!@$&*()=:,;?", "tail/", ".", "..", "x" * 1024],
)
def test_keys_are_kept_as_sent(s3: Any, bucket: str, key: str) -> None:
    s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()
    assert [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [key]
    s3.delete_object(Bucket=bucket, Key=key)
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.mark.parametrize("query", ["partNumber=1", "partNumber=1&uploadId", "versionId=null", "versionId="])
def test_what_was_meant_as_a_part_or_a_version_replaces_no_object(raw: S3, s3: Any, bucket: str, query: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    for headers in ({}, {"x-amz-copy-source": f"/{bucket}/k"}):
        assert raw.put(f"/{bucket}/k?{query}", b"", headers).status in (400, 404)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"old"


def test_longer_keys_are_refused(s3: Any, bucket: str) -> None:
    assert error(s3.put_object, Bucket=bucket, Key="x" * 1025) == (400, "KeyTooLongError")
    assert error(s3.put_object, Bucket=bucket, Key="é" * 513) == (400, "KeyTooLongError")


def test_missing_keys_and_buckets(s3: Any, bucket: str) -> None:
    assert error(s3.get_object, Bucket=bucket, Key="none") == (404, "NoSuchKey")
    assert error(s3.head_object, Bucket=bucket, Key="none") == (404, "404")
    assert error(s3.get_object, Bucket="no-such-bucket-here", Key="none") == (404, "NoSuchBucket")
    assert error(s3.put_object, Bucket="no-such-bucket-here", Key="none") == (404, "NoSuchBucket")
    assert error(s3.delete_object, Bucket="no-such-bucket-here", Key="none") == (404, "NoSuchBucket")
    s3.delete_object(Bucket=bucket, Key="none")


# What is kept


def test_what_is_put_is_what_is_got(s3: Any, bucket: str) -> None:
    described = {
        "ContentType": "text/plain; charset=utf-8",
        "CacheControl": "no-cache",
        "ContentDisposition": 'attachment; filename="x"',
        "ContentEncoding": "gzip",
        "ContentLanguage": "de",
        "WebsiteRedirectLocation": "/elsewhere",
        "StorageClass": "STANDARD_IA",
    }
    put = s3.put_object(Bucket=bucket, Key="k", Body=BODY, Expires="Wed, 21 Oct 2026 07:28:00 GMT", **described)
    assert put["ETag"] == f'"{hashlib.md5(BODY).hexdigest()}"'
    for call in (s3.get_object, s3.head_object):
        got = call(Bucket=bucket, Key="k")
        assert {name: got[name] for name in described} == described
        assert headers_of(got)["expires"] == "Wed, 21 Oct 2026 07:28:00 GMT"
        assert got["ContentLength"] == 100
        assert got["ETag"] == put["ETag"]
        assert got["AcceptRanges"] == "bytes"
        assert "x-amz-version-id" not in headers_of(got)


def test_an_upload_that_says_nothing_is_bytes_of_the_standard_class(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="page.html", Body=b"")
    got = s3.head_object(Bucket=bucket, Key="page.html")
    assert got["ContentType"] == "binary/octet-stream"
    assert "x-amz-storage-class" not in headers_of(got)
    assert got["ContentLength"] == 0


def test_unknown_storage_classes_and_bad_redirects_are_refused(s3: Any, bucket: str) -> None:
    assert error(s3.put_object, Bucket=bucket, Key="k", StorageClass="FAST") == (400, "InvalidStorageClass")
    assert error(s3.put_object, Bucket=bucket, Key="k", StorageClass="GLACIER") == (400, "InvalidStorageClass")
    location = {"WebsiteRedirectLocation": "elsewhere"}
    assert error(s3.put_object, Bucket=bucket, Key="k", **location) == (400, "InvalidRedirectLocation")


def test_encryption_and_locks_are_not_silently_left_out(s3: Any, bucket: str, raw: S3) -> None:
    for header, value, expected in (
        ("x-amz-server-side-encryption", "aws:kms", (501, "NotImplemented")),
        ("x-amz-server-side-encryption", "rot13", (400, "InvalidArgument")),
        ("x-amz-server-side-encryption-customer-algorithm", "AES256", (501, "NotImplemented")),
        ("x-amz-object-lock-mode", "GOVERNANCE", (400, "InvalidArgument")),  # until when?
        ("x-amz-write-offset-bytes", "0", (501, "NotImplemented")),
    ):
        assert code_of(raw.put(f"/{bucket}/k", b"x", {header: value})) == expected
    assert error(s3.head_object, Bucket=bucket, Key="k") == (404, "404")
    assert code_of(raw.get(f"/{bucket}/k?retention")) == (400, "InvalidRequest")
    assert code_of(raw.get(f"/{bucket}/k?legal-hold")) == (400, "InvalidRequest")
    for method, target in (
        ("POST", "select&select-type=2"),
        ("GET", "torrent"),
    ):
        assert code_of(raw.request(method, f"/{bucket}/k?{target}")) == (501, "NotImplemented")


def test_user_metadata_keeps_names_and_empty_values(s3: Any, bucket: str) -> None:
    metadata = {
        "plain": "x",
        "under_score": "a b",
        "dash-ed": "1",
        "per%cent": "2",
        "empty": "",
        "dotted.name": "y" * 500,
    }
    s3.put_object(Bucket=bucket, Key="k", Metadata=metadata)
    assert s3.head_object(Bucket=bucket, Key="k")["Metadata"] == metadata
    s3.put_object(Bucket=bucket, Key="k", Metadata={"other": "1"})
    assert s3.head_object(Bucket=bucket, Key="k")["Metadata"] == {"other": "1"}


def test_empty_user_metadata_is_the_same_through_both_languages(s3: Any, bucket: str, owner: Client) -> None:
    s3.put_object(Bucket=bucket, Key="s3", Metadata={"empty": ""})
    assert owner.head(f"{bucket}/s3")["X-Object-Meta-Empty"] == ""
    owner.put(f"{bucket}/swift", b"x", {"X-Object-Meta-Empty": ""})
    assert s3.head_object(Bucket=bucket, Key="swift")["Metadata"] == {"empty": ""}
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/s3")
    assert s3.head_object(Bucket=bucket, Key="copy")["Metadata"] == {"empty": ""}
    s3.put_object_tagging(Bucket=bucket, Key="s3", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    assert s3.head_object(Bucket=bucket, Key="s3")["Metadata"] == {"empty": ""}


def test_the_last_bytes_of_an_empty_object(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket=bucket, Key="k", Range="bytes=-5")
    assert caught.value.response["Error"]["Code"] == "InvalidRange"


@pytest.mark.parametrize(
    "sent",
    ["grün", "=?UTF-8?B?Z3LDvG4=?=", "=?utf-8?q?gr=C3=BCn?=", "=?iso-8859-1?q?gr=FCn?="],
)
def test_text_that_is_not_ascii_comes_back_as_an_encoded_word(raw: S3, bucket: str, sent: str) -> None:
    assert raw.put(f"/{bucket}/k", b"", {"x-amz-meta-name": sent}).status == 200
    assert raw.request("HEAD", f"/{bucket}/k")["x-amz-meta-name"] == "=?UTF-8?B?Z3LDvG4=?="


def test_a_broken_encoded_word_is_kept_as_it_is(raw: S3, bucket: str) -> None:
    for sent in ("=?nocharset?B?Z3LDvG4=?=", "=?UTF-8?B?!?=", "=?utf-8"):
        assert raw.put(f"/{bucket}/k", b"", {"x-amz-meta-name": sent}).status == 200
        assert raw.request("HEAD", f"/{bucket}/k")["x-amz-meta-name"] == sent


def test_two_kilobytes_of_user_metadata_and_no_more(s3: Any, bucket: str, raw: S3) -> None:
    s3.put_object(Bucket=bucket, Key="k", Metadata={"ab": "v" * 2046})
    assert len(s3.head_object(Bucket=bucket, Key="k")["Metadata"]["ab"]) == 2046
    answer = raw.put(f"/{bucket}/k", b"", {"x-amz-meta-abc": "v" * 2046})
    assert code_of(answer) == (400, "MetadataTooLarge")
    assert error_of(answer)["Size"] == "2049"
    assert error_of(answer)["MaxSizeAllowed"] == "2048"
    many = {f"k{number:03d}": "v" for number in range(150)}
    s3.put_object(Bucket=bucket, Key="k", Metadata=many)
    assert s3.head_object(Bucket=bucket, Key="k")["Metadata"] == many


# Bodies


@pytest.mark.parametrize("size", [0, 3, 3_000_000])
@pytest.mark.parametrize("payload", ["UNSIGNED-PAYLOAD", "right", "0" * 64])
def test_a_body_in_http_chunks_needs_no_length(raw: S3, bucket: str, size: int, payload: str) -> None:
    data = bytes(size)
    upload = re.search(rb"<UploadId>(.*)</UploadId>", raw.request("POST", f"/{bucket}/parts?uploads").body)
    assert upload is not None
    for target in (f"/{bucket}/k", f"/{bucket}/parts?partNumber=1&uploadId={upload[1].decode()}"):
        sha256 = hashlib.sha256(data).hexdigest() if payload == "right" else payload
        signed = raw.signer.headers("PUT", target, {"Host": raw.host}, sha256)
        answer = raw.send("PUT", target, signed, iter([data[:1000], data[1000:]] if size else []))
        if payload == "0" * 64:
            assert code_of(answer) == (400, "XAmzContentSHA256Mismatch")
        else:
            assert (answer.status, answer["ETag"]) == (200, f'"{hashlib.md5(data).hexdigest()}"')
            assert answer.get("x-amz-checksum-crc64nvme")
    stored = raw.get(f"/{bucket}/k", {"x-amz-checksum-mode": "ENABLED"})
    if payload == "0" * 64:
        assert stored.status == 404
    else:
        assert (stored.status, stored.body, stored["Content-Length"]) == (200, data, str(size))
        assert stored["x-amz-checksum-crc64nvme"]


@pytest.mark.parametrize("key", ["%FF", "a%FFb", "%C3%28", "%ED%A0%80"])
def test_keys_that_are_not_utf8_are_refused(raw: S3, bucket: str, key: str) -> None:
    target = f"/{bucket}/{key}"
    for method in ("PUT", "GET", "DELETE"):
        assert raw.send(method, target, {}, b"x" if method == "PUT" else b"").status == 400, method
    source = {"x-amz-copy-source": f"/{bucket}/%FF"}
    assert raw.put(f"/{bucket}/copy", b"", source).status == 400


def by_v2(raw: S3, method: str, target: str) -> dict[str, str]:
    date = formatdate(usegmt=True)
    text = f"{method}\n\n\n{date}\n{target}"
    digest = hmac.digest(raw.signer.secret_key.encode(), text.encode(), "sha1")
    return {"Date": date, "Authorization": f"AWS {raw.signer.access_key}:{base64.b64encode(digest).decode()}"}


def test_a_plus_in_the_path_is_a_space_to_clients_of_version_2(raw: S3, s3: Any, bucket: str) -> None:
    target = f"/{bucket}/a+b%2Bc"
    assert raw.send("PUT", target, by_v2(raw, "PUT", target), b"2").status == 200
    assert raw.put(target, b"4").status == 200
    keys = {one["Key"]: one for one in s3.list_objects_v2(Bucket=bucket)["Contents"]}
    assert keys.keys() == {"a b+c", "a+b+c"}
    assert raw.send("GET", target, by_v2(raw, "GET", target)).body == b"2"


def test_more_than_five_gigabytes_in_one_put_are_refused_before_they_are_sent(raw: S3, bucket: str) -> None:
    headers = {"Content-Length": str((5 << 30) + 1), "Expect": "100-continue", "Connection": "close"}
    signed = raw.signer.headers("PUT", f"/{bucket}/k", {"Host": raw.host, **headers}, "UNSIGNED-PAYLOAD")
    answer = raw.send("PUT", f"/{bucket}/k", signed)
    assert code_of(answer) == (400, "EntityTooLarge")
    assert error_of(answer)["MaxSizeAllowed"] == str(5 << 30)


@pytest.mark.parametrize("size", [0, 1, 70_000, 3_000_000])
@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
def test_checksums_are_kept_and_told(s3: Any, bucket: str, size: int, algorithm: str) -> None:
    body = bytes(size)
    put = s3.put_object(Bucket=bucket, Key="k", Body=body, ChecksumAlgorithm=algorithm)
    digest = {
        "CRC32": lambda: zlib.crc32(body).to_bytes(4, "big"),
        "SHA1": lambda: hashlib.sha1(body).digest(),
        "SHA256": lambda: hashlib.sha256(body).digest(),
    }[algorithm]()
    name, value = f"Checksum{algorithm}", base64.b64encode(digest).decode()
    assert put[name] == value
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert got["Body"].read() == body
    assert (got[name], got["ChecksumType"]) == (value, "FULL_OBJECT")
    assert name not in s3.head_object(Bucket=bucket, Key="k")


@pytest.mark.parametrize("size", [0, 10, 2_000_000])
def test_what_comes_without_a_checksum_gets_one(raw: S3, bucket: str, size: int) -> None:
    answer = raw.put(f"/{bucket}/k", bytes(size))
    assert answer["x-amz-checksum-type"] == "FULL_OBJECT"
    head = raw.request("HEAD", f"/{bucket}/k", {"x-amz-checksum-mode": "ENABLED"})
    assert head["x-amz-checksum-crc64nvme"] == answer["x-amz-checksum-crc64nvme"]


@pytest.mark.parametrize("size", [10, 2_000_000])
def test_a_body_that_is_not_what_was_declared_is_not_kept(raw: S3, s3: Any, bucket: str, size: int) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    body = bytes(size)
    wrong = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    assert code_of(raw.put(f"/{bucket}/k", body, {"Content-MD5": wrong})) == (400, "BadDigest")
    assert code_of(raw.put(f"/{bucket}/k", body, {"x-amz-checksum-crc32": "AAAAAQ=="})) == (400, "BadDigest")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"old"


# Ranges


@pytest.mark.parametrize(
    ("wanted", "first", "last"),
    [("0-9", 0, 9), ("90-", 90, 99), ("-7", 93, 99), ("95-1000", 95, 99), ("-1000", 0, 99), ("0-0", 0, 0)],
)
def test_ranges(s3: Any, bucket: str, wanted: str, first: int, last: int) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=BODY)
    for call in (s3.get_object, s3.head_object):
        got = call(Bucket=bucket, Key="k", Range=f"bytes={wanted}", ChecksumMode="ENABLED")
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
        assert got["ContentRange"] == f"bytes {first}-{last}/100"
        assert got["ContentLength"] == last - first + 1
        if call == s3.get_object:
            assert got["Body"].read() == BODY[first : last + 1]


@pytest.mark.parametrize("wanted", ["bytes=1-2,5-6", "bytes=5-2", "lines=1-2", "bytes=x", "bytes=1"])
def test_several_ranges_and_what_is_none_get_the_whole(s3: Any, bucket: str, wanted: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=BODY)
    got = s3.get_object(Bucket=bucket, Key="k", Range=wanted)
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert got["Body"].read() == BODY


@pytest.mark.parametrize(("size", "wanted"), [(100, "bytes=100-"), (100, "bytes=-0"), (0, "bytes=0-"), (0, "bytes=-5")])
def test_ranges_that_fit_nowhere(raw: S3, bucket: str, size: int, wanted: str) -> None:
    raw.put(f"/{bucket}/k", bytes(size))
    answer = raw.get(f"/{bucket}/k", {"Range": wanted})
    assert code_of(answer) == (416, "InvalidRange")
    assert error_of(answer)["RangeRequested"] == wanted
    assert error_of(answer)["ActualObjectSize"] == str(size)
    assert answer["Content-Range"] == f"bytes */{size}"
    assert raw.request("HEAD", f"/{bucket}/k", {"Range": wanted}).status == 416


def test_part_numbers_of_an_object_in_one_piece(s3: Any, bucket: str, raw: S3) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=BODY)
    got = s3.get_object(Bucket=bucket, Key="k", PartNumber=1)
    assert got["Body"].read() == BODY
    assert got["ContentRange"] == "bytes 0-99/100"
    assert s3.head_object(Bucket=bucket, Key="k", PartNumber=1)["ContentLength"] == 100
    answer = raw.get(f"/{bucket}/k?partNumber=2")
    assert code_of(answer) == (416, "InvalidPartNumber")
    assert error_of(answer)["ActualPartCount"] == "1"
    for number in ("0", "10001", "-1", "x", "1.5"):
        assert code_of(raw.get(f"/{bucket}/k?partNumber={number}")) == (400, "InvalidArgument")
    assert code_of(raw.get(f"/{bucket}/k?partNumber=1", {"Range": "bytes=0-1"})) == (400, "InvalidRequest")


# Conditions on reading

EARLY, LATE = "Sat, 29 Oct 1994 19:43:31 GMT", "Sat, 29 Oct 2194 19:43:31 GMT"


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({"If-Match": "ETAG"}, 200),
        ({"If-Match": "*"}, 200),
        ({"If-Match": '"x"'}, 412),
        ({"If-None-Match": "ETAG"}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"x"'}, 200),
        ({"If-Modified-Since": EARLY}, 200),
        ({"If-Modified-Since": LATE}, 304),
        ({"If-Unmodified-Since": EARLY}, 412),
        ({"If-Unmodified-Since": LATE}, 200),
        # A tag goes before a date (RFC 9110, 13.2.2).
        ({"If-Match": "ETAG", "If-Unmodified-Since": EARLY}, 200),
        ({"If-None-Match": '"x"', "If-Modified-Since": LATE}, 200),
        ({"If-None-Match": "ETAG", "If-Modified-Since": EARLY}, 304),
        ({"If-Match": "ETAG", "If-Modified-Since": LATE}, 304),
        ({"If-Unmodified-Since": EARLY, "If-None-Match": "ETAG"}, 412),
        ({"If-Modified-Since": "not a date"}, 200),
    ],
)
def test_conditions_on_reading(raw: S3, bucket: str, conditions: dict[str, str], expected: int) -> None:
    etag = raw.put(f"/{bucket}/k", BODY)["ETag"]
    sent = {name: value.replace("ETAG", etag) for name, value in conditions.items()}
    answer = raw.get(f"/{bucket}/k", sent)
    assert answer.status == expected
    assert raw.request("HEAD", f"/{bucket}/k", sent).status == expected
    if expected == 412:
        assert error_of(answer)["Code"] == "PreconditionFailed"
        assert error_of(answer)["Condition"] in sent
    if expected == 304:
        assert answer.body == b""
        assert answer["ETag"] == etag
        assert answer.get("Last-Modified")


def test_tagging_does_not_count_as_a_modification(s3: Any, bucket: str, raw: S3) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=BODY, Metadata={"a": "b"}, ContentType="text/x", CacheControl="no-store")
    before = s3.head_object(Bucket=bucket, Key="k")
    import time

    time.sleep(1.1)
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": [{"Key": "t", "Value": "1"}]})
    after = s3.head_object(Bucket=bucket, Key="k")
    for name in ("LastModified", "Metadata", "ContentType", "CacheControl", "ETag"):
        assert after[name] == before[name]
    unmodified = {"If-Unmodified-Since": headers_of(before)["last-modified"]}
    assert raw.get(f"/{bucket}/k", unmodified).status == 200
    assert s3.list_objects_v2(Bucket=bucket)["Contents"][0]["LastModified"] == before["LastModified"]


def test_overrides_of_headers(s3: Any, bucket: str, raw: S3) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=BODY, ContentType="text/x", ACL="public-read")
    values = {
        "Content-Type": "a/b", "Content-Language": "fr", "Expires": "tomorrow", "Cache-Control": "no-cache",
        "Content-Disposition": 'inline; filename="ü"', "Content-Encoding": "none",
    }  # fmt: skip
    query = "&".join(f"response-{name.lower()}={quote(value)}" for name, value in values.items())
    answer = raw.get(f"/{bucket}/k?{query}")
    assert {name: answer[name] for name in values} == values
    assert code_of(raw.send("GET", f"/{bucket}/k?{query}")) == (400, "InvalidRequest")
    assert raw.send("GET", f"/{bucket}/k").status == 200
    assert code_of(raw.get(f"/{bucket}/k?response-expires=a%0d%0ab:c")) == (400, "InvalidArgument")


# Conditions on writing


def test_conditions_on_writing(s3: Any, bucket: str) -> None:
    first = s3.put_object(Bucket=bucket, Key="k", Body=b"1", IfNoneMatch="*")["ETag"]
    assert error(s3.put_object, Bucket=bucket, Key="k", Body=b"2", IfNoneMatch="*") == (412, "PreconditionFailed")
    assert error(s3.put_object, Bucket=bucket, Key="k", Body=b"2", IfMatch='"x"') == (412, "PreconditionFailed")
    second = s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfMatch=first)["ETag"]
    assert error(s3.put_object, Bucket=bucket, Key="k", Body=b"3", IfMatch=first) == (412, "PreconditionFailed")
    assert error(s3.put_object, Bucket=bucket, Key="none", Body=b"3", IfMatch=first) == (404, "NoSuchKey")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"2"
    assert error(s3.delete_object, Bucket=bucket, Key="k", IfMatch=first) == (412, "PreconditionFailed")
    s3.delete_object(Bucket=bucket, Key="k", IfMatch=second)
    assert error(s3.head_object, Bucket=bucket, Key="k") == (404, "404")


# Tags


def tag_set(**tags: str) -> dict[str, Any]:
    return {"TagSet": [{"Key": key, "Value": value} for key, value in tags.items()]}


def test_tags(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=BODY, Tagging="one=1&two=a%20b%2B&three=")
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == tag_set(one="1", two="a b+", three="")["TagSet"]
    assert s3.get_object(Bucket=bucket, Key="k")["TagCount"] == 3
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging=tag_set(**{"ü/:=+-@ _.": "ß"}))
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "ü/:=+-@ _.", "Value": "ß"}]
    assert s3.head_object(Bucket=bucket, Key="k")["TagCount"] == 1
    s3.delete_object_tagging(Bucket=bucket, Key="k")
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []
    assert "TagCount" not in s3.head_object(Bucket=bucket, Key="k")
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging=tag_set(a="b"))
    s3.put_object(Bucket=bucket, Key="k", Body=BODY)
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ([("k", "v"), ("k", "w")], (400, "InvalidTag")),
        ([("k" * 129, "v")], (400, "InvalidTag")),
        ([("k", "v" * 257)], (400, "InvalidTag")),
        ([("aws:k", "v")], (400, "InvalidTag")),
        ([("k", "v?")], (400, "InvalidTag")),
        ([("k<", "v")], (400, "InvalidTag")),
        ([(f"k{number}", "v") for number in range(11)], (400, "BadRequest")),
    ],
)
def test_tags_that_are_refused(s3: Any, bucket: str, tags: list[tuple[str, str]], expected: tuple[int, str]) -> None:
    s3.put_object(Bucket=bucket, Key="k")
    tagging = {"TagSet": [{"Key": key, "Value": value} for key, value in tags]}
    assert error(s3.put_object_tagging, Bucket=bucket, Key="k", Tagging=tagging) == expected
    header = "&".join(f"{quote(key)}={quote(value)}" for key, value in tags)
    assert error(s3.put_object, Bucket=bucket, Key="k", Tagging=header) == expected
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []


def test_the_longest_tags_fit(s3: Any, bucket: str) -> None:
    tags = {f"{number}" + "k" * 127: "v" * 256 for number in range(10)}
    s3.put_object(Bucket=bucket, Key="k")
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging=tag_set(**tags))
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == tag_set(**tags)["TagSet"]


def test_tagging_documents_that_are_none(raw: S3, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k")
    for document in (
        b"", b"<Tagging>", b"<Tagging/>", b"<Tags><TagSet/></Tags>", b"<Tagging><TagSet/><TagSet/></Tagging>",
        b"<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>",
        b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value><Key>c</Key></Tag></TagSet></Tagging>",
        b'<!DOCTYPE t [<!ENTITY e "x">]><Tagging><TagSet/></Tagging>',
    ):  # fmt: skip
        assert code_of(raw.put(f"/{bucket}/k?tagging", document)) == (400, "MalformedXML")
    assert code_of(raw.get(f"/{bucket}/none?tagging")) == (404, "NoSuchKey")
    assert code_of(raw.request("DELETE", f"/{bucket}/none?tagging")) == (404, "NoSuchKey")
    document = b"<Tagging><TagSet/></Tagging>"
    assert code_of(raw.put(f"/{bucket}/none?tagging", document)) == (404, "NoSuchKey")


# Attributes


def test_attributes(s3: Any, bucket: str, raw: S3) -> None:
    put = s3.put_object(Bucket=bucket, Key="k", Body=BODY, StorageClass="GLACIER_IR", ChecksumAlgorithm="SHA256")
    asked = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]
    got = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=asked)
    assert got["ETag"] == put["ETag"].strip('"')
    assert got["Checksum"] == {"ChecksumSHA256": put["ChecksumSHA256"], "ChecksumType": "FULL_OBJECT"}
    assert got["StorageClass"] == "GLACIER_IR"
    assert got["ObjectSize"] == 100
    assert "ObjectParts" not in got
    assert got["LastModified"] == s3.head_object(Bucket=bucket, Key="k")["LastModified"]
    some = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ObjectSize"])
    assert "ETag" not in some
    assert some["ObjectSize"] == 100
    for value in ("", "Size", "ETag,Size"):
        answer = raw.get(f"/{bucket}/k?attributes", {"x-amz-object-attributes": value})
        assert code_of(answer) == (400, "InvalidArgument")
    answer = raw.get(f"/{bucket}/none?attributes", {"x-amz-object-attributes": "ETag"})
    assert code_of(answer) == (404, "NoSuchKey")


def test_nothing_is_archived_and_so_nothing_is_restored(s3: Any, raw: S3, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=BODY, StorageClass="GLACIER_IR")
    with pytest.raises(ClientError) as caught:
        s3.restore_object(Bucket=bucket, Key="k", RestoreRequest={"Days": 1})
    error = caught.value.response["Error"]
    assert (error["Code"], error["StorageClass"]) == ("InvalidObjectState", "GLACIER_IR")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    request = b"<RestoreRequest><Days>1</Days></RestoreRequest>"
    assert code_of(raw.request("POST", f"/{bucket}/none?restore", {}, request)) == (404, "NoSuchKey")
    assert code_of(raw.request("POST", f"/{bucket}/k?restore", {}, b"<Restore")) == (400, "MalformedXML")
    listed = s3.list_objects_v2(Bucket=bucket, OptionalObjectAttributes=["RestoreStatus"])["Contents"][0]
    assert "RestoreStatus" not in listed
