"""The answers to writing a manifest: a body that waits while segments are checked, and lists of problems.

Forms are those of Swift: text, JSON or XML, by Accept.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from time import monotonic

from objstore.swift.bulk.report import element, entries
from objstore.web import listings

Pairs = Sequence[tuple[str, str]]


def media_type(accept: str) -> str:
    """Return the media type of the answer; text if none fits."""
    return listings.negotiated("", accept) or listings.TEXT


def rendered(kind: str, fields: Mapping[str, str], errors: Pairs, warnings: Pairs = ()) -> bytes:
    """Return the document. kind: of `web.listings.TYPES`. fields: before the errors, in their order."""
    if kind == listings.JSON:
        document: dict[str, object] = {**fields, "Errors": errors}
        return json.dumps({**document, "Warnings": warnings} if warnings else document).encode()
    if kind.endswith("/xml"):
        lines = [
            "<upload>",
            *(element(name, text) for name, text in fields.items()),
            *entries("errors", "status", errors),
        ]
        lines += entries("warnings", "status", warnings) if warnings else []
        return "\n".join((*lines, "</upload>\n")).encode("utf-8", "replace")
    lines = [f"{name}: {text}" for name, text in fields.items()]
    lines += ["Errors:", *(f"{name}, {text}" for name, text in errors)]
    lines += ["Warnings:", *(f"{name}, {text}" for name, text in warnings)] if warnings else []
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")


def heartbeats(work: Iterator[None], interval: float) -> Iterator[bytes]:
    """Yield a space at once, one each `interval` seconds while `work` runs, and the empty line behind them."""
    last = monotonic()
    yield b" "
    for _ in work:
        if monotonic() - last >= interval:
            yield b" "
            last = monotonic()
    yield b"\r\n\r\n"
