from __future__ import annotations

from dataclasses import dataclass
from time import sleep

import pytest

from objstore.core.errors import ConfigError
from objstore.http.crowd import Exempt, Neighbours, must_go, networks
from objstore.http.pace import Pace, TooSlow
from objstore.http.server import ServerSettings
from objstore.runtime import settings

NOW = 1000.0


@dataclass(eq=False)
class One:
    """A connection whose request, or wait for one, has lasted for so many seconds."""

    name: str
    age: float
    moved: int = 0
    known: bool = False
    is_idle: bool = False
    is_waited_for: bool = True

    @property
    def since(self) -> float:
        return NOW - self.age


def names(members: list[One]) -> list[str]:
    return [one.name for one in members]


def test_the_slowest_guest_goes_first() -> None:
    members = [One("new", 1), One("slow", 20), One("slowest", 30), One("fast", 100, moved=1 << 30), One("idle", 25)]
    assert names(must_go(members, 4, NOW)) == ["slowest", "idle", "slow", "new"]


def test_idle_connections_of_known_clients_go_after_all_guests() -> None:
    members = [One("known", 70, known=True, is_idle=True), One("young", 1, known=True, is_idle=True), One("guest", 0.5)]
    assert names(must_go(members, 3, NOW)) == ["guest", "known", "young"]


def test_requests_of_known_clients_and_those_at_work_stay() -> None:
    members = [One("known", 500, known=True), One("at work", 500, is_waited_for=False), One("begun", 0.1)]
    assert must_go(members, 3, NOW) == []


def test_guests_of_one_address_are_limited() -> None:
    neighbours: Neighbours[One] = Neighbours()
    neighbours.members = {One(f"g{age}", age) for age in range(1, 33)}
    leaving = neighbours.too_many(32, NOW)
    assert names(leaving) == ["g32", "g31", "g30", "g29"]
    neighbours.members -= set(leaving)
    ended = 0
    for number in range(100):
        neighbours.members.add(One(f"n{number}", 0.5))
        leaving = neighbours.too_many(32, NOW)
        neighbours.members -= set(leaving)
        ended += len(leaving)
        assert len(neighbours.members) <= 33
    assert ended >= 94


def test_all_guests_above_the_limit_go_at_once_when_they_have_had_their_time() -> None:
    # A few went for each newcomer while hundreds were too many, and all were looked at each time.
    neighbours: Neighbours[One] = Neighbours()
    neighbours.members = {One(f"g{age}", 0.1) for age in range(320)}
    assert neighbours.too_many(32, NOW) == []
    for one in neighbours.members:
        one.age = 1
    assert neighbours.too_many(32, NOW + 0.01) == []  # not looked at again so soon
    assert len(neighbours.too_many(32, NOW + 0.06)) == 320 - 32 + 4


def test_known_clients_of_one_address_are_not_limited() -> None:
    # Behind a load balancer, all clients have one address.
    neighbours: Neighbours[One] = Neighbours()
    for number in range(1000):
        neighbours.members.add(One(f"k{number}", 5, known=True))
        assert neighbours.too_many(32, NOW) == []
    neighbours.members |= {One(f"g{number}", 5) for number in range(64)}
    assert any(neighbours.too_many(32, NOW) for _ in range(32))


def test_exempt_addresses() -> None:
    exempt = Exempt(networks("10.0.0.0/8, 192.0.2.7 2001:db8::/32"))
    assert "10.1.2.3" in exempt and "192.0.2.7" in exempt and "2001:db8::1" in exempt and "::ffff:10.0.0.1" in exempt
    assert "192.0.2.8" not in exempt and "" not in exempt and "unknown" not in exempt
    with pytest.raises(ConfigError, match="exempt_addresses"):
        settings.read(ServerSettings, {"exempt_addresses": "10.0.0.1/8"})


def test_trickling_client_is_too_slow() -> None:
    pace = Pace(1000.0, 0.05, 100.0)
    moved = 0

    def wait(timeout: float) -> None:
        sleep(0.02)

    with pytest.raises(TooSlow, match="slower"):
        for moved in range(100):
            pace.wait(wait, 60, moved)
    assert moved < 6
    pace.begin()
    for number in range(12):
        pace.wait(wait, 60, number * 1000)


def test_request_has_a_longest_time() -> None:
    pace = Pace(0.0, 60.0, 0.01)
    asked: list[float] = []
    pace.wait(asked.append, 60, 0)
    assert asked[0] <= 0.01
    with pytest.raises(TooSlow, match="longer"):
        while True:
            pace.wait(asked.append, 60, 0)
