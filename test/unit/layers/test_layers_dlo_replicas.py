"""Dynamic large objects whose listings differ between the replicas of the container."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from harness.in_process import InProcess
from harness.layer_stacks import POLICIES, Shelf

from objstore.core.dlo import DLO
from objstore.core.errors import NodeFailure
from objstore.layers.registry import LAYERS
from objstore.layers.stack import Deps, Outermost


class World(Shelf):
    """A container on four devices, with the dynamic large object `d` of the prefix `s/`."""

    def __init__(self, root: Path) -> None:
        self.store = InProcess(root)
        deps = Deps({"dlo_page": "2"}, POLICIES, logging.getLogger("test"), Outermost())
        super().__init__(LAYERS.build(self.store.proxy.layer, deps, LAYERS.names))
        self.put("d", b"", {DLO: "c/s/"})
        self.replicas = self.store.primaries(self.container)

    @contextmanager
    def unreachable(self, *devices: str) -> Iterator[None]:
        """No requests reach them: they take no objects, whose rows they could add by themselves, and list nothing."""
        self.store.net.breaks = lambda device, _: device in devices
        try:
            yield
        finally:
            self.store.net.breaks = None


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_no_segment_is_left_out_whichever_replica_lacks_its_row(world: World) -> None:
    for number in range(6):
        with world.unreachable(world.replicas[number % 3]):
            world.put(f"s/{number}", b"%d" % number)
    listed = [len(rows) for rows in world.store.rows(world.container)]
    assert max(listed) < 7  # no replica knows all
    for away in (*world.replicas, ""):
        with world.unreachable(away):
            assert world.read("d") == b"012345" and world.head("d")["Content-Length"] == "6"


def test_rows_of_older_states_do_not_count(world: World) -> None:
    for number in range(4):
        world.put(f"s/{number}", b"old%d" % number)
    first, second, third = world.replicas
    with world.unreachable(first):
        world.put("s/0", b"new")
    with world.unreachable(second):
        world.delete("s/1")
    with world.unreachable(third):
        world.delete("s/2")
        world.put("s/3", b"replaced")
    for away in (*world.replicas, ""):
        with world.unreachable(away):
            assert world.read("d") == b"newreplaced"


def test_too_few_replicas_answer_for_no_one(world: World) -> None:
    world.put("s/0", b"x")
    with world.unreachable(*world.replicas[:2]), pytest.raises(NodeFailure):
        world.read("d")
    assert world.read("d") == b"x"
