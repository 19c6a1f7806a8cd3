"""Hurts a cluster at random, under load, for as long as asked, and then holds it to what it promised.

    python -m harness.driver --seconds 600 --seed 7        (from `test`; or `make torture SECONDS=600 SEED=7`)

The seed decides which faults come, where and for how long; what the load does meanwhile differs from run to run. What
is asked of the cluster is what doc/failures.md promises, so that the driver keeps to the other side of it:

- Data are destroyed on one host alone, the *victim*.
- A run has either storms (two hosts away at once, when clients may fail) or a proxy whose clock jumps, never both: a
  write that no two primaries took, by a clock that is behind, may lose to an older one.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import NamedTuple

from harness import faults, linearizable, operations, rings
from harness.client import Client
from harness.cluster import KINDS, Cluster
from harness.contention import Mixture, meanwhile
from harness.faults import Mend
from harness.invariants import check_cluster
from harness.ledger import Ledger, load
from harness.processes import find
from harness.s3 import boto_client
from harness.tally import Tally
from harness.workloads import Buckets, Containers, Expiring, Metadata, Workload, at_work
from objstore.store.objects.layout import is_hash

_MOST_AT_ONCE = 3
_MOST_DOUBLED = 2
_LONG = (8.0, 20.0)  # seconds of what is done in `LONG`
_REST = (0.2, 2.0)  # seconds between the beginnings of faults


@dataclass
class Scene:
    """What faults are chosen by, and on.

    away: hosts that others cannot reach, or that refuse, now. doubling: the object ring is in one of the states of
    an increase, when all devices must be there and no ring may be changed.
    """

    cluster: Cluster
    chance: Random
    victim: int
    storms: bool
    away: list[int] = field(default_factory=list)
    doubling: bool = False
    doubled: int = 0  # how often
    drained: bool = False  # is a host

    def host(self) -> int | None:
        """One that may go away now."""
        most = 0 if self.doubling else 2 if self.storms else 1
        here = [host for host in self.cluster.hosts if host not in self.away]
        return self.chance.choice(here) if len(self.away) < most else None


class Begun(NamedTuple):
    """A fault under way: what was done, the host that is away by it (None: none is), how to end it."""

    told: str
    host: int | None
    mend: Mend


Begin = Callable[[Scene], Begun | None]  # None where it cannot be done now


def _away(told: str, begin: Callable[[Scene, int], Mend]) -> Begin:
    """A fault that takes a host away, as far as others can tell."""

    def fault(scene: Scene) -> Begun | None:
        host = scene.host()
        return None if host is None else Begun(f"{told} of host {host}", host, begin(scene, host))

    return fault


def _some_server(scene: Scene, host: int) -> list[faults.Server]:
    """One server of a host, or all."""
    servers = scene.cluster.host(host)
    return servers if scene.chance.random() < 0.3 else [scene.chance.choice(servers)]


def _kill_daemons(scene: Scene) -> Begun:
    server = scene.chance.choice([*scene.cluster.servers.values()])
    return Begun(f"daemons killed: {server.kind} server at {server.address[0]}", None, faults.kill_daemons(server))


def _kill_worker(scene: Scene) -> Begun:
    server = scene.chance.choice(scene.cluster.programs)
    mend = faults.kill_worker(server, scene.chance)
    return Begun(f"a process killed: {server.kind} server at {server.address[0]}", None, mend)


def _kill_proxy(scene: Scene) -> Begun:
    return Begun("the proxy killed", None, faults.kill(scene.cluster.proxy))


def _device(how: Callable[[Cluster, int, str], Mend]) -> Callable[[Scene, int], Mend]:
    return lambda scene, host: how(scene.cluster, host, scene.chance.choice(scene.cluster.device_names))


def _set_clock(scene: Scene) -> Begun:
    host = scene.chance.choice([*scene.cluster.hosts] if scene.storms else [0, *scene.cluster.hosts])
    ahead = scene.chance.choice([-1, 1]) * 10 ** scene.chance.uniform(-2, 1.5)
    return Begun(f"clock of host {host} set {ahead:+.2f} s", None, faults.set_clock(scene.cluster, host, ahead))


def _slow(scene: Scene) -> Begun:
    kind, host = scene.chance.choice([*scene.cluster.servers])
    action, value = scene.chance.choice([("delay", 0.02), ("delay", 0.2), ("repeat", 0.0), ("repeat", 1.0)])
    mend = faults.disturb_server(scene.cluster, kind, host, action, value)
    return Begun(f"network: {action} {value:g} s before the {kind} server of host {host}", None, mend)


def _broken(scene: Scene, host: int) -> Mend:
    """Answers or requests break off."""
    value = scene.chance.choice([-1, 1]) * int(10 ** scene.chance.uniform(2, 6))
    return faults.disturb_server(scene.cluster, scene.chance.choice(KINDS), host, "cut", value)


def _cut_in_two(scene: Scene) -> Begun | None:
    if not scene.storms or scene.away or scene.doubling:
        return None
    one, other = scene.chance.sample([*scene.cluster.hosts], 2)
    action = scene.chance.choice(["hang", "refuse"])
    return Begun(
        f"network: cut in two ({action}) of hosts {one} and {other}",
        one,
        faults.isolate(scene.cluster, [one, other], action),
    )


def _flip(scene: Scene) -> Begun | None:
    """Bytes of some objects of the victim."""
    root = scene.cluster.devices(scene.victim)
    files = [path for path in find(root, "*/objects*/*/*/*/*.data") if is_hash(path.parent.name)]
    if scene.victim in scene.away or not files:
        return None
    chosen = scene.chance.sample(sorted(files), min(5, len(files)))
    for path in chosen:
        try:
            size = path.stat().st_size
            if scene.chance.random() < 0.7:
                faults.flip(path, scene.chance.randrange(size))
            else:
                faults.truncate(path, scene.chance.randrange(size))
        except FileNotFoundError:
            continue  # replaced meanwhile
        scene.cluster.damaged.add(path.parent.name)
    return Begun(f"{len(chosen)} objects damaged on host {scene.victim}", None, lambda: None)


def _corrupt_database(scene: Scene) -> Begun | None:
    databases = sorted(find(scene.cluster.devices(scene.victim), "*/containers/*/*/*/*.db"))
    if scene.victim in scene.away or not databases:
        return None
    path = scene.chance.choice(databases)
    scene.cluster.damaged.add(path.parent.name)
    faults.corrupt_database(path)
    return Begun(f"a container's database damaged on host {scene.victim}", None, lambda: None)


def _change_rings(scene: Scene) -> Begun | None:
    if scene.doubling or scene.drained:
        return None
    host, weight = scene.chance.choice(scene.cluster.hosts), scene.chance.choice([50, 100, 150])
    rings.set_weight(scene.cluster, host, weight, seed=scene.chance.randrange(100))
    return Begun(f"rings: weight {weight} for host {host}", None, lambda: None)


def _drain(scene: Scene) -> Begun | None:
    """A host is emptied by the command for it, and filled again."""
    if scene.doubling or scene.drained:
        return None
    host = scene.chance.choice(scene.cluster.hosts)
    scene.drained = True
    operations.drain(scene.cluster, host)

    def back() -> None:
        operations.drain(scene.cluster, host, "--back")
        scene.drained = False

    return Begun(f"drain of host {host}", None, back)


def _take_out(scene: Scene, host: int) -> Mend:
    return operations.take_out(scene.cluster, host, scene.chance.choice(scene.cluster.device_names))


def _double(scene: Scene) -> Begun | None:
    """The partitions of a policy, twice as many, while processes die and clocks jump; or it is cancelled half-way."""
    if scene.doubling or scene.drained or scene.away or scene.doubled >= _MOST_DOUBLED:
        return None
    builder = scene.chance.choice(sorted(scene.cluster.etc.glob("object*.builder")))
    cancelled = scene.chance.random() < 0.3
    killed_after = scene.chance.choice([None, scene.chance.uniform(0.3, 2.0)])
    scene.doubling = True
    scene.doubled += not cancelled
    finish = in_background(lambda: operations.double(scene.cluster, builder, cancelled, killed_after))

    def mend() -> None:
        finish()
        scene.doubling = False

    return Begun(f"{'cancelled ' if cancelled else ''}doubling of {builder.name}", None, mend)


def in_background(work: Callable[[], None]) -> Callable[[], None]:
    """Begin in another thread; the function given back waits for the end, and raises what was raised."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def finish() -> None:
        thread.join(300)
        assert not thread.is_alive(), "what was begun hangs"
        if failures:
            raise failures[0]

    return finish


_pause_host = _away("long pause", lambda scene, host: faults.pause(*scene.cluster.host(host)))

# How often each comes, against the others.
FAULTS: dict[Begin, float] = {
    _away("kill", lambda scene, host: faults.kill(*_some_server(scene, host))): 3,
    _away("stop", lambda scene, host: faults.stop(*_some_server(scene, host))): 1,
    _away("pause", lambda scene, host: faults.pause(*_some_server(scene, host))): 2,
    _away("network: loss", lambda scene, host: faults.isolate(scene.cluster, [host], "hang")): 2,
    _away("network: refusal", lambda scene, host: faults.isolate(scene.cluster, [host], "refuse")): 1,
    _away("network: breaks", _broken): 2,
    _away("device away", _device(faults.unmount)): 2,
    _away("device read-only", _device(faults.make_read_only)): 1,
    _away("devices full", lambda scene, host: faults.fill(scene.cluster, host)): 1,
    _kill_daemons: 2,
    _kill_worker: 2,
    _kill_proxy: 0.5,
    _set_clock: 2,
    _slow: 2,
    _pause_host: 1,
    _away("disk out", _take_out): 1,
    _cut_in_two: 1,
    _flip: 2,
    _corrupt_database: 1,
    _change_rings: 1,
    _drain: 0.7,
    _double: 0.7,
}
LONG = {_pause_host, _drain, _double}


def _kind(told: str) -> str:
    """What was done, without where and how much."""
    return re.sub(r" (of|on|for|before|at) .*| [-+]?\d.*|^\d+ ", "", told)


class Driver:
    """told: called with each line of the log."""

    def __init__(self, cluster: Cluster, seed: int, told: Callable[[str], None] = print) -> None:
        chance = Random(seed)
        self.seed = seed
        self.scene = Scene(cluster, chance, chance.choice(cluster.hosts), chance.random() < 0.5)
        self._told = told
        self._started = time.monotonic()
        self._under_way: list[tuple[float, Begun]] = []
        self.done: Counter[str] = Counter()  # by what was done

    def run(self, seconds: float) -> None:
        """Do and undo faults for so long, then mend all."""
        storms = "storms" if self.scene.storms else "no storms"
        self._tell(f"seed {self.seed}: {seconds:g} s, {storms}, data are destroyed on host {self.scene.victim}")
        self._started = time.monotonic()
        chance = self.scene.chance
        try:
            while (now := self._now()) < seconds:
                self._end(now)
                if len(self._under_way) < _MOST_AT_ONCE:
                    (begin,) = chance.choices([*FAULTS], [*FAULTS.values()])
                    lasts = chance.uniform(*(_LONG if begin in LONG else (0.5, 6)))
                    late = begin in LONG and seconds - now < lasts  # would but lengthen the run
                    begun = None if late else begin(self.scene)
                    if begun is not None:
                        self._tell(f"{begun.told}, for {lasts:.1f} s")
                        self._under_way.append((now + lasts, begun))
                        self.done[_kind(begun.told)] += 1
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

    def _now(self) -> float:
        return time.monotonic() - self._started

    def _tell(self, text: str) -> None:
        self._told(f"{self._now():7.2f} s  {text}")


def _hurt_while_settling(scene: Scene, told: Callable[[str], None]) -> None:
    """Processes die, just when handoffs are emptied; none stays away."""
    for _ in range(scene.chance.choice([0, 3, 5])):
        time.sleep(scene.chance.uniform(0.2, 1.5))
        begun = scene.chance.choice([_kill_daemons, _kill_daemons, _kill_worker, _restart])(scene)
        begun.mend()
        told(f"while settling: {begun.told}")


def _restart(scene: Scene) -> Begun:
    host = scene.chance.choice(scene.cluster.hosts)
    return Begun(f"kill of host {host}", host, faults.kill(*_some_server(scene, host)))


def torture(
    cluster: Cluster, seed: int, seconds: float, told: Callable[[str], None] = print, settle: float = 90
) -> None:
    """Load, faults, mending, and `check_cluster`; besides, a contended name whose history must be linear.

    What was done, acknowledged and refused, and how long it took to settle, is told in the end, also of a failure.
    """
    driver = Driver(cluster, seed, told)
    tally = Tally()
    name = f"torture-{seed}-{time.time_ns() % 1_000_000}"
    ledger = Ledger(name, tally=tally)
    client = cluster.client()
    workloads = _workloads(cluster, client, name, tally, seed)

    def make() -> Client:
        return client.with_token(client.token)

    for container in (name, f"{name}-contended"):
        assert client.put(container).status == 201
    mixture = Mixture(make, f"{name}-contended/name", reads=False, plain=False)
    outcome = "did not settle"
    try:
        with (
            meanwhile(lambda: mixture.run(clients=3, each=1_000_000, seconds=seconds)),
            load(make, ledger, writers=3, patient=True, pause=0.03),
            at_work(workloads, pause=0.05),
        ):
            driver.run(seconds)
        _hurt_while_settling(driver.scene, told)
        started = time.monotonic()
        also = [one.findings for one in workloads]
        check_cluster(cluster, ledger, seed=seed, seconds=settle, also=also, told=told)
        outcome = f"settled in {time.monotonic() - started:.1f} s"
        linearizable.check(mixture.history)
        outcome += ", with a linear history"
    finally:
        done = ", ".join(f"{number} {what}" for what, number in sorted(driver.done.items()))
        for line in (f"seed {seed}: {done}", *tally.lines(), f"contended: {mixture.history.statuses()}", outcome):
            told(line)


def _workloads(cluster: Cluster, client: Client, name: str, tally: Tally, seed: int) -> list[Workload]:
    """Metadata and expiry in each policy; one of containers, one of a bucket."""

    def make() -> Client:
        return client.with_token(client.token)

    made: list[Workload] = []
    for policy in cluster.policies:
        for kind in (Metadata, Expiring):
            container = f"{name}-{kind.__name__.lower()}-{policy}"
            assert client.put(container, headers={"X-Storage-Policy": policy} if policy else {}).status == 201
            made.append(kind(make(), container, tally, seed))
    made.append(Containers(make(), f"{name}-box", tally, seed))
    ((user, facts),) = json.loads((cluster.etc / "users.json").read_text())["users"].items()
    bucket = f"{name}-bucket"
    made.append(Buckets(lambda: boto_client(cluster.endpoint, user, facts["key"]), bucket, tally, seed))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description="Hurt a cluster at random, and hold it to what it promised.")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--hosts", type=int, default=4)
    parser.add_argument("--devices", type=int, default=1, help="of each host")
    parser.add_argument("--policy", action="append", default=[], help="name of a storage policy; may be repeated")
    parser.add_argument("--settle", type=float, default=90, help="seconds in which all must come to rest")
    parser.add_argument("--keep", action="store_true", help="leave the cluster's directory for a look")
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="objstore-torture-"))
    cluster = Cluster(directory, options.hosts, devices=options.devices, controlled=True, policies=options.policy)
    try:
        cluster.start()
        torture(cluster, options.seed, options.seconds, lambda line: print(line, flush=True), options.settle)
    except BaseException:
        print(f"seed {options.seed}; what the servers said is in {directory}/log", flush=True)
        options.keep = True
        raise
    finally:
        cluster.stop()
        if not options.keep:
            shutil.rmtree(directory)


if __name__ == "__main__":
    main()
