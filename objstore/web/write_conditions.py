"""Conditions of changes: If-Match and If-None-Match of a PUT, POST or DELETE (RFC 9110, section 13.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from objstore.core.errors import PreconditionFailed
from objstore.web.conditions import evaluate

HEADERS = ("If-Match", "If-None-Match")
# With a PUT made with the system's rights: the object's old name, in the same container and percent-encoded,
# which is deleted in the same stroke if it still has the etag; else 409.
RENAME_SOURCE = "X-Backend-Rename-Source"
RENAME_ETAG = "X-Backend-Rename-Etag"


class WriteCondition(NamedTuple):
    """The two headers as sent, None if not. Dates make no condition of a change: they are too coarse."""

    if_match: str | None = None
    if_none_match: str | None = None

    @classmethod
    def sent(cls, headers: Mapping[str, str]) -> WriteCondition | None:
        """The condition of a request with these headers (canonical name to text), None if it makes none."""
        if "If-Match" not in headers and "If-None-Match" not in headers:
            return None
        return cls(*map(headers.get, HEADERS))

    @property
    def headers(self) -> dict[str, str]:
        sent = zip(HEADERS, self, strict=True)
        return {name: value for name, value in sent if value is not None}

    def check(self, etag: str | None, second_etag: str = "") -> None:
        """Raise PreconditionFailed if the condition is not met. etag: as clients see it, without quotes; None if
        nothing is stored. second_etag: see `evaluate`."""
        if evaluate("PUT", self.headers, etag, None, second_etag) is not None:
            raise PreconditionFailed("the condition does not hold", missing=etag is None)
