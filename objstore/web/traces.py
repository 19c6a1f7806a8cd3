"""The transaction id of a client's request, carried along with all that servers do for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HEADER = "X-Trans-Id"
KEY = "HTTP_X_TRANS_ID"


def carried(environ: Mapping[str, Any]) -> dict[str, str]:
    """Headers for requests that are made for this one."""
    found = environ.get(KEY)
    return {HEADER: found} if found else {}


def passed_on(headers: Mapping[str, str]) -> dict[str, str]:
    """As `carried`, from a request's headers by their canonical names."""
    found = headers.get(HEADER)
    return {HEADER: found} if found else {}


def of_log(headers: Mapping[str, str]) -> dict[str, str]:
    """As `extra` of a log message, see `runtime.log`. headers: canonical names to text."""
    return {"trans_id": headers.get(HEADER, "")}
