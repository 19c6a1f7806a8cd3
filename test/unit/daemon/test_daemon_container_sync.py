"""Changes of containers on their way to another cluster: both are clusters in this process."""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

import pytest
from harness.in_process import InProcess

from objstore.access.identity import Realm
from objstore.core.container_sync import SYNC_KEY, SYNC_TO, SyncRealm
from objstore.core.errors import NodeFailure
from objstore.core.names import Location, Name
from objstore.core.text import ENVIRON_KEY
from objstore.daemon.duties.container_sync import SyncingDevice, SyncMeans, SyncOptions, SyncProgress, SyncSender
from objstore.daemon.far_cluster import FarAnswer, FarRequest
from objstore.layers.bodies import BytesBody
from objstore.layers.interface import (
    ContainerOptions,
    DeleteOptions,
    ObjectLayer,
    Page,
    PutOptions,
    ReadOptions,
    UpdateOptions,
)
from objstore.middleware.container_sync import ContainerSync as SyncFilter
from objstore.web.context import RequestContext
from objstore.web.responses import call

REALMS = {"R": SyncRealm("r", ("secret",), {"FAR": "http://far.example/v1/"})}
SOURCE, TARGET = Name("a", "from"), Name("b", "to")
RunPass = Callable[..., int]
CONTEXT = RequestContext


class Far:
    """The other cluster. down: it cannot be reached. answers: of its proxy, as (method, name, status)."""

    def __init__(self, root: Path) -> None:
        store = InProcess(root, devices=1, replicas=1)
        self._app = SyncFilter(store.proxy, realms=lambda: REALMS)
        self.layer = store.proxy.layer
        self.down = False
        self.answers: list[tuple[str, str, int]] = []
        self.layer.create_container(CONTEXT(), TARGET, ContainerOptions({SYNC_KEY: "user"}))

    def send(self, request: FarRequest) -> FarAnswer:
        if self.down:
            raise NodeFailure("down")
        body, url = b"".join(request.body), urlsplit(request.url)
        environ: dict[str, object] = {ENVIRON_KEY[name]: value for name, value in request.headers.items()}
        environ["HTTP_X_BACKEND_INBOUND_X_TIMESTAMP"] = environ.pop("HTTP_X_TIMESTAMP")
        environ |= {
            "REQUEST_METHOD": request.method,
            "PATH_INFO": unquote_to_bytes(url.path).decode("latin-1"),
            "QUERY_STRING": url.query,
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
            "objstore.realm": Realm(("b",)),
        }
        answer = call(self._app, environ)
        answer.read()
        self.answers.append((request.method, unquote_to_bytes(url.path).decode().split("/", 4)[4], answer.status))
        return FarAnswer(answer.status, {name.lower(): value for name, value in answer.headers.items()})

    def names(self) -> list[str]:
        return [row["name"] for row in self.layer.list_objects(CONTEXT(), TARGET, Page()).rows]


class World:
    """Two clusters. ahead: seconds by which the clock of the daemons is ahead."""

    def __init__(self, root: Path) -> None:
        for name in ("near", "far"):
            (root / name).mkdir()
        self.near = InProcess(root / "near", devices=3)
        self.far = Far(root / "far")
        self.layer: ObjectLayer = self.near.proxy.layer
        self.ahead = 0.0
        to = {SYNC_TO: f"//r/far{TARGET.path}", SYNC_KEY: "user"}
        self.layer.create_container(CONTEXT(), SOURCE, ContainerOptions(to))

    def daemon(self, *devices: str, rows: int = 10_000) -> SyncSender:
        """The daemon of the hosts of these devices; of all, without."""
        near = self.near
        names = devices or near.device_names
        nodes = [node.device for node in near.proxy.cluster.place(SOURCE).primaries]

        def replica_of(device: str, location: Location) -> tuple[int, int] | None:
            return nodes.index(device), len(nodes)

        means = SyncMeans(
            lambda: [SyncingDevice(name, near.device(name).containers) for name in names],
            replica_of,
            self.layer,
            lambda: REALMS,
            self.far.send,
            logging.getLogger("test.daemon"),
            lambda: time.time() + self.ahead,
        )
        return SyncSender(means, SyncOptions(takeover=600.0, rows=rows), 3600.0)

    def put(self, key: str, data: bytes = b"data", **headers: str) -> None:
        kept = {"Content-Type": "text/plain", **{name.replace("_", "-"): text for name, text in headers.items()}}
        self.layer.put(CONTEXT(), SOURCE._replace(object=key), PutOptions(kept), BytesBody(data))

    def delete(self, key: str) -> None:
        self.layer.delete(CONTEXT(), SOURCE._replace(object=key), DeleteOptions())

    def both(self, key: str) -> list[tuple[bytes, dict[str, str]]]:
        """The object in both clusters: its content, and the headers that a client sees."""
        found = []
        for layer, container in ((self.layer, SOURCE), (self.far.layer, TARGET)):
            reply = layer.open(CONTEXT(), container._replace(object=key), ReadOptions())
            shown = {name: text for name, text in reply.headers.items() if not name.startswith("X-Backend")}
            found.append((reply.read(), shown))
        return found


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_objects_arrive_as_they_are_with_their_times(world: World, run_pass: RunPass) -> None:
    world.put("a", b"one", X_Object_Meta_Colour="grün", Content_Encoding="x")
    world.put("sub dir/ü", b"x" * 200_000)
    run_pass(world.daemon())
    for key in ("a", "sub dir/ü"):
        here, there = world.both(key)
        assert here == there
    assert world.far.names() == ["a", "sub dir/ü"]


def test_deletions_and_new_metadata_follow(world: World, run_pass: RunPass) -> None:
    daemon = world.daemon()
    world.put("kept")
    world.put("gone")
    run_pass(daemon)
    world.delete("gone")
    options = UpdateOptions({"X-Object-Meta-New": "yes"})
    world.layer.update(CONTEXT(), SOURCE._replace(object="kept"), options)
    run_pass(daemon)
    assert world.far.names() == ["kept"]
    here, there = world.both("kept")
    assert here == there and there[1]["X-Object-Meta-New"] == "yes"


def test_what_is_done_is_not_sent_again_even_by_a_new_process(world: World, run_pass: RunPass) -> None:
    for number in range(5):
        world.put(f"o{number}")
    world.ahead = 3600.0  # so that all replicas look at all rows
    run_pass(world.daemon())
    sent = [answer for answer in world.far.answers if answer[0] == "PUT"]
    assert len(sent) == 5
    world.far.answers.clear()
    run_pass(world.daemon())
    assert world.far.answers == []


def test_what_could_not_be_sent_comes_with_the_next_pass_in_any_order(world: World, run_pass: RunPass) -> None:
    daemon = world.daemon()
    world.far.down = True
    world.put("a")
    for unit in daemon.passes():
        with pytest.raises(NodeFailure):
            unit()  # type: ignore[misc]
    assert daemon.status()["behind"] == 1
    world.far.down = False
    world.put("b")
    run_pass(daemon)
    assert world.far.names() == ["a", "b"]
    status = daemon.status()
    assert status["failed_total"] == 1 and status["puts_total"] == 2 and status["behind"] == 0


def test_another_replica_takes_over_what_the_first_one_left(world: World, run_pass: RunPass) -> None:
    for number in range(12):
        world.put(f"o{number}")
    one = world.near.primaries(SOURCE)[0]
    daemon = world.daemon(one)
    run_pass(daemon)
    part = set(world.far.names())
    assert part and len(part) < 12
    world.ahead = 3600.0
    run_pass(daemon)
    assert len(world.far.names()) == 12


def test_a_newer_object_at_the_target_stays(world: World, run_pass: RunPass) -> None:
    world.put("o", b"older")
    options = PutOptions({"Content-Type": "a/b"})
    world.far.layer.put(CONTEXT(), TARGET._replace(object="o"), options, BytesBody(b"newer"))
    daemon = world.daemon()
    run_pass(daemon)
    assert world.both("o")[1][0] == b"newer"
    assert not daemon.status()["behind"]


def test_a_long_container_is_done_in_several_passes(world: World, run_pass: RunPass) -> None:
    for number in range(7):
        world.put(f"o{number}")
    world.ahead = 3600.0
    daemon = world.daemon(world.near.primaries(SOURCE)[0], rows=3)
    seen = []
    for _ in range(3):
        run_pass(daemon)
        seen.append(len(world.far.names()))
    assert seen == [3, 6, 7]


@pytest.mark.parametrize("change", [{SYNC_KEY: "other"}, {SYNC_TO: "//r/nowhere/b/to"}, {SYNC_TO: "//x/far/b/to"}])
def test_nothing_goes_to_a_target_that_is_not_agreed_upon(
    world: World, run_pass: RunPass, change: dict[str, str]
) -> None:
    world.layer.update_container(CONTEXT(), SOURCE, ContainerOptions(change))
    world.put("o")
    daemon = world.daemon()
    for unit in daemon.passes():
        with pytest.raises(NodeFailure, match="401"):
            unit()  # type: ignore[misc]
    assert world.far.names() == []
    status = daemon.status()
    assert status["failed_total"] or status["misconfigured"] == 1


def test_the_point_moves_over_rows_that_are_done_and_stops_at_the_first_that_is_not() -> None:
    progress = SyncProgress(10)
    for number in (11, 13, 14, 20):
        assert progress.begin(number)
    progress.end(13)
    assert (progress.point, progress.behind) == (10, 3)
    progress.end(11)
    assert (progress.point, progress.behind) == (13, 2)
    progress.end(20)
    progress.restart()
    assert progress.begin(14) and not progress.begin(20)
    progress.end(14)
    assert (progress.point, progress.behind) == (20, 0)
