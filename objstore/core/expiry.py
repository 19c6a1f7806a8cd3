"""The expiry of objects, decided in one place for servers and layers."""

from __future__ import annotations

from collections.abc import Mapping

from objstore.core.errors import InvalidInput

DELETE_AT = "X-Delete-At"  # seconds since the epoch, with the object


def is_expired(headers: Mapping[str, str], now: float) -> bool:
    """Return whether an object with these headers has expired. Raises InvalidInput for a time that is not a number."""
    delete_at = headers.get(DELETE_AT)
    if not delete_at:
        return False
    try:
        return int(delete_at) <= now
    except ValueError:
        raise InvalidInput(f"{DELETE_AT} of a stored object is not a number: {delete_at!r}") from None
