"""Headers of manifests: objects whose content lists the segments that make up the content clients see.

They are set by the one who makes the manifest and kept with it. All servers know that an object
with MANIFEST stands for something else, and that clients compare its MANIFEST_ETAG.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, unquote

MANIFEST = "X-Object-Sysmeta-Manifest"  # the form of the list: `json`
FORM = "json"
MANIFEST_ETAG = "X-Object-Sysmeta-Manifest-Etag"  # of the whole, without quotes
MANIFEST_SIZE = "X-Object-Sysmeta-Manifest-Size"  # of the whole, in bytes
# `container/prefix`, percent-encoded: segments that belong to this manifest alone and go with it.
MANIFEST_OWNS = "X-Object-Sysmeta-Manifest-Owns"

# With the answer to a PUT or DELETE: MANIFEST_OWNS of the object that is no more; several with a comma.
REPLACED_SEGMENTS = "X-Backend-Replaced-Segments"
# With a DELETE: the segments go on under another name (the object was renamed).
KEEP_SEGMENTS = "X-Backend-Keep-Segments"


def shown_etag(metadata: Mapping[str, str], etag: str) -> str:
    """The etag that clients know an object by. etag: that of its own bytes."""
    return metadata.get(MANIFEST_ETAG, etag)


def owns(container: str, prefix: str) -> str:
    """The value of MANIFEST_OWNS for all objects of a container whose names begin so."""
    return quote(f"{container}/{prefix}")


def owned_prefix(headers: Mapping[str, str]) -> str:
    """How the names of the segments begin that a manifest with these headers owns; '' for none."""
    return owned(headers.get(MANIFEST_OWNS, "")).partition("/")[2]


def owned(value: str) -> str:
    """`container/prefix` of a value of MANIFEST_OWNS."""
    return unquote(value)
