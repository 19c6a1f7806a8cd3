"""Headers of manifests: objects whose content lists the segments that make up the content clients see.

The maker of a manifest sets them, and they are stored with it. All servers know that an object with MANIFEST stands for
other content, and that clients compare its MANIFEST_ETAG.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, unquote

MANIFEST = "X-Object-Sysmeta-Manifest"  # the form of the list: `json`
FORM = "json"
MANIFEST_ETAG = "X-Object-Sysmeta-Manifest-Etag"  # of the whole, without quotes
MANIFEST_SIZE = "X-Object-Sysmeta-Manifest-Size"  # of the whole, in bytes
# `container/prefix`, percent-encoded: segments that belong only to this manifest and are deleted with it.
MANIFEST_OWNS = "X-Object-Sysmeta-Manifest-Owns"

# With the answer to a PUT or DELETE: MANIFEST_OWNS of the object that was replaced or deleted; several with a comma.
REPLACED_SEGMENTS = "X-Backend-Replaced-Segments"


def shown_etag(metadata: Mapping[str, str], etag: str) -> str:
    """Return the etag that clients see. etag: of the object's own bytes."""
    return metadata.get(MANIFEST_ETAG, etag)


def owns(container: str, prefix: str) -> str:
    """Return the value of MANIFEST_OWNS for all objects of a container with a prefix."""
    return quote(f"{container}/{prefix}")


def owned_prefix(headers: Mapping[str, str]) -> str:
    """Return the name prefix of the segments that a manifest with these headers owns; '' for none."""
    return owned(headers.get(MANIFEST_OWNS, "")).partition("/")[2]


def owned(value: str) -> str:
    """Return `container/prefix` of a value of MANIFEST_OWNS."""
    return unquote(value)
