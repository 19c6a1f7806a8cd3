"""ACLs, policies, ownership and the public access block: what is configured takes effect."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from harness.client import Client
from harness.layouts import ONE_DEVICE
from harness.processes import run
from harness.s3 import S3, boto_client, code_of
from harness.store import Store

pytestmark = ONE_DEVICE

ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"
AUTHENTICATED_USERS = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
DENIED = (403, "AccessDenied")
OTHER = "AUTH_s3other"


def outcome(call: Callable[..., Any], **arguments: Any) -> tuple[int, str]:
    """Status and code of a call; the code of one that succeeds is ''."""
    try:
        return call(**arguments)["ResponseMetadata"]["HTTPStatusCode"], ""
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]


def ok(call: Callable[..., Any], **arguments: Any) -> bool:
    """Did the call succeed? Everything but a plain denial fails the test."""
    status, code = outcome(call, **arguments)
    assert status < 300 or (status, code) in (DENIED, (403, "403")), (status, code)
    return status < 300


@pytest.fixture(scope="module")
def anyone(store: Store) -> Any:
    """boto3's client of nobody."""
    config = Config(signature_version=UNSIGNED, s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
    return boto3.client("s3", endpoint_url=store.endpoint, region_name="us-east-1", config=config)


@pytest.fixture(scope="module")
def clerk(store: Store) -> Any:
    """boto3's client of a user of the owner's account who does not administer it."""
    project = store.user.partition(":")[0]
    name = f"{project}:s3clerk"
    run("user", "add", name, "--data", str(store.started_here().data), "--key", "secret", "--replace")
    return boto_client(store.endpoint, name, "secret")


@pytest.fixture
def filled(s3: Any, bucket: str) -> str:
    """A bucket with an object `key`."""
    s3.put_object(Bucket=bucket, Key="key", Body=b"content")
    return bucket


def policy(bucket: str, *statements: dict[str, Any]) -> str:
    resources = {"Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]}
    return json.dumps({"Version": "2012-10-17", "Statement": [{**resources, **each} for each in statements]})


# ACLs


def grants(answer: dict[str, Any]) -> set[tuple[str, str]]:
    return {(grant["Grantee"].get("ID") or grant["Grantee"]["URI"], grant["Permission"]) for grant in answer["Grants"]}


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("private", set()),
        ("public-read", {(ALL_USERS, "READ")}),
        ("public-read-write", {(ALL_USERS, "READ"), (ALL_USERS, "WRITE")}),
        ("authenticated-read", {(AUTHENTICATED_USERS, "READ")}),
    ],
)
def test_canned_acls(s3: Any, owner: Client, filled: str, name: str, others: set[tuple[str, str]]) -> None:
    everything = {(owner.account, "FULL_CONTROL"), *others}
    s3.put_bucket_acl(Bucket=filled, ACL=name)
    assert grants(s3.get_bucket_acl(Bucket=filled)) == everything
    s3.put_object_acl(Bucket=filled, Key="key", ACL=name)
    assert grants(s3.get_object_acl(Bucket=filled, Key="key")) == everything
    s3.put_object(Bucket=filled, Key="new", Body=b"", ACL=name)
    assert grants(s3.get_object_acl(Bucket=filled, Key="new")) == everything


@pytest.mark.parametrize(
    ("acl", "lists", "writes"),
    [
        ("private", (False, False), (False, False)),
        ("public-read", (True, True), (False, False)),
        ("public-read-write", (True, True), (True, True)),
        ("authenticated-read", (True, False), (False, False)),
    ],
)
def test_acls_of_buckets_take_effect(
    s3: Any, s3_other: Any, anyone: Any, filled: str, acl: str, lists: tuple[bool, bool], writes: tuple[bool, bool]
) -> None:
    s3.put_bucket_acl(Bucket=filled, ACL=acl)
    clients = (s3_other, anyone)
    assert tuple(ok(client.list_objects_v2, Bucket=filled) for client in clients) == lists
    assert tuple(ok(client.head_bucket, Bucket=filled) for client in clients) == lists
    assert tuple(ok(client.put_object, Bucket=filled, Key="new", Body=b"x") for client in clients) == writes
    assert tuple(ok(client.delete_object, Bucket=filled, Key="new") for client in clients) == writes
    assert not any(ok(client.get_object, Bucket=filled, Key="key") for client in clients)
    assert not any(ok(client.get_bucket_acl, Bucket=filled) for client in clients)


@pytest.mark.parametrize(
    ("acl", "reads"),
    [("private", (False, False)), ("public-read", (True, True)), ("authenticated-read", (True, False))],
)
def test_acls_of_objects_take_effect(
    s3: Any, s3_other: Any, anyone: Any, filled: str, acl: str, reads: tuple[bool, bool]
) -> None:
    s3.put_object_acl(Bucket=filled, Key="key", ACL=acl)
    clients = (s3_other, anyone)
    assert tuple(ok(client.get_object, Bucket=filled, Key="key") for client in clients) == reads
    assert tuple(ok(client.head_object, Bucket=filled, Key="key") for client in clients) == reads
    assert not any(ok(client.put_object, Bucket=filled, Key="key", Body=b"x") for client in clients)
    assert not any(ok(client.list_objects_v2, Bucket=filled) for client in clients)


def test_single_grants_take_effect(s3: Any, s3_other: Any, filled: str) -> None:
    for permission, allowed in {
        "Read": s3_other.list_objects_v2,
        "ReadACP": s3_other.get_bucket_acl,
    }.items():
        s3.put_bucket_acl(Bucket=filled, **{f"Grant{permission}": f"id={OTHER}"})
        assert ok(allowed, Bucket=filled)
        assert not ok(s3_other.put_object, Bucket=filled, Key="k", Body=b"")
    s3.put_bucket_acl(Bucket=filled, GrantWrite=f"id={OTHER}")
    assert ok(s3_other.put_object, Bucket=filled, Key="theirs", Body=b"")
    s3.put_bucket_acl(Bucket=filled, GrantWriteACP=f"id={OTHER}")
    assert ok(s3_other.put_bucket_acl, Bucket=filled, GrantFullControl=f"id={OTHER}")
    assert ok(s3_other.list_objects_v2, Bucket=filled)
    assert not ok(s3_other.delete_bucket, Bucket=filled)


def test_acls_as_documents(s3: Any, s3_other: Any, owner: Client, filled: str) -> None:
    acl = s3.get_object_acl(Bucket=filled, Key="key")
    listed = [*acl["Grants"], {"Grantee": {"Type": "CanonicalUser", "ID": OTHER}, "Permission": "READ"}]
    s3.put_object_acl(Bucket=filled, Key="key", AccessControlPolicy={"Owner": acl["Owner"], "Grants": listed})
    assert grants(s3.get_object_acl(Bucket=filled, Key="key")) == {(owner.account, "FULL_CONTROL"), (OTHER, "READ")}
    assert ok(s3_other.get_object, Bucket=filled, Key="key")
    stolen = {"Owner": {"ID": OTHER}, "Grants": listed}
    assert outcome(s3.put_object_acl, Bucket=filled, Key="key", AccessControlPolicy=stolen) == DENIED


def test_an_acl_changes_nothing_else_of_an_object(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata={"color": "red"}, Tagging="a=b", CacheControl="no-store")
    before = s3.head_object(Bucket=bucket, Key="k")
    s3.put_object_acl(Bucket=bucket, Key="k", ACL="public-read")
    after = s3.head_object(Bucket=bucket, Key="k")
    for name in ("Metadata", "ETag", "CacheControl", "ContentType", "LastModified", "TagCount"):
        assert after[name] == before[name]
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": []})
    assert len(s3.get_object_acl(Bucket=bucket, Key="k")["Grants"]) == 2
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert len(s3.get_object_acl(Bucket=bucket, Key="k")["Grants"]) == 1


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"x-amz-acl": "everyone"}, (400, "InvalidArgument")),
        ({"x-amz-acl": "private", "x-amz-grant-read": "id=AUTH_s3other"}, (400, "InvalidRequest")),
        ({"x-amz-grant-read": "id=nobody"}, (400, "InvalidArgument")),
        ({"x-amz-grant-read": "uri=http://nowhere"}, (400, "InvalidArgument")),
        ({"x-amz-grant-read": "emailAddress=a@example.com"}, (405, "MethodNotAllowed")),
        ({}, (400, "MissingSecurityHeader")),
    ],
)
def test_bad_acls_are_refused(
    raw: S3, other_keys: Any, filled: str, headers: dict[str, str], expected: tuple[int, str]
) -> None:
    for target in (f"/{filled}?acl", f"/{filled}/key?acl"):
        assert code_of(raw.put(target, headers=headers)) == expected
    if headers:
        assert code_of(raw.put(f"/{filled}/new", headers=headers)) == expected
    assert code_of(raw.put(f"/{filled}?acl", b"<AccessControlPolicy/>")) == (400, "MalformedACLError")


def test_acls_of_what_is_not_there(s3: Any, bucket: str) -> None:
    assert outcome(s3.get_object_acl, Bucket=bucket, Key="none") == (404, "NoSuchKey")
    assert outcome(s3.put_object_acl, Bucket=bucket, Key="none", ACL="private") == (404, "NoSuchKey")
    assert outcome(s3.get_bucket_acl, Bucket="no-such-bucket-here") == (404, "NoSuchBucket")


def test_who_may_list_learns_that_a_key_is_missing(s3: Any, s3_other: Any, bucket: str) -> None:
    assert outcome(s3_other.get_object, Bucket=bucket, Key="none") == DENIED
    s3.put_bucket_acl(Bucket=bucket, ACL="public-read")
    assert outcome(s3_other.get_object, Bucket=bucket, Key="none") == (404, "NoSuchKey")


# Ownership


def test_an_object_belongs_to_who_wrote_it(s3: Any, s3_other: Any, filled: str) -> None:
    s3.put_bucket_acl(Bucket=filled, ACL="public-read-write")
    s3_other.put_object(Bucket=filled, Key="theirs", Body=b"x")
    assert s3_other.get_object_acl(Bucket=filled, Key="theirs")["Owner"]["ID"] == OTHER
    assert not ok(s3.get_object, Bucket=filled, Key="theirs")
    assert not ok(s3.get_object_acl, Bucket=filled, Key="theirs")
    assert ok(s3_other.put_object_acl, Bucket=filled, Key="theirs", ACL="bucket-owner-read")
    assert ok(s3.get_object, Bucket=filled, Key="theirs")
    assert ok(s3.delete_object, Bucket=filled, Key="theirs")


def test_the_bucket_owner_is_preferred_where_the_writer_agrees(
    s3: Any, s3_other: Any, owner: Client, filled: str
) -> None:
    s3.put_bucket_acl(Bucket=filled, ACL="public-read-write")
    rule = {"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]}
    s3.put_bucket_ownership_controls(Bucket=filled, OwnershipControls=rule)
    s3_other.put_object(Bucket=filled, Key="given", Body=b"x", ACL="bucket-owner-full-control")
    assert s3.get_object_acl(Bucket=filled, Key="given")["Owner"]["ID"] == owner.account
    s3_other.put_object(Bucket=filled, Key="kept", Body=b"x")
    assert not ok(s3.get_object, Bucket=filled, Key="kept")


def test_disabled_acls(s3: Any, s3_other: Any, anyone: Any, owner: Client, filled: str) -> None:
    rule = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    s3.put_object_acl(Bucket=filled, Key="key", ACL="public-read")
    s3.put_bucket_acl(Bucket=filled, ACL="public-read-write")
    s3_other.put_object(Bucket=filled, Key="theirs", Body=b"x")
    refused = outcome(s3.put_bucket_ownership_controls, Bucket=filled, OwnershipControls=rule)
    assert refused == (400, "InvalidBucketAclWithObjectOwnership")
    s3.put_bucket_acl(Bucket=filled, ACL="private")
    s3.put_bucket_ownership_controls(Bucket=filled, OwnershipControls=rule)
    assert not ok(anyone.get_object, Bucket=filled, Key="key")
    assert ok(s3.get_object, Bucket=filled, Key="theirs")
    assert grants(s3.get_object_acl(Bucket=filled, Key="theirs")) == {(owner.account, "FULL_CONTROL")}
    not_supported = (400, "AccessControlListNotSupported")
    assert outcome(s3.put_bucket_acl, Bucket=filled, ACL="public-read") == not_supported
    assert outcome(s3.put_object_acl, Bucket=filled, Key="key", ACL="public-read") == not_supported
    assert outcome(s3.put_object, Bucket=filled, Key="new", ACL="public-read") == not_supported
    assert ok(s3.put_object, Bucket=filled, Key="new", ACL="bucket-owner-full-control")
    s3.delete_bucket_ownership_controls(Bucket=filled)
    assert ok(anyone.get_object, Bucket=filled, Key="key")


# Policies


def test_a_policy_is_given_back_as_it_was_put(s3: Any, bucket: str) -> None:
    text = policy(bucket, {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Sid": "lesbar: ä"})
    s3.put_bucket_policy(Bucket=bucket, Policy=text)
    assert s3.get_bucket_policy(Bucket=bucket)["Policy"] == text
    s3.delete_bucket_policy(Bucket=bucket)
    assert outcome(s3.get_bucket_policy, Bucket=bucket) == (404, "NoSuchBucketPolicy")
    assert ok(s3.delete_bucket_policy, Bucket=bucket)


@pytest.mark.parametrize(
    "text",
    ["", "x", "{}", '{"Statement": []}', policy("another", {"Effect": "Allow", "Principal": "*", "Action": "s3:*"})],
)
def test_bad_policies_are_refused(raw: S3, bucket: str, text: str) -> None:
    expected = "MalformedPolicy" if text else "MissingRequestBodyError"
    assert code_of(raw.put(f"/{bucket}?policy", text.encode())) == (400, expected)


def test_a_policy_lets_another_account_in(s3: Any, s3_other: Any, anyone: Any, filled: str) -> None:
    allow = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{OTHER}:root"}, "Action": "s3:*"}
    s3.put_bucket_policy(Bucket=filled, Policy=policy(filled, allow))
    assert ok(s3_other.list_objects_v2, Bucket=filled)
    assert ok(s3_other.get_object, Bucket=filled, Key="key")
    assert ok(s3_other.get_bucket_policy, Bucket=filled)
    assert not ok(anyone.get_object, Bucket=filled, Key="key")
    assert not ok(anyone.list_objects_v2, Bucket=filled)


def test_a_policy_names_a_user(s3: Any, clerk: Any, owner: Client, filled: str) -> None:
    assert not ok(clerk.get_object, Bucket=filled, Key="key")
    assert not ok(clerk.list_buckets)
    arn = f"arn:aws:iam::{owner.account}:user/s3clerk"
    allow = {"Effect": "Allow", "Principal": {"AWS": arn}, "Action": "s3:GetObject"}
    s3.put_bucket_policy(Bucket=filled, Policy=policy(filled, allow))
    assert ok(clerk.get_object, Bucket=filled, Key="key")
    assert not ok(clerk.put_object, Bucket=filled, Key="key", Body=b"x")


def test_a_denial_hits_the_owner_but_the_policy_can_be_mended(s3: Any, filled: str) -> None:
    s3.put_bucket_policy(Bucket=filled, Policy=policy(filled, {"Effect": "Deny", "Principal": "*", "Action": "s3:*"}))
    assert not ok(s3.get_object, Bucket=filled, Key="key")
    assert not ok(s3.list_objects_v2, Bucket=filled)
    assert not ok(s3.get_bucket_acl, Bucket=filled)
    assert ok(s3.get_bucket_policy, Bucket=filled)
    assert ok(s3.delete_bucket_policy, Bucket=filled)
    assert ok(s3.get_object, Bucket=filled, Key="key")


@pytest.mark.parametrize(
    ("condition", "fits", "does_not"),
    [
        ({"StringEquals": {"aws:Referer": "me"}}, {"Referer": "me"}, {"Referer": "you"}),
        ({"StringLike": {"aws:UserAgent": "good*"}}, {"User-Agent": "goodness"}, {"User-Agent": "bad"}),
        ({"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, {}, None),
        ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, None, {}),
        ({"Bool": {"aws:SecureTransport": "false"}}, {}, None),
        ({"Bool": {"aws:SecureTransport": "true"}}, None, {}),
        ({"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}, {}, None),
        ({"DateLessThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}, None, {}),
        ({"StringEquals": {"s3:authType": "REST-HEADER"}}, {}, None),
        ({"StringEquals": {"s3:signatureversion": "AWS"}}, None, {}),
        ({"StringEquals": {"aws:username": "owner"}}, {}, None),
    ],
)
def test_conditions_of_requests(
    s3: Any,
    raw_other: S3,
    filled: str,
    condition: dict[str, Any],
    fits: dict[str, str] | None,
    does_not: dict[str, str] | None,
) -> None:
    allow = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Condition": condition}
    s3.put_bucket_policy(Bucket=filled, Policy=policy(filled, allow))
    for headers, status in ((fits, 200), (does_not, 403)):
        if headers is not None:
            assert raw_other.get(f"/{filled}/key", headers).status == status


def test_conditions_of_listings(s3: Any, s3_other: Any, filled: str) -> None:
    condition = {"StringLike": {"s3:prefix": "home/*"}, "NumericLessThanEquals": {"s3:max-keys": "10"}}
    allow = {"Effect": "Allow", "Principal": "*", "Action": "s3:ListBucket", "Condition": condition}
    s3.put_bucket_policy(Bucket=filled, Policy=policy(filled, allow))
    assert ok(s3_other.list_objects_v2, Bucket=filled, Prefix="home/x", MaxKeys=10)
    assert ok(s3_other.list_objects, Bucket=filled, Prefix="home/x", MaxKeys=10)
    assert not ok(s3_other.list_objects_v2, Bucket=filled, Prefix="home/x", MaxKeys=11)
    assert not ok(s3_other.list_objects_v2, Bucket=filled, Prefix="home", MaxKeys=10)
    assert not ok(s3_other.list_objects_v2, Bucket=filled, MaxKeys=10)


def test_conditions_of_writes(s3: Any, s3_other: Any, filled: str) -> None:
    allow = {
        "Effect": "Allow", "Principal": "*", "Action": ["s3:PutObject", "s3:PutObjectTagging", "s3:PutObjectAcl"],
        "Condition": {"StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control",
                                       "s3:RequestObjectTag/team": "blue"}},
    }  # fmt: skip
    s3.put_bucket_policy(Bucket=filled, Policy=policy(filled, allow))
    good = {"ACL": "bucket-owner-full-control", "Tagging": "team=blue&x=y"}
    assert ok(s3_other.put_object, Bucket=filled, Key="k", Body=b"", **good)
    assert not ok(s3_other.put_object, Bucket=filled, Key="k", Body=b"", **{**good, "ACL": "private"})
    assert not ok(s3_other.put_object, Bucket=filled, Key="k", Body=b"", **{**good, "Tagging": "team=red"})
    assert not ok(s3_other.put_object, Bucket=filled, Key="k", Body=b"")


def test_conditions_of_tags(s3: Any, s3_other: Any, filled: str) -> None:
    allow = {
        "Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject", "s3:PutObjectTagging"],
        "Condition": {"StringEquals": {"s3:ExistingObjectTag/share": "yes"}},
    }  # fmt: skip
    s3.put_bucket_policy(Bucket=filled, Policy=policy(filled, allow))
    assert not ok(s3_other.get_object, Bucket=filled, Key="key")
    s3.put_object_tagging(Bucket=filled, Key="key", Tagging={"TagSet": [{"Key": "share", "Value": "yes"}]})
    assert ok(s3_other.get_object, Bucket=filled, Key="key")
    assert ok(s3_other.head_object, Bucket=filled, Key="key")
    assert ok(s3_other.put_object_tagging, Bucket=filled, Key="key", Tagging={"TagSet": []})
    assert not ok(s3_other.get_object, Bucket=filled, Key="key")


def test_tags_of_a_tagging_request_count(s3: Any, s3_other: Any, filled: str) -> None:
    condition = {"ForAllValues:StringEquals": {"s3:RequestObjectTagKeys": ["team", "cost"]}}
    allow = {"Effect": "Allow", "Principal": "*", "Action": "s3:PutObjectTagging", "Condition": condition}
    s3.put_bucket_policy(Bucket=filled, Policy=policy(filled, allow))
    good, bad = [{"Key": "team", "Value": "x"}], [{"Key": "owner", "Value": "x"}]
    assert ok(s3_other.put_object_tagging, Bucket=filled, Key="key", Tagging={"TagSet": good})
    assert s3.get_object_tagging(Bucket=filled, Key="key")["TagSet"] == good
    assert not ok(s3_other.put_object_tagging, Bucket=filled, Key="key", Tagging={"TagSet": bad})


def test_the_source_of_a_copy_is_asked_for(s3: Any, s3_other: Any, filled: str) -> None:
    s3.put_bucket_acl(Bucket=filled, ACL="public-read-write")
    source = {"Bucket": filled, "Key": "key"}
    assert not ok(s3_other.copy_object, Bucket=filled, Key="copy", CopySource=source)
    s3.put_object_acl(Bucket=filled, Key="key", ACL="public-read")
    assert ok(s3_other.copy_object, Bucket=filled, Key="copy", CopySource=source)


def test_each_key_of_a_deletion_is_asked_for(s3: Any, s3_other: Any, filled: str) -> None:
    s3.put_object(Bucket=filled, Key="free/a", Body=b"")
    allow = {
        "Effect": "Allow", "Principal": "*", "Action": "s3:DeleteObject",
        "Resource": f"arn:aws:s3:::{filled}/free/*",
    }  # fmt: skip
    s3.put_bucket_policy(Bucket=filled, Policy=policy(filled, allow))
    asked = {"Objects": [{"Key": "free/a"}, {"Key": "key"}]}
    answer = s3_other.delete_objects(Bucket=filled, Delete=asked)
    assert [each["Key"] for each in answer["Deleted"]] == ["free/a"]
    assert [(each["Key"], each["Code"]) for each in answer["Errors"]] == [("key", "AccessDenied")]


def test_versions_have_actions_and_acls_of_their_own(s3: Any, s3_other: Any, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    old = s3.put_object(Bucket=bucket, Key="k", Body=b"old")["VersionId"]
    new = s3.put_object(Bucket=bucket, Key="k", Body=b"new")["VersionId"]
    s3.put_object_acl(Bucket=bucket, Key="k", VersionId=old, ACL="public-read")
    assert ok(s3_other.get_object, Bucket=bucket, Key="k", VersionId=old)
    assert not ok(s3_other.get_object, Bucket=bucket, Key="k", VersionId=new)
    assert not ok(s3_other.get_object, Bucket=bucket, Key="k")
    assert len(s3.get_object_acl(Bucket=bucket, Key="k", VersionId=new)["Grants"]) == 1
    allow = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject"}
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, allow))
    assert ok(s3_other.get_object, Bucket=bucket, Key="k")
    assert not ok(s3_other.get_object, Bucket=bucket, Key="k", VersionId=new)


# Public access


def test_policy_status(s3: Any, bucket: str) -> None:
    def is_public() -> bool:
        return s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"]

    assert not is_public()
    allow = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject"}
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, allow))
    assert is_public()
    tied = {**allow, "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, tied))
    assert not is_public()
    s3.put_bucket_acl(Bucket=bucket, ACL="public-read")
    assert is_public()


def block(s3: Any, bucket: str, *flags: str) -> None:
    names = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    wanted = {name: name in flags for name in names}
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=wanted)
    assert s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"] == wanted


def test_public_acls_are_blocked(s3: Any, anyone: Any, filled: str) -> None:
    s3.put_object_acl(Bucket=filled, Key="key", ACL="public-read")
    block(s3, filled, "BlockPublicAcls")
    for acl in ("public-read", "public-read-write", "authenticated-read"):
        assert not ok(s3.put_bucket_acl, Bucket=filled, ACL=acl)
        assert not ok(s3.put_object_acl, Bucket=filled, Key="key", ACL=acl)
        assert not ok(s3.put_object, Bucket=filled, Key="new", ACL=acl)
    assert ok(s3.put_object, Bucket=filled, Key="new", ACL="private")
    assert ok(anyone.get_object, Bucket=filled, Key="key")  # what is there stays as it is


def test_public_acls_are_ignored(s3: Any, s3_other: Any, anyone: Any, filled: str) -> None:
    s3.put_object_acl(Bucket=filled, Key="key", ACL="public-read")
    s3.put_bucket_acl(Bucket=filled, ACL="public-read")
    block(s3, filled, "IgnorePublicAcls")
    for client in (s3_other, anyone):
        assert not ok(client.get_object, Bucket=filled, Key="key")
        assert not ok(client.list_objects_v2, Bucket=filled)
    s3.delete_public_access_block(Bucket=filled)
    assert ok(anyone.get_object, Bucket=filled, Key="key")
    missing = (404, "NoSuchPublicAccessBlockConfiguration")
    assert outcome(s3.get_public_access_block, Bucket=filled) == missing


def test_public_policies_are_blocked(s3: Any, bucket: str) -> None:
    block(s3, bucket, "BlockPublicPolicy")
    allow = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject"}
    assert not ok(s3.put_bucket_policy, Bucket=bucket, Policy=policy(bucket, allow))
    tied = {**allow, "Principal": {"AWS": OTHER}}
    assert ok(s3.put_bucket_policy, Bucket=bucket, Policy=policy(bucket, tied))


def test_public_buckets_are_restricted(s3: Any, s3_other: Any, anyone: Any, clerk: Any, filled: str) -> None:
    allow = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject"}
    s3.put_bucket_policy(Bucket=filled, Policy=policy(filled, allow))
    assert ok(anyone.get_object, Bucket=filled, Key="key")
    block(s3, filled, "RestrictPublicBuckets")
    assert not ok(anyone.get_object, Bucket=filled, Key="key")
    assert not ok(s3_other.get_object, Bucket=filled, Key="key")
    assert ok(clerk.get_object, Bucket=filled, Key="key")


# Swift's ACLs


def test_acls_of_swift_hold_through_s3(s3: Any, s3_other: Any, anyone: Any, owner: Client, filled: str) -> None:
    owner.post(filled, {"X-Container-Read": ".r:*"})
    assert ok(anyone.get_object, Bucket=filled, Key="key")
    assert not ok(anyone.list_objects_v2, Bucket=filled)
    owner.post(filled, {"X-Container-Read": ".r:*,.rlistings"})
    assert ok(anyone.list_objects_v2, Bucket=filled)
    owner.post(filled, {"X-Container-Read": "s3other:owner", "X-Container-Write": "s3other"})
    assert not ok(anyone.get_object, Bucket=filled, Key="key")
    assert ok(s3_other.get_object, Bucket=filled, Key="key")
    assert ok(s3_other.put_object, Bucket=filled, Key="new", Body=b"")
    assert not ok(s3_other.put_bucket_acl, Bucket=filled, ACL="private")
