"""What becomes of the contents of deleted accounts."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from harness.in_process import InProcess, run_pass

from objstore.assembly.duties import cleaners, updaters
from objstore.assembly.surroundings import Work
from objstore.core.names import Name
from objstore.core.timestamps import ZERO, Timestamp
from objstore.core.versions import MARKER_TYPE, UNLISTED
from objstore.daemon.duties.account_reaper import ReaperOptions, due_at, is_newer, is_to_be_reaped
from objstore.daemon.replica_client import ReplicaReply
from objstore.store.databases import AccountStatus, ContainerRow

ACCOUNT = Name("AUTH_t")
GOLD, SILVER, HIDDEN = Name("AUTH_t", "gold"), Name("AUTH_t", "silver"), Name("AUTH_t", "\x00parts\x00gold")
POLICIES = {GOLD: 0, SILVER: 1, HIDDEN: 0}
PROMPT = {"account_reaper_takeover": "1h"}


@pytest.fixture
def store(tmp_path: Path) -> InProcess:
    """An account with a few objects in containers of both policies, and in a hidden one."""
    made = InProcess(tmp_path)
    for container, policy in POLICIES.items():
        assert made("PUT", container, X_Storage_Policy=("gold", "silver")[policy]).status == 201
        for number in range(3):
            assert made("PUT", container._replace(object=f"o{number}"), b"content").status == 201
    run_pass(updaters.CONTAINER_UPDATER.make(made.around()))
    return made


@pytest.fixture
def reaper(store: InProcess) -> Work:
    return cleaners.ACCOUNT_REAPER.make(store.around(**PROMPT))


def contents(store: InProcess, containers: Any = POLICIES) -> list[str]:
    """Copies of objects that are left anywhere."""
    return [
        device
        for container in containers
        for number in range(3)
        for device in store.copies(container._replace(object=f"o{number}"), POLICIES[container])
    ]


def listed(store: InProcess) -> list[int]:
    """How many containers each replica of the account has."""
    infos = [store.device(device).accounts.status(store.location(ACCOUNT)) for device in store.primaries(ACCOUNT)]
    return [info.container_count for info in infos]


def delete_account(store: InProcess) -> None:
    assert store("DELETE", ACCOUNT).status == 204


def run(*works: Work, passes: int = 3) -> None:
    for _ in range(passes):
        for work in works:
            run_pass(work)


def test_a_deleted_account_is_emptied(store: InProcess, reaper: Work) -> None:
    delete_account(store)
    assert len(contents(store)) == 27
    run(reaper)
    assert contents(store) == []
    assert listed(store) == [0, 0, 0]
    for container in POLICIES:
        for device in store.primaries(container):
            assert store.device(device).containers.status(store.location(container)).deleted
    report = reaper.status()
    assert (report["objects_reaped_total"], report["containers_reaped_total"], report["waiting"]) == (9, 3, 0)
    later = Timestamp.from_seconds(time.time() + 10)
    for device in store.primaries(ACCOUNT):
        assert store.device(device).accounts.remove(store.location(ACCOUNT), later)


def test_delete_markers_of_a_deleted_account_go_too(store: InProcess, reaper: Work) -> None:
    # No listing shows them, and a container that has one is not deleted.
    marked = GOLD._replace(object="marked")
    headers = {"Content_Type": MARKER_TYPE, UNLISTED.replace("-", "_"): "true"}
    assert store("PUT", marked, b"[]", **headers).status == 201
    delete_account(store)
    run(reaper)
    assert store.copies(marked, 0) == []
    for device in store.primaries(GOLD):
        assert store.device(device).containers.status(store.location(GOLD)).deleted


def test_a_live_account_is_left_alone(store: InProcess, reaper: Work) -> None:
    run(reaper, passes=2)
    assert len(contents(store)) == 27
    assert store("HEAD", GOLD._replace(object="o1")).status == 200


def test_nothing_goes_before_the_delay(store: InProcess) -> None:
    delete_account(store)
    work = cleaners.ACCOUNT_REAPER.make(store.around(account_reaper_delay="1h"))
    run(work)
    assert len(contents(store)) == 27
    assert work.status()["waiting"] == 3  # replicas


def revive(store: InProcess) -> None:
    """Create the account again, as happens where its databases are lost while a deleted one is away."""
    now = Timestamp.from_seconds(time.time())
    for device in store.primaries(ACCOUNT):
        store.device(device).accounts.create(store.location(ACCOUNT), ACCOUNT, now, {}, revive=True)


def put_newer(store: InProcess, name: Name, method: str = "PUT", replicas: int = 3, **headers: str) -> None:
    """Change an object on its devices as a proxy does that does not know of the account's deletion."""
    stamp = Timestamp.from_seconds(time.time() + 1).internal
    for device in store.primaries(name)[:replicas]:
        sent = {"X_Timestamp": stamp, "Content_Type": "a/b", "Content_Length": "1", **headers}
        assert store.ask(device, method, name, body=b"n", **sent).status in (201, 202)


def test_a_deleted_account_is_not_created_again(store: InProcess, reaper: Work) -> None:
    delete_account(store)
    assert store("PUT", Name("AUTH_t", "new")).status == 503
    run(reaper)
    assert store("PUT", ACCOUNT).status == 403
    assert store("POST", ACCOUNT, X_Account_Meta_A="1").status == 404
    answer = store("HEAD", ACCOUNT)
    assert (answer.status, answer.headers["X-Account-Status"]) == (410, "Deleted")
    assert store("DELETE", ACCOUNT).status == 404
    assert store("PUT", Name("AUTH_t", "new")).status == 503
    assert contents(store) == []


def test_an_account_is_created_again_once_its_deletion_is_forgotten(store: InProcess, reaper: Work) -> None:
    delete_account(store)
    run(reaper)
    later = Timestamp.from_seconds(time.time() + 10)
    for device in store.primaries(ACCOUNT):
        assert store.device(device).accounts.remove(store.location(ACCOUNT), later)
    assert store("PUT", GOLD).status == 201
    assert store("HEAD", ACCOUNT).status == 204
    assert store("HEAD", GOLD._replace(object="o0")).status == 404


def test_one_replica_that_knows_the_deletion_keeps_the_account_deleted(store: InProcess) -> None:
    """New databases on devices that lost theirs would be newer than the deletion, and revive what is not reaped."""
    delete_account(store)
    for device in store.primaries(ACCOUNT)[1:]:
        accounts = store.device(device).accounts
        accounts.release()
        shutil.rmtree(Path(accounts.path(store.location(ACCOUNT))).parent)
    assert store("PUT", ACCOUNT).status == 403
    assert store("PUT", Name("AUTH_t", "new")).status == 503


def test_a_replica_that_missed_the_deletion_does_not_undo_it(store: InProcess) -> None:
    away = store.primaries(ACCOUNT)[0]
    store.net.down.add(away)
    delete_account(store)
    store.net.down.clear()
    stamp = Timestamp.from_seconds(time.time() + 1).internal
    assert store.ask(away, "PUT", ACCOUNT, X_Timestamp=stamp).status == 202
    deleted = store.device(store.primaries(ACCOUNT)[1]).accounts.status(store.location(ACCOUNT))
    accounts = store.device(away).accounts
    accounts.merge_status(store.location(ACCOUNT), deleted)
    assert accounts.status(store.location(ACCOUNT)).deleted


def test_what_is_written_to_an_account_that_was_revived_stays(store: InProcess, reaper: Work) -> None:
    delete_account(store)
    revive(store)
    new = Name("AUTH_t", "new")
    assert store("PUT", new).status == 201
    assert store("PUT", new._replace(object="o0"), b"new").status == 201
    assert store("PUT", GOLD).status == 202
    assert store("PUT", GOLD._replace(object="o0"), b"newer").status == 201
    run(reaper)
    assert store("GET", new._replace(object="o0")).read() == b"new"
    assert store("GET", GOLD._replace(object="o0")).read() == b"newer"
    assert contents(store, [SILVER, HIDDEN]) == []
    assert run_pass(reaper).units <= 3  # which look at the account, no more at what is in it


def test_what_is_newer_stays_while_a_replica_does_not_answer_that_it_is_deleted(store: InProcess) -> None:
    """The account may have been created again there."""
    delete_account(store)
    name = GOLD._replace(object="o0")
    put_newer(store, name)
    store.net.down.add(store.primaries(ACCOUNT)[2])
    for host in (int(device[1:]) for device in store.primaries(ACCOUNT)[:2]):
        run(cleaners.ACCOUNT_REAPER.make(store.around(host, account_reaper_takeover="0")))
    store.net.down.clear()
    assert [device for device in store.primaries(name) if device not in store.copies(name)] == []


def test_what_was_written_after_the_deletion_goes_too(store: InProcess, reaper: Work) -> None:
    """A proxy may not have known of the deletion yet. It would else keep the account from being forgotten for ever."""
    new = Name("AUTH_t", "new")
    delete_account(store)
    put_newer(store, GOLD._replace(object="o0"))
    put_newer(store, GOLD._replace(object="o1"), "POST", 2, X_Object_Meta_Color="blue")
    stamp = Timestamp.from_seconds(time.time() + 1)
    for device in store.primaries(new):
        headers = {"X_Timestamp": stamp.internal, "X_Backend_Storage_Policy_Default": "0"}
        assert store.ask(device, "PUT", new, **headers).status == 201
    for device in store.primaries(ACCOUNT):
        store.device(device).accounts.merge_rows(store.location(ACCOUNT), [ContainerRow("new", stamp)])
    run(reaper, passes=4)
    assert contents(store) == []
    assert listed(store) == [0, 0, 0]
    for container in (GOLD, new):
        for device in store.primaries(container):
            assert store.device(device).containers.status(store.location(container)).deleted


STAMP = Timestamp(5)


def has(raw: int, status: int = 200) -> ReplicaReply:
    return ReplicaReply(status, {"X-Backend-Timestamp": Timestamp(raw).internal})


@pytest.mark.parametrize(
    "looks, expected",
    [
        ([has(4), has(4), has(4)], False),
        ([has(4), has(6), has(4)], True),
        ([has(4), has(6, 404), has(4)], False),  # deleted since
        ([has(4), has(4), ReplicaReply(0)], False),
        ([has(4), ReplicaReply(507), ReplicaReply(0)], None),
        ([has(4), ReplicaReply(0)], None),
        ([ReplicaReply(404)] * 3, False),
    ],
)
def test_whether_an_object_is_newer_than_the_deletion(looks: list[ReplicaReply], expected: bool | None) -> None:
    assert is_newer(looks, STAMP) is expected


def test_what_cannot_be_deleted_everywhere_is_tried_again(store: InProcess, reaper: Work) -> None:
    delete_account(store)
    away = store.primaries(GOLD._replace(object="o0"))[0]
    store.net.down.add(away)
    run(reaper)
    store.net.down.clear()
    assert contents(store) != []
    assert reaper.status()["failed_total"] > 0
    run(reaper, passes=4)
    assert contents(store) == []
    assert listed(store) == [0, 0, 0]


def test_a_container_that_is_nowhere_goes_from_the_account(store: InProcess, reaper: Work) -> None:
    row = (
        b'[{"name":"ghost","put_timestamp":"0000000001.00000","delete_timestamp":"0000000000.00000",'
        b'"object_count":7,"bytes_used":7,"policy_index":0}]'
    )
    for device in store.primaries(ACCOUNT):
        answer = store.ask(device, "POST", ACCOUNT, query="rows=1", body=row, X_Timestamp="0000000002.00000")
        assert answer.status == 202
    delete_account(store)
    run(reaper)
    assert listed(store) == [0, 0, 0]


def test_the_first_host_begins_and_others_follow(store: InProcess) -> None:
    delete_account(store)
    hosts = [int(device[1:]) for device in store.primaries(ACCOUNT)]
    works = {host: cleaners.ACCOUNT_REAPER.make(store.around(host, account_reaper_takeover="1")) for host in hosts}
    (other,) = {1, 2, 3, 4} - set(hosts)
    works[other] = cleaners.ACCOUNT_REAPER.make(store.around(other, account_reaper_takeover="1"))
    for host in (other, *hosts[1:]):
        run_pass(works[host])
    assert len(contents(store)) == 27
    time.sleep(1.1)
    run(works[hosts[1]])
    assert contents(store) == []


def test_a_pass_with_nothing_to_do_asks_no_one(store: InProcess, reaper: Work) -> None:
    run_pass(reaper)
    store.net.asked.clear()
    run_pass(reaper)
    assert store.net.asked == []


# Decisions


@pytest.mark.parametrize(
    "put, deleted, containers, now, expected",
    [
        (10, 0, 3, 100, False),
        (10, 20, 3, 100, True),
        (10, 20, 0, 100, False),
        (30, 20, 3, 100, True),
        (30, 20, 3, 2000, False),
        (10, 20, 3, 2000, True),
    ],
)
def test_which_accounts_are_worth_a_look(put: int, deleted: int, containers: int, now: int, expected: bool) -> None:
    put_at, deleted_at = (Timestamp.from_seconds(seconds) for seconds in (put, deleted))
    info = AccountStatus(ACCOUNT, put_at, put_at, deleted_at, ZERO, containers, 0, 0, {}, "id")
    assert is_to_be_reaped(info, now, ReaperOptions(warn_after=1000)) is expected


def test_hosts_take_turns() -> None:
    at = Timestamp.from_seconds(1000)
    info = AccountStatus(ACCOUNT, ZERO, ZERO, at, ZERO, 1, 0, 0, {}, "id")
    assert [due_at(info, turn, ReaperOptions(delay=50, takeover=7)) for turn in range(3)] == [1050, 1057, 1064]
