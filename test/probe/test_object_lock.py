"""Object lock on a cluster that is hurt: what was answered as held stays held, and nothing held is freed."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from harness.client import Client
from harness.cluster import Cluster
from harness.processes import wait_until
from harness.s3 import boto_client

from objstore.core.names import hidden
from objstore.layers.versions.names import entry, parse_id

HOUR = timedelta(hours=1)


@pytest.fixture
def s3(cluster: Cluster) -> Any:
    ((user, facts),) = json.loads((cluster.etc / "users.json").read_text())["users"].items()
    return boto_client(cluster.endpoint, user, facts["key"])


@pytest.fixture
def bucket(s3: Any) -> Iterator[str]:
    name = f"lock-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    yield name


def put(s3: Any, bucket: str, **options: Any) -> dict[str, str]:
    version = s3.put_object(Bucket=bucket, Key="key", Body=b"held", **options)["VersionId"]
    return {"Bucket": bucket, "Key": "key", "VersionId": version}


def outcome(call: Callable[[], Any]) -> str:
    """The code of an answer, '' for success and `unclear` for no answer."""
    try:
        call()
    except ClientError as refused:
        code: str = refused.response["Error"]["Code"]
        return code if refused.response["ResponseMetadata"]["HTTPStatusCode"] < 500 else "unclear"
    except BotoCoreError:
        return "unclear"
    return ""


def place(cluster: Cluster, client: Client, at: dict[str, str]) -> list[int]:
    """The hosts of the primaries of a version's entry."""
    ref = parse_id(at["VersionId"])
    assert ref is not None
    return cluster.locate(client.account, hidden("versions", at["Bucket"]), entry("key", ref)).primaries


def test_a_host_that_missed_a_hold_frees_nothing_and_gets_it(
    cluster: Cluster, client: Client, s3: Any, bucket: str
) -> None:
    at = put(s3, bucket)
    s3.put_object(Bucket=bucket, Key="key", Body=b"newer")
    hosts = place(cluster, client, at)
    for number, away in enumerate(hosts):
        until = datetime.now(UTC).replace(microsecond=0) + (number + 1) * HOUR
        cluster.servers["object", away].kill()
        retention: dict[str, Any] = {"Mode": "COMPLIANCE", "RetainUntilDate": until}
        wait_until(
            lambda kept=retention: outcome(lambda: s3.put_object_retention(**at, Retention=kept)) == "", "the hold", 60
        )
        cluster.start()
        other = hosts[(number + 1) % len(hosts)]
        cluster.servers["object", other].kill()
        assert outcome(lambda: s3.delete_object(**at, BypassGovernanceRetention=True)) in ("AccessDenied", "unclear")
        cluster.start()
        assert outcome(lambda: s3.delete_object(**at)) == "AccessDenied"
        wait_until(lambda kept=retention: s3.get_object_retention(**at)["Retention"] == kept, "the hold it missed", 120)
    assert s3.get_object(**at)["Body"].read() == b"held"
