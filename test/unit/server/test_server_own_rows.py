"""Rows of containers on the object's own device: without a request, unless the container's server must judge them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from objstore.assembly.apps import storage_servers
from objstore.cluster.cluster import Transports
from objstore.core.names import Name
from objstore.core.nodes import Node
from objstore.core.timestamps import Clock
from objstore.runtime.cluster_conf import FILE_NAME
from objstore.wire.local import LocalTransport
from objstore.wire.messages import NodeRequest, NodeResponse, UpdateTarget

CONTAINER = Name("AUTH_t", "c")
HERE = ("127.0.0.1", 6200)
CLOCK = Clock()


class Host:
    """A host with two devices, whose servers count the rows that come by requests."""

    def __init__(self, root: Path, policy: str) -> None:
        (root / FILE_NAME).write_text(f"[hash]\nprefix = a\n[storage-policy:0]\nname = gold\ndefault = yes\n{policy}\n")
        for device in ("d1", "d2"):
            (root / "devices" / device).mkdir(parents=True)
        conf = {"ring_dir": str(root), "devices": str(root / "devices"), "mount_check": "no", "log_to": "none"}
        transports = Transports(None)  # type: ignore[arg-type]
        self._local = LocalTransport(storage_servers(conf, transports).by_kind)
        self.requests = 0
        transports.use_local(self, frozenset({HERE}))

    def upload(self, node: Node, request: NodeRequest, length: int | None) -> Any:
        raise AssertionError

    def call(self, node: Node, request: NodeRequest) -> NodeResponse:
        self.requests += request.query == "rows=1"
        return self._local.call(node, request)

    def ask(self, method: str, name: Name, device: str = "d1", body: bytes = b"x", **headers: str) -> NodeResponse:
        sent = {header.replace("_", "-"): value for header, value in headers.items()}
        sent.setdefault("X-Timestamp", CLOCK.now().internal)
        return self._local.call(Node(-1, 0, 0, *HERE, device), NodeRequest(method, 3, name, sent, "", body))

    def change(self, method: str, key: str, container_on: str = "d1", **headers: str) -> NodeResponse:
        target = UpdateTarget(CONTAINER, 3, ((1, Node(-1, 0, 0, *HERE, container_on)),)).encode()
        life = "0000000000.00000"
        return self.ask(
            method,
            CONTAINER._replace(object=key),
            X_Backend_Container_Update=target,
            X_Backend_Container_Life=life,
            **headers,
        )

    def listed(self, device: str = "d1") -> list[str]:
        rows = self.ask("GET", CONTAINER, device).read()
        return [row["name"] for row in json.loads(rows)]


@pytest.fixture(params=["", "packed_limit = 64K"], ids=["files", "packed"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Host:
    host = Host(tmp_path, request.param)
    for device in ("d1", "d2"):
        assert host.ask("PUT", CONTAINER, device).status == 201
    return host


def test_once_the_container_was_asked_its_rows_need_no_request(host: Host) -> None:
    for number in range(5):
        answer = host.change("PUT", f"o{number}")
        assert (answer.status, answer.headers["X-Backend-Container-Updated"]) == (201, "1")
    assert host.requests == 1
    assert host.listed() == [f"o{number}" for number in range(5)]
    answer = host.change("DELETE", "o3")
    assert (answer.status, answer.headers["X-Backend-Container-Updated"]) == (204, "1")
    assert host.requests == 1
    assert host.listed() == ["o0", "o1", "o2", "o4"]


def test_a_container_on_another_device_gets_a_request(host: Host) -> None:
    for number in range(3):
        assert host.change("PUT", f"o{number}", "d2").headers["X-Backend-Container-Updated"] == "1"
    assert host.requests == 3
    assert (host.listed(), host.listed("d2")) == ([], ["o0", "o1", "o2"])


def test_a_container_deleted_meanwhile_refuses_the_row(host: Host) -> None:
    host.change("PUT", "o")
    host.change("DELETE", "o")
    assert host.ask("DELETE", CONTAINER).status == 204
    answer = host.change("PUT", "late")
    assert answer.status == 201
    assert answer.headers["X-Backend-Container-Refused"] == "1"


def test_a_change_that_is_refused_leaves_no_row(host: Host) -> None:
    host.change("PUT", "gate")
    host.change("PUT", "o", X_Timestamp="1700000000.00000")
    assert host.change("PUT", "o", X_Timestamp="1600000000.00000").status == 409
    assert host.change("PUT", "never", If_Match='"other"').status == 412
    assert host.listed() == ["gate", "o"]
