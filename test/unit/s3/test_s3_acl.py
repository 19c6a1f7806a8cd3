"""ACLs by name, from headers and as documents."""

from __future__ import annotations

import pytest

from objstore.access import acl
from objstore.access.acl import ALL_USERS, AUTHENTICATED_USERS, LOG_DELIVERY, Acl, Grant
from objstore.s3.language import acl_xml
from objstore.s3.language.errors import S3Error
from objstore.s3.request import acl_headers
from objstore.s3.request.acl_headers import Owners

ME = Grant("me", "FULL_CONTROL")
OWN = Owners("me", "me")


def anyone(_: str) -> bool:
    return True


def only_me(account: str) -> bool:
    return account == "me"


@pytest.mark.parametrize(
    ("name", "grants"),
    [
        ("private", ()),
        ("public-read", (Grant(ALL_USERS, "READ"),)),
        ("public-read-write", (Grant(ALL_USERS, "READ"), Grant(ALL_USERS, "WRITE"))),
        ("authenticated-read", (Grant(AUTHENTICATED_USERS, "READ"),)),
        ("log-delivery-write", (Grant(LOG_DELIVERY, "WRITE"), Grant(LOG_DELIVERY, "READ_ACP"))),
        ("bucket-owner-read", (Grant("host", "READ"),)),
        ("bucket-owner-full-control", (Grant("host", "FULL_CONTROL"),)),
    ],
)
def test_canned(name: str, grants: tuple[Grant, ...]) -> None:
    assert acl_headers.canned(name, Owners("me", "host")) == Acl("me", (ME, *grants))


def test_the_owner_of_bucket_and_object_has_one_grant() -> None:
    assert acl_headers.canned("bucket-owner-full-control", OWN).private
    assert acl_headers.canned("bucket-owner-read", OWN).private


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(S3Error) as caught:
        acl_headers.canned("public", OWN)
    assert caught.value.code == "InvalidArgument"


def test_headers_grant_one_by_one() -> None:
    headers = {"X-Amz-Grant-Read": f'id="you", uri={ALL_USERS}', "X-Amz-Grant-Full-Control": "id=me"}
    asked = acl_headers.from_headers(headers, OWN, anyone)
    assert asked is not None
    assert set(asked.grants) == {ME, Grant("you", "READ"), Grant(ALL_USERS, "READ")}
    assert acl_headers.from_headers({"X-Amz-Date": "x"}, OWN, anyone) is None


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"X-Amz-Acl": "private", "X-Amz-Grant-Read": 'id="me"'}, "InvalidRequest"),
        ({"X-Amz-Grant-Read": 'emailAddress="a@b.c"'}, "MethodNotAllowed"),
        ({"X-Amz-Grant-Read": 'uri="http://elsewhere"'}, "InvalidArgument"),
        ({"X-Amz-Grant-Read": 'id="nobody"'}, "InvalidArgument"),
        ({"X-Amz-Grant-Read": "nobody"}, "InvalidArgument"),
        ({"X-Amz-Grant-Read": ""}, "InvalidArgument"),
        ({"X-Amz-Grant-Read": f'id="{ALL_USERS}"'}, "InvalidArgument"),
    ],
)
def test_bad_headers_are_refused(headers: dict[str, str], code: str) -> None:
    with pytest.raises(S3Error) as caught:
        acl_headers.from_headers(headers, OWN, only_me)
    assert caught.value.code == code


def test_more_than_a_hundred_grants_are_refused() -> None:
    many = ",".join(f'id="{number}"' for number in range(101))
    with pytest.raises(S3Error):
        acl_headers.from_headers({"X-Amz-Grant-Read": many}, OWN, anyone)


@pytest.mark.parametrize("name", ["private", "public-read", "bucket-owner-read", "log-delivery-write"])
def test_what_is_kept_is_loaded_again(name: str) -> None:
    for owners in (OWN, Owners("me", "host")):
        made = acl_headers.canned(name, owners)
        assert acl.load(acl.dump(made, owners.bucket), owners.bucket) == made
    assert acl.dump(acl_headers.canned("private", OWN), "me") == ""


def test_a_document_is_what_was_written() -> None:
    made = Acl("me", (ME, Grant("yöu", "READ_ACP"), Grant(ALL_USERS, "READ")))
    assert acl_xml.from_xml(acl_xml.to_xml(made), "me", anyone) == made


GRANT = '<Grant><Grantee xmlns:xsi="{xsi}" xsi:type="{kind}">{who}</Grantee><Permission>{what}</Permission></Grant>'
XSI = "http://www.w3.org/2001/XMLSchema-instance"


def document(kind: str = "CanonicalUser", who: str = "<ID>me</ID>", what: str = "READ", owner: str = "me") -> bytes:
    grant = GRANT.format(xsi=XSI, kind=kind, who=who, what=what)
    return (
        f"<AccessControlPolicy><Owner><ID>{owner}</ID></Owner><AccessControlList>{grant}</AccessControlList>"
        "</AccessControlPolicy>"
    ).encode()


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"", "MalformedACLError"),
        (b"<AccessControlPolicy/>", "MalformedACLError"),
        (b"<Acl/>", "MalformedACLError"),
        (document(what="EXECUTE"), "MalformedACLError"),
        (document(kind="Robot"), "MalformedACLError"),
        (document(who="<URI>x</URI>"), "MalformedACLError"),
        (document(kind="Group", who="<URI>x</URI>"), "InvalidArgument"),
        (document(who="<ID>nobody</ID>"), "InvalidArgument"),
        (document(kind="AmazonCustomerByEmail", who="<EmailAddress>a@b</EmailAddress>"),
         "MethodNotAllowed"),
        (document(owner="you"), "AccessDenied"),
    ],
)  # fmt: skip
def test_bad_documents_are_refused(sent: bytes, code: str) -> None:
    with pytest.raises(S3Error) as caught:
        acl_xml.from_xml(sent, "me", only_me)
    assert caught.value.code == code


def test_an_empty_list_grants_nothing() -> None:
    sent = b"<AccessControlPolicy><Owner><ID>me</ID></Owner><AccessControlList/></AccessControlPolicy>"
    assert acl_xml.from_xml(sent, "me", only_me) == Acl("me", ())
