"""Account and container listings as JSON, XML and text, in the forms of Swift's API.

A listing is a list of dicts, as it stands in the JSON form: rows of a container have
`name`, `hash`, `bytes`, `content_type`, `last_modified`; rows of an account `name`,
`count`, `bytes`, `last_modified`; names rolled up by a delimiter are `{"subdir": name}`.
The functions raise KeyError for rows of another shape.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape, quoteattr

TEXT = "text/plain"
JSON = "application/json"
TYPES = (TEXT, JSON, "application/xml", "text/xml")  # in Swift's order of preference
_BY_FORMAT = {"plain": TEXT, "json": JSON, "xml": "application/xml"}

# What XML 1.0 has no way to write (section 2.2), surrogates among it.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'

Listing = Sequence[Mapping[str, Any]]


def negotiated(format: str, accept: str, versions: bool = False) -> str | None:
    """Return the media type of the answer, None if none is acceptable (406).

    format: the query's, which takes precedence over the Accept header; an unknown one means text. versions: of a
    listing of versions, which is JSON only.
    """
    types = (JSON,) if versions else TYPES
    if format:
        kind = _BY_FORMAT.get(format.lower(), TEXT)
        return kind if kind in types else None
    if not accept:
        return types[0]
    for wanted in _media_ranges(accept):
        for kind in types:
            if wanted in (kind, "*/*") or (wanted.endswith("/*") and kind.startswith(wanted[:-1])):
                return kind
    return None


def _media_ranges(accept: str) -> list[str]:
    """Media ranges of an Accept header (RFC 9110, 12.5.1), best first; those of quality 0 left out."""
    ranked = []
    for position, item in enumerate(accept.split(",")):
        kind, *parameters = (part.strip() for part in item.split(";"))
        quality = 1.0
        for parameter in parameters:
            if parameter[:2].lower() == "q=":
                try:
                    quality = float(parameter[2:])
                except ValueError:
                    quality = 0.0
        if quality > 0:
            ranked.append((-quality, kind.count("*"), position, kind.lower()))
    return [kind for _, _, _, kind in sorted(ranked)]


def text(listing: Listing) -> bytes:
    """One name a line; empty for an empty listing."""
    names = [row["name"] if "name" in row else row["subdir"] for row in listing]
    return ("\n".join(names) + "\n").encode("utf-8", "surrogateescape") if names else b""


def container_xml(listing: Listing, container: str) -> bytes:
    rows = (
        _subdir(row["subdir"], f"<name>{_escaped(row['subdir'])}</name>")
        if "subdir" in row
        else f"<object><name>{_escaped(row['name'])}</name><hash>{_escaped(row['hash'])}</hash><bytes>{row['bytes']}"
        f"</bytes><content_type>{_escaped(row['content_type'])}</content_type><last_modified>"
        f"{_escaped(row['last_modified'])}</last_modified></object>"
        for row in listing
    )
    return _document("container", container, rows)


def account_xml(listing: Listing, account: str) -> bytes:
    rows = (
        _subdir(row["subdir"], "")
        if "subdir" in row
        else f"<container><name>{_escaped(row['name'])}</name><count>{row['count']}</count><bytes>{row['bytes']}"
        f"</bytes><last_modified>{_escaped(row['last_modified'])}</last_modified>"
        f"<storage_policy>{_escaped(row.get('storage_policy', ''))}</storage_policy></container>"
        for row in listing
    )
    return _document("account", account, rows)


# Written as text: building 50,000 elements takes lxml ten times as long, and there is one level of them.


def _document(tag: str, name: str, rows: Iterable[str]) -> bytes:
    return f"{_DECLARATION}<{tag} name={_attribute(name)}>{''.join(rows)}</{tag}>".encode()


def _subdir(name: str, inner: str) -> str:
    start = f"<subdir name={_attribute(name)}"
    return f"{start}>{inner}</subdir>" if inner else f"{start} />"


def _escaped(text: str) -> str:
    if text.isascii() and text.isprintable() and "&" not in text and "<" not in text and ">" not in text:
        return text  # most are so, and escaping would take twice the time of all the rest
    return escape(_NOT_XML.sub("\ufffd", text), {"\r": "&#13;"})


def _attribute(text: str) -> str:
    return quoteattr(_NOT_XML.sub("\ufffd", text))
