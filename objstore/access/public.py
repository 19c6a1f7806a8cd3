"""The test for public policies and buckets (S3 user guide, "Blocking public access": The meaning of "public").

A statement is public if it grants something to everyone, and no condition restricts that to fixed
values of a key that only some requests can have.
"""

from __future__ import annotations

from functools import lru_cache

from objstore.access.bucket import BucketAccess
from objstore.access.conditions import PolicyCondition, network
from objstore.access.policy import Policy, Statement
from objstore.access.swift_acls import without_public

_TYING = frozenset(
    {
        "aws:principalarn", "aws:principalaccount", "aws:principalorgid", "aws:principalorgpaths", "aws:sourceaccount",
        "aws:sourcearn", "aws:sourceorgid", "aws:sourceorgpaths", "aws:sourceowner", "aws:sourcevpc",
        "aws:sourcevpcarn", "aws:sourcevpce", "aws:userid", "aws:username", "s3:dataaccesspointaccount",
        "s3:dataaccesspointarn", "s3:x-amz-server-side-encryption-aws-kms-key-id",
    }
)  # fmt: skip
_OPERATORS = frozenset({"stringequals", "stringequalsignorecase", "stringlike", "arnequals", "arnlike"})
_WIDEST = {4: 8, 6: 32}  # by IP version, the shortest prefix of a network that is not everyone


@lru_cache(maxsize=512)
def is_public(policy: Policy) -> bool:
    return any(_grants_everyone(statement) for statement in policy.statements)


def is_public_bucket(bucket: BucketAccess) -> bool:
    """Return whether its policy grants to everyone, or an ACL or list that its public access block does not ignore."""
    block, policy = bucket.block, bucket.policy
    if policy is not None and not block.restrict_buckets and is_public(policy):
        return True
    by_acl = bucket.acl.public and not bucket.acls_disabled and not block.ignore_acls
    return by_acl or any(without_public(text) != text for text in map(bucket.list_for, ("read", "write")))


def _grants_everyone(statement: Statement) -> bool:
    if not statement.allow or not statement.principals.everyone:
        return False
    return not any(_ties(condition) for condition in statement.conditions)


def _ties(condition: PolicyCondition) -> bool:
    if condition.if_exists or condition.qualifier == "forallvalues":
        return False
    if condition.key == "aws:sourceip":
        return condition.operator == "ipaddress" and all(_is_narrow(value) for value in condition.values)
    return (
        condition.key in _TYING
        and condition.operator in _OPERATORS
        and not any(character in value for value in condition.values for character in "*?$")
    )


def _is_narrow(text: str) -> bool:
    if "$" in text:
        return False
    addresses = network(text)
    return addresses.prefixlen >= _WIDEST[addresses.version]
