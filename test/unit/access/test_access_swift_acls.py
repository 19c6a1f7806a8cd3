import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.access import swift_acls
from objstore.access.identity import Identity
from objstore.core.errors import InvalidInput


@pytest.mark.parametrize(
    ("value", "cleaned"),
    [
        ("", ""),
        (" , ,", ""),
        ("bob, sue", "bob,sue"),
        ("bob,,, sue ,", "bob,sue"),
        (".r:*", ".r:*"),
        (".r : *, .rlistings, acct:*", ".r:*,.rlistings,acct:*"),
        (".referrer:*", ".r:*"),
        (".referer: .example.com", ".r:.example.com"),
        (".ref:*.example.com", ".r:.example.com"),
        (".r: - *.thief.com", ".r:-.thief.com"),
        (".r:-host", ".r:-host"),
        (".r:http", ".r:http"),
        ("*:user,acct:user,*:*", "*:user,acct:user,*:*"),
        ("\u00e5cct:\u00fcser", "\u00e5cct:\u00fcser"),
    ],
)
def test_read_acl_is_brought_to_its_normal_form(value, cleaned):
    assert swift_acls.clean("X-Container-Read", value) == cleaned
    assert swift_acls.clean("X-Container-Read", cleaned) == cleaned


@pytest.mark.parametrize("value", [".r:", ".r:-", ".r:.", ".r:-.", ".r:*.", ".x:y", ".rlistings:x", "bob,.r:"])
def test_bad_acl_is_refused(value):
    with pytest.raises(InvalidInput):
        swift_acls.clean("X-Container-Read", value)


def test_write_acl_takes_no_referrers():
    assert swift_acls.clean("X-Container-Write", " bob , .rlistings") == "bob,.rlistings"
    with pytest.raises(InvalidInput, match="write"):
        swift_acls.clean("X-Container-Write", ".r:*")


@pytest.mark.parametrize(
    ("acl", "referrer", "allowed"),
    [
        ("", "", False),
        ("bob", "http://a.example.com", False),
        (".r:*", "", True),
        (".r:*", "http://a.example.com", True),
        (".r:a.example.com", "http://a.example.com/page", True),
        (".r:a.example.com", "http://A.Example.Com:8080/page", True),
        (".r:a.example.com", "http://b.example.com", False),
        (".r:a.example.com", "", False),
        (".r:.example.com", "https://a.example.com", True),
        (".r:.example.com", "https://example.com", False),
        (".r:.example.com", "https://badexample.com", False),
        (".r:*,.r:-.thief.com", "http://x.thief.com", False),
        (".r:*,.r:-.thief.com", "http://x.honest.com", True),
        (".r:-.thief.com,.r:*", "http://x.thief.com", True),
        (".r:.example.com,.r:-thief.example.com", "http://thief.example.com", False),
        (".r:*", "http://[", True),
        (".r:.example.com", "http://[", False),
    ],
)
def test_referrers_are_judged_in_order(acl, referrer, allowed):
    assert swift_acls.referrer_allowed(referrer, swift_acls.parse(acl)) is allowed


@pytest.mark.parametrize(
    ("acl", "allowed"),
    [
        ("", False),
        ("acct", True),
        ("acct:user", True),
        ("acct:*", True),
        ("*:user", True),
        ("*:*", True),
        ("staff", True),
        ("other,acct:user", True),
        ("other", False),
        ("acct:other", False),
        ("other:*", False),
        ("*:other", False),
        (".r:*", False),
        (".rlistings", False),
        (".service", False),
        ("*", False),
        ("AUTH_acct", True),
        ("AUTH_other", False),
        ("AUTH_acct:user", False),
    ],
)
def test_groups_and_wildcards_are_matched(acl, allowed):
    identity = Identity("acct:user", ("acct:user", "acct", "staff", ".service"), ("AUTH_acct",))
    assert swift_acls.groups_allowed(identity, swift_acls.parse(acl)) is allowed


def test_rlistings_is_told():
    assert swift_acls.parse(".r:*,.rlistings").listings
    assert not swift_acls.parse(".r:*").listings


def test_account_acl_is_made_canonical():
    assert swift_acls.clean_account_acl('{ "read-only": ["c"],\n"admin": ["\u00e4", "b"] }') == (
        '{"admin":["\\u00e4","b"],"read-only":["c"]}'
    )
    assert swift_acls.clean_account_acl("") == swift_acls.clean_account_acl(" {} ") == ""


@pytest.mark.parametrize(
    "text",
    ["x", "[]", "1", "null", '{"Admin": []}', '{"admin": "bob"}', '{"admin": [1]}', '{"admin": null}', "[" * 9999],
)
def test_bad_account_acl_is_refused(text):
    with pytest.raises(InvalidInput, match="X-Account-Access-Control"):
        swift_acls.clean_account_acl(text)


def test_highest_level_of_an_account_acl_counts():
    acl = json.dumps({"admin": ["boss"], "read-write": ["acct:user", "boss"], "read-only": ["acct", ".service"]})
    assert swift_acls.account_level(acl, ("acct:user", "acct")) == "read-write"
    assert swift_acls.account_level(acl, ("acct:boss", "boss")) == "admin"
    assert swift_acls.account_level(acl, ("acct:third", "acct")) == "read-only"
    assert swift_acls.account_level(acl, ("x:y", ".service")) == ""
    assert swift_acls.account_level("", ("acct",)) == ""
    assert swift_acls.account_level("broken", ("acct",)) == ""


@given(st.dictionaries(st.sampled_from(swift_acls.LEVELS), st.lists(st.text(max_size=5), max_size=3), min_size=1))
def test_account_acl_means_the_same_once_canonical(acl):
    text = swift_acls.clean_account_acl(json.dumps(acl))
    assert json.loads(text) == acl
    assert swift_acls.clean_account_acl(text) == text
    assert text.isascii()


@given(st.text(st.sampled_from(".r:*-,ab \t"), max_size=20))
def test_cleaning_twice_changes_nothing(value):
    try:
        cleaned = swift_acls.clean("X-Container-Read", value)
    except InvalidInput:
        return
    assert swift_acls.clean("X-Container-Read", cleaned) == cleaned
    swift_acls.referrer_allowed("http://a.b", swift_acls.parse(cleaned))
