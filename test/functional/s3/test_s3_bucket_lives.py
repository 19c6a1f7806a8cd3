"""Writers that race with DeleteBucket, and what of one life of a bucket's name is seen in the next."""

from __future__ import annotations

import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from harness import bucket_races
from harness.bucket_races import RACERS, Outcome, outcome
from harness.client import Client
from harness.s3 import S3, code_of

RACES = 12


@pytest.fixture
def fresh(s3: Any) -> Iterator[Callable[[bool], str]]:
    made: list[str] = []

    def make(versioned: bool) -> str:
        name = f"race-{uuid.uuid4().hex[:12]}"
        bucket_races.make(s3, name, versioned)
        made.append(name)
        return name

    yield make
    for name in made:
        bucket_races.wipe(s3, name)
        bucket_races.wipe(s3, bucket_races.source_of(name))


@pytest.mark.parametrize("racer", RACERS)
def test_a_write_that_races_with_delete_bucket_is_kept_or_refused(
    make_s3: Callable[..., Any], s3: Any, fresh: Callable[[bool], str], racer: str
) -> None:
    # Both were answered with success in half of the races, and the object answered 503 from then on.
    other = make_s3(retries={"total_max_attempts": 1})
    for number in range(RACES):
        bucket = fresh(RACERS[racer].versioned)
        written, deleted = bucket_races.race(
            s3,
            bucket,
            RACERS[racer],
            lambda bucket=bucket: outcome(other.delete_bucket, Bucket=bucket),
            number * 0.0015,
        )
        bucket_races.check(s3, bucket, RACERS[racer], written, deleted)
        assert not (written.ok and deleted.ok)


def test_an_upload_that_begins_while_its_bucket_is_deleted_is_begun_or_refused(
    make_s3: Callable[..., Any], fresh: Callable[[bool], str]
) -> None:
    # The container of uploads went between two tries to write a record into it: 500.
    one, other = (make_s3(retries={"total_max_attempts": 1}) for _ in range(2))
    for number in range(RACES):
        bucket = fresh(False)
        with ThreadPoolExecutor(2) as pool:
            begun = pool.submit(outcome, one.create_multipart_upload, Bucket=bucket, Key="k")
            time.sleep(number * 0.0015)
            deleted = pool.submit(outcome, other.delete_bucket, Bucket=bucket)
        assert begun.result().status in (200, 404, 409)
        assert deleted.result().status == 204


@pytest.mark.parametrize("racer", ["put", "completion", "versioned put", "versioned completion", "delete marker"])
def test_a_write_that_meets_the_next_life_of_its_bucket_is_kept_or_refused(
    make_s3: Callable[..., Any], s3: Any, fresh: Callable[[bool], str], racer: str
) -> None:
    other = make_s3(retries={"total_max_attempts": 1})

    def renew(bucket: str) -> Outcome:
        deleted = outcome(other.delete_bucket, Bucket=bucket)
        outcome(other.create_bucket, Bucket=bucket)
        return deleted

    for number in range(RACES):
        bucket = fresh(RACERS[racer].versioned)
        written, deleted = bucket_races.race(
            s3, bucket, RACERS[racer], lambda bucket=bucket: renew(bucket), number * 0.0015
        )
        if written.ok and not deleted.ok:
            bucket_races.check(s3, bucket, RACERS[racer], written, deleted)
        elif written.ok and not RACERS[racer].marker:  # it is one of the next life, which keeps no versions
            assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == bucket_races.DATA
        elif not written.ok:
            assert written.status in bucket_races.REFUSALS
            assert outcome(s3.get_object, Bucket=bucket, Key="k").status == 404


@pytest.mark.parametrize("versioned", [False, True])
def test_a_bucket_is_deleted_between_the_halves_of_a_body(
    make_s3: Callable[..., Any], s3: Any, fresh: Callable[[bool], str], versioned: bool
) -> None:
    # The PUT was answered 200, and the bucket was back without an owner.
    bucket = fresh(versioned)
    deleted: list[int] = []

    def halves() -> Iterator[bytes]:
        yield b"x" * 100_000
        time.sleep(0.5)
        deleted.append(outcome(s3.delete_bucket, Bucket=bucket).status)
        yield b"y" * 100_000

    url = make_s3(signature_version="s3v4").generate_presigned_url(
        "put_object", Params={"Bucket": bucket, "Key": "late"}
    )
    request = urllib.request.Request(url, data=halves(), headers={"Content-Length": "200000"}, method="PUT")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    assert (deleted, caught.value.code) == ([204], 404)
    assert outcome(s3.head_bucket, Bucket=bucket).status == 404
    s3.create_bucket(Bucket=bucket)
    assert "Versions" not in s3.list_object_versions(Bucket=bucket)
    assert outcome(s3.head_object, Bucket=bucket, Key="late").status == 404


def test_uploads_do_not_outlive_their_bucket(s3: Any, fresh: Callable[[bool], str]) -> None:
    bucket = fresh(False)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"old")
    s3.delete_bucket(Bucket=bucket)
    s3.create_bucket(Bucket=bucket)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    arguments: dict[str, Any] = {"Bucket": bucket, "Key": "k", "UploadId": upload}
    assert outcome(s3.complete_multipart_upload, **arguments, MultipartUpload=parts).status == 404
    assert outcome(s3.upload_part, **arguments, PartNumber=2, Body=b"x").status == 404


# What the Swift API does to a bucket with versions


@pytest.fixture
def versioned(fresh: Callable[[bool], str]) -> str:
    return fresh(True)


def test_swift_does_not_delete_a_container_whose_bucket_has_only_versions(
    s3: Any, owner: Client, versioned: str
) -> None:
    # 204, and the versions were lost with the next DeleteBucket.
    version = s3.put_object(Bucket=versioned, Key="k", Body=b"v1")["VersionId"]
    marker = s3.delete_object(Bucket=versioned, Key="k")["VersionId"]
    assert owner.delete(versioned).status == 409
    assert outcome(s3.delete_bucket, Bucket=versioned).status == 409
    s3.delete_object(Bucket=versioned, Key="k", VersionId=version)
    assert owner.delete(versioned).status == 409  # the marker is left
    s3.delete_object(Bucket=versioned, Key="k", VersionId=marker)
    assert owner.delete(versioned).status == 204


def test_an_object_that_expires_is_a_version_like_others(s3: Any, owner: Client, versioned: str) -> None:
    version = s3.put_object(Bucket=versioned, Key="k", Body=b"v1")["VersionId"]
    put = owner.put(f"{versioned}/k", b"other", {"X-Delete-At": "4000000000"})
    assert put.status == 201
    assert owner.post(f"{versioned}/k", {"X-Delete-At": "4000000001"}).status == 202
    listed = s3.list_object_versions(Bucket=versioned)["Versions"]
    assert [each["VersionId"] for each in listed] == [put["X-Object-Version-Id"], version]
    assert owner.head(f"{versioned}/k")["X-Delete-At"] == "4000000001"
    assert s3.get_object(Bucket=versioned, Key="k", VersionId=version)["Body"].read() == b"v1"


# A name that is another account's bucket


def test_the_owner_of_a_container_is_not_sent_to_anothers_bucket_of_its_name(
    s3: Any, s3_other: Any, raw: S3, owner: Client
) -> None:
    name = f"name-{uuid.uuid4().hex[:12]}"
    owner.put(name)
    owner.put(f"{name}/k", b"mine")
    s3_other.create_bucket(Bucket=name, ACL="public-read-write")
    try:
        for method, target in (("GET", f"/{name}"), ("GET", f"/{name}/k"), ("PUT", f"/{name}/new")):
            answer = raw.request(method, target)
            assert code_of(answer) == (409, "BucketAlreadyExists")
            assert b"another account" in answer.body
        assert outcome(s3.head_bucket, Bucket=name).status == 409
        assert "Contents" not in s3_other.list_objects_v2(Bucket=name)
        assert owner.get(f"{name}/k").body == b"mine"
        owner_id = s3_other.list_buckets()["Owner"]["ID"]
        assert s3.list_objects_v2(Bucket=name, ExpectedBucketOwner=owner_id)["KeyCount"] == 0
    finally:
        s3_other.delete_bucket(Bucket=name)
    assert s3.get_object(Bucket=name, Key="k")["Body"].read() == b"mine"


def test_many_writers_and_lives(make_s3: Callable[..., Any], s3: Any, fresh: Callable[[bool], str]) -> None:
    for versioned in (False, True):
        bucket = fresh(versioned)
        written: list[str] = []
        stop = threading.Event()

        def write(
            number: int, bucket: str = bucket, stop: threading.Event = stop, written: list[str] = written
        ) -> None:
            client = make_s3(retries={"total_max_attempts": 1})
            for turn in range(30):
                key = f"{number}-{turn}"
                done = outcome(client.put_object, Bucket=bucket, Key=key, Body=key.encode())
                if done.status == 200:
                    written.append(key)
                if stop.is_set():
                    return

        with ThreadPoolExecutor(4) as pool:
            writers = [pool.submit(write, number) for number in range(3)]
            for _ in range(6):
                outcome(s3.delete_bucket, Bucket=bucket)
                outcome(s3.create_bucket, Bucket=bucket)
            stop.set()
            for writer in writers:
                writer.result()
        for key in written:
            assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()
