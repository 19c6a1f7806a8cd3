"""A JSON document whose value can be had without its text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


class JsonBody:
    """A body that is a JSON document, encoded when it is read; in process its value is had without that.

    value: makes what decoding the document would give. encode: makes the document, in UTF-8.
    """

    __slots__ = ("encode", "value")

    def __init__(self, value: Callable[[], Any], encode: Callable[[], bytes]) -> None:
        self.value = value
        self.encode = encode

    def __iter__(self) -> Iterator[bytes]:
        yield self.encode()
