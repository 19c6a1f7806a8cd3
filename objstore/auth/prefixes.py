"""Reseller prefixes: the storage accounts that this authentication system controls."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from objstore.core.errors import ConfigError


class Prefix(NamedTuple):
    """A prefix. text: of account names, `AUTH_` or ''. require_group: owners must have it too, by their own token or an
    additional service token; '' for none."""

    text: str
    require_group: str = ""


class Prefixes:
    """All prefixes of a system, the first being that of its tokens and of its users' accounts."""

    def __init__(self, prefixes: Iterable[Prefix]) -> None:
        self._all = tuple(prefixes)
        # The longest first, so that '' applies only to accounts without another prefix.
        self._by_length = sorted(self._all, key=lambda prefix: -len(prefix.text))

    def __iter__(self) -> Iterator[Prefix]:
        return iter(self._all)

    @property
    def first(self) -> Prefix:
        return self._all[0]

    def of(self, account: str) -> Prefix | None:
        """Return the prefix of an account's name, None if the account is not of this system."""
        for prefix in self._by_length:
            if account.startswith(prefix.text):
                return prefix
        return None


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
