"""Limits of clients' input: names, metadata, sizes. Each check raises InvalidInput or LimitExceeded with the limit."""

from __future__ import annotations

import functools
import mimetypes
import re
from collections.abc import Mapping

from objstore.core import metadata
from objstore.core.errors import InvalidInput, LimitExceeded
from objstore.core.limits import Limits
from objstore.core.names import RESERVED, Name
from objstore.core.numbers import is_whole, whole

LATEST = 9_999_999_999  # seconds since the epoch: the last that sorts as text among its like
SYSTEM_SUFFIX = 64  # bytes by which a name of the system's own may be longer than the client's that it is made of
_WHOLE = re.compile(r"[ \t]*[-+]?[0-9]{1,4000}[ \t]*\Z")


def check_name(name: Name, limits: Limits) -> None:
    """Lengths are counted in bytes of UTF-8."""
    for kind, part, most in (
        ("Account", name.account, limits.max_account_name_length),
        ("Container", name.container, limits.max_container_name_length),
        ("Object", name.object, limits.max_object_name_length),
    ):
        if part is not None and len(part) > most // 4:  # shorter ones cannot pass the limit
            length = len(part.encode("utf-8", "surrogateescape"))
            if length > most + (SYSTEM_SUFFIX if RESERVED in name.path else 0):
                raise LimitExceeded(f"{kind} name length of {length} longer than {most}")


def check_metadata(kind: str, headers: Mapping[str, str], limits: Limits) -> None:
    """kind: Account, Container or Object. headers: the request's, canonical name to text."""
    prefix = metadata.user_prefix(kind)
    count = total = 0
    for name, value in headers.items():
        if len(value) > limits.max_header_size:
            raise LimitExceeded(f"Header value too long: {name[:128]}")
        if not name.startswith(prefix):
            continue
        key = name[len(prefix) :]
        if not key:
            raise InvalidInput("Metadata name cannot be empty")
        size = len(value.encode("utf-8", "surrogateescape"))
        if kind != "Object" and not _is_utf8(value):
            raise InvalidInput("Metadata must be valid UTF-8")
        if len(key) > limits.max_meta_name_length:
            raise LimitExceeded(f"Metadata name too long: {name}")
        if size > limits.max_meta_value_length:
            raise LimitExceeded(f"Metadata value longer than {limits.max_meta_value_length}: {name}")
        if value or kind == "Object":
            count += 1
        total += len(key.encode("utf-8", "surrogateescape")) + size
    if count > limits.max_meta_count:
        raise LimitExceeded(f"Too many metadata items; max {limits.max_meta_count}")
    if total > limits.max_meta_overall_size:
        raise LimitExceeded(f"Total metadata too large; max {limits.max_meta_overall_size}")


def check_listing_limit(query: Mapping[str, str], most: int) -> str:
    """Return '' if the limit of a listing is acceptable, else the error; a limit that is not a number is ignored."""
    limit = query.get("limit", "")
    if is_whole(limit) and ((number := whole(limit)) is None or number > most):
        return f"Maximum limit is {most}"
    return ""


def _is_utf8(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def delete_at(headers: Mapping[str, str], now: float) -> int | None:
    """Return the expiry time of the object, in seconds since the epoch; X-Delete-After wins over X-Delete-At."""
    after, at = headers.get("X-Delete-After"), headers.get("X-Delete-At")
    if after is not None:
        seconds = _whole(after, "X-Delete-After") + int(now)
        if _whole(after, "X-Delete-After") <= 0:
            raise InvalidInput("X-Delete-After in past")
        return min(seconds, LATEST)
    if at is not None:
        seconds = _whole(at, "X-Delete-At")
        if seconds <= now:
            raise InvalidInput("X-Delete-At in past")
        return min(seconds, LATEST)
    return None


def _whole(text: str, name: str) -> int:
    if not _WHOLE.match(text):
        raise InvalidInput(f"Non-integer {name}")
    return int(text)


def content_type(headers: Mapping[str, str], name: str) -> str:
    """Return the content type to store: the client's, or a guess from the name's extension."""
    given = headers.get("Content-Type", "").strip()
    if given and headers.get("X-Detect-Content-Type", "").lower() not in ("true", "yes", "on", "1", "t", "y"):
        if not _is_utf8(given):
            raise InvalidInput("Content-Type is not valid UTF-8")
        return given
    return _type_by_ending(name.rpartition("/")[2].rpartition(".")[2].lower() if "." in name else "")


@functools.lru_cache(maxsize=1024)
def _type_by_ending(ending: str) -> str:
    return mimetypes.guess_type(f"x.{ending}")[0] or "application/octet-stream"
