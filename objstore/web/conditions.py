"""Conditional requests (RFC 9110, section 13): may a request go on, given what is stored?

Entity tags are kept and compared without quotes, and taken from clients with or without
them. Dates compare at whole seconds; a change counts as made at the second that its
Last-Modified header shows, which is rounded up.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime

from objstore.core.timestamps import Timestamp

CONDITIONAL_HEADERS = ("If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since")

_SAFE = frozenset({"GET", "HEAD"})
_TAG = re.compile(r'(?:^|,)\s*(W/)?(?:"([^"]*)"|([^",\s]+))\s*(?=,|$)')
_MONTHS = {
    name: number + 1
    for number, name in enumerate(["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"])
}  # fmt: skip
_TIME = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
_DATES = tuple(
    re.compile(pattern + r"\Z", re.ASCII)
    for pattern in (
        rf"\w{{3}}, (?P<day>\d\d?) (?P<month>\w{{3}}) (?P<year>\d{{4}}) {_TIME} (?:GMT|UTC|[+-]0000)",  # IMF-fixdate
        rf"\w{{6,9}}, (?P<day>\d\d)-(?P<month>\w{{3}})-(?P<year>\d\d) {_TIME} GMT",  # RFC 850
        rf"\w{{3}} (?P<month>\w{{3}}) (?P<day>[ \d]\d) {_TIME} (?P<year>\d{{4}})",  # asctime
    )
)


def evaluate(
    method: str, headers: Mapping[str, str], etag: str | None, last_modified: Timestamp | None, second_etag: str = ""
) -> int | None:
    """Return None if the request may continue, else the status of its answer: 304 or 412.

    headers: canonical name to text. etag: without quotes; None if nothing is stored under the name. Then only a PUT is
    conditional: other methods continue to their 404 (13.2.1). second_etag: of the list of a large object, by which
    clients may name it too; '' for none. The order of the steps is that of 13.2.2. An invalid date
    is ignored; an empty list of tags is valid, and names none.
    """
    wanted = headers.get("If-Match")
    unwanted = headers.get("If-None-Match")
    if etag is None and method != "PUT":
        return None
    if wanted is not None and not (_lists(wanted, etag, True) or (second_etag and _lists(wanted, second_etag, True))):
        return 412
    # Beside If-Match too, where RFC 9110 would pass it over: Swift's clients rely on both.
    limit = _date(headers.get("If-Unmodified-Since"))
    if limit is not None and last_modified is not None and last_modified.ceiling > limit:
        return 412
    if unwanted is not None:
        if _lists(unwanted, etag, False) or (second_etag and _lists(unwanted, second_etag, False)):
            return 304 if method in _SAFE else 412
    elif method in _SAFE:
        since = _date(headers.get("If-Modified-Since"))
        if since is not None and last_modified is not None and last_modified.ceiling <= since:
            return 304
    return None


def range_applies(if_range: str, etag: str, last_modified: Timestamp | None) -> bool:
    """Does a Range header count, given the If-Range beside it ('' for none)? (13.1.5)

    A tag must match strongly, a date must be the Last-Modified date itself.
    """
    if not if_range:
        return True
    date = http_date_seconds(if_range)
    if date is not None:
        return last_modified is not None and last_modified.ceiling == date
    return if_range.strip() != "*" and _lists(if_range, etag, strong=True)


def _lists(header: str, etag: str | None, strong: bool) -> bool:
    """Does a list of tags, or `*`, name what is stored? A weak tag never matches strongly."""
    if etag is None:
        return False
    if header.strip() in ("*", '"*"'):
        return True
    return any(tag == etag and not (weak and strong) for weak, tag in entity_tags(header))


def entity_tags(header: str) -> list[tuple[bool, str]]:
    """The tags of a list, each with whether it is weak; what is no tag is left out."""
    return [
        (bool(weak), quoted if quoted is not None else bare)
        for weak, quoted, bare in (match.groups() for match in _TAG.finditer(header))
    ]


def _date(text: str | None) -> int | None:
    return http_date_seconds(text) if text else None


def http_date_seconds(text: str, this_year: int | None = None) -> int | None:
    """Return seconds since the epoch of an HTTP date in any of its three forms (5.6.7), None for other text.

    this_year: the reference for years of two digits, the current one unless given.
    """
    text = text.strip()
    for pattern in _DATES:
        match = pattern.match(text)
        if match is not None:
            return _seconds(match, this_year)
    return None


def _seconds(match: re.Match[str], this_year: int | None) -> int | None:
    month = _MONTHS.get(match["month"].title())
    if month is None:
        return None
    year = int(match["year"])
    if len(match["year"]) == 2:
        year = _full_year(year, time.gmtime().tm_year if this_year is None else this_year)
    # A leap second is taken for the one before it.
    clock = int(match["hour"]), int(match["minute"]), min(int(match["second"]), 59)
    try:
        return int(datetime(year, month, int(match["day"]), *clock, tzinfo=UTC).timestamp())
    except ValueError:  # 31 February, 25 o'clock
        return None


def _full_year(digits: int, this_year: int) -> int:
    """The year of two digits that is nearest, of two as near the later one; never more than 50 years ahead."""
    year = this_year - this_year % 100 + digits
    if year > this_year + 50:
        return year - 100
    return year + 100 if year <= this_year - 50 else year
