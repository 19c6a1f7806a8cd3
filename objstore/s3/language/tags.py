"""Tag sets of objects and buckets: checked, kept as in the x-amz-tagging header, and said as XML.

Limits are S3's (user guide, Categorizing your storage using tags).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote

from objstore.s3.language import xml
from objstore.s3.language.errors import S3Error

MOST_OF_OBJECT = 10
MOST_OF_BUCKET = 50
LONGEST_KEY = 128  # characters
LONGEST_VALUE = 256
_SYSTEM = "aws:"
# Letters, digits, a few signs, and blanks but those that no document of XML can have.
_ALLOWED = re.compile(r"(?:[\w.:/=+\-@]|[^\S\x0b\x0c\x1c-\x1f])*\Z")
# What must not stand as itself in the kept form; all else but blanks does, so that it stays short.
_KEPT_AS_IS = "/:@."

Tags = Mapping[str, str]


def checked(pairs: Iterable[tuple[str, str]], most: int = MOST_OF_OBJECT) -> dict[str, str]:
    """The tags, in their order; raises S3Error InvalidTag or BadRequest."""
    tags: dict[str, str] = {}
    for key, value in pairs:
        if not key or len(key) > LONGEST_KEY or not _ALLOWED.match(key):
            raise S3Error("InvalidTag", "The TagKey you have provided is invalid", {"TagKey": key})
        if len(value) > LONGEST_VALUE or not _ALLOWED.match(value):
            raise S3Error("InvalidTag", "The TagValue you have provided is invalid", {"TagKey": key, "TagValue": value})
        if key.lower().startswith(_SYSTEM):
            raise S3Error("InvalidTag", "System tags cannot be added/updated by requester", {"TagKey": key})
        if key in tags:
            raise S3Error("InvalidTag", "Cannot provide multiple Tags with the same key", {"TagKey": key})
        tags[key] = value
    if len(tags) > most:
        noun = "Object" if most == MOST_OF_OBJECT else "Bucket"
        raise S3Error("BadRequest", f"{noun} tags cannot be greater than {most}")
    return tags


def from_header(text: str) -> dict[str, str]:
    """The tags of an x-amz-tagging header; raises S3Error InvalidArgument, InvalidTag, BadRequest."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, encoding="utf-8", errors="strict")
    except (UnicodeDecodeError, ValueError):
        raise S3Error(
            "InvalidArgument",
            "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag "
            "name duplicates.",
            {"ArgumentName": "x-amz-tagging", "ArgumentValue": text},
        ) from None
    return checked(pairs)


def from_xml(root: Any, most: int = MOST_OF_OBJECT) -> dict[str, str]:
    """The tags of a Tagging document (see `xml.parse`); raises S3Error MalformedXML, InvalidTag, BadRequest."""
    if root.tag != "Tagging" or len(root) != 1 or root[0].tag != "TagSet":
        raise S3Error("MalformedXML")
    return checked((_pair(tag) for tag in root[0]), most)


def _pair(tag: Any) -> tuple[str, str]:
    found = {child.tag: child.text or "" for child in tag}
    if tag.tag != "Tag" or len(tag) != 2 or found.keys() != {"Key", "Value"}:
        raise S3Error("MalformedXML")
    return found["Key"], found["Value"]


def dump(tags: Tags) -> str:
    """The text that keeps tags, '' for none."""
    return "&".join(f"{_kept(key)}={_kept(value)}" for key, value in tags.items())


def _kept(text: str) -> str:
    if text.isascii():
        return quote(text, safe=_KEPT_AS_IS)
    # Also blanks: ten tags of them must still fit a header line.
    return "".join(quote(letter, safe=_KEPT_AS_IS) if letter.isascii() else letter for letter in text)


def load(kept: str) -> dict[str, str]:
    return dict(parse_qsl(kept, keep_blank_values=True)) if kept else {}


def count(kept: str) -> int:
    return kept.count("&") + 1 if kept else 0


def to_xml(tags: Tags) -> bytes:
    """The Tagging document."""
    items = [("Tag", [("Key", key), ("Value", value)]) for key, value in tags.items()]
    return xml.document("Tagging", [("TagSet", items)])
