"""May this caller do this? One pure function over everything that has a say.

The rules, in order:

1. What the bucket's policy denies is denied; only the policy operations stay open to the bucket's owner.
2. The bucket's owner may do all, but for reading objects of others, where those can be.
3. What the policy allows is allowed. A public policy allows nothing to other accounts where the
   bucket restricts public policies.
4. ACLs grant, of the bucket or of the object as the action has it, unless ownership has disabled them.
   Grants to groups count for nothing where public ACLs are ignored. The owner of an object may always
   read and write its ACL.
5. What Swift's ACLs of the container grant is granted.
6. All else is denied.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import NamedTuple

from objstore.s3.access import acl as acls
from objstore.s3.access.acl import Acl
from objstore.s3.access.actions import ACTIONS, OWNERS_ALWAYS, Action
from objstore.s3.access.patterns import Values
from objstore.s3.access.policy import Caller, Policy

BUCKET_OWNER_ENFORCED = "BucketOwnerEnforced"
BUCKET_OWNER_PREFERRED = "BucketOwnerPreferred"
OBJECT_WRITER = "ObjectWriter"
_NO_VALUES: Values = MappingProxyType({})
OWNERSHIPS = (BUCKET_OWNER_ENFORCED, BUCKET_OWNER_PREFERRED, OBJECT_WRITER)


class PublicAccessBlock(NamedTuple):
    """The four flags, in the order in which S3 documents them."""

    block_acls: bool = False
    ignore_acls: bool = False
    block_policy: bool = False
    restrict_buckets: bool = False


class Ask(NamedTuple):
    """owns: does the caller administer the account of the bucket? resource: `bucket` or `bucket/key`.
    conditions: the values of the keys that the policy asks for."""

    caller: Caller
    owns: bool
    action: str
    resource: str
    conditions: Values = _NO_VALUES


class Rights(NamedTuple):
    """owner: the account of the bucket. object_acl: None where it does not matter, or there is no object.

    policy_public: does the policy grant anything to everyone? swift: what the container's own ACLs let
    the caller do: `read`, `list`, `write`; those of referrers, who may be anyone, are in swift_public.
    """

    owner: str
    bucket_acl: Acl
    object_acl: Acl | None = None
    policy: Policy | None = None
    policy_public: bool = False
    ownership: str = OBJECT_WRITER
    block: PublicAccessBlock = PublicAccessBlock()
    swift: frozenset[str] = frozenset()
    swift_public: frozenset[str] = frozenset()


class Decision(NamedTuple):
    allowed: bool
    reason: str


DENIED_BY_POLICY = Decision(False, "the policy denies it")
ALLOWED_BY_POLICY = Decision(True, "the policy allows it")
OWNER = Decision(True, "the bucket is the caller's")
ALLOWED_BY_ACL = Decision(True, "the ACL grants it")
ALLOWED_BY_SWIFT = Decision(True, "the container's ACL grants it")
NOT_GRANTED = Decision(False, "nothing grants it")
_FINAL = frozenset({DENIED_BY_POLICY, ALLOWED_BY_POLICY})

# What Swift's ACLs have a word for.
_SWIFT = {
    "s3:GetObject": "read",
    "s3:GetObjectAttributes": "read",
    "s3:ListBucket": "list",
    "s3:PutObject": "write",
    "s3:DeleteObject": "write",
    "s3:AbortMultipartUpload": "write",
    "s3:ListMultipartUploadParts": "write",
}


def decide(ask: Ask, rights: Rights) -> Decision:
    """Raises KeyError for an action that is not S3's."""
    action = ACTIONS[ask.action]
    if rights.policy is not None:
        said = rights.policy.verdict(ask.caller, ask.action, ask.resource, ask.conditions)
        if said == "deny" and not (ask.owns and ask.action in OWNERS_ALWAYS):
            return DENIED_BY_POLICY
        if said == "allow" and not _is_restricted(ask, rights):
            return ALLOWED_BY_POLICY
    if ask.owns and not _is_of_another(action, rights):
        return OWNER
    if rights.ownership != BUCKET_OWNER_ENFORCED and _acl_allows(ask, action, rights):
        return ALLOWED_BY_ACL
    swift = _SWIFT.get(ask.action)
    if swift in rights.swift or (swift in rights.swift_public and not rights.block.ignore_acls):
        return ALLOWED_BY_SWIFT
    return NOT_GRANTED


def needs_object_acl(ask: Ask, rights: Rights, decision: Decision) -> bool:
    """Could the object's ACL change a decision made without it?"""
    return (
        ACTIONS[ask.action].acl == "object"
        and rights.ownership != BUCKET_OWNER_ENFORCED
        and decision not in _FINAL
        and decision is not ALLOWED_BY_SWIFT
    )


def _is_restricted(ask: Ask, rights: Rights) -> bool:
    return rights.block.restrict_buckets and rights.policy_public and ask.caller.account != rights.owner


def _is_of_another(action: Action, rights: Rights) -> bool:
    """Is this about an object that belongs to another than the bucket's owner?"""
    return (
        action.acl == "object"
        and rights.ownership != BUCKET_OWNER_ENFORCED
        and rights.object_acl is not None
        and rights.object_acl.owner != rights.owner
    )


def _acl_allows(ask: Ask, action: Action, rights: Rights) -> bool:
    if not action.acl:
        return False
    acl = rights.bucket_acl if action.acl == "bucket" else rights.object_acl
    if acl is None:
        return False
    caller = ask.caller
    # What an account is granted its administrators have; other users of it need a policy that names them.
    account = rights.owner if ask.owns else caller.account if caller.owner else ""
    if account and account == acl.owner and action.permission in ("READ_ACP", "WRITE_ACP"):
        return True
    groups: tuple[str, ...] = ()
    if not rights.block.ignore_acls:
        groups = (acls.ALL_USERS, acls.AUTHENTICATED_USERS) if caller.account else (acls.ALL_USERS,)
    return acls.allows(acl, account, action.permission, groups)
