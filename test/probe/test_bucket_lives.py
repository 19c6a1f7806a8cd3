"""Writers that race with DeleteBucket on three replicas, also while container servers are away."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError
from harness import bucket_races
from harness.bucket_races import RACERS, outcome
from harness.client import Client
from harness.cluster import Cluster
from harness.processes import wait_until
from harness.s3 import boto_client

RACES = 4


@pytest.fixture
def s3(cluster: Cluster) -> Any:
    ((user, facts),) = json.loads((cluster.etc / "users.json").read_text())["users"].items()
    return boto_client(cluster.endpoint, user, facts["key"])


def fresh() -> str:
    return f"race-{uuid.uuid4().hex[:12]}"


def is_wiped(s3: Any, bucket: str) -> bool:
    """Not while a replica that was away lists what the others know to be deleted."""
    try:
        bucket_races.wipe(s3, bucket)
    except ClientError:
        return False
    return True


@pytest.mark.parametrize("racer", RACERS)
@pytest.mark.parametrize("killed", [0, 1], ids=["all up", "one container server killed"])
def test_a_write_that_races_with_delete_bucket_is_kept_or_refused(
    cluster: Cluster, client: Client, s3: Any, racer: str, killed: int
) -> None:
    made = []
    for number in range(RACES):
        bucket = fresh()
        made.append(bucket)
        bucket_races.make(s3, bucket, RACERS[racer].versioned)
        if killed and number == 0:
            cluster.servers["container", cluster.locate(client.account, bucket).primaries[0]].kill()
        written, deleted = bucket_races.race(
            s3, bucket, RACERS[racer], lambda bucket=bucket: outcome(s3.delete_bucket, Bucket=bucket), number * 0.004
        )
        # Both can succeed if container servers are too slow to take the row at once: it is spooled, and brings the
        # bucket back with the object. `check` asks for that.
        bucket_races.check(s3, bucket, RACERS[racer], written, deleted)
    cluster.start()
    wait_until(lambda: not cluster.spooled(), "the spool to be empty", 60)
    for bucket in made:
        for each in (bucket, bucket_races.source_of(bucket)):
            wait_until(lambda each=each: is_wiped(s3, each), f"{each} to be deleted", 60)


def test_an_acknowledged_object_whose_row_comes_after_the_deletion_brings_its_bucket_back(
    cluster: Cluster, client: Client, s3: Any
) -> None:
    bucket = fresh()
    bucket_races.make(s3, bucket, False)
    s3.head_bucket(Bucket=bucket)  # the proxy knows it
    place = cluster.locate(client.account, bucket)
    for host in place.primaries:
        cluster.servers["container", host].kill()
    written = outcome(s3.put_object, Bucket=bucket, Key="k", Body=bucket_races.DATA)
    cluster.start()
    deleted = outcome(s3.delete_bucket, Bucket=bucket)
    if written.ok:
        # Until the row comes the bucket may be gone; then it is its owner's, with the object.
        wait_until(lambda: not cluster.spooled(), "the spool to be empty", 30)
        wait_until(lambda: outcome(s3.list_objects_v2, Bucket=bucket).ok, "the bucket to be back", 15)
        wait_until(
            lambda: bucket in [each["Name"] for each in s3.list_buckets()["Buckets"]], "the account to know it", 30
        )
        bucket_races.check_written(s3, bucket, RACERS["put"], written)
        wait_until(lambda: is_wiped(s3, bucket), f"{bucket} to be deleted", 60)
    else:
        assert deleted.ok
