"""Object lock: what holds a version, until when, and which changes of that are allowed. Pure decisions.

A version is held by its *retention* (a mode, and the date until which it counts), by a *legal hold* without a date, or
by an *event hold*, which has no date either until the event comes: when it is released, a retention of its duration
begins. What is held cannot be deleted or overwritten; new versions of its key can be written.

- COMPLIANCE: until the date nobody can delete the version, shorten the retention or change its mode.
- GOVERNANCE: the same, but for a caller who may bypass it, and says so.
- A legal hold and an event hold end only by being set to OFF, whatever the mode.

The state is stored with the version in one header, `LOCK`, as a text; '' means that nothing was ever set:

    state = "" | pair *(" " pair)
    pair  = ("mode=" "GOVERNANCE" | "COMPLIANCE") | ("until=" milliseconds since the epoch)
          | ("legal=" | "event=") ("ON" | "OFF") | ("days=" | "years=") number | "removing=1"

for example `mode=COMPLIANCE until=1893456000000 legal=OFF`. `days` or `years` is the duration of the event hold.
`removing`: the version is being deleted; it was judged, and no hold can be set any more.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from objstore.core.errors import InvalidInput
from objstore.core.metadata import TRANSIENT_SYSMETA

LOCK = f"{TRANSIENT_SYSMETA}Lock"
LOCK_SYSMETA = "X-Container-Sysmeta-S3-Object-Lock-0"  # of a container with object lock: the rule for new versions
# Conditions of a change, between proxies and storage servers.
IF_LOCK = "X-Backend-If-Lock"  # the state that the object must have
IF_PAST = "X-Backend-If-Past"  # milliseconds since the epoch that the server's clock must have passed
JUDGED = "X-Backend-Lock-Judged"  # with a change whose condition was checked under the lease of its name
CLOCK = "X-Backend-Clock"  # of an answer: the server's clock, in milliseconds since the epoch
HELD = "X-Backend-Held"  # with 412: the reason why the object cannot be changed

GOVERNANCE, COMPLIANCE = "GOVERNANCE", "COMPLIANCE"
MODES = (GOVERNANCE, COMPLIANCE)
ON, OFF = "ON", "OFF"
MAX_DAYS, MAX_YEARS = 36_500, 100
_LATEST = datetime(9999, 12, 31, tzinfo=UTC)


class Duration(NamedTuple):
    """Days or years, of which one is 0; no duration if both are."""

    days: int = 0
    years: int = 0

    @property
    def valid(self) -> bool:
        """Return whether S3 accepts it: one of the two, within its limits."""
        return bool(self.days) != bool(self.years) and 0 <= self.days <= MAX_DAYS and 0 <= self.years <= MAX_YEARS

    def after(self, start: int) -> int:
        """Return the time this long after `start`, both in milliseconds since the epoch. Years are calendar years."""
        begin = datetime.fromtimestamp(start / 1000, UTC)
        end = min(_LATEST, begin + timedelta(days=self.days)) if begin < _LATEST - timedelta(self.days) else _LATEST
        if self.years:
            year = min(end.year + self.years, _LATEST.year)
            try:
                end = end.replace(year=year)
            except ValueError:  # 29 February
                end = end.replace(year=year, month=3, day=1)
        return start + round((end - begin) / timedelta(milliseconds=1))


NO_DURATION = Duration()


class Lock(NamedTuple):
    """The state of a version. mode, until (milliseconds): of its retention, '' and 0 for none.

    legal_hold, event_hold: ON, OFF, or '' if it was never set. duration: of the event hold.
    """

    mode: str = ""
    until: int = 0
    legal_hold: str = ""
    event_hold: str = ""
    duration: Duration = NO_DURATION
    removing: bool = False

    def dump(self) -> str:
        pairs = (
            ("mode", self.mode),
            ("until", self.until),
            ("legal", self.legal_hold),
            ("event", self.event_hold),
            ("days", self.duration.days),
            ("years", self.duration.years),
            ("removing", int(self.removing)),
        )
        return " ".join(f"{name}={value}" for name, value in pairs if value)

    @classmethod
    def parse(cls, text: str) -> Lock:
        """Return the state of a text. Raises InvalidInput."""
        if not text:
            return NO_LOCK
        try:
            pairs = dict(pair.split("=", 1) for pair in text.split(" "))
            return cls(
                pairs.get("mode", ""),
                int(pairs.get("until", 0)),
                pairs.get("legal", ""),
                pairs.get("event", ""),
                Duration(int(pairs.get("days", 0)), int(pairs.get("years", 0))),
                "removing" in pairs,
            )
        except ValueError:
            raise InvalidInput(f"not the state of an object lock: {text[:200]!r}") from None


NO_LOCK = Lock()


def hold(lock: Lock, now: int, bypass: bool = False) -> str:
    """Return what keeps a version from being deleted, as part of a sentence; '' if nothing does.

    now: milliseconds since the epoch. bypass: the caller may ignore a retention in governance mode.
    """
    if lock.legal_hold == ON:
        return "a legal hold"
    if lock.event_hold == ON:
        return "an event hold"
    if lock.until > now and not (bypass and lock.mode == GOVERNANCE):
        return f"its retention in {lock.mode.lower()} mode until {iso_date(lock.until)}"
    return ""


def must_be_past(lock: Lock, bypass: bool = False) -> int:
    """Return the time that clocks must have passed before a version can be deleted, 0 for none."""
    return 0 if bypass and lock.mode == GOVERNANCE else lock.until


def iso_date(millis: int) -> str:
    """Return a time as S3 writes it: `2030-01-01T00:00:00.000Z`."""
    when = datetime.fromtimestamp(millis // 1000, UTC)
    return f"{when:%Y-%m-%dT%H:%M:%S}.{millis % 1000:03d}Z"


class LockChange(NamedTuple):
    """A change of a lock.

    retention: the new mode and date, ('', 0) to remove it, None to keep it. legal_hold, event_hold: ON, OFF, or '' to
    keep it. duration: of the event hold, None to keep it.
    """

    retention: tuple[str, int] | None = None
    legal_hold: str = ""
    event_hold: str = ""
    duration: Duration | None = None


def changed(lock: Lock, change: LockChange, now: int) -> Lock:
    """Return the state after a change. If it releases an event hold, the retention lasts for its duration from now."""
    mode, until = (lock.mode, lock.until) if change.retention is None else change.retention
    duration = lock.duration if change.duration is None else change.duration
    if lock.event_hold == ON and change.event_hold == OFF:
        until = max(until, duration.after(now)) if duration != NO_DURATION else until
        mode = mode or (GOVERNANCE if until else "")
        duration = NO_DURATION
    return Lock(
        mode, until, change.legal_hold or lock.legal_hold, change.event_hold or lock.event_hold, duration, lock.removing
    )


def refusal(lock: Lock, new: Lock, now: int, bypass: bool = False) -> str:
    """Return what forbids the change from one state to another, as part of a sentence; '' if nothing does."""
    waived = bypass and lock.mode != COMPLIANCE
    kept_by_event = lock.event_hold == ON and new.event_hold == ON
    if kept_by_event and not waived and new.duration.after(now) < lock.duration.after(now):
        return "an event hold, whose duration cannot be shortened"
    if lock.until <= now or waived:
        return ""
    same_mode = new.mode == lock.mode
    return "" if same_mode and new.until >= lock.until else hold(lock._replace(legal_hold="", event_hold=""), now)


def weakens(lock: Lock, new: Lock) -> bool:
    """Return whether a change of retention is one that only the passing of time, or a bypass, allows."""
    return new.mode != lock.mode or new.until < lock.until


class LockRule(NamedTuple):
    """The rule of a container for new versions: a default retention (mode and period), and a default event hold."""

    mode: str = ""
    period: Duration = NO_DURATION
    event_hold: Duration = NO_DURATION

    def dump(self) -> str:
        pairs = (
            ("mode", self.mode),
            ("days", self.period.days),
            ("years", self.period.years),
            ("event-days", self.event_hold.days),
            ("event-years", self.event_hold.years),
        )
        return " ".join(["enabled", *(f"{name}={value}" for name, value in pairs if value)])

    @classmethod
    def parse(cls, text: str) -> LockRule:
        pairs = dict(pair.split("=", 1) for pair in text.split(" ")[1:])
        number = {name: int(pairs.get(name, 0)) for name in ("days", "years", "event-days", "event-years")}
        return cls(
            pairs.get("mode", ""),
            Duration(number["days"], number["years"]),
            Duration(number["event-days"], number["event-years"]),
        )

    def applied(self, lock: Lock, now: int) -> Lock:
        """Return the state of a new version for which `lock` was requested."""
        if self.mode and not lock.mode:
            lock = lock._replace(mode=self.mode, until=self.period.after(now))
        if self.event_hold != NO_DURATION and not lock.event_hold:
            lock = lock._replace(event_hold=ON, duration=self.event_hold)
        return lock
