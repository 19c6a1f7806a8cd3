"""The rules of a write to many nodes: who stands in for whom, when there is a verdict, and which."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from objstore.cluster.cluster import Cluster, Placement, Transports
from objstore.cluster.settings import ClusterSettings
from objstore.cluster.writes import WriteResult, attempt, stand_ins, write
from objstore.core.errors import NodeUnreachable
from objstore.core.names import HashSalt, Name
from objstore.core.nodes import Node
from objstore.core.policies import ONE_POLICY
from objstore.core.timestamps import ZERO, Timestamp
from objstore.ring import Ring
from objstore.ring.builder import RingBuilder
from objstore.runtime import green, settings
from objstore.wire.messages import NodeRequest, NodeResponse

NAME = Name("AUTH_t", "c", "o")
FAILURES = (500, 502, 503, 504, 507)
VERDICTS = (200, 201, 202, 204, 400, 404, 409, 412, 416, 422)

Answer = int | Callable[[], int]


class Net:
    """A transport whose nodes answer as they are set; 0: cannot be reached. asked: devices, in order."""

    def __init__(self, usual: int = 201) -> None:
        self.usual = usual
        self.answers: dict[str, Answer] = {}
        self.headers: dict[str, dict[str, str]] = {}
        self.asked: list[str] = []

    def call(self, node: Node, request: NodeRequest) -> NodeResponse:
        self.asked.append(node.device)
        answer = self.answers.get(node.device, self.usual)
        status = answer if isinstance(answer, int) else answer()
        if status == 0:
            raise NodeUnreachable(str(node))
        return NodeResponse(status, self.headers.get(node.device, {}))


class World:
    def __init__(self, replicas: int = 3, devices: int = 6, **conf: str) -> None:
        builder = RingBuilder(4, replicas, 0)
        builder.add_all([Node(-1, 1, n, f"127.0.0.{n}", 6200, f"d{n}", weight=1.0) for n in range(1, devices + 1)])
        builder.rebalance(time.time(), seed=1)
        ring = Ring(builder.contents())
        self.net = Net()
        self.cluster = Cluster(
            settings.read(ClusterSettings, {"post_quorum_timeout": "0.1", **conf}), HashSalt(b"", b"salt"), ONE_POLICY,
            {"object": lambda: ring}, Transports(self.net), logging.getLogger("test"),  # type: ignore[arg-type]
        )  # fmt: skip
        self.place: Placement = self.cluster.place(NAME)
        self.primaries = [node.device for node in self.place.primaries]

    def request(self) -> NodeRequest:
        return NodeRequest("PUT", self.place.partition, NAME, {})

    def attempt(self) -> int:
        """The answer of the first primary, or of who stands in for it."""
        nodes, spares = self.cluster.write_order(self.place)
        return attempt(self.cluster, nodes[0], spares, self.request()).status

    def write(self, **options: Any) -> WriteResult:
        return write(self.cluster, self.place, [self.request()] * len(self.primaries), **options)


# Handoffs


@pytest.mark.parametrize("status", [0, *FAILURES])
def test_a_node_that_cannot_take_the_write_is_replaced_by_a_handoff(status: int) -> None:
    """507 is the answer of a device that is full or missing; that it counts had no test."""
    world = World()
    world.net.answers[world.primaries[0]] = status
    assert world.attempt() == 201
    first, second = world.net.asked
    assert first == world.primaries[0]
    assert second not in world.primaries


@pytest.mark.parametrize("status", VERDICTS)
def test_an_answer_about_the_write_is_taken_from_the_node_that_gave_it(status: int) -> None:
    world = World()
    world.net.answers[world.primaries[0]] = status
    assert world.attempt() == status
    assert world.net.asked == world.primaries[:1]


def test_handoffs_that_fail_are_replaced_in_turn_and_the_last_answer_counts() -> None:
    world = World()
    world.net.usual = 507
    assert world.attempt() == 507
    assert len(set(world.net.asked)) == len(world.net.asked) == 4  # the primary and all three that are none


def test_if_nobody_answers_the_write_is_unavailable() -> None:
    world = World()
    world.net.usual = 0
    assert world.attempt() == 503


def test_a_node_that_failed_of_late_is_asked_last() -> None:
    world = World()
    for _ in range(20):
        world.cluster.note_answer(world.place.primaries[0], 503)
    nodes, spares = world.cluster.write_order(world.place)
    order = [node.device for node in stand_ins(world.cluster, nodes[0], spares)]
    assert order[-1] == world.primaries[0]
    assert len(order) == 4


def test_each_failed_node_gets_a_handoff_of_its_own() -> None:
    """The first one that was done with the shared spares ended them for all others."""
    world = World()
    for device in world.primaries[:2]:
        world.net.answers[device] = 507
    assert world.write().status == 201
    handoffs = [device for device in world.net.asked if device not in world.primaries]
    assert len(handoffs) == len(set(handoffs)) == 2


# Verdicts


@pytest.mark.parametrize("order", sorted(set(itertools.permutations([201, 201, 409]))))
def test_what_a_majority_answers_is_the_verdict(order: tuple[int, ...]) -> None:
    world = World()
    world.net.answers.update(zip(world.primaries, order, strict=True))
    assert world.write().status == 201


def test_one_success_is_no_success() -> None:
    world = World(devices=3)
    world.net.answers.update(zip(world.primaries, (201, 503, 507), strict=True))
    assert world.write().status >= 500


def test_answers_that_mean_the_same_are_counted_together() -> None:
    world = World()
    world.net.answers.update(zip(world.primaries, (201, 202, 503), strict=True))
    world.net.usual = 503
    assert world.write(alike={202: 201}).status == 201


def test_the_newest_timestamp_of_a_conflict_is_the_conflicts() -> None:
    world = World()
    for device, raw in zip(world.primaries, (5, 7, 6), strict=True):
        world.net.answers[device] = 409
        world.net.headers[device] = {"X-Backend-Timestamp": Timestamp(raw).internal}
    written = world.write(grace=5.0)
    assert written.status == 409
    assert written.conflict == Timestamp(7)
    assert World().write().conflict == ZERO


# Time


@pytest.fixture
def slow() -> Iterator[Callable[[], int]]:
    """An answer that comes when the test is over."""
    over = green.Event()

    def wait() -> int:
        over.wait(20)
        return 201

    yield wait
    over.send()


def test_the_client_waits_a_moment_for_a_node_that_is_slower_than_the_majority(slow: Callable[[], int]) -> None:
    world = World()
    world.net.answers[world.primaries[0]] = slow
    started = time.monotonic()
    written = world.write()
    assert written.status == 201
    assert len(written.answers) == 2
    assert 0.1 <= time.monotonic() - started < 5


def test_a_node_that_is_slow_is_not_given_up() -> None:
    world = World()
    answered: list[int] = []

    def late() -> int:
        green.sleep(0.3)
        answered.append(201)
        return 201

    world.net.answers[world.primaries[0]] = late
    assert world.write().status == 201
    assert not answered
    green.sleep(0.4)
    assert answered == [201]


def test_without_a_majority_all_are_waited_for() -> None:
    world = World(devices=3)

    def late() -> int:
        green.sleep(0.3)
        return 201

    world.net.answers.update(zip(world.primaries, (201, late, 409), strict=True))
    assert world.write().status == 201
