"""A cluster of real processes on one machine: hosts 127.0.0.1 and on, each with its servers, and a proxy."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from harness.client import Client, log_in
from harness.commands import invoke
from harness.copies import Copy, copy_of
from harness.hosts import PROXY, RELAY_OFFSET, Network, State, environment
from harness.processes import READY_SECONDS, Program, find, kill, obey_permissions, run, stop, wait_until
from objstore.cli.locate import locate

BIN = Path(__file__).parents[2] / "bin"
KINDS = ("object", "container", "account")  # in the order of their ports
PART_POWER = 6  # each partition costs its hosts some requests a second, at these intervals

# So that a test need not wait for what happens every half minute or every day, and the machine carries the processes.
_ALL = "ring_check_interval = 1\n"
_STORAGE = _ALL + "workers = 1\ndaemon_processes = 1\nupdate_timeout = 1\n"
SETTINGS = {
    "proxy": _ALL + "node_timeout = 3\nerror_suppression_interval = 2\nworkers = 2\n",
    "object": _STORAGE + """\
object_updater_interval = 1
object_replicator_interval = 1
object_replicator_timeout = 5
object_replicator_peer_pause = 2
object_auditor_interval = 1
object_auditor_cycle = 10
object_auditor_quick_cycle = 10
object_auditor_files_per_second = 300
object_auditor_quick_files_per_second = 300
dark_objects_interval = 1
dark_objects_cycle = 10
dark_objects_per_second = 100
dark_objects_grace = 5
dark_objects_action = repair
dark_objects_overdue = 3
packing = yes
object_packer_interval = 1
object_packer_cycle = 10
object_compactor_interval = 1
object_compactor_cycle = 5
packed_dead_share = 0.3
packed_checkpoint_cycle = 5
packed_volume_size = 1M
""",
    "container": _STORAGE + """\
container_updater_interval = 1
container_replicator_interval = 1
container_replicator_load = 1
container_auditor_interval = 1
container_auditor_cycle = 5
container_auditor_databases_per_second = 0
dangling_rows_interval = 1
dangling_rows_cycle = 5
dangling_rows_per_second = 100
dangling_rows_grace = 5
dangling_rows_action = repair
object_expirer_interval = 1
object_expirer_margin = 1
object_expirer_takeover = 3
object_expirer_free_delay = 1
container_reconciler_interval = 1
container_reconciler_takeover = 3
""",
    "account": _STORAGE + """\
account_reaper_interval = 1
account_reaper_takeover = 3
account_replicator_interval = 1
account_replicator_load = 1
account_auditor_interval = 1
account_auditor_cycle = 5
account_auditor_databases_per_second = 0
""",
}  # fmt: skip


class Place(NamedTuple):
    """Where a name is kept. primaries, handoffs: hosts by number. path: below a host's devices."""

    partition: int
    hash: str
    primaries: list[int]
    handoffs: list[int]
    path: str


class Server(Program):
    """One server of one host, which is ready when it answers."""

    def __init__(
        self,
        kind: str,
        arguments: list[str],
        address: tuple[str, int],
        log: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.kind = kind
        self.address = address
        program = [sys.executable, str(BIN / f"objstore-{kind}-server"), *arguments]
        super().__init__([*program, "--bind-ip", address[0], "--bind-port", str(address[1])], log, environment)

    def _begin(self) -> None:
        super()._begin()
        obey_permissions()

    def daemons(self) -> list[psutil.Process]:
        """The process of its daemons, which listens nowhere; none while it is being started."""
        return [child for child in self.tree()[1:] if _is_daemon(child)]

    def wait_ready(self) -> None:
        wait_until(self._answers, f"{self.kind} server at {self.address}")

    def _answers(self) -> bool:
        assert self.running, f"{' '.join(self.arguments)} ended:\n{self.output()}"
        connection = http.client.HTTPConnection(*self.address, timeout=5)
        try:
            connection.request("GET", "/healthcheck")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def _is_daemon(process: psutil.Process) -> bool:
    try:
        return not any(connection.status == "LISTEN" for connection in process.net_connections("tcp"))
    except psutil.NoSuchProcess:
        return False


class Cluster:
    """hosts: how many. Servers are named (kind, host); the proxy by itself.

    devices: of each host, named d1, d2, ... mount_check: they must be mounted. controlled: connections to storage
    servers go through `network`, and `states` (by host, 0 is the proxy's) tell the time. packed_limit: of all policies.
    """

    def __init__(
        self,
        directory: Path,
        hosts: int = 4,
        replicas: int = 3,
        devices: int = 1,
        controlled: bool = False,
        policies: Iterable[str] = (),
        mount_check: bool = False,
        packed_limit: str = "64K",
    ) -> None:
        self.directory = directory
        self.etc = directory / "etc"
        policies = [*policies]
        self.policies = policies or [""]  # names; '' for the default of a cluster without any
        self.hosts = range(1, hosts + 1)
        self.device_names = [f"d{number}" for number in range(1, devices + 1)]
        self.states = {host: State(directory / f"state{host}") for host in (0, *self.hosts)} if controlled else {}
        self.network = Network(directory / "relay") if controlled else None
        self.damaged: set[str] = set()  # hashes of names whose copies a test damaged, and that may be quarantined
        # What was looked at before, for `harness.survey` and `harness.invariants`.
        self.seen: dict[str, tuple[object, Any]] = {}
        self.sound: set[tuple[str, int, int]] = set()
        self.port = _free_port(hosts)
        addresses = [part for host in self.hosts for part in ("--host", f"127.0.0.{host}:{self.port}")]
        options = ("--replicas", str(replicas), "--part-power", str(PART_POWER))
        options += ("--mount-check" if mount_check else "--no-mount-check",)
        options += ("--devices-per-host", str(devices))
        options += tuple(part for name in policies for part in ("--policy", name))
        run("init", str(self.etc), *addresses, *options, "--devices", str(self.devices(1)))
        self.packed_limit = packed_limit
        self.set_in_policies("packed_limit", packed_limit)
        for kind, settings in SETTINGS.items():
            conf = self.etc / f"{kind}-server.conf"
            conf.write_text(conf.read_text().replace("[DEFAULT]\n", f"[DEFAULT]\n{settings}"))
        (directory / "log").mkdir()
        self.servers = {(kind, host): self._storage_server(kind, host) for host in self.hosts for kind in KINDS}
        proxy = ("127.0.0.1", self.port + len(KINDS))
        conf = str(self.etc / "proxy-server.conf")
        self.proxy = Server("proxy", [conf], proxy, directory / "log" / "proxy", self._environment(0, PROXY))
        for host in self.hosts:
            for device in self.device_names:
                (self.devices(host) / device).mkdir(parents=True)

    def set_in_policies(self, setting: str, value: str) -> None:
        """For servers that are started afterwards."""
        path = self.etc / "objstore.conf"
        conf = re.sub(rf"^{setting} *=.*\n", "", path.read_text(), flags=re.MULTILINE)
        path.write_text(re.sub(r"(\[storage-policy:\d+\]\n)", rf"\g<1>{setting} = {value}\n", conf))

    def devices(self, host: int) -> Path:
        return self.directory / f"host{host}"

    def _storage_server(self, kind: str, host: int) -> Server:
        address = (f"127.0.0.{host}", self.port + KINDS.index(kind))
        arguments = [str(self.etc / f"{kind}-server.conf"), "--devices", str(self.devices(host))]
        log = self.directory / "log" / f"{kind}{host}"
        return Server(kind, arguments, address, log, self._environment(host, address[0]))

    def _environment(self, host: int, source: str) -> dict[str, str] | None:
        if self.network is None:
            return None
        return environment(self.states[host], source, (self.port, self.port + len(KINDS) - 1))

    def add_host(self) -> int:
        """One more host with its servers, which no ring knows yet. Its number."""
        host = self.hosts[-1] + 1
        self.hosts = range(1, host + 1)
        for device in self.device_names:
            (self.devices(host) / device).mkdir(parents=True)
        if self.network is not None:
            self.states[host] = State(self.directory / f"state{host}")
        for kind in KINDS:
            self.servers[kind, host] = self._storage_server(kind, host)
        if self.network is not None:
            self.network.serve(server.address for server in self.host(host))
        self.start()
        return host

    @property
    def endpoint(self) -> str:
        return f"http://{self.proxy.address[0]}:{self.proxy.address[1]}"

    @property
    def programs(self) -> list[Server]:
        return [*self.servers.values(), self.proxy]

    def start(self) -> None:
        """Start what does not run, and wait until all of it answers."""
        if self.network is not None and not self.network.running:
            self.network.start(server.address for server in self.servers.values())
        for program in self.programs:
            if not program.running:
                program.start()
        for program in self.programs:
            program.wait_ready()

    def mend(self) -> None:
        """All servers run and answer again, whatever was done to them, the network passes all, and clocks are right."""
        if self.network is not None:
            self.network.mend()
        for state in self.states.values():
            state.mend()
        for program in self.programs:
            program.resume()
        self.start()

    def stop(self) -> None:
        stop(self.programs)
        if self.network is not None:
            self.network.stop()

    def kill(self) -> None:
        """End all processes at once, without warning."""
        kill(self.programs)

    def host(self, number: int) -> list[Server]:
        return [server for (_, host), server in self.servers.items() if host == number]

    def client(self) -> Client:
        """The first user, in its own account."""
        ((name, user),) = json.loads((self.etc / "users.json").read_text())["users"].items()
        return log_in(self.endpoint, name, user["key"])

    def locate(self, *name: str) -> Place:
        """Where an account, container or object is kept."""
        text = invoke(locate, "--ring-dir", str(self.etc), "--devices", "", "--all", *name)
        (partition,) = re.findall(r"^partition +(\d+)$", text, re.MULTILINE)
        (name_hash,) = re.findall(r"^hash +(\w+)$", text, re.MULTILINE)
        kind = ("accounts", "containers", "objects")[len(name) - 1]

        def hosts(role: str) -> list[int]:
            return [int(host) for host in re.findall(rf"^{role} .* 127\.0\.0\.(\d+):", text, re.MULTILINE)]

        path = f"d1/{kind}/{partition}/{name_hash[-3:]}/{name_hash}"
        return Place(int(partition), name_hash, hosts("primary"), hosts("handoff"), path)

    def ask(self, kind: str, host: int, method: str, target: str, query: str = "") -> tuple[int, bytes]:
        """Status and body of a storage server's own answer. target: from the device on."""
        connection = http.client.HTTPConnection(*self.servers[kind, host].address, timeout=10)
        try:
            connection.request(method, f"/d1/{target}" + (f"?{query}" if query else ""))
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def rows(self, host: int, account: str, container: str) -> list[str]:
        """What a container server lists by itself; the container is to have simple names."""
        partition = self.locate(account, container).partition
        status, body = self.ask("container", host, "GET", f"{partition}/{account}/{container}", "format=json")
        assert status in (200, 204), (status, body)
        return [row["name"] for row in json.loads(body)]

    def spooled(self) -> list[Path]:
        """Updates that wait for a server."""
        return [path for host in self.hosts for path in find(self.devices(host), "*/async_pending*/*/*")]

    def copies(self, place: Place, policy: int = 0) -> dict[int, Copy]:
        """The object's data by host, on each one's first device."""
        found = {host: copy_of(self.devices(host) / "d1", policy, place.partition, place.hash) for host in self.hosts}
        return {host: copy for host, copy in found.items() if copy is not None}

    def quarantined(self) -> list[Path]:
        return [path for host in self.hosts for path in find(self.devices(host), "*/quarantined/*/*")]


def unsound(roots: Iterable[Path]) -> list[str]:
    """Findings of `objstore info` about the files of objects and volumes that no server has put away meanwhile."""
    found = []
    patterns = ("objects*/*/*/*/*.data", "packed*/volumes/*.volume")
    paths = [str(path) for root in roots for pattern in patterns for path in find(root, pattern)]
    for batch in _batches(paths, 500):
        done = subprocess.run(
            [str(Path(sys.executable).with_name("objstore")), "info", "--json", *batch],
            capture_output=True, text=True, timeout=READY_SECONDS, check=False,
        )  # fmt: skip
        found += [str(one) for one in json.loads(done.stdout) if not one["sound"] and os.path.exists(one["path"])]
    return found


def _batches(items: list[str], size: int) -> Iterator[list[str]]:
    for first in range(0, len(items), size):
        yield items[first : first + size]


def _free_port(hosts: int) -> int:
    """The first of so many ports in a row that are free on all hosts' addresses: for servers, and the relay's."""
    count = RELAY_OFFSET + len(KINDS)
    for port in range(12_000 + 8 * os.getpid() % 18_000, 32_000, 8):  # below those of outgoing connections
        if all(_is_free(f"127.0.0.{host}", port + offset) for host in range(1, hosts + 1) for offset in range(count)):
            return port
    raise AssertionError("no free ports")


def _is_free(ip: str, port: int) -> bool:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((ip, port))
        except OSError:
            return False
        return True
