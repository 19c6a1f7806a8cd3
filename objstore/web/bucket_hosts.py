"""Find the filter that knows which hosts name buckets, for the filters before it that answer paths of their own.

A request to `bucket.domain` is about a key of the bucket, whatever its path: `/healthcheck` and `/info` are keys then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from objstore.web.requests import Environ

NamesBucket = Callable[[Environ], bool]


def find(app: Any) -> NamesBucket:
    """Return `names_bucket` of the first filter below that has it, else a function that says no to all requests."""
    while app is not None:
        names_bucket: NamesBucket | None = getattr(app, "names_bucket", None)
        if names_bucket is not None:
            return names_bucket
        app = getattr(app, "app", None)
    return _none


def _none(environ: Environ) -> bool:
    return False
