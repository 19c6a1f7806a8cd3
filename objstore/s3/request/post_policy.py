"""The policy document of a form: its conditions for the fields and the file (S3 API: POST policy).

Every field must be in a condition, except those of the signature, the file, and `x-ignore-` ones.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import NamedTuple

from objstore.core.numbers import whole
from objstore.s3.language import dates
from objstore.s3.language.errors import S3Error

_UNCHECKED = frozenset({"awsaccesskeyid", "signature", "x-amz-signature", "policy", "file"})
# Fields with a list, each item of which a `starts-with` must match.
_LISTS = frozenset({"content-type"})


# ISO 8601 has more forms, and Python reads most of them; this is S3's.
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z\Z")


class Sizes(NamedTuple):
    """The range of the file's size, in bytes. max_size: None for no limit."""

    min_size: int = 0
    max_size: int | None = None

    def narrowed(self, other: Sizes) -> Sizes:
        """Return the range that both allow: each of several conditions must hold."""
        limits = [sizes.max_size for sizes in (self, other) if sizes.max_size is not None]
        return Sizes(max(self.min_size, other.min_size), min(limits) if limits else None)


class FormCondition(NamedTuple):
    """A condition. kind: `eq` or `starts-with`. field: in lower case. text: its form in messages."""

    kind: str
    field: str
    value: str
    text: str

    def holds(self, fields: Mapping[str, str]) -> bool:
        sent_value = fields.get(self.field)
        if sent_value is None:
            return False
        if self.kind == "eq":
            return sent_value == self.value
        values = sent_value.split(",") if self.field in _LISTS else [sent_value]
        return all(value.strip().startswith(self.value) for value in values)


class FormPolicy(NamedTuple):
    """A policy. expires: seconds since the epoch."""

    expires: float
    conditions: tuple[FormCondition, ...]
    sizes: Sizes


def parse(encoded: str) -> FormPolicy:
    """Return the policy in a form's field; raises S3Error InvalidPolicyDocument."""
    try:
        document = json.loads(base64.b64decode(encoded.encode("ascii"), validate=False))
    except (binascii.Error, ValueError, RecursionError):
        raise _invalid("Invalid JSON.") from None
    if not isinstance(document, dict):
        raise _invalid("Invalid JSON.")
    if "expiration" not in document:
        raise _invalid("Policy missing expiration.")
    expiration = document["expiration"]
    expires = dates.parse_iso(expiration) if isinstance(expiration, str) and _DATE.match(expiration) else None
    if expires is None:
        raise _invalid(f"Invalid 'expiration' value: '{expiration}'")
    rows = document.get("conditions")
    if not isinstance(rows, list):
        raise _invalid("Policy missing conditions.")
    conditions: list[FormCondition] = []
    sizes = Sizes()
    for row in rows:
        if isinstance(row, list) and row and isinstance(row[0], str) and row[0].lower() == "content-length-range":
            sizes = sizes.narrowed(_sizes(row))
        else:
            conditions += _conditions(row)
    return FormPolicy(expires, tuple(conditions), sizes)


def _sizes(row: list[object]) -> Sizes:
    if len(row) != 3:
        raise _invalid("Invalid Condition: content-length-range takes two numbers.")
    min_size, max_size = (_size(number) for number in row[1:])
    if max_size < min_size:
        raise _invalid("Invalid Condition: content-length-range is not a range.")
    return Sizes(min_size, max_size)


def _size(number: object) -> int:
    """Return a size in bytes, from a number of JSON or a text; raises S3Error InvalidPolicyDocument."""
    size = whole(str(number)) if isinstance(number, (int, str)) and not isinstance(number, bool) else None
    if size is None:
        raise _invalid("Invalid Condition: content-length-range takes two numbers.")
    return size


def _conditions(row: object) -> list[FormCondition]:
    if isinstance(row, dict):
        if not row:
            raise _invalid("Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.")
        return [_condition("eq", name, value, json.dumps(["eq", f"${name}", value])) for name, value in row.items()]
    if not isinstance(row, list) or len(row) != 3 or not isinstance(row[0], str) or not isinstance(row[1], str):
        raise _invalid("Invalid Condition.")
    kind, name, value = row[0].lower(), row[1], row[2]
    if kind not in ("eq", "starts-with"):
        raise _invalid(f"Invalid Condition: unknown operation '{row[0]}'.")
    if name[:1] != "$":
        raise _invalid("Invalid Condition: the name of a field begins with '$'.")
    return [_condition(kind, name[1:], value, json.dumps(row))]


def _condition(kind: str, name: str, value: object, text: str) -> FormCondition:
    if not isinstance(value, (str, int)) or isinstance(value, bool):
        raise _invalid("Invalid Condition: the value is not a string.")
    return FormCondition(kind, name.lower(), str(value), text)


def check(policy: FormPolicy, fields: Mapping[str, str], now: float) -> None:
    """Compare the fields of a form with its policy. Raises S3Error AccessDenied.

    fields: by lower-case name, with `bucket`. now: seconds since the epoch.
    """
    if now > policy.expires:
        raise _denied("Policy expired.")
    for condition in policy.conditions:
        if not condition.holds(fields):
            raise _denied(f"Policy Condition failed: {condition.text}")
    in_conditions = {condition.field for condition in policy.conditions}
    extra = [
        name for name in fields if name not in in_conditions and name not in _UNCHECKED and name[:9] != "x-ignore-"
    ]
    if extra:
        raise _denied(f"Extra input fields: {', '.join(sorted(extra))}")


def _invalid(why: str) -> S3Error:
    return S3Error("InvalidPolicyDocument", f"Invalid Policy: {why}")


def _denied(why: str) -> S3Error:
    return S3Error("AccessDenied", f"Invalid according to Policy: {why}")
