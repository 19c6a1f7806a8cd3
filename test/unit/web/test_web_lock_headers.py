"""The headers of object lock: which requests are refused because a hold that they ask for would not be set."""

from __future__ import annotations

import pytest

from objstore.core.object_lock import ON, Duration, LockChange
from objstore.web.lock_headers import BadLockHeader, LockHeaders

NAMES = LockHeaders("Mode", "Until", "Legal", "Event", "Days", "Years")
NOW = 1_700_000_000_000
LATER, LATER_MILLIS = "2030-01-01T00:00:00Z", 1_893_456_000_000


def test_what_is_not_sent_stays_as_it_is() -> None:
    assert NAMES.change({"Content-Type": "text/plain"}, NOW) == LockChange()


def test_a_retention_and_both_holds() -> None:
    headers = {"Mode": "COMPLIANCE", "Until": LATER, "Legal": "OFF", "Event": "ON", "Days": "7"}
    assert NAMES.change(headers, NOW) == LockChange(("COMPLIANCE", LATER_MILLIS), "OFF", ON, Duration(days=7))


@pytest.mark.parametrize(
    ("headers", "blamed"),
    [
        ({"Mode": "", "Until": ""}, "Mode"),
        ({"Mode": "", "Until": LATER}, "Mode"),
        ({"Mode": "GOVERNANCE", "Until": ""}, "Until"),
        ({"Mode": ""}, "Until"),
        ({"Until": ""}, "Mode"),
        ({"Legal": ""}, "Legal"),
        ({"Event": ""}, "Event"),
        ({"Event": "ON", "Days": ""}, "Days"),
        ({"Event": "ON", "Years": ""}, "Years"),
    ],
)
def test_an_empty_header_does_not_leave_the_object_without_a_hold(headers: dict[str, str], blamed: str) -> None:
    with pytest.raises(BadLockHeader) as refused:
        NAMES.requested(headers, NOW)
    assert refused.value.header == blamed


@pytest.mark.parametrize(
    "headers",
    [
        {"Mode": "GOVERNANCE,GOVERNANCE", "Until": LATER},
        {"Mode": "GOVERNANCE", "Until": f"{LATER},{LATER}"},
        {"Legal": "ON,OFF"},
        {"Event": "ON", "Days": "1", "Years": "1"},
        {"Event": "OFF", "Days": "1"},
    ],
)
def test_headers_that_are_sent_twice_or_contradict_each_other_are_refused(headers: dict[str, str]) -> None:
    with pytest.raises(BadLockHeader):
        NAMES.requested(headers, NOW)
