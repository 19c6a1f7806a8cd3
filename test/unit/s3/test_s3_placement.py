"""Objects whose data another policy keeps: what becomes of the data if the manifest is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from harness.in_process import InProcess

from objstore.core.names import Name
from objstore.core.policies import Policies, StoragePolicy
from objstore.s3 import headers, placement
from objstore.s3.errors import ERRORS, S3Error
from objstore.s3.native import Native
from objstore.s3.request import S3Request
from objstore.s3.storage_classes import StorageClasses
from objstore.s3.stored import Upload, Written

NAME = Name("AUTH_t", "b", "k")
POLICIES = Policies([StoragePolicy(0, "gold", default=True), StoragePolicy(1, "silver")])
UPLOAD = Upload({"Content-Type": "text/plain", headers.STORAGE_CLASS: "STANDARD_IA"}, body=b"data")
COLD = placement.hidden(placement.kind(placement.KIND, 1), "b")


class World:
    """A cluster of two policies, and a bucket whose objects of class STANDARD_IA the second keeps."""

    def __init__(self, root: Path) -> None:
        self.cluster = InProcess(root)
        self.native = Native(self.cluster.proxy)
        classes = StorageClasses({"STANDARD_IA": "silver"}, POLICIES)
        self.context: Any = SimpleNamespace(native=self.native, classes=classes)
        assert self.native.ask({}, "PUT", NAME.of_container).status == 201

    def write(self, commit: Callable[[Upload], Written], upload: Upload = UPLOAD) -> Written:
        request = S3Request({"REQUEST_METHOD": "PUT"}, "b", "k", {}, {}, None, None)  # type: ignore[arg-type]
        return placement.write(self.context, request, NAME, upload, commit)

    def data(self) -> list[bytes]:
        """All that the other policy keeps."""
        container = Name(NAME.account, COLD)
        rows = self.native.listing({}, container, {})
        return [self.native.ask({}, "GET", container._replace(object=row["name"])).read() for row in rows]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def refusing(code: str) -> Callable[[Upload], Written]:
    def commit(manifest: Upload) -> Written:
        raise S3Error(code)

    return commit


def test_the_data_are_there_before_their_manifest_is_committed(world: World) -> None:
    seen: list[list[bytes]] = []

    def commit(manifest: Upload) -> Written:
        seen.append(world.data())
        return Written("etag", "now")

    assert world.write(commit) == Written("etag", "now")
    assert seen == [[b"data"]] == [world.data()]


@pytest.mark.parametrize("code", ["PreconditionFailed", "NoSuchBucket", "BadDigest"])
def test_data_are_dropped_after_a_refusal(world: World, code: str) -> None:
    with pytest.raises(S3Error) as refused:
        world.write(refusing(code))
    assert refused.value.code == code
    assert world.data() == []


@pytest.mark.parametrize("code", sorted(code for code, error in ERRORS.items() if error.status >= 500))
def test_data_are_kept_after_an_error_as_their_manifest_may_be_there(world: World, code: str) -> None:
    """It would point to nothing; the rule had no test."""
    with pytest.raises(S3Error):
        world.write(refusing(code))
    assert world.data() == [b"data"]


def test_an_object_of_the_buckets_own_policy_is_written_as_it_is(world: World) -> None:
    plain = UPLOAD._replace(headers={"Content-Type": "text/plain"})
    committed: list[Upload] = []

    def commit(upload: Upload) -> Written:
        committed.append(upload)
        return Written("etag", "now")

    world.write(commit, plain)
    assert committed == [plain]
