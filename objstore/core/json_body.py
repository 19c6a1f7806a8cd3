"""A JSON document whose value is available without its text."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any


class JsonBody:
    """A body that is a JSON document: encoded only if it is read; in process the value itself is used.

    value: makes the decoded value. encode: makes the document, in UTF-8.
    """

    __slots__ = ("encode", "value")

    def __init__(self, value: Callable[[], Any], encode: Callable[[], bytes]) -> None:
        self.value = value
        self.encode = encode

    @classmethod
    def of(cls, value: Any) -> JsonBody:
        """Return the body of a value in memory."""
        return cls(lambda: value, lambda: json.dumps(value).encode())

    def __iter__(self) -> Iterator[bytes]:
        yield self.encode()
