"""Conditions of policy statements: the operators, and their evaluation.

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
Compare = Callable[[str, str], bool]  # the value of the request, the value of the policy


class Operator(NamedTuple):
    """An operator. compare: of one value; raises ValueError if either has a wrong type. wild: `*` and `?` are wild."""

    compare: Compare
    negated: bool = False
    wild: bool = False


class PolicyCondition(NamedTuple):
    """A condition. operator: its name without qualifiers. qualifier: '', forallvalues or foranyvalue.

    key: in lower case.
    """

    operator: str
    qualifier: str
    if_exists: bool
    key: str
    values: tuple[str, ...]

    def holds(self, request: Values, filling: bool) -> bool:
        """Return whether the condition holds. filling: `${...}` are variables (policies of version 2012-10-17)."""
        actual = request.get(self.key, ())
        if self.operator == "null":
            return (not actual) == (self.values[0].lower() == "true")
        operator = OPERATORS[self.operator]
        if not actual:
            if self.qualifier:
                return self.qualifier == "forallvalues" or self.if_exists
            return self.if_exists or operator.negated

        def fits(value: str) -> bool:
            return any(_fits(operator, value, text, request, filling) for text in self.values) != operator.negated

        # Negation covers all values of a key that has several: none may fit.
        if self.qualifier == "forallvalues" or (operator.negated and not self.qualifier):
            return all(fits(value) for value in actual)
        return any(fits(value) for value in actual)


def _fits(operator: Operator, value: str, pattern: str, request: Values, filling: bool) -> bool:
    if filling and "${" in pattern:
        if operator.wild:
            return matches_filled(pattern, value, request)
        text = filled(pattern, request)
        if text is None:
            return False
        pattern = text
    try:
        return operator.compare(value, pattern)
    except ValueError:
        return False


def _number(text: str) -> float:
    if not _NUMBER.match(text):
        raise ValueError(text)
    return float(text)


@lru_cache(maxsize=1024)
def _moment(text: str) -> float:
    """Return the seconds since the epoch of an ISO 8601 date, or of a text with this number."""
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


def _in_network(address: str, text: str) -> bool:
    parsed = ipaddress.ip_address(address)
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed) in network(text)


def _arn_like(value: str, pattern: str) -> bool:
    """Return whether an ARN matches. Its six fields are matched one by one: `*` matches a colon in the last only."""
    fields, patterns = value.split(":", 5), pattern.split(":", 5)
    return len(fields) == len(patterns) and all(map(matches, patterns, fields))


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


def _same_bytes(value: str, text: str) -> bool:
    return base64.b64decode(value, validate=True) == base64.b64decode(text, validate=True)


_POSITIVE: dict[str, Operator] = {
    "StringEquals": Operator(lambda value, text: value == text),
    "StringEqualsIgnoreCase": Operator(lambda value, text: value.lower() == text.lower()),
    "StringLike": Operator(lambda value, text: matches(text, value), wild=True),
    "NumericEquals": Operator(lambda value, text: _number(value) == _number(text)),
    "NumericLessThan": Operator(lambda value, text: _number(value) < _number(text)),
    "NumericLessThanEquals": Operator(lambda value, text: _number(value) <= _number(text)),
    "NumericGreaterThan": Operator(lambda value, text: _number(value) > _number(text)),
    "NumericGreaterThanEquals": Operator(lambda value, text: _number(value) >= _number(text)),
    "DateEquals": Operator(lambda value, text: _moment(value) == _moment(text)),
    "DateLessThan": Operator(lambda value, text: _moment(value) < _moment(text)),
    "DateLessThanEquals": Operator(lambda value, text: _moment(value) <= _moment(text)),
    "DateGreaterThan": Operator(lambda value, text: _moment(value) > _moment(text)),
    "DateGreaterThanEquals": Operator(lambda value, text: _moment(value) >= _moment(text)),
    "Bool": Operator(lambda value, text: _boolean(value) == _boolean(text)),
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
# By lower-case name, as policies may use any case.
OPERATORS: dict[str, Operator] = {
    **{name.lower(): operator for name, operator in _POSITIVE.items()},
    **{name.lower(): _POSITIVE[positive]._replace(negated=True) for name, positive in _NEGATED.items()},
}
_QUALIFIERS = ("forallvalues", "foranyvalue")
# The checks of an operator's values, by the beginning of its name.
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
    """Return the condition of one operator and key. Raises ValueError if the operator or a value is not valid."""
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
