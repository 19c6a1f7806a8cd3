"""Reading S3's documents."""

from __future__ import annotations

from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from harness.s3 import NAMESPACE


def parse(document: bytes) -> Element:
    return ElementTree.fromstring(document)


def children(root: Element, name: str) -> list[dict[str, str]]:
    """Of each child of a name, the texts of its own children by name."""
    return [
        {inner.tag.removeprefix(NAMESPACE): inner.text or "" for inner in child}
        for child in root.findall(f"{NAMESPACE}{name}")
    ]
