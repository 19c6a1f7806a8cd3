"""Storage classes, and the storage policies that keep the objects of some of them.

The setting `storage_classes` maps classes to policies. Of a class that it does not name, the class is
noted and told, and the object lies where its bucket does. STANDARD is the bucket's own policy: mapped, it is
the one that buckets made through S3 get.
"""

from __future__ import annotations

from collections.abc import Mapping

from objstore.core.errors import ConfigError
from objstore.core.policies import ONE_POLICY, Policies, StoragePolicy

STANDARD = "STANDARD"
# Those whose objects can be read at once. The rest would need RestoreObject, unless a policy is named for them.
AT_ONCE = frozenset({STANDARD, "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR"})
_KNOWN = AT_ONCE | {"GLACIER", "DEEP_ARCHIVE"}


def mapping(text: str) -> dict[str, str]:
    """`STANDARD=gold, STANDARD_IA=cold` as policies by class; raises ValueError."""
    mapped: dict[str, str] = {}
    for pair in filter(None, (piece.strip() for piece in text.split(","))):
        name, equals, policy = (part.strip() for part in pair.partition("="))
        if not equals or not policy:
            raise ValueError(f"{pair!r} is not CLASS=POLICY")
        if name not in _KNOWN:
            raise ValueError(f"{name!r} is no storage class; known are {', '.join(sorted(_KNOWN))}")
        if name in mapped:
            raise ValueError(f"{name} is named twice")
        mapped[name] = policy
    return mapped


class StorageClasses:
    """names: of the classes that an upload can ask for. policies: all of the store. of_buckets: index of the policy of
    new buckets, None for the default one.

    Raises ConfigError for a policy that is not there or takes no new containers.
    """

    def __init__(self, mapped: Mapping[str, str], policies: Policies = ONE_POLICY) -> None:
        self.names = AT_ONCE | mapped.keys()
        self.policies = policies
        self._mapped = {name: self._policy(name, policy) for name, policy in mapped.items()}
        standard = self._mapped.pop(STANDARD, None)
        self.of_buckets = None if standard is None else standard.index

    def _policy(self, name: str, policy: str) -> StoragePolicy:
        found = self.policies.by_name(policy)
        if found is None or found.deprecated:
            fault = "is not there" if found is None else "is deprecated"
            raise ConfigError(f"storage_classes: the storage policy {policy!r} of {name} {fault}")
        return found

    def policy_index(self, name: str | None) -> int | None:
        """The policy that keeps objects of a class, None for the bucket's own. name: None for the standard class."""
        found = self._mapped.get(name or STANDARD)
        return None if found is None else found.index


UNMAPPED = StorageClasses({})
