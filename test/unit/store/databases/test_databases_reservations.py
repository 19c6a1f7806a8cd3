"""Reservations within quotas, in databases of containers and accounts."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.core.errors import NotFound
from objstore.core.names import HashSalt, Location, Name
from objstore.core.quota_rooms import MemberTotals, RoomRelease, RoomRequest
from objstore.core.quotas import EXCEEDED, GRANTED, POLICY_EXCEEDED, WAIT, Amount
from objstore.core.timestamps import Timestamp
from objstore.runtime.files import FILES
from objstore.store.databases import AccountStore, ContainerRow, ContainerStore, DatabaseSettings, ObjectRow

SALT = HashSalt(b"", b"salt")
FAST = DatabaseSettings(synchronous="off")
_numbers = itertools.count(1)


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class Bench:
    """A container, or an account, with quotas."""

    def __init__(self, store: ContainerStore | AccountStore, name: Name, metadata: dict[str, str]) -> None:
        self.store = store
        self.clock = Clock()
        self.at = Location(3, SALT.hash(name))
        self.stamps = itertools.count(100)
        if isinstance(store, ContainerStore):
            store.create(self.at, name, Timestamp(10), 0, metadata)
        else:
            store.create(self.at, name, Timestamp(10), metadata)

    def reserve(self, key: str, size: int, totals: MemberTotals | None = None, **fields: object) -> str:
        """The verdict on a write, whose id is the key unless it is given."""
        claim = RoomRequest(str(fields.pop("id", key)), key, Amount(1, size), 60.0, totals)._replace(**fields)  # type: ignore[arg-type]
        return self.store.reserve(self.at, claim, self.clock)

    def put(self, key: str, size: int, **fields: object) -> Timestamp:
        assert isinstance(self.store, ContainerStore)
        stamp = Timestamp(next(self.stamps))
        self.store.merge_rows(self.at, [ObjectRow(key, stamp, size=size, **fields)])  # type: ignore[arg-type]
        return stamp

    def release(self, key: str, written: Timestamp | None = None, size: int = 0, **fields: object) -> None:
        ended = RoomRelease(str(fields.pop("id", key)), key, Amount(1, size), 60.0, written)._replace(**fields)  # type: ignore[arg-type]
        self.store.end_reservation(self.at, ended, self.clock)

    def write(self, key: str, size: int) -> str:
        verdict = self.reserve(key, size)
        if verdict == GRANTED:
            self.release(key, self.put(key, size), size)
        return verdict


@pytest.fixture
def containers(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    store = ContainerStore(str(tmp_path), FILES, FAST)
    yield lambda **quota: Bench(
        store, Name("a", f"c{next(_numbers)}"), {f"X-Container-Meta-Quota-{key}": text for key, text in quota.items()}
    )
    store.close()


@pytest.fixture
def accounts(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    store = AccountStore(str(tmp_path), FILES, FAST)
    yield lambda **quota: Bench(
        store,
        Name(f"a{next(_numbers)}"),
        {f"X-Account-Sysmeta-Quota-{key.replace('_', '-')}": text for key, text in quota.items()},
    )
    store.close()


def test_open_reservations_count(containers: Callable[..., Bench]) -> None:
    bench = containers(Bytes="100")
    assert bench.reserve("a", 60) == GRANTED
    assert bench.reserve("b", 41) == WAIT
    assert bench.reserve("c", 40) == GRANTED
    assert bench.reserve("d", 101) == EXCEEDED


def test_a_reservation_that_was_not_granted_does_not_count(containers: Callable[..., Bench]) -> None:
    bench = containers(Bytes="100")
    assert bench.reserve("a", 101) == EXCEEDED
    assert bench.reserve("b", 100) == GRANTED


def test_the_room_of_a_write_that_failed_is_free(containers: Callable[..., Bench]) -> None:
    bench = containers(Bytes="100")
    bench.reserve("a", 100)
    assert bench.reserve("b", 100) == WAIT
    bench.release("a")
    assert bench.reserve("b", 100) == GRANTED


def test_a_row_takes_the_place_of_its_reservation(containers: Callable[..., Bench]) -> None:
    bench = containers(Bytes="100")
    bench.reserve("a", 60)
    stamp = bench.put("a", 60)
    assert bench.reserve("b", 40) == GRANTED  # counted once, before the release too
    bench.release("b")
    bench.release("a", stamp, 60)
    assert bench.reserve("b", 40) == GRANTED
    assert bench.reserve("c", 1) == WAIT


def test_a_reservation_stays_until_the_row_has_come(containers: Callable[..., Bench]) -> None:
    """The row may wait in a spool."""
    bench = containers(Bytes="100")
    bench.reserve("a", 60)
    bench.release("a", Timestamp(50), 60)
    assert bench.reserve("b", 60) == WAIT
    bench.store.merge_rows(bench.at, [ObjectRow("a", Timestamp(50), size=60)])  # type: ignore[list-item]
    assert bench.reserve("b", 60) == EXCEEDED


def test_a_reservation_ends_by_itself(containers: Callable[..., Bench]) -> None:
    bench = containers(Bytes="100")
    bench.reserve("a", 100)
    bench.clock.seconds += 59
    assert bench.reserve("b", 100) == WAIT
    bench.clock.seconds += 2
    assert bench.reserve("b", 100) == GRANTED


def test_a_clock_that_was_set_back_does_not_make_reservations_eternal(containers: Callable[..., Bench]) -> None:
    bench = containers(Bytes="100")
    bench.clock.seconds = 1e6
    bench.reserve("a", 100)
    bench.clock.seconds = 1e5
    assert bench.reserve("b", 100) == GRANTED


def test_overwriting_at_the_limits(containers: Callable[..., Bench]) -> None:
    bench = containers(Bytes="100", Count="2")
    assert bench.write("a", 60) == GRANTED
    assert bench.write("b", 40) == GRANTED
    assert bench.write("c", 0) == EXCEEDED
    assert bench.write("a", 60) == GRANTED
    assert bench.write("a", 61) == EXCEEDED
    assert bench.write("a", 10) == GRANTED
    assert bench.write("b", 90) == GRANTED


def test_a_smaller_object_over_the_quota(containers: Callable[..., Bench]) -> None:
    bench = containers(Bytes="100")
    bench.put("a", 500)
    assert bench.write("b", 1) == EXCEEDED
    assert bench.write("b", 0) == GRANTED
    assert bench.write("a", 400) == GRANTED
    assert bench.write("a", 401) == EXCEEDED


def test_two_writers_of_one_name_need_the_room_of_the_larger(containers: Callable[..., Bench]) -> None:
    bench = containers(Bytes="100", Count="1")
    assert bench.reserve("a", 60, id="1") == GRANTED
    assert bench.reserve("a", 100, id="2") == GRANTED
    assert bench.reserve("a", 101, id="3") == EXCEEDED
    bench.release("a", bench.put("a", 60), 60, id="1")
    assert bench.reserve("a", 90, id="4") == GRANTED


def test_listed_sizes_count_for_the_quota(containers: Callable[..., Bench]) -> None:
    """A static large object is listed with its full size, and counted with that of its manifest."""
    bench = containers(Bytes="100")
    bench.put("slo", 5, referenced=85)
    assert bench.write("a", 11) == EXCEEDED
    assert bench.store.policy_totals(bench.at)[0].bytes_used == 5
    assert bench.write("slo", 100) == GRANTED


def test_bytes_that_are_counted_elsewhere_do_not_count(containers: Callable[..., Bench]) -> None:
    bench = containers(Bytes="100", Count="2")
    bench.put("pointer", 90, elsewhere=True)
    assert bench.write("a", 100) == GRANTED
    assert bench.write("b", 0) == EXCEEDED


def test_bytes_of_hidden_containers_count(containers: Callable[..., Bench]) -> None:
    bench = containers(Bytes="100", Count="1")
    versions = MemberTotals("\0versions\0c", 0, Amount(5, 60), Timestamp(7))
    assert bench.reserve("v1", 41, versions, new=Amount(0, 41)) == EXCEEDED
    assert bench.reserve("v2", 40, versions, new=Amount(0, 40)) == GRANTED
    assert bench.reserve("a", 1) == WAIT
    bench.release("v2", Timestamp(9), totals=versions._replace(amount=Amount(6, 100), at=Timestamp(9)))
    assert bench.reserve("a", 1) == EXCEEDED
    # Older totals that come late do not count.
    assert bench.reserve("v3", 1, versions, new=Amount(0, 1)) == EXCEEDED


def test_a_reservation_in_any_case(containers: Callable[..., Bench]) -> None:
    bench = containers(Bytes="100")
    assert bench.reserve("a", 200, judged=False) == GRANTED
    assert bench.reserve("b", 1) == WAIT


def test_a_container_that_is_deleted_grants_nothing(containers: Callable[..., Bench]) -> None:
    bench = containers(Bytes="100")
    assert isinstance(bench.store, ContainerStore)
    bench.store.delete(bench.at, Timestamp(20))
    with pytest.raises(NotFound):
        bench.reserve("a", 1)
    with pytest.raises(NotFound):
        bench.store.standing(bench.at, "a")


def test_standing(containers: Callable[..., Bench]) -> None:
    bench = containers()
    assert isinstance(bench.store, ContainerStore)
    bench.put("a", 5)
    stamp = bench.put("slo", 7, referenced=83)
    bench.put("pointer", 30, elsewhere=True)
    standing = bench.store.standing(bench.at, "slo", bench.clock)
    assert (standing.listed, standing.counted) == (Amount(1, 90), Amount(1, 7))
    assert (standing.quota, standing.reported) == (Amount(3, 95), Amount(3, 12))
    assert (standing.changed, standing.at) == (stamp, Timestamp.from_seconds(1000))
    assert bench.store.standing(bench.at, "none").listed == Amount(0, 0)


# Accounts


def member(name: str, objects: int, size: int, at: int, policy: int = 0) -> MemberTotals:
    return MemberTotals(name, policy, Amount(objects, size), Timestamp(at))


def report(bench: Bench, name: str, objects: int, size: int, at: int, policy: int = 0) -> None:
    row = ContainerRow(name, Timestamp(1), Timestamp(0), objects, size, policy, Timestamp(at))
    bench.store.merge_rows(bench.at, [row])  # type: ignore[list-item]


def test_totals_that_come_with_writes_are_newer_than_reports(accounts: Callable[..., Bench]) -> None:
    bench = accounts(Bytes="100")
    report(bench, "c", 1, 10, at=20)
    assert bench.reserve("a", 60, member("c", 2, 40, at=30)) == GRANTED
    assert bench.reserve("b", 1, member("c", 2, 40, at=30)) == WAIT
    bench.release("a", Timestamp(31), 60, totals=member("c", 3, 100, at=40))
    assert bench.reserve("b", 1, member("d", 0, 0, at=41)) == EXCEEDED
    report(bench, "c", 1, 99, at=50)  # a daemon's, after a deletion
    assert bench.reserve("b", 1, member("d", 0, 0, at=41)) == GRANTED


def test_reports_count_for_members_that_write_no_more(accounts: Callable[..., Bench]) -> None:
    bench = accounts(Bytes="100")
    report(bench, "c", 1, 10, at=20)
    assert bench.reserve("a", 1, member("c", 1, 100, at=30)) == EXCEEDED
    bench.clock.seconds += 901
    assert bench.reserve("a", 1, member("d", 0, 0, at=31)) == GRANTED


def test_quotas_of_policies(accounts: Callable[..., Bench]) -> None:
    bench = accounts(Bytes="1000", Bytes_Policy_1="10", Count_Policy_1="5")
    report(bench, "gold", 1, 100, at=20)
    report(bench, "silver", 1, 5, at=20, policy=1)
    assert bench.reserve("a", 6, member("silver", 1, 5, 30, policy=1)) == POLICY_EXCEEDED
    assert bench.reserve("a", 5, member("silver", 1, 5, 30, policy=1)) == GRANTED
    assert bench.reserve("b", 100, member("gold", 1, 100, 30)) == GRANTED
    assert bench.reserve("e", 896, member("gold", 1, 100, 30)) == EXCEEDED


def test_an_object_that_shrank_meanwhile(accounts: Callable[..., Bench]) -> None:
    """A writer saw 90 bytes under the name; since then another has made 10 of them, and a third took the room."""
    bench = accounts(Bytes="100")
    assert bench.reserve("a", 10, member("c", 1, 90, at=20), id="small", old=Amount(1, 90)) == GRANTED
    bench.release("a", Timestamp(25), 10, id="small", totals=member("c", 1, 10, at=30))
    assert bench.reserve("b", 90, member("c", 1, 10, at=31)) == GRANTED
    assert bench.reserve("a", 90, member("c", 1, 90, at=20), id="late", old=Amount(1, 90)) != GRANTED


def test_an_object_that_another_may_shrink(accounts: Callable[..., Bench]) -> None:
    """Were both granted, the small one could free room for a third before the large one is made."""
    bench = accounts(Bytes="100")
    assert bench.reserve("a", 10, member("c", 1, 90, at=20), id="1", old=Amount(1, 90)) == GRANTED
    assert bench.reserve("a", 95, member("c", 1, 90, at=20), id="2", old=Amount(1, 90)) == WAIT
    bench.release("a", id="1", totals=member("c", 1, 90, at=30))
    assert bench.reserve("a", 95, member("c", 1, 90, at=31), id="2", old=Amount(1, 90)) == GRANTED


# A model: writers, of which each reserves, writes and releases, at any time between the steps of the others.

SIZES = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 60)), min_size=1, max_size=8)


@settings(max_examples=60, deadline=None)
@given(SIZES, st.data())
@pytest.mark.parametrize("kind", ["container", "account"])
def test_writers_never_exceed_a_quota(
    kind: str, shared: tuple[ContainerStore, AccountStore], writes: list[tuple[str, int]], data: st.DataObject
) -> None:
    name = Name("a", f"m{next(_numbers)}")
    objects = Bench(shared[0], name, {"X-Container-Meta-Quota-Bytes": "100"} if kind == "container" else {})
    account = Bench(shared[1], Name(f"a{next(_numbers)}"), {"X-Account-Sysmeta-Quota-Bytes": "100"})
    stages: dict[int, tuple[str, object]] = dict.fromkeys(range(len(writes)), ("new", None))

    def standing(key: str) -> tuple[MemberTotals, Amount]:
        found = shared[0].standing(objects.at, key, lambda: next(objects.stamps) / 100_000)
        return MemberTotals("m", 0, found.reported, found.at), found.counted

    while stages:
        number = data.draw(st.sampled_from(sorted(stages)))
        key, size = writes[number]
        stage, held = stages[number]
        if stage == "new":
            stages[number] = ("seen", standing(key))
        elif stage == "seen":
            if kind == "container":
                verdict = objects.reserve(key, size, id=number)
            else:
                totals, old = held  # type: ignore[misc]
                verdict = account.reserve(key, size, totals, id=number, old=old)
            if verdict == GRANTED:
                stages[number] = ("granted", None)
            else:
                del stages[number]
        elif stage == "granted":
            fails = data.draw(st.booleans())
            stages[number] = ("ended", None if fails else objects.put(key, size))
        elif stage == "ended":
            stages[number] = ("told", (held, standing(key)[0]))
        else:
            written, totals = held  # type: ignore[misc]
            if kind == "container":
                objects.release(key, written, size, id=number)
            else:
                account.release(key, written, size, id=number, totals=totals)
            del stages[number]
        assert shared[0].info(objects.at).bytes_used <= 100


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ContainerStore, AccountStore]]:
    root = tmp_path_factory.mktemp("shared")
    stores = ContainerStore(str(root), FILES, FAST), AccountStore(str(root), FILES, FAST)
    yield stores
    for store in stores:
        store.close()
