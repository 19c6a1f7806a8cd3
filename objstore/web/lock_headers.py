"""The headers of object lock: of requests and answers of both APIs, which differ only in how the names begin."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from objstore.core.errors import InvalidInput
from objstore.core.numbers import whole
from objstore.core.object_lock import MODES, NO_DURATION, OFF, ON, Duration, Lock, LockChange, iso_date
from objstore.web.conditions import http_date_seconds


class BadLockHeader(InvalidInput):
    """A header of object lock that makes no sense. header: its name; value: as sent, '' if it is missing."""

    def __init__(self, message: str, header: str, value: str) -> None:
        super().__init__(message)
        self.header = header
        self.value = value


class LockHeaders:
    """The names of the headers, canonical."""

    def __init__(
        self, mode: str, until: str, legal_hold: str, event_hold: str, event_days: str, event_years: str
    ) -> None:
        self.mode, self.until, self.legal_hold = mode, until, legal_hold
        self.event_hold, self.event_days, self.event_years = event_hold, event_days, event_years
        self.of_retention = frozenset({mode, until, event_hold, event_days, event_years})
        self.names = self.of_retention | {legal_hold}

    def change(self, headers: Mapping[str, str], now: int) -> LockChange:
        """Return the change that a request asks for. now: milliseconds since the epoch. Raises BadLockHeader.

        An empty header is refused: a client that sends one believes that the object is held.
        """
        mode, until = headers.get(self.mode), headers.get(self.until)
        if (mode is None) != (until is None):
            message = f"{self.until.lower()} and {self.mode.lower()} must both be supplied"
            raise BadLockHeader(message, self.mode if mode is None else self.until, "")
        if mode is not None and mode not in MODES:
            raise BadLockHeader("Unknown wormMode directive.", self.mode, mode)
        legal_hold = self._switch(headers, self.legal_hold, "Legal Hold")
        event_hold = self._switch(headers, self.event_hold, "Event Hold")
        duration = self._duration(headers, event_hold)
        retention = None if mode is None or until is None else (mode, date(until, self.until, now))
        return LockChange(retention, legal_hold, event_hold, duration)

    def requested(self, headers: Mapping[str, str], now: int) -> Lock:
        """Return the lock that a request asks for a new object. Raises BadLockHeader."""
        change = self.change(headers, now)
        mode, until = change.retention or ("", 0)
        return Lock(mode, until, change.legal_hold, change.event_hold, change.duration or NO_DURATION)

    def _switch(self, headers: Mapping[str, str], name: str, noun: str) -> str:
        value = headers.get(name)
        if value not in (None, ON, OFF):
            raise BadLockHeader(f"{noun} must be either of 'ON' or 'OFF'", name, value or "")
        return value or ""

    def _duration(self, headers: Mapping[str, str], event_hold: str) -> Duration | None:
        sent = [name for name in (self.event_days, self.event_years) if name in headers]
        if not sent:
            return None
        if event_hold != ON:
            raise BadLockHeader("An event hold duration needs an event hold that is ON", sent[0], headers[sent[0]])
        days, years = (whole(headers.get(name, "0")) for name in (self.event_days, self.event_years))
        duration = Duration(days or 0, years or 0)
        if len(sent) > 1 or days is None or years is None or not duration.valid:
            message = "The event hold duration must be 1 to 36500 days, or 1 to 100 years, but not both"
            raise BadLockHeader(message, sent[0], headers[sent[0]])
        return duration

    def shown(self, lock: Lock, retention: bool = True, legal_hold: bool = True) -> dict[str, str]:
        """Return the headers of an answer. retention, legal_hold: whether the client may see these."""
        headers: dict[str, str] = {}
        if retention and lock.mode and lock.until:
            headers |= {self.mode: lock.mode, self.until: iso_date(lock.until)}
        if retention and lock.event_hold:
            headers[self.event_hold] = lock.event_hold
            if lock.duration.days:
                headers[self.event_days] = str(lock.duration.days)
            if lock.duration.years:
                headers[self.event_years] = str(lock.duration.years)
        if legal_hold and lock.legal_hold:
            headers[self.legal_hold] = lock.legal_hold
        return headers


def date(text: str, header: str, now: int) -> int:
    """Return the date of a retention in milliseconds since the epoch. Raises BadLockHeader for a past one."""
    try:
        parsed = datetime.fromisoformat(text.strip())
        seconds = parsed.timestamp() if parsed.tzinfo is not None else None
    except (ValueError, OverflowError):
        seconds = http_date_seconds(text)
    if seconds is None:
        raise BadLockHeader("The retain until date must be provided in ISO 8601 format", header, text)
    millis = round(seconds * 1000)
    if millis <= now:
        raise BadLockHeader("The retain until date must be in the future!", header, text)
    return millis
