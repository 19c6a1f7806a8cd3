"""Dates as S3 writes them. Seconds are rounded up everywhere.

A client that compares the time of its file with ours must not see an object older than the upload that made it: `aws
s3 sync` would send the file again.
"""

from __future__ import annotations

import calendar
import math
import time
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

from objstore.web.responses import http_date

__all__ = ["http_date", "iso", "listed", "of_http", "parse_http", "parse_iso", "parse_iso_basic"]


def iso(seconds: float) -> str:
    """Return ISO 8601 as in S3's documents: `2024-05-06T07:08:09.000Z`."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(math.ceil(seconds)))


def listed(stamp: str) -> str:
    """Return the date of a listing's row (`2024-05-06T07:08:09.123456`, UTC) as S3 lists it."""
    return f"{stamp[:19]}.000Z" if stamp[19:] in ("", ".000000") else _next_second(stamp[:19])


@lru_cache(maxsize=4096)  # a listing has a thousand of these, many of the same second
def _next_second(stamp: str) -> str:
    return iso(calendar.timegm(time.strptime(stamp, "%Y-%m-%dT%H:%M:%S")) + 1)


def of_http(text: str) -> str:
    """Return an HTTP date as in S3's documents; '' for text that is not a date."""
    seconds = parse_http(text)
    return "" if seconds is None else iso(seconds)


def parse_http(text: str) -> float | None:
    """Return the seconds of an HTTP date (RFC 9110, 5.6.7), None for text that is not a date."""
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


@lru_cache(maxsize=256)  # many requests of one second
def parse_iso_basic(text: str) -> float | None:
    """Return the seconds of `20240506T070809Z`, None for text that is not of this form."""
    if len(text) != 16 or text[8] != "T" or text[15] != "Z" or not text.isascii():
        return None
    day, clock = text[:8], text[9:15]
    if not day.isdigit() or not clock.isdigit():
        return None
    parts = (
        int(day[:4]), int(day[4:6]), int(day[6:]), int(clock[:2]), int(clock[2:4]), int(clock[4:])
    )  # fmt: skip
    if not (1 <= parts[1] <= 12 and 1 <= parts[2] <= 31 and parts[3] < 24 and parts[4] < 60 and parts[5] < 61):
        return None
    return float(calendar.timegm(parts))


def parse_iso(text: str) -> float | None:
    """Return the seconds of an ISO 8601 date with its time zone (`2024-05-06T07:08:09.000Z`), None for another text."""
    try:
        date = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    try:
        return date.timestamp() if date.tzinfo is not None else None
    except OverflowError:  # the first or last day of the calendar, in another zone
        return None
