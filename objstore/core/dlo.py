"""The header of dynamic large objects (Swift: DLO): objects whose content is that of all objects with a prefix."""

from __future__ import annotations

from urllib.parse import unquote

from objstore.core.errors import InvalidInput
from objstore.core.names import RESERVED, Name

DLO = "X-Object-Manifest"  # `container/prefix`, percent-encoded


def parse(value: str, account: str) -> Name:
    """Return the container of an account, and the prefix as the object, that a value of the header names.

    Raises InvalidInput.
    """
    container, _, prefix = unquote(value, errors="surrogateescape").partition("/")
    text = container + prefix
    if not container or not prefix or prefix[0] == "/" or RESERVED in text or not _is_utf8(text):
        raise InvalidInput(f"{DLO} must be in the format container/prefix")
    return Name(account, container, prefix)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
