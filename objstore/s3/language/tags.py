"""Tag sets of objects and buckets: checked, stored in the form of the x-amz-tagging header, and written as XML.

Limits are S3's (user guide, Categorizing your storage using tags).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote

from objstore.s3.language import xml
from objstore.s3.language.errors import S3Error

MAX_OF_OBJECT = 10
MAX_OF_BUCKET = 50
MAX_KEY = 128  # characters
MAX_VALUE = 256
_SYSTEM = "aws:"
# Letters, digits, a few signs, and all blanks that XML documents can have.
_ALLOWED = re.compile(r"(?:[\w.:/=+\-@]|[^\S\x0b\x0c\x1c-\x1f])*\Z")
# Signs that the stored form does not encode, so that it stays short.
_UNENCODED = "/:@."

Tags = Mapping[str, str]


def checked(pairs: Iterable[tuple[str, str]], limit: int = MAX_OF_OBJECT) -> dict[str, str]:
    """Return the tags, in their order; raises S3Error InvalidTag or BadRequest."""
    tags: dict[str, str] = {}
    for key, value in pairs:
        if not key or len(key) > MAX_KEY or not _ALLOWED.match(key):
            raise S3Error("InvalidTag", "The TagKey you have provided is invalid", {"TagKey": key})
        if len(value) > MAX_VALUE or not _ALLOWED.match(value):
            raise S3Error("InvalidTag", "The TagValue you have provided is invalid", {"TagKey": key, "TagValue": value})
        if key.lower().startswith(_SYSTEM):
            raise S3Error("InvalidTag", "System tags cannot be added/updated by requester", {"TagKey": key})
        if key in tags:
            raise S3Error("InvalidTag", "Cannot provide multiple Tags with the same key", {"TagKey": key})
        tags[key] = value
    if len(tags) > limit:
        noun = "Object" if limit == MAX_OF_OBJECT else "Bucket"
        raise S3Error("BadRequest", f"{noun} tags cannot be greater than {limit}")
    return tags


def from_header(text: str) -> dict[str, str]:
    """Return the tags of an x-amz-tagging header; raises S3Error InvalidArgument, InvalidTag, BadRequest."""
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


def from_xml(root: Any, limit: int = MAX_OF_OBJECT) -> dict[str, str]:
    """Return the tags of a Tagging document (see `xml.parse`); raises S3Error MalformedXML, InvalidTag, BadRequest."""
    if root.tag != "Tagging" or len(root) != 1 or root[0].tag != "TagSet":
        raise S3Error("MalformedXML")
    return from_list(root[0], limit)


def from_list(tags: Any, limit: int) -> dict[str, str]:
    """Return the tags of an element with Tag elements; raises S3Error MalformedXML, InvalidTag, BadRequest."""
    return checked((_pair(tag) for tag in tags), limit)


def _pair(tag: Any) -> tuple[str, str]:
    children = {child.tag: child.text or "" for child in tag}
    if tag.tag != "Tag" or len(tag) != 2 or children.keys() != {"Key", "Value"}:
        raise S3Error("MalformedXML")
    return children["Key"], children["Value"]


def dump(tags: Tags) -> str:
    """Return the stored form of tags, '' for none."""
    return "&".join(f"{_encoded(key)}={_encoded(value)}" for key, value in tags.items())


def _encoded(text: str) -> str:
    if text.isascii():
        return quote(text, safe=_UNENCODED)
    # Blanks beyond ASCII stay too: ten tags of them must fit a header line.
    return "".join(quote(letter, safe=_UNENCODED) if letter.isascii() else letter for letter in text)


def load(stored: str) -> dict[str, str]:
    return dict(parse_qsl(stored, keep_blank_values=True)) if stored else {}


def count(stored: str) -> int:
    return stored.count("&") + 1 if stored else 0


def to_xml(tags: Tags) -> bytes:
    """Return the Tagging document."""
    items = [("Tag", [("Key", key), ("Value", value)]) for key, value in tags.items()]
    return xml.document("Tagging", [("TagSet", items)])
