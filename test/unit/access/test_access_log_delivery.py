"""Whether log delivery may write into a bucket: its policy first, then its ACL, never the rights of its owner."""

from __future__ import annotations

import json

import pytest

from objstore.access.acl import LOG_DELIVERY, Acl, Grant, private
from objstore.access.bucket import BUCKET_OWNER_ENFORCED, BucketAccess, PublicAccessBlock
from objstore.access.log_delivery import may_deliver
from objstore.access.policy import parse
from objstore.core.names import Name

OWNER = "AUTH_a"
SOURCE, TARGET = Name(OWNER, "photos"), Name(OWNER, "logs", "p/x")
BY_ACL = Acl(OWNER, (Grant(LOG_DELIVERY, "WRITE"), Grant(LOG_DELIVERY, "READ_ACP")))
ALLOW = {
    "Effect": "Allow",
    "Principal": {"Service": "logging.s3.amazonaws.com"},
    "Action": "s3:PutObject",
    "Resource": "arn:aws:s3:::logs/p/*",
}


def bucket(*statements: dict[str, object], acl: Acl | None = None, **changes: object) -> BucketAccess:
    policy = parse(json.dumps({"Version": "2012-10-17", "Statement": statements}), "logs") if statements else None
    return BucketAccess(OWNER, acl or private(OWNER), policy)._replace(**changes)  # type: ignore[arg-type]


def of_source(account: str = OWNER, arn: str = "arn:aws:s3:::photos") -> dict[str, object]:
    return {"StringEquals": {"aws:SourceAccount": account}, "ArnLike": {"aws:SourceArn": arn}}


@pytest.mark.parametrize(
    ("access", "allowed"),
    [
        (bucket(), False),
        (bucket(acl=BY_ACL), True),
        (bucket(acl=Acl(OWNER, (Grant(LOG_DELIVERY, "READ"),))), False),
        (bucket(acl=BY_ACL, ownership=BUCKET_OWNER_ENFORCED), False),
        (bucket(acl=BY_ACL, requester_pays=True), False),
        (bucket(ALLOW), True),
        (bucket(ALLOW, ownership=BUCKET_OWNER_ENFORCED), True),
        (bucket(ALLOW, block=PublicAccessBlock(True, True, True, True)), True),
        (bucket({**ALLOW, "Resource": "arn:aws:s3:::logs/q/*"}), False),
        (bucket({**ALLOW, "Principal": {"Service": "sns.amazonaws.com"}}), False),
        (bucket({**ALLOW, "Principal": {"AWS": OWNER}}), False),
        (bucket({**ALLOW, "Action": "s3:GetObject"}), False),
        (bucket({**ALLOW, "Condition": of_source()}), True),
        (bucket({**ALLOW, "Condition": of_source(account="AUTH_b")}), False),
        (bucket({**ALLOW, "Condition": of_source(arn="arn:aws:s3:::other*")}), False),
        (bucket({**ALLOW, "Condition": {"Bool": {"aws:PrincipalIsAWSService": "true"}}}), True),
        (bucket(ALLOW, {**ALLOW, "Effect": "Deny", "Principal": "*"}), False),
        (bucket({**ALLOW, "Effect": "Deny"}, acl=BY_ACL), False),
        (
            bucket(
                ALLOW,
                {
                    **ALLOW,
                    "Effect": "Deny",
                    "Principal": "*",
                    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                },
            ),
            True,
        ),
    ],
)
def test_who_lets_log_delivery_write(access: BucketAccess, allowed: bool) -> None:
    assert may_deliver(access, TARGET, SOURCE, 0.0) is allowed


def test_a_bucket_of_another_account_takes_no_logs() -> None:
    assert not may_deliver(bucket(acl=BY_ACL), TARGET, Name("AUTH_b", "photos"), 0.0)
    assert not may_deliver(bucket(acl=BY_ACL)._replace(owner="AUTH_b"), TARGET, SOURCE, 0.0)
