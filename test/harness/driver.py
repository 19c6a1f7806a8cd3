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
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import NamedTuple

from harness import faults, linearizable, rings
from harness.client import Client
from harness.cluster import KINDS, Cluster
from harness.contention import Mixture, meanwhile
from harness.faults import Mend
from harness.invariants import check_cluster
from harness.ledger import Ledger, load
from objstore.store.objects.layout import is_hash

_MOST_AT_ONCE = 3
_REST = (0.2, 2.0)  # seconds between the beginnings of faults


@dataclass
class Scene:
    """What faults are chosen by, and on. away: hosts that others cannot reach, or that refuse, now."""

    cluster: Cluster
    chance: Random
    victim: int
    storms: bool
    away: list[int] = field(default_factory=list)

    def host(self) -> int | None:
        """One that may go away now."""
        most = 2 if self.storms else 1
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
    if not scene.storms or scene.away:
        return None
    one, other = scene.chance.sample([*scene.cluster.hosts], 2)
    action = scene.chance.choice(["hang", "refuse"])
    return Begun(
        f"network: hosts {one} and {other} cut off ({action})",
        one,
        faults.isolate(scene.cluster, [one, other], action),
    )


def _flip(scene: Scene) -> Begun | None:
    """Bytes of some objects of the victim."""
    root = scene.cluster.devices(scene.victim)
    files = [path for path in root.glob("*/objects*/*/*/*/*.data") if is_hash(path.parent.name)]
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
    databases = sorted(scene.cluster.devices(scene.victim).glob("*/containers/*/*/*/*.db"))
    if scene.victim in scene.away or not databases:
        return None
    path = scene.chance.choice(databases)
    scene.cluster.damaged.add(path.parent.name)
    faults.corrupt_database(path)
    return Begun(f"a container's database damaged on host {scene.victim}", None, lambda: None)


def _change_rings(scene: Scene) -> Begun:
    host, weight = scene.chance.choice(scene.cluster.hosts), scene.chance.choice([50, 100, 150])
    rings.set_weight(scene.cluster, host, weight, seed=scene.chance.randrange(100))
    return Begun(f"rings: weight {weight} for host {host}", None, lambda: None)


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
    _cut_in_two: 1,
    _flip: 2,
    _corrupt_database: 1,
    _change_rings: 1,
}


class Driver:
    """told: called with each line of the log."""

    def __init__(self, cluster: Cluster, seed: int, told: Callable[[str], None] = print) -> None:
        chance = Random(seed)
        self.seed = seed
        self.scene = Scene(cluster, chance, chance.choice(cluster.hosts), chance.random() < 0.5)
        self._told = told
        self._started = time.monotonic()
        self._under_way: list[tuple[float, Begun]] = []

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
                    lasts = chance.uniform(0.5, 6)
                    begun = begin(self.scene)
                    if begun is not None:
                        self._tell(f"{begun.told}, for {lasts:.1f} s")
                        self._under_way.append((now + lasts, begun))
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


def torture(
    cluster: Cluster, seed: int, seconds: float, told: Callable[[str], None] = print, settle: float = 90
) -> None:
    """Load, faults, mending, and `check_cluster`; besides, a contended name whose history must be linear."""
    driver = Driver(cluster, seed, told)
    ledger = Ledger(f"torture-{seed}-{time.time_ns() % 1_000_000}")
    client = cluster.client()
    assert client.put(ledger.container).status == 201
    assert client.put(f"{ledger.container}-contended").status == 201

    def make() -> Client:
        return client.with_token(client.token)

    mixture = Mixture(make, f"{ledger.container}-contended/name", reads=False, plain=False)
    with (
        meanwhile(lambda: mixture.run(clients=3, each=1_000_000, seconds=seconds)),
        load(make, ledger, writers=4, patient=True, pause=0.02),
    ):
        driver.run(seconds)
    told(f"{ledger.count} objects, {len(ledger.failures)} requests failed; contended: {mixture.history.statuses()}")
    started = time.monotonic()
    check_cluster(cluster, ledger, seed=seed, seconds=settle)
    told(f"settled in {time.monotonic() - started:.1f} s")
    linearizable.check(mixture.history)


def main() -> None:
    parser = argparse.ArgumentParser(description="Hurt a cluster at random, and hold it to what it promised.")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--keep", action="store_true", help="leave the cluster's directory for a look")
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="objstore-torture-"))
    cluster = Cluster(directory, controlled=True)
    try:
        cluster.start()
        torture(cluster, options.seed, options.seconds, lambda line: print(line, flush=True))
    except BaseException:
        print(f"seed {options.seed}; what the servers said is in {directory}/log", flush=True)
        options.keep = True
        raise
    finally:
        cluster.stop()
        if not options.keep:
            _remove(directory)


def _remove(directory: Path) -> None:
    import shutil

    shutil.rmtree(directory)


if __name__ == "__main__":
    main()
