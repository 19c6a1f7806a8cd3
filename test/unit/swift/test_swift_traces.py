"""The transaction id of a client's request goes with everything that is asked for its sake."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from objstore.assembly.apps import proxy_app, storage_servers
from objstore.assembly.data_dir import LOCAL_ADDRESSES, DataDir, prepare
from objstore.cluster.cluster import Transports
from objstore.web.requests import ENVIRON_KEY
from objstore.web.responses import call
from objstore.wire.local import LocalTransport

Ask = Callable[..., int]


class Watched:
    """A transport that keeps (method, path, transaction id) of what goes through it."""

    def __init__(self, transport: LocalTransport) -> None:
        self._transport = transport
        self.seen: list[tuple[str, str, str]] = []

    def _note(self, request: Any) -> None:
        self.seen.append((request.method, request.name.path, request.headers.get("X-Trans-Id", "")))

    def call(self, node: Any, request: Any) -> Any:
        self._note(request)
        return self._transport.call(node, request)

    def upload(self, node: Any, request: Any, length: int | None) -> Any:
        self._note(request)
        return self._transport.upload(node, request, length)


class Store:
    def __init__(self, directory: Path) -> None:
        data = DataDir(str(directory))
        prepare(data, 3, 3)
        conf = {"ring_dir": data.etc, "devices": data.devices, "mount_check": "no", "log_to": "none"}
        transports = Transports(None)  # type: ignore[arg-type]
        apps = storage_servers(conf, transports)
        local = LocalTransport(apps.by_kind)
        self.transport = Watched(local)
        transports.use_local(self.transport, LOCAL_ADDRESSES)
        self._proxy = proxy_app(conf | {"allow_account_management": "yes"}, transports)

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> int:
        environ = {
            "REQUEST_METHOD": method,
            "PATH_INFO": f"/v1/AUTH_t{path}",
            "QUERY_STRING": "",
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
            "HTTP_X_TRANS_ID": "tx42",
            "objstore.cache": None,
            "objstore.preauthorized": True,
            "objstore.owner": True,
        }
        for header, value in headers.items():
            environ[ENVIRON_KEY[header.replace("_", "-")]] = value
        answer = call(self._proxy, environ)
        answer.read()
        return int(answer.status)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_all_servers_are_told_whose_request_it_is(store: Store) -> None:
    for method, path, headers in (
        ("PUT", "/c", {}),
        ("POST", "/c", {"X_Container_Meta_A": "b"}),
        ("POST", "", {"X_Account_Meta_A": "b"}),
        ("PUT", "/c/o", {"X_Delete_After": "1000"}),
        ("PUT", "/c/o", {"If_None_Match": "*"}),
        ("PUT", "/c/new", {"If_None_Match": "*"}),
        ("POST", "/c/o", {"X_Object_Meta_A": "b"}),
        ("GET", "/c/o", {}),
        ("HEAD", "/c/o", {}),
        ("GET", "/c", {}),
        ("GET", "", {}),
        ("DELETE", "/c/o", {}),
        ("DELETE", "/c/new", {}),
        ("DELETE", "/c", {}),
    ):
        status = store.ask(method, path, **headers)
        assert status < 300 or headers.get("If_None_Match"), (method, path, status)
    kinds = {(method, name.count("/")) for method, name, _ in store.transport.seen}
    # To objects, from them to containers, from these to accounts; and a lease.
    assert kinds >= {("PUT", 3), ("POST", 2), ("POST", 1), ("PUT", 1), ("LOCK", 3), ("DELETE", 3), ("GET", 1)}
    assert [one for one in store.transport.seen if one[2] != "tx42"] == []
