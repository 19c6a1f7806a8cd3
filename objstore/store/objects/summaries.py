"""Summaries of what a device holds: the hashes by which replicas see whether they hold the same. Pure.

    hash of a suffix       BLAKE2b-128 of the lines `<name hash> <change>` of its changes that count
    hash of a partition    BLAKE2b-128 of the lines `<suffix> <hash>` of its suffixes that hold anything

Lines are in order, joined by newlines; a change is in its text form. Engines of all kinds and versions compute the
same, so that they can replicate one another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from objstore.core.timestamps import TICKS, Timestamp
from objstore.store.change import Change
from objstore.store.objects.liveness import reclaimable


class SuffixSummary(NamedTuple):
    """hash: 32 hex digits, or "" of nothing. oldest: whole seconds of the oldest change that may be reclaimed."""

    hash: str
    oldest: int | None

    def is_before(self, before: Timestamp) -> bool:
        """May there be a change to reclaim from before a timestamp?"""
        return self.oldest is not None and self.oldest * TICKS < before.raw


NOTHING = SuffixSummary("", None)


def of_suffix(changes: Mapping[str, Iterable[Change]]) -> SuffixSummary:
    """changes: by name hash, those that count, in order."""
    lines = [f"{name_hash} {change}" for name_hash, of_name in sorted(changes.items()) for change in of_name]
    ages = (change.timestamp.raw // TICKS for of_name in changes.values() for change in reclaimable(of_name))
    return SuffixSummary(_digest(lines), min(ages, default=None))


def of_partition(suffixes: Mapping[str, SuffixSummary]) -> SuffixSummary:
    lines = [f"{suffix} {summary.hash}" for suffix, summary in sorted(suffixes.items()) if summary.hash]
    ages = (summary.oldest for summary in suffixes.values() if summary.oldest is not None)
    return SuffixSummary(_digest(lines), min(ages, default=None))


def _digest(lines: list[str]) -> str:
    return hashlib.blake2b("\n".join(lines).encode(), digest_size=16).hexdigest() if lines else ""
