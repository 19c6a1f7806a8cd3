"""Quotas of containers and accounts, through both APIs."""

from __future__ import annotations

import io
import json
import random
import tarfile
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest
from botocore.exceptions import ClientError
from harness.client import Client, exchange
from harness.processes import wait_until
from harness.s3 import boto_client
from harness.store import Store

WRITERS = 16
SIZE = 100 << 10  # bytes; more than a proxy reads before it asks nodes
BYTES = "X-Container-Meta-Quota-Bytes"
COUNT = "X-Container-Meta-Quota-Count"


class Guest(NamedTuple):
    """The admin of an account of its own. reseller: the same account as a reseller admin uses it."""

    client: Client
    reseller: Client
    user: str
    endpoint: str

    @property
    def s3(self) -> Any:
        return boto_client(self.endpoint, self.user, "secret")

    def used(self) -> int:
        """The bytes of all its containers, by their own accounts."""
        names = self.client.names("")
        return sum(int(self.client.head(name)["X-Container-Bytes-Used"]) for name in names)


@pytest.fixture
def guest(store: Store, owner: Client) -> Iterator[Guest]:
    user = f"quotas{uuid.uuid4().hex[:10]}:anna"
    client = store.add_user(user, "--admin")
    yield Guest(client, client.with_token(owner.token), user, store.endpoint)
    for name in client.names(""):
        client.wipe(name)
    client.close()


@pytest.fixture
def limited(owner: Client, new_container: Callable[[], str]) -> Callable[..., str]:
    """Makes a container with quotas."""

    def make(size: int | None = None, count: int | None = None) -> str:
        name = new_container()
        headers = {BYTES: "" if size is None else str(size), COUNT: "" if count is None else str(count)}
        assert owner.post(name, headers).status == 204
        return name

    return make


def at_once(write: Callable[[int], int], writers: int = WRITERS) -> list[int]:
    """The statuses of writes that run at the same time."""
    with ThreadPoolExecutor(writers) as pool:
        return list(pool.map(write, range(writers)))


def exceeds(answer: Any, text: str = "Upload exceeds quota.") -> bool:
    return answer.status == 413 and answer.text == text


# Containers


@pytest.mark.parametrize("value", ["abc", "-1", "1.5", "+5", "0x10", "9" * 30, "1 2", "é"])
def test_invalid_quotas(owner: Client, container: str, value: str) -> None:
    for header, text in ((BYTES, "Invalid bytes quota."), (COUNT, "Invalid count quota.")):
        for answer in (owner.post(container, {header: value}), owner.put(container, b"", {header: value})):
            assert (answer.status, answer.text) == (400, text)
        assert owner.put(f"{container}-new", b"", {header: value}).status == 400
    assert owner.head(f"{container}-new").status == 404
    assert owner.head(container).get(BYTES) is None


def test_quotas_are_shown_and_removed(owner: Client, container: str) -> None:
    assert owner.post(container, {BYTES: "10", COUNT: "0"}).status == 204
    head = owner.head(container)
    assert (head[BYTES], head[COUNT]) == ("10", "0")
    assert exceeds(owner.put(f"{container}/o", b""))
    assert owner.post(container, {COUNT: "", "X-Remove-Container-Meta-Quota-Bytes": "x"}).status == 204
    assert owner.head(container).get(BYTES) is None
    assert owner.put(f"{container}/o", b"a" * 20).status == 201


def test_bytes(owner: Client, limited: Callable[..., str]) -> None:
    name = limited(size=10)
    assert owner.put(f"{name}/a", b"a" * 6).status == 201
    assert exceeds(owner.put(f"{name}/b", b"b" * 5))
    assert owner.put(f"{name}/b", b"b" * 4).status == 201
    assert exceeds(owner.put(f"{name}/a", b"a" * 7))
    assert owner.get(f"{name}/a").body == b"a" * 6
    assert owner.put(f"{name}/a", b"A" * 6).status == 201
    assert owner.put(f"{name}/a", b"A").status == 201
    assert owner.put(f"{name}/c", b"c" * 5).status == 201
    assert owner.put(f"{name}/empty", b"").status == 201
    assert exceeds(owner.put(f"{name}/d", b"d"))
    assert owner.delete(f"{name}/c").status == 204
    assert owner.put(f"{name}/d", b"d" * 5).status == 201


def test_a_container_over_its_quota(owner: Client, container: str) -> None:
    assert owner.put(f"{container}/a", b"a" * 100).status == 201
    assert owner.post(container, {BYTES: "10"}).status == 204
    assert exceeds(owner.put(f"{container}/b", b"b"))
    assert owner.put(f"{container}/a", b"a" * 90).status == 201
    assert exceeds(owner.put(f"{container}/a", b"a" * 91))
    assert owner.post(f"{container}/a", {"X-Object-Meta-Color": "red"}).status == 202
    assert owner.put(f"{container}/a", b"a" * 5).status == 201
    assert owner.put(f"{container}/b", b"b").status == 201


def test_a_count(owner: Client, limited: Callable[..., str]) -> None:
    name = limited(count=2)
    assert owner.put(f"{name}/a", b"a").status == 201
    assert owner.put(f"{name}/b", b"b").status == 201
    assert exceeds(owner.put(f"{name}/c", b""))
    assert owner.put(f"{name}/b", b"bbb").status == 201
    assert owner.delete(f"{name}/a").status == 204
    assert owner.put(f"{name}/c", b"c").status == 201


def test_copies(owner: Client, container: str, limited: Callable[..., str]) -> None:
    name = limited(size=10, count=2)
    assert owner.put(f"{container}/a", b"a" * 8).status == 201
    assert owner.copy(f"{container}/a", f"{name}/a").status == 201
    assert exceeds(owner.copy(f"{container}/a", f"{name}/b"))
    assert exceeds(owner.put(f"{name}/b", b"", {"X-Copy-From": f"{container}/a"}))
    assert owner.copy(f"{container}/a", f"{name}/a").status == 201
    assert owner.names(name) == ["a"]


def test_a_body_of_unknown_length(owner: Client, limited: Callable[..., str]) -> None:
    name = limited(size=2 * SIZE)
    assert owner.put(f"{name}/a", iter([b"a" * SIZE])).status == 201
    assert exceeds(owner.put(f"{name}/b", iter([b"b" * SIZE, b"b"])))
    assert owner.put(f"{name}/b", iter([b"b" * SIZE])).status == 201
    assert int(owner.head(name)["X-Container-Bytes-Used"]) == 2 * SIZE


def test_a_long_body_is_refused_before_it_is_sent(owner: Client, limited: Callable[..., str]) -> None:
    name = limited(size=SIZE)
    head = (
        f"PUT {owner.root}/{name}/a HTTP/1.1\r\nHost: h\r\nX-Auth-Token: {owner.token}\r\n"
        f"Content-Length: {64 << 20}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    )
    answer = exchange(owner.address, head.encode())
    assert answer.startswith(b"HTTP/1.1 413 "), answer
    assert answer.endswith(b"Upload exceeds quota.")


@pytest.mark.parametrize("size", [1000, SIZE], ids=["small", "streamed"])
def test_many_writers_at_once(owner: Client, limited: Callable[..., str], store: Store, size: int) -> None:
    """Each uploads for a while; what fits must get in, and nothing more."""
    name = limited(size=5 * size, count=100)

    def write(number: int) -> int:
        client = owner.with_token(owner.token)
        try:
            return client.put(f"{name}/{number}", iter([b"x" * (size // 4)] * 4)).status
        finally:
            client.close()

    statuses = at_once(write)
    assert sorted(set(statuses)) == [201, 413]
    assert statuses.count(201) == 5
    wait_until(lambda: int(owner.head(name)["X-Container-Bytes-Used"]) == 5 * size, "the listing")
    assert len(owner.names(name)) == 5


def test_many_writers_of_a_count(owner: Client, limited: Callable[..., str]) -> None:
    name = limited(count=3)

    def write(number: int) -> int:
        client = owner.with_token(owner.token)
        try:
            return client.put(f"{name}/{number}", b"x").status
        finally:
            client.close()

    assert at_once(write).count(201) == 3
    assert len(owner.names(name)) == 3


def test_uploads_that_fail_take_room_from_no_other(owner: Client, limited: Callable[..., str]) -> None:
    name = limited(size=10 * SIZE)

    def write(number: int) -> int:
        client = owner.with_token(owner.token)
        headers = {} if number < 10 else {"Etag": "0" * 32}
        try:
            return client.put(f"{name}/{number}", b"x" * SIZE, headers).status
        finally:
            client.close()

    statuses = at_once(write)
    assert statuses[:10] == [201] * 10
    assert set(statuses[10:]) <= {422, 413}


def test_random_writers_of_the_same_names(owner: Client, limited: Callable[..., str]) -> None:
    name = limited(size=1000, count=6)
    seed = random.randrange(1 << 30)
    print("seed", seed)

    def write(number: int) -> int:
        chance = random.Random(seed + number)
        client = owner.with_token(owner.token)
        worst = 0
        try:
            for _ in range(12):
                path = f"{name}/{chance.randrange(8)}"
                if chance.random() < 0.2:
                    client.delete(path)
                else:
                    assert client.put(path, b"x" * chance.randrange(400)).status in (201, 413)
                worst = max(worst, int(client.head(name)["X-Container-Bytes-Used"]))
        finally:
            client.close()
        return worst

    assert max(at_once(write, 8)) <= 1000
    assert int(owner.head(name)["X-Container-Object-Count"]) <= 6


def test_static_large_objects_count_in_full(
    owner: Client, new_container: Callable[[], str], limited: Callable[..., str]
) -> None:
    segments, name = new_container(), limited(size=10)
    assert owner.put(f"{segments}/1", b"s" * 8).status == 201

    def put(times: int) -> Any:
        manifest = [{"path": f"/{segments}/1"}] * times
        return owner.request("PUT", f"{name}/slo", {}, json.dumps(manifest).encode(), "multipart-manifest=put")

    assert exceeds(put(2))
    assert put(1).status == 201
    assert exceeds(owner.put(f"{name}/a", b"a" * 3))
    assert owner.put(f"{name}/a", b"a" * 2).status == 201
    assert put(1).status == 201
    assert owner.get(f"{name}/slo").body == b"s" * 8


def test_members_of_an_archive(owner: Client, limited: Callable[..., str]) -> None:
    name = limited(size=10)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for key, size in (("a", 6), ("b", 5), ("c", 4)):
            member = tarfile.TarInfo(key)
            member.size = size
            tar.addfile(member, io.BytesIO(b"x" * size))
    answer = owner.request("PUT", name, {"Accept": "application/json"}, archive.getvalue(), "extract-archive=tar")
    assert answer.status == 200
    assert answer.json["Response Status"] == "400 Bad Request"
    assert answer.json["Number Files Created"] == 2
    assert [status[:3] for _, status in answer.json["Errors"]] == ["413"]
    assert owner.names(name) == ["a", "c"]


def test_versions_of_swift(owner: Client, limited: Callable[..., str]) -> None:
    name = limited(size=10)
    assert owner.post(name, {"X-Versions-Enabled": "true"}).status == 204
    assert owner.put(f"{name}/a", b"a" * 6).status == 201
    assert owner.put(f"{name}/a", b"a" * 4).status == 201
    assert exceeds(owner.put(f"{name}/a", b"a"))
    assert owner.delete(f"{name}/a").status == 204
    assert exceeds(owner.put(f"{name}/b", b"b"))


def test_an_archived_object_comes_back_into_a_full_container(
    owner: Client, new_container: Callable[[], str], limited: Callable[..., str]
) -> None:
    archive, name = new_container(), limited(size=10)
    assert owner.post(name, {"X-Versions-Location": archive}).status == 204
    assert owner.put(f"{name}/a", b"a" * 8).status == 201
    assert owner.put(f"{name}/a", b"b").status == 201
    assert owner.put(f"{name}/c", b"c" * 9).status == 201
    assert owner.delete(f"{name}/a").status == 204
    assert owner.get(f"{name}/a").body == b"a" * 8
    assert exceeds(owner.put(f"{name}/d", b"d"))


# S3


@pytest.fixture
def s3(store: Store) -> Any:
    return boto_client(store.endpoint, store.user, store.key)


def code_of(call: Callable[..., Any], **options: Any) -> tuple[int, str]:
    """Status and code of a call of boto3's, 200 and nothing if it succeeds."""
    try:
        call(**options)
    except ClientError as error:
        response: Any = error.response
        return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]
    return 200, ""


FULL = (403, "QuotaExceeded")


def test_s3_writes(s3: Any, owner: Client, limited: Callable[..., str]) -> None:
    bucket = limited(size=10, count=3)
    assert code_of(s3.put_object, Bucket=bucket, Key="a", Body=b"a" * 6) == (200, "")
    assert code_of(s3.put_object, Bucket=bucket, Key="b", Body=b"b" * 5) == FULL
    source = {"Bucket": bucket, "Key": "a"}
    assert code_of(s3.copy_object, Bucket=bucket, Key="b", CopySource=source) == FULL
    assert code_of(s3.put_object, Bucket=bucket, Key="a", Body=b"a" * 10) == (200, "")
    s3.delete_object(Bucket=bucket, Key="a")
    assert code_of(s3.put_object, Bucket=bucket, Key="b", Body=b"b" * 10) == (200, "")
    assert owner.names(bucket) == ["b"]


def test_s3_writers_at_once(s3: Any, owner: Client, limited: Callable[..., str], store: Store) -> None:
    bucket = limited(size=5 * SIZE)

    def write(number: int) -> int:
        client = boto_client(store.endpoint, store.user, store.key)
        return code_of(client.put_object, Bucket=bucket, Key=str(number), Body=b"x" * SIZE)[0]

    statuses = at_once(write)
    assert sorted(set(statuses)) == [200, 403]
    assert statuses.count(200) == 5
    assert len(owner.names(bucket)) == 5


def test_s3_versions_count(s3: Any, owner: Client, limited: Callable[..., str]) -> None:
    bucket = limited(size=10, count=2)
    s3.put_object(Bucket=bucket, Key="plain", Body=b"p" * 2)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket=bucket, Key="a", Body=b"a" * 4)["VersionId"]
    s3.put_object(Bucket=bucket, Key="a", Body=b"b" * 4)
    assert code_of(s3.put_object, Bucket=bucket, Key="a", Body=b"c") == FULL
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"b" * 4
    # Deletions are never refused, and a marker takes no room.
    s3.delete_object(Bucket=bucket, Key="a")
    s3.delete_object(Bucket=bucket, Key="plain")
    assert code_of(s3.put_object, Bucket=bucket, Key="a", Body=b"c") == FULL
    s3.delete_object(Bucket=bucket, Key="a", VersionId=first)
    assert code_of(s3.put_object, Bucket=bucket, Key="a", Body=b"c" * 4) == (200, "")
    assert code_of(s3.put_object, Bucket=bucket, Key="b", Body=b"c") == FULL


def test_s3_versions_written_before_the_quota(s3: Any, owner: Client, container: str) -> None:
    s3.put_bucket_versioning(Bucket=container, VersioningConfiguration={"Status": "Enabled"})
    for _ in range(3):
        s3.put_object(Bucket=container, Key="a", Body=b"a" * 4)
    assert owner.post(container, {BYTES: "13"}).status == 204
    assert code_of(s3.put_object, Bucket=container, Key="a", Body=b"a" * 2) == FULL
    assert code_of(s3.put_object, Bucket=container, Key="a", Body=b"a") == (200, "")


def test_s3_markers_are_removed_at_the_count(s3: Any, owner: Client, limited: Callable[..., str]) -> None:
    bucket = limited(count=1)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket=bucket, Key="a", Body=b"a")
    marker = s3.delete_object(Bucket=bucket, Key="a")["VersionId"]
    s3.put_object(Bucket=bucket, Key="b", Body=b"b")
    assert code_of(s3.put_object, Bucket=bucket, Key="c", Body=b"c") == FULL
    assert code_of(s3.delete_object, Bucket=bucket, Key="a", VersionId=marker) == (200, "")
    assert owner.names(bucket) == ["a", "b"]


PART = 5 << 20


def test_s3_uploads_by_parts(s3: Any, owner: Client, limited: Callable[..., str]) -> None:
    """Parts count when they are uploaded. The object that they become takes no more room."""
    bucket = limited(size=2 * PART + 10)
    names = {"Bucket": bucket, "Key": "key"}
    upload = s3.create_multipart_upload(**names)["UploadId"]
    etags = [s3.upload_part(**names, UploadId=upload, PartNumber=number, Body=b"p" * PART)["ETag"] for number in (1, 2)]
    refused = code_of(s3.upload_part, **names, UploadId=upload, PartNumber=3, Body=b"p" * 11)
    assert refused == FULL
    assert code_of(s3.put_object, Bucket=bucket, Key="other", Body=b"p" * 11) == FULL
    assert code_of(s3.put_object, Bucket=bucket, Key="other", Body=b"p" * 10) == (200, "")
    parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
    s3.complete_multipart_upload(**names, UploadId=upload, MultipartUpload={"Parts": parts})
    assert s3.head_object(**names)["ContentLength"] == 2 * PART
    assert code_of(s3.put_object, Bucket=bucket, Key="more", Body=b"p") == FULL
    s3.delete_object(**names)
    assert code_of(s3.put_object, Bucket=bucket, Key="more", Body=b"p" * PART) == (200, "")


def test_s3_an_upload_that_is_aborted_frees_its_room(s3: Any, limited: Callable[..., str]) -> None:
    bucket = limited(size=PART)
    names = {"Bucket": bucket, "Key": "key"}
    upload = s3.create_multipart_upload(**names)["UploadId"]
    s3.upload_part(**names, UploadId=upload, PartNumber=1, Body=b"p" * PART)
    assert code_of(s3.put_object, Bucket=bucket, Key="a", Body=b"a") == FULL
    s3.abort_multipart_upload(**names, UploadId=upload)
    assert code_of(s3.put_object, Bucket=bucket, Key="a", Body=b"a" * PART) == (200, "")


# Accounts


ACCOUNT_BYTES = "X-Account-Quota-Bytes"
ACCOUNT_COUNT = "X-Account-Quota-Count"
LEGACY = "X-Account-Meta-Quota-Bytes"


@pytest.mark.parametrize("name", [ACCOUNT_BYTES, ACCOUNT_COUNT, LEGACY, "X-Account-Quota-Bytes-Policy-Gold"])
def test_only_a_reseller_admin_sets_quotas_of_accounts(guest: Guest, name: str) -> None:
    for header in (name, name.replace("X-", "X-Remove-", 1)):
        assert guest.client.post("", {header: "10"}).status == 403
    assert guest.client.head().get(name) is None


def test_invalid_quotas_of_accounts(guest: Guest) -> None:
    for header in (ACCOUNT_BYTES, ACCOUNT_COUNT, LEGACY):
        for value in ("abc", "-1", "1.5"):
            assert guest.reseller.post("", {header: value}).status == 400
    assert guest.reseller.post("", {"X-Account-Quota-Bytes-Policy-Nope": "1"}).status == 400
    assert guest.client.head().get(ACCOUNT_BYTES) is None


def test_quotas_of_an_account_are_shown_and_removed(guest: Guest) -> None:
    assert guest.reseller.post("", {LEGACY: "5"}).status == 204
    head = guest.client.head()
    assert (head[ACCOUNT_BYTES], head[LEGACY]) == ("5", "5")
    assert guest.reseller.post("", {ACCOUNT_BYTES: "8", ACCOUNT_COUNT: "7"}).status == 204
    head = guest.client.head()
    assert (head[ACCOUNT_BYTES], head[LEGACY], head[ACCOUNT_COUNT]) == ("8", "8", "7")
    removed = {"X-Remove-Account-Quota-Count": "x", "X-Remove-Account-Meta-Quota-Bytes": "x"}
    assert guest.reseller.post("", removed).status == 204
    head = guest.client.head()
    assert [head.get(name) for name in (ACCOUNT_BYTES, LEGACY, ACCOUNT_COUNT)] == [None] * 3


def test_bytes_of_an_account(guest: Guest) -> None:
    client = guest.client
    assert guest.reseller.post("", {ACCOUNT_BYTES: "10"}).status == 204
    assert client.put("c").status == client.put("d").status == 201
    assert client.put("c/a", b"a" * 6).status == 201
    assert exceeds(client.put("d/a", b"a" * 5))
    assert client.put("d/a", b"a" * 4).status == 201
    assert client.put("c/a", b"A" * 6).status == 201
    assert exceeds(client.put("c/b", b"b"))
    assert client.put("c/a", b"a").status == 201
    wait_until(lambda: client.put("c/b", b"b" * 5).status == 201, "the room to be free")
    assert client.delete("c/b").status == 204
    wait_until(lambda: client.put("d/b", b"b" * 5).status == 201, "the room to be free")
    # Reseller admins may exceed it.
    assert guest.reseller.put("d/c", b"c" * 100).status == 201
    assert exceeds(client.put("d/d", b"d"))
    assert code_of(guest.s3.put_object, Bucket="c", Key="d", Body=b"d") == FULL
    assert client.put("d/d", b"").status == 201


def test_a_count_of_an_account(guest: Guest) -> None:
    assert guest.reseller.post("", {ACCOUNT_COUNT: "2"}).status == 204
    assert guest.client.put("c").status == 201
    assert guest.client.put("c/a", b"a").status == 201
    assert guest.client.put("c/b", b"b").status == 201
    assert exceeds(guest.client.put("c/c", b"c"))
    assert guest.client.put("c/b", b"b").status == 201


def test_a_quota_of_a_policy(guest: Guest) -> None:
    assert guest.client.put("c").status == 201
    policy = guest.client.head("c")["X-Storage-Policy"]
    header = f"{ACCOUNT_BYTES}-Policy-{policy.title()}"
    assert guest.reseller.post("", {header: "5"}).status == 204
    assert guest.client.head()[header] == "5"
    assert exceeds(guest.client.put("c/a", b"a" * 6), "Upload exceeds policy quota.")
    assert guest.client.put("c/a", b"a" * 5).status == 201
    assert guest.reseller.post("", {header: ""}).status == 204
    assert guest.client.put("c/a", b"a" * 6).status == 201


def test_writers_at_once_in_an_account(guest: Guest) -> None:
    containers = ["c0", "c1", "c2"]
    for name in containers:
        assert guest.client.put(name).status == 201
    assert guest.reseller.post("", {ACCOUNT_BYTES: str(5 * SIZE)}).status == 204

    def write(number: int) -> int:
        path = f"{containers[number % 3]}/{number}"
        if number % 2:
            bucket, _, key = path.partition("/")
            return code_of(guest.s3.put_object, Bucket=bucket, Key=key, Body=b"x" * SIZE)[0]
        client = guest.client.with_token(guest.client.token)
        try:
            return client.put(path, iter([b"x" * (SIZE // 4)] * 4)).status
        finally:
            client.close()

    statuses = at_once(write)
    assert set(statuses) <= {200, 201, 403, 413}
    assert sum(status < 300 for status in statuses) == 5
    assert guest.used() == 5 * SIZE


def test_random_writers_of_an_account(guest: Guest) -> None:
    assert guest.client.put("c").status == guest.client.put("d").status == 201
    assert guest.reseller.post("", {ACCOUNT_BYTES: "1000"}).status == 204
    seed = random.randrange(1 << 30)
    print("seed", seed)

    def write(number: int) -> int:
        chance = random.Random(seed + number)
        client = guest.client.with_token(guest.client.token)
        try:
            for _ in range(8):
                path = f"{chance.choice('cd')}/{chance.randrange(4)}"
                assert client.put(path, b"x" * chance.randrange(400)).status in (201, 413)
        finally:
            client.close()
        return 0

    at_once(write, 8)
    assert guest.used() <= 1000


# Both


def test_info(owner: Client) -> None:
    info = owner.send("GET", "/info").json
    assert info["container_quotas"] == {}
    assert info["account_quotas"] == {}


@pytest.mark.parametrize("store", ["one_device"], indirect=True)
def test_swiftclient_sets_and_meets_a_quota(store: Store, container: str) -> None:
    from swiftclient import ClientException, Connection

    connection = Connection(f"{store.endpoint}/auth/v1.0", store.user, store.key, retries=0)
    connection.post_container(container, {BYTES: "3"})
    connection.put_object(container, "a", b"abc")
    with pytest.raises(ClientException) as caught:
        connection.put_object(container, "b", b"b")
    assert caught.value.http_status == 413
    connection.close()
