"""REPLICATE of accounts and containers: answers to what peers say, and to what no peer should."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from objstore.assembly.apps import storage_servers
from objstore.cluster.cluster import Transports
from objstore.core.names import HashSalt, Location, Name
from objstore.core.timestamps import Timestamp
from objstore.replication import databases as protocol
from objstore.runtime import green
from objstore.server.http_adapter import StorageApp
from objstore.store.databases import ContainerStore, ObjectRow
from objstore.store.databases.status import status_of
from objstore.web.responses import Answer, call

NAME = Name("a", "c")
AT = Location(3, HashSalt(b"a", b"").hash(NAME))
Ask = Callable[..., Answer]


@pytest.fixture
def apps(tmp_path: Path) -> Any:
    (tmp_path / "objstore.conf").write_text("[hash]\nprefix = a\n")
    (tmp_path / "devices" / "d1").mkdir(parents=True)
    conf = {
        "ring_dir": str(tmp_path),
        "devices": str(tmp_path / "devices"),
        "mount_check": "no",
        "log_to": "none",
        "database_replication_concurrency": "1",
        "database_replication_wait": "0.05",
        "database_replication_body": "64K",
    }
    return storage_servers(conf, Transports(None))  # type: ignore[arg-type]


@pytest.fixture
def store(apps: Any) -> ContainerStore:
    store: ContainerStore = apps.devices.get("d1").containers
    store.create(AT, NAME, Timestamp(10), 0, {})
    store.merge_rows(AT, [ObjectRow("o", Timestamp(20), size=5)])
    return store


@pytest.fixture
def ask(apps: Any) -> Ask:
    def ask(query: str = "", body: bytes = b"", path: str = f"/d1/3/{AT.hash}", stream: Any = None) -> Answer:
        environ = {
            "REQUEST_METHOD": "REPLICATE",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": stream or io.BytesIO(body),
        }
        return call(StorageApp(apps.container), environ)

    return ask


def database_state(store: ContainerStore, **changes: Any) -> protocol.Told:
    summary = store.summaries([AT])[AT.hash]
    return protocol.database_state(AT.hash, summary._replace(id="peer", max_row=0))._replace(**changes)


def test_databases_that_differ_are_named(ask: Ask, store: ContainerStore) -> None:
    theirs = [database_state(store), database_state(store, hash="0" * 32)]
    answer = ask(body=protocol.encode_comparison(theirs), path="/d1/3")
    assert answer.status == 200
    assert protocol.decode_differences(answer.read()) == [protocol.Difference("0" * 32)]
    body = protocol.encode_comparison([database_state(store, max_row=7, digest="another")])
    (found,) = protocol.decode_differences(ask(body=body, path="/d1/3").read())
    assert found == protocol.Difference(AT.hash, store.info(AT).id, 0, status=True)


def test_databases_of_no_partition_are_not_compared(ask: Ask, store: ContainerStore) -> None:
    assert ask(body=protocol.encode_comparison([database_state(store)]), path="/d1").status == 400


def test_rows_and_status_are_taken(ask: Ask, store: ContainerStore) -> None:
    line = [0, 0, "new", Timestamp(30).internal, 7, "a/b", "e", None, None, 0]
    output = {"from": "peer", "to": store.info(AT).id, "after": 3, "last": 9, "rows": [line]}
    assert ask("step=rows", json.dumps({**output, "to": "the one before"}).encode()).status == 409
    assert protocol.decode_point(ask("step=rows", json.dumps(output).encode()).read()) == 9
    assert store.info(AT).bytes_used == 12
    theirs = status_of(store.status(AT))._replace(put_timestamp=Timestamp(40), metadata={"k": ("v", Timestamp(5))})
    answer = protocol.decode_status(ask("step=status", protocol.encode_status(theirs)).read())
    assert (answer.put_timestamp, answer.metadata) == (Timestamp(40), {"k": ("v", Timestamp(5))})


@pytest.mark.parametrize(
    ("query", "body", "status"),
    [
        ("", b"[]", 400),
        ("step=dance", b"", 400),
        ("step=rows", b"{}", 400),
        ("step=rows", b'{"from": "p", "to": "x", "after": 0, "last": 1, "rows": [[1]]}', 400),
        (
            "step=rows",
            b'{"from": "p", "to": "x", "after": 0, "last": 1, "rows": [[0, 0, "n", "x", 1, "", "", null, null, 0]]}',
            400,
        ),
        ("step=rows", b'{"from": "p", "to": "x", "after": 0, "last": 1, "rows": [' + b" " * 70_000 + b"]}", 400),
        ("step=status", b"[]", 400),
        ("step=status", b'["/a/other", "1", "1", "0", "1", 0, {}]', 400),
        ("step=file", b"no database", 422),
        ("step=file&version=999", b"", 409),
    ],
)
def test_what_no_peer_says_is_refused(ask: Ask, store: ContainerStore, query: str, body: bytes, status: int) -> None:
    before = store.info(AT)
    assert ask(query, body).status == status
    assert store.info(AT) == before


def test_paths_that_are_none_are_refused(ask: Ask, store: ContainerStore) -> None:
    assert ask("step=rows", b"{}", path="/d1/3/..").status == 400
    body = protocol.encode_comparison([database_state(store, hash="../../x")])
    assert ask(body=body, path="/d1/3").status == 400
    assert ask(body=b"[]", path="/nowhere/3").status == 507


def test_rows_of_a_database_that_is_not_here_are_not_found(ask: Ask, store: ContainerStore) -> None:
    body = b'{"from": "p", "to": "x", "after": 0, "last": 1, "rows": []}'
    assert ask("step=rows", body, path=f"/d1/3/{'0' * 32}").status == 404


class Slow(io.RawIOBase):
    """A body that comes when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.let = green.Event()

    def read_chunk(self, most: int = -1) -> bytes:
        self.let.wait()
        return b""


def test_more_peers_than_may_be_served_at_once_are_told_to_come_again(ask: Ask, store: ContainerStore) -> None:
    slow = Slow()
    first = green.spawn(lambda: ask("step=file", b"x" * 10, stream=slow))
    green.sleep(0.01)
    assert ask("step=rows", b'{"from": "p", "to": "x", "after": 0, "last": 1, "rows": []}').status == 503
    assert ask(body=b"[]", path="/d1/3").status == 200  # to compare costs little
    slow.let.send(None)
    assert first.wait().status == 499
    assert ask("step=rows", b'{"from": "p", "to": "x", "after": 0, "last": 1, "rows": []}').status == 409


@pytest.mark.parametrize("version", ["x", "", "-1", "%C2%B2", "9" * 5000])
def test_a_version_that_is_no_number_is_refused(ask: Ask, store: ContainerStore, version: str) -> None:
    assert ask(f"{protocol.STEP}={protocol.FILE}&{protocol.VERSION}={version}").status == 400
