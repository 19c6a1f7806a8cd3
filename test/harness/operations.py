"""What an operator does to a running cluster, by the commands for it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from harness import rings
from harness.cluster import Cluster
from harness.processes import command, run

LOADED = 2.5  # seconds after which all processes have a new ring
_WARNING = 1  # exit status


def drain(cluster: Cluster, host: int, *options: str) -> None:
    """All devices of a host, however short ago rings were changed. options: --back."""
    for builder in (path for paths in rings.builders(cluster).values() for path in paths):
        run("ring", "pretend-min-part-hours-passed", str(builder))
    arguments = command("drain", f"127.0.0.{host}", "--ring-dir", str(cluster.etc), *options)
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode <= _WARNING, f"{arguments}: {done.stdout}{done.stderr}"


def take_out(cluster: Cluster, host: int, device: str) -> Callable[[], None]:
    """A disk; what takes it in again is given back."""
    devices = ("--devices", str(cluster.devices(host)))
    run("disk", "out", device, "--why", "a test", *devices)
    return lambda: run("disk", "in", device, *devices) and None


def limit_packing(cluster: Cluster, host: int, limit: str, killed_after: float | None = None) -> Callable[[], None]:
    """Another `packed_limit` for a host, whose larger objects leave its volumes while it serves. All others get it with
    their next start. What undoes it is given back; the daemon then packs what is small enough.

    killed_after: seconds after which the command is killed.
    """

    def restart(value: str) -> None:
        cluster.set_in_policies("packed_limit", value)
        server = cluster.servers["object", host]
        if server.running:  # else it is away, and is started by whoever ended it
            server.stop()
            server.start()
            server.wait_ready()

    restart(limit)
    arguments = command("pack", "--unpack", "--devices", str(cluster.devices(host)), "--ring-dir", str(cluster.etc))
    with suppress(subprocess.TimeoutExpired):  # the program is killed by then
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=killed_after or 120, check=False)
        assert "Traceback" not in done.stderr, f"{arguments}: {done.stdout}{done.stderr}"
    return lambda: restart(cluster.packed_limit)


def double(cluster: Cluster, builder: Path, cancelled: bool, killed_after: float | None = None) -> None:
    """Twice as many partitions, or all the way to the last step but one, and back.

    killed_after: seconds after which the relinker of each host is killed, and then started again.
    """

    def ring(verb: str) -> None:
        run("ring", verb, str(builder))
        time.sleep(LOADED)

    def relink(*options: str) -> None:
        for host in cluster.hosts:
            arguments = ("relink", "--devices", str(cluster.devices(host)), "--ring-dir", str(cluster.etc), *options)
            if killed_after is not None:
                with suppress(subprocess.TimeoutExpired):  # the program is killed by then
                    subprocess.run(command(*arguments), capture_output=True, timeout=killed_after, check=False)
            run(*arguments)

    ring("prepare-increase")
    relink()
    ring("cancel-increase" if cancelled else "increase")
    relink("--cleanup")
    ring("finish-increase")
