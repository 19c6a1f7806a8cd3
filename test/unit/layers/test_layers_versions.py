"""Versions over a real store in process: against a model, through crashes at every step, and by many at once."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from objstore.assembly.apps import storage_servers
from objstore.cluster.cluster import Cluster, Transports
from objstore.cluster.layer import ClusterLayer
from objstore.cluster.settings import ClusterSettings
from objstore.core.errors import (
    BadVersionId,
    Conflict,
    DeleteMarker,
    NoSuchVersion,
    NotFound,
    ObjstoreError,
    PreconditionFailed,
)
from objstore.core.names import Name
from objstore.core.nodes import Node
from objstore.core.timestamps import MAX_RAW, Timestamp
from objstore.layers import documents, hidden
from objstore.layers.bodies import BytesBody, ObjectBody
from objstore.layers.interface import (
    ContainerOptions,
    DeleteOptions,
    Group,
    ObjectLayer,
    Page,
    PutOptions,
    ReadOptions,
    RenameSource,
    UpdateOptions,
    Version,
    VersionsPage,
)
from objstore.layers.manifests import Manifests
from objstore.layers.versions import CONFIG, Versions, names
from objstore.layers.versions.names import KINDS, Ref
from objstore.ring import Ring
from objstore.ring.builder import RingBuilder
from objstore.runtime import cluster_conf, green, settings
from objstore.runtime.cluster_conf import FILE_NAME
from objstore.web.context import RequestContext
from objstore.web.write_conditions import WriteCondition
from objstore.wire.local import LocalTransport

LOGGER = logging.getLogger("test")
BUCKET = Name("AUTH_t", "b")
CHANGES = ("put", "update", "delete", "create_container", "update_container", "delete_container")
STAMPS = st.builds(Timestamp, st.integers(0, MAX_RAW), st.integers(0, 2**64 - 1))
REFS = st.builds(Ref, STAMPS, st.sampled_from(sorted(KINDS)))
KEYS = st.text(st.characters(min_codepoint=1, exclude_categories=("Cs",)), min_size=1, max_size=20)


class Crash(BaseException):
    """The process ended here; nothing on the way out may take it for an error."""


class Gated:
    """The object layer behind a gate."""

    def __init__(self, gate: Gate, layer: ObjectLayer) -> None:
        self._gate = gate
        self._layer = layer

    def __getattr__(self, operation: str) -> Any:
        run = getattr(self._layer, operation)

        def call(context: RequestContext, name: Any, *arguments: Any) -> Any:
            self._gate.pass_through(operation in CHANGES, name)
            return run(context, name, *arguments)

        return call


class Gate:
    """What stands before the store. left: changes that still work before a crash, None for all. pause: before each.

    before: called with the name of each change.
    """

    def __init__(self, layer: ObjectLayer) -> None:
        self.layer: Any = Gated(self, layer)
        self.left: int | None = None
        self.pause: Callable[[], float] | None = None
        self.before: Callable[[Name], None] | None = None

    def pass_through(self, is_change: bool, name: Name) -> None:
        if self.pause is not None:
            green.sleep(self.pause())
        if not is_change:
            return
        if self.before is not None:
            self.before(name)
        if self.left == 0:
            raise Crash
        if self.left is not None:
            self.left -= 1


class Waiting:
    """A body that comes once `go` is true."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.length: int | None = len(data)
        self.asked = self.go = False

    def check(self) -> None:
        pass

    def read_chunk(self, most: int, /) -> bytes:
        self.asked = True
        while not self.go:
            green.sleep(0.001)
        data, self._data = self._data, b""
        return data


class Shown(NamedTuple):
    """A version as it is listed, with its data; None for a delete marker."""

    version_id: str
    latest: bool
    data: bytes | None


class World:
    """A store of one device with one bucket."""

    def __init__(self, root: Path) -> None:
        (root / "etc").mkdir()
        (root / "etc" / FILE_NAME).write_text("[hash]\nprefix = a\n")
        (root / "devices" / "d0").mkdir(parents=True)
        builder = RingBuilder(1, 1, 0)
        builder.add_all([Node(-1, 1, 1, "127.0.0.1", 6200, "d0", weight=1.0)])
        builder.rebalance(time.time(), seed=1)
        ring = Ring(builder.contents())
        known = cluster_conf.load(str(root / "etc"))
        transports = Transports(None)  # type: ignore[arg-type]
        conf = {"ring_dir": str(root / "etc"), "devices": str(root / "devices"), "mount_check": "no", "log_to": "none"}
        apps = storage_servers(conf, transports)
        local = LocalTransport(apps.by_kind)
        transports.use_local(local, frozenset({("127.0.0.1", 6200)}))
        rings = {name: lambda: ring for name in ("account", "container", "object")}
        cluster = Cluster(settings.read(ClusterSettings, {}), known.salt, known.policies, rings, transports, LOGGER)  # type: ignore[arg-type]
        self.gate = Gate(Manifests(ClusterLayer(cluster, known.limits.max_file_size), 120.0, LOGGER))
        self.layer = Versions(self.gate.layer)
        self.key = "k"
        assert self.layer.create_container(RequestContext(), BUCKET, ContainerOptions({}))

    def set_state(self, state: str) -> None:
        documents.keep(self.layer, RequestContext(), BUCKET, CONFIG, state)

    def put(self, key: str, data: bytes, **conditions: str) -> str:
        return self.put_body(key, BytesBody(data), **conditions)

    def put_body(self, key: str, body: ObjectBody, **conditions: str) -> str:
        condition = WriteCondition(**conditions) if conditions else None
        options = PutOptions({"Content-Type": "text/plain"}, condition=condition)
        return self.layer.put(RequestContext(), BUCKET._replace(object=key), options, body).version_id or "null"

    def get(self, key: str, version: str = "") -> tuple[str, bytes] | ObjstoreError:
        """Version id and data, or the error."""
        try:
            reply = self.layer.open(RequestContext(), BUCKET._replace(object=key), ReadOptions(version_id=version))
        except ObjstoreError as error:
            return error
        return reply.version_id or "null", reply.read()

    def delete(self, key: str, version: str = "") -> str:
        options = DeleteOptions(version_id=version)
        return self.layer.delete(RequestContext(), BUCKET._replace(object=key), options).version_id

    def restore(self, key: str, version: str) -> str:
        return self.layer.restore(RequestContext(), BUCKET._replace(object=key), version).version_id

    def items(self, page: VersionsPage | None = None) -> list[Version | Group]:
        return list(self.layer.list_versions(RequestContext(), BUCKET, page or VersionsPage()))

    def any_left(self) -> bool:
        return bool(self.items(VersionsPage(limit=10)))

    def shown(self, key: str) -> list[Shown]:
        """The versions of a key as they are listed; fails where reading does not agree."""
        found = []
        items = self.items(VersionsPage(prefix=key))
        for item in items:
            assert isinstance(item, Version)
            if item.key == key:
                found.append(Shown(item.version_id, item.latest, self._data(item)))
        latest = [one for one in found if one.latest]
        assert len(latest) == (1 if found else 0)
        backwards = self.items(VersionsPage(prefix=key, reverse=True))
        assert [one for one in reversed(backwards) if one.key == key] == [one for one in items if one.key == key]
        listed = {row["name"]: row for row in self.layer.list_objects(RequestContext(), BUCKET, Page()).rows}
        if latest and latest[0].data is not None:
            assert self.get(key) == (latest[0].version_id, latest[0].data)
            assert listed[key]["bytes"] == len(latest[0].data)
        else:
            missing = self.get(key)
            assert isinstance(missing, NotFound) and not isinstance(missing, NoSuchVersion)
            marker = missing.version_id if isinstance(missing, DeleteMarker) else None
            assert marker == (latest[0].version_id if latest else None)
            assert key not in listed
        return found

    def _data(self, item: Version) -> bytes | None:
        got = self.get(item.key, item.version_id)
        if item.marker:
            assert isinstance(got, DeleteMarker)
            return None
        assert isinstance(got, tuple)
        assert got[0] == item.version_id
        assert item.row["bytes"] == len(got[1])
        return got[1]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


# Names.


@given(KEYS, REFS)
def test_names_are_parsed_as_they_were_built(key: str, ref: Ref) -> None:
    assert names.parse_entry(names.entry(key, ref)) == (key, ref, False)
    assert names.parse_entry(names.receipt(key, ref)) == (key, ref, True)
    assert names.id_of_tail(ref.tail) == ref.version_id
    if not ref.null and ref.stamp.raw < 2**56:
        assert names.parse_id(ref.version_id) == ref


@given(st.lists(st.tuples(KEYS, REFS), max_size=10))
def test_names_in_byte_order_are_keys_ascending_and_versions_newest_first(found: list[tuple[str, Ref]]) -> None:
    in_order = sorted(found, key=lambda one: names.entry(*one).encode())
    expected = sorted(found, key=lambda one: (one[0].encode(), -one[1].stamp.raw, -one[1].stamp.offset, one[1].letter))
    assert in_order == expected


@pytest.mark.parametrize("text", ["", "null", "v", "v" * 21, "x" + "A" * 20, "n" + "A" * 20, "v" + "_" * 20, "vé" * 9])
def test_text_that_is_no_version_id(text: str) -> None:
    ref = names.parse_id(text)
    assert ref is None or ref.version_id == text  # letters of the alphabet may be an id by chance


def test_a_new_version_is_newer_than_all_there_is_on_a_slow_clock() -> None:
    future = Timestamp(MAX_RAW - 5, 2**63)
    assert names.new_stamp(future) > future


# Against a model.


class History_(RuleBasedStateMachine):
    """One key. model: versions newest first as (id, data or None); current: that of these which is read."""

    def __init__(self) -> None:
        super().__init__()
        self._directory = tempfile.TemporaryDirectory()
        self.world = World(Path(self._directory.name))
        self.state = ""
        self.model: list[tuple[str, bytes | None]] = []
        self.current: tuple[str, bytes | None] | None = None
        self.count = 0

    def teardown(self) -> None:
        self._directory.cleanup()

    def _add(self, version: str, data: bytes | None) -> None:
        if version == "null":
            self.model = [one for one in self.model if one[0] != "null"]
        self.current = (version, data)
        self.model.insert(0, self.current)

    @rule(state=st.sampled_from(["Enabled", "Suspended"]))
    def configure(self, state: str) -> None:
        self.state = state
        self.world.set_state(state)

    @rule()
    def write(self) -> None:
        self.count += 1
        data = b"x" * self.count
        version = self.world.put("k", data)
        assert (version == "null") == (self.state != "Enabled")
        self._add(version, data)

    @precondition(lambda self: self.state)
    @rule(create=st.booleans())
    def write_under_a_condition(self, create: bool) -> None:
        self.count += 1
        there = self.current is not None and self.current[1] is not None
        data = b"x" * self.count
        try:
            version = self.world.put("k", data, **({"if_none_match": "*"} if create else {"if_match": "*"}))
        except PreconditionFailed as error:
            assert error.missing == (not create)
            assert create == there
            return
        assert create != there
        self._add(version, data)

    @precondition(lambda self: self.state or self.model)
    @rule()
    def delete(self) -> None:
        version = self.world.delete("k")
        if not self.state:
            self.model, self.current = [], None
            return
        assert (version == "null") == (self.state == "Suspended")
        self._add(version, None)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def delete_a_version(self, data: st.DataObject) -> None:
        chosen = data.draw(st.sampled_from(self.model))
        self.world.delete("k", chosen[0])
        self.model.remove(chosen)
        if chosen == self.current:
            self.current = self.model[0] if self.model else None

    @precondition(lambda self: any(version != "null" and data is not None for version, data in self.model))
    @rule(data=st.data())
    def restore(self, data: st.DataObject) -> None:
        self.current = data.draw(
            st.sampled_from([one for one in self.model if one[0] != "null" and one[1] is not None])
        )
        assert self.world.restore("k", self.current[0]) == self.current[0]

    @invariant()
    def is_as_the_model_says(self) -> None:
        shown = self.world.shown("k")
        assert [(one.version_id, one.data) for one in shown] == self.model
        assert [(one.version_id, one.data) for one in shown if one.latest] == ([self.current] if self.current else [])
        assert self.world.any_left() == bool(self.model)


TestHistory = History_.TestCase
TestHistory.settings = hypothesis_settings(max_examples=12, stateful_step_count=12, deadline=None)


# Crashes.


def _put(world: World) -> None:
    world.put(world.key, b"new")


def _put_conditionally(world: World) -> None:
    there = isinstance(world.get(world.key), tuple)
    world.put(world.key, b"new", **({"if_match": "*"} if there else {"if_none_match": "*"}))


def _mark(world: World) -> None:
    world.delete(world.key)


def _remove_latest(world: World) -> None:
    shown = world.shown(world.key)
    if shown:
        world.delete(world.key, shown[0].version_id)


def _remove_last(world: World) -> None:
    shown = world.shown(world.key)
    if shown:
        world.delete(world.key, shown[-1].version_id)


def _restore(world: World) -> None:
    versions = [one for one in world.shown(world.key) if one.data is not None and one.version_id != "null"]
    if versions:
        assert world.restore(world.key, versions[-1].version_id) == versions[-1].version_id


CHANGING = (_put, _put_conditionally, _mark, _remove_latest, _remove_last, _restore)


def _plain(world: World) -> None:
    world.put(world.key, b"plain")
    world.set_state("Enabled")


def _two(world: World) -> None:
    _plain(world)
    world.put(world.key, b"second")


def _marked(world: World) -> None:
    _two(world)
    world.delete(world.key)


def _conditional(world: World) -> None:
    world.set_state("Enabled")
    world.put(world.key, b"first", if_none_match="*")


def _suspended(world: World) -> None:
    _two(world)
    world.set_state("Suspended")
    world.put(world.key, b"null")


def _restored(world: World) -> None:
    _two(world)
    world.put(world.key, b"third", if_match="*")
    _restore(world)


def _nothing(world: World) -> None:
    world.set_state("Enabled")


@pytest.mark.parametrize("change", CHANGING)
@pytest.mark.parametrize("before", [_nothing, _plain, _two, _marked, _conditional, _suspended, _restored])
def test_a_crash_at_any_step_loses_nothing_that_was_answered(
    world: World, before: Callable[[World], None], change: Callable[[World], None]
) -> None:
    for steps in range(12):
        world.key = f"{steps}k"
        world.set_state("")
        before(world)
        there = world.shown(world.key)
        world.gate.left = steps
        crashed = False
        try:
            change(world)
        except Crash:
            crashed = True
        world.gate.left = None
        _holds(world, there, crashed, change)
        # The next change finds it in order, whatever was left.
        world.set_state("Enabled")
        after = world.shown(world.key)
        version = world.put(world.key, b"next")
        now = world.shown(world.key)
        assert now[0] == (version, True, b"next")
        assert {one.version_id for one in after} <= {one.version_id for one in now}
        if not crashed:
            return
    raise AssertionError("more steps than thought")


def _holds(world: World, there: list[Shown], crashed: bool, change: Callable[[World], None]) -> None:
    known = {(one.version_id, one.data) for one in there}
    now = {(one.version_id, one.data) for one in world.shown(world.key)}
    lost, new = known - now, now - known
    assert len(new) <= 1
    replaced_null = all(version == "null" for version, _ in lost)
    if change is _restore:
        assert not lost
        assert not new or (new == {("null", b"plain")} and crashed)
    elif change in (_put, _put_conditionally, _mark):
        assert not lost or (replaced_null and len(lost) == 1)
        assert new or crashed
    else:
        assert not new
        assert len(lost) <= 1


def test_a_refused_write_never_shows_even_if_its_writer_died(world: World) -> None:
    world.set_state("Enabled")
    first = world.put("k", b"first")
    ref = names.new_ref(names.Kind(conditional=True), names.parse_id(first).stamp)  # type: ignore[union-attr]
    entry = Name(BUCKET.account, "\0versions\0b", names.entry("k", ref))
    hidden.make(world.gate.layer, RequestContext(), entry, BUCKET)
    options = PutOptions({"Content-Type": "text/plain"}, timestamp=ref.stamp)
    world.layer.put(RequestContext(), entry, options, BytesBody(b"refused"))
    second = world.put("k", b"second")
    assert [one.version_id for one in world.shown("k")] == [second, first]
    for version in (second, first):
        world.delete("k", version)
    assert world.shown("k") == []
    assert not world.any_left()


def _die_before_pointer(changed: Name) -> None:
    if changed.container == BUCKET.container:
        raise Crash


def test_versions_whose_writers_died_do_not_hide_the_marker_before_them(world: World) -> None:
    world.set_state("Enabled")
    data = world.put("k", b"data")
    marker = world.delete("k")
    for change in (lambda: world.put("k", b"never answered"), lambda: world.delete("k")):
        world.gate.before = _die_before_pointer
        with pytest.raises(Crash):
            change()
        world.gate.before = None
    assert [one.version_id for one in world.shown("k")] == [marker, data]


# Options.


def name(key: str) -> Name:
    return BUCKET._replace(object=key)


def test_what_a_deleted_container_left_is_not_in_the_next_one_of_its_name(world: World) -> None:
    world.set_state("Enabled")
    world.put("k", b"first")
    world.gate.left = 1  # an entry without a pointer
    with pytest.raises(Crash):
        world.put("k", b"never answered")
    world.gate.left = None
    world.delete("k", world.shown("k")[0].version_id)
    world.gate.left = 1  # the deletion of the container ends before its entries are cleared
    with pytest.raises(Crash):
        world.layer.delete_container(RequestContext(), BUCKET)
    world.gate.left = None
    assert world.layer.create_container(RequestContext(), BUCKET, ContainerOptions({}))
    world.set_state("Enabled")
    version = world.put("k", b"next")
    assert [one.version_id for one in world.shown("k")] == [version]


def test_no_marker_is_made_for_what_is_not_there_if_the_caller_wants_none(world: World) -> None:
    world.set_state("Enabled")
    unmarked = DeleteOptions(mark_missing=False)
    assert not world.layer.delete(RequestContext(), name("k"), unmarked).existed
    assert world.shown("k") == []
    world.put("k", b"data")
    result = world.layer.delete(RequestContext(), name("k"), unmarked)
    assert result.existed and result.marker
    assert not world.layer.delete(RequestContext(), name("k"), unmarked).marker
    assert [one.data for one in world.shown("k")] == [None, b"data"]


def test_a_deletion_that_is_due_with_an_expiry_leaves_what_does_not_expire_then(world: World) -> None:
    world.layer.put(
        RequestContext(), name("k"), PutOptions({"Content-Type": "a/b", "X-Delete-At": "9999999999"}), BytesBody(b"old")
    )
    world.set_state("Enabled")
    with pytest.raises(PreconditionFailed):
        world.layer.delete(RequestContext(), name("k"), DeleteOptions(delete_at=9999999998))
    assert world.shown("k")[0].data == b"old"
    assert world.layer.delete(RequestContext(), name("k"), DeleteOptions(delete_at=9999999999)).marker
    world.put("k", b"version")
    for key in ("k", "other"):
        with pytest.raises(PreconditionFailed):
            world.layer.delete(RequestContext(), name(key), DeleteOptions(delete_at=9999999999))
    assert [one.data for one in world.shown("k")] == [b"version", None, b"old"]
    assert world.shown("other") == []


def test_an_object_that_is_renamed_leaves_a_marker_unless_it_has_other_content(world: World) -> None:
    world.set_state("Enabled")
    world.put("old", b"data")
    for etag, data in (("0" * 32, b"data"), (hashlib.md5(b"data").hexdigest(), None)):
        options = PutOptions({"Content-Type": "text/plain"}, rename=RenameSource("old", etag))
        world.layer.put(RequestContext(), name("new"), options, BytesBody(b"data"))
        assert world.shown("old")[0].data == data
    assert [one.data for one in world.shown("new")] == [b"data", b"data"]


def test_metadata_is_that_of_the_version_that_is_named(world: World) -> None:
    world.put("k", b"plain")
    world.set_state("Enabled")
    versions = ["null", world.put("k", b"first"), world.put("k", b"second")]
    for version in versions:
        options = UpdateOptions({"X-Object-Meta-Of": version}, version_id=version)
        world.layer.update(RequestContext(), name("k"), options)
    for version in versions:
        reply = world.layer.open(RequestContext(), name("k"), ReadOptions(head=True, version_id=version))
        assert (reply.version_id, reply.headers["X-Object-Meta-Of"]) == (version, version)
    world.layer.update(RequestContext(), name("k"), UpdateOptions({"X-Object-Meta-Of": "the current one"}))
    reply = world.layer.open(RequestContext(), name("k"), ReadOptions(head=True))
    assert (reply.version_id, reply.headers["X-Object-Meta-Of"]) == (versions[-1], "the current one")


@pytest.mark.parametrize("state", ["", "Enabled"])
def test_a_version_that_is_not_there(world: World, state: str) -> None:
    world.put("k", b"data")
    world.set_state(state)
    other = names.new_ref(names.Kind()).version_id
    for operation, options in (("open", ReadOptions), ("update", UpdateOptions)):
        for version, error in ((other, NoSuchVersion), ("of another kind", BadVersionId)):
            asked = options(headers={}, version_id=version) if options is UpdateOptions else options(version_id=version)
            with pytest.raises(error):
                getattr(world.layer, operation)(RequestContext(), name("k"), asked)
    assert not world.layer.delete(RequestContext(), name("k"), DeleteOptions(version_id=other)).existed
    with pytest.raises(BadVersionId):
        world.layer.delete(RequestContext(), name("k"), DeleteOptions(version_id="of another kind"))
    assert world.get("k", "null") == ("null", b"data")


# Many at once.


@pytest.mark.parametrize("seed", range(8))
def test_many_at_once_agree_in_the_end(world: World, seed: int) -> None:
    chance = random.Random(seed)
    if seed % 2:
        world.put("k", b"plain")
    world.set_state("Enabled")
    made: dict[str, bytes | None] = {"null": b"plain"} if seed % 2 else {}
    gone: set[str] = set()

    def work(number: int) -> None:
        for turn in range(6):
            act = chance.random()
            if act < 0.5:
                data = b"%d %d" % (number, turn)
                made[world.put("k", data)] = data
            elif act < 0.6:
                made[world.delete("k")] = None
            elif act < 0.75:
                if versions := [one for one, data in made.items() if one != "null" and data is not None]:
                    with contextlib.suppress(NoSuchVersion):
                        world.restore("k", chance.choice(versions))
            elif made:
                version = chance.choice(sorted(made))
                gone.add(version)
                world.delete("k", version)

    world.gate.pause = lambda: chance.random() * 0.004
    threads = [green.spawn(work, number) for number in range(5)]
    for thread in threads:
        thread.wait()
    world.gate.pause = None
    shown = world.shown("k")
    assert {one.version_id: one.data for one in shown} == {
        version: data for version, data in made.items() if version not in gone
    }


def test_of_many_who_count_under_a_condition_no_count_is_lost(world: World) -> None:
    chance = random.Random(3)
    world.set_state("Enabled")
    world.put("k", b"0")
    done = []

    def work() -> None:
        for _ in range(4):
            while True:
                _, data = world.get("k")  # type: ignore[misc]
                try:
                    new = b"%d" % (int(data) + 1)
                    world.put("k", new, if_match=hashlib.md5(data).hexdigest())
                    done.append(new)
                    break
                except (PreconditionFailed, Conflict):
                    pass

    world.gate.pause = lambda: chance.random() * 0.003
    for thread in [green.spawn(work) for _ in range(4)]:
        thread.wait()
    world.gate.pause = None
    assert sorted(done, key=int) == [b"%d" % (number + 1) for number in range(16)]
    assert [one.data for one in world.shown("k")] == [b"%d" % number for number in range(16, -1, -1)]


def test_a_write_that_one_under_a_condition_has_overtaken_comes_later(world: World) -> None:
    world.set_state("Enabled")
    world.put("k", b"first")
    body = Waiting(b"slow")
    slow = green.spawn(world.put_body, "k", body)
    while not body.asked:
        green.sleep(0.001)
    under_condition = world.put("k", b"under a condition", if_match="*")
    body.go = True
    slow.wait()
    shown = world.shown("k")
    assert [one.data for one in shown] == [b"slow", b"under a condition", b"first"]
    assert shown[1].version_id == under_condition


@pytest.mark.parametrize("older", [False, True])
def test_a_slow_write_that_ends_while_what_has_overtaken_it_is_deleted_becomes_current(
    world: World, older: bool
) -> None:
    world.set_state("Enabled")
    expected = [b"older"] if older else []
    if older:
        world.put("k", b"older")
    body = Waiting(b"slow")
    slow = green.spawn(world.put_body, "k", body)
    while not body.asked:
        green.sleep(0.001)
    newest = world.put("k", b"newest")

    def end(name: Name) -> None:
        if name == BUCKET._replace(object="k"):  # the pointer is about to be moved
            world.gate.before = None
            body.go = True
            slow.wait()

    world.gate.before = end
    world.delete("k", newest)
    assert [one.data for one in world.shown("k")] == [b"slow", *expected]


# Listings.


def pages(world: World, asked: VersionsPage, size: int) -> Iterator[list[Version | Group]]:
    while True:
        found = []
        for item in world.layer.list_versions(RequestContext(), BUCKET, asked._replace(limit=size + 2)):
            if len(found) == size:
                break
            found.append(item)
        else:
            yield found
            return
        yield found
        last = found[-1]
        version = last.version_id if isinstance(last, Version) else ""
        asked = asked._replace(key_marker=last.key, version_marker=version)


@pytest.mark.parametrize("delimiter", ["", "/", "0", "v", "a/"])
@pytest.mark.parametrize("prefix", ["", "a", "a/"])
def test_pages_of_any_size_amount_to_the_whole(world: World, prefix: str, delimiter: str) -> None:
    chance = random.Random(1)
    for state in ("", "Enabled", "Suspended", "Enabled"):
        world.set_state(state)
        for key in ("a", "a/0", "a/b/v", "a/v", "b", "0"):
            if chance.random() < 0.8:
                world.put(key, b"x")
            if chance.random() < 0.3:
                world.delete(key)
    for item in world.items():
        if isinstance(item, Version) and chance.random() < 0.2:
            world.delete(item.key, item.version_id)
    asked = VersionsPage(prefix=prefix, delimiter=delimiter)
    whole = world.items(asked)
    expected: list[Any] = []
    for item in world.items():
        if not item.key.startswith(prefix):
            continue
        end = item.key.find(delimiter, len(prefix)) if delimiter else -1
        grouped = Group(item.key[: end + len(delimiter)]) if end >= 0 else item
        if grouped not in expected:
            expected.append(grouped)
    assert whole == expected
    for size in (1, 2, 3, 7):
        assert [item for page in pages(world, asked, size) for item in page] == whole
        backwards = pages(world, asked._replace(reverse=True), size)
        assert [item for page in backwards for item in page] == whole[::-1]
