"""Classes of metadata by header name, for accounts, containers and objects.

Header names are in their canonical form here: each word capitalised (`X-Object-Meta-Color`).
Values are text. User metadata is the client's; system metadata (`Sysmeta`) is written by
filters and never passes the gatekeeper in either direction; transient system metadata
belongs to an object but is replaced together with its user metadata.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

from objstore.core.errors import InvalidInput
from objstore.core.text import REMEMBERED, is_header_name, is_header_value

KINDS = ("Account", "Container", "Object")
TRANSIENT_SYSMETA = "X-Object-Transient-Sysmeta-"

# Headers beside user metadata that a client stores with an object, and reads back.
OBJECT_HEADERS = frozenset(
    {
        "Content-Disposition",
        "Content-Encoding",
        "Content-Language",
        "Cache-Control",
        "Expires",
        "X-Delete-At",
        "X-Object-Manifest",
        "X-Robots-Tag",
        "X-Static-Large-Object",
    }
)
# Headers that only a PUT can set; a POST of metadata does not change them.
PUT_ONLY_HEADERS = frozenset({"X-Static-Large-Object"})


def user_prefix(kind: str) -> str:
    return f"X-{kind}-Meta-"


def sysmeta_prefix(kind: str) -> str:
    return f"X-{kind}-Sysmeta-"


_SYS = tuple(sysmeta_prefix(kind) for kind in KINDS)
_USER_OF_OBJECTS = user_prefix("Object")
_OBJECT_POSTED = (_USER_OF_OBJECTS, TRANSIENT_SYSMETA)
_OBJECT_STORED = (*_OBJECT_POSTED, sysmeta_prefix("Object"))


def is_sysmeta(header: str) -> bool:
    return header.startswith(_SYS) or header.startswith(TRANSIENT_SYSMETA)


@lru_cache(maxsize=REMEMBERED)
def stored_with_object(header: str) -> bool:
    """Return whether a PUT stores this header with the object."""
    return header in OBJECT_HEADERS or header.startswith(_OBJECT_STORED)


@lru_cache(maxsize=REMEMBERED)
def replaced_by_post(header: str) -> bool:
    """Return whether a POST to the object replaces this header (dropping it if it is not sent)."""
    if header in OBJECT_HEADERS:
        return header not in PUT_ONLY_HEADERS
    return header.startswith(_OBJECT_POSTED)


def sent_values(headers: Mapping[str, str], stored: Callable[[str], bool]) -> dict[str, str]:
    """Return the headers of a change that `stored` selects. Of those without a value only user metadata counts.

    Swift stores them empty, and so does S3.
    """
    return {
        name: value for name, value in headers.items() if stored(name) and (value or name.startswith(_USER_OF_OBJECTS))
    }


def after_post(data: Mapping[str, str], posted: Mapping[str, str]) -> dict[str, str]:
    """Return an object's metadata after a POST."""
    merged = {key: value for key, value in data.items() if not replaced_by_post(key)}
    merged.update(posted)
    return merged


def is_sendable(headers: Mapping[str, str]) -> bool:
    """Return whether these headers can be sent for certain, as nearly all can: a quick check."""
    return "".join(headers.values()).isprintable() and all(map(is_header_name, headers))


def check_sendable(headers: Mapping[str, str]) -> None:
    """Raise InvalidInput for an item that could be stored, but not sent in a response."""
    if is_sendable(headers):
        return
    for name in not_sendable(headers):
        if not is_header_name(name):
            raise InvalidInput(f"Not a header name: {name[:128]!r}")
        raise InvalidInput(f"Control characters in the value of {name[:128]}")


def not_sendable(headers: Mapping[str, str]) -> list[str]:
    """Return the names of items that no response can have."""
    return [name for name, value in headers.items() if not (is_header_value(value) and is_header_name(name))]


def breaks_answers(headers: Mapping[str, str]) -> bool:
    """Return whether these headers make a response invalid. A quick check of headers that were checked before they were
    stored."""
    text = "".join(headers.values())
    return "\n" in text or "\r" in text or "\0" in text or not all(map(is_header_name, headers))
