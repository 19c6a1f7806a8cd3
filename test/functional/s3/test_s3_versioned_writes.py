"""Buckets whose former objects Swift keeps in another container."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from harness.client import Client


def test_writes_through_s3_are_archived(s3: Any, owner: Client, new_bucket: Callable[..., str]) -> None:
    bucket, archive = new_bucket(), new_bucket()
    assert owner.post(bucket, {"X-Versions-Location": archive}).status == 204
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"by parts")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket=bucket, Key="k", UploadId=upload, MultipartUpload=parts)
    s3.put_object(Bucket=bucket, Key="k", Body=b"two", Tagging="a=b")
    s3.put_object(Bucket=bucket, Key="k", Body=b"three")
    rows = s3.list_objects_v2(Bucket=archive)["Contents"]
    bodies = [s3.get_object(Bucket=archive, Key=row["Key"])["Body"].read() for row in rows]
    assert bodies == [b"by parts", b"two"]
    s3.delete_object(Bucket=bucket, Key="k")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"two"
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "a", "Value": "b"}]
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k"}]})
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"by parts"
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.put_object(Bucket=bucket, Key="k", Body=b"four", IfNoneMatch="*")


def test_versioning_is_refused(s3: Any, owner: Client, bucket: str) -> None:
    assert owner.post(bucket, {"X-History-Location": "archive"}).status == 204
    with pytest.raises(ClientError, match="InvalidBucketState"):
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    assert owner.post(bucket, {"X-Remove-History-Location": "x"}).status == 204
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    assert owner.post(bucket, {"X-History-Location": "archive"}).status == 400
