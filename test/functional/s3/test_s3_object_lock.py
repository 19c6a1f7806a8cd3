"""Object lock from outside: what buckets and versions have, and what holds them."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from harness.processes import wait_until

FAR = datetime(2040, 1, 1, tzinfo=UTC)
FARTHER = datetime(2041, 1, 1, tzinfo=UTC)
GOVERNED = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": FAR}


def soon(seconds: float = 3) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


@pytest.fixture
def locked(s3: Any) -> Iterator[str]:
    """A bucket with object lock. What only governance and legal holds keep is gone after the test."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    yield name
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=name):
        for one in page.get("Versions", []) + page.get("DeleteMarkers", []):
            at = {"Bucket": name, "Key": one["Key"], "VersionId": one["VersionId"]}
            with contextlib.suppress(ClientError):
                s3.put_object_legal_hold(**at, LegalHold={"Status": "OFF"})
            with contextlib.suppress(ClientError):
                s3.delete_object(**at, BypassGovernanceRetention=True)
    with contextlib.suppress(ClientError):
        s3.delete_bucket(Bucket=name)


def refusal(call: Callable[[], Any]) -> tuple[int, str]:
    with pytest.raises(ClientError) as caught:
        call()
    response = caught.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


def put(s3: Any, bucket: str, key: str = "key", body: bytes = b"body", **options: Any) -> dict[str, str]:
    """Write a version; return the arguments that name it."""
    version = s3.put_object(Bucket=bucket, Key=key, Body=body, **options)["VersionId"]
    return {"Bucket": bucket, "Key": key, "VersionId": version}


def retain(s3: Any, at: dict[str, str], mode: str, until: datetime, **options: Any) -> Any:
    return s3.put_object_retention(**at, Retention={"Mode": mode, "RetainUntilDate": until}, **options)


def hold(s3: Any, at: dict[str, str], status: str) -> Any:
    return s3.put_object_legal_hold(**at, LegalHold={"Status": status})


# Buckets


def test_a_bucket_made_with_lock_has_it_and_keeps_versions(s3: Any, locked: str) -> None:
    assert s3.get_object_lock_configuration(Bucket=locked)["ObjectLockConfiguration"] == {
        "ObjectLockEnabled": "Enabled"
    }
    assert s3.get_bucket_versioning(Bucket=locked)["Status"] == "Enabled"


def test_versioning_of_a_bucket_with_lock_cannot_be_suspended(s3: Any, locked: str) -> None:
    suspended = {"Status": "Suspended"}
    refused = refusal(lambda: s3.put_bucket_versioning(Bucket=locked, VersioningConfiguration=suspended))
    assert refused == (409, "InvalidBucketState")


def test_lock_needs_versioning(s3: Any, bucket: str) -> None:
    wanted = {"ObjectLockEnabled": "Enabled"}
    enable = lambda: s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=wanted)  # noqa: E731
    assert refusal(enable) == (409, "InvalidBucketState")
    assert refusal(lambda: s3.get_object_lock_configuration(Bucket=bucket)) == (
        404,
        "ObjectLockConfigurationNotFoundError",
    )
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    assert refusal(enable) == (409, "InvalidBucketState")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    enable()
    assert s3.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"] == wanted


@pytest.mark.parametrize(
    ("retention", "code"),
    [
        ({"Mode": "GOVERNANCE", "Days": 1, "Years": 1}, "MalformedXML"),
        ({"Mode": "GOVERNANCE", "Days": 0}, "InvalidRetentionPeriod"),
        ({"Mode": "GOVERNANCE", "Years": -1}, "InvalidRetentionPeriod"),
        ({"Mode": "GOVERNANCE", "Days": 36501}, "InvalidRetentionPeriod"),
        ({"Mode": "governance", "Years": 1}, "MalformedXML"),
        ({"Mode": "GOVERNANCE"}, "MalformedXML"),
        ({"Days": 1}, "MalformedXML"),
        ({}, "MalformedXML"),
    ],
)
def test_rules_that_make_no_sense_are_refused(s3: Any, locked: str, retention: dict[str, Any], code: str) -> None:
    wanted = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": retention}}
    refused = refusal(lambda: s3.put_object_lock_configuration(Bucket=locked, ObjectLockConfiguration=wanted))
    assert refused == (400, code)


def test_a_default_retention_counts_for_new_versions_without_their_own(s3: Any, locked: str) -> None:
    before = put(s3, locked)
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 2}}
    wanted = {"ObjectLockEnabled": "Enabled", "Rule": rule}
    s3.put_object_lock_configuration(Bucket=locked, ObjectLockConfiguration=wanted)
    assert s3.get_object_lock_configuration(Bucket=locked)["ObjectLockConfiguration"] == wanted
    at = put(s3, locked, ObjectLockLegalHoldStatus="OFF")
    found = s3.get_object_retention(**at)["Retention"]
    assert found["Mode"] == "GOVERNANCE"
    assert abs(found["RetainUntilDate"] - datetime.now(UTC) - timedelta(days=2)) < timedelta(minutes=5)
    own = put(s3, locked, **GOVERNED)
    assert s3.get_object_retention(**own)["Retention"]["RetainUntilDate"] == FAR
    assert refusal(lambda: s3.get_object_retention(**before)) == (404, "NoSuchObjectLockConfiguration")


# Versions


def test_what_is_put_with_a_lock_shows_it(s3: Any, locked: str) -> None:
    at = put(s3, locked, **GOVERNED, ObjectLockLegalHoldStatus="ON")
    for answer in (s3.head_object(**at), s3.get_object(**at), s3.head_object(Bucket=locked, Key="key")):
        assert answer["ObjectLockMode"] == "GOVERNANCE"
        assert answer["ObjectLockRetainUntilDate"] == FAR
        assert answer["ObjectLockLegalHoldStatus"] == "ON"
    assert s3.get_object_legal_hold(**at)["LegalHold"] == {"Status": "ON"}


def test_without_a_lock_nothing_is_shown(s3: Any, locked: str) -> None:
    at = put(s3, locked)
    assert not any(name.startswith("ObjectLock") for name in s3.head_object(**at))
    assert refusal(lambda: s3.get_object_legal_hold(**at)) == (404, "NoSuchObjectLockConfiguration")
    s3.delete_object(**at)
    assert refusal(lambda: s3.head_object(**at))[0] == 404


def test_a_bucket_without_lock_takes_none(s3: Any, bucket: str) -> None:
    at = {"Bucket": bucket, "Key": "key"}
    s3.put_object(**at, Body=b"")
    for call in (
        lambda: s3.put_object(**at, Body=b"", **GOVERNED),
        lambda: retain(s3, at, "GOVERNANCE", FAR),
        lambda: s3.get_object_retention(**at),
        lambda: hold(s3, at, "ON"),
        lambda: s3.get_object_legal_hold(**at),
        lambda: s3.copy_object(**at, CopySource=f"{bucket}/key", MetadataDirective="REPLACE", **GOVERNED),
        lambda: s3.create_multipart_upload(**at, **GOVERNED),
    ):
        assert refusal(call) == (400, "InvalidRequest")


@pytest.mark.parametrize(
    "options",
    [
        {"ObjectLockMode": "GOVERNANCE"},
        {"ObjectLockRetainUntilDate": FAR},
        {"ObjectLockMode": "abc", "ObjectLockRetainUntilDate": FAR},
        {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": datetime(2020, 1, 1, tzinfo=UTC)},
        {"ObjectLockLegalHoldStatus": "abc"},
        {"ObjectLockEventHold": "abc"},
        {"ObjectLockEventHold": "ON", "ObjectLockEventHoldDurationDays": 1, "ObjectLockEventHoldDurationYears": 1},
        {"ObjectLockEventHold": "ON", "ObjectLockEventHoldDurationDays": 36501},
        {"ObjectLockEventHoldDurationDays": 5},
    ],
)
def test_headers_that_make_no_sense_are_refused(s3: Any, locked: str, options: dict[str, Any]) -> None:
    assert refusal(lambda: put(s3, locked, **options)) == (400, "InvalidArgument")
    assert s3.list_object_versions(Bucket=locked).get("Versions", []) == []


def test_documents_that_make_no_sense_are_refused(s3: Any, locked: str) -> None:
    at = put(s3, locked)
    assert refusal(lambda: retain(s3, at, "governance", FAR)) == (400, "MalformedXML")
    assert refusal(lambda: retain(s3, at, "GOVERNANCE", datetime(2020, 1, 1))) == (400, "InvalidArgument")
    assert refusal(lambda: s3.put_object_retention(**at, Retention={"Mode": "GOVERNANCE"})) == (400, "MalformedXML")
    assert refusal(lambda: hold(s3, at, "abc")) == (400, "MalformedXML")


@pytest.mark.parametrize("size", [4, 200_000])
def test_governance_needs_a_bypass(s3: Any, locked: str, size: int) -> None:
    at = put(s3, locked, body=b"x" * size)
    retain(s3, at, "GOVERNANCE", FAR)
    assert refusal(lambda: s3.delete_object(**at)) == (403, "AccessDenied")
    assert refusal(lambda: retain(s3, at, "GOVERNANCE", soon())) == (403, "AccessDenied")
    assert refusal(lambda: retain(s3, at, "COMPLIANCE", FAR)) == (403, "AccessDenied")
    assert refusal(lambda: s3.put_object_retention(**at, Retention={})) == (403, "AccessDenied")
    retain(s3, at, "GOVERNANCE", FARTHER)
    retain(s3, at, "GOVERNANCE", FAR, BypassGovernanceRetention=True)
    assert s3.get_object_retention(**at)["Retention"] == {"Mode": "GOVERNANCE", "RetainUntilDate": FAR}
    assert s3.get_object(**at)["Body"].read() == b"x" * size
    s3.put_object_retention(**at, Retention={}, BypassGovernanceRetention=True)
    assert refusal(lambda: s3.get_object_retention(**at)) == (404, "NoSuchObjectLockConfiguration")
    retain(s3, at, "GOVERNANCE", FAR)
    s3.delete_object(**at, BypassGovernanceRetention=True)
    assert refusal(lambda: s3.head_object(**at))[0] == 404


def test_compliance_gives_way_to_nobody_until_its_date(s3: Any, locked: str) -> None:
    at = put(s3, locked, body=b"kept")
    retain(s3, at, "COMPLIANCE", soon(4))
    for bypass in (False, True):
        assert refusal(lambda: s3.delete_object(**at, BypassGovernanceRetention=bypass)) == (403, "AccessDenied")  # noqa: B023
        assert refusal(lambda: retain(s3, at, "COMPLIANCE", soon(1), BypassGovernanceRetention=bypass))[0] == 403  # noqa: B023
        assert refusal(lambda: retain(s3, at, "GOVERNANCE", FAR, BypassGovernanceRetention=bypass))[0] == 403  # noqa: B023
    retain(s3, at, "COMPLIANCE", soon(5))
    s3.delete_object(Bucket=locked, Key="key")  # a marker
    assert s3.get_object(**at)["Body"].read() == b"kept"

    def deleted() -> bool:
        try:
            s3.delete_object(**at)
        except ClientError:
            return False
        return True

    assert not deleted()
    wait_until(deleted, "the end of the retention", 60)
    assert refusal(lambda: s3.head_object(**at))[0] == 404


def test_a_legal_hold_holds_whatever_is_bypassed(s3: Any, locked: str) -> None:
    at = put(s3, locked)
    hold(s3, at, "ON")
    assert refusal(lambda: s3.delete_object(**at, BypassGovernanceRetention=True)) == (403, "AccessDenied")
    hold(s3, at, "OFF")
    assert s3.head_object(**at)["ObjectLockLegalHoldStatus"] == "OFF"
    s3.delete_object(**at)
    assert refusal(lambda: s3.head_object(**at))[0] == 404


def test_an_event_hold_holds_until_its_event_and_its_duration_after(s3: Any, locked: str) -> None:
    at = put(s3, locked, ObjectLockEventHold="ON", ObjectLockEventHoldDurationDays=30)
    shown = s3.head_object(**at)
    assert (shown["ObjectLockEventHold"], shown["ObjectLockEventHoldDurationDays"]) == ("ON", 30)
    assert s3.get_object_retention(**at)["Retention"] == {"EventHold": "ON", "EventHoldDuration": {"Days": 30}}
    assert refusal(lambda: s3.delete_object(**at, BypassGovernanceRetention=True)) == (403, "AccessDenied")
    shorter = {"EventHold": "ON", "EventHoldDuration": {"Days": 29}}
    assert refusal(lambda: s3.put_object_retention(**at, Retention=shorter)) == (403, "AccessDenied")
    s3.put_object_retention(**at, Retention={"EventHold": "ON", "EventHoldDuration": {"Years": 1}})
    s3.put_object_retention(**at, Retention={"EventHold": "OFF"})
    found = s3.get_object_retention(**at)["Retention"]
    assert (found["EventHold"], found["Mode"]) == ("OFF", "GOVERNANCE")
    assert timedelta(days=364) < found["RetainUntilDate"] - datetime.now(UTC) < timedelta(days=367)
    assert refusal(lambda: s3.delete_object(**at)) == (403, "AccessDenied")
    s3.delete_object(**at, BypassGovernanceRetention=True)


def test_a_default_event_hold_counts_for_new_versions(s3: Any, locked: str) -> None:
    rule = {"DefaultRetention": {"DefaultEventHold": {"Years": 2}}}
    wanted = {"ObjectLockEnabled": "Enabled", "Rule": rule}
    s3.put_object_lock_configuration(Bucket=locked, ObjectLockConfiguration=wanted)
    assert s3.get_object_lock_configuration(Bucket=locked)["ObjectLockConfiguration"] == wanted
    at = put(s3, locked)
    assert s3.head_object(**at)["ObjectLockEventHoldDurationYears"] == 2
    s3.put_object_retention(**at, Retention={"EventHold": "OFF"})
    s3.delete_object(**at, BypassGovernanceRetention=True)


def test_of_many_versions_each_is_deleted_or_refused_by_itself(s3: Any, locked: str) -> None:
    held, free = put(s3, locked, "held", **GOVERNED), put(s3, locked, "free")
    objects = [{name: at[name] for name in ("Key", "VersionId")} for at in (held, free)]
    answer = s3.delete_objects(Bucket=locked, Delete={"Objects": objects})
    assert [one["Key"] for one in answer["Deleted"]] == ["free"]
    assert [(one["Key"], one["Code"]) for one in answer["Errors"]] == [("held", "AccessDenied")]
    answer = s3.delete_objects(Bucket=locked, Delete={"Objects": objects}, BypassGovernanceRetention=True)
    assert sorted(one["Key"] for one in answer["Deleted"]) == ["free", "held"]


def test_a_held_version_stays_below_others_and_keeps_the_bucket(s3: Any, locked: str) -> None:
    first = put(s3, locked, body=b"first", **GOVERNED)
    second = put(s3, locked, body=b"second")
    s3.delete_object(**second)
    assert s3.get_object(Bucket=locked, Key="key")["Body"].read() == b"first"
    assert refusal(lambda: s3.delete_object(**first)) == (403, "AccessDenied")
    assert s3.get_object(Bucket=locked, Key="key")["Body"].read() == b"first"
    assert refusal(lambda: s3.delete_bucket(Bucket=locked)) == (409, "BucketNotEmpty")


def test_tags_and_acls_change_and_the_lock_stays(s3: Any, locked: str) -> None:
    at = put(s3, locked, **GOVERNED, ObjectLockLegalHoldStatus="ON")
    s3.put_object_tagging(**at, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    assert s3.get_object_tagging(**at)["TagSet"] == [{"Key": "a", "Value": "b"}]
    shown = s3.head_object(**at)
    assert (shown["ObjectLockMode"], shown["ObjectLockLegalHoldStatus"]) == ("GOVERNANCE", "ON")
    hold(s3, at, "OFF")
    assert s3.get_object_tagging(**at)["TagSet"] == [{"Key": "a", "Value": "b"}]


def test_a_copy_has_the_lock_of_its_request_and_not_of_its_source(s3: Any, locked: str, bucket: str) -> None:
    source = put(s3, locked, **GOVERNED, ObjectLockLegalHoldStatus="ON")
    copy = s3.copy_object(Bucket=locked, Key="copy", CopySource=source)
    at = {"Bucket": locked, "Key": "copy", "VersionId": copy["VersionId"]}
    assert not any(name.startswith("ObjectLock") for name in s3.head_object(**at))
    copy = s3.copy_object(Bucket=locked, Key="copy", CopySource=source, ObjectLockLegalHoldStatus="ON")
    at["VersionId"] = copy["VersionId"]
    assert s3.head_object(**at)["ObjectLockLegalHoldStatus"] == "ON"
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=source)
    assert not any(name.startswith("ObjectLock") for name in s3.head_object(Bucket=bucket, Key="copy"))


def test_an_upload_by_parts_has_the_lock_of_its_beginning(s3: Any, locked: str) -> None:
    at = {"Bucket": locked, "Key": "parts"}
    upload = s3.create_multipart_upload(**at, **GOVERNED)["UploadId"]
    tag = s3.upload_part(**at, UploadId=upload, PartNumber=1, Body=b"part")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": tag}]}
    at["VersionId"] = s3.complete_multipart_upload(**at, UploadId=upload, MultipartUpload=parts)["VersionId"]
    assert s3.head_object(**at)["ObjectLockMode"] == "GOVERNANCE"
    assert refusal(lambda: s3.delete_object(**at)) == (403, "AccessDenied")
    assert s3.get_object(**at)["Body"].read() == b"part"
    s3.delete_object(**at, BypassGovernanceRetention=True)


def test_delete_markers_have_no_lock_and_can_be_deleted(s3: Any, locked: str) -> None:
    put(s3, locked, **GOVERNED)
    marker = s3.delete_object(Bucket=locked, Key="key")["VersionId"]
    at = {"Bucket": locked, "Key": "key", "VersionId": marker}
    assert refusal(lambda: hold(s3, at, "ON")) == (405, "MethodNotAllowed")
    s3.delete_object(**at)
    assert s3.get_object(Bucket=locked, Key="key")["Body"].read() == b"body"


def test_objects_from_before_versioning_can_be_held(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="old", Body=b"old")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"})
    at = {"Bucket": bucket, "Key": "old", "VersionId": "null"}
    hold(s3, at, "ON")
    assert refusal(lambda: s3.delete_object(**at)) == (403, "AccessDenied")
    assert s3.get_object(**at)["Body"].read() == b"old"
    hold(s3, at, "OFF")
    s3.delete_object(**at)
    assert refusal(lambda: s3.head_object(Bucket=bucket, Key="old"))[0] == 404


# Races


def test_a_hold_and_a_deletion_exclude_each_other(s3: Any, locked: str) -> None:
    """One may be answered 503 on a busy machine, where it gives up waiting for the other: it was made or not."""
    refusals = ("AccessDenied", "NoSuchVersion", "OperationAborted", "ServiceUnavailable")
    made = 0
    for number in range(12):
        at = put(s3, locked, f"key{number % 3}")
        if number % 2:
            put(s3, locked, f"key{number % 3}")  # a newer version
        barrier = threading.Barrier(2)

        def run(call: Callable[[], Any], barrier: threading.Barrier = barrier) -> bool:
            barrier.wait()
            try:
                call()
            except ClientError as refused:
                assert refused.response["Error"]["Code"] in refusals
                return False
            return True

        with ThreadPoolExecutor(2) as pool:
            holding = pool.submit(run, lambda at=at: hold(s3, at, "ON"))
            deleting = pool.submit(run, lambda at=at: s3.delete_object(**at))
            held, deleted = holding.result(), deleting.result()
        try:
            found = s3.head_object(**at)
        except ClientError:
            found = None
        if held:
            assert found is not None, "it was held, and is gone"
            assert not deleted
            assert found["ObjectLockLegalHoldStatus"] == "ON"
        if deleted:
            assert found is None, "it was deleted, and is there"
        made += held or deleted
    assert made > 6


def test_extensions_and_shortenings_at_once_never_end_below_an_answered_extension(s3: Any, locked: str) -> None:
    at = put(s3, locked, ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=soon(30))
    dates = [soon(30 + 3 * number) for number in range(8)]

    def extend(until: datetime) -> datetime | None:
        try:
            retain(s3, at, "COMPLIANCE", until)
        except ClientError:
            return None
        return until

    with ThreadPoolExecutor(8) as pool:
        answered = [until for until in pool.map(extend, dates) if until is not None]
    found = s3.get_object_retention(**at)["Retention"]["RetainUntilDate"]
    assert answered
    assert found - max(answered) >= timedelta(milliseconds=-1)
