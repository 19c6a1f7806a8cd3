"""Conditions of policy statements: the operators, and when a condition holds.

From the IAM user guide, "IAM JSON policy elements: Condition operators" and "Conditions with multiple context keys or
values". All keys of all operators must hold; of the values of a key one must fit, or, for a
negated operator, none may. A key that the request lacks fails an operator, passes a negated
one and passes `...IfExists`.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from objstore.access.patterns import Values, filled, matches, matches_filled

_NUMBER = re.compile(r"[-+]?[0-9]{1,30}(\.[0-9]{1,30})?([eE][-+]?[0-9]{1,2})?\Z")
Compare = Callable[[str, str], bool]  # what the request has, what the policy says


class Operator(NamedTuple):
    """compare: of one value; raises ValueError where either is of another type. wild: are `*` and `?` patterns?"""

    compare: Compare
    negated: bool = False
    wild: bool = False


class PolicyCondition(NamedTuple):
    """operator: its name without qualifiers. qualifier: '', forallvalues or foranyvalue. key: in lower case."""

    operator: str
    qualifier: str
    if_exists: bool
    key: str
    values: tuple[str, ...]

    def holds(self, request: Values, filling: bool) -> bool:
        """filling: are `${...}` in values variables (policies of version 2012-10-17)?"""
        actual = request.get(self.key, ())
        if self.operator == "null":
            return (not actual) == (self.values[0].lower() == "true")
        operator = OPERATORS[self.operator]
        if not actual:
            if self.qualifier:
                return self.qualifier == "forallvalues" or self.if_exists
            return self.if_exists or operator.negated

        def fits(value: str) -> bool:
            return any(_fits(operator, value, said, request, filling) for said in self.values) != operator.negated

        # Negation goes over the values of a key that has several: none may fit.
        if self.qualifier == "forallvalues" or (operator.negated and not self.qualifier):
            return all(fits(value) for value in actual)
        return any(fits(value) for value in actual)


def _fits(operator: Operator, value: str, said: str, request: Values, filling: bool) -> bool:
    if filling and "${" in said:
        if operator.wild:
            return matches_filled(said, value, request)
        text = filled(said, request)
        if text is None:
            return False
        said = text
    try:
        return operator.compare(value, said)
    except ValueError:
        return False


def _number(text: str) -> float:
    if not _NUMBER.match(text):
        raise ValueError(text)
    return float(text)


@lru_cache(maxsize=1024)
def _moment(text: str) -> float:
    """Seconds since the epoch of an ISO 8601 date or of such a number."""
    if text.isascii() and text.isdigit() and len(text) != 4:
        return float(text)
    if len(text) == 4:
        text += "-01-01"
    elif len(text) == 7:
        text += "-01"
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


@lru_cache(maxsize=1024)
def network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(text, strict=False)


def _in_network(address: str, said: str) -> bool:
    found = ipaddress.ip_address(address)
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found) in network(said)


def _arn_like(value: str, said: str) -> bool:
    """Each of the six fields is matched by itself, so that `*` never reaches beyond a colon but in the last."""
    actual, wanted = value.split(":", 5), said.split(":", 5)
    return len(actual) == len(wanted) and all(matches(one, other) for one, other in zip(wanted, actual, strict=True))


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


def _same_bytes(value: str, said: str) -> bool:
    return base64.b64decode(value, validate=True) == base64.b64decode(said, validate=True)


_POSITIVE: dict[str, Operator] = {
    "StringEquals": Operator(lambda value, said: value == said),
    "StringEqualsIgnoreCase": Operator(lambda value, said: value.lower() == said.lower()),
    "StringLike": Operator(lambda value, said: matches(said, value), wild=True),
    "NumericEquals": Operator(lambda value, said: _number(value) == _number(said)),
    "NumericLessThan": Operator(lambda value, said: _number(value) < _number(said)),
    "NumericLessThanEquals": Operator(lambda value, said: _number(value) <= _number(said)),
    "NumericGreaterThan": Operator(lambda value, said: _number(value) > _number(said)),
    "NumericGreaterThanEquals": Operator(lambda value, said: _number(value) >= _number(said)),
    "DateEquals": Operator(lambda value, said: _moment(value) == _moment(said)),
    "DateLessThan": Operator(lambda value, said: _moment(value) < _moment(said)),
    "DateLessThanEquals": Operator(lambda value, said: _moment(value) <= _moment(said)),
    "DateGreaterThan": Operator(lambda value, said: _moment(value) > _moment(said)),
    "DateGreaterThanEquals": Operator(lambda value, said: _moment(value) >= _moment(said)),
    "Bool": Operator(lambda value, said: _boolean(value) == _boolean(said)),
    "BinaryEquals": Operator(_same_bytes),
    "IpAddress": Operator(_in_network),
    "ArnEquals": Operator(_arn_like),
    "ArnLike": Operator(_arn_like),
}
_NEGATED = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "NumericNotEquals": "NumericEquals",
    "DateNotEquals": "DateEquals",
    "NotIpAddress": "IpAddress",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
}
# By lower-case name, as policies may write them in any case.
OPERATORS: dict[str, Operator] = {
    **{name.lower(): operator for name, operator in _POSITIVE.items()},
    **{name.lower(): _POSITIVE[positive]._replace(negated=True) for name, positive in _NEGATED.items()},
}
_QUALIFIERS = ("forallvalues", "foranyvalue")
# The values that an operator can be given, by how its name begins.
_TYPES: tuple[tuple[str, Callable[[str], object]], ...] = (
    ("numeric", _number),
    ("date", _moment),
    ("bool", _boolean),
    ("null", _boolean),
    ("ipaddress", network),
    ("notipaddress", network),
    ("binary", lambda text: base64.b64decode(text, validate=True)),
)


def named(operator: str, key: str, values: Sequence[str]) -> PolicyCondition:
    """The condition of one operator and key; raises ValueError for an operator or value that is none."""
    qualifier, colon, name = operator.lower().rpartition(":")
    if colon and qualifier not in _QUALIFIERS:
        raise ValueError(operator)
    if_exists = name.endswith("ifexists")
    name = name.removesuffix("ifexists")
    if name not in OPERATORS and (name != "null" or if_exists or qualifier):
        raise ValueError(operator)
    if not values:
        raise ValueError(operator)
    check = next((cast for prefix, cast in _TYPES if name.startswith(prefix)), None)
    for value in values:
        if check is not None and "${" not in value:
            try:
                check(value)
            except binascii.Error:
                raise ValueError(value) from None
    return PolicyCondition(name, qualifier, if_exists, key.lower(), tuple(values))
