"""Server access logging: configurations, the log objects that come of requests, and a server that is killed."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from harness.processes import Serve, wait_until
from harness.s3 import boto_client

LOG_DELIVERY = 'uri="http://acs.amazonaws.com/groups/s3/LogDelivery"'
READERS = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
FIELD = re.compile(r'\[[^]]*\]|"[^"]*"|[^ ]+')
OPERATION, KEY, REQUEST, STATUS, ERROR = 6, 7, 8, 9, 10
PATIENCE = 60.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """A server that delivers logs every second."""
    place = tmp_path_factory.mktemp("logging")
    made = quick(place)
    try:
        yield made
    finally:
        made.stop()


def quick(place: Path) -> Serve:
    made = Serve(place / "data", place / "log")
    made.start()
    made.stop()
    conf = place / "data/etc/proxy-server.conf"
    conf.write_text(conf.read_text().replace("[filter:s3]\n", "[filter:s3]\nbucket_log_interval = 1s\n"))
    made.start()
    return made


def client(server: Serve, **config: Any) -> Any:
    known = server.credentials
    return boto_client(known["endpoint"], known["user"], known["key"], **config)


@pytest.fixture(scope="module")
def s3(server: Serve) -> Any:
    return client(server)


def fresh(s3: Any, logs: bool = False) -> str:
    name = f"{'logs' if logs else 'test'}-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name)
    if logs:
        s3.put_bucket_acl(Bucket=name, ACL="log-delivery-write")
    return name


def enable(s3: Any, bucket: str, target: str, prefix: str = "", **more: Any) -> None:
    status = {"LoggingEnabled": {"TargetBucket": target, "TargetPrefix": prefix, **more}}
    s3.put_bucket_logging(Bucket=bucket, BucketLoggingStatus=status)


def refusal(call: Any, *arguments: Any, **options: Any) -> str:
    with pytest.raises(ClientError) as refused:
        call(*arguments, **options)
    code: str = refused.value.response["Error"]["Code"]
    return code


def records(s3: Any, target: str, prefix: str = "") -> list[list[str]]:
    """The fields of all records, in the order of the keys of the log objects."""
    found = []
    for item in s3.list_objects_v2(Bucket=target, Prefix=prefix).get("Contents", []):
        text = s3.get_object(Bucket=target, Key=item["Key"])["Body"].read().decode("ascii")
        assert text.endswith("\n")
        found += [FIELD.findall(line) for line in text.splitlines()]
    return found


def await_operations(s3: Any, target: str, wanted: list[str], prefix: str = "") -> list[list[str]]:
    """The records of a target bucket, once they are of all these operations, each as often as named."""

    def complete() -> bool:
        operations = [fields[OPERATION] for fields in records(s3, target, prefix)]
        return all(operations.count(name) >= wanted.count(name) for name in wanted)

    wait_until(complete, f"records of {wanted}", PATIENCE)
    return records(s3, target, prefix)


# Configurations


def test_a_bucket_has_no_logging_until_it_is_set_and_after_it_is_removed(s3: Any) -> None:
    bucket, target = fresh(s3), fresh(s3, logs=True)
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket=bucket)
    formats: list[dict[str, Any]] = [
        {"SimplePrefix": {}},
        {"PartitionedPrefix": {"PartitionDateSource": "DeliveryTime"}},
        {"PartitionedPrefix": {"PartitionDateSource": "EventTime"}},
    ]
    for key_format in formats:
        enable(s3, bucket, target, "a/", TargetObjectKeyFormat=key_format)
        expected = {"TargetBucket": target, "TargetPrefix": "a/", "TargetObjectKeyFormat": key_format}
        assert s3.get_bucket_logging(Bucket=bucket)["LoggingEnabled"] == expected
    s3.put_bucket_logging(Bucket=bucket, BucketLoggingStatus={})
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket=bucket)


def test_a_target_that_takes_no_logs_is_refused(server: Serve, s3: Any) -> None:
    bucket, target = fresh(s3), fresh(s3)
    assert refusal(enable, s3, bucket, target) == "InvalidTargetBucketForLogging"
    assert refusal(enable, s3, bucket, f"none-{uuid.uuid4().hex}") == "InvalidTargetBucketForLogging"
    s3.put_bucket_acl(Bucket=target, GrantWrite=LOG_DELIVERY)
    enable(s3, bucket, target)
    s3.put_bucket_request_payment(Bucket=target, RequestPaymentConfiguration={"Payer": "Requester"})
    assert refusal(enable, s3, bucket, target) == "InvalidTargetBucketForLogging"
    assert s3.get_bucket_logging(Bucket=bucket)["LoggingEnabled"]["TargetBucket"] == target


def test_a_policy_lets_logs_in_for_the_sources_and_prefixes_that_it_names(s3: Any) -> None:
    bucket, other, target = fresh(s3), fresh(s3), fresh(s3)
    owner = s3.list_buckets()["Owner"]["ID"]
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "logging.s3.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{target}/a/*",
        "Condition": {
            "StringEquals": {"aws:SourceAccount": owner},
            "ArnLike": {"aws:SourceArn": f"arn:aws:s3:::{bucket}"},
        },
    }
    s3.put_bucket_policy(Bucket=target, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    enable(s3, bucket, target, "a/")
    assert refusal(enable, s3, bucket, target, "b/") == "InvalidTargetBucketForLogging"
    assert refusal(enable, s3, other, target, "a/") == "InvalidTargetBucketForLogging"


def test_grants_of_log_objects_need_a_target_with_acls(s3: Any) -> None:
    bucket, target = fresh(s3), fresh(s3)
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "logging.s3.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{target}/*",
    }
    s3.put_bucket_policy(Bucket=target, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    controls = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    s3.put_bucket_ownership_controls(Bucket=target, OwnershipControls=controls)
    grants = [{"Grantee": {"Type": "Group", "URI": READERS}, "Permission": "READ"}]
    assert refusal(enable, s3, bucket, target, TargetGrants=grants) == "AccessControlListNotSupported"
    enable(s3, bucket, target)


# Records


def test_requests_become_records_in_a_log_object(server: Serve, s3: Any) -> None:
    bucket, target = fresh(s3), fresh(s3, logs=True)
    grants = [{"Grantee": {"Type": "Group", "URI": READERS}, "Permission": "READ"}]
    enable(s3, bucket, target, "p/", TargetGrants=grants)
    s3.put_object(Bucket=bucket, Key="a b", Body=b"hello")
    s3.get_object(Bucket=bucket, Key="a b", Range="bytes=1-2")["Body"].read()
    s3.copy_object(Bucket=bucket, Key="c", CopySource=f"{bucket}/a b")
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "c"}, {"Key": "d"}], "Quiet": True})
    assert refusal(s3.get_object, Bucket=bucket, Key="none") == "NoSuchKey"
    known = server.credentials
    wrong = boto_client(known["endpoint"], known["user"], "wrong")
    assert refusal(wrong.get_object, Bucket=bucket, Key="x") == "SignatureDoesNotMatch"
    wanted = ["REST.PUT.OBJECT", "REST.COPY.OBJECT", "REST.COPY.OBJECT_GET", "REST.POST.MULTI_OBJECT_DELETE"]
    wanted += ["BATCH.DELETE.OBJECT"] * 2 + ["REST.GET.OBJECT"] * 3
    found = await_operations(s3, target, wanted, "p/")
    assert {len(fields) for fields in found} == {27}
    owner = s3.list_buckets()["Owner"]["ID"]
    assert {tuple(fields[:2]) for fields in found} == {(owner, bucket)}

    def of(operation: str, key: str) -> list[str]:
        [one] = [fields for fields in found if fields[OPERATION] == operation and fields[KEY] == key]
        return one

    put = of("REST.PUT.OBJECT", "a%20b")
    assert put[REQUEST] == f'"PUT /{bucket}/a%20b HTTP/1.1"' and put[STATUS:13] == ["200", "-", "-", "5"]
    assert put[19] == "SigV4" and put[21] == "AuthHeader" and put[26] == "us-east-1"
    assert of("REST.GET.OBJECT", "a%20b")[STATUS:13] == ["206", "-", "2", "5"]
    assert of("REST.GET.OBJECT", "none")[STATUS:11] == ["404", "NoSuchKey"]
    denied = of("REST.GET.OBJECT", "x")
    assert denied[STATUS:11] == ["403", "SignatureDoesNotMatch"] and denied[4] == "-"
    assert of("REST.COPY.OBJECT_GET", "a%20b")[STATUS] == of("REST.COPY.OBJECT", "c")[STATUS] == "200"
    assert of("BATCH.DELETE.OBJECT", "c")[STATUS] == of("BATCH.DELETE.OBJECT", "d")[STATUS] == "204"
    [item, *_] = s3.list_objects_v2(Bucket=target, Prefix="p/")["Contents"]
    assert re.fullmatch(r"p/\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d-[0-9A-F]{16}", item["Key"])
    acl = s3.get_object_acl(Bucket=target, Key=item["Key"])
    assert acl["Owner"]["ID"] == owner
    assert [grant["Permission"] for grant in acl["Grants"]] == ["FULL_CONTROL", "READ"]


def test_a_copy_is_logged_in_the_bucket_of_its_source(s3: Any) -> None:
    source, bucket, target = fresh(s3), fresh(s3), fresh(s3, logs=True)
    s3.put_object(Bucket=source, Key="k", Body=b"hello")
    enable(s3, source, target)
    s3.copy_object(Bucket=bucket, Key="c", CopySource=f"{source}/k")
    found = await_operations(s3, target, ["REST.COPY.OBJECT_GET"])
    [copied] = [fields for fields in found if fields[OPERATION] == "REST.COPY.OBJECT_GET"]
    assert copied[1] == source and copied[KEY] == "k" and copied[REQUEST].startswith(f'"PUT /{bucket}/c ')


@pytest.mark.parametrize("source", ["EventTime", "DeliveryTime"])
def test_keys_are_partitioned(s3: Any, source: str) -> None:
    bucket, target = fresh(s3), fresh(s3, logs=True)
    enable(s3, bucket, target, "p/", TargetObjectKeyFormat={"PartitionedPrefix": {"PartitionDateSource": source}})
    s3.put_object(Bucket=bucket, Key="k", Body=b"hello")
    await_operations(s3, target, ["REST.PUT.OBJECT"])
    owner = s3.list_buckets()["Owner"]["ID"]
    time = "00-00-00" if source == "EventTime" else r"\d\d-\d\d-\d\d"
    pattern = rf"p/{owner}/us-east-1/{bucket}/(\d{{4}})/(\d\d)/(\d\d)/\1-\2-\3-{time}-[0-9A-F]{{16}}"
    for item in s3.list_objects_v2(Bucket=target)["Contents"]:
        assert re.fullmatch(pattern, item["Key"]), item["Key"]


def test_nothing_is_logged_after_logging_was_removed(s3: Any) -> None:
    bucket, target = fresh(s3), fresh(s3, logs=True)
    enable(s3, bucket, target)
    s3.put_object(Bucket=bucket, Key="before", Body=b"")
    s3.put_bucket_logging(Bucket=bucket, BucketLoggingStatus={})
    await_operations(s3, target, ["REST.PUT.LOGGING_STATUS"])
    s3.put_object(Bucket=bucket, Key="after", Body=b"")
    enable(s3, bucket, target, "later/")
    s3.put_object(Bucket=bucket, Key="later", Body=b"")
    await_operations(s3, target, ["REST.PUT.OBJECT"], "later/")
    keys = [fields[KEY] for fields in records(s3, target) if fields[OPERATION] == "REST.PUT.OBJECT"]
    assert sorted(keys) == ["before", "later"]


def test_a_killed_server_delivers_what_it_answered_once_it_is_back(tmp_path: Path) -> None:
    server = quick(tmp_path)
    try:
        s3 = client(server)
        bucket, target = fresh(s3), fresh(s3, logs=True)
        enable(s3, bucket, target)
        keys = []
        for kill in range(3):
            for number in range(20):
                keys.append(f"{kill}-{number}")
                s3.put_object(Bucket=bucket, Key=keys[-1], Body=b"hello")
            server.kill()
            server.start()
            s3 = client(server)
        await_operations(s3, target, ["REST.PUT.OBJECT"] * len(keys))
        logged = [fields[KEY] for fields in records(s3, target) if fields[OPERATION] == "REST.PUT.OBJECT"]
        assert sorted(logged) == sorted(keys)  # each of them, and once
        spool = tmp_path / "data/log/buckets"
        wait_until(lambda: not list(spool.glob("[0-9]*")), "delivered files to be removed", PATIENCE)
    finally:
        server.stop()
