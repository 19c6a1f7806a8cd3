"""The headers of S3's object lock: those of a new object's request, and those of answers."""

from __future__ import annotations

from collections.abc import Mapping

from objstore.core.object_lock import LOCK, Lock
from objstore.runtime.steady_clock import CLOCK
from objstore.s3.language.errors import S3Error
from objstore.web import lock_headers
from objstore.web.lock_headers import BadLockHeader, LockHeaders

_NAMES = LockHeaders(
    "X-Amz-Object-Lock-Mode", "X-Amz-Object-Lock-Retain-Until-Date", "X-Amz-Object-Lock-Legal-Hold",
    "X-Amz-Object-Lock-Event-Hold", "X-Amz-Object-Lock-Event-Hold-Duration-Days",
    "X-Amz-Object-Lock-Event-Hold-Duration-Years",
)  # fmt: skip
HEADERS = _NAMES.names
BYPASS = "X-Amz-Bypass-Governance-Retention"


def requested(headers: Mapping[str, str]) -> Lock:
    """Return the lock that a request asks for a new object. Raises S3Error InvalidArgument."""
    try:
        return _NAMES.requested(headers, CLOCK.earliest())
    except BadLockHeader as bad:
        raise _invalid(bad) from None


def date(text: str, argument: str) -> int:
    """Return a date of a retention in milliseconds since the epoch. Raises S3Error InvalidArgument for a past one."""
    try:
        return lock_headers.date(text, argument, CLOCK.earliest())
    except BadLockHeader as bad:
        raise _invalid(bad) from None


def _invalid(bad: BadLockHeader) -> S3Error:
    return S3Error("InvalidArgument", str(bad), {"ArgumentName": bad.header.lower(), "ArgumentValue": bad.value})


def is_bypass(headers: Mapping[str, str]) -> bool:
    """Return whether a request asks to bypass a retention in governance mode."""
    return headers.get(BYPASS, "").lower() == "true"


def rights(headers: Mapping[str, str]) -> tuple[str, ...]:
    """Return the actions that the headers of a new object need."""
    retention = () if _NAMES.of_retention.isdisjoint(headers) else ("s3:PutObjectRetention",)
    return (*retention, "s3:PutObjectLegalHold") if _NAMES.legal_hold in headers else retention


def shown(stored: Mapping[str, str], retention: bool, legal_hold: bool) -> dict[str, str]:
    """Return the headers of an answer, by what the client may see. stored: the headers of the object."""
    headers = _NAMES.shown(Lock.parse(stored.get(LOCK, "")), retention, legal_hold)
    return {name.lower(): value for name, value in headers.items()}
