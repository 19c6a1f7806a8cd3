"""Access control lists of containers and accounts (Swift documentation, overview: ACLs).

A container's list (X-Container-Read, X-Container-Write) is items separated by commas:

- `.r:*`, `.r:host`, `.r:.domain`, `.r:-host`: Referer headers that may read objects, or
  (with `-`) may not; the last item that fits decides. Read lists only.
- `.rlistings`: clients that `.r:` allows may list the container too.
- `account`, `account:user`, `account:*`, `*:user`, `*:*`, `group`: clients with a token.
- `AUTH_account`: the administrators of that storage account.

An account's list (X-Account-Access-Control) is JSON: user and group names under the
levels `admin`, `read-write` and `read-only`. It is stored as the account's system metadata.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

from objstore.access.identity import Identity
from objstore.core.errors import InvalidInput

LISTINGS = ".rlistings"
ACCOUNT_ACL_HEADER = "X-Account-Access-Control"
ACCOUNT_ACL_SYSMETA = "core-access-control"  # the name without prefix, as in `AccountInfo.sysmeta`
LEVELS = ("admin", "read-write", "read-only")  # from most to least

_REFERRER_WORDS = frozenset({".r", ".ref", ".referer", ".referrer"})
_PUBLIC = frozenset({"*:*", LISTINGS})
_SHOWN = 80  # characters of a bad value that an error message repeats


class ContainerAcl(NamedTuple):
    """A container's list. referrers: hosts and domains in order, without `.r:`. groups: all other items."""

    referrers: tuple[str, ...]
    groups: frozenset[str]

    @property
    def listings(self) -> bool:
        return LISTINGS in self.groups


def clean(header: str, value: str) -> str:
    """Return the normal form of a container ACL: no spaces or empty items, referrers as `.r:`.

    header: X-Container-Read or X-Container-Write, which allows no referrers. Raises InvalidInput.
    """
    items = (item.strip() for item in value.split(","))
    return ",".join(_clean_item(header, item) for item in items if item)


def _clean_item(header: str, item: str) -> str:
    word, colon, host = (part.strip() for part in item.partition(":"))
    if not colon or not word.startswith("."):
        return item
    if word not in _REFERRER_WORDS:
        raise InvalidInput(f"Unknown designator {word[:_SHOWN]!r} in ACL: {item[:_SHOWN]!r}")
    if header.lower().endswith("write"):
        raise InvalidInput(f"Referrers not allowed in write ACL: {item[:_SHOWN]!r}")
    sign = "-" if host.startswith("-") else ""
    host = host[len(sign) :].strip()
    if host.startswith("*") and host != "*":  # `*.example.com` is `.example.com`
        host = host[1:].strip()
    if host in ("", "."):
        raise InvalidInput(f"No host/domain value after referrer designation in ACL: {item[:_SHOWN]!r}")
    return f".r:{sign}{host}"


def without_public(acl: str) -> str:
    """Return a container ACL in its normal form, without items for everyone, or for everyone with a token.

    A referrer item is public with any host: every client can send any Referer header.
    """
    items = (item for item in acl.split(",") if item)
    return ",".join(item for item in items if item not in _PUBLIC and not item.startswith(".r:"))


@lru_cache(maxsize=1024)
def parse(acl: str) -> ContainerAcl:
    """Parse a container ACL in its normal form; '' grants nothing."""
    items = [item for item in acl.split(",") if item]
    referrers = tuple(item[3:] for item in items if item.startswith(".r:"))
    return ContainerAcl(referrers, frozenset(item for item in items if not item.startswith(".r:")))


def referrer_allowed(referrer: str, acl: ContainerAcl) -> bool:
    """Return whether the list allows this Referer header ('' for none), which proves nothing."""
    if not acl.referrers:
        return False
    host = _host_of(referrer)
    allowed = False
    for item in acl.referrers:
        denies = item.startswith("-")
        pattern = item[1:] if denies else item
        if pattern == host or (pattern.startswith(".") and host.endswith(pattern)) or (pattern == "*" and not denies):
            allowed = not denies
    return allowed


def _host_of(referrer: str) -> str:
    try:
        return urlsplit(referrer).hostname or "unknown"
    except ValueError:  # an unbalanced bracket
        return "unknown"


def groups_allowed(identity: Identity, acl: ContainerAcl) -> bool:
    """Return whether the list names a known identity, or an account that it administers.

    Groups that begin with a period are the system's, never named.
    """
    if not acl.groups:
        return False
    if any(group in acl.groups for group in identity.groups if not group.startswith(".")):
        return True
    if not acl.groups.isdisjoint(identity.accounts):
        return True
    account, _, user = identity.user.partition(":")
    return any(item in acl.groups for item in (f"{account}:*", f"*:{user}", "*:*"))


def clean_account_acl(text: str) -> str:
    """Return the canonical form of an account ACL: JSON in ASCII, keys sorted, '' if it grants nothing.

    Raises InvalidInput unless it is an object of known levels to lists of names.
    """
    return format_account_acl(_checked(text)) if text.strip() else ""


def format_account_acl(acl: Mapping[str, list[str]]) -> str:
    return json.dumps(acl, sort_keys=True, separators=(",", ":")) if acl else ""


def _checked(text: str) -> dict[str, list[str]]:
    try:
        acl = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidInput(f"{ACCOUNT_ACL_HEADER} invalid: not JSON: {text[:_SHOWN]!r}") from None
    if not isinstance(acl, dict):
        raise InvalidInput(f"{ACCOUNT_ACL_HEADER} invalid: not a JSON object: {text[:_SHOWN]!r}")
    for level, names in acl.items():
        if level not in LEVELS:
            raise InvalidInput(
                f"{ACCOUNT_ACL_HEADER} invalid: key {level[:_SHOWN]!r} is not one of {', '.join(LEVELS)}"
            )
        if not isinstance(names, list):
            raise InvalidInput(f"{ACCOUNT_ACL_HEADER} invalid: value of {level!r} must be a list")
        if not all(isinstance(name, str) for name in names):
            raise InvalidInput(f"{ACCOUNT_ACL_HEADER} invalid: the list of {level!r} must hold strings only")
    return acl


@lru_cache(maxsize=1024)
def account_level(acl: str, names: tuple[str, ...]) -> str:
    """Return the highest of `LEVELS` that an account ACL grants to any of the names, '' for none.

    names: the groups of an identity, and the storage accounts that it administers.

    A stored list that cannot be read grants nothing.
    """
    if not acl:
        return ""
    try:
        levels = _checked(acl)
    except InvalidInput:
        return ""
    mine = {name for name in names if not name.startswith(".")}
    return next((level for level in LEVELS if mine.intersection(levels.get(level, ()))), "")
