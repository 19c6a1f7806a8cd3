"""A server that is killed under versioned writes: what it has answered is there when it is back."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from harness.processes import Serve
from harness.s3 import boto_client

WRITERS = 6
KEYS = ("a", "b/c")
BUCKET = "kept"


class Ledger:
    """What was answered. made: version id to key and data (None for a marker). unsure: deletions without an answer."""

    def __init__(self) -> None:
        self.made: dict[str, tuple[str, bytes | None]] = {}
        self.gone: set[str] = set()
        self.unsure: set[str] = set()


def client(server: Serve) -> Any:
    known = server.credentials
    return boto_client(known["endpoint"], known["user"], known["key"])


def work(server: Serve, ledger: Ledger, number: int, over: threading.Event) -> None:
    """Write, mark and delete until the server is gone."""
    s3, chance = client(server), random.Random(number)
    turn = 0
    while not over.is_set():
        turn += 1
        key, act = chance.choice(KEYS), chance.random()
        version = ""
        try:
            if act < 0.6:
                data = b"%d %d" % (number, turn)
                condition = {"IfNoneMatch": "*"} if act < 0.1 else {}
                answer = s3.put_object(Bucket=BUCKET, Key=key, Body=data, **condition)
                ledger.made[answer["VersionId"]] = key, data
            elif act < 0.8:
                ledger.made[s3.delete_object(Bucket=BUCKET, Key=key)["VersionId"]] = key, None
            else:
                version = chance.choice(sorted(set(ledger.made) - ledger.unsure) or [""])
                if version:
                    ledger.unsure.add(version)
                    s3.delete_object(Bucket=BUCKET, Key=ledger.made[version][0], VersionId=version)
                    ledger.gone.add(version)
        except ClientError as refused:
            assert refused.response["ResponseMetadata"]["HTTPStatusCode"] in (409, 412, 503), refused
        except BotoCoreError:
            return


def check(s3: Any, ledger: Ledger) -> None:
    found: dict[str, dict[str, Any]] = {}
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=BUCKET, PaginationConfig={"PageSize": 50}):
        for one in page.get("Versions", []):
            found[one["VersionId"]] = {**one, "Marker": False}
        for one in page.get("DeleteMarkers", []):
            found[one["VersionId"]] = {**one, "Marker": True}
    assert not set(ledger.made) - ledger.unsure - set(found), "answered versions are lost"
    assert not ledger.gone & set(found), "deleted versions are back"
    for version, (key, data) in ledger.made.items():
        # One whose deletion was cut short may be listed though it is gone: the row goes after the object.
        if version in found and data is not None and version not in ledger.unsure:
            assert s3.get_object(Bucket=BUCKET, Key=key, VersionId=version)["Body"].read() == data
    for key in KEYS:
        latest = [one for one in found.values() if one["Key"] == key and one["IsLatest"]]
        assert len(latest) == (1 if any(one["Key"] == key for one in found.values()) else 0)
        if latest and latest[0]["VersionId"] in ledger.unsure:
            continue  # its deletion was cut short: its row is still there, and another version may be current
        if latest and not latest[0]["Marker"]:
            assert s3.head_object(Bucket=BUCKET, Key=key)["VersionId"] == latest[0]["VersionId"]
        else:
            with pytest.raises(ClientError) as missing:
                s3.head_object(Bucket=BUCKET, Key=key)
            headers = missing.value.response["ResponseMetadata"]["HTTPHeaders"]
            assert headers.get("x-amz-version-id") == (latest[0]["VersionId"] if latest else None)
    # What was never answered may be there, as it may have taken effect; it is whole then.
    for version in set(found) - set(ledger.made):
        if not found[version]["Marker"]:
            s3.get_object(Bucket=BUCKET, Key=found[version]["Key"], VersionId=version)["Body"].read()


def test_a_killed_server_has_kept_what_it_answered(tmp_path: Path) -> None:
    server = Serve(tmp_path / "data", tmp_path / "log")
    ledger = Ledger()
    server.start()
    try:
        s3 = client(server)
        s3.create_bucket(Bucket=BUCKET)
        s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        for kill in range(3):
            over = threading.Event()
            threads = [
                threading.Thread(target=work, args=(server, ledger, kill * WRITERS + number, over))
                for number in range(WRITERS)
            ]
            for thread in threads:
                thread.start()
            wanted, deadline = len(ledger.made) + 15 + kill, time.monotonic() + 30
            while len(ledger.made) < wanted and time.monotonic() < deadline:
                time.sleep(0.01)
            server.kill()
            over.set()
            for thread in threads:
                thread.join()
            server.start()
            check(client(server), ledger)
        assert len(ledger.made) >= 45
    finally:
        server.stop()
