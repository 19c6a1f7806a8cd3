"""`objstore.conf`: what every process of a cluster must agree on: hash salt, storage policies, limits, ages.

    [hash]
    prefix = <secret>
    suffix = <secret>

    [storage-policy:0]
    name = gold
    default = yes
    packed_limit = 64K

    [limits]
    max_file_size = 5G

    [consistency]
    reclaim_age = 7d

The salt must never change once data is stored.
"""

from __future__ import annotations

import configparser
import os
from dataclasses import dataclass
from typing import NamedTuple

from objstore.core.errors import ConfigError
from objstore.core.limits import DEFAULT_LIMITS, LIMIT_HELP, Limits
from objstore.core.names import HashSalt
from objstore.core.policies import ONE_POLICY, Policies, StoragePolicy
from objstore.runtime import settings
from objstore.runtime.settings import Setting, boolean, choice, duration, setting, size, table, words

FILE_NAME = "objstore.conf"
# Written into the sections of new policies. Without the setting nothing is packed: a policy made before it existed goes
# on as it was until its operator decides.
PACKED_LIMIT_OF_NEW = "64K"
_MAX_PACKED_LIMIT = "16M"


def _packed_limit(text: str) -> int:
    """A size that is small enough: an object that is packed is in memory as a whole while it is written or moved."""
    limit = size(text)
    if limit > size(_MAX_PACKED_LIMIT):
        raise ValueError(f"is more than {_MAX_PACKED_LIMIT}: a packed object is held in memory as a whole")
    return limit


@dataclass(frozen=True)
class HashSettings:
    """The section `hash`."""

    prefix: str = setting(str, "", "secret prefix of every name that is hashed; never change it")
    suffix: str = setting(str, "", "secret suffix of every name that is hashed; never change it")


@dataclass(frozen=True)
class PolicySettings:
    """A section `storage-policy:N`."""

    name: str = setting(str, "", "name of the policy in X-Storage-Policy")
    aliases: tuple[str, ...] = setting(words, "", "additional names")
    default: bool = setting(boolean, "no", "use this policy for containers created without one")
    deprecated: bool = setting(boolean, "no", "refuse new containers in this policy")
    engine: str = setting(choice("file", "memory"), "file", "type of the policy: how objects are stored")
    packed_limit: int = setting(
        _packed_limit, "0", "size of the largest object packed into volumes, up to 16M; 0: none. New policies: 64K"
    )


@dataclass(frozen=True)
class ConsistencySettings:
    """The section `consistency`."""

    reclaim_age: float = setting(duration, "7d", "time to keep tombstones; no host may be away longer")


# The tables of the sections.
HASH = table(HashSettings)
POLICY = table(PolicySettings)
LIMITS = tuple(
    Setting(name, size, str(default), LIMIT_HELP[name]) for name, default in DEFAULT_LIMITS._asdict().items()
)
CONSISTENCY = table(ConsistencySettings)


class ClusterConf(NamedTuple):
    """reclaim_age: in seconds; what was deleted longer ago, and is so everywhere, may be forgotten."""

    salt: HashSalt
    policies: Policies
    limits: Limits
    reclaim_age: float = 7 * 86400.0


def load(directory: str) -> ClusterConf:
    """Read the file in `directory`; raises ConfigError."""
    path = os.path.join(directory, FILE_NAME)
    parser = configparser.ConfigParser(interpolation=None)
    try:
        with open(path) as file:
            parser.read_file(file)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except (configparser.Error, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {' '.join(str(error).split())}") from None
    sections = {name: dict(parser[name]) for name in parser.sections()}
    salt = settings.read(HashSettings, sections.get("hash", {}), path)
    if not salt.prefix and not salt.suffix:
        raise ConfigError(f"{path}: [hash] needs a prefix or a suffix")
    limits = {each.name: each.read(sections.get("limits", {}), path) for each in LIMITS}
    consistency = settings.read(ConsistencySettings, sections.get("consistency", {}), path)
    return ClusterConf(
        HashSalt(salt.prefix.encode(), salt.suffix.encode()),
        _policies(sections, path),
        Limits(**limits),
        consistency.reclaim_age,
    )


def _policies(sections: dict[str, dict[str, str]], path: str) -> Policies:
    found = []
    for section, values in sections.items():
        kind, _, index = section.partition(":")
        if kind != "storage-policy":
            continue
        if not index.isdigit():
            raise ConfigError(f"{path}: [{section}] needs a number as its index")
        policy = settings.read(PolicySettings, values, f"{path} [{section}]")
        found.append(
            StoragePolicy(
                int(index),
                policy.name,
                policy.aliases,
                policy.default,
                policy.deprecated,
                policy.engine,
                policy.packed_limit,
            )
        )
    if not found:
        return ONE_POLICY
    try:
        return Policies(found)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
