"""Writes that race with DeleteBucket. Of the two one must be refused, or the object can be read."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from harness.processes import wait_until

DATA = b"data of the race"
REFUSALS = (404, 409, 503)


class Outcome(NamedTuple):
    """status: of the answer. version: of what was written."""

    status: int
    version: str = ""

    @property
    def ok(self) -> bool:
        return self.status < 300


def outcome(call: Callable[..., Any], **arguments: Any) -> Outcome:
    try:
        answer = call(**arguments)
    except ClientError as error:
        return Outcome(error.response["ResponseMetadata"]["HTTPStatusCode"])
    return Outcome(answer["ResponseMetadata"]["HTTPStatusCode"], answer.get("VersionId", ""))


class Racer(NamedTuple):
    """versioned: has the bucket versions? prepare: makes ready, and returns the request that races."""

    versioned: bool
    prepare: Callable[[Any, str], Callable[[], Outcome]]
    marker: bool = False


def _put(s3: Any, bucket: str) -> Callable[[], Outcome]:
    return lambda: outcome(s3.put_object, Bucket=bucket, Key="k", Body=DATA)


def _large_put(s3: Any, bucket: str) -> Callable[[], Outcome]:
    return lambda: outcome(s3.put_object, Bucket=bucket, Key="k", Body=DATA * 20_000)


def _complete(s3: Any, bucket: str) -> Callable[[], Outcome]:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=DATA)
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    arguments: dict[str, Any] = {"Bucket": bucket, "Key": "k", "UploadId": upload, "MultipartUpload": parts}
    return lambda: outcome(s3.complete_multipart_upload, **arguments)


def source_of(bucket: str) -> str:
    return f"source-of-{bucket}"


def _copy(s3: Any, bucket: str) -> Callable[[], Outcome]:
    s3.create_bucket(Bucket=source_of(bucket))
    s3.put_object(Bucket=source_of(bucket), Key="s", Body=DATA)
    return lambda: outcome(s3.copy_object, Bucket=bucket, Key="k", CopySource=f"{source_of(bucket)}/s")


def _mark(s3: Any, bucket: str) -> Callable[[], Outcome]:
    return lambda: outcome(s3.delete_object, Bucket=bucket, Key="k")


RACERS = {
    "put": Racer(False, _put),
    "large put": Racer(False, _large_put),
    "completion": Racer(False, _complete),
    "copy": Racer(False, _copy),
    "versioned put": Racer(True, _put),
    "versioned completion": Racer(True, _complete),
    "versioned copy": Racer(True, _copy),
    "delete marker": Racer(True, _mark, marker=True),
}


def make(s3: Any, bucket: str, versioned: bool) -> None:
    s3.create_bucket(Bucket=bucket)
    if versioned:
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})


def race(s3: Any, bucket: str, racer: Racer, against: Callable[[], Outcome], delay: float) -> tuple[Outcome, Outcome]:
    """Of the write, and of what it races with, which begins `delay` seconds later."""
    act = racer.prepare(s3, bucket)
    with ThreadPoolExecutor(2) as pool:
        writing = pool.submit(act)
        time.sleep(delay)
        other = pool.submit(against)
        return writing.result(), other.result()


def check_written(s3: Any, bucket: str, racer: Racer, written: Outcome) -> None:
    """What was acknowledged can be read and is listed, and its bucket is its owner's."""
    listing = s3.list_object_versions(Bucket=bucket)
    assert bucket in [each["Name"] for each in s3.list_buckets()["Buckets"]]
    if racer.marker:
        assert [each["VersionId"] for each in listing["DeleteMarkers"]] == [written.version]
        return
    assert [each["Key"] for each in listing["Versions"]] == ["k"]
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read(len(DATA)) == DATA
    if written.version:
        assert s3.get_object(Bucket=bucket, Key="k", VersionId=written.version)["Body"].read() == DATA


def check(s3: Any, bucket: str, racer: Racer, written: Outcome, deleted: Outcome) -> None:
    """What a race with DeleteBucket must end with."""
    assert written.ok or written.status in REFUSALS
    assert deleted.ok or deleted.status in REFUSALS
    if written.ok and deleted.ok:
        wait_until(lambda: outcome(s3.list_objects_v2, Bucket=bucket).ok, "the bucket to be back", 180)
    if written.ok:
        check_written(s3, bucket, racer, written)
    elif deleted.ok:
        # A replica that had the row of the refused write when the others were deleted hears of it by replication.
        wait_until(lambda: outcome(s3.head_bucket, Bucket=bucket).status == 404, "the bucket to be gone", 180)


def wipe(s3: Any, bucket: str) -> None:
    """Delete a bucket with all that is in it, where it is there."""
    try:
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            for one in page.get("Versions", []) + page.get("DeleteMarkers", []):
                s3.delete_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])
        s3.delete_bucket(Bucket=bucket)
    except s3.exceptions.NoSuchBucket:
        pass
