"""The time of a signature, and the check that it is valid now."""

from __future__ import annotations

import time
from typing import NamedTuple

from objstore.s3.language import dates
from objstore.s3.language.errors import S3Error
from objstore.s3.request.incoming import Incoming

_MAX_DISTANCE = 1 << 32  # seconds; a later end has another unit, such as milliseconds
NO_DATE = "AWS authentication requires a valid Date or x-amz-date header"


class Window(NamedTuple):
    """The allowed difference of clocks, and the allowed life of a URL; in seconds.

    old_life: of a URL of version 2, from now, as it does not have the time of its signature; 0 refuses all of them.
    """

    skew: float
    life: float
    old_life: float = 604800


class Signed(NamedTuple):
    """The time of a signature. timestamp: as in strings to sign, `20240506T070809Z`. seconds: since the epoch."""

    timestamp: str
    seconds: float


def of_headers(incoming: Incoming) -> Signed:
    """Return the time in X-Amz-Date, or Date; raises S3Error AccessDenied if it is not a date."""
    text = incoming.headers.get("X-Amz-Date") or incoming.headers.get("Date", "")
    seconds = dates.parse_iso_basic(text)
    if seconds is not None:
        return Signed(text, seconds)
    seconds = dates.parse_http(text)
    if seconds is None:
        raise S3Error("AccessDenied", NO_DATE)
    return Signed(time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds)), seconds)


def of_text(stamp: str) -> Signed:
    """Return the time of `20240506T070809Z`; raises S3Error AccessDenied if it is not a date."""
    seconds = dates.parse_iso_basic(stamp)
    if seconds is None:
        raise S3Error("AccessDenied", NO_DATE)
    return Signed(stamp, seconds)


def check_skew(signed: float, sent_date: str, now: float, window: Window) -> None:
    """Check the difference of the clocks. sent_date: the text for the error. Raises S3Error RequestTimeTooSkewed."""
    if abs(now - signed) > window.skew:
        raise S3Error(
            "RequestTimeTooSkewed",
            extra={
                "RequestTime": sent_date,
                "ServerTime": dates.iso(now),
                "MaxAllowedSkewMilliseconds": str(int(window.skew * 1000)),
            },
        )


def check_life(signed: float, life: int, now: float, window: Window) -> None:
    """Check that a presigned URL with a life of `life` seconds is valid now; raises S3Error AccessDenied."""
    if now > signed + life:
        raise S3Error(
            "AccessDenied",
            "Request has expired",
            {"X-Amz-Expires": str(life), "Expires": dates.iso(signed + life), "ServerTime": dates.iso(now)},
        )
    if signed > now + window.skew:
        raise S3Error(
            "AccessDenied",
            "Request is not yet valid",
            {"X-Amz-Date": dates.iso(signed), "ServerTime": dates.iso(now)},
        )


def check_end(end: int, now: float, window: Window) -> None:
    """Check that a URL of version 2, valid until `end`, is valid now; raises S3Error AccessDenied."""
    if end > now + _MAX_DISTANCE:
        raise S3Error("AccessDenied", f"Invalid date (should be seconds since epoch): {end}")
    if now > end:
        raise S3Error("AccessDenied", "Request has expired", {"Expires": dates.iso(end), "ServerTime": dates.iso(now)})
    if end > now + window.old_life:
        raise S3Error(
            "AccessDenied",
            f"The URL is valid for longer than {int(window.old_life)} seconds",
            {"Expires": dates.iso(end), "ServerTime": dates.iso(now)},
        )
