"""Locks of versions over a store of three replicas: races, crashes, a replica that is away, and unaware requests."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from harness.in_process import InProcess, run_pass

from objstore.assembly.duties import cleaners, updaters
from objstore.core.errors import Conflict, InvalidInput, NodeFailure, NotFound, ObjectHeld, ObjstoreError
from objstore.core.names import Name
from objstore.core.object_lock import COMPLIANCE, GOVERNANCE, LOCK, OFF, ON, Lock, LockChange, LockRule
from objstore.layers import documents
from objstore.layers.bodies import BytesBody
from objstore.layers.interface import (
    AccountOptions,
    ContainerOptions,
    DeleteOptions,
    ObjectLayer,
    PutOptions,
    ReadOptions,
    UpdateOptions,
)
from objstore.layers.versions import CONFIG, ENABLED, LOCK_CONFIG, SUSPENDED, Versions
from objstore.layers.versions.keys import kept_in
from objstore.layers.versions.names import entry, parse_id
from objstore.runtime import green
from objstore.web.context import RequestContext
from objstore.web.write_conditions import WriteCondition

BUCKET = Name("AUTH_t", "b")
HOUR = 3_600_000


def now() -> int:
    return int(time.time() * 1000)


class Crash(BaseException):
    """The process ended here."""


class Cut:
    """An object layer that ends at a change. left: changes that still work, None for all."""

    def __init__(self, layer: ObjectLayer) -> None:
        self._layer = layer
        self.left: int | None = None

    def __getattr__(self, operation: str) -> Callable[..., object]:
        run = getattr(self._layer, operation)
        if operation not in ("put", "update", "delete"):
            return run  # type: ignore[no-any-return]

        def call(*arguments: object) -> object:
            if self.left == 0:
                raise Crash
            if self.left is not None:
                self.left -= 1
            return run(*arguments)

        return call


class World:
    """A bucket with object lock, on four devices with three replicas."""

    def __init__(self, root: Path) -> None:
        self.store = InProcess(root, error_suppression_limit="100000")
        self.cut = Cut(self.store.proxy.layer)
        self.layer = Versions(self.cut)  # type: ignore[arg-type]
        headers = documents.headers(CONFIG, ENABLED) | documents.headers(LOCK_CONFIG, LockRule().dump())
        assert self.layer.create_container(RequestContext(), BUCKET, ContainerOptions(headers))

    def put(self, key: str = "k", data: bytes = b"data", lock: Lock | None = None) -> str:
        headers = {"Content-Type": "text/plain", **({LOCK: lock.dump()} if lock else {})}
        name = BUCKET._replace(object=key)
        return self.layer.put(RequestContext(), name, PutOptions(headers), BytesBody(data)).version_id

    def set_lock(self, version: str, change: LockChange, bypass: bool = False) -> None:
        self.layer.set_lock(RequestContext(), BUCKET._replace(object="k"), version, change, bypass)

    def delete(self, version: str, bypass: bool = False) -> bool:
        options = DeleteOptions(version_id=version, bypass=bypass)
        return self.layer.delete(RequestContext(), BUCKET._replace(object="k"), options).existed

    def lock(self, version: str) -> Lock | None:
        """The lock of a version that can be read; None if it is gone."""
        options = ReadOptions(version_id=version, newest=True)
        try:
            reply = self.layer.open(RequestContext(), BUCKET._replace(object="k"), options)
        except NotFound:
            return None
        assert reply.read() == b"data"
        return Lock.parse(reply.headers.get(LOCK, ""))

    @contextmanager
    def away(self, *devices: str) -> Iterator[None]:
        """For a while nothing can be asked of some devices."""
        self.store.net.breaks = lambda device, request: device in devices
        try:
            yield
        finally:
            self.store.net.breaks = None

    def entry(self, version: str) -> Name:
        ref = parse_id(version)
        assert ref is not None
        return kept_in(BUCKET)._replace(object=entry("k", ref))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


HELD = pytest.mark.parametrize(
    "lock",
    [Lock(COMPLIANCE, now() + HOUR), Lock(legal_hold=ON), Lock(event_hold=ON)],
    ids=["retention", "legal", "event"],
)


@HELD
def test_a_held_version_is_refused_and_all_stays(world: World, lock: Lock) -> None:
    older, held = world.put(), world.put(lock=lock)
    for bypass in (False, True):
        with pytest.raises(ObjectHeld):
            world.delete(held, bypass)
    assert world.lock(held) == world.lock("") == lock
    assert world.delete(older)
    assert world.lock(held) == lock


def test_data_in_place_become_an_entry_when_they_are_held(world: World) -> None:
    version = world.put()
    world.set_lock("", LockChange(legal_hold=ON))
    with pytest.raises(ObjectHeld):
        world.delete(version)
    world.put()
    assert world.lock(version) == Lock(legal_hold=ON)
    world.set_lock(version, LockChange(legal_hold=OFF))
    assert world.delete(version)
    assert world.lock(version) is None


def test_metadata_changes_do_not_change_the_lock(world: World) -> None:
    version = world.put(lock=Lock(legal_hold=ON))
    forged = Lock(legal_hold=OFF).dump()
    for headers in ({"X-Object-Meta-Color": "red"}, {"X-Object-Meta-Color": "red", LOCK: forged}):
        world.layer.update(RequestContext(), BUCKET._replace(object="k"), UpdateOptions(headers))
        assert world.lock(version) == Lock(legal_hold=ON)


def test_a_bucket_keeps_its_lock_and_its_versioning(world: World) -> None:
    context = RequestContext()
    for kind, document in ((CONFIG, SUSPENDED), (CONFIG, ""), (LOCK_CONFIG, "")):
        with pytest.raises(Conflict):
            documents.keep(world.layer, context, BUCKET, kind, document)
        with pytest.raises(Conflict):
            world.layer.create_container(context, BUCKET, ContainerOptions(documents.headers(kind, document)))


def test_other_buckets_take_no_lock(world: World) -> None:
    other = Name("AUTH_t", "other")
    world.layer.create_container(RequestContext(), other, ContainerOptions({}))
    options = PutOptions({"Content-Type": "a/b", LOCK: Lock(legal_hold=ON).dump()})
    with pytest.raises(InvalidInput):
        world.layer.put(RequestContext(), other._replace(object="k"), options, BytesBody(b""))
    with pytest.raises(InvalidInput):
        world.layer.set_lock(RequestContext(), other._replace(object="k"), "", LockChange(legal_hold=ON))


@HELD
def test_requests_that_know_nothing_of_locks_are_refused_by_the_servers(world: World, lock: Lock) -> None:
    name, layer, context = world.entry(world.put(lock=lock)), world.store.proxy.layer, RequestContext()
    for call in (
        lambda: layer.delete(context, name, DeleteOptions()),
        lambda: layer.delete(context, name, DeleteOptions(condition=WriteCondition("*"))),
        lambda: layer.update(context, name, UpdateOptions({"X-Object-Meta-A": "b"})),
        lambda: layer.put(context, name, PutOptions({"Content-Type": "a/b"}), BytesBody(b"forged")),
    ):
        with pytest.raises(ObjstoreError):
            call()
        reply = layer.open(context, name, ReadOptions(newest=True))
        assert reply.read() == b"data"
        assert Lock.parse(reply.headers[LOCK]) == lock


@HELD
def test_neither_the_container_nor_the_account_of_a_held_version_can_be_deleted(world: World, lock: Lock) -> None:
    world.put(lock=lock)
    with pytest.raises(Conflict):
        world.layer.delete_container(RequestContext(), BUCKET)
    with pytest.raises(Conflict):
        world.layer.delete_account(RequestContext(), BUCKET.of_account, AccountOptions({}))
    world.layer.create_container(RequestContext(), BUCKET, ContainerOptions({}))


@pytest.mark.parametrize("first", ["hold", "delete"])
@pytest.mark.parametrize("steps", range(8))
def test_a_kill_at_any_step_leaves_a_held_version_or_one_that_goes(world: World, first: str, steps: int) -> None:
    older, version = world.put(), world.put()
    world.cut.left = steps
    done = False
    try:
        if first == "hold":
            world.set_lock(version, LockChange(legal_hold=ON))
        else:
            world.delete(version)
        done = True
    except Crash:
        pass
    world.cut.left = None
    lock = world.lock(version)
    if first == "hold":
        assert lock is not None
        assert lock.legal_hold == ON or not done
    try:
        world.set_lock(version, LockChange(legal_hold=ON))
        held = True
    except NotFound:
        held = False
    if held:
        with pytest.raises(ObjectHeld):
            world.delete(version)
        assert world.lock(version) == world.lock("") == Lock(legal_hold=ON)
    else:
        assert first == "delete"
        world.delete(version)
        assert world.lock(version) is None
    assert world.lock(older) is not None


@pytest.mark.parametrize("newer", [False, True])
def test_of_a_hold_and_a_deletion_at_once_at_most_one_is_answered(world: World, newer: bool) -> None:
    """Where the replicas take them in different orders, neither has a majority at once, and one may fail."""
    answered = 0
    for _ in range(10):
        version = world.put()
        if newer:
            world.put()
        outcome: dict[str, bool] = {}

        def run(what: str, call: Callable[[], object], outcome: dict[str, bool] = outcome) -> None:
            try:
                call()
                outcome[what] = True
            except (NotFound, ObjectHeld, Conflict, NodeFailure):
                outcome[what] = False

        threads = [
            green.spawn(run, "hold", lambda version=version: world.set_lock(version, LockChange(legal_hold=ON))),
            green.spawn(run, "delete", lambda version=version: world.delete(version)),
        ]
        for thread in threads:
            thread.wait()
        assert not (outcome["hold"] and outcome["delete"])
        if outcome["hold"]:
            assert world.lock(version) == Lock(legal_hold=ON)
        if outcome["delete"]:
            assert world.lock(version) is None
        answered += outcome["hold"] or outcome["delete"]
    assert answered > 5


def test_a_replica_that_missed_a_hold_frees_nothing(world: World) -> None:
    version = world.put(lock=Lock(GOVERNANCE, now() + HOUR))
    primaries = world.store.primaries(world.entry(version))
    for away in range(3):
        until = now() + (away + 2) * HOUR
        with world.away(primaries[away]):
            world.set_lock(version, LockChange((COMPLIANCE, until)), bypass=True)
        with world.away(primaries[(away + 1) % 3]):  # one that has the change
            with pytest.raises((ObjectHeld, NodeFailure)):
                world.delete(version, bypass=True)
            with pytest.raises((ObjectHeld, NodeFailure)):
                world.set_lock(version, LockChange((COMPLIANCE, until - 1)), bypass=True)
        assert world.lock(version) == Lock(COMPLIANCE, until)


def test_with_a_majority_away_nothing_is_changed_and_nothing_freed(world: World) -> None:
    version = world.put(lock=Lock(COMPLIANCE, now() + HOUR))
    with world.away(*world.store.primaries(world.entry(version))[:2]):
        with pytest.raises((NodeFailure, ObjectHeld)):
            world.delete(version)
        with pytest.raises(NodeFailure):
            world.set_lock(version, LockChange(legal_hold=ON))
    lock = world.lock(version)
    assert lock is not None
    assert lock.mode == COMPLIANCE


def test_a_held_version_outlives_the_expiry_of_its_name(world: World) -> None:
    version = world.put(lock=Lock(legal_hold=ON))
    expired = {"X-Delete-At": str(int(time.time()) - 1)}
    name = BUCKET._replace(object="k")
    world.layer.update(RequestContext(), name, UpdateOptions(expired, version_id=version))
    world.layer.expire(RequestContext(), world.entry(version))
    with pytest.raises(NotFound):
        world.layer.open(RequestContext(), name, ReadOptions())
    assert world.lock(version) == Lock(legal_hold=ON)
    with pytest.raises(ObjectHeld):
        world.delete(version)


def test_an_account_whose_deletion_came_all_the_same_keeps_what_is_held(world: World) -> None:
    version = world.put(lock=Lock(legal_hold=ON))
    free = Name("AUTH_t", "free")
    world.layer.create_container(RequestContext(), free, ContainerOptions({}))
    free = free._replace(object="o")
    world.layer.put(RequestContext(), free, PutOptions({"Content-Type": "a/b"}), BytesBody(b"data"))
    run_pass(updaters.CONTAINER_UPDATER.make(world.store.around()))
    assert world.store("DELETE", BUCKET.of_account).status == 204
    reaper = cleaners.ACCOUNT_REAPER.make(world.store.around(account_reaper_takeover="1h"))
    for _ in range(3):
        run_pass(reaper)
    assert world.store.copies(free) == []
    assert len(world.store.copies(world.entry(version))) == 3
    assert reaper.status()["held_total"] > 0
