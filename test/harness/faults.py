"""What can be done to a running cluster, and undone: each function hurts it, and gives back what mends it."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from random import Random

from harness.cluster import Cluster, Server
from harness.hosts import PROXY, Network, between
from harness.processes import send
from harness.relay import Rule

Mend = Callable[[], None]


def _nothing() -> None:
    pass


# Processes


def kill(*servers: Server) -> Mend:
    for server in servers:
        server.kill()
    return lambda: restart(*servers)


def stop(*servers: Server) -> Mend:
    for server in servers:
        server.stop()
    return lambda: restart(*servers)


def restart(*servers: Server) -> None:
    for server in servers:
        if not server.running:
            server.start()
    for server in servers:
        server.wait_ready()


def pause(*servers: Server) -> Mend:
    for server in servers:
        server.pause()

    def resume() -> None:
        for server in servers:
            server.resume()

    return resume


def kill_daemons(server: Server) -> Mend:
    """In the middle of whatever they do; their supervisor starts them again."""
    for process in server.daemons():
        send(process, signal.SIGKILL)
    return _nothing


def kill_worker(server: Server, chance: Random) -> Mend:
    """One of a server's processes; its supervisor starts another."""
    children = server.tree()[1:]
    if children:
        send(chance.choice(children), signal.SIGKILL)
    return _nothing


# Devices


def unmount(cluster: Cluster, host: int, device: str = "d1") -> Mend:
    """The device is not there, and comes back with all that was on it."""
    path = cluster.devices(host) / device
    away = cluster.directory / f"unmounted-{host}-{device}"
    path.rename(away)
    return lambda: away.rename(path)


def lose(cluster: Cluster, host: int, device: str = "d1") -> Path:
    """The device is replaced by an empty one. The old one's place."""
    path = cluster.devices(host) / device
    away = cluster.directory / f"lost-{host}-{device}-{len(list(cluster.directory.glob('lost-*')))}"
    path.rename(away)
    path.mkdir()
    return away


def can_be_read_only(server: Server) -> bool:
    """Do the permissions of files hold for a server? Not for root's that could not give up its rights."""
    if os.geteuid() != 0:
        return True
    status = Path(f"/proc/{server.pid}/status").read_text()
    effective = next(line for line in status.splitlines() if line.startswith("CapEff"))
    return not int(effective.split()[1], 16) & 1 << 1  # CAP_DAC_OVERRIDE


def make_read_only(cluster: Cluster, host: int, device: str = "d1") -> Mend:
    """Nothing can be made, changed or removed on the device, but for what is open already."""
    changed: dict[Path, int] = {}
    for directory, _, files in os.walk(cluster.devices(host) / device):
        for path in (Path(directory), *(Path(directory) / name for name in files)):
            with suppress(FileNotFoundError):
                mode = path.stat().st_mode & 0o7777
                path.chmod(mode & ~0o222)
                changed[path] = mode

    def mend() -> None:
        for path, mode in changed.items():
            with suppress(FileNotFoundError):
                path.chmod(mode)

    return mend


def fill(cluster: Cluster, host: int) -> Mend:
    """The host's devices say that they have no room."""
    cluster.states[host].set_full(True)
    return lambda: cluster.states[host].set_full(False)


# Bytes


def flip(path: Path, position: int) -> None:
    """Change one bit of a file in its place."""
    with open(path, "r+b") as file:
        file.seek(position)
        (byte,) = file.read(1)
        file.seek(position)
        file.write(bytes([byte ^ 1]))


def truncate(path: Path, size: int) -> None:
    os.truncate(path, size)


def corrupt_database(path: Path) -> None:
    """Overwrite all its pages but the first one's header, in the file and what the log has."""
    with suppress(sqlite3.Error):  # so that what is overwritten is what the next reader reads
        connection = sqlite3.connect(path, timeout=5)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
    size = path.stat().st_size
    with open(path, "r+b") as file:
        file.seek(100)
        file.write(b"\xa5" * (size - 100))


# Network and clocks


def address(host: int) -> str:
    """Of a host's connections; 0 stands for the proxy."""
    return f"127.0.0.{host}" if host else PROXY


def _until_mended(network: Network, rules: list[Rule]) -> Mend:
    network.add(*rules)
    return lambda: network.remove(*rules)


def disturb(
    cluster: Cluster, one: Iterable[int], other: Iterable[int], action: str = "hang", value: float = 0.0
) -> Mend:
    """All connections between two sets of hosts (0 is the proxy); actions as in `harness.relay.Rule`."""
    assert cluster.network is not None, "needs a controlled cluster"
    return _until_mended(cluster.network, between(map(address, one), list(map(address, other)), action, value))


def isolate(cluster: Cluster, hosts: Iterable[int], action: str = "hang") -> Mend:
    """Cut hosts off from all others; among themselves they speak."""
    inside = set(hosts)
    return disturb(cluster, inside, {0, *cluster.hosts} - inside, action)


def disturb_server(cluster: Cluster, kind: str, host: int, action: str, value: float = 0.0) -> Mend:
    """All connections to one server."""
    assert cluster.network is not None, "needs a controlled cluster"
    server = cluster.servers[kind, host].address
    return _until_mended(cluster.network, [Rule("*", *server, action, value)])


def set_clock(cluster: Cluster, host: int, ahead: float) -> Mend:
    """Of a host, or (0) of the proxy; seconds."""
    cluster.states[host].set_clock(ahead)
    return lambda: cluster.states[host].set_clock(0.0)
