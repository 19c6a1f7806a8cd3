"""The policy document of a form: what its fields and its file must be like (S3 API: POST policy).

Every field must be in a condition, but those of the signature, the file, and `x-ignore-` ones.
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
# Fields that hold a list, each item of which a `starts-with` is about.
_LISTS = frozenset({"content-type"})


# ISO 8601 has more forms, and Python takes most of them; this is S3's.
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z\Z")


class Sizes(NamedTuple):
    """Bytes that the file may have; most: None without a limit."""

    least: int = 0
    most: int | None = None

    def narrowed(self, other: Sizes) -> Sizes:
        """The range that both allow: each of several conditions must hold."""
        limits = [one.most for one in (self, other) if one.most is not None]
        return Sizes(max(self.least, other.least), min(limits) if limits else None)


class FormCondition(NamedTuple):
    """kind: `eq` or `starts-with`. field: in lower case. text: as messages show it."""

    kind: str
    field: str
    value: str
    text: str

    def holds(self, fields: Mapping[str, str]) -> bool:
        given = fields.get(self.field)
        if given is None:
            return False
        if self.kind == "eq":
            return given == self.value
        values = given.split(",") if self.field in _LISTS else [given]
        return all(value.strip().startswith(self.value) for value in values)


class FormPolicy(NamedTuple):
    """expires: seconds since the epoch."""

    expires: float
    conditions: tuple[FormCondition, ...]
    sizes: Sizes


def parse(encoded: str) -> FormPolicy:
    """The policy of a form's field; raises S3Error InvalidPolicyDocument."""
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
    conditions = document.get("conditions")
    if not isinstance(conditions, list):
        raise _invalid("Policy missing conditions.")
    found: list[FormCondition] = []
    sizes = Sizes()
    for one in conditions:
        if isinstance(one, list) and one and isinstance(one[0], str) and one[0].lower() == "content-length-range":
            sizes = sizes.narrowed(_sizes(one))
        else:
            found += _conditions(one)
    return FormPolicy(expires, tuple(found), sizes)


def _sizes(one: list[object]) -> Sizes:
    if len(one) != 3:
        raise _invalid("Invalid Condition: content-length-range takes two numbers.")
    least, most = (_size(number) for number in one[1:])
    if most < least:
        raise _invalid("Invalid Condition: content-length-range is not a range.")
    return Sizes(least, most)


def _size(number: object) -> int:
    """Bytes, as a number of JSON or as text; raises S3Error InvalidPolicyDocument."""
    size = whole(str(number)) if isinstance(number, (int, str)) and not isinstance(number, bool) else None
    if size is None:
        raise _invalid("Invalid Condition: content-length-range takes two numbers.")
    return size


def _conditions(one: object) -> list[FormCondition]:
    if isinstance(one, dict):
        if not one:
            raise _invalid("Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.")
        return [_condition("eq", name, value, json.dumps(["eq", f"${name}", value])) for name, value in one.items()]
    if not isinstance(one, list) or len(one) != 3 or not isinstance(one[0], str) or not isinstance(one[1], str):
        raise _invalid("Invalid Condition.")
    kind, name, value = one[0].lower(), one[1], one[2]
    if kind not in ("eq", "starts-with"):
        raise _invalid(f"Invalid Condition: unknown operation '{one[0]}'.")
    if name[:1] != "$":
        raise _invalid("Invalid Condition: the name of a field begins with '$'.")
    return [_condition(kind, name[1:], value, json.dumps(one))]


def _condition(kind: str, name: str, value: object, text: str) -> FormCondition:
    if not isinstance(value, (str, int)) or isinstance(value, bool):
        raise _invalid("Invalid Condition: the value is not a string.")
    return FormCondition(kind, name.lower(), str(value), text)


def check(policy: FormPolicy, fields: Mapping[str, str], now: float) -> None:
    """fields: by lower-case name, with `bucket`. Raises S3Error AccessDenied."""
    if now > policy.expires:
        raise _denied("Policy expired.")
    for condition in policy.conditions:
        if not condition.holds(fields):
            raise _denied(f"Policy Condition failed: {condition.text}")
    named = {condition.field for condition in policy.conditions}
    extra = [name for name in fields if name not in named and name not in _UNCHECKED and name[:9] != "x-ignore-"]
    if extra:
        raise _denied(f"Extra input fields: {', '.join(sorted(extra))}")


def _invalid(why: str) -> S3Error:
    return S3Error("InvalidPolicyDocument", f"Invalid Policy: {why}")


def _denied(why: str) -> S3Error:
    return S3Error("AccessDenied", f"Invalid according to Policy: {why}")
