"""Text and header names in their two forms.

A *native* string is what PEP 3333 puts into environ and takes in headers: bytes decoded as
latin-1. Text is those bytes decoded as UTF-8, undecodable ones kept as surrogates. A header
name is canonical with each word capitalised (`X-Object-Meta-Color`), and has an environ key
(`HTTP_X_OBJECT_META_COLOR`).
"""

from __future__ import annotations

_REMEMBERED = 4096  # names a client can make us remember
_PLAIN = {"CONTENT_TYPE": "Content-Type", "CONTENT_LENGTH": "Content-Length"}


def to_text(native: str) -> str:
    """Text of a native string."""
    return native if native.isascii() else native.encode("latin-1").decode("utf-8", "surrogateescape")


def to_native(text: str) -> str:
    """The inverse of `to_text`."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("latin-1")


class _EnvironKeys(dict[str, str]):
    def __missing__(self, name: str) -> str:
        key = name.upper().replace("-", "_")
        if key not in _PLAIN:
            key = "HTTP_" + key
        if len(self) < _REMEMBERED:
            self[name] = key
        return key


class _HeaderNames(dict[str, str]):
    def __missing__(self, key: str) -> str:
        name = _PLAIN.get(key) or to_text(key[5:].replace("_", "-").title())
        if len(self) < _REMEMBERED:
            self[key] = name
        return name


# Header name to environ key, and environ key (HTTP_..., CONTENT_...) to canonical name.
ENVIRON_KEY = _EnvironKeys()
HEADER_NAME = _HeaderNames()
