"""XML of requests parsed without trust, and XML of answers built fast.

A parsed document has lost its namespaces: clients send elements with S3's namespace, with none, and mixed. An answer
is built as text, since a listing repeats the same few elements a thousand times.
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

# The content of an element: text, a number, a boolean, further elements as (name, value), or none.
Value: TypeAlias = "str | int | bool | Iterable[tuple[str, Any]] | None"


def parse(document: bytes, root: str = "") -> Any:
    """Return the root element (lxml), names without namespace. root: its required name, '' for any.

    Raises S3Error MalformedXML. No entity, DTD, file or address is read. libxml2 itself refuses more than 256 levels.
    """
    parser = etree.XMLParser(
        resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False, remove_comments=True, remove_pis=True
    )
    try:
        element_tree = etree.fromstring(document, parser)
    except (etree.XMLSyntaxError, ValueError):
        raise S3Error("MalformedXML") from None
    if element_tree is None or element_tree.getroottree().docinfo.doctype:
        raise S3Error("MalformedXML")
    for element in element_tree.iter():
        tag = element.tag
        if not isinstance(tag, str):  # an unresolved entity
            raise S3Error("MalformedXML")
        if tag[:1] == "{":
            element.tag = tag.rpartition("}")[2]
    if root and element_tree.tag != root:
        raise S3Error("MalformedXML")
    return element_tree


def text(element: Any, name: str, default: str = "") -> str:
    """Return the text of a child, without spaces at its ends."""
    content = element.findtext(name)
    return default if content is None else content.strip()


def optional(element: Any, name: str) -> str | None:
    """Return the same as `text`, None if there is no such child."""
    content = element.findtext(name)
    return None if content is None else content.strip()


def only(element: Any, allowed: Iterable[str]) -> None:
    """Refuse other children than these; raises S3Error MalformedXML."""
    names = frozenset(allowed)
    if any(child.tag not in names for child in element):
        raise S3Error("MalformedXML")


def escape(value: str) -> str:
    """Return text as the content of an element. Characters that XML 1.0 lacks become numbers, as in S3."""
    return _SPECIAL.sub(_escaped, value) if not value.isalnum() and _SPECIAL.search(value) else value


def sayable(value: str) -> bool:
    """Return whether XML 1.0 can represent this text."""
    return not _UNSAYABLE.search(value)


def _escaped(match: re.Match[str]) -> str:
    character = match[0]
    entity = _ENTITIES.get(character)
    if entity is not None:
        return entity
    return "\ufffd" if character >= "\ud800" or character == "\0" else f"&#x{ord(character):x};"


def attributes(name: str, **values: str) -> str:
    """Return a name for `document` with attributes; `__` in an attribute's name stands for a colon."""
    return name + "".join(f" {key.replace('__', ':')}={quoteattr(value)}" for key, value in values.items())


def document(root: str, content: Value, namespace: str = NAMESPACE) -> bytes:
    """Return a whole document. content: of the root; None leaves an element out, '' makes an empty one."""
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
        for inner, content in value:
            _write(inner, content, pieces)
        pieces.append(f"</{name.partition(' ')[0]}>")
