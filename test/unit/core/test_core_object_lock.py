"""The decisions of object lock, as tables."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.core.errors import InvalidInput
from objstore.core.object_lock import (
    COMPLIANCE,
    GOVERNANCE,
    MODES,
    NO_DURATION,
    NO_LOCK,
    OFF,
    ON,
    Duration,
    Lock,
    LockChange,
    LockRule,
    changed,
    hold,
    iso_date,
    must_be_past,
    refusal,
    weakens,
)

NOW = 1_800_000_000_000
DAY = 86_400_000
SWITCHES = st.sampled_from(["", ON, OFF])
DURATIONS = st.one_of(
    st.just(NO_DURATION),
    st.integers(1, 36500).map(lambda days: Duration(days, 0)),
    st.integers(1, 100).map(lambda years: Duration(0, years)),
)
RETENTIONS = st.one_of(st.just(("", 0)), st.tuples(st.sampled_from(MODES), st.integers(NOW - 9 * DAY, NOW + 9 * DAY)))
LOCKS = st.builds(
    lambda retention, *rest: Lock(*retention, *rest), RETENTIONS, SWITCHES, SWITCHES, DURATIONS, st.booleans()
)


def governed(until: int) -> Lock:
    return Lock(GOVERNANCE, until)


def complying(until: int) -> Lock:
    return Lock(COMPLIANCE, until)


@given(LOCKS)
def test_a_state_is_parsed_as_it_was_written(lock: Lock) -> None:
    assert Lock.parse(lock.dump()) == lock


@pytest.mark.parametrize("text", ["mode", "until=x", "days=", "mode=GOVERNANCE  until=5"])
def test_text_that_is_no_state_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        Lock.parse(text)


@pytest.mark.parametrize(
    ("lock", "held", "held_in_spite_of_bypass"),
    [
        (NO_LOCK, False, False),
        (governed(NOW + 1), True, False),
        (governed(NOW), False, False),
        (complying(NOW + 1), True, True),
        (complying(NOW), False, False),
        (Lock(legal_hold=ON), True, True),
        (Lock(legal_hold=OFF), False, False),
        (Lock(event_hold=ON), True, True),
        (Lock(event_hold=ON, duration=Duration(1)), True, True),
        (Lock(event_hold=OFF), False, False),
        (complying(NOW - DAY)._replace(legal_hold=ON), True, True),
    ],
)
def test_what_holds_a_version(lock: Lock, held: bool, held_in_spite_of_bypass: bool) -> None:
    assert bool(hold(lock, NOW)) == held
    assert bool(hold(lock, NOW, bypass=True)) == held_in_spite_of_bypass


@pytest.mark.parametrize(
    ("old", "new", "plain", "bypass"),
    [
        (NO_LOCK, complying(NOW + DAY), True, True),
        (governed(NOW + DAY), governed(NOW + 2 * DAY), True, True),
        (governed(NOW + DAY), governed(NOW + DAY - 1), False, True),
        (governed(NOW + DAY), complying(NOW + 2 * DAY), False, True),
        (governed(NOW + DAY), NO_LOCK, False, True),
        (governed(NOW - 1), NO_LOCK, True, True),
        (complying(NOW + DAY), complying(NOW + DAY), True, True),
        (complying(NOW + DAY), complying(NOW + DAY - 1), False, False),
        (complying(NOW + DAY), governed(NOW + 2 * DAY), False, False),
        (complying(NOW + DAY), NO_LOCK, False, False),
        (complying(NOW), NO_LOCK, True, True),
        (Lock(event_hold=ON, duration=Duration(9)), Lock(event_hold=ON, duration=Duration(8)), False, True),
        (Lock(event_hold=ON, duration=Duration(9)), Lock(event_hold=ON, duration=Duration(0, 1)), True, True),
        (Lock(event_hold=ON, duration=Duration(9)), Lock(event_hold=ON), False, True),
        (
            complying(NOW)._replace(event_hold=ON, duration=Duration(9)),
            complying(NOW)._replace(event_hold=ON, duration=Duration(8)),
            False,
            False,
        ),
    ],
)
def test_which_changes_a_lock_allows(old: Lock, new: Lock, plain: bool, bypass: bool) -> None:
    assert (refusal(old, new, NOW) == "") == plain
    assert (refusal(old, new, NOW, bypass=True) == "") == bypass


def test_what_a_change_leaves_out_stays() -> None:
    lock = Lock(COMPLIANCE, NOW + DAY, ON, ON, Duration(3))
    assert changed(lock, LockChange(), NOW) == lock
    assert changed(lock, LockChange(legal_hold=OFF), NOW) == lock._replace(legal_hold=OFF)
    assert changed(lock, LockChange((COMPLIANCE, NOW + 2 * DAY)), NOW) == lock._replace(until=NOW + 2 * DAY)


@pytest.mark.parametrize(
    ("lock", "released"),
    [
        (Lock(event_hold=ON, duration=Duration(2)), governed(NOW + 2 * DAY)),
        (Lock(event_hold=ON), NO_LOCK),
        (complying(NOW + DAY)._replace(event_hold=ON, duration=Duration(2)), complying(NOW + 2 * DAY)),
        (complying(NOW + 3 * DAY)._replace(event_hold=ON, duration=Duration(2)), complying(NOW + 3 * DAY)),
    ],
)
def test_the_duration_of_an_event_hold_begins_with_its_release(lock: Lock, released: Lock) -> None:
    assert changed(lock, LockChange(event_hold=OFF), NOW) == released._replace(event_hold=OFF)


@given(LOCKS, RETENTIONS, SWITCHES, SWITCHES, st.one_of(st.none(), DURATIONS))
def test_nothing_shortens_compliance(
    lock: Lock, retention: tuple[str, int], legal_hold: str, event_hold: str, duration: Duration | None
) -> None:
    new = changed(lock, LockChange(retention, legal_hold, event_hold, duration), NOW)
    if lock.mode == COMPLIANCE and lock.until > NOW and not refusal(lock, new, NOW, bypass=True):
        assert new.mode == COMPLIANCE
        assert new.until >= lock.until
        assert not weakens(lock, new)


@given(LOCKS, st.booleans())
def test_what_may_be_deleted_now_waits_for_no_clock_of_the_future(lock: Lock, bypass: bool) -> None:
    if not hold(lock, NOW, bypass):
        assert must_be_past(lock, bypass) <= NOW


def test_a_year_is_a_year_of_the_calendar() -> None:
    def millis(*date: int) -> int:
        return int(datetime(*date, tzinfo=UTC).timestamp() * 1000)  # type: ignore[arg-type, misc]

    assert Duration(0, 1).after(millis(2027, 3, 1)) == millis(2028, 3, 1)
    assert Duration(0, 1).after(millis(2028, 2, 29)) == millis(2029, 3, 1)
    assert Duration(2).after(millis(2028, 2, 28)) == millis(2028, 3, 1)
    assert Duration(0, 100).after(millis(9990, 1, 1)) == millis(9999, 1, 1)
    assert Duration(36500).after(millis(9990, 1, 1)) == millis(9999, 12, 31)


def test_dates_have_milliseconds() -> None:
    assert iso_date(1893456000007) == "2030-01-01T00:00:00.007Z"


@given(st.builds(LockRule, st.sampled_from(["", *MODES]), DURATIONS, DURATIONS))
def test_a_rule_is_parsed_as_it_was_written(rule: LockRule) -> None:
    assert LockRule.parse(rule.dump()) == rule


def test_a_rule_counts_for_what_has_no_lock_of_its_own() -> None:
    rule = LockRule(COMPLIANCE, Duration(1), Duration(2))
    by_rule = Lock(COMPLIANCE, NOW + DAY, "", ON, Duration(2))
    assert rule.applied(NO_LOCK, NOW) == by_rule
    assert rule.applied(Lock(legal_hold=ON), NOW) == by_rule._replace(legal_hold=ON)
    assert rule.applied(governed(NOW + 9), NOW) == governed(NOW + 9)._replace(event_hold=ON, duration=Duration(2))
    assert rule.applied(Lock(event_hold=OFF), NOW) == complying(NOW + DAY)._replace(event_hold=OFF)
    assert LockRule().applied(NO_LOCK, NOW) == NO_LOCK
