"""S3 clients of the store that functional tests speak to, and buckets that are gone after a test."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from harness.processes import run
from harness.s3 import S3, boto_client
from harness.store import Store

MakeClient = Callable[..., Any]
OTHER_USER, OTHER_KEY = "s3other:owner", "other-secret"


@pytest.fixture(scope="session")
def other_keys(store: Store) -> tuple[str, str]:
    """Access and secret key of a user who owns another account."""
    data = store.started_here().data
    run("user", "add", OTHER_USER, "--data", str(data), "--key", OTHER_KEY, "--replace", "--admin")
    return OTHER_USER, OTHER_KEY


@pytest.fixture(scope="session")
def make_s3(store: Store) -> MakeClient:
    """Makes boto3 clients of the owner; arguments are botocore's Config."""
    return lambda **config: boto_client(store.endpoint, store.user, store.key, **config)


@pytest.fixture(scope="session")
def s3(make_s3: MakeClient) -> Any:
    """boto3's client of the owner."""
    return make_s3()


@pytest.fixture(scope="session")
def s3_other(store: Store, other_keys: tuple[str, str]) -> Any:
    """boto3's client of the other account's owner."""
    return boto_client(store.endpoint, *other_keys)


@pytest.fixture(scope="session")
def raw(store: Store) -> Iterator[S3]:
    """Requests of the owner's that are signed and sent as they are."""
    client = S3(store.endpoint, store.user, store.key)
    yield client
    client.close()


@pytest.fixture(scope="session")
def raw_other(store: Store, other_keys: tuple[str, str]) -> Iterator[S3]:
    client = S3(store.endpoint, *other_keys)
    yield client
    client.close()


@pytest.fixture
def new_bucket(s3: Any) -> Iterator[Callable[..., str]]:
    """Makes buckets of the owner's that are gone after the test; arguments are those of create_bucket."""
    made: list[str] = []

    def make(**options: Any) -> str:
        name = f"test-{uuid.uuid4().hex[:12]}"
        s3.create_bucket(Bucket=name, **options)
        made.append(name)
        return name

    yield make
    for name in made:
        wipe(s3, name)


@pytest.fixture
def bucket(new_bucket: Callable[..., str]) -> str:
    """The name of a bucket that is there for one test."""
    return new_bucket()


def wipe(s3: Any, name: str) -> None:
    """Delete a bucket with all that is in it, versions and uploads too."""
    try:
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=name):
            for one in page.get("Versions", []) + page.get("DeleteMarkers", []):
                s3.delete_object(Bucket=name, Key=one["Key"], VersionId=one["VersionId"])
        s3.delete_bucket(Bucket=name)
    except s3.exceptions.NoSuchBucket:
        pass
