"""Content type and storage class of an object in one text, as rows hold them: they have no column for the class.

The class follows the type: `text/plain;s3_class=GLACIER`. If a client's own type looks like this, the standard class is
appended, so that the last mark of a row is always ours and the client's type is unchanged.
"""

from __future__ import annotations

STANDARD = "STANDARD"
_MARK = ";s3_class="


def write(content_type: str, storage_class: str = "") -> str:
    """Return the type of a row with this class; '' is the standard class."""
    if storage_class:
        return f"{content_type}{_MARK}{storage_class}"
    return f"{content_type}{_MARK}{STANDARD}" if _MARK in content_type else content_type


def read(listed: str) -> tuple[str, str]:
    """Return the content type and the storage class of a row; '' if it names no class."""
    content_type, mark, storage_class = listed.rpartition(_MARK)
    if not mark or not _is_class(storage_class):
        return listed, ""
    return content_type, storage_class


def _is_class(text: str) -> bool:
    return text.isascii() and text.isupper() and text.replace("_", "").isalnum()
