"""Storage classes, and the storage policies for the objects of some of them.

The setting `storage_classes` maps classes to policies. A class that it does not name is stored and returned with the
object, whose data is in the policy of its bucket. STANDARD is the bucket's own policy: mapped, it is the policy of new
buckets made through S3.
"""

from __future__ import annotations

from collections.abc import Mapping

from objstore.core.errors import ConfigError
from objstore.core.policies import ONE_POLICY, Policies, StoragePolicy

STANDARD = "STANDARD"
# Classes whose objects are readable at once. The others would need RestoreObject, unless they have a policy.
AT_ONCE = frozenset({STANDARD, "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR"})
_CLASSES = AT_ONCE | {"GLACIER", "DEEP_ARCHIVE"}


def mapping(text: str) -> dict[str, str]:
    """Return the policies by class of `STANDARD=gold, STANDARD_IA=cold`; raises ValueError."""
    mapped: dict[str, str] = {}
    for pair in filter(None, (piece.strip() for piece in text.split(","))):
        name, equals, policy = (part.strip() for part in pair.partition("="))
        if not equals or not policy:
            raise ValueError(f"{pair!r} is not CLASS=POLICY")
        if name not in _CLASSES:
            raise ValueError(f"{name!r} is not a storage class; the classes are {', '.join(sorted(_CLASSES))}")
        if name in mapped:
            raise ValueError(f"{name} is named twice")
        mapped[name] = policy
    return mapped


class StorageClasses:
    """The available storage classes of a store, and their policies.

    names: of the classes. policies: all of the store. of_buckets: index of the policy of new buckets, None for the
    default one. Raises ConfigError for a policy that is missing or deprecated.
    """

    def __init__(self, mapped: Mapping[str, str], policies: Policies = ONE_POLICY) -> None:
        self.names = AT_ONCE | mapped.keys()
        self.policies = policies
        self._mapped = {name: self._policy(name, policy) for name, policy in mapped.items()}
        standard = self._mapped.pop(STANDARD, None)
        self.of_buckets = None if standard is None else standard.index

    def _policy(self, name: str, policy: str) -> StoragePolicy:
        storage_policy = self.policies.by_name(policy)
        if storage_policy is None or storage_policy.deprecated:
            fault = "is missing" if storage_policy is None else "is deprecated"
            raise ConfigError(f"storage_classes: the storage policy {policy!r} of {name} {fault}")
        return storage_policy

    def policy_index(self, name: str | None) -> int | None:
        """Return the index of the policy of a class, None for the bucket's own. name: None for the standard class."""
        storage_policy = self._mapped.get(name or STANDARD)
        return None if storage_policy is None else storage_policy.index


UNMAPPED = StorageClasses({})
