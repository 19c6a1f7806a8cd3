"""Configuration documents of containers, stored with them as system metadata.

A document is stored whole in as few headers as it needs, each short enough for a header line. A long one is
compressed. The documents in one request or one answer must fit the heads that servers and proxies accept from
each other (`max_headers_size`, `http.response_head.MAX_HEAD`).
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping

from objstore.core.errors import InvalidInput
from objstore.core.names import Name
from objstore.layers.interface import ContainerOptions, ObjectLayer
from objstore.web.context import RequestContext

OF_SYSMETA = "X-Container-Sysmeta-"
PREFIX = f"{OF_SYSMETA}S3-"
PIECE = 4000  # characters of one header
MAX_STORED = 40_000  # characters of one document
_PIECES = 20  # maximum number of headers of a document; a new one has no more than MAX_STORED needs
_COMPRESSED = "."  # begins a text that is compressed; base64 has no such character


def read(sysmeta: Mapping[str, str], kind: str) -> str:
    """Return the document of a kind (`policy`, `acl`, `cors`) among a container's system metadata; '' if none."""
    prefix = f"s3-{kind}-"
    stored = sysmeta.get(f"{prefix}0", "")
    if not stored:
        return ""
    stored += "".join(sysmeta.get(f"{prefix}{index}", "") for index in range(1, _PIECES))
    if stored[0] == _COMPRESSED:
        return zlib.decompress(base64.b64decode(stored[1:])).decode("utf-8", "surrogateescape")
    return base64.b64decode(stored).decode("utf-8", "surrogateescape")


def keep(layer: ObjectLayer, context: RequestContext, name: Name, kind: str, document: str) -> None:
    """Store a document of a container; '' removes it. Raises InvalidInput if it is too large, NoContainer."""
    layer.update_container(context, name.of_container, ContainerOptions(headers(kind, document)))


def headers(kind: str, document: str) -> dict[str, str]:
    """Return the headers of a container that store a document; '' removes it. Raises InvalidInput if too large."""
    stored = _packed(document)
    if len(stored) > MAX_STORED:
        raise InvalidInput(
            f"The configuration takes {len(stored)} bytes in compressed form, and at most {MAX_STORED} can be stored."
        )
    pieces = [stored[start : start + PIECE] for start in range(0, len(stored), PIECE)]
    pieces += [""] * (_PIECES - len(pieces))
    return {f"{PREFIX}{kind.title()}-{index}": piece for index, piece in enumerate(pieces)}


def _packed(document: str) -> str:
    data = document.encode("utf-8", "surrogateescape")
    plain = base64.b64encode(data).decode()  # a header may lose spaces at its ends
    if len(plain) <= PIECE:
        return plain
    return _COMPRESSED + base64.b64encode(zlib.compress(data, 9)).decode()
