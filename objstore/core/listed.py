"""Headers kept with an object that determine its row in listings, in place of what the object itself has.

LISTED_WHOLE is for an object that stands for others, such as a manifest of a client's segments: listings show that
size, while the container's bytes used count the object's own. LISTED_FIELDS adds keys to the row.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from objstore.core import listed_types
from objstore.core.errors import MALFORMED, InvalidInput
from objstore.core.headers import OVERRIDE

LISTED_ETAG = f"{OVERRIDE}Etag"
LISTED_SIZE = f"{OVERRIDE}Size"
LISTED_TYPE = f"{OVERRIDE}Content-Type"
LISTED_WHOLE = f"{OVERRIDE}Whole-Size"  # in bytes
LISTED_FIELDS = f"{OVERRIDE}Fields"  # as `fields_header` writes them
# The keys that rows can have in addition to those of all objects.
FIELDS = frozenset({"slo_etag", "symlink_path", "symlink_bytes", "symlink_etag", "version_symlink"})
STORAGE_CLASS = "X-Object-Sysmeta-S3-Storage-Class"  # of the object; without it, the standard one
DEFAULT_TYPE = "binary/octet-stream"  # of an object that came through S3 without a content type


def class_header(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that make listings show the storage class of an object with these headers; none for the
    standard class."""
    chosen = headers.get(STORAGE_CLASS)
    return {LISTED_TYPE: listed_types.write(headers.get("Content-Type", DEFAULT_TYPE), chosen)} if chosen else {}


def fields_header(fields: Mapping[str, str | int | bool]) -> dict[str, str]:
    """Return the header that adds these keys of FIELDS to the row of an object; none if there are none."""
    assert fields.keys() <= FIELDS
    return {LISTED_FIELDS: json.dumps(fields, separators=(",", ":"))} if fields else {}


def checked_fields(text: str) -> str:
    """Return a value of LISTED_FIELDS as rows hold it, '' for none: listings contain it as it is.

    Raises InvalidInput.
    """
    if not text:
        return ""
    try:
        fields = json.loads(text)
        sound = fields.keys() <= FIELDS and {type(value) for value in fields.values()} <= {str, int, bool}
    except MALFORMED:
        sound = False
    if not sound:
        raise InvalidInput(f"not fields of a row: {text[:200]!r}")
    return json.dumps(fields, separators=(",", ":")) if fields else ""
