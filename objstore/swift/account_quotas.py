"""The quotas of an account in requests and answers: only reseller admins may set them.

They are kept as system metadata, those of a storage policy by its index. `X-Account-Meta-Quota-Bytes` is the older name
of `X-Account-Quota-Bytes`: answers show both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from objstore.core import quotas
from objstore.core.errors import InvalidInput
from objstore.core.policies import Policies
from objstore.core.quotas import ACCOUNT_BYTES, ACCOUNT_COUNT, LEGACY_BYTES, POLICY_BYTES, POLICY_COUNT, STORED

_REMOVE = "X-Remove-"
_PLAIN = {ACCOUNT_BYTES: f"{STORED}Bytes", LEGACY_BYTES: f"{STORED}Bytes", ACCOUNT_COUNT: f"{STORED}Count"}
_OF_POLICY = {POLICY_BYTES: f"{STORED}Bytes-Policy-", POLICY_COUNT: f"{STORED}Count-Policy-"}


def sent(headers: Mapping[str, str], policies: Policies) -> dict[str, str]:
    """Return the changes of quotas in a request, as they are stored; '' removes.

    Raises InvalidInput for a limit that is not a number, and for an unknown storage policy.
    """
    changes: dict[str, str] = {}
    for name, value in sorted(_shortened(headers), key=lambda item: item[0] != LEGACY_BYTES):
        stored = _stored(name, policies)
        if not quotas.is_limit(value):
            raise InvalidInput(f"Invalid {name} header value")
        changes[stored] = value
    return changes


def is_quota(name: str) -> bool:
    """Return whether a header of a request sets or removes a quota."""
    return _short(name).startswith((ACCOUNT_BYTES, ACCOUNT_COUNT)) or _short(name) == LEGACY_BYTES


def shown(headers: dict[str, str], policies: Policies) -> None:
    """Add the headers that show the quotas in an answer with these headers of an account."""
    for name in [name for name in headers if name.startswith(STORED)]:
        what, _, index = name[len(STORED) :].partition("-Policy-")
        policy = policies.get(int(index)) if index.isdigit() else None
        if not index:
            headers[f"X-Account-Quota-{what}"] = headers[name]
        elif policy is not None:
            headers[f"X-Account-Quota-{what}-Policy-{policy.name.title()}"] = headers[name]
    if ACCOUNT_BYTES in headers:
        headers[LEGACY_BYTES] = headers[ACCOUNT_BYTES]


def _shortened(headers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the quotas of a request by the names that set them; a header that removes one has an empty value."""
    for name, value in headers.items():
        if is_quota(name):
            yield _short(name), "" if name.startswith(_REMOVE) else value


def _short(name: str) -> str:
    return f"X-{name[len(_REMOVE) :]}" if name.startswith(_REMOVE) else name


def _stored(name: str, policies: Policies) -> str:
    if name in _PLAIN:
        return _PLAIN[name]
    for prefix, stored in _OF_POLICY.items():
        policy = policies.by_name(name[len(prefix) :]) if name.startswith(prefix) else None
        if policy is not None:
            return f"{stored}{policy.index}"
    raise InvalidInput(f"{name} names no storage policy")
