"""Every way in which access is given or refused, as a table of cases."""

from __future__ import annotations

import json
from typing import Any

import pytest

from objstore.s3.access import decision
from objstore.s3.access.acl import ALL_USERS, AUTHENTICATED_USERS, Acl, Grant, private
from objstore.s3.access.actions import ACTIONS
from objstore.s3.access.decision import Ask, PublicAccessBlock, Rights, decide, needs_object_acl
from objstore.s3.access.policy import Caller, Policy, parse

OWNER = Caller("AUTH_owner", "root", True)
OTHER = Caller("AUTH_other", "root", True)
CLERK = Caller("AUTH_owner", "clerk", False)  # a user of the owner's account who does not administer it
OTHERS_CLERK = Caller("AUTH_other", "clerk", False)
ANYONE = Caller()

PUBLIC_READ = Acl("AUTH_owner", (Grant("AUTH_owner", "FULL_CONTROL"), Grant(ALL_USERS, "READ")))
PUBLIC_WRITE = Acl("AUTH_owner", (Grant("AUTH_owner", "FULL_CONTROL"), Grant(ALL_USERS, "WRITE")))
KNOWN_READ = Acl("AUTH_owner", (Grant("AUTH_owner", "FULL_CONTROL"), Grant(AUTHENTICATED_USERS, "READ")))
OTHERS = private("AUTH_other")


def granted(permission: str) -> Acl:
    return Acl("AUTH_owner", (Grant("AUTH_owner", "FULL_CONTROL"), Grant("AUTH_other", permission)))


def policy(*statements: dict[str, Any]) -> Policy:
    return parse(json.dumps({"Version": "2012-10-17", "Statement": list(statements)}), "bucket")


def statement(effect: str, principal: Any = "*", action: Any = "s3:*", **more: Any) -> dict[str, Any]:
    resource = ["arn:aws:s3:::bucket", "arn:aws:s3:::bucket/*"]
    return {"Effect": effect, "Principal": principal, "Action": action, "Resource": resource, **more}


ALLOW_ALL = policy(statement("Allow"))
DENY_ALL = policy(statement("Deny"))
DENY_AND_ALLOW = policy(statement("Allow"), statement("Deny", action="s3:GetObject"))
ALLOW_OTHER = policy(statement("Allow", {"AWS": "arn:aws:iam::AUTH_other:root"}))
ALLOW_CLERK = policy(statement("Allow", {"AWS": "arn:aws:iam::AUTH_owner:user/clerk"}))
DENY_OTHER = policy(statement("Allow"), statement("Deny", {"AWS": "AUTH_other"}))
ENFORCED = decision.BUCKET_OWNER_ENFORCED


def rights(acl: Acl | None = None, obj: Acl | None = None, **more: Any) -> Rights:
    return Rights("AUTH_owner", acl or private("AUTH_owner"), obj, **more)


CASES: list[tuple[str, Caller, str, Rights, bool]] = [
    # The owner
    ("owner reads", OWNER, "s3:GetObject", rights(obj=private("AUTH_owner")), True),
    ("owner configures", OWNER, "s3:PutBucketPolicy", rights(), True),
    ("owner does not read an object of another", OWNER, "s3:GetObject", rights(obj=OTHERS), False),
    ("owner reads it where ACLs are disabled", OWNER, "s3:GetObject", rights(obj=OTHERS, ownership=ENFORCED), True),
    ("owner reads it by its ACL", OWNER, "s3:GetObject",
     rights(obj=Acl("AUTH_other", (Grant("AUTH_owner", "READ"),))), True),
    ("owner deletes an object of another", OWNER, "s3:DeleteObject", rights(obj=OTHERS), True),
    ("owner is denied by the policy", OWNER, "s3:GetObject", rights(policy=DENY_ALL), False),
    ("owner mends a policy that denies all", OWNER, "s3:PutBucketPolicy", rights(policy=DENY_ALL), True),
    ("owner deletes a policy that denies all", OWNER, "s3:DeleteBucketPolicy", rights(policy=DENY_ALL), True),
    # Nobody has said anything
    ("another reads", OTHER, "s3:GetObject", rights(obj=private("AUTH_owner")), False),
    ("another lists", OTHER, "s3:ListBucket", rights(), False),
    ("another writes", OTHER, "s3:PutObject", rights(), False),
    ("another sets the policy", OTHER, "s3:PutBucketPolicy", rights(), False),
    ("anyone reads", ANYONE, "s3:GetObject", rights(obj=private("AUTH_owner")), False),
    ("anyone lists", ANYONE, "s3:ListBucket", rights(), False),
    ("a user of the account reads", CLERK, "s3:GetObject", rights(obj=private("AUTH_owner")), False),
    # ACLs
    ("bucket READ lists", OTHER, "s3:ListBucket", rights(granted("READ")), True),
    ("bucket READ lists versions", OTHER, "s3:ListBucketVersions", rights(granted("READ")), True),
    ("bucket READ does not read objects", OTHER, "s3:GetObject",
     rights(granted("READ"), private("AUTH_owner")), False),
    ("bucket WRITE writes", OTHER, "s3:PutObject", rights(granted("WRITE")), True),
    ("bucket WRITE deletes", OTHER, "s3:DeleteObject", rights(granted("WRITE")), True),
    ("bucket WRITE deletes no versions", OTHER, "s3:DeleteObjectVersion", rights(granted("WRITE")), False),
    ("bucket WRITE does not list", OTHER, "s3:ListBucket", rights(granted("WRITE")), False),
    ("bucket READ_ACP reads the ACL", OTHER, "s3:GetBucketAcl", rights(granted("READ_ACP")), True),
    ("bucket READ_ACP does not write it", OTHER, "s3:PutBucketAcl", rights(granted("READ_ACP")), False),
    ("bucket WRITE_ACP writes the ACL", OTHER, "s3:PutBucketAcl", rights(granted("WRITE_ACP")), True),
    ("bucket FULL_CONTROL lists", OTHER, "s3:ListBucket", rights(granted("FULL_CONTROL")), True),
    ("bucket FULL_CONTROL writes", OTHER, "s3:PutObject", rights(granted("FULL_CONTROL")), True),
    ("bucket FULL_CONTROL does not delete it", OTHER, "s3:DeleteBucket", rights(granted("FULL_CONTROL")), False),
    ("bucket FULL_CONTROL sets no policy", OTHER, "s3:PutBucketPolicy", rights(granted("FULL_CONTROL")), False),
    ("object READ reads", OTHER, "s3:GetObject", rights(obj=granted("READ")), True),
    ("object READ does not write", OTHER, "s3:PutObject", rights(obj=granted("READ")), False),
    ("object READ_ACP reads the ACL", OTHER, "s3:GetObjectAcl", rights(obj=granted("READ_ACP")), True),
    ("object WRITE_ACP writes the ACL", OTHER, "s3:PutObjectAcl", rights(obj=granted("WRITE_ACP")), True),
    ("object FULL_CONTROL reads", OTHER, "s3:GetObjectVersion", rights(obj=granted("FULL_CONTROL")), True),
    ("object FULL_CONTROL does not read tags", OTHER, "s3:GetObjectTagging",
     rights(obj=granted("FULL_CONTROL")), False),
    ("the owner of an object reads its ACL ungranted", OTHER, "s3:GetObjectAcl", rights(obj=Acl("AUTH_other", ())),
     True),
    ("the owner of an object does not read it ungranted", OTHER, "s3:GetObject", rights(obj=Acl("AUTH_other", ())),
     False),
    ("what an account is granted its users do not have", OTHERS_CLERK, "s3:ListBucket", rights(granted("READ")),
     False),
    ("anyone lists a public bucket", ANYONE, "s3:ListBucket", rights(PUBLIC_READ), True),
    ("anyone reads a public object", ANYONE, "s3:GetObject", rights(obj=PUBLIC_READ), True),
    ("anyone writes to a public bucket", ANYONE, "s3:PutObject", rights(PUBLIC_WRITE), True),
    ("anyone is not known", ANYONE, "s3:ListBucket", rights(KNOWN_READ), False),
    ("another is known", OTHER, "s3:ListBucket", rights(KNOWN_READ), True),
    ("a user of another account is known", OTHERS_CLERK, "s3:ListBucket", rights(KNOWN_READ), True),
    ("disabled ACLs grant nothing", OTHER, "s3:ListBucket", rights(granted("READ"), ownership=ENFORCED), False),
    # Policies
    ("a policy allows anyone", ANYONE, "s3:GetObject", rights(policy=ALLOW_ALL), True),
    ("a policy allows another", OTHER, "s3:GetObject", rights(policy=ALLOW_OTHER), True),
    ("a policy allows another what no ACL can", OTHER, "s3:PutBucketVersioning", rights(policy=ALLOW_OTHER), True),
    ("a policy for another does not allow anyone", ANYONE, "s3:GetObject", rights(policy=ALLOW_OTHER), False),
    ("a policy for an account does not allow its users", OTHERS_CLERK, "s3:GetObject", rights(policy=ALLOW_OTHER),
     False),
    ("a policy names a user", CLERK, "s3:GetObject", rights(policy=ALLOW_CLERK), True),
    ("a denial goes before an allowance", OTHER, "s3:GetObject", rights(policy=DENY_AND_ALLOW), False),
    ("what is not denied stays allowed", OTHER, "s3:PutObject", rights(policy=DENY_AND_ALLOW), True),
    ("a denial goes before ACLs", OTHER, "s3:GetObject", rights(obj=granted("READ"), policy=DENY_ALL), False),
    ("a denial goes before Swift's ACLs", OTHER, "s3:GetObject",
     rights(policy=DENY_ALL, swift=frozenset({"read"})), False),
    ("to deny an account is to deny its users", OTHERS_CLERK, "s3:GetObject", rights(policy=DENY_OTHER), False),
    ("another mends no policy that denies all", OTHER, "s3:PutBucketPolicy",
     rights(policy=policy(statement("Allow"), statement("Deny"))), False),
    # Public access block
    ("public grants are ignored", ANYONE, "s3:ListBucket",
     rights(PUBLIC_READ, block=PublicAccessBlock(ignore_acls=True)), False),
    ("grants to the known are ignored", OTHER, "s3:ListBucket",
     rights(KNOWN_READ, block=PublicAccessBlock(ignore_acls=True)), False),
    ("grants to one are not", OTHER, "s3:ListBucket",
     rights(granted("READ"), block=PublicAccessBlock(ignore_acls=True)), True),
    ("a public policy is restricted", ANYONE, "s3:GetObject",
     rights(policy=ALLOW_ALL, policy_public=True, block=PublicAccessBlock(restrict_buckets=True)), False),
    ("to the account's own users it is not", CLERK, "s3:GetObject",
     rights(policy=ALLOW_ALL, policy_public=True, block=PublicAccessBlock(restrict_buckets=True)), True),
    ("a policy that is not public is not", OTHER, "s3:GetObject",
     rights(policy=ALLOW_OTHER, block=PublicAccessBlock(restrict_buckets=True)), True),
    ("blocking new ones leaves those that are there", ANYONE, "s3:ListBucket",
     rights(PUBLIC_READ, block=PublicAccessBlock(block_acls=True, block_policy=True)), True),
    # Swift's ACLs
    ("a read ACL reads", OTHER, "s3:GetObject", rights(swift=frozenset({"read", "list"})), True),
    ("a read ACL lists", OTHER, "s3:ListBucket", rights(swift=frozenset({"read", "list"})), True),
    ("a read ACL does not write", OTHER, "s3:PutObject", rights(swift=frozenset({"read", "list"})), False),
    ("a write ACL writes", OTHER, "s3:PutObject", rights(swift=frozenset({"write"})), True),
    ("a write ACL does not configure", OTHER, "s3:PutBucketAcl", rights(swift=frozenset({"write"})), False),
    ("a read ACL for all referrers reads", ANYONE, "s3:GetObject", rights(swift_public=frozenset({"read"})), True),
    ("without .rlistings it does not list", ANYONE, "s3:ListBucket", rights(swift_public=frozenset({"read"})),
     False),
    ("it is public, and ignored as such", ANYONE, "s3:GetObject",
     rights(swift_public=frozenset({"read"}), block=PublicAccessBlock(ignore_acls=True)), False),
]  # fmt: skip


@pytest.mark.parametrize(
    ("caller", "action", "held", "allowed"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_cases(caller: Caller, action: str, held: Rights, allowed: bool) -> None:
    resource = "bucket/key" if ACTIONS[action].on == "object" else "bucket"
    made = decide(Ask(caller, caller == OWNER, action, resource), held)
    assert made.allowed is allowed, made.reason


@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_nothing_is_granted_to_anyone_by_silence(action: str) -> None:
    assert not decide(Ask(ANYONE, False, action, "bucket"), rights(obj=private("AUTH_owner"))).allowed
    assert not decide(Ask(OTHER, False, action, "bucket"), rights(obj=private("AUTH_owner"))).allowed


@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_an_explicit_denial_is_final_for_others(action: str) -> None:
    everything = rights(
        granted("FULL_CONTROL"), granted("FULL_CONTROL"), policy=policy(statement("Allow"), statement("Deny"))
    )
    assert not decide(Ask(OTHER, False, action, "bucket"), everything).allowed


def test_the_acl_of_an_object_is_asked_for_only_where_it_can_matter() -> None:
    read = Ask(OTHER, False, "s3:GetObject", "bucket/key")
    for held in (rights(policy=ALLOW_ALL), rights(policy=DENY_ALL), rights(ownership=ENFORCED)):
        assert not needs_object_acl(read, held, decide(read, held))
    assert needs_object_acl(read, rights(), decide(read, rights()))
    write = read._replace(action="s3:PutObject")
    assert not needs_object_acl(write, rights(), decide(write, rights()))
