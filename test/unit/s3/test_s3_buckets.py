"""The registry of bucket names, over a store that keeps names in a dict and can fail at any request."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs

import pytest
from harness.layer_over_app import LayerOverApp

from objstore.access.identity import Credential, Identity
from objstore.core.names import Name, hidden
from objstore.core.text import HEADER_NAME
from objstore.layers.interface import ContainerOptions
from objstore.layers.versions import Versions
from objstore.s3.buckets.registry import ACCOUNT, GRACE, Buckets, place_of
from objstore.s3.language.errors import S3Error
from objstore.s3.request.s3_request import S3Request
from objstore.web.context import RequestContext
from objstore.web.requests import Environ, StartResponse, api_name

BUCKET = "bucket"


class Crash(Exception):
    """The process ended here."""


class Shop:
    """A store. left: changes that still work before a crash, None for all."""

    def __init__(self) -> None:
        self.layer = LayerOverApp(self)
        self.containers: dict[Name, dict[str, str]] = {}
        self.objects: dict[Name, tuple[dict[str, str], bytes]] = {}
        self.left: int | None = None
        self.partly = False  # are replicas of containers away?
        self.after_deletion: Callable[[], object] = lambda: None

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        found = api_name(environ["PATH_INFO"], reserved=True)
        assert found is not None
        name, method = found[1], environ["REQUEST_METHOD"]
        if method not in ("GET", "HEAD"):
            if self.left == 0:
                raise Crash
            if self.left is not None:
                self.left -= 1
        depth = self._object if name.object else self._container if name.container else self._account
        status, headers, body = depth(method, name, environ)
        start_response(f"{status} X", list(headers.items()))
        return [body] if body else []

    def _account(self, method: str, name: Name, environ: Environ) -> tuple[int, dict[str, str], bytes]:
        mine = sorted(each.container for each in self.containers if each.account == name.account and each.container)
        headers = {"X-Account-Container-Count": str(len(mine))}
        rows = [{"name": each} for each in mine if not each.startswith("\0")]
        return self._listed(rows, environ, headers) if method == "GET" else (204, headers, b"")

    def _container(self, method: str, name: Name, environ: Environ) -> tuple[int, dict[str, str], bytes]:
        if method == "PUT":
            created = name not in self.containers
            kept = {HEADER_NAME[key]: value for key, value in environ.items() if key.startswith("HTTP_X_CONTAINER")}
            self.containers.setdefault(name, {}).update(kept)
            return 201 if created else 202, {}, b""
        if name not in self.containers:
            return 404, {}, b""
        mine = sorted(each.object for each in self.objects if each.of_container == name and each.object)
        if method == "DELETE":
            if mine:
                return 409, {}, b""
            del self.containers[name]
            if not (name.container or "").startswith("\0"):
                self.after_deletion()
            return 204, {"X-Backend-Deleted-Partly": "true"} if self.partly else {}, b""
        if method == "GET":
            return self._listed([{"name": each} for each in mine], environ, {})
        return 204, self.containers[name], b""

    def _object(self, method: str, name: Name, environ: Environ) -> tuple[int, dict[str, str], bytes]:
        if name.of_container not in self.containers:
            return 404, {}, b""
        there = self.objects.get(name)
        etag = hashlib.md5(there[1]).hexdigest() if there else ""
        if method in ("GET", "HEAD"):
            return (200, {**there[0], "Etag": etag}, b"") if there else (404, {}, b"")
        if environ.get("HTTP_IF_NONE_MATCH") == "*" and there:
            return 412, {}, b""
        if "HTTP_IF_MATCH" in environ and environ["HTTP_IF_MATCH"].strip('"') != etag:
            return (412 if there else 404), {}, b""
        if method == "DELETE":
            return (204 if self.objects.pop(name, None) else 404), {}, b""
        kept = {
            HEADER_NAME[key]: value for key, value in environ.items() if key.startswith(("HTTP_X_OBJECT", "HTTP_X_DEL"))
        }
        self.objects[name] = (kept, environ["wsgi.input"].read())
        return 201, {}, b""

    def _listed(
        self, rows: list[dict[str, str]], environ: Environ, headers: dict[str, str]
    ) -> tuple[int, dict[str, str], bytes]:
        query = parse_qs(environ["QUERY_STRING"])
        after = query.get("marker", [""])[0]
        most = int(query.get("limit", ["10000"])[0])
        return 200, headers, json.dumps([row for row in rows if row["name"] > after][:most]).encode()


class World:
    """A store, its registry and a clock."""

    def __init__(self, **settings: Any) -> None:
        self.shop = Shop()
        self.now = 1_000_000.0
        chosen = {"dns_compliant_bucket_names": True, "region": "us-east-1", "max_buckets_per_account": 3}
        chosen |= {"native_paths": ("v1.0", "info"), **settings}
        self.buckets = Buckets(Versions(self.shop.layer), SimpleNamespace(**chosen), lambda: self.now)

    def request(self, account: str, headers: dict[str, str] | None = None) -> S3Request:
        environ: Environ = {"REQUEST_METHOD": "PUT"}
        credential = Credential(Identity(f"{account}:me", (), (account,), account=account), "") if account else None
        return S3Request(environ, BUCKET, "", {}, headers or {}, None, credential)  # type: ignore[arg-type]

    def create(self, account: str, bucket: str = BUCKET) -> bool:
        return self.buckets.create(self.request(account), bucket, ContainerOptions({}))

    def delete(self, account: str) -> None:
        self.buckets.delete(self.request(account), Name(account, BUCKET))

    def owner(self) -> str:
        return self.buckets.entry(RequestContext(), BUCKET).account

    def code(self, account: str, bucket: str = BUCKET) -> str:
        """The code that creating ends with, '' for none."""
        try:
            self.create(account, bucket)
        except S3Error as error:
            return error.code
        return ""


def test_a_name_has_one_owner() -> None:
    world = World()
    assert world.create("a")
    assert not world.create("a")
    assert world.code("b") == "BucketAlreadyExists"
    assert world.owner() == "a"
    for account in ("a", "b", ""):
        assert world.buckets.resolve(world.request(account), BUCKET) == Name("a", BUCKET)
    world.delete("a")
    assert world.owner() == ""
    assert world.create("b")
    assert world.owner() == "b"


@pytest.mark.parametrize("name", ["info", "v1.0"])
def test_a_name_that_stands_for_something_else_in_paths_is_refused(name: str) -> None:
    with pytest.raises(S3Error) as caught:
        World().create("a", name)
    assert caught.value.code == "InvalidBucketName"


def test_a_container_of_swift_is_its_owners_bucket_alone_until_it_is_registered() -> None:
    world = World()
    name = Name("a", BUCKET)
    world.shop.containers[name] = {}
    assert world.buckets.resolve(world.request("a"), BUCKET) == name
    for account in ("b", ""):
        with pytest.raises(S3Error, match="does not exist"):
            world.buckets.resolve(world.request(account), BUCKET)
    world.buckets.register(world.request("a"), name)
    assert world.buckets.resolve(world.request("b"), BUCKET) == name
    world.buckets.register(world.request("a"), name)


def test_the_first_change_through_s3_registers_a_container_of_swift() -> None:
    """It stayed unregistered, so that another account could take the name of a bucket in use."""
    world = World()
    world.shop.containers[Name("a", BUCKET)] = {}
    world.buckets.claim(world.request("a"))
    assert world.owner() == "a"
    with pytest.raises(S3Error) as caught:
        world.create("b")
    assert caught.value.code == "BucketAlreadyExists"


@pytest.mark.parametrize("account", ["b", ""])
def test_nobody_claims_what_is_not_the_own_container(account: str) -> None:
    world = World()
    world.shop.containers[Name("a", BUCKET)] = {}
    world.buckets.claim(world.request(account))
    assert not world.owner()


def test_a_name_that_another_has_is_not_registered() -> None:
    world = World()
    world.create("a")
    world.shop.containers[Name("b", BUCKET)] = {}
    with pytest.raises(S3Error) as caught:
        world.buckets.register(world.request("b"), Name("b", BUCKET))
    assert caught.value.code == "BucketAlreadyExists"


def test_creating_what_swift_made_registers_it() -> None:
    world = World()
    world.shop.containers[Name("a", BUCKET)] = {"X-Container-Meta-Color": "red"}
    assert not world.create("a")
    assert world.owner() == "a"
    assert world.shop.containers[Name("a", BUCKET)] == {"X-Container-Meta-Color": "red"}


@pytest.mark.parametrize("changes", range(4))
def test_a_crash_during_creation_costs_nobody_the_name(changes: int) -> None:
    world = World()
    world.shop.left = changes
    try:
        world.create("a")
    except Crash:
        pass
    world.shop.left = None
    if world.shop.containers.get(Name("a", BUCKET)) is None:
        started = world.owner() == "a"
        # Its owner goes on at once; others wait until no creation can be under way.
        assert world.code("b") == ("BucketAlreadyExists" if started else "")
        if started:
            world.now += GRACE + 1
            assert world.code("b") == ""
            assert world.owner() == "b"
    else:
        world.now += GRACE + 1
        assert world.code("b") == "BucketAlreadyExists"


@pytest.mark.parametrize("changes", range(4))
def test_a_crash_during_creation_is_mended_by_its_owner(changes: int) -> None:
    world = World()
    world.shop.left = changes
    try:
        world.create("a")
    except Crash:
        pass
    world.shop.left = None
    world.create("a")
    assert world.owner() == "a"
    assert Name("a", BUCKET) in world.shop.containers


@pytest.mark.parametrize("changes", range(6))
def test_a_crash_during_deletion_is_mended_by_deleting_or_creating_it_again(changes: int) -> None:
    for mend in ("delete", "create"):
        world = World()
        world.create("a")
        parts = Name("a", hidden("parts", BUCKET))
        world.shop.containers[parts] = {}
        world.shop.objects[parts._replace(object="upload")] = ({}, b"")
        world.shop.left = changes
        try:
            world.delete("a")
        except Crash:
            pass
        world.shop.left = None
        if mend == "create":
            if world.create("a"):
                assert parts not in world.shop.containers
            assert world.owner() == "a"
        else:
            try:
                world.delete("a")
            except S3Error as error:
                assert error.code == "NoSuchBucket"
            assert {name.account for name in world.shop.containers} == {ACCOUNT}
            assert not world.shop.objects
            assert world.owner() == ""


def test_a_name_stays_its_owners_for_a_while_if_a_replica_was_away_when_the_bucket_was_deleted() -> None:
    # That replica may bring the bucket back, with an object that was acknowledged.
    world = World(deleted_name_hold=3600.0)
    world.create("a")
    world.shop.partly = True
    world.delete("a")
    world.now += GRACE + 1
    assert world.code("b") == "BucketAlreadyExists"
    place = place_of(BUCKET)
    assert world.shop.objects[place][0]["X-Delete-At"] == "1003600"
    world.shop.containers[Name("a", BUCKET)] = {}  # it came back
    assert world.buckets.resolve(world.request("b"), BUCKET) == Name("a", BUCKET)
    del world.shop.containers[Name("a", BUCKET)]
    assert world.create("a")
    world.shop.partly = False
    world.delete("a")
    assert world.create("b")


def test_a_held_name_is_free_after_a_while() -> None:
    world = World(deleted_name_hold=3600.0)
    world.create("a")
    world.shop.partly = True
    world.delete("a")
    world.now += 3601
    assert world.create("b")


def test_whoever_has_a_container_of_the_name_of_anothers_bucket_is_not_sent_there() -> None:
    world = World()
    world.shop.containers[Name("a", BUCKET)] = {}
    assert world.create("b")
    with pytest.raises(S3Error) as caught:
        world.buckets.resolve(world.request("a"), BUCKET)
    assert caught.value.code == "BucketAlreadyExists"
    for account in ("b", "c", ""):
        assert world.buckets.resolve(world.request(account), BUCKET) == Name("b", BUCKET)
    for header in ("X-Amz-Expected-Bucket-Owner", "X-Amz-Source-Expected-Bucket-Owner"):
        expecting = world.request("a", {header: "b"})
        assert world.buckets.resolve(expecting, BUCKET) == Name("b", BUCKET)
    with pytest.raises(S3Error):
        world.buckets.resolve(world.request("a", {"X-Amz-Expected-Bucket-Owner": "a"}), BUCKET)


def test_what_a_bucket_that_was_made_again_has_is_not_cleared() -> None:
    # The one who deletes it may be slow; parts of the next life were deleted.
    world = World()
    world.create("a")
    parts = Name("a", hidden("parts", BUCKET))
    world.shop.containers[parts] = {}
    world.shop.objects[parts._replace(object="of the next life")] = ({}, b"")
    world.shop.after_deletion = lambda: world.shop.containers.update({Name("a", BUCKET): {}})
    world.delete("a")
    assert list(world.shop.objects)[-1].object == "of the next life"


def test_a_bucket_with_objects_stays() -> None:
    world = World()
    world.create("a")
    world.shop.objects[Name("a", BUCKET, "key")] = ({}, b"")
    with pytest.raises(S3Error) as caught:
        world.delete("a")
    assert caught.value.code == "BucketNotEmpty"
    assert world.owner() == "a"


def test_an_entry_taken_over_meanwhile_is_not_deleted() -> None:
    world = World()
    world.create("a")
    del world.shop.containers[Name("a", BUCKET)]  # through Swift
    world.now += GRACE + 1
    world.create("b")
    with pytest.raises(S3Error):
        world.delete("a")
    assert world.owner() == "b"


def test_the_most_buckets_of_an_account_without_hidden_ones() -> None:
    world = World()
    for number in range(3):
        world.shop.containers[Name("a", hidden("parts", f"b{number}"))] = {}
        assert world.code("a", f"bucket-{number}") == ""
    assert world.code("a", "bucket-3") == "TooManyBuckets"
    assert world.code("a", "bucket-1") == ""
    assert world.code("b", "bucket-3") == ""


def test_bad_names_are_not_registered() -> None:
    world = World()
    assert world.code("a", "Bad_Name") == "InvalidBucketName"
    assert not world.shop.containers
    assert World(dns_compliant_bucket_names=False).code("a", "Bad_Name") == ""


def test_entries_are_spread_over_containers() -> None:
    places = [place_of(f"bucket-{number}") for number in range(2000)]
    assert {place.account for place in places} == {ACCOUNT}
    assert len({place.container for place in places}) == 256
