"""Quotas of containers and accounts: the headers that set them, and the decision about a write. Pure functions.

A write is granted if what is *settled* (in the listing) and *open* (reserved by writes that are being committed) stays
within each limit that it brings closer. A write that needs no more room than the object it replaces is always granted.
A write that would fit if the open ones failed has to wait until they have ended.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from objstore.core.errors import InvalidInput
from objstore.core.numbers import whole

CONTAINER_BYTES = "X-Container-Meta-Quota-Bytes"
CONTAINER_COUNT = "X-Container-Meta-Quota-Count"
ACCOUNT_BYTES = "X-Account-Quota-Bytes"
ACCOUNT_COUNT = "X-Account-Quota-Count"
LEGACY_BYTES = "X-Account-Meta-Quota-Bytes"  # the name of ACCOUNT_BYTES in old clients
POLICY_BYTES = f"{ACCOUNT_BYTES}-Policy-"  # with the name of a storage policy
POLICY_COUNT = f"{ACCOUNT_COUNT}-Policy-"
STORED = "X-Account-Sysmeta-Quota-"  # `Bytes`, `Count`, `Bytes-Policy-0` by the index of the policy
_SYSMETA = "quota-"  # how such names begin in `web.infos.AccountInfo.sysmeta`
_STORED_NAME = re.compile(r"(Bytes|Count)(?:-Policy-([0-9]{1,9}))?\Z")

GRANTED = "granted"
WAIT = "wait"
EXCEEDED = "exceeded"
POLICY_EXCEEDED = "policy exceeded"
VERDICTS = (GRANTED, WAIT, POLICY_EXCEEDED, EXCEEDED)  # the later ones decide


class Amount(NamedTuple):
    """objects: a number of them. size: their bytes."""

    objects: int = 0
    size: int = 0

    def plus(self, other: Amount, sign: int = 1) -> Amount:
        return Amount(self.objects + sign * other.objects, self.size + sign * other.size)


NOTHING = Amount()


class Quota(NamedTuple):
    """A limit. policy: the index of the storage policy whose containers it is about, None for all."""

    objects: int | None = None
    size: int | None = None
    policy: int | None = None


class Use(NamedTuple):
    """The use of what a quota is about. opened: by open reservations, beside what is settled."""

    settled: Amount = NOTHING
    opened: Amount = NOTHING


class RoomNeeded(NamedTuple):
    """The room that a write needs, beside the open ones, and alone (if all of these failed)."""

    beside: Amount
    alone: Amount


class Write(NamedTuple):
    """An open write of a name: what the name will be, and what it replaces."""

    new: Amount
    old: Amount


def is_limit(text: str) -> bool:
    """Return whether a text is a valid limit; '' removes one."""
    return not text or whole(text) is not None


def check_container(headers: Mapping[str, str]) -> None:
    """Check the quotas that a change of a container sets. Raises InvalidInput with Swift's text."""
    if not is_limit(headers.get(CONTAINER_BYTES, "")):
        raise InvalidInput("Invalid bytes quota.")
    if not is_limit(headers.get(CONTAINER_COUNT, "")):
        raise InvalidInput("Invalid count quota.")


def of_container(metadata: Mapping[str, str]) -> tuple[Quota, ...]:
    """Return the quotas of a container. metadata: by header names."""
    quota = Quota(whole(metadata.get(CONTAINER_COUNT, "")), whole(metadata.get(CONTAINER_BYTES, "")))
    return () if quota == Quota() else (quota,)


def of_account(metadata: Mapping[str, str]) -> tuple[Quota, ...]:
    """Return the quotas of an account, that of all policies first."""
    by_policy: dict[int | None, Quota] = {}
    for name, value in metadata.items():
        parsed = _STORED_NAME.match(name[len(STORED) :]) if name.startswith(STORED) else None
        limit = whole(value)
        if parsed is None or limit is None:
            continue
        policy = None if parsed[2] is None else int(parsed[2])
        quota = by_policy.get(policy, Quota(policy=policy))
        by_policy[policy] = quota._replace(size=limit) if parsed[1] == "Bytes" else quota._replace(objects=limit)
    return tuple(by_policy[policy] for policy in sorted(by_policy, key=lambda index: (index is not None, index or 0)))


def container_has(meta: Mapping[str, str]) -> bool:
    """Return whether a container has a quota. meta: as in `web.infos.ContainerInfo`."""
    return bool(meta.get("quota-bytes") or meta.get("quota-count"))


def account_has(sysmeta: Mapping[str, str]) -> bool:
    """Return whether an account has a quota. sysmeta: as in `web.infos.AccountInfo`."""
    return bool(sysmeta) and any(name.startswith(_SYSMETA) for name in sysmeta)


def room(writes: Iterable[Write]) -> Amount:
    """Return the room that open writes of one name need, of which any may be the last.

    Each may have been made already and be the one that another replaces, so that of several the least old one counts.
    """
    writes = list(writes)
    olds = [write.old for write in writes]
    if len(writes) > 1:
        olds += [write.new for write in writes]
    if not writes:
        return NOTHING
    objects = max(write.new.objects for write in writes) - min(old.objects for old in olds)
    size = max(write.new.size for write in writes) - min(old.size for old in olds)
    return Amount(max(0, objects), max(0, size))


def verdict(quota: Quota, use: Use, need: RoomNeeded) -> str:
    """Return the verdict of one quota on a write."""
    verdicts = [
        _verdict(limit, settled, opened, beside, alone)
        for limit, settled, opened, beside, alone in zip(
            quota[:2], use.settled, use.opened, need.beside, need.alone, strict=True
        )
        if limit is not None
    ]
    worst = max(verdicts, key=VERDICTS.index, default=GRANTED)
    return POLICY_EXCEEDED if worst == EXCEEDED and quota.policy is not None else worst


def _verdict(limit: int, settled: int, opened: int, beside: int, alone: int) -> str:
    if beside <= 0 or settled + opened + beside <= limit:
        return GRANTED
    return WAIT if alone <= 0 or settled + alone <= limit else EXCEEDED


def worst(verdicts: Iterable[str]) -> str:
    return max(verdicts, key=VERDICTS.index, default=GRANTED)
