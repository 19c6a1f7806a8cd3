"""Faults that a cluster is hurt with at random: how each begins and ends, and how often it comes.

What is asked of the cluster is what doc/failures.md promises, so that faults keep to the other side of it:

- Data are destroyed on one host alone, the *victim*.
- A run has either storms (two hosts away at once, when clients may fail) or a proxy whose clock jumps, never both: a
  write that no two primaries took, by a clock that is behind, may lose to an older one.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

from harness import faults, operations, rings
from harness.cluster import KINDS, Cluster
from harness.faults import Mend
from harness.processes import find
from objstore.core.names import is_hash
from objstore.store.packed.describe import entries_of_names
from objstore.store.packed.volume_directory import volume_name

_MAX_DOUBLED = 2


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


def _flip_packed(scene: Scene) -> Begun | None:
    """Bytes of some packed records of the victim."""
    devices = scene.cluster.devices(scene.victim)
    records = [
        (directory, name_hash, entry.place)
        for directory in find(devices, "*/packed*")
        for name_hash, entries in entries_of_names(str(directory)).items()
        for entry in entries
    ]
    if scene.victim in scene.away or not records:
        return None
    chosen = scene.chance.sample(sorted(records), min(5, len(records)))
    for directory, name_hash, place in chosen:
        volume = directory / "volumes" / volume_name(place.volume)
        with contextlib.suppress(FileNotFoundError):  # compacted meanwhile
            faults.flip(volume, place.position + scene.chance.randrange(place.length))
        scene.cluster.damaged.add(name_hash)
    return Begun(f"{len(chosen)} packed objects damaged on host {scene.victim}", None, lambda: None)


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


def _limit_packing(scene: Scene, host: int) -> Mend:
    """Objects leave volumes, and come back, while they are read and written."""
    limit = scene.chance.choice(["0", "4K"]) if scene.cluster.packed_limit != "0" else "0"
    killed_after = scene.chance.choice([None, scene.chance.uniform(0.3, 2.0)])
    return operations.limit_packing(scene.cluster, host, limit, killed_after)


def _double(scene: Scene) -> Begun | None:
    """The partitions of a policy, twice as many, while processes die and clocks jump; or it is cancelled half-way."""
    if scene.doubling or scene.drained or scene.away or scene.doubled >= _MAX_DOUBLED:
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
    _away("packing limited", _limit_packing): 1,
    _cut_in_two: 1,
    _flip: 2,
    _flip_packed: 2,
    _corrupt_database: 1,
    _change_rings: 1,
    _drain: 0.7,
    _double: 0.7,
}
LONG = {_pause_host, _drain, _double}


def kind_of(told: str) -> str:
    """What was done, without where and how much."""
    return re.sub(r" (of|on|for|before|at) .*| [-+]?\d.*|^\d+ ", "", told)


# For a cluster that is to come to rest: processes die, and none stays away.
def restart(scene: Scene) -> Begun:
    host = scene.chance.choice(scene.cluster.hosts)
    return Begun(f"kill of host {host}", host, faults.kill(*_some_server(scene, host)))


WHILE_SETTLING: list[Callable[[Scene], Begun]] = [_kill_daemons, _kill_daemons, _kill_worker, restart]
