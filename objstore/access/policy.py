"""Bucket policies: reading, checking and evaluating them.

The language is IAM's (user guide, "IAM JSON policy reference"), as far as it makes sense for
a bucket. Accounts are named by the account's name instead of the twelve digits of AWS:
`arn:aws:iam::AUTH_test:root`, `arn:aws:iam::AUTH_test:user/tester`, `AUTH_test`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, NamedTuple

from objstore.access import actions
from objstore.access.conditions import PolicyCondition, named
from objstore.access.identity import Identity
from objstore.access.patterns import Values, matches, matches_filled, variables
from objstore.core.errors import InvalidInput

MAX_BYTES = 20 * 1024
FILLING_VERSION = "2012-10-17"  # the one whose `${...}` are variables
_VERSIONS = (FILLING_VERSION, "2008-10-17")
_FIELDS = frozenset(
    {
        "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition",
    }
)  # fmt: skip


class MalformedPolicy(InvalidInput):
    """A text is not a policy of the bucket; the message names the error, as AWS does. detail: the wrong part."""

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail


class Principals(NamedTuple):
    """The principals of a statement. everyone: `*`.

    accounts: named with all their users, also by canonical id. users: ARNs of single users. services: of AWS, by their
    names there (`logging.s3.amazonaws.com`).
    """

    everyone: bool = False
    accounts: frozenset[str] = frozenset()
    users: frozenset[str] = frozenset()
    services: frozenset[str] = frozenset()

    def name(self, identity: Identity, strict: bool) -> bool:
        """Return whether an identity is named.

        strict: the name of an account names only its administrators, as in a grant; in a denial it names all users.
        """
        if self.everyone:
            return True
        if identity.service:
            return identity.service in self.services
        account = identity.account
        if not account:
            return False
        if account in self.accounts and (not strict or identity.administers(account)):
            return True
        return identity.arn in self.users


class Statement(NamedTuple):
    """A statement of a policy. resources: patterns without `arn:aws:s3:::`. principals_named: False for NotPrincipal.

    actions_named, resources_named: likewise.
    """

    allow: bool
    principals: Principals
    principals_named: bool
    actions: tuple[str, ...]
    actions_named: bool
    resources: tuple[str, ...]
    resources_named: bool
    conditions: tuple[PolicyCondition, ...]

    def applies(self, identity: Identity, action: str, resource: str, request: Values, filling: bool) -> bool:
        """Return whether the statement applies to a request. resource: `bucket` or `bucket/key`."""
        strict = self.allow == self.principals_named
        return (
            self.covers_action(action)
            and self.principals.name(identity, strict) == self.principals_named
            and self._names_resource(resource, request, filling) == self.resources_named
            and all(condition.holds(request, filling) for condition in self.conditions)
        )

    def filled_texts(self) -> Iterable[str]:
        """Yield the patterns and values that may have variables."""
        yield from self.resources
        for condition in self.conditions:
            yield from condition.values

    def names_action(self, action: str) -> bool:
        return any(matches(pattern, action.lower()) for pattern in self.actions)

    def covers_action(self, action: str) -> bool:
        """Return whether it covers this action, by Action or by NotAction."""
        return self.names_action(action) == self.actions_named

    def _names_resource(self, resource: str, request: Values, filling: bool) -> bool:
        return any(
            matches_filled(pattern, resource, request) if filling and "${" in pattern else matches(pattern, resource)
            for pattern in self.resources
        )


class Policy(NamedTuple):
    """A policy. keys: all condition keys that its evaluation needs, in lower case. filling: `${...}` are variables.

    lets_write: it may let someone write objects.
    """

    statements: tuple[Statement, ...]
    keys: frozenset[str]
    filling: bool
    lets_write: bool

    def verdict(self, identity: Identity, action: str, resource: str, request: Values) -> str:
        """Return `deny`, `allow`, or '' if no statement applies. A denial has precedence."""
        verdict = ""
        for statement in self.statements:
            if statement.allow and verdict:
                continue
            if statement.applies(identity, action, resource, request, self.filling):
                if not statement.allow:
                    return "deny"
                verdict = "allow"
        return verdict


@lru_cache(maxsize=512)
def parse(text: str, bucket: str) -> Policy:
    """Return the policy of a bucket. Raises MalformedPolicy."""
    if len(text.encode("utf-8", "surrogateescape")) > MAX_BYTES:
        raise MalformedPolicy("Policy exceeds the maximum allowed document size.")
    if not text.lstrip().startswith("{"):
        raise MalformedPolicy("Policies must be valid JSON and the first byte must be '{'")
    try:
        document = json.loads(text, object_pairs_hook=_unrepeated)
    except (ValueError, RecursionError):
        raise MalformedPolicy("This policy contains invalid Json") from None
    unknown = sorted(set(document) - {"Version", "Id", "Statement"})
    if unknown:
        raise MalformedPolicy(f"Unknown field {unknown[0]}")
    version = document.get("Version", _VERSIONS[1])
    if version not in _VERSIONS:
        raise MalformedPolicy("The policy must contain a valid version string")
    if "Statement" not in document:
        raise MalformedPolicy("Missing required field Statement")
    listed = document["Statement"] if isinstance(document["Statement"], list) else [document["Statement"]]
    if not listed:
        raise MalformedPolicy("Could not parse the policy: Statement is empty!")
    filling = version == FILLING_VERSION
    statements = tuple(_statement(item, bucket) for item in listed)
    sids = [item["Sid"] for item in listed if item.get("Sid")]  # an empty one counts as missing
    if len(sids) != len(set(sids)):
        raise MalformedPolicy("Statement IDs (SID) in a single policy must be unique.")
    keys = frozenset(condition.key for statement in statements for condition in statement.conditions)
    if filling:
        texts = [text for statement in statements for text in statement.filled_texts()]
        keys = keys.union(*map(variables, texts))
    lets_write = any(statement.allow and statement.covers_action("s3:PutObject") for statement in statements)
    return Policy(statements, keys, filling, lets_write)


def _unrepeated(pairs: list[tuple[str, object]]) -> dict[str, object]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key is repeated")
    return document


def _statement(item: object, bucket: str) -> Statement:
    if not isinstance(item, dict):
        raise MalformedPolicy("Statement must be an object")
    unknown = sorted(set(item) - _FIELDS)
    if unknown:
        raise MalformedPolicy(f"Unknown field {unknown[0]}")
    if not isinstance(item.get("Sid", ""), str):
        raise MalformedPolicy("Sid must be a string")
    if "Effect" not in item:
        raise MalformedPolicy("Missing required field Effect")
    if item["Effect"] not in ("Allow", "Deny"):
        raise MalformedPolicy(f"Invalid effect: {str(item['Effect'])[:60]}")
    principal, principals_named = _either(item, "Principal")
    action, actions_named = _either(item, "Action")
    resource, resources_named = _either(item, "Resource")
    allow = item["Effect"] == "Allow"
    if allow and not principals_named:
        raise MalformedPolicy("Allow with NotPrincipal is not allowed.")
    patterns = tuple(_action(name) for name in _texts(action, "Policy has invalid action"))
    resources = tuple(_resource(arn, bucket) for arn in _texts(resource, "Policy has invalid resource"))
    if actions_named and resources_named:
        _check_combinations(patterns, resources)
    return Statement(
        allow, _principals(principal), principals_named, patterns, actions_named, resources, resources_named,
        tuple(_conditions(item.get("Condition", {}))),
    )  # fmt: skip


def _either(item: dict[str, object], name: str) -> tuple[object, bool]:
    """Return the value of a field or of its negation, and whether it is the field."""
    negation = f"Not{name}"
    if name in item and negation in item:
        raise MalformedPolicy(f"Only one of {name} and {negation} can be in a statement")
    if name not in item and negation not in item:
        raise MalformedPolicy(f"Missing required field {name}")
    return (item[name], True) if name in item else (item[negation], False)


def _texts(value: Any, complaint: str) -> list[str]:
    listed = value if isinstance(value, list) else [value]
    if not listed or not all(isinstance(text, str) for text in listed):
        raise MalformedPolicy(complaint)
    return listed


def _action(name: str) -> str:
    """Return the pattern of an action in lower case, since any case is allowed."""
    if name != "*" and (not name.lower().startswith(actions.PREFIX) or not actions.levels(name)):
        raise MalformedPolicy("Policy has invalid action", name)
    return name.lower()


def _resource(arn: str, bucket: str) -> str:
    """Return the pattern `bucket` or `bucket/keys` of an ARN, which must match this bucket."""
    fields = arn.split(":", 5)
    if arn == "*":
        return arn
    if len(fields) != 6 or fields[0] != "arn" or fields[2] != "s3":
        raise MalformedPolicy("Policy has invalid resource", arn)
    pattern = fields[5]
    about = pattern.partition("/")[0]
    if not matches(about, bucket):
        raise MalformedPolicy("Policy has invalid resource", arn)
    return pattern


def _check_combinations(patterns: Iterable[str], resources: Iterable[str]) -> None:
    """Check that at least one of the actions applies to at least one of the resources."""
    on = frozenset[str]().union(*(actions.levels(pattern) for pattern in patterns))
    has_keys = any("/" in pattern or pattern.endswith("*") for pattern in resources)
    has_bucket = any("/" not in pattern for pattern in resources)
    if not (has_keys and "object" in on) and not (has_bucket and on & {"bucket", "service"}):
        raise MalformedPolicy("Action does not apply to any resource(s) in statement")


def _principals(value: object) -> Principals:
    if value == "*":
        return Principals(everyone=True)
    if not isinstance(value, dict) or not value:
        raise MalformedPolicy("Invalid policy syntax.")
    everyone = False
    accounts: set[str] = set()
    users: set[str] = set()
    services: set[str] = set()
    for kind, texts in value.items():
        reader = _PRINCIPAL_KINDS.get(kind)
        if reader is None:
            raise MalformedPolicy("Invalid principal in policy", kind)
        for text in _texts(texts, "Invalid principal in policy"):
            if kind == "AWS" and text == "*":
                everyone = True
            elif kind == "Service":
                services.add(text)
            else:
                reader(text, accounts, users)
    return Principals(everyone, frozenset(accounts), frozenset(users), frozenset(services))


def _aws_principal(text: str, accounts: set[str], users: set[str]) -> None:
    fields = text.split(":", 5)
    if len(fields) == 1 and text and "*" not in text and "/" not in text:
        accounts.add(text)
        return
    if len(fields) != 6 or fields[0] != "arn" or fields[2] not in ("iam", "sts") or "*" in text:
        raise MalformedPolicy("Invalid principal in policy", text)
    account, who = fields[4], fields[5]
    if who == "root":
        accounts.add(account)
    elif who.startswith("user/") and len(who) > 5:
        # An ARN without an account names one by its id; paths before the name are ignored.
        if account:
            users.add(f"arn:aws:iam::{account}:user/{who.rpartition('/')[2]}")
        else:
            accounts.add(who[5:])
    elif not who.startswith(("role/", "assumed-role/", "federated-user/")):
        raise MalformedPolicy("Invalid principal in policy", text)


def _nobody(text: str, accounts: set[str], users: set[str]) -> None:
    """Ignore identity providers of AWS, none of which sends requests here, and services, which are no identities."""


def _canonical(text: str, accounts: set[str], users: set[str]) -> None:
    accounts.add(text)


_PRINCIPAL_KINDS: dict[str, Callable[[str, set[str], set[str]], None]] = {
    "AWS": _aws_principal,
    "CanonicalUser": _canonical,
    "Federated": _nobody,
    "Service": _nobody,
}


def _conditions(value: object) -> Iterable[PolicyCondition]:
    if not isinstance(value, dict):
        raise MalformedPolicy("Invalid policy syntax.")
    for operator, keys in value.items():
        if not isinstance(keys, dict):
            raise MalformedPolicy("Invalid policy syntax.")
        for key, values in keys.items():
            listed = values if isinstance(values, list) else [values]
            if not all(isinstance(text, (str, bool, int, float)) for text in listed):
                raise MalformedPolicy("Invalid policy syntax.")
            try:
                yield named(operator, key, [_plain(text) for text in listed])
            except ValueError:
                raise MalformedPolicy(f"Invalid Condition type : {operator}", operator) from None


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
