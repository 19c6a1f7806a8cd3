"""Power cuts: the disk as it was at an instant, without some of the writes that no flush made durable."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

import pytest
from harness.client import Client
from harness.disks.faulty import copy, read_log, replay, surviving
from harness.invariants import check_cluster
from harness.ledger import ABSENT, Ledger, content

_SECONDS = 8.0  # of writing
_CUTS = 4
_LOSS = (0.0, 0.5, 1.0)  # of writes that no flush made durable
_NAMES = 30


class Change(NamedTuple):
    """One PUT or DELETE (None). ended: when it was acknowledged, None if it was not."""

    name: str
    version: int | None
    began: float
    ended: float | None


def write_for(client: Client, container: str, seconds: float, chance: Random) -> list[Change]:
    changes = []
    end = time.monotonic() + seconds
    for version in itertools.count(1):
        if time.monotonic() > end:
            break
        name = f"object-{chance.randrange(_NAMES)}"
        began = time.monotonic()
        if chance.random() < 0.2:
            answer = client.delete(f"{container}/{name}")
            changes.append(Change(name, None, began, time.monotonic() if answer.status in (204, 404) else None))
        else:
            answer = client.put(f"{container}/{name}", content(name, version))
            changes.append(Change(name, version, began, time.monotonic() if answer.status == 201 else None))
    return changes


def ledger_at(container: str, changes: list[Change], instant: float) -> Ledger:
    """What may be there after a cut at an instant: what was acknowledged before, and what was under way."""
    ledger = Ledger(container)
    for change in changes:
        if change.ended is not None and change.ended <= instant:
            ledger.acknowledged(change.name, change.version)
        elif change.began <= instant:
            ledger.attempt(change.name, change.version)
    return ledger


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs"])
def test_nothing_acknowledged_is_lost_by_a_power_cut(make_hosts: Callable[..., Any], tmp_path: Any, kind: str) -> None:
    """One replica on one disk: there is nobody to learn from."""
    seed = time.time_ns() % 1_000_000
    print(f"seed {seed}")
    chance = Random(seed)
    hosts = make_hosts(kind, replicas=1)
    cluster, disk = hosts.cluster, hosts.disks[1]
    client = cluster.client()
    assert client.put("probe").status == 201
    disk.sync()
    cluster.stop()
    disk.unmount()
    base = tmp_path / "base"
    copy(disk.image, base)
    disk.set(logging=1)
    disk.mount()
    cluster.start()
    changes = write_for(client, "probe", _SECONDS, chance)
    client.close()
    cluster.kill()
    disk.set(logging=0)
    records = read_log(disk.log)
    acknowledged = [change for change in changes if change.ended is not None]
    assert len(acknowledged) > 20
    first = next(number for number, record in enumerate(records) if record.seconds > acknowledged[10].began)
    log = disk.log
    for number in range(_CUTS):
        cut = chance.randrange(first, len(records))
        instant = records[cut].seconds
        image = tmp_path / f"image{number}"
        replay(base, log, surviving(records, cut, chance, chance.choice(_LOSS)), image)
        hosts.insert(1, kind, image)
        cluster.seen.clear()
        cluster.sound.clear()
        cluster.start()
        ledger = ledger_at("probe", changes, instant)
        assert any(versions != [ABSENT] for versions in ledger.possible.values())
        check_cluster(cluster, ledger, seed=f"{seed}, cut {number} before record {cut} of {len(records)}")
        cluster.kill()
