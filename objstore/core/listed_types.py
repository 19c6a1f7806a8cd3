"""Content type, storage class and checksum of an object in one text, as rows hold them: they have no columns for these.

    text/plain[;s3_class=GLACIER][;s3_sum=CRC64NVME]

`s3_sum` names the algorithm, and `/COMPOSITE` follows it if the checksum is that of the checksums of parts. If a
client's own type looks like this, a mark without a meaning is appended, so that the last mark of a row is always ours
and the client's type is unchanged.
"""

from __future__ import annotations

import re
from typing import NamedTuple

STANDARD = "STANDARD"
COMPOSITE = "/COMPOSITE"
_CLASS = ";s3_class="
_CHECKSUM = ";s3_sum="
_NONE = f"{_CHECKSUM}NONE"
_IS_CHECKSUM = re.compile(rf"[A-Z0-9]+(?:{COMPOSITE})?\Z", re.ASCII)


class Listed(NamedTuple):
    """The type of a row, taken apart. storage_class, checksum: '' if the row names none."""

    content_type: str
    storage_class: str = ""
    checksum: str = ""


def write(content_type: str, storage_class: str = "", checksum: str = "") -> str:
    """Return the type of a row with this class, '' for the standard one, and this checksum, '' for none."""
    if storage_class or _CLASS in content_type:
        content_type = f"{content_type}{_CLASS}{storage_class or STANDARD}"
    if checksum:
        return f"{content_type}{_CHECKSUM}{checksum}"
    return f"{content_type}{_NONE}" if _CHECKSUM in content_type else content_type


def with_checksum(listed: str, checksum: str) -> str:
    """Return the type of a row that was written without a checksum, with this one."""
    return f"{listed.removesuffix(_NONE)}{_CHECKSUM}{checksum}"


def read(listed: str) -> Listed:
    """Return the parts of the type of a row."""
    checksum = ""
    if _CHECKSUM in listed:
        rest, _, found = listed.rpartition(_CHECKSUM)
        if _IS_CHECKSUM.match(found):
            listed, checksum = rest, "" if found == "NONE" else found
    content_type, mark, storage_class = listed.rpartition(_CLASS)
    if not mark or not _is_class(storage_class):
        return Listed(listed, "", checksum)
    return Listed(content_type, storage_class, checksum)


def _is_class(text: str) -> bool:
    return text.isascii() and text.isupper() and text.replace("_", "").isalnum()
