"""Buckets: names, whose they are, and what is configured of them."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from harness.client import Client
from harness.layouts import ONE_DEVICE
from harness.s3 import S3, boto_client, code_of
from harness.store import Store

pytestmark = ONE_DEVICE

NewBucket = Callable[..., str]


def fresh() -> str:
    return f"test-{uuid.uuid4().hex[:12]}"


def failure(call: Callable[..., Any], **arguments: Any) -> tuple[int, str]:
    """Status and code of the error that a call ends with."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    response = caught.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


# Names and owners


def test_the_buckets_of_a_deleted_account(owner: Client, store: Store) -> None:
    user = f"acc{uuid.uuid4().hex[:8]}:owner"
    client = store.add_user(user, "--admin")
    s3 = boto_client(store.endpoint, user, "secret")
    bucket = f"test-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="key", Body=b"x")
    assert client.with_token(owner.token).delete().status == 204
    assert s3.list_buckets()["Buckets"] == []
    for name in (bucket, f"{bucket}-new"):
        assert failure(s3.create_bucket, Bucket=name) == (403, "AccountProblem")
    assert failure(s3.put_object, Bucket=bucket, Key="key", Body=b"y") == (404, "NoSuchBucket")
    assert failure(s3.list_objects_v2, Bucket=bucket) == (404, "NoSuchBucket")


@pytest.mark.parametrize("name", ["ab", "Upper", "under_score", "192.168.5.4", "a..b", "-ab", "a" * 64])
def test_bad_names_are_refused(raw: S3, name: str) -> None:
    assert code_of(raw.put(f"/{name}")) == (400, "InvalidBucketName")


@pytest.mark.parametrize("name", ["auth", "v1.0", "healthcheck", "metrics"])
def test_names_that_paths_of_the_store_have_are_refused(raw: S3, name: str) -> None:
    assert code_of(raw.put(f"/{name}")) == (400, "InvalidBucketName")


def test_what_is_no_name_of_a_bucket_is_told_to_all_who_use_it(raw: S3, owner: Client) -> None:
    name = f"no+bucket+{uuid.uuid4().hex[:8]}"
    for method, target in (("GET", f"/{name}"), ("DELETE", f"/{name}"), ("GET", f"/{name}/key"), ("PUT", f"/{name}/k")):
        assert code_of(raw.request(method, target)) == (400, "InvalidBucketName")
    assert raw.request("HEAD", f"/{name}").status == 400
    owner.put(name)  # Swift has other rules
    assert raw.get(f"/{name}").status == 200
    assert raw.request("DELETE", f"/{name}").status == 204


def test_a_bucket_is_there_until_it_is_deleted(s3: Any) -> None:
    name = fresh()
    assert failure(s3.head_bucket, Bucket=name) == (404, "404")
    assert s3.create_bucket(Bucket=name)["Location"] == f"/{name}"
    assert s3.head_bucket(Bucket=name)["BucketRegion"] == "us-east-1"
    assert name in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    s3.delete_bucket(Bucket=name)
    assert failure(s3.head_bucket, Bucket=name) == (404, "404")
    assert failure(s3.delete_bucket, Bucket=name) == (404, "NoSuchBucket")
    assert name not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]


def test_names_are_shared_by_all_accounts(s3: Any, s3_other: Any, bucket: str) -> None:
    assert failure(s3_other.create_bucket, Bucket=bucket) == (409, "BucketAlreadyExists")
    assert failure(s3_other.list_objects_v2, Bucket=bucket) == (403, "AccessDenied")
    assert failure(s3_other.delete_bucket, Bucket=bucket) == (403, "AccessDenied")
    assert bucket not in [each["Name"] for each in s3_other.list_buckets()["Buckets"]]


def test_a_deleted_name_is_free_for_others_and_brings_nothing_along(s3: Any, s3_other: Any) -> None:
    name = fresh()
    s3.create_bucket(Bucket=name, ACL="public-read")
    s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    s3.delete_bucket(Bucket=name)
    s3_other.create_bucket(Bucket=name)
    try:
        assert failure(s3_other.get_bucket_tagging, Bucket=name) == (404, "NoSuchTagSet")
        assert len(s3_other.get_bucket_acl(Bucket=name)["Grants"]) == 1
        assert failure(s3.head_bucket, Bucket=name) == (403, "403")
    finally:
        s3_other.delete_bucket(Bucket=name)


def test_of_many_who_want_a_name_one_gets_it(store: Store, s3: Any, s3_other: Any, other_keys: tuple[str, str]) -> None:
    keys = [(store.user, store.key), other_keys] * 4
    clients = [boto_client(store.endpoint, *pair) for pair in keys]
    for _ in range(5):
        name = fresh()
        gate = threading.Barrier(len(clients))
        outcomes: list[str] = [""] * len(clients)

        def create(index: int, name: str = name, gate: Any = gate, outcomes: list[str] = outcomes) -> None:
            gate.wait()
            try:
                clients[index].create_bucket(Bucket=name)
            except ClientError as error:
                outcomes[index] = error.response["Error"]["Code"]

        threads = [threading.Thread(target=create, args=(index,)) for index in range(len(clients))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        ours, others = set(outcomes[::2]), set(outcomes[1::2])
        winner, loser, client = (ours, others, s3) if "" in ours else (others, ours, s3_other)
        assert "" in winner and winner <= {"", "OperationAborted"}, outcomes
        assert loser <= {"BucketAlreadyExists", "OperationAborted"}, outcomes
        client.delete_bucket(Bucket=name)


def test_creating_it_again_is_fine_and_resets_the_acl(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="kept", Body=b"x")
    s3.put_bucket_acl(Bucket=bucket, ACL="public-read")
    s3.create_bucket(Bucket=bucket)
    assert s3.get_object(Bucket=bucket, Key="kept")["Body"].read() == b"x"
    assert len(s3.get_bucket_acl(Bucket=bucket)["Grants"]) == 1


def test_a_bucket_with_objects_is_not_deleted(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert failure(s3.delete_bucket, Bucket=bucket) == (409, "BucketNotEmpty")


def test_containers_of_swift_are_buckets_of_their_owner(
    s3: Any, s3_other: Any, owner: Client, new_container: Callable[[], str]
) -> None:
    name = new_container()
    assert name in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    assert failure(s3_other.head_bucket, Bucket=name) == (404, "404")
    s3.put_object(Bucket=name, Key="k", Body=b"from s3")
    assert owner.get(f"{name}/k").body == b"from s3"
    s3.put_bucket_acl(Bucket=name, ACL="public-read")
    assert s3_other.list_objects_v2(Bucket=name)["KeyCount"] == 1


def test_a_container_of_swift_that_s3_wrote_to_keeps_its_name(
    s3: Any, s3_other: Any, new_container: Callable[[], str]
) -> None:
    """Another account could create a bucket of the name, and the owner was locked out of its own by S3."""
    name = new_container()
    s3.put_object(Bucket=name, Key="k", Body=b"mine")
    assert failure(s3_other.create_bucket, Bucket=name) == (409, "BucketAlreadyExists")
    assert s3.get_object(Bucket=name, Key="k")["Body"].read() == b"mine"


def test_a_bucket_deleted_through_swift_is_gone_and_its_owner_can_make_it_again(
    s3: Any, s3_other: Any, owner: Client
) -> None:
    name = fresh()
    s3.create_bucket(Bucket=name)
    assert owner.delete(name).status == 204
    assert failure(s3.list_objects_v2, Bucket=name) == (404, "NoSuchBucket")
    # The name is kept for its owner for a while.
    assert failure(s3_other.create_bucket, Bucket=name) == (409, "BucketAlreadyExists")
    s3.create_bucket(Bucket=name)
    s3.delete_bucket(Bucket=name)
    s3_other.create_bucket(Bucket=name)
    s3_other.delete_bucket(Bucket=name)


def test_buckets_are_listed_page_by_page(s3: Any, raw: S3, new_bucket: NewBucket) -> None:
    names = sorted(new_bucket() for _ in range(3))
    first = s3.list_buckets(MaxBuckets=2, Prefix="test-")
    assert len(first["Buckets"]) == 2
    rest: list[str] = []
    pages = s3.get_paginator("list_buckets").paginate(Prefix="test-", PaginationConfig={"PageSize": 1})
    for page in pages:
        rest += [bucket["Name"] for bucket in page["Buckets"]]
    assert [name for name in rest if name in names] == names
    assert rest == sorted(rest)
    assert s3.list_buckets(Prefix=names[0])["Prefix"] == names[0]
    assert s3.list_buckets(BucketRegion="eu-west-1")["Buckets"] == []
    assert code_of(raw.get("/?max-buckets=0")) == (400, "InvalidArgument")
    assert failure(s3.list_buckets, ContinuationToken="?") == (400, "InvalidArgument")


# Creation


@pytest.mark.parametrize(
    ("constraint", "expected"),
    [
        ("us-east-1", (200, "")),
        ("", (200, "")),
        ("eu-west-1", (400, "IllegalLocationConstraintException")),
        ("nowhere", (400, "InvalidLocationConstraint")),
    ],
)
def test_location_constraints(raw: S3, s3: Any, constraint: str, expected: tuple[int, str]) -> None:
    name = fresh()
    body = (
        f"<CreateBucketConfiguration><LocationConstraint>{constraint}</LocationConstraint></CreateBucketConfiguration>"
    )
    answer = raw.put(f"/{name}", body.encode())
    assert (answer.status, "") == expected if expected[0] == 200 else code_of(answer) == expected
    if answer.status == 200:
        assert s3.get_bucket_location(Bucket=name)["LocationConstraint"] is None
        s3.delete_bucket(Bucket=name)


def test_bad_bodies_and_headers_of_creation(raw: S3) -> None:
    target = f"/{fresh()}"
    assert code_of(raw.put(target, b"<Create")) == (400, "MalformedXML")
    assert code_of(raw.put(target, b"<Other/>")) == (400, "MalformedXML")
    assert code_of(raw.put(target, headers={"x-amz-acl": "nobody"})) == (400, "InvalidArgument")
    assert code_of(raw.put(target, headers={"x-amz-object-ownership": "Mine"})) == (400, "InvalidArgument")
    both = {"x-amz-object-ownership": "BucketOwnerEnforced", "x-amz-acl": "public-read"}
    assert code_of(raw.put(target, headers=both)) == (400, "InvalidBucketAclWithObjectOwnership")
    assert raw.request("HEAD", target).status == 404


def test_a_bucket_is_created_with_what_was_asked(s3: Any, new_bucket: NewBucket) -> None:
    name = new_bucket(ObjectOwnership="BucketOwnerPreferred", ACL="public-read")
    controls = s3.get_bucket_ownership_controls(Bucket=name)["OwnershipControls"]
    assert controls == {"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]}
    assert len(s3.get_bucket_acl(Bucket=name)["Grants"]) == 2
    tagged = new_bucket(CreateBucketConfiguration={"Tags": [{"Key": "a", "Value": "b c"}]})
    assert s3.get_bucket_tagging(Bucket=tagged)["TagSet"] == [{"Key": "a", "Value": "b c"}]
    twice = {"Tags": [{"Key": "a", "Value": "b"}] * 2}
    assert failure(s3.create_bucket, Bucket=fresh(), CreateBucketConfiguration=twice) == (400, "InvalidTag")


@pytest.mark.parametrize(
    "document",
    [
        "<CreateBucketConfiguration><Bucket><Type>Directory</Type></Bucket></CreateBucketConfiguration>",
        "<CreateBucketConfiguration><Location><Name>a</Name></Location></CreateBucketConfiguration>",
    ],
)
def test_buckets_that_are_not_here(raw: S3, document: str) -> None:
    assert code_of(raw.put(f"/{fresh()}", document.encode())) == (501, "NotImplemented")


# Configuration


def test_the_expected_owner_is_held_to(s3: Any, bucket: str, owner: Client) -> None:
    s3.head_bucket(Bucket=bucket, ExpectedBucketOwner=owner.account)
    assert failure(s3.list_objects_v2, Bucket=bucket, ExpectedBucketOwner="AUTH_else") == (403, "AccessDenied")
    assert failure(s3.put_object, Bucket=bucket, Key="k", ExpectedBucketOwner="AUTH_else") == (403, "AccessDenied")
    assert failure(s3.delete_bucket, Bucket=bucket, ExpectedBucketOwner="AUTH_else") == (403, "AccessDenied")


def test_tags(s3: Any, raw: S3, bucket: str) -> None:
    assert failure(s3.get_bucket_tagging, Bucket=bucket) == (404, "NoSuchTagSet")
    tags = [{"Key": f"k{number}", "Value": "värde @+-=._:/"} for number in range(50)]
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == tags
    too_many = {"TagSet": [*tags, {"Key": "one", "Value": "more"}]}
    assert failure(s3.put_bucket_tagging, Bucket=bucket, Tagging=too_many) == (400, "BadRequest")
    twice = {"TagSet": [{"Key": "a", "Value": "b"}] * 2}
    assert failure(s3.put_bucket_tagging, Bucket=bucket, Tagging=twice) == (400, "InvalidTag")
    assert code_of(raw.put(f"/{bucket}?tagging", b"<Tagging/>")) == (400, "MalformedXML")
    s3.delete_bucket_tagging(Bucket=bucket)
    assert failure(s3.get_bucket_tagging, Bucket=bucket) == (404, "NoSuchTagSet")


def test_versioning_is_kept(s3: Any, raw: S3, bucket: str) -> None:
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    for state in ("Enabled", "Suspended"):
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": state})
        assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == state
    bad = b"<VersioningConfiguration><Status>On</Status></VersioningConfiguration>"
    assert code_of(raw.put(f"/{bucket}?versioning", bad)) == (400, "MalformedXML")
    mfa = b"<VersioningConfiguration><Status>Enabled</Status><MfaDelete>Enabled</MfaDelete></VersioningConfiguration>"
    assert code_of(raw.put(f"/{bucket}?versioning", mfa)) == (501, "NotImplemented")
    empty = b"<VersioningConfiguration/>"
    assert code_of(raw.put(f"/{bucket}?versioning", empty)) == (400, "IllegalVersioningConfigurationException")


def test_a_bucket_with_versions_is_not_deleted(s3: Any, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    version = s3.put_object(Bucket=bucket, Key="k", Body=b"x")["VersionId"]
    marker = s3.delete_object(Bucket=bucket, Key="k")["VersionId"]
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    assert failure(s3.delete_bucket, Bucket=bucket) == (409, "BucketNotEmpty")
    s3.delete_object(Bucket=bucket, Key="k", VersionId=version)
    assert failure(s3.delete_bucket, Bucket=bucket) == (409, "BucketNotEmpty")
    s3.delete_object(Bucket=bucket, Key="k", VersionId=marker)
    s3.delete_bucket(Bucket=bucket)


def test_uploads_under_way_go_with_their_bucket(s3: Any, new_bucket: NewBucket) -> None:
    name = new_bucket()
    upload = s3.create_multipart_upload(Bucket=name, Key="k")["UploadId"]
    s3.upload_part(Bucket=name, Key="k", UploadId=upload, PartNumber=1, Body=b"x")
    s3.delete_bucket(Bucket=name)
    s3.create_bucket(Bucket=name)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=name)


def test_who_pays_for_requests_takes_effect(s3: Any, s3_other: Any, bucket: str) -> None:
    assert s3.get_bucket_request_payment(Bucket=bucket)["Payer"] == "BucketOwner"
    s3.put_bucket_acl(Bucket=bucket, ACL="public-read")
    s3.put_bucket_request_payment(Bucket=bucket, RequestPaymentConfiguration={"Payer": "Requester"})
    assert s3.get_bucket_request_payment(Bucket=bucket)["Payer"] == "Requester"
    assert failure(s3_other.list_objects_v2, Bucket=bucket) == (403, "AccessDenied")
    assert s3_other.list_objects_v2(Bucket=bucket, RequestPayer="requester")["RequestCharged"] == "requester"
    assert "RequestCharged" not in s3.list_objects_v2(Bucket=bucket, RequestPayer="requester")  # the owner pays
    s3.list_objects_v2(Bucket=bucket)
    bad = {"Payer": "Somebody"}
    assert failure(s3.put_bucket_request_payment, Bucket=bucket, RequestPaymentConfiguration=bad) == (
        400,
        "MalformedXML",
    )


NOT_CONFIGURED = {
    "encryption": (404, "ServerSideEncryptionConfigurationNotFoundError"),
    "lifecycle": (404, "NoSuchLifecycleConfiguration"),
    "object-lock": (404, "ObjectLockConfigurationNotFoundError"),
    "replication": (404, "ReplicationConfigurationNotFoundError"),
    "website": (404, "NoSuchWebsiteConfiguration"),
    "policy": (404, "NoSuchBucketPolicy"),
    "cors": (404, "NoSuchCORSConfiguration"),
    "ownershipControls": (404, "OwnershipControlsNotFoundError"),
    "publicAccessBlock": (404, "NoSuchPublicAccessBlockConfiguration"),
    "analytics&id=x": (404, "NoSuchConfiguration"),
    "inventory&id=x": (404, "NoSuchConfiguration"),
    "metrics&id=x": (404, "NoSuchConfiguration"),
    "intelligent-tiering&id=x": (404, "NoSuchConfiguration"),
}  # fmt: skip


@pytest.mark.parametrize("what", NOT_CONFIGURED)
def test_what_is_not_configured_says_so(raw: S3, raw_other: S3, bucket: str, what: str) -> None:
    assert code_of(raw.get(f"/{bucket}?{what}")) == NOT_CONFIGURED[what]
    assert code_of(raw_other.get(f"/{bucket}?{what}")) == (403, "AccessDenied")
    assert code_of(raw.get(f"/{fresh()}?{what}")) == (404, "NoSuchBucket")


@pytest.mark.parametrize(
    "what", ["accelerate", "logging", "notification", "analytics", "inventory", "metrics", "intelligent-tiering"]
)
def test_what_is_always_there_is_empty(raw: S3, bucket: str, what: str) -> None:
    assert raw.get(f"/{bucket}?{what}").status == 200


@pytest.mark.parametrize(
    "what",
    ["accelerate", "analytics&id=x", "encryption", "intelligent-tiering&id=x", "inventory&id=x", "lifecycle",
     "metrics&id=x", "notification", "replication"],
)  # fmt: skip
def test_what_does_not_work_yet_is_never_a_silent_yes(raw: S3, bucket: str, what: str) -> None:
    assert code_of(raw.put(f"/{bucket}?{what}", b"<x/>")) == (501, "NotImplemented")


# Browsers

RULES = {
    "CORSRules": [
        {"AllowedOrigins": ["https://*.example.com"], "AllowedMethods": ["GET", "PUT"], "AllowedHeaders": ["x-amz-*"],
         "ExposeHeaders": ["ETag"], "MaxAgeSeconds": 30},
        {"AllowedOrigins": ["*"], "AllowedMethods": ["HEAD"]},
    ]
}  # fmt: skip


def preflight(raw: S3, target: str, origin: str, method: str, headers: str = "") -> Any:
    asked = {"Origin": origin, "Access-Control-Request-Method": method}
    return raw.send("OPTIONS", target, asked | ({"Access-Control-Request-Headers": headers} if headers else {}))


def test_preflights(s3: Any, raw: S3, bucket: str) -> None:
    target = f"/{bucket}/key"
    assert code_of(preflight(raw, target, "https://a.example.com", "GET")) == (403, "AccessForbidden")
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration=RULES)
    assert s3.get_bucket_cors(Bucket=bucket)["CORSRules"] == RULES["CORSRules"]
    answer = preflight(raw, target, "https://a.example.com", "PUT", "X-Amz-Date, x-amz-acl")
    assert answer.status == 200
    assert answer["Access-Control-Allow-Origin"] == "https://a.example.com"
    assert answer["Access-Control-Allow-Methods"] == "GET, PUT"
    assert answer["Access-Control-Allow-Headers"] == "x-amz-date, x-amz-acl"
    assert answer["Access-Control-Expose-Headers"] == "ETag"
    assert answer["Access-Control-Max-Age"] == "30"
    assert preflight(raw, target, "http://any", "HEAD")["Access-Control-Allow-Origin"] == "*"
    assert code_of(preflight(raw, target, "https://a.example.com", "DELETE")) == (403, "AccessForbidden")
    assert code_of(preflight(raw, target, "https://a.example.org", "GET")) == (403, "AccessForbidden")
    assert code_of(preflight(raw, target, "https://a.example.com", "GET", "cookie")) == (403, "AccessForbidden")
    assert code_of(preflight(raw, target, "https://a.example.com", "PATCH")) == (400, "BadRequest")
    assert code_of(raw.send("OPTIONS", target)) == (400, "BadRequest")
    s3.delete_bucket_cors(Bucket=bucket)
    assert failure(s3.get_bucket_cors, Bucket=bucket) == (404, "NoSuchCORSConfiguration")


def test_answers_tell_browsers_too_and_so_do_errors(s3: Any, raw: S3, bucket: str) -> None:
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration=RULES)
    s3.put_object(Bucket=bucket, Key="key", Body=b"x")
    origin = {"Origin": "https://a.example.com"}
    for answer in (raw.get(f"/{bucket}/key", origin), raw.send("GET", f"/{bucket}/key", origin)):
        assert answer["Access-Control-Allow-Origin"] == "https://a.example.com"
        assert "Origin" in answer["Vary"]
    assert raw.get(f"/{bucket}/key", {"Origin": "https://else"}).get("Access-Control-Allow-Origin") is None
    assert raw.get(f"/{bucket}/key").get("Access-Control-Allow-Origin") is None


def test_the_most_that_may_be_sent(raw: S3, bucket: str) -> None:
    huge = b"<CORSConfiguration>" + b" " * (2 << 20) + b"</CORSConfiguration>"
    assert code_of(raw.put(f"/{bucket}?cors", huge)) == (400, "MaxMessageLengthExceeded")
    policy = json.dumps({"Id": "x" * 30_000}).encode()
    assert code_of(raw.put(f"/{bucket}?policy", policy)) == (400, "MalformedPolicy")
    for what in ("cors", "tagging", "versioning", "ownershipControls", "publicAccessBlock", "requestPayment", "policy"):
        assert code_of(raw.put(f"/{bucket}?{what}"))[0] == 400
    for what in ("cors", "tagging", "versioning", "ownershipControls", "publicAccessBlock", "requestPayment"):
        assert code_of(raw.put(f"/{bucket}?{what}", b"<a><b></a>")) == (400, "MalformedXML")
        assert code_of(raw.put(f"/{bucket}?{what}", b"<Wrong/>")) == (400, "MalformedXML")
