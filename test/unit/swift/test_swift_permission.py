"""Policies and the public access block of a bucket, held against requests of the Swift API."""

from __future__ import annotations

import base64
import io
import json
import logging
from collections.abc import Iterable
from typing import Any

import pytest
from harness.layer_over_app import LayerOverApp

from objstore.access.actions import ACTIONS
from objstore.access.identity import Credential, Identity, Realm, bearer
from objstore.core.errors import AccessDenied, ObjstoreError
from objstore.core.names import Name
from objstore.runtime import settings
from objstore.s3.filter import S3Filter
from objstore.s3.settings import S3Settings
from objstore.swift.permission import Permissions, actions_of, listing_query
from objstore.web.context import RequestContext
from objstore.web.errors import response_for
from objstore.web.responses import Response

ACCOUNT, BUCKET, KEY = Name("AUTH_a"), Name("AUTH_a", "bucket"), Name("AUTH_a", "bucket", "key")
OWNER = Identity("a:al", ("a:al", "a"), ("AUTH_a",), account="AUTH_a")
OTHER = Identity("b:bo", ("b:bo", "b"), ("AUTH_b",), account="AUTH_b")


class Below:
    """The pipeline below: one container with these headers, and an object; it asks the decision as the proxy does."""

    def __init__(self, headers: dict[str, str], status: int = 204) -> None:
        self.layer = LayerOverApp(self)
        self.permissions = Permissions(self.layer)
        self.access_keys: Any = None
        self._headers = headers
        self._status = status

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ.get("objstore.preauthorized"):
            tags = {"X-Object-Transient-Sysmeta-S3-Tags": "team=blue"}
            of_object = environ["PATH_INFO"].count("/") == 4
            answer = Response(200 if of_object else self._status, tags if of_object else self._headers)
            return answer(environ, start_response)
        name = Name.parse(environ["PATH_INFO"].removeprefix("/v1"))
        context = RequestContext.of(environ)
        try:
            refusal = self.permissions.refusal(environ, context, name)
        except ObjstoreError as failure:
            refusal = response_for(failure)
        return (refusal or Response(200))(environ, start_response)


class Keys:
    def find(self, access_key: str) -> Credential | None:
        return None

    def has_account(self, account: str) -> bool:
        return True


def kept(kind: str, document: str) -> dict[str, str]:
    return {f"X-Container-Sysmeta-S3-{kind}-0": base64.b64encode(document.encode()).decode()}


def policy(**statement: Any) -> dict[str, str]:
    resources = ["arn:aws:s3:::bucket", "arn:aws:s3:::bucket/*"]
    made = {"Effect": "Deny", "Principal": "*", "Resource": resources, **statement}
    return kept("Policy", json.dumps({"Version": "2012-10-17", "Statement": [made]}))


def ask(
    sysmeta: dict[str, str],
    method: str = "GET",
    path: str = "/v1/AUTH_a/bucket/key",
    identity: Identity | None = OWNER,
    acl: str = "",
    query: str = "",
    default_block: str = "none",
    status: int = 204,
    **headers: str,
) -> int:
    lists = {header: acl for header in ("X-Container-Read", "X-Container-Write") if acl}
    below = Below(sysmeta | lists, status)
    values = settings.read(S3Settings, {"default_public_access_block": default_block})
    app = S3Filter(below, values, keys=Keys(), logger=logging.getLogger("test"))
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query, "objstore.raw_target": path,
        "HTTP_HOST": "h", "REMOTE_ADDR": "10.0.0.1", "wsgi.input": io.BytesIO(), "wsgi.url_scheme": "http",
        "objstore.realm": Realm(("AUTH_",)), **({"objstore.identity": identity} if identity else {}),
        **{f"HTTP_{name.upper()}": value for name, value in headers.items()},
    }  # fmt: skip
    report: list[str] = []
    b"".join(app(environ, lambda status, pairs, exc_info=None: report.append(status)))
    return int(report[0].split()[0])


DENIED = [
    ("s3:GetObject", "GET", "/key", {}),
    ("s3:GetObject", "HEAD", "/key", {}),
    ("s3:PutObject", "PUT", "/key", {}),
    ("s3:PutObject", "POST", "/key", {}),
    ("s3:DeleteObjectTagging", "POST", "/key", {}),
    ("s3:DeleteObject", "DELETE", "/key", {}),
    ("s3:DeleteObject", "PUT", "/key", {"x_delete_after": "1"}),
    ("s3:DeleteObject", "POST", "/key", {"x_delete_at": "1"}),
    ("s3:ListBucket", "GET", "", {}),
    ("s3:ListBucket", "HEAD", "", {}),
    ("s3:DeleteBucket", "DELETE", "", {}),
    ("s3:PutBucketAcl", "POST", "", {"x_container_read": "b:bo"}),
    ("s3:PutBucketAcl", "PUT", "", {"x_container_write": "b:bo"}),
    ("s3:PutBucketAcl", "POST", "", {"x_remove_container_read": "x"}),
    ("s3:PutBucketCORS", "POST", "", {"x_container_meta_access_control_allow_origin": "*"}),
    ("s3:*", "POST", "", {"x_container_meta_a": "b"}),
]


@pytest.mark.parametrize(("action", "method", "path", "headers"), DENIED)
def test_what_a_policy_denies_is_denied_to_swift(action: str, method: str, path: str, headers: dict[str, str]) -> None:
    path = f"/v1/AUTH_a/bucket{path}"
    assert ask({}, method, path, **headers) == 200  # type: ignore[arg-type]
    assert ask(policy(Action=action), method, path, **headers) == 403  # type: ignore[arg-type]
    assert ask(policy(Action="s3:GetObjectAcl"), method, path, **headers) == 200  # type: ignore[arg-type]
    assert ask(policy(Action=action, Effect="Allow"), method, path, **headers) == 200  # type: ignore[arg-type]


def test_a_policy_grants_nothing_to_swift() -> None:
    assert ask(policy(Action="s3:GetObject", Effect="Allow"), identity=OTHER) == 403
    assert ask(policy(Action="s3:GetObject", Effect="Allow"), identity=None) == 401


def test_the_one_who_asks_without_a_token_is_told_so() -> None:
    assert ask(policy(Action="s3:GetObject"), identity=None, acl=".r:*") == 401


CONDITIONS = [
    ({"NotPrincipal": {"AWS": "AUTH_a"}}, OWNER, 200),
    ({"NotPrincipal": {"AWS": "AUTH_a"}}, OTHER, 403),
    ({"Principal": {"AWS": "arn:aws:iam::AUTH_b:user/bo"}}, OTHER, 403),
    ({"Principal": {"AWS": "arn:aws:iam::AUTH_b:user/bob"}}, OTHER, 200),
    ({"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}, OWNER, 403),
    ({"Condition": {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}, OWNER, 200),
    ({"Condition": {"Bool": {"aws:SecureTransport": "false"}}}, OWNER, 403),
    ({"Condition": {"StringNotEquals": {"s3:authType": "REST-HEADER"}}}, OWNER, 403),
    ({"Condition": {"StringNotEquals": {"s3:x-amz-acl": "private"}}}, OWNER, 403),
    ({"Condition": {"StringEquals": {"s3:ExistingObjectTag/team": "blue"}}}, OWNER, 403),
    ({"Condition": {"StringEquals": {"s3:ExistingObjectTag/team": "red"}}}, OWNER, 200),
    ({"Resource": "arn:aws:s3:::bucket/other/*"}, OWNER, 200),
]


@pytest.mark.parametrize(("statement", "identity", "status"), CONDITIONS)
def test_conditions_and_principals_hold(statement: dict[str, Any], identity: Identity, status: int) -> None:
    fields: dict[str, Any] = {"Action": "s3:GetObject", "Resource": "arn:aws:s3:::bucket/*", **statement}
    if "NotPrincipal" in statement:
        sysmeta = kept("Policy", json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", **fields}]}))
    else:
        sysmeta = policy(**fields)
    assert ask(sysmeta, identity=identity, acl="b:bo", x_amz_acl="private") == status


@pytest.mark.parametrize(("query", "status"), [("prefix=a/b", 200), ("prefix=b", 403), ("", 403), ("path=a/", 200),
                                               ("path=b", 403), ("prefix=a/&path=b", 403)])  # fmt: skip
def test_conditions_see_the_listing_of_swift(query: str, status: int) -> None:
    condition = {"StringNotLike": {"s3:prefix": "a/*"}}
    sysmeta = policy(Action="s3:ListBucket", Condition=condition)
    assert ask(sysmeta, path="/v1/AUTH_a/bucket", query=query) == status


# Flags as they are kept: BlockPublicAcls, IgnorePublicAcls, BlockPublicPolicy, RestrictPublicBuckets.
BLOCKED, IGNORED, OTHERS = kept("Public-Access", "1000"), kept("Public-Access", "0100"), kept("Public-Access", "0011")


@pytest.mark.parametrize("acl", [".r:*", ".r:*,.rlistings", ".r:.example.com", "*:*"])
def test_public_acls_of_swift_count_for_nothing_where_those_are_ignored(acl: str) -> None:
    """X-Container-Read: .r:* once let everyone read a bucket that blocks all public access."""
    identity = OTHER if acl == "*:*" else None
    lets_in = acl != ".r:.example.com"
    assert ask({}, identity=identity, acl=acl) == (200 if lets_in else 401)
    assert ask(OTHERS, identity=identity, acl=acl) == (200 if lets_in else 401)
    assert ask(IGNORED, identity=identity, acl=acl) == (403 if identity else 401)
    assert ask({}, identity=identity, acl=acl, default_block="all") == (403 if identity else 401)
    assert ask(kept("Public-Access", "0000"), identity=identity, acl=acl, default_block="all") == (
        200 if lets_in else 401
    )
    assert ask(IGNORED, identity=OTHER, acl=f"{acl},b:bo") == 200  # who is named is no public


@pytest.mark.parametrize("method", ["PUT", "POST"])
@pytest.mark.parametrize(
    ("header", "value", "is_public"),
    [
        ("x_container_read", ".r:*", True),
        ("x_container_read", " .referrer : * , b:bo", True),
        ("x_container_read", "*:*", True),
        ("x_container_write", "*:*", True),
        ("x_container_read", ".rlistings", True),
        ("x_container_read", "b:bo", False),
        ("x_container_read", "", False),
        ("x_remove_container_read", "x", False),
    ],
)
def test_public_acls_cannot_be_set_where_those_are_blocked(
    method: str, header: str, value: str, is_public: bool
) -> None:
    path = "/v1/AUTH_a/bucket"
    refused = 403 if is_public else 200
    assert ask(BLOCKED, method, path, **{header: value}) == refused  # type: ignore[arg-type]
    assert ask({}, method, path, **{header: value}) == 200  # type: ignore[arg-type]
    new = ask({}, method, path, default_block="all", status=404, **{header: value})  # type: ignore[arg-type]
    assert new == refused


def test_a_policy_that_cannot_be_read_lets_nobody_in() -> None:
    assert ask(kept("Policy", "{")) == 400


def test_policies_are_not_asked_about_accounts() -> None:
    assert ask(policy(Action="s3:*"), path="/v1/AUTH_a") == 200


def test_each_method_has_an_action() -> None:
    for method in ("GET", "HEAD", "PUT", "POST", "DELETE"):
        for name in (KEY, BUCKET, ACCOUNT):
            assert all(action in ACTIONS for action in actions_of(method, name, {}))


def test_a_listing_by_path_is_one_by_prefix_and_delimiter() -> None:
    assert listing_query({"path": "a/b", "limit": "5"}) == {"prefix": "a/b/", "delimiter": "/", "max-keys": "5"}
    assert listing_query({"path": ""}) == {"prefix": "", "delimiter": "/"}


def test_the_bearer_of_a_key_is_limited_to_its_scope() -> None:
    of_container, of_account = bearer(BUCKET), bearer(ACCOUNT)
    other = "/v1/AUTH_a/other/key"
    for method in ("GET", "HEAD", "PUT", "POST", "DELETE"):
        assert ask({}, method, identity=of_container) == 200
        assert ask({}, method, identity=of_account) == 200
        assert ask({}, method, other, identity=of_container) == 401
        assert ask({}, method, other, identity=of_account) == 200
        assert ask({}, method, "/v1/AUTH_b/bucket/key", identity=of_account) == 401
    # Not even what everyone may read: nobody has signed that.
    assert ask({}, "GET", other, identity=of_container, acl=".r:*") == 401
    assert ask({}, "GET", "/v1/AUTH_a", identity=of_account) == 401


def test_a_policy_binds_the_bearer_of_a_key() -> None:
    for identity in (bearer(BUCKET), bearer(ACCOUNT)):
        assert ask(policy(Action="s3:GetObject"), identity=identity) == 401
        assert ask(policy(Action="s3:PutObject"), identity=identity) == 200
        assert ask(policy(Action="s3:GetObject", Principal={"AWS": "AUTH_a"}), identity=identity) == 401
        assert ask(policy(Action="s3:GetObject", Principal={"AWS": "AUTH_b"}), identity=identity) == 200


@pytest.mark.parametrize("sysmeta", [{}, policy(Action="s3:PutObject")])
def test_the_bearer_of_a_key_is_no_owner(sysmeta: dict[str, str]) -> None:
    below = Below(sysmeta)
    environ = {
        "REQUEST_METHOD": "GET", "PATH_INFO": "/v1/AUTH_a/bucket/key", "objstore.realm": Realm(("AUTH_",)),
        "objstore.identity": bearer(BUCKET), "wsgi.url_scheme": "http",
    }  # fmt: skip
    assert below.permissions.refusal(environ, RequestContext.of(environ), KEY) is None
    assert not environ["objstore.owner"]
    environ["objstore.identity"] = OWNER
    assert below.permissions.refusal(environ, RequestContext.of(environ), KEY) is None
    assert environ["objstore.owner"]


def test_further_objects_are_read_within_the_scope_alone() -> None:
    below = Below({})
    environ = {
        "REQUEST_METHOD": "GET", "PATH_INFO": "/v1/AUTH_a/bucket/key", "objstore.realm": Realm(("AUTH_",)),
        "objstore.identity": bearer(BUCKET), "wsgi.url_scheme": "http",
    }  # fmt: skip
    context = RequestContext.of(environ)
    below.permissions.permit_read(environ, context, Name("AUTH_a", "bucket", "segment"))
    with pytest.raises(AccessDenied) as refused:
        below.permissions.permit_read(environ, context, Name("AUTH_a", "other", "segment"))
    assert not refused.value.known
