"""Rounds of devices: their order, their resumption, and what is told of them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from objstore.core.errors import DeviceUnavailable
from objstore.daemon.rounds import Position, Round, Rounds, SearchedPlace, Tour

LOGGER = logging.getLogger("test.daemon")


class Time:
    """A clock that is set by hand, and goes on by `tick` each time it is asked."""

    def __init__(self, now: float = 1_000_000.0, tick: float = 0.0) -> None:
        self.now = now
        self.tick = tick

    def __call__(self) -> float:
        self.now += self.tick
        return self.now


class Counting:
    """The work of a tour: numbers up to `last`, noted by device. broken: devices that fail."""

    def __init__(self, last: int = 5) -> None:
        self.last = last
        self.seen: list[tuple[str, int]] = []
        self.broken: set[str] = set()

    def work(self, place: SearchedPlace, found: Round) -> Iterator[Position]:
        (start,) = found.position or [0]
        for number in range(start, self.last):
            if place.name in self.broken:
                raise DeviceUnavailable(place.name)
            self.seen.append((place.name, number))
            found.count(things=1)
            yield [number + 1]


def places(root: Path, *names: str) -> list[SearchedPlace]:
    for name in names:
        (root / name).mkdir(exist_ok=True)
    return [SearchedPlace(name, str(root / name), None) for name in names]


def run(rounds: Rounds, most: int = 1000) -> list[BaseException]:
    """One pass, its slices done in turn; what they raised."""
    errors: list[BaseException] = []
    for unit, _ in zip(rounds.passes(), range(most), strict=False):
        try:
            unit()
        except DeviceUnavailable as error:
            errors.append(error)
    return errors


def saved(root: Path, name: str = "d1") -> Any:
    return json.loads((root / name / "rounds" / "duty.json").read_text())["rounds"]


def test_a_round_is_made_once_in_a_cycle(tmp_path: Path) -> None:
    counting, now = Counting(), Time()
    rounds = Rounds("duty", lambda: places(tmp_path, "d1"), [Tour("full", 100, counting.work)], LOGGER, now=now)
    run(rounds)
    run(rounds)
    assert counting.seen == [("d1", number) for number in range(5)]
    now.now += 100
    run(rounds)
    assert len(counting.seen) == 10
    assert rounds.status()["things_total"] == 10
    assert rounds.status()["devices"]["d1"]["full"]["last_counts"] == {"things": 5}


def test_at_once_a_round_that_is_not_due_is_made_once(tmp_path: Path) -> None:
    counting, now = Counting(), Time()

    def made(at_once: bool) -> Rounds:
        tours = [Tour("full", 100, counting.work), Tour("quick", 100, counting.work)]
        return Rounds("duty", lambda: places(tmp_path, "d1"), tours, LOGGER, now=now, at_once=at_once)

    run(made(False))
    now.now += 1
    rounds = made(True)
    run(rounds)
    assert len(counting.seen) == 20
    assert saved(tmp_path)["quick"]["last_began"] == now.now
    run(rounds)
    assert len(counting.seen) == 20


def test_devices_get_their_turns_slice_by_slice(tmp_path: Path) -> None:
    counting = Counting()
    rounds = Rounds(
        "duty",
        lambda: places(tmp_path, "d1", "d2"),
        [Tour("full", 100, counting.work)],
        LOGGER,
        monotonic=Time(tick=1.0),
        slice_seconds=2.0,
    )
    run(rounds)
    assert sorted(counting.seen) == [(name, number) for name in ("d1", "d2") for number in range(5)]
    assert [name for name, _ in counting.seen[:4]] == ["d1", "d1", "d2", "d2"]


def test_a_round_goes_on_after_a_restart(tmp_path: Path) -> None:
    counting, now = Counting(), Time()

    def made() -> Rounds:
        tours = [Tour("full", 100, counting.work)]
        return Rounds("duty", lambda: places(tmp_path, "d1"), tours, LOGGER, now=now, slice_seconds=0, save_interval=0)

    run(made(), 3)
    assert saved(tmp_path)["full"]["position"] == [3]
    rounds = made()
    run(rounds)
    assert counting.seen == [("d1", number) for number in range(5)]
    assert saved(tmp_path)["full"]["last_counts"] == {"things": 5}
    assert saved(tmp_path)["full"]["last_began"] == now.now
    run(made())
    assert len(counting.seen) == 5  # and a round that ended is not made again


def test_a_device_that_fails_is_left_alone_for_a_while_and_holds_no_other(tmp_path: Path) -> None:
    counting, monotonic = Counting(), Time()
    counting.broken = {"d1"}
    rounds = Rounds(
        "duty",
        lambda: places(tmp_path, "d1", "d2"),
        [Tour("full", 100, counting.work)],
        LOGGER,
        monotonic=monotonic,
        retry_after=60,
    )
    assert len(run(rounds)) == 1
    assert {name for name, _ in counting.seen} == {"d2"}
    counting.broken = set()
    assert not run(rounds)
    assert {name for name, _ in counting.seen} == {"d2"}
    monotonic.now += 61
    run(rounds)
    assert [number for name, number in counting.seen if name == "d1"] == list(range(5))


def test_while_a_device_hangs_the_others_go_their_rounds(tmp_path: Path) -> None:
    counting, now = Counting(), Time()
    rounds = Rounds("duty", lambda: places(tmp_path, "d1", "d2"), [Tour("full", 100, counting.work)], LOGGER, now=now)
    units = rounds.passes()
    next(units)  # of d1, which never ends
    next(units)()
    now.now += 200
    next(units)()
    assert {name for name, _ in counting.seen} == {"d2"}
    assert len(counting.seen) == 10
    units.close()


def test_told_to_end_a_slice_breaks_off_and_is_saved(tmp_path: Path) -> None:
    counting = Counting()

    def work(place: SearchedPlace, found: Round) -> Iterator[Position]:
        for position in counting.work(place, found):
            rounds.check()
            yield position
            rounds.stop()

    rounds = Rounds("duty", lambda: places(tmp_path, "d1"), [Tour("full", 100, work)], LOGGER)
    run(rounds)
    assert len(counting.seen) == 2
    assert saved(tmp_path)["full"]["position"] == [1]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"rounds": []}', '{"rounds": {"full": {"position": 3}}}'])
def test_a_file_that_cannot_be_read_begins_anew(tmp_path: Path, text: str) -> None:
    (tmp_path / "d1" / "rounds").mkdir(parents=True)
    (tmp_path / "d1" / "rounds" / "duty.json").write_text(text)
    (tmp_path / "d1" / "rounds" / "duty.json.0123456789ab.tmp").write_text("left over")
    counting = Counting()
    run(Rounds("duty", lambda: places(tmp_path, "d1"), [Tour("full", 100, counting.work)], LOGGER))
    assert len(counting.seen) == 5
    assert [path.name for path in (tmp_path / "d1" / "rounds").iterdir()] == ["duty.json"]


def test_a_tour_that_an_older_version_did_not_have_begins_without_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """After an upgrade each daemon warned of KeyError for each device."""
    counting = Counting()
    run(Rounds("duty", lambda: places(tmp_path, "d1"), [Tour("full", 100, counting.work)], LOGGER))
    tours = [Tour("full", 100, counting.work), Tour("second look", 100, counting.work)]
    run(Rounds("duty", lambda: places(tmp_path, "d1"), tours, LOGGER))
    assert set(saved(tmp_path)) == {"full", "second look"}
    assert not caplog.records


def test_a_beginning_in_the_future_is_none() -> None:
    found = Round()
    assert found.is_due(100, 1000)
    found.begin(2000)
    found.end(2010)
    assert not found.is_due(100, 2050)
    assert found.is_due(100, 1000)
    assert found.is_due(100, 2100)


def test_what_is_found_is_kept_up_to_a_bound() -> None:
    found = Round()
    for number in range(5000):
        found.find(str(number))
    assert len(found.findings) == 1000
    assert len(found.status()["findings"]) == 20
    assert Round.read(json.loads(json.dumps(found.as_json()))).as_json() == found.as_json()
