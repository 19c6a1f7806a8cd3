"""Headers kept with an object that say what its row in listings shows, in place of what the object itself has."""

from __future__ import annotations

from collections.abc import Mapping

from objstore.core import listed_types
from objstore.core.headers import OVERRIDE

LISTED_ETAG = f"{OVERRIDE}Etag"
LISTED_SIZE = f"{OVERRIDE}Size"
LISTED_TYPE = f"{OVERRIDE}Content-Type"
STORAGE_CLASS = "X-Object-Sysmeta-S3-Storage-Class"  # of the object; without it, the standard one
DEFAULT_TYPE = "binary/octet-stream"  # of an object that came through S3 without a content type


def class_header(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that make listings show the storage class of an object with these headers; none for the
    standard class."""
    chosen = headers.get(STORAGE_CLASS)
    return {LISTED_TYPE: listed_types.write(headers.get("Content-Type", DEFAULT_TYPE), chosen)} if chosen else {}
