"""Versions from outside: writing, reading, listing and deleting them, alone and by many at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

import pytest
from botocore.exceptions import ClientError
from harness.s3 import NAMESPACE

WRITERS = 16


@pytest.fixture
def versioned(s3: Any, bucket: str) -> str:
    """A bucket with versioning enabled."""
    enable(s3, bucket)
    return bucket


def enable(s3: Any, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})


def suspend(s3: Any, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})


def put(s3: Any, bucket: str, key: str, body: bytes, **options: Any) -> str:
    return str(s3.put_object(Bucket=bucket, Key=key, Body=body, **options).get("VersionId"))


def body(s3: Any, bucket: str, key: str, **options: Any) -> bytes:
    data: bytes = s3.get_object(Bucket=bucket, Key=key, **options)["Body"].read()
    return data


def listed(s3: Any, bucket: str, **options: Any) -> list[dict[str, Any]]:
    """All versions and delete markers as boto3 has them: versions first."""
    found = []
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, **options):
        found += [{**one, "Marker": False} for one in page.get("Versions", [])]
        found += [{**one, "Marker": True} for one in page.get("DeleteMarkers", [])]
    return found


def ids(s3: Any, bucket: str, **options: Any) -> list[tuple[str, str, bool]]:
    """Key, version id and whether it is the latest, of versions that are no markers."""
    return [
        (one["Key"], one["VersionId"], one["IsLatest"]) for one in listed(s3, bucket, **options) if not one["Marker"]
    ]


def refusal(call: Callable[[], Any]) -> tuple[int, str, dict[str, str]]:
    with pytest.raises(ClientError) as caught:
        call()
    said = caught.value.response
    about = said["ResponseMetadata"]
    return about["HTTPStatusCode"], said["Error"]["Code"], about["HTTPHeaders"]


class TestBucketThatNeverKeptVersions:
    def test_tells_no_version_ids_but_takes_null(self, s3: Any, bucket: str) -> None:
        answer = s3.put_object(Bucket=bucket, Key="k", Body=b"data")
        assert "VersionId" not in answer
        assert "VersionId" not in s3.get_object(Bucket=bucket, Key="k")
        assert body(s3, bucket, "k", VersionId="null") == b"data"
        assert s3.head_object(Bucket=bucket, Key="k", VersionId="null")["ContentLength"] == 4

    def test_has_one_null_version_of_each_key(self, s3: Any, bucket: str) -> None:
        for key in ("a", "b"):
            put(s3, bucket, key, b"x")
        assert ids(s3, bucket) == [("a", "null", True), ("b", "null", True)]

    def test_refuses_version_ids(self, s3: Any, bucket: str) -> None:
        put(s3, bucket, "k", b"x")
        assert refusal(lambda: s3.get_object(Bucket=bucket, Key="k", VersionId="nonsense"))[:2] == (
            400,
            "InvalidArgument",
        )


class TestEnabled:
    def test_each_write_is_a_version_of_its_own(self, s3: Any, versioned: str) -> None:
        made = [put(s3, versioned, "k", b"data %d" % number, Metadata={"n": str(number)}) for number in range(3)]
        assert len(set(made)) == 3
        assert ids(s3, versioned) == [("k", made[2], True), ("k", made[1], False), ("k", made[0], False)]
        for number, version in enumerate(made):
            answer = s3.get_object(Bucket=versioned, Key="k", VersionId=version)
            assert answer["Body"].read() == b"data %d" % number
            assert answer["VersionId"] == version
            assert answer["Metadata"] == {"n": str(number)}
        answer = s3.get_object(Bucket=versioned, Key="k")
        assert (answer["Body"].read(), answer["VersionId"]) == (b"data 2", made[2])
        assert [one["Key"] for one in s3.list_objects_v2(Bucket=versioned)["Contents"]] == ["k"]

    def test_listing_of_keys_shows_size_and_etag_of_the_current_version(self, s3: Any, versioned: str) -> None:
        put(s3, versioned, "k", b"first")
        etag = s3.put_object(Bucket=versioned, Key="k", Body=b"the second")["ETag"]
        (row,) = s3.list_objects_v2(Bucket=versioned)["Contents"]
        assert (row["Size"], row["ETag"]) == (10, etag)

    def test_what_was_there_before_is_the_null_version(self, s3: Any, bucket: str) -> None:
        s3.put_object(Bucket=bucket, Key="k", Body=b"old", Metadata={"age": "great"}, Tagging="a=b")
        enable(s3, bucket)
        assert s3.get_object(Bucket=bucket, Key="k")["VersionId"] == "null"
        new = put(s3, bucket, "k", b"new")
        assert ids(s3, bucket) == [("k", new, True), ("k", "null", False)]
        old = s3.get_object(Bucket=bucket, Key="k", VersionId="null")
        assert (old["Body"].read(), old["Metadata"], old["TagCount"]) == (b"old", {"age": "great"}, 1)

    def test_deleting_makes_a_marker_and_keeps_the_data(self, s3: Any, versioned: str) -> None:
        version = put(s3, versioned, "k", b"data")
        answer = s3.delete_object(Bucket=versioned, Key="k")
        assert answer["DeleteMarker"] is True
        status, code, headers = refusal(lambda: s3.get_object(Bucket=versioned, Key="k"))
        assert (status, code) == (404, "NoSuchKey")
        assert headers["x-amz-delete-marker"] == "true"
        assert headers["x-amz-version-id"] == answer["VersionId"]
        assert refusal(lambda: s3.head_object(Bucket=versioned, Key="k"))[2]["x-amz-delete-marker"] == "true"
        assert "Contents" not in s3.list_objects_v2(Bucket=versioned)
        assert body(s3, versioned, "k", VersionId=version) == b"data"
        assert [(one["VersionId"], one["IsLatest"], one["Marker"]) for one in listed(s3, versioned)] == [
            (version, False, False),
            (answer["VersionId"], True, True),
        ]

    def test_deleting_what_is_not_there_makes_a_marker_too(self, s3: Any, versioned: str) -> None:
        first = s3.delete_object(Bucket=versioned, Key="k")["VersionId"]
        second = s3.delete_object(Bucket=versioned, Key="k")["VersionId"]
        assert [(one["VersionId"], one["IsLatest"]) for one in listed(s3, versioned)] == [
            (second, True),
            (first, False),
        ]

    def test_a_marker_cannot_be_read(self, s3: Any, versioned: str) -> None:
        marker = s3.delete_object(Bucket=versioned, Key="k")["VersionId"]
        for read in (s3.get_object, s3.head_object):
            status, _, headers = refusal(lambda read=read: read(Bucket=versioned, Key="k", VersionId=marker))
            assert status == 405
            assert headers["x-amz-delete-marker"] == "true"
            assert headers["allow"] == "DELETE"

    def test_a_marker_cannot_be_copied(self, s3: Any, versioned: str) -> None:
        s3.put_object(Bucket=versioned, Key="k", Body=b"content")
        marker = s3.delete_object(Bucket=versioned, Key="k")["VersionId"]
        upload = s3.create_multipart_upload(Bucket=versioned, Key="m")["UploadId"]
        source = {"Bucket": versioned, "Key": "k"}
        for code, chosen in ((404, source), (400, {**source, "VersionId": marker})):
            status, _, headers = refusal(
                lambda chosen=chosen: s3.copy_object(Bucket=versioned, Key="c", CopySource=chosen)
            )
            assert (status, headers["x-amz-delete-marker"]) == (code, "true")
            part = {"Bucket": versioned, "Key": "m", "UploadId": upload, "PartNumber": 1, "CopySource": chosen}
            assert refusal(lambda part=part: s3.upload_part_copy(**part))[0] == code

    def test_deleting_the_marker_brings_the_object_back(self, s3: Any, versioned: str) -> None:
        put(s3, versioned, "k", b"data")
        marker = s3.delete_object(Bucket=versioned, Key="k")["VersionId"]
        answer = s3.delete_object(Bucket=versioned, Key="k", VersionId=marker)
        assert (answer["DeleteMarker"], answer["VersionId"]) == (True, marker)
        assert body(s3, versioned, "k") == b"data"
        assert len(s3.list_objects_v2(Bucket=versioned)["Contents"]) == 1

    def test_deleting_the_current_version_makes_the_one_before_current(self, s3: Any, versioned: str) -> None:
        made = [put(s3, versioned, "k", b"%d" % number) for number in range(3)]
        s3.delete_object(Bucket=versioned, Key="k", VersionId=made[2])
        assert body(s3, versioned, "k") == b"1"
        assert ids(s3, versioned) == [("k", made[1], True), ("k", made[0], False)]
        s3.delete_object(Bucket=versioned, Key="k", VersionId=made[0])
        assert ids(s3, versioned) == [("k", made[1], True)]
        newer = put(s3, versioned, "k", b"3")
        assert ids(s3, versioned) == [("k", newer, True), ("k", made[1], False)]
        assert body(s3, versioned, "k") == b"3"

    def test_a_marker_becomes_current_again(self, s3: Any, versioned: str) -> None:
        put(s3, versioned, "k", b"0")
        marker = s3.delete_object(Bucket=versioned, Key="k")["VersionId"]
        version = put(s3, versioned, "k", b"1")
        s3.delete_object(Bucket=versioned, Key="k", VersionId=version)
        assert refusal(lambda: s3.get_object(Bucket=versioned, Key="k"))[2]["x-amz-version-id"] == marker
        assert [one["VersionId"] for one in listed(s3, versioned) if one["IsLatest"]] == [marker]
        s3.delete_object(Bucket=versioned, Key="k", VersionId=marker)
        assert body(s3, versioned, "k") == b"0"

    def test_the_null_version_can_be_deleted_for_good(self, s3: Any, bucket: str) -> None:
        put(s3, bucket, "k", b"old")
        enable(s3, bucket)
        new = put(s3, bucket, "k", b"new")
        assert s3.delete_object(Bucket=bucket, Key="k", VersionId="null")["VersionId"] == "null"
        assert ids(s3, bucket) == [("k", new, True)]
        assert refusal(lambda: s3.get_object(Bucket=bucket, Key="k", VersionId="null"))[:2] == (404, "NoSuchVersion")

    def test_versions_that_are_not_there(self, s3: Any, versioned: str) -> None:
        version = put(s3, versioned, "k", b"data")
        s3.delete_object(Bucket=versioned, Key="k", VersionId=version)
        assert refusal(lambda: s3.get_object(Bucket=versioned, Key="k", VersionId=version))[:2] == (
            404,
            "NoSuchVersion",
        )
        assert s3.delete_object(Bucket=versioned, Key="k", VersionId=version)["VersionId"] == version
        assert refusal(lambda: s3.get_object(Bucket=versioned, Key="k", VersionId="zz"))[:2] == (400, "InvalidArgument")
        assert refusal(lambda: s3.get_object(Bucket=versioned, Key="k"))[:2] == (404, "NoSuchKey")

    def test_deleting_many_by_version(self, s3: Any, versioned: str) -> None:
        wanted = [
            {"Key": f"k{number % 3}", "VersionId": put(s3, versioned, f"k{number % 3}", b"x")} for number in range(9)
        ]
        answer = s3.delete_objects(Bucket=versioned, Delete={"Objects": wanted[:-1]})
        assert {(one["Key"], one["VersionId"]) for one in answer["Deleted"]} == {
            (one["Key"], one["VersionId"]) for one in wanted[:-1]
        }
        assert ids(s3, versioned) == [(wanted[-1]["Key"], wanted[-1]["VersionId"], True)]
        (made,) = s3.delete_objects(Bucket=versioned, Delete={"Objects": [{"Key": "k2"}]})["Deleted"]
        assert made["DeleteMarker"] is True
        (gone,) = s3.delete_objects(
            Bucket=versioned, Delete={"Objects": [{"Key": "k2", "VersionId": made["DeleteMarkerVersionId"]}]}
        )["Deleted"]
        assert (gone["DeleteMarker"], gone["DeleteMarkerVersionId"]) == (True, made["DeleteMarkerVersionId"])
        assert body(s3, versioned, "k2") == b"x"

    def test_copies_of_a_version(self, s3: Any, versioned: str) -> None:
        first = put(s3, versioned, "k", b"first")
        put(s3, versioned, "k", b"second")
        answer = s3.copy_object(
            Bucket=versioned, Key="k", CopySource={"Bucket": versioned, "Key": "k", "VersionId": first}
        )
        assert answer["CopySourceVersionId"] == first
        assert body(s3, versioned, "k") == b"first"
        assert s3.head_object(Bucket=versioned, Key="k")["VersionId"] == answer["VersionId"]
        assert len(ids(s3, versioned)) == 3

    def test_tags_and_acl_are_those_of_the_version(self, s3: Any, versioned: str) -> None:
        first = put(s3, versioned, "k", b"first")
        second = put(s3, versioned, "k", b"second")
        tags = {"TagSet": [{"Key": "of", "Value": "first"}]}
        s3.put_object_tagging(Bucket=versioned, Key="k", VersionId=first, Tagging=tags)
        assert s3.get_object_tagging(Bucket=versioned, Key="k", VersionId=first)["TagSet"] == tags["TagSet"]
        answer = s3.get_object_tagging(Bucket=versioned, Key="k")
        assert (answer["TagSet"], answer["VersionId"]) == ([], second)
        s3.put_object_tagging(Bucket=versioned, Key="k", Tagging={"TagSet": [{"Key": "of", "Value": "second"}]})
        assert s3.get_object_tagging(Bucket=versioned, Key="k")["TagSet"][0]["Value"] == "second"
        assert body(s3, versioned, "k") == b"second"
        s3.delete_object_tagging(Bucket=versioned, Key="k", VersionId=first)
        assert s3.get_object_tagging(Bucket=versioned, Key="k", VersionId=first)["TagSet"] == []
        assert ids(s3, versioned) == [("k", second, True), ("k", first, False)]

    def test_attributes_of_a_version(self, s3: Any, versioned: str) -> None:
        first = put(s3, versioned, "k", b"first")
        put(s3, versioned, "k", b"the second")
        answer = s3.get_object_attributes(
            Bucket=versioned, Key="k", VersionId=first, ObjectAttributes=["ObjectSize", "ETag"]
        )
        assert (answer["ObjectSize"], answer["VersionId"]) == (5, first)

    def test_ranges_and_conditions_of_reads(self, s3: Any, versioned: str) -> None:
        first = s3.put_object(Bucket=versioned, Key="k", Body=b"0123456789")
        put(s3, versioned, "k", b"abcdefghij")
        assert body(s3, versioned, "k", Range="bytes=2-4") == b"cde"
        assert body(s3, versioned, "k", VersionId=first["VersionId"], Range="bytes=-3") == b"789"
        assert refusal(lambda: s3.get_object(Bucket=versioned, Key="k", IfMatch=first["ETag"]))[0] == 412
        assert body(s3, versioned, "k", VersionId=first["VersionId"], IfMatch=first["ETag"]) == b"0123456789"

    def test_a_bucket_with_versions_or_markers_cannot_be_deleted(self, s3: Any, new_bucket: Callable[[], str]) -> None:
        name = new_bucket()
        enable(s3, name)
        marker = s3.delete_object(Bucket=name, Key="k")["VersionId"]
        assert refusal(lambda: s3.delete_bucket(Bucket=name))[:2] == (409, "BucketNotEmpty")
        s3.delete_object(Bucket=name, Key="k", VersionId=marker)
        version = put(s3, name, "k", b"x")
        s3.delete_object(Bucket=name, Key="k")
        assert refusal(lambda: s3.delete_bucket(Bucket=name))[:2] == (409, "BucketNotEmpty")
        for one in listed(s3, name):
            s3.delete_object(Bucket=name, Key="k", VersionId=one["VersionId"])
        assert refusal(lambda: s3.get_object(Bucket=name, Key="k", VersionId=version))[0] == 404
        s3.delete_bucket(Bucket=name)

    @pytest.mark.parametrize("key", ["a/b c", "ключ/%25+&", "x" * 1024, "é" * 512, "\U0001f600", "a//b/../c"])
    def test_keys_of_all_kinds(self, s3: Any, versioned: str, key: str) -> None:
        first, second = put(s3, versioned, key, b"1"), put(s3, versioned, key, b"2")
        assert ids(s3, versioned) == [(key, second, True), (key, first, False)]
        assert body(s3, versioned, key) == b"2"
        assert body(s3, versioned, key, VersionId=first) == b"1"
        s3.delete_object(Bucket=versioned, Key=key, VersionId=second)
        assert body(s3, versioned, key) == b"1"


class TestConditions:
    def test_writes_only_where_nothing_is(self, s3: Any, versioned: str) -> None:
        first = put(s3, versioned, "k", b"1", IfNoneMatch="*")
        assert refusal(lambda: put(s3, versioned, "k", b"2", IfNoneMatch="*"))[:2] == (412, "PreconditionFailed")
        assert ids(s3, versioned) == [("k", first, True)]
        s3.delete_object(Bucket=versioned, Key="k")
        again = put(s3, versioned, "k", b"3", IfNoneMatch="*")  # a delete marker counts as nothing
        assert body(s3, versioned, "k") == b"3"
        assert ids(s3, versioned) == [("k", again, True), ("k", first, False)]

    def test_writes_only_over_what_was_read(self, s3: Any, versioned: str) -> None:
        first = s3.put_object(Bucket=versioned, Key="k", Body=b"1")
        second = s3.put_object(Bucket=versioned, Key="k", Body=b"2", IfMatch=first["ETag"])
        assert refusal(lambda: put(s3, versioned, "k", b"3", IfMatch=first["ETag"]))[:2] == (412, "PreconditionFailed")
        assert refusal(lambda: put(s3, versioned, "new", b"3", IfMatch=first["ETag"]))[:2] == (404, "NoSuchKey")
        third = put(s3, versioned, "k", b"3")
        expected = [("k", third, True), ("k", second["VersionId"], False), ("k", first["VersionId"], False)]
        assert ids(s3, versioned) == expected
        for version in (third, second["VersionId"]):
            s3.delete_object(Bucket=versioned, Key="k", VersionId=version)
        assert body(s3, versioned, "k") == b"1"

    def test_of_many_who_create_one_wins(self, make_s3: Callable[..., Any], versioned: str) -> None:
        def create(number: int) -> str | None:
            try:
                return put(clients[number], versioned, "k", b"%d" % number, IfNoneMatch="*")
            except ClientError as error:
                assert error.response["ResponseMetadata"]["HTTPStatusCode"] in (409, 412)
                return None

        clients = [make_s3() for _ in range(8)]
        with ThreadPoolExecutor(8) as pool:
            won = [version for version in pool.map(create, range(8)) if version is not None]
        assert len(won) == 1
        assert ids(clients[0], versioned) == [("k", won[0], True)]


class TestSuspended:
    def test_writes_replace_the_null_version_only(self, s3: Any, versioned: str) -> None:
        kept = put(s3, versioned, "k", b"kept")
        suspend(s3, versioned)
        assert put(s3, versioned, "k", b"one") == "null"
        assert put(s3, versioned, "k", b"two") == "null"
        assert ids(s3, versioned) == [("k", "null", True), ("k", kept, False)]
        assert body(s3, versioned, "k") == b"two"
        assert body(s3, versioned, "k", VersionId="null") == b"two"
        assert body(s3, versioned, "k", VersionId=kept) == b"kept"

    def test_a_null_version_further_down_is_replaced_too(self, s3: Any, bucket: str) -> None:
        put(s3, bucket, "k", b"null one")
        enable(s3, bucket)
        kept = put(s3, bucket, "k", b"kept")
        suspend(s3, bucket)
        put(s3, bucket, "k", b"null two")
        assert ids(s3, bucket) == [("k", "null", True), ("k", kept, False)]
        s3.delete_object(Bucket=bucket, Key="k", VersionId="null")
        assert ids(s3, bucket) == [("k", kept, True)]
        assert body(s3, bucket, "k") == b"kept"

    def test_plain_objects_are_replaced(self, s3: Any, bucket: str) -> None:
        put(s3, bucket, "k", b"one")
        suspend(s3, bucket)
        put(s3, bucket, "k", b"two")
        assert ids(s3, bucket) == [("k", "null", True)]
        assert body(s3, bucket, "k") == b"two"

    def test_deleting_puts_a_null_marker_in_the_place_of_the_null_version(self, s3: Any, versioned: str) -> None:
        kept = put(s3, versioned, "k", b"kept")
        suspend(s3, versioned)
        put(s3, versioned, "k", b"null")
        answer = s3.delete_object(Bucket=versioned, Key="k")
        assert (answer["DeleteMarker"], answer["VersionId"]) == (True, "null")
        assert refusal(lambda: s3.get_object(Bucket=versioned, Key="k"))[2]["x-amz-version-id"] == "null"
        assert refusal(lambda: s3.get_object(Bucket=versioned, Key="k", VersionId="null"))[0] == 405
        assert {(one["VersionId"], one["IsLatest"], one["Marker"]) for one in listed(s3, versioned)} == {
            (kept, False, False),
            ("null", True, True),
        }
        answer = s3.delete_object(Bucket=versioned, Key="k", VersionId="null")
        assert (answer["DeleteMarker"], answer["VersionId"]) == (True, "null")
        assert body(s3, versioned, "k") == b"kept"

    def test_enabled_again_the_null_version_is_kept(self, s3: Any, versioned: str) -> None:
        suspend(s3, versioned)
        put(s3, versioned, "k", b"null")
        enable(s3, versioned)
        new = put(s3, versioned, "k", b"new")
        assert ids(s3, versioned) == [("k", new, True), ("k", "null", False)]
        assert body(s3, versioned, "k", VersionId="null") == b"null"


PART = 5 << 20


def upload(s3: Any, bucket: str, key: str, *pieces: bytes, **options: Any) -> dict[str, Any]:
    """Upload by parts; options are those of the completion. The answer to that."""
    upload_id = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    parts = []
    for number, piece in enumerate(pieces, 1):
        told = s3.upload_part(Bucket=bucket, Key=key, UploadId=upload_id, PartNumber=number, Body=piece)
        parts.append({"PartNumber": number, "ETag": told["ETag"]})
    wanted = {"Bucket": bucket, "Key": key, "UploadId": upload_id, "MultipartUpload": {"Parts": parts}}
    try:
        answer: dict[str, Any] = s3.complete_multipart_upload(**wanted, **options)
    except ClientError as error:
        error.response["Wanted"] = wanted  # type: ignore[typeddict-unknown-key]
        raise
    return {**answer, "Wanted": wanted}


class TestUploadsByParts:
    def test_each_is_a_version_with_parts_of_its_own(self, s3: Any, owner: Any, versioned: str) -> None:
        first = upload(s3, versioned, "k", b"a" * PART, b"tail")
        second = upload(s3, versioned, "k", b"b" * PART, b"end")
        assert ids(s3, versioned) == [("k", second["VersionId"], True), ("k", first["VersionId"], False)]
        assert body(s3, versioned, "k") == b"b" * PART + b"end" == owner.get(f"{versioned}/k").body
        (row,) = s3.list_objects_v2(Bucket=versioned)["Contents"]
        assert (row["Size"], row["ETag"]) == (PART + 3, second["ETag"])
        s3.delete_object(Bucket=versioned, Key="k", VersionId=second["VersionId"])
        assert body(s3, versioned, "k") == b"a" * PART + b"tail" == owner.get(f"{versioned}/k").body
        part = s3.get_object(Bucket=versioned, Key="k", VersionId=first["VersionId"], PartNumber=2)
        assert (part["Body"].read(), part["PartsCount"]) == (b"tail", 2)

    def test_completing_again_makes_no_second_version(self, s3: Any, versioned: str) -> None:
        first = upload(s3, versioned, "k", b"data")
        newer = put(s3, versioned, "k", b"newer")
        again = s3.complete_multipart_upload(**first["Wanted"])
        assert (again["VersionId"], again["ETag"]) == (first["VersionId"], first["ETag"])
        assert ids(s3, versioned) == [("k", newer, True), ("k", first["VersionId"], False)]

    def test_a_refused_completion_leaves_the_upload_as_it_is(self, s3: Any, versioned: str) -> None:
        put(s3, versioned, "k", b"there")
        with pytest.raises(ClientError) as refused:
            upload(s3, versioned, "k", b"data", IfNoneMatch="*")
        assert refused.value.response["Error"]["Code"] == "PreconditionFailed"
        assert len(ids(s3, versioned)) == 1
        s3.complete_multipart_upload(**refused.value.response["Wanted"])  # type: ignore[typeddict-item]
        assert body(s3, versioned, "k") == b"data"

    def test_one_from_before_versioning_is_kept(self, s3: Any, bucket: str) -> None:
        data = b"a" * PART + b"tail"
        upload(s3, bucket, "k", data[:PART], data[PART:])
        enable(s3, bucket)
        put(s3, bucket, "k", b"new")
        assert body(s3, bucket, "k", VersionId="null") == data
        s3.delete_object(Bucket=bucket, Key="k", VersionId=ids(s3, bucket)[0][1])
        assert body(s3, bucket, "k") == data
        assert ids(s3, bucket) == [("k", "null", True)]


class TestListing:
    @pytest.fixture
    def history(self, s3: Any, versioned: str) -> list[tuple[str, str]]:
        """Key and version id of all there is, in order, markers too."""
        made: dict[str, list[str]] = {}
        for key in ("a", "b", "dir/1", "dir/2", "dir/sub/3", "e", "plain"):
            made[key] = [put(s3, versioned, key, b"%d" % number) for number in range(3)]
        made["b"].append(s3.delete_object(Bucket=versioned, Key="b")["VersionId"])
        return [(key, version) for key in sorted(made) for version in reversed(made[key])]

    @pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 21, 22, 23])
    def test_pages_of_any_size_are_all_of_it_in_order(
        self, raw: Any, versioned: str, history: list[tuple[str, str]], size: int
    ) -> None:
        assert list(paged(raw, versioned, **{"max-keys": size})) == history

    @pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
    @pytest.mark.parametrize("delimiter", ["/", "b", "0", "d"])
    def test_groups(self, raw: Any, versioned: str, history: list[tuple[str, str]], size: int, delimiter: str) -> None:
        expected: list[tuple[str, str]] = []
        for key, version in history:
            before, found, _ = key.partition(delimiter)
            item = (before + found, "") if found else (key, version)
            if item not in expected:
                expected.append(item)
        assert list(paged(raw, versioned, **{"max-keys": size}, delimiter=delimiter)) == expected

    def test_prefix_and_delimiter(self, raw: Any, versioned: str, history: list[tuple[str, str]]) -> None:
        found = list(paged(raw, versioned, prefix="dir/", delimiter="/"))
        assert found == [*(item for item in history if item[0] in ("dir/1", "dir/2")), ("dir/sub/", "")]

    def test_nothing_asked_for_is_nothing_left(self, s3: Any, versioned: str, history: list[tuple[str, str]]) -> None:
        answer = s3.list_object_versions(Bucket=versioned, MaxKeys=0)
        assert answer["IsTruncated"] is False
        assert "Versions" not in answer

    def test_key_marker_alone_passes_over_all_versions_of_the_key(
        self, s3: Any, versioned: str, history: list[tuple[str, str]]
    ) -> None:
        answer = s3.list_object_versions(Bucket=versioned, KeyMarker="dir/2", Prefix="dir/")
        assert {one["Key"] for one in answer["Versions"]} == {"dir/sub/3"}

    def test_markers_that_are_wrong(self, s3: Any, versioned: str) -> None:
        for markers in ({"VersionIdMarker": "null"}, {"KeyMarker": "k", "VersionIdMarker": "nonsense"}):
            call = lambda markers=markers: s3.list_object_versions(Bucket=versioned, **markers)  # noqa: E731
            assert refusal(call)[:2] == (400, "InvalidArgument")

    def test_names_are_encoded_where_asked(self, raw: Any, s3: Any, versioned: str) -> None:
        put(s3, versioned, "a b/<c>", b"x")
        answer = raw.get(f"/{versioned}?versions&encoding-type=url&delimiter=%2F")
        assert b"<Prefix>a%20b/</Prefix>" in answer.body
        assert b"<EncodingType>url</EncodingType>" in answer.body

    def test_null_versions_between_others_with_pages(self, s3: Any, raw: Any, bucket: str) -> None:
        put(s3, bucket, "k", b"old null")
        enable(s3, bucket)
        first = put(s3, bucket, "k", b"1")
        suspend(s3, bucket)
        put(s3, bucket, "k", b"new null")
        enable(s3, bucket)
        second = put(s3, bucket, "k", b"2")
        expected = [("k", second), ("k", "null"), ("k", first)]
        for size in (1, 2, 3):
            assert list(paged(raw, bucket, **{"max-keys": size})) == expected


def paged(raw: Any, bucket: str, **options: Any) -> Iterator[tuple[str, str]]:
    """Key and version id of all entries in the order of the documents; groups by their prefix and ''."""
    markers: dict[str, Any] = {}
    while True:
        query = urlencode({"versions": "", **options, **markers})
        root = ElementTree.fromstring(raw.get(f"/{bucket}?{query}").body)
        for element in root.iter():
            element.tag = element.tag.removeprefix(NAMESPACE)
        page = [_item(element) for element in root if element.tag in ("Version", "DeleteMarker", "CommonPrefixes")]
        assert len(page) <= options.get("max-keys", 1000)
        if "delimiter" in options:
            page.sort(key=lambda item: item[0])  # groups stand at the end of a document; the sort is stable
        yield from page
        if root.findtext("IsTruncated") == "false":
            return
        markers = {"key-marker": root.findtext("NextKeyMarker")}
        if root.findtext("NextVersionIdMarker"):
            markers["version-id-marker"] = root.findtext("NextVersionIdMarker")


def _item(element: Any) -> tuple[str, str]:
    return (element.findtext("Key") or element.findtext("Prefix"), element.findtext("VersionId") or "")


class TestManyAtOnce:
    def test_all_versions_survive_and_one_is_the_latest(self, make_s3: Callable[..., Any], versioned: str) -> None:
        clients = [make_s3() for _ in range(WRITERS)]
        start = threading.Barrier(WRITERS)

        def work(number: int) -> dict[str, bytes]:
            start.wait()
            datas = [b"%d of %d" % (turn, number) for turn in range(4)]
            return {put(clients[number], versioned, "k", data): data for data in datas}

        with ThreadPoolExecutor(WRITERS) as pool:
            made = {version: data for some in pool.map(work, range(WRITERS)) for version, data in some.items()}
        s3 = clients[0]
        assert len(made) == 4 * WRITERS
        found = ids(s3, versioned)
        assert {version for _, version, _ in found} == set(made)
        (latest,) = [version for _, version, latest in found if latest]
        assert found[0][1] == latest
        current = s3.get_object(Bucket=versioned, Key="k")
        assert (current["VersionId"], current["Body"].read()) == (latest, made[latest])
        for version, data in made.items():
            assert body(s3, versioned, "k", VersionId=version) == data
        dates = [one["LastModified"] for one in listed(s3, versioned)]
        assert dates == sorted(dates, reverse=True)

    def test_writers_and_deleters_agree_in_the_end(self, make_s3: Callable[..., Any], versioned: str) -> None:
        clients = [make_s3() for _ in range(8)]

        def work(number: int) -> tuple[set[str], set[str]]:
            s3, made, gone = clients[number], set(), set()
            for turn in range(6):
                if turn % 3 == 2:
                    made.add(s3.delete_object(Bucket=versioned, Key="k")["VersionId"])
                else:
                    made.add(put(s3, versioned, "k", b"%d %d" % (number, turn)))
                if turn % 2:
                    version = sorted(made - gone)[0]
                    s3.delete_object(Bucket=versioned, Key="k", VersionId=version)
                    gone.add(version)
            return made, gone

        with ThreadPoolExecutor(8) as pool:
            done = list(pool.map(work, range(8)))
        expected = {version for made, gone in done for version in made - gone}
        s3 = clients[0]
        found = listed(s3, versioned)
        assert {one["VersionId"] for one in found} == expected
        (latest,) = [one for one in found if one["IsLatest"]]
        if latest["Marker"]:
            assert refusal(lambda: body(s3, versioned, "k"))[2]["x-amz-version-id"] == latest["VersionId"]
        else:
            assert s3.head_object(Bucket=versioned, Key="k")["VersionId"] == latest["VersionId"]
        for one in found:
            s3.delete_object(Bucket=versioned, Key="k", VersionId=one["VersionId"])
        assert listed(s3, versioned) == []
        assert refusal(lambda: body(s3, versioned, "k"))[:2] == (404, "NoSuchKey")

    def test_all_of_a_keys_versions_can_be_deleted_at_once(self, make_s3: Callable[..., Any], bucket: str) -> None:
        """Whoever deleted the current one found the next gone, but listed still, and gave up."""
        clients = [make_s3() for _ in range(8)]
        s3 = clients[0]
        keys = [f"k{number}" for number in range(8)]
        for key in keys:
            put(s3, bucket, key, b"null")
        enable(s3, bucket)
        for key in keys:
            put(s3, bucket, key, b"new")
            s3.delete_object(Bucket=bucket, Key=key)
        found = sorted((one["Key"], one["VersionId"]) for one in listed(s3, bucket))
        assert len(found) == 3 * len(keys)

        def work(number: int) -> None:
            for key, version in found[number :: len(clients)]:
                clients[number].delete_object(Bucket=bucket, Key=key, VersionId=version)

        with ThreadPoolExecutor(len(clients)) as pool:
            list(pool.map(work, range(len(clients))))
        assert listed(s3, bucket) == []

    def test_the_first_writers_after_enabling_keep_the_null_version(
        self, make_s3: Callable[..., Any], bucket: str
    ) -> None:
        clients = [make_s3() for _ in range(8)]
        data = b"old" * 100_000
        put(clients[0], bucket, "k", data)
        enable(clients[0], bucket)
        with ThreadPoolExecutor(8) as pool:
            made = set(pool.map(lambda s3: put(s3, bucket, "k", b"new"), clients))
        found = ids(clients[0], bucket)
        assert {version for _, version, _ in found} == made | {"null"}
        assert found[-1] == ("k", "null", False)
        assert body(clients[0], bucket, "k", VersionId="null") == data


class TestThroughSwift:
    def test_reads_give_the_current_version(self, s3: Any, owner: Any, versioned: str) -> None:
        put(s3, versioned, "k", b"first")
        put(s3, versioned, "k", b"the second", ContentType="text/x-note", Metadata={"color": "blue"})
        answer = owner.get(f"{versioned}/k")
        assert (answer.status, answer.body) == (200, b"the second")
        assert answer.headers["Content-Type"] == "text/x-note"
        assert answer.headers["X-Object-Meta-Color"] == "blue"
        assert owner.head(f"{versioned}/k").headers["Content-Length"] == "10"

    def test_what_was_deleted_is_not_there(self, s3: Any, owner: Any, versioned: str) -> None:
        put(s3, versioned, "k", b"data")
        s3.delete_object(Bucket=versioned, Key="k")
        assert owner.get(f"{versioned}/k").status == 404
        assert owner.head(f"{versioned}/k").status == 404
        assert owner.get(versioned).body == b""

    def test_a_put_makes_a_version(self, s3: Any, owner: Any, versioned: str) -> None:
        first = put(s3, versioned, "k", b"first")
        answer = owner.put(f"{versioned}/k", b"second")
        second = answer.headers["X-Object-Version-Id"]
        assert answer.status == 201
        assert answer.headers["Etag"] == s3.head_object(Bucket=versioned, Key="k")["ETag"].strip('"')
        assert ids(s3, versioned) == [("k", second, True), ("k", first, False)]
        assert owner.get(f"{versioned}/k").headers["X-Object-Version-Id"] == second
        assert body(s3, versioned, "k") == b"second"
        assert body(s3, versioned, "k", VersionId=first) == b"first"

    def test_a_deletion_makes_a_marker_unless_there_is_one(self, s3: Any, owner: Any, versioned: str) -> None:
        version = put(s3, versioned, "k", b"data")
        answer = owner.delete(f"{versioned}/k")
        marker = answer.headers["X-Object-Version-Id"]
        assert answer.status == 204
        assert owner.get(f"{versioned}/k").status == 404
        assert owner.delete(f"{versioned}/k").status == 404
        found = [(one["Key"], one["VersionId"], one["Marker"]) for one in listed(s3, versioned)]
        assert found == [("k", version, False), ("k", marker, True)]
        for turn in range(2):  # a name that never was: as through S3, but once
            assert owner.delete(f"{versioned}/never").status == 404
            assert len(listed(s3, versioned)) == 3, turn
        s3.delete_object(Bucket=versioned, Key="k", VersionId=marker)
        assert owner.get(f"{versioned}/k").body == b"data"

    def test_a_copy_makes_a_version_and_a_post_none(self, s3: Any, owner: Any, versioned: str) -> None:
        first = put(s3, versioned, "k", b"data")
        put(s3, versioned, "other", b"other")
        copied = owner.put(f"{versioned}/k", b"", {"X-Copy-From": f"{versioned}/other"}).headers["X-Object-Version-Id"]
        assert owner.post(f"{versioned}/k", {"X-Object-Meta-Color": "blue"}).status == 202
        assert [one for one in ids(s3, versioned) if one[0] == "k"] == [("k", copied, True), ("k", first, False)]
        assert s3.head_object(Bucket=versioned, Key="k")["Metadata"] == {"color": "blue"}
        assert s3.head_object(Bucket=versioned, Key="k", VersionId=first)["Metadata"] == {}
        assert body(s3, versioned, "k") == b"other"
