"""ACLs in the headers of requests: canned by name, or grant by grant."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from objstore.access.acl import (
    ALL_USERS,
    AUTHENTICATED_USERS,
    FULL_CONTROL,
    GROUPS,
    LOG_DELIVERY,
    Acl,
    Grant,
    dump,
)
from objstore.s3.language.errors import S3Error

MAX_GRANTS = 100
_MAX_STORED = 8000  # characters of a stored ACL: it must fit a header


class Owners(NamedTuple):
    """The owners that an ACL refers to.

    owner: that of the bucket or object with the ACL. bucket: that of the bucket (the same, for its own ACL).
    """

    owner: str
    bucket: str


_Grants = Callable[[Owners], tuple[Grant, ...]]
_CANNED: dict[str, _Grants] = {
    "private": lambda _: (),
    "public-read": lambda _: (Grant(ALL_USERS, "READ"),),
    "public-read-write": lambda _: (Grant(ALL_USERS, "READ"), Grant(ALL_USERS, "WRITE")),
    "authenticated-read": lambda _: (Grant(AUTHENTICATED_USERS, "READ"),),
    # For Amazon's machine images; this store has no such grantee.
    "aws-exec-read": lambda _: (),
    "bucket-owner-read": lambda owners: (Grant(owners.bucket, "READ"),),
    "bucket-owner-full-control": lambda owners: (Grant(owners.bucket, FULL_CONTROL),),
    "log-delivery-write": lambda _: (Grant(LOG_DELIVERY, "WRITE"), Grant(LOG_DELIVERY, "READ_ACP")),
}
CANNED_HEADER = "X-Amz-Acl"
GRANT_HEADERS = {
    "X-Amz-Grant-Full-Control": "FULL_CONTROL",
    "X-Amz-Grant-Read": "READ",
    "X-Amz-Grant-Write": "WRITE",
    "X-Amz-Grant-Read-Acp": "READ_ACP",
    "X-Amz-Grant-Write-Acp": "WRITE_ACP",
}
_GRANTEE = re.compile(r'\s*(id|uri|emailAddress)\s*=\s*(?:"([^"]*)"|([^",\s]*))\s*\Z')


def asks_for_acl(headers: Mapping[str, str]) -> bool:
    return CANNED_HEADER in headers or not GRANT_HEADERS.keys().isdisjoint(headers)


def canned(name: str, owners: Owners) -> Acl:
    """Return the ACL of a canned name; raises S3Error InvalidArgument for an unknown one."""
    grants_of = _CANNED.get(name)
    if grants_of is None:
        raise S3Error("InvalidArgument", "", {"ArgumentName": "x-amz-acl", "ArgumentValue": name})
    grants = (grant for grant in grants_of(owners) if grant.grantee != owners.owner)
    return Acl(owners.owner, (Grant(owners.owner, FULL_CONTROL), *grants))


def from_headers(headers: Mapping[str, str], owners: Owners, is_account: Callable[[str], bool]) -> Acl | None:
    """Return the ACL in a request's headers, by name or grant by grant; None if they have none.

    is_account: returns whether a text is a canonical id. Raises S3Error InvalidRequest, InvalidArgument,
    MethodNotAllowed.
    """
    name = headers.get(CANNED_HEADER)
    values = [(permission, headers[header]) for header, permission in GRANT_HEADERS.items() if header in headers]
    if name is not None and values:
        raise S3Error("InvalidRequest", "Specifying both Canned ACLs and Header Grants is not allowed")
    if name is not None:
        return canned(name, owners)
    if not values:
        return None
    grants = [Grant(_header_grantee(item), permission) for permission, text in values for item in text.split(",")]
    return checked(Acl(owners.owner, tuple(grants)), is_account)


def _header_grantee(item: str) -> str:
    match = _GRANTEE.match(item)
    if match is None:
        raise S3Error("InvalidArgument", "Argument format not recognized")
    kind = match[1]
    value = match[2] if match[2] is not None else match[3]
    if kind == "emailAddress":
        raise S3Error("MethodNotAllowed")  # as S3 answers since October 2025
    if kind == "uri" and value not in GROUPS:
        raise S3Error("InvalidArgument", "Invalid group uri", {"ArgumentName": "uri", "ArgumentValue": value})
    if kind == "id" and value in GROUPS:
        raise _invalid_id(value)
    return value


def checked(acl: Acl, is_account: Callable[[str], bool]) -> Acl:
    """Return the ACL without repetitions. Raises S3Error InvalidRequest, InvalidArgument if it cannot be stored."""
    grants = tuple(dict.fromkeys(acl.grants))
    if len(grants) > MAX_GRANTS:
        raise S3Error("InvalidRequest", f"An ACL cannot have more than {MAX_GRANTS} grants")
    for grantee in {grant.grantee for grant in grants} - GROUPS - {acl.owner}:
        if not is_account(grantee):
            raise _invalid_id(grantee)
    checked_acl = Acl(acl.owner, grants)
    if len(dump(checked_acl, "")) > _MAX_STORED:
        raise S3Error("InvalidRequest", f"An ACL cannot be larger than {_MAX_STORED} bytes")
    return checked_acl


def _invalid_id(value: str) -> S3Error:
    return S3Error("InvalidArgument", "Invalid id", {"ArgumentName": "CanonicalUser/ID", "ArgumentValue": value})
