"""The verdict from the answers of several nodes.

A change is acknowledged once a majority of the name's replicas has it on stable storage. Answers are grouped into
classes by their first digit; the class of the majority is the client's answer. If no class has a majority the state is
unknown: 503.
"""

from __future__ import annotations

from collections.abc import Sequence


def quorum_size(replicas: int) -> int:
    """Return the size of a majority of the replicas."""
    return replicas // 2 + 1


def decided(statuses: Sequence[int], replicas: int) -> bool:
    """Return whether no further answer can change the verdict."""
    needed = quorum_size(replicas)
    return len(statuses) >= needed and max(_classes(statuses)) >= needed


def verdict(statuses: Sequence[int], replicas: int) -> int:
    """Return the status for the client: the most frequent one of the majority's class.

    507 if every node that failed was full, 503 if there is no majority.
    """
    if statuses and len(statuses) == replicas == statuses.count(statuses[0]) and statuses[0] < 500:
        return statuses[0]  # as nearly always
    needed = quorum_size(replicas)
    for digit, count in enumerate(_classes(statuses)):
        if count >= needed and digit < 5:
            members = [status for status in statuses if status // 100 == digit]
            return max(sorted(set(members)), key=members.count)
    if statuses and all(status == 507 for status in statuses):
        return 507
    return 503


def _classes(statuses: Sequence[int]) -> list[int]:
    counts = [0] * 6
    for status in statuses:
        counts[min(status // 100, 5)] += 1
    return counts
