"""Headers of manifests: objects whose content lists the segments that make up the content clients see.

The maker of a manifest sets them, and they are stored with it. All servers know that an object with MANIFEST stands for
other content, and that clients compare its MANIFEST_ETAG.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import quote, unquote

MANIFEST = "X-Object-Sysmeta-Manifest"  # the form of the list: `json`
FORM = "json"
MANIFEST_ETAG = "X-Object-Sysmeta-Manifest-Etag"  # of the whole, without quotes
MANIFEST_SIZE = "X-Object-Sysmeta-Manifest-Size"  # of the whole, in bytes
# `container/prefix`, percent-encoded: segments that belong only to this manifest and are deleted with it.
MANIFEST_OWNS = "X-Object-Sysmeta-Manifest-Owns"
# Of a manifest that a client wrote (a static large object), beside LARGE: an object of each container with segments, as
# `container/object`, percent-encoded and separated by commas: who reads the manifest must be permitted to read them. A
# last one is MORE if there are further containers.
MANIFEST_REFERS = "X-Object-Sysmeta-Manifest-Refers"
MORE = "*"
MANIFEST_DEPTH = "X-Object-Sysmeta-Manifest-Depth"  # number of manifests below each other, 1 if none is a segment
LARGE = "X-Static-Large-Object"  # `True`; a client cannot set it
MAX_DEPTH = 10  # of manifests below each other that a read passes, as in Swift

# With an open manifest; see `layers.manifests`.
OWN_ETAG = "X-Manifest-Etag"  # of the list
PARTS_COUNT = "X-Parts-Count"  # number of segments, if one of them is read by its number

# With the answer to a PUT or DELETE: MANIFEST_OWNS of the object that was replaced or deleted; several with a comma.
REPLACED_SEGMENTS = "X-Backend-Replaced-Segments"


def shown_etag(metadata: Mapping[str, str], etag: str) -> str:
    """Return the etag that clients see. etag: of the object's own bytes."""
    return metadata.get(MANIFEST_ETAG, etag)


def is_large(headers: Mapping[str, str]) -> bool:
    """Return whether an object with these headers is a static large object of the Swift API."""
    return MANIFEST in headers and LARGE in headers


def refers(names: Iterable[tuple[str, str]], limit: int) -> str:
    """Return the value of MANIFEST_REFERS. names: container and object of segments. limit: characters of the value."""
    first: dict[str, str] = {}
    for container, key in names:
        first.setdefault(container, key)
    items: list[str] = []
    for container, key in first.items():
        item = quote(f"{container}/{key}")
        if sum(map(len, items)) + len(items) + len(item) > limit:
            return ",".join((*items, MORE))
        items.append(item)
    return ",".join(items)


def referred(value: str) -> list[str]:
    """Return `container/object` of each name in a value of MANIFEST_REFERS, without MORE."""
    return [unquote(item) for item in value.split(",") if item and item != MORE]


def list_etag(metadata: Mapping[str, str], etag: str) -> str:
    """Return the etag of the list of a large object, which clients know too; '' for other objects.

    etag: of the object's own bytes.
    """
    return etag if is_large(metadata) else ""


def owns(container: str, prefix: str) -> str:
    """Return the value of MANIFEST_OWNS for all objects of a container with a prefix."""
    return quote(f"{container}/{prefix}")


def owned_prefix(headers: Mapping[str, str]) -> str:
    """Return the name prefix of the segments that a manifest with these headers owns; '' for none."""
    return owned(headers.get(MANIFEST_OWNS, "")).partition("/")[2]


def owned(value: str) -> str:
    """Return `container/prefix` of a value of MANIFEST_OWNS."""
    return unquote(value)
