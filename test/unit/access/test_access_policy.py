"""Bucket policies: which are refused and how, and what they say of a request."""

from __future__ import annotations

import json
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from harness.identities import identity
from hypothesis import given
from hypothesis import strategies as st

from objstore.access import condition_keys, patterns, public
from objstore.access.conditions import named
from objstore.access.identity import ANYONE, Identity
from objstore.access.policy import MalformedPolicy, parse

ALLOW = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::bucket/*"}


def document(*statements: dict[str, Any], version: str = "2012-10-17") -> str:
    return json.dumps({"Version": version, "Statement": list(statements)})


def changed(**fields: Any) -> str:
    """A good statement with some fields changed; None takes one away."""
    return document({name: value for name, value in {**ALLOW, **fields}.items() if value is not None})


REFUSED = {
    "no JSON": ("hello", "first byte"),
    "an array": ("[]", "first byte"),
    "broken JSON": ("{", "invalid Json"),
    "a key twice": ('{"Statement": [], "Statement": []}', "invalid Json"),
    "too deep": ('{"Statement":' + "[" * 5000 + "]" * 5000 + "}", "invalid Json"),
    "too large": ('{"Id": "' + "x" * 20480 + '"}', "maximum allowed document size"),
    "no statement": ('{"Version": "2012-10-17"}', "Missing required field Statement"),
    "no statements": ('{"Statement": []}', "empty"),
    "another version": (document(ALLOW, version="2020-01-01"), "version"),
    "an unknown field": ('{"Statment": []}', "Unknown field"),
    "no effect": (changed(Effect=None), "Missing required field Effect"),
    "another effect": (changed(Effect="Perhaps"), "Invalid effect"),
    "no principal": (changed(Principal=None), "Missing required field Principal"),
    "a principal of text": (changed(Principal="AUTH_other"), "Invalid policy syntax"),
    "a principal of another kind": (changed(Principal={"GCP": "x"}), "Invalid principal"),
    "a pattern as principal": (changed(Principal={"AWS": "arn:aws:iam::AUTH_x:user/*"}), "Invalid principal"),
    "an allowance to all but some": (changed(Principal=None, NotPrincipal={"AWS": "AUTH_x"}), "NotPrincipal"),
    "no action": (changed(Action=None), "Missing required field Action"),
    "action and its negation": (changed(NotAction="s3:PutObject"), "Only one of"),
    "an unknown action": (changed(Action="s3:Frobnicate"), "Policy has invalid action"),
    "an action of another service": (changed(Action="ec2:Run"), "Policy has invalid action"),
    "no resource": (changed(Resource=None), "Missing required field Resource"),
    "another bucket": (changed(Resource="arn:aws:s3:::other/*"), "Policy has invalid resource"),
    "a name that begins alike": (changed(Resource="arn:aws:s3:::bucket-too/*"), "Policy has invalid resource"),
    "no ARN": (changed(Resource="bucket/*"), "Policy has invalid resource"),
    "an object's action on the bucket": (changed(Resource="arn:aws:s3:::bucket"), "does not apply to any resource"),
    "a bucket's action on objects": (changed(Action="s3:ListBucket"), "does not apply to any resource"),
    "an unknown operator": (changed(Condition={"StringIs": {"aws:Referer": "x"}}), "Invalid Condition type"),
    "no network": (changed(Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/99"}}), "Invalid Condition"),
    "no number": (changed(Condition={"NumericEquals": {"s3:max-keys": "many"}}), "Invalid Condition"),
    "statements of one name": (document({**ALLOW, "Sid": "a"}, {**ALLOW, "Sid": "a"}), "unique"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_policy_is_refused_with_what_is_wrong(case: str) -> None:
    text, complaint = REFUSED[case]
    with pytest.raises(MalformedPolicy) as caught:
        parse(text, "bucket")
    assert complaint in str(caught.value)


UNKNOWN_KEYS = ["color", "s3:TlsVersions", "s3:x-amz-acls", "s3:", "aws:SourceIpAddress", "kms:ViaService",
                "S3:authtypes", "s3:ExistingObjectTag/", "s3:RequestObjectTag", "aws:PrincipalTag/",
                "saml:aud"]  # fmt: skip
KNOWN_KEYS = ["s3:TlsVersion", "S3:AUTHTYPE", "s3:x-amz-acl", "aws:SourceIp", "aws:sourcevpce", "aws:PrincipalTag/team",
              "s3:ExistingObjectTag/a", "s3:RequestObjectTag/a", "s3:x-amz-content-sha256", "s3:if-none-match",
              "s3:object-lock-mode", "aws:MultiFactorAuthAge", "s3:signatureAge", "s3:ResourceAccount"]  # fmt: skip


@pytest.mark.parametrize("key", UNKNOWN_KEYS)
def test_a_key_that_does_not_exist_is_refused(key: str) -> None:
    """A Deny that hangs on it would never apply, without a word."""
    with pytest.raises(MalformedPolicy) as caught:
        condition_keys.check_keys(parse(changed(Action="s3:*", Condition={"StringEquals": {key: "red"}}), "bucket"))
    assert (str(caught.value), caught.value.detail) == ("Policy has an invalid condition key", key.lower())


@pytest.mark.parametrize("key", KNOWN_KEYS)
def test_a_key_of_aws_is_accepted_in_any_case(key: str) -> None:
    condition_keys.check_keys(parse(changed(Action="s3:*", Condition={"StringEquals": {key: "red"}}), "bucket"))


BUCKET_AND_KEYS = ["arn:aws:s3:::bucket", "arn:aws:s3:::bucket/*"]


@pytest.mark.parametrize(
    ("actions", "key", "applies"),
    [
        ("s3:GetObject", "s3:prefix", False),
        ("s3:PutObject", "s3:max-keys", False),
        ("s3:ListBucket", "s3:prefix", True),
        (["s3:GetObject", "s3:ListBucketVersions"], "s3:prefix", True),
        ("s3:List*", "s3:delimiter", True),
        ("s3:GetObject", "s3:x-amz-acl", False),
        ("s3:GetObject", "s3:RequestObjectTag/a", False),
        ("s3:DeleteObject", "s3:x-amz-copy-source", False),
        ("s3:PutObject", "s3:x-amz-storage-class", True),
        ("s3:PutObjectTagging", "s3:RequestObjectTagKeys", True),
        ("s3:GetObject", "s3:ExistingObjectTag/a", True),
        ("s3:GetObject", "s3:authType", True),
        ("s3:GetObject", "aws:Referer", True),
    ],
)
def test_a_key_that_no_request_for_the_actions_has_is_refused(actions: Any, key: str, applies: bool) -> None:
    fields = {"Action": actions, "Resource": BUCKET_AND_KEYS, "Condition": {"StringEquals": {key: "1"}}}
    if applies:
        condition_keys.check_keys(parse(changed(**fields), "bucket"))
    else:
        with pytest.raises(MalformedPolicy, match="Conditions do not apply"):
            condition_keys.check_keys(parse(changed(**fields), "bucket"))
    negated = {**fields, "Action": None, "NotAction": "s3:DeleteBucket"}
    condition_keys.check_keys(parse(changed(**negated), "bucket"))


@pytest.mark.parametrize("text", ["${aws:usrname}", "${aws:username", "${aws username}", "${}", "a${s3:nothing, 'x'}"])
@pytest.mark.parametrize("where", ["resource", "value"])
def test_a_variable_that_does_not_exist_is_refused(text: str, where: str) -> None:
    fields: dict[str, Any] = {"Resource": f"arn:aws:s3:::bucket/{text}/*"}
    if where == "value":
        fields = {"Condition": {"StringLike": {"aws:Referer": text}}}
    with pytest.raises(MalformedPolicy, match="invalid"):
        condition_keys.check_keys(parse(changed(**fields), "bucket"))
    old = document({**ALLOW, **fields}, version="2008-10-17")  # where it is text like any other
    condition_keys.check_keys(parse(old, "bucket"))


def test_empty_names_of_statements_are_none() -> None:
    assert len(parse(document({**ALLOW, "Sid": ""}, {**ALLOW, "Sid": ""}), "bucket").statements) == 2


@pytest.mark.parametrize("text", ["1_0", "nan", "inf", "1e999", "0x10", " 10", ""])
def test_a_number_of_a_policy_has_digits_alone(text: str) -> None:
    with pytest.raises(ValueError):
        named("NumericEquals", "s3:max-keys", [text])


NAMES = ["Statement", "Effect", "Principal", "Action", "Resource", "Condition", "AWS", "StringLike", "Sid"]
DOCUMENTS = st.recursive(
    st.none() | st.text(max_size=9),
    lambda inner: st.dictionaries(st.sampled_from(NAMES), inner | st.lists(inner, max_size=3)),
    max_leaves=12,
)


@given(st.text(max_size=200) | DOCUMENTS.map(json.dumps))
def test_no_document_is_more_than_refused(text: str) -> None:
    with suppress(MalformedPolicy):
        parse(text, "bucket")


OTHER = identity("AUTH_other", "ann", True)


def verdict(caller: Identity, action: str, resource: str, *statements: dict[str, Any], **keys: str) -> str:
    conditions = {name.replace("__", ":").replace("_", "-").lower(): (value,) for name, value in keys.items()}
    return parse(document(*statements), "bucket").verdict(caller, action, resource, conditions)


@pytest.mark.parametrize(
    ("principal", "caller", "named"),
    [
        ("*", ANYONE, True),
        ({"AWS": "*"}, ANYONE, True),
        ({"AWS": "AUTH_other"}, OTHER, True),
        ({"AWS": ["AUTH_x", "arn:aws:iam::AUTH_other:root"]}, OTHER, True),
        ({"AWS": "arn:aws:iam::AUTH_other:user/ann"}, OTHER, True),
        ({"AWS": "arn:aws:iam::AUTH_other:user/team/ann"}, OTHER, True),
        ({"AWS": "arn:aws:iam::AUTH_other:user/bob"}, OTHER, False),
        ({"AWS": "arn:aws:iam::AUTH_third:user/ann"}, OTHER, False),
        ({"AWS": "arn:aws:iam:::user/AUTH_other"}, OTHER, True),
        ({"CanonicalUser": "AUTH_other"}, OTHER, True),
        ({"Service": "logging.s3.amazonaws.com"}, OTHER, False),
        ({"AWS": "AUTH_other"}, ANYONE, False),
    ],
)
def test_principals(principal: Any, caller: Identity, named: bool) -> None:
    output = verdict(caller, "s3:GetObject", "bucket/key", {**ALLOW, "Principal": principal})
    assert output == ("allow" if named else "")


@pytest.mark.parametrize(
    ("action", "resource", "asked", "of", "said"),
    [
        ("s3:GetObject", "bucket/*", "s3:GetObject", "bucket/a/b", True),
        ("s3:getobject", "bucket/*", "s3:GetObject", "bucket/a", True),
        ("s3:Get*", "bucket/*", "s3:GetObjectAcl", "bucket/a", True),
        ("s3:Get*", "bucket/*", "s3:PutObject", "bucket/a", False),
        ("s3:*Object", "bucket/*", "s3:DeleteObject", "bucket/a", True),
        ("*", "bucket/*", "s3:DeleteObject", "bucket/a", True),
        ("s3:GetObject", "bucket/pre/*", "s3:GetObject", "bucket/pre", False),
        ("s3:GetObject", "bucket/?.txt", "s3:GetObject", "bucket/a.txt", True),
        ("s3:GetObject", "bucket/?.txt", "s3:GetObject", "bucket/ab.txt", False),
        ("s3:GetObject", "bucket/key", "s3:GetObject", "bucket/KEY", False),
        ("s3:GetObject", "*", "s3:GetObject", "bucket/a\nb", True),
        (["s3:PutObject", "s3:GetObject"], "bucket/*", "s3:GetObject", "bucket/a", True),
    ],
)
def test_actions_and_resources(action: Any, resource: str, asked: str, of: str, said: bool) -> None:
    allow = {**ALLOW, "Action": action, "Resource": f"arn:aws:s3:::{resource}"}
    assert verdict(ANYONE, asked, of, allow) == ("allow" if said else "")


@pytest.mark.parametrize(
    ("key", "denied"),
    [("data//notes.txt", True), ("a//", True), ("//a", True), ("a/b//c/d", True), ("a/b", False), ("a/", False)],
)
def test_a_policy_keeps_keys_with_an_empty_segment_out(key: str, denied: bool) -> None:
    """The policy of doc/s3_requests.md; one such key stops some clients."""
    page = (Path(__file__).parents[3] / "doc/s3_requests.md").read_text()
    (line,) = [line for line in page.splitlines() if line.startswith('    {"Version"')]
    policy = parse(line.replace("BUCKET", "bucket"), "bucket")
    assert policy.verdict(OTHER, "s3:PutObject", f"bucket/{key}", {}) == ("deny" if denied else "")


def test_negations_name_the_rest() -> None:
    not_action = {"Effect": "Allow", "Principal": "*", "NotAction": "s3:Put*", "Resource": "arn:aws:s3:::bucket/*"}
    assert verdict(ANYONE, "s3:GetObject", "bucket/k", not_action) == "allow"
    assert verdict(ANYONE, "s3:PutObject", "bucket/k", not_action) == ""
    not_resource = {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "NotResource": "arn:aws:s3:::bucket/x/*"}
    assert verdict(ANYONE, "s3:GetObject", "bucket/k", not_resource) == "allow"
    assert verdict(ANYONE, "s3:GetObject", "bucket/x/k", not_resource) == ""
    all_but_other = {**ALLOW, "Effect": "Deny", "NotPrincipal": {"AWS": "AUTH_other"}}
    del all_but_other["Principal"]
    assert verdict(ANYONE, "s3:GetObject", "bucket/k", all_but_other) == "deny"
    assert verdict(OTHER, "s3:GetObject", "bucket/k", all_but_other) == ""


def test_variables_are_filled_and_taken_literally() -> None:
    home = {**ALLOW, "Resource": "arn:aws:s3:::bucket/home/${aws:username}/*"}
    assert verdict(OTHER, "s3:GetObject", "bucket/home/ann/x", home, aws__username="ann") == "allow"
    assert verdict(OTHER, "s3:GetObject", "bucket/home/bob/x", home, aws__username="ann") == ""
    assert verdict(OTHER, "s3:GetObject", "bucket/home/bob/x", home, aws__username="*") == ""
    assert verdict(ANYONE, "s3:GetObject", "bucket/home//x", home) == ""
    nobody = {**ALLOW, "Resource": "arn:aws:s3:::bucket/home/${aws:username, 'nobody'}/*"}
    assert verdict(ANYONE, "s3:GetObject", "bucket/home/nobody/x", nobody) == "allow"
    star = {**ALLOW, "Resource": "arn:aws:s3:::bucket/${*}/${?}/${$}"}
    assert verdict(ANYONE, "s3:GetObject", "bucket/*/?/$", star) == "allow"
    assert verdict(ANYONE, "s3:GetObject", "bucket/a/?/$", star) == ""
    old = parse(document(home, version="2008-10-17"), "bucket")
    assert old.verdict(OTHER, "s3:GetObject", "bucket/home/ann/x", {"aws:username": ("ann",)}) == ""


CONDITIONS = [
    ("StringEquals", "a", ("a",), True),
    ("StringEquals", "a", ("A",), False),
    ("StringEquals", ["b", "a"], ("a",), True),
    ("StringEquals", "a", (), False),
    ("StringEqualsIfExists", "a", (), True),
    ("StringNotEquals", "a", ("b",), True),
    ("StringNotEquals", ["a", "b"], ("b",), False),
    ("StringNotEquals", "a", (), True),
    ("StringEqualsIgnoreCase", "a", ("A",), True),
    ("StringNotEqualsIgnoreCase", "a", ("A",), False),
    ("StringLike", "a*c?", ("abbcd",), True),
    ("StringNotLike", "a*", ("abc",), False),
    ("stringlike", "a*", ("abc",), True),
    ("NumericEquals", "10", ("10.0",), True),
    ("NumericNotEquals", "10", ("10",), False),
    ("NumericLessThan", "10", ("9",), True),
    ("NumericLessThanEquals", "10", ("11",), False),
    ("NumericGreaterThan", "10", ("9",), False),
    ("NumericGreaterThanEquals", "10", ("10",), True),
    ("NumericLessThan", "10", ("many",), False),
    ("DateGreaterThan", "2020-01-01T00:00:00Z", ("2020-01-02T00:00:00Z",), True),
    ("DateLessThan", "2020-01-01", ("2020-01-02T00:00:00Z",), False),
    ("DateEquals", "1577836800", ("2020-01-01T00:00:00Z",), True),
    ("DateNotEquals", "2020", ("2020-01-01T00:00:00Z",), False),
    ("Bool", "true", ("true",), True),
    ("Bool", "false", ("true",), False),
    ("BinaryEquals", "aGVsbG8=", ("aGVsbG8=",), True),
    ("IpAddress", "10.0.0.0/8", ("10.1.2.3",), True),
    ("IpAddress", ["192.168.0.1", "10.0.0.0/8"], ("192.168.0.2",), False),
    ("IpAddress", "10.0.0.0/8", ("::ffff:10.1.2.3",), True),
    ("IpAddress", "2001:db8::/32", ("2001:db8::1",), True),
    ("IpAddress", "10.0.0.0/8", ("unix",), False),
    ("NotIpAddress", "10.0.0.0/8", ("10.1.2.3",), False),
    ("ArnLike", "arn:aws:iam::*:user/a*", ("arn:aws:iam::x:user/ann",), True),
    ("ArnEquals", "arn:*", ("arn:aws:iam::x:user/ann",), False),
    ("ArnNotLike", "arn:aws:iam::x:*", ("arn:aws:iam::x:user/ann",), False),
    ("Null", "true", (), True),
    ("Null", "false", (), False),
    ("Null", "false", ("a",), True),
    ("ForAnyValue:StringEquals", ["a", "b"], ("c", "b"), True),
    ("ForAnyValue:StringEquals", ["a"], ("c", "b"), False),
    ("ForAnyValue:StringEquals", ["a"], (), False),
    ("ForAnyValue:StringNotEquals", ["a"], ("a", "b"), True),
    ("ForAllValues:StringEquals", ["a", "b"], ("a", "b"), True),
    ("ForAllValues:StringLike", ["a*"], ("ab", "b"), False),
    ("ForAllValues:StringEquals", ["a"], (), True),
    ("ForAllValues:StringNotEquals", ["a"], ("a", "b"), False),
]


@pytest.mark.parametrize(("operator", "values", "actual", "holds"), CONDITIONS)
def test_operators(operator: str, values: Any, actual: tuple[str, ...], holds: bool) -> None:
    condition = named(operator, "aws:X", values if isinstance(values, list) else [values])
    assert condition.holds({"aws:x": actual} if actual else {}, True) is holds


def test_all_conditions_must_hold() -> None:
    both = {**ALLOW, "Condition": {"StringEquals": {"aws:Referer": "a"}, "Bool": {"aws:SecureTransport": True}}}
    assert verdict(ANYONE, "s3:GetObject", "bucket/k", both, aws__referer="a", aws__securetransport="true") == "allow"
    assert verdict(ANYONE, "s3:GetObject", "bucket/k", both, aws__referer="a", aws__securetransport="false") == ""


def test_a_policy_knows_the_keys_it_needs() -> None:
    condition = {"StringEquals": {"s3:ExistingObjectTag/Team": "${aws:username}"}}
    kept = parse(changed(Condition=condition), "bucket")
    assert kept.keys == {"s3:existingobjecttag/team", "aws:username"}


@pytest.mark.parametrize(
    ("fields", "is_public"),
    [
        ({}, True),
        ({"Principal": {"AWS": "AUTH_x"}}, False),
        ({"Effect": "Deny"}, False),
        ({"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}, False),
        ({"Condition": {"IpAddress": {"aws:SourceIp": "0.0.0.0/1"}}}, True),
        ({"Condition": {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}, True),
        ({"Condition": {"StringEquals": {"aws:Referer": "me"}}}, True),
        ({"Condition": {"StringEquals": {"aws:PrincipalAccount": "AUTH_x"}}}, False),
        ({"Condition": {"StringLike": {"aws:PrincipalArn": "arn:aws:iam::*"}}}, True),
        ({"Condition": {"StringEqualsIfExists": {"aws:SourceVpc": "vpc-1"}}}, True),
    ],
)
def test_what_is_public(fields: dict[str, Any], is_public: bool) -> None:
    assert public.is_public(parse(changed(**fields), "bucket")) is is_public


LETTERS = st.text("ab*?/.", max_size=12)


@given(LETTERS, st.text("ab/.", max_size=12))
def test_patterns_match_as_the_plain_expression_does(pattern: str, text: str) -> None:
    plain = "".join(".*" if letter == "*" else "." if letter == "?" else re.escape(letter) for letter in pattern)
    expected = re.fullmatch(plain, text, re.DOTALL) is not None
    assert patterns.matches(pattern, text) is expected
    assert patterns.matches_filled(pattern, text, {}) is expected


def test_no_pattern_takes_long() -> None:
    start = time.process_time()
    assert not patterns.matches("*a" * 500 + "b", "a" * 1024)
    assert not patterns.matches_filled("*a" * 500 + "${aws:x}b", "a" * 1024, {"aws:x": ("a",)})
    assert time.process_time() - start < 0.5
