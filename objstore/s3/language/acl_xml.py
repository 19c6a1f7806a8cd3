"""ACLs as S3's documents write them: `AccessControlPolicy` read and written."""

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
    """Return the name of an account for people: accounts have no other than their id."""
    return account


def owner(account: str) -> list[tuple[str, str]]:
    """Return the content of an `Owner` or `Initiator` element."""
    return [("ID", account), ("DisplayName", display_name(account))]


def to_xml(acl: Acl) -> bytes:
    grants = [grant_element(grant) for grant in acl.grants]
    return xml.document("AccessControlPolicy", [("Owner", owner(acl.owner)), ("AccessControlList", grants)])


def grant_element(grant: Grant) -> tuple[str, list[tuple[str, Any]]]:
    """Return a `Grant` element for `xml.document`."""
    return "Grant", [_grantee(grant.grantee), ("Permission", grant.permission)]


def _grantee(grantee: str) -> tuple[str, list[tuple[str, str]]]:
    if grantee in GROUPS:
        return _typed("Group"), [("URI", grantee)]
    return _typed("CanonicalUser"), owner(grantee)


def _typed(kind: str) -> str:
    return xml.attributes("Grantee", xmlns__xsi=xml.XSI, xsi__type=kind)


def from_xml(document: bytes, expected_owner: str, is_account: Callable[[str], bool]) -> Acl:
    """Return the ACL of a document, whose owner must be the present one: it cannot change.

    is_account: returns whether a text is a canonical id. Raises S3Error MalformedACLError, AccessDenied,
    InvalidArgument, MethodNotAllowed, InvalidRequest.
    """
    try:
        root = xml.parse(document, "AccessControlPolicy")
    except S3Error:
        raise S3Error("MalformedACLError") from None
    owner_element = root.find("Owner")
    if owner_element is None or root.find("AccessControlList") is None:
        raise S3Error("MalformedACLError")
    if xml.text(owner_element, "ID") != expected_owner:
        raise S3Error("AccessDenied")
    grants = tuple(grant(element) for element in root.find("AccessControlList"))
    return checked(Acl(expected_owner, grants), is_account)


def grant(element: Any) -> Grant:
    """Return the grant of a `Grant` element. Raises S3Error MalformedACLError, MethodNotAllowed, InvalidArgument."""
    grantee = element.find("Grantee")
    permission = xml.text(element, "Permission")
    if element.tag != "Grant" or grantee is None or permission not in PERMISSIONS:
        raise S3Error("MalformedACLError")
    kind = grantee.get(_TYPE) or next((kind for kind, child in _CHILD.items() if grantee.find(child) is not None), "")
    value = xml.text(grantee, _CHILD.get(kind, ""), "") if kind in _CHILD else ""
    if kind == "AmazonCustomerByEmail":
        raise S3Error("MethodNotAllowed")  # as S3 answers since October 2025
    if not value or (kind == "CanonicalUser" and value in GROUPS):
        raise S3Error("MalformedACLError")
    if kind == "Group" and value not in GROUPS:
        raise S3Error("InvalidArgument", "Invalid group uri", {"ArgumentName": "uri", "ArgumentValue": value})
    return Grant(value, permission)
