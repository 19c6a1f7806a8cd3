"""ACLs as S3's documents write them: `AccessControlPolicy` in and out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from objstore.access.acl import GROUPS, PERMISSIONS, Acl, Grant
from objstore.s3.language import xml
from objstore.s3.language.errors import S3Error
from objstore.s3.request.acl_headers import checked

_TYPE = f"{{{xml.XSI}}}type"
_CHILD = {"CanonicalUser": "ID", "Group": "URI", "AmazonCustomerByEmail": "EmailAddress"}


def display_name(account: str) -> str:
    """Accounts have no other name than their own."""
    return account


def owner(account: str) -> list[tuple[str, str]]:
    """What an `Owner` or `Initiator` element holds."""
    return [("ID", account), ("DisplayName", display_name(account))]


def to_xml(acl: Acl) -> bytes:
    grants = [("Grant", [_grantee(grant.grantee), ("Permission", grant.permission)]) for grant in acl.grants]
    return xml.document("AccessControlPolicy", [("Owner", owner(acl.owner)), ("AccessControlList", grants)])


def _grantee(grantee: str) -> tuple[str, list[tuple[str, str]]]:
    if grantee in GROUPS:
        return _typed("Group"), [("URI", grantee)]
    return _typed("CanonicalUser"), owner(grantee)


def _typed(kind: str) -> str:
    return xml.attributes("Grantee", xmlns__xsi=xml.XSI, xsi__type=kind)


def from_xml(document: bytes, expected_owner: str, known: Callable[[str], bool]) -> Acl:
    """The ACL of a document, whose owner must be the one that is there: it cannot be changed.

    Raises S3Error MalformedACLError, AccessDenied, InvalidArgument, UnresolvableGrantByEmailAddress, InvalidRequest.
    """
    try:
        root = xml.parse(document, "AccessControlPolicy")
    except S3Error:
        raise S3Error("MalformedACLError") from None
    named = root.find("Owner")
    if named is None or root.find("AccessControlList") is None:
        raise S3Error("MalformedACLError")
    if xml.text(named, "ID") != expected_owner:
        raise S3Error("AccessDenied")
    grants = tuple(_grant(element) for element in root.find("AccessControlList"))
    return checked(Acl(expected_owner, grants), known)


def _grant(element: Any) -> Grant:
    grantee = element.find("Grantee")
    permission = xml.text(element, "Permission")
    if element.tag != "Grant" or grantee is None or permission not in PERMISSIONS:
        raise S3Error("MalformedACLError")
    kind = grantee.get(_TYPE) or next((kind for kind, child in _CHILD.items() if grantee.find(child) is not None), "")
    value = xml.text(grantee, _CHILD.get(kind, ""), "") if kind in _CHILD else ""
    if kind == "AmazonCustomerByEmail":
        raise S3Error("UnresolvableGrantByEmailAddress")
    if not value or (kind == "CanonicalUser" and value in GROUPS):
        raise S3Error("MalformedACLError")
    if kind == "Group" and value not in GROUPS:
        raise S3Error("InvalidArgument", "Invalid group uri", {"ArgumentName": "uri", "ArgumentValue": value})
    return Grant(value, permission)
