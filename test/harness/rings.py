"""Ring changes under way: what an operator does with `objstore ring`, on all rings of a cluster at once.

All hosts of a test's cluster read their rings from one directory, so that a new ring is everywhere as soon as it is
written; each process takes it within `ring_check_interval`.
"""

from __future__ import annotations

from pathlib import Path

from harness.cluster import KINDS, Cluster
from harness.commands import invoke
from objstore.cli.ring import ring


def builders(cluster: Cluster) -> dict[str, list[Path]]:
    """By kind of server."""
    return {kind: sorted(cluster.etc.glob(f"{kind}*.builder")) for kind in KINDS}


def _change(verb: str, builder: Path, *arguments: str) -> None:
    invoke(ring, verb, str(builder), *arguments)


def rebalance(cluster: Cluster, seed: int = 0) -> None:
    """Make and write new rings, however short ago the last ones were made."""
    for builder in (path for paths in builders(cluster).values() for path in paths):
        _change("pretend-min-part-hours-passed", builder)
        _change("rebalance", builder, "--seed", str(seed))


def set_weight(cluster: Cluster, host: int, weight: float, seed: int = 0) -> None:
    """Of all devices of a host: 0 empties it."""
    for paths in builders(cluster).values():
        for builder in paths:
            _change("set-weight", builder, "--ip", f"127.0.0.{host}", str(weight), "--yes")
    rebalance(cluster, seed)


def add_host(cluster: Cluster, weight: float = 100.0, seed: int = 0) -> int:
    """A new host, started, and in the rings. Its number."""
    host = cluster.add_host()
    for kind, paths in builders(cluster).items():
        port = cluster.servers[kind, host].address[1]
        for builder in paths:
            for device in cluster.device_names:
                _change("add", builder, f"r1z1-127.0.0.{host}:{port}/{device}", str(weight))
    rebalance(cluster, seed)
    return host


def remove_host(cluster: Cluster, host: int, seed: int = 0) -> None:
    """Out of the rings at once, as where it burnt down."""
    for paths in builders(cluster).values():
        for builder in paths:
            _change("remove", builder, "--ip", f"127.0.0.{host}", "--yes")
    rebalance(cluster, seed)
