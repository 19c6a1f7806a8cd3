"""Hurts a cluster at random, under load, for as long as asked, and then holds it to what it promised.

    python -m harness.driver --seconds 600 --seed 7        (from `test`; or `make torture SECONDS=600 SEED=7`)

The seed decides which faults come, where and for how long; what the load does meanwhile differs from run to run.

A run may last for hours: it writes to a bounded number of names, judges the history of a contended name each minute,
and cuts the logs of servers. Its last line is `seed N: F faults, A acknowledged, L lost`. Exit status: 0 if all of it
held, 1 if not, 3 if all held but a history was not decided.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from harness import ledger as ledgers
from harness.client import Client
from harness.cluster import Cluster
from harness.contention import Rounds, meanwhile
from harness.invariants import check_cluster
from harness.ledger import Ledger, load
from harness.linearizable import SECONDS, Verdict
from harness.random_faults import FAULTS, LONG, WHILE_SETTLING, Begun, Scene, kind_of
from harness.s3 import boto_client
from harness.tally import Tally
from harness.workloads import Buckets, Containers, Expiring, Metadata, Workload, at_work

Told = Callable[[str], None]

_MAX_AT_ONCE = 3
_LONG = (8.0, 20.0)  # seconds of what is done in `LONG`
_REST = (0.2, 2.0)  # seconds between the beginnings of faults
_LAST_ROUND = 300 + 2 * SECONDS  # seconds in which clients end and a history is judged
_LOOK_AT_DISK = 15.0  # seconds between looks at logs and free space
_MAX_LOG = 20_000_000
_LEAST_FREE = 1 << 30
_NOT_DECIDED = 3  # exit status


class Driver:
    """Begins and ends faults. told: called with each line of the log."""

    def __init__(self, cluster: Cluster, seed: int, told: Callable[[str], None] = print) -> None:
        chance = Random(seed)
        self.seed = seed
        self.scene = Scene(cluster, chance, chance.choice(cluster.hosts), chance.random() < 0.5)
        self._told = told
        self._started = time.monotonic()
        self._looked_at_disk = 0.0
        self._under_way: list[tuple[float, Begun]] = []
        self.done: Counter[str] = Counter()  # by what was done

    def run(self, seconds: float, failed: Sequence[BaseException] = ()) -> None:
        """Do and undo faults for so long, or until something has failed, then mend all."""
        storms = "storms" if self.scene.storms else "no storms"
        self._tell(f"seed {self.seed}: {seconds:g} s, {storms}, data are destroyed on host {self.scene.victim}")
        self._started = time.monotonic()
        self._looked_at_disk = 0.0
        chance = self.scene.chance
        try:
            while (now := self._now()) < seconds and not failed:
                self._end(now)
                self._keep_to_the_disk(now)
                if len(self._under_way) < _MAX_AT_ONCE:
                    (begin,) = chance.choices([*FAULTS], [*FAULTS.values()])
                    lasts = chance.uniform(*(_LONG if begin in LONG else (0.5, 6)))
                    late = begin in LONG and seconds - now < lasts  # would but lengthen the run
                    begun = None if late else begin(self.scene)
                    if begun is not None:
                        self._tell(f"{begun.told}, for {lasts:.1f} s")
                        self._under_way.append((now + lasts, begun))
                        self.done[kind_of(begun.told)] += 1
                        if begun.host is not None:
                            self.scene.away.append(begun.host)
                time.sleep(min(chance.uniform(*_REST), max(0.0, seconds - self._now())))
        finally:
            self._end(float("inf"))
            self.scene.cluster.mend()
            self._tell("mended")

    def _end(self, now: float) -> None:
        """Undo what has lasted long enough."""
        for due, begun in [one for one in self._under_way if one[0] <= now]:
            self._under_way.remove((due, begun))
            begun.mend()
            self._tell(f"  over: {begun.told}")
            if begun.host is not None:
                self.scene.away.remove(begun.host)

    def _keep_to_the_disk(self, now: float) -> None:
        """Cut logs that have grown long. Raises AssertionError if the disk gets full all the same."""
        if now < self._looked_at_disk + _LOOK_AT_DISK:
            return
        self._looked_at_disk = now
        cut_logs(self.scene.cluster.directory / "log")
        free = shutil.disk_usage(self.scene.cluster.directory).free
        assert free > _LEAST_FREE, f"the run was ended: {free >> 20} MB are free at {self.scene.cluster.directory}"

    def _now(self) -> float:
        return time.monotonic() - self._started

    def _tell(self, text: str) -> None:
        self._told(f"{self._now():7.2f} s  {text}")


def cut_logs(directory: Path, limit: int = _MAX_LOG) -> None:
    """Keep the last half of each file that is longer than a limit. Programs append to them meanwhile."""
    for path in directory.iterdir():
        if path.stat().st_size > limit:
            with open(path, "r+b") as file:
                file.seek(-limit // 2, os.SEEK_END)
                last = file.read()
                file.truncate(0)
            with open(path, "ab") as file:
                file.write(b"... cut ...\n" + last)


def _hurt_while_settling(scene: Scene, told: Told) -> None:
    """Processes die, just when handoffs are emptied; none stays away."""
    for _ in range(scene.chance.choice([0, 3, 5])):
        time.sleep(scene.chance.uniform(0.2, 1.5))
        begun = scene.chance.choice(WHILE_SETTLING)(scene)
        begun.mend()
        told(f"while settling: {begun.told}")


class Torture:
    """Load, faults, mending, and `check_cluster`; besides, contended names whose histories must be linear."""

    def __init__(self, cluster: Cluster, seed: int, told: Told = print) -> None:
        self._cluster = cluster
        self._seed = seed
        self._told = told
        self._driver = Driver(cluster, seed, told)
        self._client = cluster.client()
        self._name = f"torture-{seed}-{time.time_ns() % 1_000_000}"
        self._tally = Tally()
        self._ledger = Ledger(self._name, tally=self._tally)
        self._workloads = self._make_workloads()
        self._rounds = Rounds(self._make, f"{self._name}-contended/name")
        self._outcome = "did not settle"
        self._passed = False
        for container in (self._name, f"{self._name}-contended"):
            assert self._client.put(container).status == 201

    def _make(self) -> Client:
        return self._client.with_token(self._client.token)

    def _make_workloads(self) -> list[Workload]:
        """Metadata and expiry in each policy; one of containers, one of a bucket."""
        made: list[Workload] = []
        for policy in self._cluster.policies:
            for kind in (Metadata, Expiring):
                container = f"{self._name}-{kind.__name__.lower()}-{policy}"
                headers = {"X-Storage-Policy": policy} if policy else {}
                assert self._client.put(container, headers=headers).status == 201
                made.append(kind(self._make(), container, self._tally, self._seed))
        made.append(Containers(self._make(), f"{self._name}-box", self._tally, self._seed))
        ((user, facts),) = json.loads((self._cluster.etc / "users.json").read_text())["users"].items()
        endpoint, bucket = self._cluster.endpoint, f"{self._name}-bucket"
        made.append(Buckets(lambda: boto_client(endpoint, user, facts["key"]), bucket, self._tally, self._seed))
        return made

    @property
    def undecided(self) -> int:
        """Histories that were not decided."""
        return self._rounds.verdicts[Verdict.UNDECIDED]

    def run(self, seconds: float, settle: float = 90) -> None:
        """Raises AssertionError with what does not hold. settle: seconds in which all must come to rest."""
        try:
            with (
                meanwhile(lambda: self._rounds.run(seconds), self._rounds.stop, _LAST_ROUND),
                load(self._make, self._ledger, writers=3, patient=True, pause=0.03),
                at_work(self._workloads, pause=0.05) as failed,
            ):
                self._driver.run(seconds, failed)
                if failed:
                    raise failed[0]
            _hurt_while_settling(self._driver.scene, self._told)
            started = time.monotonic()
            also = [one.findings for one in self._workloads]
            check_cluster(self._cluster, self._ledger, seed=self._seed, seconds=settle, also=also, told=self._told)
            self._outcome = f"settled in {time.monotonic() - started:.1f} s"
            assert not self._rounds.impossible, "\n".join(self._rounds.impossible)
            self._passed = True
        finally:
            self._report()

    def _report(self) -> None:
        """Log what was done, acknowledged and refused, the verdicts on histories, and the time to settle."""
        done = ", ".join(f"{number} {what}" for what, number in sorted(self._driver.done.items()))
        verdicts = ", ".join(f"{number} {verdict.value}" for verdict, number in self._rounds.verdicts.items())
        for line in (
            f"seed {self._seed}: {done}",
            *self._tally.lines(),
            f"contended: {dict(self._rounds.statuses)}",
            f"{self._outcome}; histories: {verdicts or 'none'}",
        ):
            self._told(line)

    def summary(self) -> str:
        faults = sum(self._driver.done.values())
        acknowledged = sum(self._tally.done.values()) + self._rounds.acknowledged
        return f"seed {self._seed}: {faults} faults, {acknowledged} acknowledged, {self._lost()} lost"

    def _lost(self) -> int | str:
        """Number of acknowledged changes that cannot be read; 0 without a look if `check_cluster` has passed."""
        if self._passed:
            return 0
        try:
            found = ledgers.lost(self._client, self._ledger)
            return len(found) + sum(len(one.findings()) for one in self._workloads)
        except Exception as error:
            return f"unknown ({type(error).__name__})"


def torture(cluster: Cluster, seed: int, seconds: float, told: Told = print, settle: float = 90) -> None:
    """One run, as a test does it: fails if something does not hold."""
    run = Torture(cluster, seed, told)
    try:
        run.run(seconds, settle)
    finally:
        told(run.summary())


def main() -> int:
    parser = argparse.ArgumentParser(description="Hurt a cluster at random, and hold it to what it promised.")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--hosts", type=int, default=4)
    parser.add_argument("--devices", type=int, default=1, help="of each host")
    parser.add_argument("--policy", action="append", default=[], help="name of a storage policy; may be repeated")
    parser.add_argument("--packed-limit", default="64K", help="of all policies, as in objstore.conf; 0: files alone")
    parser.add_argument("--settle", type=float, default=90, help="seconds in which all must come to rest")
    parser.add_argument("--keep", action="store_true", help="leave the cluster's directory for a look")
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="objstore-torture-"))
    cluster = Cluster(
        directory,
        options.hosts,
        devices=options.devices,
        controlled=True,
        policies=options.policy,
        packed_limit=options.packed_limit,
    )
    status, summary = 1, f"seed {options.seed}: did not start"
    try:
        cluster.start()
        run = Torture(cluster, options.seed, lambda line: print(line, flush=True))
        try:
            run.run(options.seconds, options.settle)
            status = _NOT_DECIDED if run.undecided else 0
        finally:
            summary = run.summary()
    except BaseException:
        traceback.print_exc(file=sys.stdout)
        print(f"the servers' logs are in {directory}/log")
        options.keep = True
    finally:
        cluster.stop()
        if not options.keep:
            shutil.rmtree(directory)
        print(summary, flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
