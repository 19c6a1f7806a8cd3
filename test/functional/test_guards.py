"""Filters that refuse or delay permitted requests, through both APIs: ratelimit, read_only, name_check; and
list_endpoints."""

from __future__ import annotations

import io
import tarfile
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from harness.client import Client, log_in
from harness.processes import Serve
from harness.s3 import boto_client
from harness.store import Store

FILTERS = """
[filter:ratelimit]
use = egg:objstore#ratelimit
ratelimit_file = %(here)s/../run/ratelimit.state
max_sleep_time_seconds = 1
account_ratelimit = 4
container_ratelimit_3 = 5
container_listing_ratelimit_3 = 4

[filter:read_only]
use = egg:objstore#read_only
allow_deletes = yes

[filter:name_check]
use = egg:objstore#name_check
maximum_length = 120

[filter:list_endpoints]
use = egg:objstore#list_endpoints
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store of two workers with these filters."""
    place: Path = tmp_path_factory.mktemp("guards")
    server = Serve(place / "data", place / "log", workers=2)
    server.start()
    server.stop()
    conf = place / "data/etc/proxy-server.conf"
    text = conf.read_text()
    assert " s3 " in text
    conf.write_text(text.replace(" s3 ", " list_endpoints ratelimit read_only name_check s3 ", 1) + FILTERS)
    server.start()
    known = server.credentials
    yield Store(known["endpoint"], known["user"], known["key"], server)
    server.stop()


@pytest.fixture(scope="module")
def owner(store: Store) -> Iterator[Client]:
    """A reseller admin."""
    client = log_in(store.endpoint, store.user, store.key)
    yield client
    client.close()


class User:
    """The admin of an account that nobody has used, with both APIs."""

    def __init__(self, store: Store) -> None:
        name = f"acc{uuid.uuid4().hex[:8]}:owner"
        self.swift = store.add_user(name, "--admin")
        self.s3 = boto_client(store.endpoint, name, "secret")


@pytest.fixture
def user(store: Store) -> User:
    return User(store)


def error_of(call: Callable[..., Any], **arguments: Any) -> tuple[int, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    response = caught.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


def many(client: Client, count: int, ask: Callable[[Client, int], int]) -> tuple[list[int], float]:
    """Return the statuses of concurrent requests, each on a connection of its own, and the seconds that all took."""

    def one(number: int) -> int:
        own = client.with_token(client.token)
        try:
            return ask(own, number)
        finally:
            own.close()

    started = time.monotonic()
    with ThreadPoolExecutor(count) as pool:
        statuses = list(pool.map(one, range(count)))
    return statuses, time.monotonic() - started


# ratelimit


def test_containers_are_created_at_the_rate_of_an_account(user: User) -> None:
    statuses, seconds = many(user.swift, 12, lambda client, number: client.put(f"c{number}").status)
    # At 4 per second and with a wait of at most 1 s: those on time, and those that were refused at once.
    assert 4 <= statuses.count(201) <= 6
    assert statuses.count(498) == 12 - statuses.count(201)
    assert 0.7 < seconds < 5
    time.sleep(1.2)
    answer = user.swift.put("later")
    assert answer.status == 201
    refused = [user.swift.put("later") for _ in range(1)]
    assert refused[0].status in (202, 498)


def test_a_refusal_has_swifts_body(user: User) -> None:
    answers: list[Any] = []
    many(user.swift, 12, lambda client, number: answers.append(client.put(f"c{number}")) or 0)
    refused = next(answer for answer in answers if answer.status == 498)
    assert refused.body == b"Slow down"


def test_objects_of_a_container_beyond_the_size_are_limited(user: User) -> None:
    assert user.swift.put("c").status == 201
    for number in range(4):  # below the first size
        assert user.swift.put(f"c/o{number}", b"x").status == 201
    deadline = time.monotonic() + 5  # until the cached count is known to be larger
    while user.swift.head("c")["X-Container-Object-Count"] != "4" and time.monotonic() < deadline:
        time.sleep(0.1)
    assert user.swift.post("c", {"X-Container-Meta-A": "1"}).status == 204  # drops what is cached of it
    statuses, _ = many(user.swift, 14, lambda client, number: client.put(f"c/n{number}", b"x").status)
    assert 5 <= statuses.count(201) <= 8
    assert statuses.count(498) == 14 - statuses.count(201)
    time.sleep(1.2)
    listings, _ = many(user.swift, 12, lambda client, number: client.get("c").status)
    assert 4 <= listings.count(200) <= 7
    assert listings.count(498) == 12 - listings.count(200)
    assert user.swift.get("c/o1").status == 200  # reads are not limited


def test_s3_clients_are_told_to_slow_down(user: User) -> None:
    def create(_: Client, number: int) -> int:
        try:
            user.s3.create_bucket(Bucket=f"b{number}-{user.swift.account[5:].lower()}")
        except ClientError as error:
            assert error.response["Error"]["Code"] == "SlowDown"
            return int(error.response["ResponseMetadata"]["HTTPStatusCode"])
        return 200

    statuses, _ = many(user.swift, 12, create)
    assert statuses.count(200) >= 4
    assert statuses.count(503) >= 1


def test_each_key_of_a_deletion_of_many_counts(owner: Client, user: User) -> None:
    bucket = f"test-{uuid.uuid4().hex[:12]}"
    reseller = user.swift.with_token(owner.token)
    assert user.swift.put(bucket).status == 201
    for number in range(12):
        assert user.swift.put(f"{bucket}/o{number}", b"x").status == 201
    assert reseller.post("", {"X-Account-Global-Write-Ratelimit": "4"}).status == 204
    keys = [{"Key": f"o{number}"} for number in range(12)]
    report = user.s3.delete_objects(Bucket=bucket, Delete={"Objects": keys})
    assert {error["Code"] for error in report["Errors"]} == {"SlowDown"}
    left = {error["Key"] for error in report["Errors"]}
    assert left | {deleted["Key"] for deleted in report["Deleted"]} == {key["Key"] for key in keys}
    assert 4 <= len(report["Deleted"]) <= 8
    assert reseller.post("", {"X-Account-Global-Write-Ratelimit": "WHITELIST"}).status == 204
    assert set(user.swift.get(bucket).lines) == left


def test_those_without_rights_use_up_no_rate(store: Store, user: User) -> None:
    stranger = user.swift.with_token(User(store).swift.token)
    statuses, _ = many(stranger, 12, lambda client, number: client.put(f"c{number}").status)
    assert statuses == [403] * 12
    started = time.monotonic()
    assert user.swift.put("c").status == 201
    assert time.monotonic() - started < 0.9


def test_resellers_exempt_and_block_accounts(owner: Client, user: User) -> None:
    reseller = user.swift.with_token(owner.token)
    name = "X-Account-Global-Write-Ratelimit"
    assert user.swift.post("", {name: "WHITELIST"}).status == 403
    assert user.swift.post("", {"X-Account-Sysmeta-Global-Write-Ratelimit": "WHITELIST"}).status == 204
    assert user.swift.head().get(name) is None
    for bad in ("whitelisted", "-1", "0", "nan", "inf"):
        assert reseller.post("", {name: bad}).status == 400, bad
    assert reseller.post("", {name: "WHITELIST"}).status == 204
    assert user.swift.head()[name] == "WHITELIST"
    statuses, _ = many(user.swift, 12, lambda client, number: client.put(f"c{number}").status)
    assert statuses == [201] * 12
    assert reseller.post("", {name: "BLACKLIST"}).status == 204
    assert user.swift.put("c1/o", b"x").status == 497
    assert user.swift.get("c1").status == 497
    assert error_of(user.s3.put_object, Bucket="c1", Key="o", Body=b"x") == (403, "AccountProblem")
    assert reseller.post("", {name: "2"}).status == 204
    statuses, _ = many(user.swift, 8, lambda client, number: client.put(f"c1/o{number}", b"x").status)
    assert 498 in statuses and 201 in statuses
    assert reseller.post("", {name: ""}).status == 204
    assert user.swift.head().get(name) is None


def test_info_shows_the_rates(owner: Client) -> None:
    info = owner.send("GET", "/info").json
    assert info["ratelimit"] == {
        "account_ratelimit": 4.0,
        "max_sleep_time_seconds": 1.0,
        "container_ratelimits": [[3, 5.0]],
        "container_listing_ratelimits": [[3, 4.0]],
    }
    assert info["name_check"]["maximum_length"] == 120
    assert "read_only" in info


# read_only


def test_an_account_is_made_read_only_by_a_reseller(owner: Client, user: User) -> None:
    assert user.swift.put("c").status == 201
    assert user.swift.put("c/o", b"x").status == 201
    reseller = user.swift.with_token(owner.token)
    assert user.swift.post("", {"X-Account-Read-Only": "true"}).status == 403
    assert reseller.post("", {"X-Account-Read-Only": "maybe"}).status == 400
    assert reseller.post("", {"X-Account-Read-Only": "true"}).status == 204
    assert user.swift.head()["X-Account-Read-Only"] == "true"
    for refused in (
        user.swift.put("c/o", b"y"),
        user.swift.post("c/o", {"X-Object-Meta-A": "1"}),
        user.swift.copy("c/o", "c/p"),
        user.swift.put("d"),
        user.swift.post("c", {"X-Container-Meta-A": "1"}),
        user.swift.post("", {"X-Account-Meta-A": "1"}),
    ):
        assert (refused.status, refused.body) == (405, b"Writes are disabled for this account.")
    assert error_of(user.s3.put_object, Bucket="c", Key="o", Body=b"y") == (405, "MethodNotAllowed")
    assert error_of(user.s3.create_bucket, Bucket=f"d-{uuid.uuid4().hex}") == (405, "MethodNotAllowed")
    assert (user.swift.get("c").lines, user.swift.get("c/o").body) == (["o"], b"x")
    assert user.swift.delete("c/o").status == 204  # allow_deletes
    assert reseller.post("", {"X-Account-Read-Only": "false"}).status == 204
    assert user.swift.put("c/o", b"y").status == 201


def test_a_copy_into_a_read_only_account_is_refused(owner: Client, store: Store, user: User) -> None:
    target = User(store).swift
    assert target.put("c").status == 201
    assert user.swift.put("c").status == 201
    assert user.swift.put("c/o", b"x").status == 201
    assert target.with_token(owner.token).post("", {"X-Account-Read-Only": "true"}).status == 204
    reseller = user.swift.with_token(owner.token)
    answer = reseller.copy("c/o", "c/o", {"Destination-Account": target.account})
    assert answer.status == 405
    assert target.get("c").status == 204


# name_check


@pytest.mark.parametrize("name", ["c'd", 'c"d', "c`d", "c<d", "c>d", "..", ".", "c" * 120])
def test_a_container_with_a_forbidden_name(user: User, name: str) -> None:
    assert user.swift.put(name).status == 400


def test_an_object_with_a_forbidden_name(user: User) -> None:
    assert user.swift.put("c").status == 201
    for name in ("a/./b", "a/../b", "a/.", "é" * 60, "it's"):
        assert user.swift.put(f"c/{name}", b"x").status == 400, name
        assert user.swift.get(f"c/{name}").status == 400, name
    for name in ("a/..b", ".a", "a.", "é" * 30):
        assert user.swift.put(f"c/{name}", b"x").status == 201, name
    assert error_of(user.s3.put_object, Bucket="c", Key="it's", Body=b"x") == (400, "InvalidRequest")
    answer = user.swift.put("c/it's", b"x")
    assert answer.text.startswith("Object/Container/Account name contains forbidden chars from ")


# Bulk requests


def archive(*names: str) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = 1
            tar.addfile(member, io.BytesIO(b"x"))
    return made.getvalue()


def extract(client: Client, *names: str) -> Any:
    query = {"extract-archive": "tar"}
    return client.request("PUT", "c", {"Accept": "application/json"}, archive(*names), query).json


def test_members_of_archives_are_checked_each(owner: Client, user: User) -> None:
    assert user.swift.put("c").status == 201
    report = extract(user.swift, "good", "it's", "other")
    assert report["Number Files Created"] == 2
    assert [status[:3] for _, status in report["Errors"]] == ["400"]
    assert user.swift.get("c").lines == ["good", "other"]
    reseller = user.swift.with_token(owner.token)
    assert reseller.post("", {"X-Account-Read-Only": "true"}).status == 204
    report = extract(user.swift, "third")
    assert report["Number Files Created"] == 0
    assert user.swift.get("c").lines == ["good", "other"]


# list_endpoints


def test_endpoints_of_names(owner: Client) -> None:
    def ask(path: str) -> Any:
        return owner.with_token(None).send("GET", path)

    (account,) = ask("/endpoints/AUTH_x").json
    assert account.startswith("http://127.0.0.1:") and account.endswith("/AUTH_x")
    (container,) = ask("/endpoints/v1/AUTH_x/c").json
    assert container.endswith("/AUTH_x/c")
    (key,) = ask("/endpoints/v1.0/AUTH_x/c/a%20b/%C3%A9").json
    assert key.endswith("/d1/" + key.split("/")[4] + "/AUTH_x/c/a%20b/%C3%A9")
    second = ask("/endpoints/v2/AUTH_x/c/o").json
    assert second["headers"] == {"X-Backend-Storage-Policy-Index": "0"}
    assert second["endpoints"][0].endswith("/AUTH_x/c/o")
    assert ask("/endpoints/v2/AUTH_x/c").json["headers"] == {}


@pytest.mark.parametrize(
    "path, status",
    [
        ("/endpoints/", 400),
        ("/endpoints/v2", 400),
        ("/endpoints/v3/AUTH_x/c/o", 400),
        ("/endpoints//c/o", 400),
        ("/endpoints/AUTH_x//o", 400),
        ("/endpoints/AUTH_x/c/%FF", 400),
        ("/endpoints/AUTH_x/c/%00", 400),
    ],
)
def test_paths_that_name_nothing(owner: Client, path: str, status: int) -> None:
    assert owner.with_token(None).send("GET", path).status == status


def test_endpoints_answer_only_get_and_neighbours(owner: Client) -> None:
    for method in ("HEAD", "PUT", "POST", "DELETE"):
        answer = owner.send(method, "/endpoints/AUTH_x", {"Content-Length": "0"})
        assert (answer.status, answer["Allow"]) == (405, "GET")
    assert owner.send("GET", "/endpoints/AUTH_x", {"X-Forwarded-For": "127.0.0.1"}).status == 403
