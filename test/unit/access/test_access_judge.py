"""The judge fetches what a decision needs, once, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from unit.access.cases import ANYONE, BUCKET, KEY, OTHER, OWN, OWNER, REALM, granted, statement

from objstore.access import acl
from objstore.access.acl import Acl
from objstore.access.bucket import ACL, NO_DEFAULTS, OWNERSHIP, POLICY, PUBLIC_ACCESS, BucketDefaults
from objstore.access.condition_keys import Circumstances
from objstore.access.decision import (
    ALLOWED_BY_ACCOUNT,
    ALLOWED_BY_ACL,
    ALLOWED_BY_LIST,
    ALLOWED_BY_POLICY,
    DENIED_BY_POLICY,
    LISTER,
    NOT_GRANTED,
    Decision,
    Question,
)
from objstore.access.decision import OWNER as BY_OWNER
from objstore.access.judge import OBJECT_ACL, OBJECT_TAGS, Describe, Judge, lets_owner_pass
from objstore.access.policy import MalformedPolicy
from objstore.core.names import Name
from objstore.layers import documents
from objstore.layers.bodies import BytesBody
from objstore.layers.interface import AccountOptions, ContainerOptions, DeleteOptions, PutOptions, ReadOptions, Reply
from objstore.layers.memory import MemoryLayer
from objstore.web.context import RequestContext
from objstore.web.infos import AccountInfo, ContainerInfo

READ, LIST = Question(OWNER, "s3:GetObject", KEY, True), Question(OWNER, "s3:ListBucket", BUCKET, True)


class Layer(MemoryLayer):
    """Notes which infos it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def container_info(self, context: RequestContext, name: Name) -> ContainerInfo:
        self.asked.append("container")
        return super().container_info(context, name)

    def account_info(self, context: RequestContext, account: str) -> AccountInfo:
        self.asked.append("account")
        return super().account_info(context, account)

    def open(self, context: RequestContext, name: Name, options: ReadOptions) -> Reply:
        asked = [*self.asked, "object"]
        try:
            return super().open(context, name, options)
        finally:
            self.asked[:] = asked  # what the layer itself looks up does not count

    def keep(self, stored: Acl | None = OWN, tags: str = "") -> None:
        """Put the object with an ACL and tags, or remove it."""
        if stored is None:
            self.delete(RequestContext(), KEY, DeleteOptions())
        else:
            kept = {OBJECT_ACL: acl.dump(stored, "AUTH_owner"), OBJECT_TAGS: tags, "Content-Type": "text/plain"}
            headers = {name: value for name, value in kept.items() if value}
            self.put(RequestContext(), KEY, PutOptions(headers), BytesBody(b""))
        self.asked.clear()


def telling(layer: Layer, ip: str = "10.0.0.1") -> Describe:
    def describe(keys: frozenset[str]) -> Circumstances:
        layer.asked.append("circumstances")
        return Circumstances(source_ip=ip)

    return describe


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def made(kinds: dict[str, str], level: str = "", **headers: str) -> Layer:
    """A layer with the bucket, its documents and headers. level: what the list of its account grants to OTHER."""
    layer, context = Layer(), RequestContext()
    kept = {name.title().replace("_", "-"): value for name, value in headers.items()}
    for kind, document in kinds.items():
        kept |= documents.headers(kind, document)
    layer.create_container(context, BUCKET, ContainerOptions(kept))
    if level:
        listed = {"X-Account-Sysmeta-Core-Access-Control": json.dumps({level: ["other"]})}
        layer.update_account(context, Name(BUCKET.account), AccountOptions(listed))
    layer.asked.clear()
    return layer


def decided(layer: Layer, question: Question, defaults: BucketDefaults = NO_DEFAULTS, **told: Any) -> Decision:
    ip = told.pop("ip", "10.0.0.1")
    layer.keep(**told)
    return Judge(layer, RequestContext(), question, telling(layer, ip), None, defaults).decide()


BY_TAG = policy(statement("Deny", Condition={"StringEquals": {"s3:ExistingObjectTag/team": "red"}}))
BY_ADDRESS = policy(statement("Deny", Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}))
OTHERS_ACL = {ACL: acl.dump(granted("READ"), "AUTH_owner")}
WRITERS_ACL = {ACL: acl.dump(granted("WRITE"), "AUTH_owner")}
C, A, X, R = "container", "account", "object", "circumstances"

LOOKS: list[tuple[str, Layer, Question, dict[str, Any], Decision, list[str]]] = [
    ("an owner costs one look", made({}), READ, {}, BY_OWNER, [C]),
    ("an ACL does not matter to a listing of its owner", made(OTHERS_ACL), LIST, {}, BY_OWNER, [C]),
    ("it may let others write, and so matters to a read", made(WRITERS_ACL), READ, {}, BY_OWNER, [C, X]),
    ("a policy without conditions", made({POLICY: policy(statement("Deny"))}), READ, {}, DENIED_BY_POLICY, [C]),
    ("a policy about the address", made({POLICY: BY_ADDRESS}), READ, {}, DENIED_BY_POLICY, [C, R]),
    ("which is another", made({POLICY: BY_ADDRESS}), READ, {"ip": "192.0.2.1"}, BY_OWNER, [C, R]),
    ("a policy about tags", made({POLICY: BY_TAG}), READ, {"tags": "team=red"}, DENIED_BY_POLICY, [C, X, R]),
    ("tags matter to no listing", made({POLICY: BY_TAG}), LIST, {"tags": "team=red"}, BY_OWNER, [C, R]),
    ("an object that was read for its tags is not read for its ACL", made({POLICY: BY_TAG}),
     READ._replace(identity=OTHER), {"stored": granted("READ")}, ALLOWED_BY_ACL, [C, X, R, A]),
    ("what a policy allows needs no more", made({POLICY: policy(statement("Allow"))}), READ._replace(identity=OTHER),
     {}, ALLOWED_BY_POLICY, [C]),
    ("nor what a list grants", made({}, x_container_read="other"), READ._replace(identity=OTHER), {},
     ALLOWED_BY_LIST, [C]),
    ("the list of the account comes before the object", made({}, "read-only"), READ._replace(identity=OTHER), {},
     ALLOWED_BY_ACCOUNT, [C, A]),
    ("another is denied after all", made({}), READ._replace(identity=OTHER), {}, NOT_GRANTED, [C, A, X]),
    ("anyone is on no list of accounts", made({}), READ._replace(identity=ANYONE), {}, NOT_GRANTED, [C, X]),
    ("who lists learns that a key is missing", made(OTHERS_ACL), READ._replace(identity=OTHER), {"stored": None},
     LISTER, [C, A, X]),
    ("disabled ACLs need no object", made({OWNERSHIP: "BucketOwnerEnforced"}), READ._replace(identity=OTHER), {},
     NOT_GRANTED, [C, A]),
    ("Swift asks for no object", made({}), READ._replace(identity=OTHER, s3=False, realm=REALM), {}, NOT_GRANTED,
     [C, A]),
    ("an account has no container", made({}, "read-only"),
     Question(OTHER, "s3:ListAllMyBuckets", Name("AUTH_owner"), realm=REALM), {}, ALLOWED_BY_ACCOUNT, [A]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("layer", "question", "told", "outcome", "asked"), [each[1:] for each in LOOKS], ids=[each[0] for each in LOOKS]
)
def test_what_is_looked_at(
    layer: Layer, question: Question, told: dict[str, Any], outcome: Decision, asked: list[str]
) -> None:
    assert decided(layer, question, **told) == outcome
    assert layer.asked == asked


def test_defaults_count_for_a_bucket_that_says_nothing() -> None:
    public = READ._replace(identity=ANYONE, s3=False)
    closed = BucketDefaults(block="all")
    assert decided(made({}, x_container_read=".r:*"), public) == ALLOWED_BY_LIST
    assert decided(made({}, x_container_read=".r:*"), public, closed) == NOT_GRANTED
    assert decided(made({PUBLIC_ACCESS: "0000"}, x_container_read=".r:*"), public, closed) == ALLOWED_BY_LIST


def test_a_policy_that_cannot_be_read_lets_in_only_who_mends_it() -> None:
    layer = made({POLICY: "{"})
    with pytest.raises(MalformedPolicy):
        decided(layer, READ)
    assert decided(layer, Question(OWNER, "s3:PutBucketPolicy", BUCKET, True)) == BY_OWNER


def test_a_denial_by_itself() -> None:
    layer = made({POLICY: BY_ADDRESS})
    info = layer.container_info(RequestContext(), BUCKET)
    assert Judge(layer, RequestContext(), READ, telling(layer), info).denies()
    assert not Judge(layer, RequestContext(), READ, telling(layer, "192.0.2.1"), info).denies()


@pytest.mark.parametrize(
    ("kinds", "action", "through_s3", "passes"),
    [
        ({}, "s3:GetObject", True, True),
        (OTHERS_ACL, "s3:GetObject", True, False),
        (OTHERS_ACL, "s3:GetObject", False, True),
        (OTHERS_ACL, "s3:PutObject", True, True),
        ({POLICY: "{"}, "s3:GetObject", False, False),
        ({POLICY: "{"}, "s3:DeleteBucketPolicy", True, True),
    ],
)
def test_an_owner_who_passes_would_be_let_in(
    kinds: dict[str, str], action: str, through_s3: bool, passes: bool
) -> None:
    layer = made(kinds)
    info = layer.container_info(RequestContext(), BUCKET)
    assert lets_owner_pass(info, action, through_s3) is passes
    if passes:
        assert decided(layer, Question(OWNER, action, KEY, through_s3)) == BY_OWNER
