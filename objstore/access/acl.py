"""Access control lists of buckets and objects: the permissions that their owner grants, and the grantees.

A grantee is the canonical id of an account, which here is the account's name, or the URI of a group.
An ACL is stored as JSON; '' is the ACL that grants everything to the owner alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"
AUTHENTICATED_USERS = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
LOG_DELIVERY = "http://acs.amazonaws.com/groups/s3/LogDelivery"
GROUPS = frozenset({ALL_USERS, AUTHENTICATED_USERS, LOG_DELIVERY})
PUBLIC_GROUPS = frozenset({ALL_USERS, AUTHENTICATED_USERS})

FULL_CONTROL = "FULL_CONTROL"
PERMISSIONS = (FULL_CONTROL, "READ", "WRITE", "READ_ACP", "WRITE_ACP")


class Grant(NamedTuple):
    """A permission of a grantee. grantee: a canonical id, or the URI of a group."""

    grantee: str
    permission: str


class Acl(NamedTuple):
    """The access control list of a bucket or object."""

    owner: str
    grants: tuple[Grant, ...]

    @property
    def public(self) -> bool:
        """True if it grants anything to everyone, or to everyone with an account."""
        return any(grant.grantee in PUBLIC_GROUPS for grant in self.grants)

    @property
    def private(self) -> bool:
        """True if it grants everything to its owner, and nothing to anyone else."""
        return self.grants == (Grant(self.owner, FULL_CONTROL),)

    @property
    def lets_others_write(self) -> bool:
        return any(
            grantee != self.owner and permission in (FULL_CONTROL, "WRITE") for grantee, permission in self.grants
        )

    def allows(self, account: str, permission: str, groups: Iterable[str]) -> bool:
        """Return whether a permission is granted to an account ('' for none), or to one of its groups."""
        return any(
            granted in (permission, FULL_CONTROL)
            for grantee, granted in self.grants
            if (grantee == account and account) or grantee in groups
        )


def private(owner: str) -> Acl:
    return Acl(owner, (Grant(owner, FULL_CONTROL),))


def dump(acl: Acl, default_owner: str) -> str:
    """Return the text that stores an ACL, in ASCII; '' for the private ACL of the default owner."""
    if acl.private and acl.owner == default_owner:
        return ""
    return json.dumps({"owner": acl.owner, "grants": acl.grants}, separators=(",", ":"))


@lru_cache(maxsize=4096)
def load(text: str, default_owner: str) -> Acl:
    """Return the ACL stored as `text`. Raises ValueError or KeyError for text that `dump` does not write."""
    if not text:
        return private(default_owner)
    stored = json.loads(text)
    return Acl(stored["owner"], tuple(Grant(grantee, permission) for grantee, permission in stored["grants"]))
