"""Text and header names in their two forms.

A *native* string is what PEP 3333 puts into environ and takes in headers: bytes decoded as
latin-1. Text is those bytes decoded as UTF-8, undecodable ones kept as surrogates. A header
name is canonical with each word capitalised (`X-Object-Meta-Color`), and has an environ key
(`HTTP_X_OBJECT_META_COLOR`).
"""

from __future__ import annotations

import re
from functools import lru_cache

REMEMBERED = 4096  # limit of cached names, which clients choose
_PLAIN = {"CONTENT_TYPE": "Content-Type", "CONTENT_LENGTH": "Content-Length"}

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
# Controls except the tab, and surrogates that stand for no byte.
_UNSENDABLE = re.compile("[\x00-\x08\x0a-\x1f\x7f\ud800-\udc7f\udd00-\udfff]")


@lru_cache(maxsize=REMEMBERED)
def is_header_name(text: str) -> bool:
    """Return whether the text is a token, as the name of a header must be (RFC 9110, 5.1)."""
    return _TOKEN.match(text) is not None


def is_header_value(text: str) -> bool:
    """Return whether a header can have this value (RFC 9110, 5.5: no controls, so no line ends)."""
    return _UNSENDABLE.search(text) is None


def to_text(native: str) -> str:
    """Return the text of a native string."""
    return native if native.isascii() else native.encode("latin-1").decode("utf-8", "surrogateescape")


def to_native(text: str) -> str:
    """Return the native string of a text: the inverse of `to_text`."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("latin-1")


class _EnvironKeys(dict[str, str]):
    def __missing__(self, name: str) -> str:
        key = name.upper().replace("-", "_")
        if key not in _PLAIN:
            key = "HTTP_" + key
        if len(self) < REMEMBERED:
            self[name] = key
        return key


class _HeaderNames(dict[str, str]):
    def __missing__(self, key: str) -> str:
        name = _PLAIN.get(key) or to_text(key[5:].replace("_", "-").title())
        if len(self) < REMEMBERED:
            self[key] = name
        return name


# Header name to environ key, and environ key (HTTP_..., CONTENT_...) to canonical name.
ENVIRON_KEY = _EnvironKeys()
HEADER_NAME = _HeaderNames()
