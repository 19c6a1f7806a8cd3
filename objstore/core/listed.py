"""Headers kept with an object that determine its row in listings, in place of what the object itself has.

LISTED_WHOLE is for an object that stands for others, such as a manifest of a client's segments: listings show that
size, while the container's bytes used count the object's own. LISTED_FIELDS adds keys to the row.
"""

from __future__ import annotations

import json
import re
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
CHECKSUM = "X-Object-Sysmeta-S3-Checksum"  # of the object: JSON with `algorithm`, `value` and `type`, in this order
_CHECKSUM = re.compile(r'\{"algorithm":"([A-Z0-9]+)","value":"[^"]*","type":"(FULL_OBJECT|COMPOSITE)"')
DEFAULT_TYPE = "binary/octet-stream"  # of an object that came through S3 without a content type


def class_header(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that make listings show the storage class of an object with these headers; none for the
    standard class."""
    chosen = headers.get(STORAGE_CLASS)
    return {LISTED_TYPE: listed_types.write(headers.get("Content-Type", DEFAULT_TYPE), chosen)} if chosen else {}


def listed_type(content_type: str, headers: Mapping[str, str]) -> str:
    """Return the type of the row of an object (`core.listed_types`). headers: stored with the object."""
    listed = headers.get(LISTED_TYPE) or listed_types.write(content_type)
    checksum = _listed_checksum(headers)
    return listed_types.with_checksum(listed, checksum) if checksum else listed


def listed_type_header(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the header by which the row of another object shows class and checksum of one with these headers."""
    content_type = headers.get("Content-Type", DEFAULT_TYPE)
    listed = listed_type(content_type, headers)
    return {LISTED_TYPE: listed} if listed != content_type else {}


def _listed_checksum(headers: Mapping[str, str]) -> str:
    """Return the mark of an object's checksum in its row, '' for none."""
    match = _CHECKSUM.match(headers.get(CHECKSUM, ""))
    if match is None:
        return ""
    algorithm, kind = match.groups()
    return f"{algorithm}{listed_types.COMPOSITE}" if kind == "COMPOSITE" else algorithm


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
