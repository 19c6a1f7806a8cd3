"""XML in and out: documents of requests parsed without trust, documents of answers built fast.

A parsed document has lost its namespaces: clients send elements with S3's namespace, with
none, and mixed. What is built is text from the start, since a listing is a thousand times the same
few elements.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, TypeAlias
from xml.sax.saxutils import quoteattr

from lxml import etree

from objstore.s3.language.errors import S3Error

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'

_SPECIAL = re.compile('[&<>"\x00-\x1f\x7f\ufffe\uffff\ud800-\udfff]')
_UNSAYABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\t": "\t", "\n": "\n"}

# What an element holds: text, a number, a truth, further elements as (name, value), or nothing at all.
Value: TypeAlias = "str | int | bool | Iterable[tuple[str, Any]] | None"


def parse(document: bytes, root: str = "") -> Any:
    """The root element (lxml), names without namespace; `root`: what it must be called.

    Raises S3Error MalformedXML. No entity, DTD, file or address is read. libxml2 itself refuses
    more than 256 levels.
    """
    parser = etree.XMLParser(
        resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False, remove_comments=True, remove_pis=True
    )
    try:
        found = etree.fromstring(document, parser)
    except (etree.XMLSyntaxError, ValueError):
        raise S3Error("MalformedXML") from None
    if found is None or found.getroottree().docinfo.doctype:
        raise S3Error("MalformedXML")
    for element in found.iter():
        tag = element.tag
        if not isinstance(tag, str):  # an entity that was left as it is
            raise S3Error("MalformedXML")
        if tag[:1] == "{":
            element.tag = tag.rpartition("}")[2]
    if root and found.tag != root:
        raise S3Error("MalformedXML")
    return found


def text(element: Any, name: str, default: str = "") -> str:
    """The text of a child, without spaces at its ends."""
    found = element.findtext(name)
    return default if found is None else found.strip()


def optional(element: Any, name: str) -> str | None:
    """As `text`, None if there is no such child."""
    found = element.findtext(name)
    return None if found is None else found.strip()


def only(element: Any, allowed: Iterable[str]) -> None:
    """Raises S3Error MalformedXML where an element has other children than these."""
    names = frozenset(allowed)
    if any(child.tag not in names for child in element):
        raise S3Error("MalformedXML")


def escape(value: str) -> str:
    """Text as it stands in an element. Characters that XML 1.0 lacks go out by number, as S3 sends them."""
    return _SPECIAL.sub(_escaped, value) if not value.isalnum() and _SPECIAL.search(value) else value


def sayable(value: str) -> bool:
    """Can XML 1.0 say this text?"""
    return not _UNSAYABLE.search(value)


def _escaped(match: re.Match[str]) -> str:
    character = match[0]
    known = _ENTITIES.get(character)
    if known is not None:
        return known
    return "\ufffd" if character >= "\ud800" or character == "\0" else f"&#x{ord(character):x};"


def attributes(name: str, **values: str) -> str:
    """A name for `document` with attributes; `__` in an attribute's name stands for a colon."""
    return name + "".join(f" {key.replace('__', ':')}={quoteattr(value)}" for key, value in values.items())


def document(root: str, content: Value, namespace: str = NAMESPACE) -> bytes:
    """A whole document. content: of the root; None leaves an element out, '' makes an empty one."""
    pieces = [DECLARATION]
    _write(f'{root} xmlns="{namespace}"' if namespace else root, content if content is not None else "", pieces)
    return "".join(pieces).encode("utf-8")


def _write(name: str, value: Any, pieces: list[str]) -> None:
    kind = type(value)
    if kind is str:
        if value:
            pieces.append(f"<{name}>{escape(value)}</{name.partition(' ')[0]}>")
        else:
            pieces.append(f"<{name}/>")
    elif value is None:
        return
    elif kind is bool:
        pieces.append(f"<{name}>{'true' if value else 'false'}</{name}>")
    elif kind is int:
        pieces.append(f"<{name}>{value}</{name}>")
    else:
        pieces.append(f"<{name}>")
        for inner, held in value:
            _write(inner, held, pieces)
        pieces.append(f"</{name.partition(' ')[0]}>")
