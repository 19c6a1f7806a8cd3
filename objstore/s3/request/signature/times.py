"""When a request was signed, and whether that is now."""

from __future__ import annotations

import time
from typing import NamedTuple

from objstore.s3.language import dates
from objstore.s3.language.errors import S3Error
from objstore.s3.request.incoming import Incoming

_FARTHEST = 1 << 32  # seconds; an end that is farther away is a number of something else, such as milliseconds
NO_DATE = "AWS authentication requires a valid Date or x-amz-date header"


class Window(NamedTuple):
    """How far clocks may be apart, and how long a URL may live; in seconds.

    old_life: of a URL of version 2, counted from now, as it does not say when it was signed; 0 refuses all of them.
    """

    skew: float
    life: float
    old_life: float = 604800


class Signed(NamedTuple):
    """timestamp: as in strings to sign, `20240506T070809Z`; seconds: the same since the epoch."""

    timestamp: str
    seconds: float


def of_headers(incoming: Incoming) -> Signed:
    """By X-Amz-Date, or Date; raises S3Error AccessDenied where neither is a date."""
    text = incoming.headers.get("X-Amz-Date") or incoming.headers.get("Date", "")
    seconds = dates.parse_iso_basic(text)
    if seconds is not None:
        return Signed(text, seconds)
    seconds = dates.parse_http(text)
    if seconds is None:
        raise S3Error("AccessDenied", NO_DATE)
    return Signed(time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds)), seconds)


def of_text(stamp: str) -> Signed:
    """Of `20240506T070809Z`; raises S3Error AccessDenied where it is no date."""
    seconds = dates.parse_iso_basic(stamp)
    if seconds is None:
        raise S3Error("AccessDenied", NO_DATE)
    return Signed(stamp, seconds)


def check_skew(signed: float, shown: str, now: float, window: Window) -> None:
    """shown: the date as it was sent. Raises S3Error RequestTimeTooSkewed."""
    if abs(now - signed) > window.skew:
        raise S3Error(
            "RequestTimeTooSkewed",
            extra={
                "RequestTime": shown,
                "ServerTime": dates.iso(now),
                "MaxAllowedSkewMilliseconds": str(int(window.skew * 1000)),
            },
        )


def check_life(signed: float, life: int, now: float, window: Window) -> None:
    """Of a presigned URL that is good for `life` seconds; raises S3Error AccessDenied."""
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
    """Of a URL of version 2, good until `end`; raises S3Error AccessDenied."""
    if end > now + _FARTHEST:
        raise S3Error("AccessDenied", f"Invalid date (should be seconds since epoch): {end}")
    if now > end:
        raise S3Error("AccessDenied", "Request has expired", {"Expires": dates.iso(end), "ServerTime": dates.iso(now)})
    if end > now + window.old_life:
        raise S3Error(
            "AccessDenied",
            f"The URL is valid for longer than {int(window.old_life)} seconds",
            {"Expires": dates.iso(end), "ServerTime": dates.iso(now)},
        )
