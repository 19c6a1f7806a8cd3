"""The documents of object lock: of a bucket, of an object's retention, of its legal hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from objstore.core.numbers import whole
from objstore.core.object_lock import (
    MAX_DAYS,
    MAX_YEARS,
    MODES,
    NO_DURATION,
    OFF,
    ON,
    Duration,
    Lock,
    LockChange,
    LockRule,
    iso_date,
)
from objstore.s3.language import xml
from objstore.s3.language.errors import S3Error


def rule_from_xml(root: Any) -> LockRule:
    """Return the rule of an ObjectLockConfiguration. Raises S3Error MalformedXML, InvalidRetentionPeriod."""
    xml.only(root, ("ObjectLockEnabled", "Rule"))
    if xml.text(root, "ObjectLockEnabled") != "Enabled":
        raise S3Error("MalformedXML")
    rule = root.find("Rule")
    if rule is None:
        return LockRule()
    xml.only(rule, ("DefaultRetention",))
    retention = rule.find("DefaultRetention")
    if retention is None:
        raise S3Error("MalformedXML")
    xml.only(retention, ("Mode", "Days", "Years", "DefaultEventHold"))
    mode, period = xml.text(retention, "Mode"), _duration(retention)
    event = retention.find("DefaultEventHold")
    event_hold = NO_DURATION if event is None else _duration(event)
    if bool(mode) != (period is not None) or (mode and mode not in MODES) or event_hold is None:
        raise S3Error("MalformedXML")
    if not mode and event is None:
        raise S3Error("MalformedXML")
    return LockRule(mode, period or NO_DURATION, event_hold)


def _duration(element: Any) -> Duration | None:
    """Return the days or years of an element, None if it has neither."""
    days, years = xml.optional(element, "Days"), xml.optional(element, "Years")
    if days is None and years is None:
        return None
    if days is not None and years is not None:
        raise S3Error("MalformedXML")
    text, most = (days, MAX_DAYS) if days is not None else (years or "", MAX_YEARS)
    number = whole(text.removeprefix("-"))
    if number is None:
        raise S3Error("MalformedXML")
    if text.startswith("-") or number == 0:
        raise S3Error("InvalidRetentionPeriod", "Default retention period must be a positive integer value.")
    if number > most:
        raise S3Error("InvalidRetentionPeriod", f"Default retention period is too large: at most {most}.")
    return Duration(number, 0) if days is not None else Duration(0, number)


def rule_to_xml(rule: LockRule) -> bytes:
    retention: list[tuple[str, Any]] = []
    if rule.mode:
        retention = [("Mode", rule.mode), *_duration_elements(rule.period)]
    if rule.event_hold != NO_DURATION:
        retention.append(("DefaultEventHold", _duration_elements(rule.event_hold)))
    rules = [("Rule", [("DefaultRetention", retention)])] if retention else []
    return xml.document("ObjectLockConfiguration", [("ObjectLockEnabled", "Enabled"), *rules])


def _duration_elements(duration: Duration) -> list[tuple[str, Any]]:
    return [("Years", duration.years)] if duration.years else [("Days", duration.days)]


ParseDate = Callable[[str, str], int]  # see `s3.data.lock_headers.date`


def retention_from_xml(document: bytes, date: ParseDate) -> LockChange:
    """Return the change of a Retention document; an empty one removes the retention.

    Raises S3Error MalformedXML, InvalidArgument.
    """
    root = xml.parse(document, "Retention")
    xml.only(root, ("Mode", "RetainUntilDate", "EventHold", "EventHoldDuration"))
    mode, until = xml.text(root, "Mode"), xml.text(root, "RetainUntilDate")
    event_hold = xml.text(root, "EventHold")
    element = root.find("EventHoldDuration")
    duration = None if element is None else _duration(element)
    if bool(mode) != bool(until) or (mode and mode not in MODES) or event_hold not in ("", ON, OFF):
        raise S3Error("MalformedXML")
    if element is not None and (duration is None or event_hold == OFF):
        raise S3Error("MalformedXML")
    removes = not mode and not event_hold and element is None
    retention = (mode, date(until, "RetainUntilDate")) if mode else ("", 0) if removes else None
    return LockChange(retention, "", event_hold, duration)


def retention_to_xml(lock: Lock) -> bytes:
    elements: list[tuple[str, Any]] = []
    if lock.mode and lock.until:
        elements = [("Mode", lock.mode), ("RetainUntilDate", iso_date(lock.until))]
    if lock.event_hold:
        elements.append(("EventHold", lock.event_hold))
        if lock.duration != NO_DURATION:
            elements.append(("EventHoldDuration", _duration_elements(lock.duration)))
    return xml.document("Retention", elements)


def legal_hold_from_xml(document: bytes, date: ParseDate) -> LockChange:
    """Return the change of a LegalHold document, which has no date. Raises S3Error MalformedXML."""
    root = xml.parse(document, "LegalHold")
    xml.only(root, ("Status",))
    status = xml.text(root, "Status")
    if status not in (ON, OFF):
        raise S3Error("MalformedXML")
    return LockChange(legal_hold=status)


def legal_hold_to_xml(lock: Lock) -> bytes:
    return xml.document("LegalHold", [("Status", lock.legal_hold)])


# The changes that the documents of requests ask for, by operation.
CHANGES = {"PutObjectRetention": retention_from_xml, "PutObjectLegalHold": legal_hold_from_xml}
