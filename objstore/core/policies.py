"""Storage policies: the engine and the ring of a container's objects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from objstore.core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class StoragePolicy:
    """A storage policy. index: 0 for the first; it names the ring file and directory. engine: how objects are
    stored. packed_limit: bytes of the largest object that is packed; 0: none is."""

    index: int
    name: str
    aliases: tuple[str, ...] = ()
    default: bool = False
    deprecated: bool = False
    engine: str = "file"
    packed_limit: int = 0

    @property
    def ring_name(self) -> str:
        """`object` for policy 0, else `object-N`: the stem of its ring file."""
        return ring_name(self.index)


@lru_cache(maxsize=64)
def ring_name(policy_index: int) -> str:
    return f"object-{policy_index}" if policy_index else "object"


def objects_dir(policy_index: int) -> str:
    """The directory of the policy's partitions on a device."""
    return f"objects-{policy_index}" if policy_index else "objects"


def packed_dir(policy_index: int) -> str:
    """The directory of the policy's packed objects on a device."""
    return f"packed-{policy_index}" if policy_index else "packed"


class Policies:
    """All policies of a cluster; exactly one is the default for new containers.

    Raises ConfigError for names or indexes used twice, and for no or several defaults.
    """

    def __init__(self, policies: Iterable[StoragePolicy]) -> None:
        self._by_index: dict[int, StoragePolicy] = {}
        self._by_name: dict[str, StoragePolicy] = {}
        for policy in policies:
            if policy.index in self._by_index or policy.index < 0:
                raise ConfigError(f"storage policy index {policy.index} is used twice or negative")
            self._by_index[policy.index] = policy
            for name in (policy.name, *policy.aliases):
                if not name or name.lower() in self._by_name:
                    raise ConfigError(f"storage policy name {name!r} is empty or used twice")
                self._by_name[name.lower()] = policy
        defaults = [policy for policy in self if policy.default]
        if not defaults and len(self._by_index) == 1:
            defaults = list(self)
        if len(defaults) != 1:
            raise ConfigError(f"one storage policy must be the default, {len(defaults)} are")
        if defaults[0].deprecated:
            raise ConfigError(f"the default storage policy {defaults[0].name!r} is deprecated")
        self.default = defaults[0]

    def __iter__(self) -> Iterator[StoragePolicy]:
        return iter([self._by_index[index] for index in sorted(self._by_index)])

    def get(self, index: int) -> StoragePolicy | None:
        return self._by_index.get(index)

    def by_name(self, name: str) -> StoragePolicy | None:
        """Return the policy with that name or alias; case does not matter."""
        return self._by_name.get(name.lower())


ONE_POLICY = Policies([StoragePolicy(0, "Policy-0", default=True)])
