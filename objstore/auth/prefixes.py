"""Reseller prefixes: the storage accounts that this authentication system controls."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from objstore.access.identity import Realm
from objstore.core.errors import ConfigError


class Prefix(NamedTuple):
    """A prefix. text: of account names, `AUTH_` or ''. require_group: owners must have it too, by their own token or an
    additional service token; '' for none."""

    text: str
    require_group: str = ""


class Prefixes:
    """All prefixes of a system, the first being that of its tokens and of its users' accounts.

    realm: the accounts that have one of them.
    """

    def __init__(self, prefixes: Iterable[Prefix]) -> None:
        self._all = tuple(prefixes)
        # The longest first, so that '' applies only to accounts without another prefix.
        self._by_length = sorted(self._all, key=lambda prefix: -len(prefix.text))
        self.realm = Realm(tuple(prefix.text for prefix in self._by_length))

    def __iter__(self) -> Iterator[Prefix]:
        return iter(self._all)

    @property
    def first(self) -> Prefix:
        return self._all[0]

    def administered(self, accounts: Iterable[str], groups: Collection[str]) -> tuple[str, ...]:
        """Return those of the accounts whose prefix requires no group, or one of these."""
        return tuple(account for account in accounts if self._group_for(account) in ("", *groups))

    def _group_for(self, account: str) -> str:
        return next((one.require_group for one in self._by_length if account.startswith(one.text)), "")


def from_conf(conf: Mapping[str, str]) -> Prefixes:
    """Return the prefixes of `reseller_prefix` (a list; `''` names the empty one) and `[<PREFIX>_]require_group`.

    Raises ConfigError for a prefix given twice.
    """
    names = [item.strip().strip("'\"") for item in conf.get("reseller_prefix", "AUTH").split(",")]
    texts = [name if not name or name.endswith("_") else name + "_" for name in names]
    if len(set(texts)) < len(texts):
        raise ConfigError(f"reseller_prefix = {conf['reseller_prefix']}: a prefix is given twice")
    common = conf.get("require_group", "").strip()
    return Prefixes(Prefix(text, conf.get(f"{text}require_group", common).strip()) for text in texts)
