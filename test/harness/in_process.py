"""A small cluster in this process, on real files: four hosts with a device each, two policies, a proxy."""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from objstore.assembly.apps import proxy_app, storage_servers
from objstore.assembly.surroundings import Surroundings, Work
from objstore.cluster.cluster import Transports
from objstore.core.errors import NodeUnreachable
from objstore.core.names import Location, Name
from objstore.core.nodes import Node
from objstore.daemon.runner import Daemon, DaemonPace, Report
from objstore.ring.builder import RingBuilder
from objstore.ring.builder_file import write_ring
from objstore.server.devices import Device
from objstore.web.requests import ENVIRON_KEY
from objstore.web.responses import Answer, call
from objstore.wire.local import LocalTransport
from objstore.wire.messages import NodeRequest, NodeResponse, Upload

PORT = 6200
_CLUSTER = """\
[hash]
prefix = a
[storage-policy:0]
name = gold
default = yes
[storage-policy:1]
name = silver
"""


class Breakable:
    """The in-process transport, with devices that can be down. asked: method, device and name of each request.

    breaks: tells of a device and a request whether that fails.
    """

    def __init__(self, local: LocalTransport) -> None:
        self._local = local
        self.down: set[str] = set()
        self.breaks: Callable[[str, NodeRequest], bool] | None = None
        self.asked: list[tuple[str, str, Any]] = []

    def call(self, node: Node, request: NodeRequest) -> NodeResponse:
        self._note(node, request)
        return self._local.call(node, request)

    def upload(self, node: Node, request: NodeRequest, length: int | None) -> Upload:
        self._note(node, request)
        return self._local.upload(node, request, length)

    def _note(self, node: Node, request: NodeRequest) -> None:
        self.asked.append((request.method, node.device, request.name))
        if node.device in self.down or (self.breaks is not None and self.breaks(node.device, request)):
            raise NodeUnreachable(str(node))


class InProcess:
    """Device `d<n>` is that of host 127.0.0.<n>. conf: further settings of servers and daemons."""

    def __init__(self, root: Path, devices: int = 4, replicas: int = 3, **conf: str) -> None:
        (root / "objstore.conf").write_text(_CLUSTER)
        self.device_names = [f"d{number}" for number in range(1, devices + 1)]
        builder = RingBuilder(4, replicas, 0)
        for number, device in enumerate(self.device_names, 1):
            (root / "devices" / device).mkdir(parents=True)
            builder.add(Node(-1, 1, number, f"127.0.0.{number}", PORT, device, weight=1.0))
        builder.rebalance(time.time(), seed=1)
        for name in ("account", "container", "object", "object-1"):
            write_ring(builder, str(root / f"{name}.ring"))
        known = {"ring_dir": str(root), "devices": str(root / "devices"), "mount_check": "no", "log_to": "none"}
        self.conf = {**known, "allow_account_management": "yes", "post_quorum_timeout": "5", **conf}
        inner = Transports(None)  # type: ignore[arg-type]
        storage = storage_servers(self.conf, inner)
        self.devices = storage.devices
        self.net = Breakable(LocalTransport(storage.by_kind))
        inner.use_local(self.net, frozenset((f"127.0.0.{number}", PORT) for number in range(1, devices + 1)))
        self.transports = Transports(self.net)
        self.proxy = proxy_app(self.conf, self.transports, layers=())  # as daemons use it

    def around(self, *hosts: int, **conf: str) -> Surroundings:
        """What the daemons of these hosts are made from; of all hosts without."""
        numbers = hosts or range(1, len(self.device_names) + 1)
        addresses = frozenset((f"127.0.0.{number}", PORT) for number in numbers)
        logger = logging.getLogger("test.daemon")
        return Surroundings({**self.conf, **conf}, self.devices, self.transports, logger, addresses)

    def __call__(self, method: str, name: Name, body: bytes = b"", query: str = "", **headers: str) -> Answer:
        """A request to the proxy with the system's rights; `X_Delete_At="1"` sets a header."""
        environ = {
            "REQUEST_METHOD": method,
            "PATH_INFO": f"/v1{name.path}",
            "QUERY_STRING": query,
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
            "objstore.preauthorized": True,
        }
        for header, value in headers.items():
            environ[ENVIRON_KEY[header.replace("_", "-")]] = value
        answer = call(self.proxy, environ)
        answer.body = [answer.read()]
        return answer

    def device(self, name: str) -> Device:
        return self.devices.get(name)

    def primaries(self, name: Name, policy: int = 0) -> list[str]:
        return [node.device for node in self.proxy.cluster.place(name, policy).primaries]

    def location(self, name: Name, policy: int = 0) -> Location:
        place = self.proxy.cluster.place(name, policy)
        return Location(place.partition, self.proxy.cluster.salt.hash(name), policy)

    def copies(self, name: Name, policy: int = 0) -> list[str]:
        """The devices that have the object."""
        return [device for device in self.device_names if self._has(device, name, policy)]

    def _has(self, device: str, name: Name, policy: int) -> bool:
        status = self.ask(device, "HEAD", name, policy, X_Backend_Even_Expired="true").status
        assert status in (200, 404)
        return status == 200

    def ask(
        self, device: str, method: str, name: Name, policy: int = 0, body: bytes = b"", query: str = "", **headers: str
    ) -> NodeResponse:
        """A request to one device."""
        sent = {key.replace("_", "-"): value for key, value in headers.items()}
        if policy:
            sent["X-Backend-Storage-Policy-Index"] = str(policy)
        node = Node(0, 1, 1, f"127.0.0.{device[1:]}", PORT, device)
        location = self.location(name, policy)
        return self.transports.call(node, NodeRequest(method, location.partition, name, sent, query, body))

    def rows(self, container: Name) -> list[list[str]]:
        """What each primary of a container lists by itself."""
        listed = []
        for device in self.primaries(container):
            answer = self.ask(device, "GET", container, X_Backend_Allow_Reserved_Names="true")
            text = answer.read().decode()
            listed.append(sorted(part.split('"')[0] for part in text.split('"name":"')[1:]) if answer.ok else [])
        return listed


def run_pass(work: Work, concurrency: int = 4) -> Report:
    """One pass of a daemon; nothing of it may fail."""
    daemon = Daemon("test", work.begin_pass, DaemonPace(1.0, concurrency=concurrency), logging.getLogger("test.daemon"))
    report = daemon.run_once()
    assert not report.failed
    return report
