"""Find the filter that knows which hosts name buckets, for the filters before it that answer paths of their own.

A request to `bucket.domain` is about a key of the bucket, whatever its path: `/healthcheck` and `/info` are keys then.
"""

from __future__ import annotations

from collections.abc import Callable

from objstore.web import pipeline
from objstore.web.requests import Environ

NamesBucket = Callable[[Environ], bool]


def find(app: object) -> NamesBucket:
    """Return `names_bucket` of the first filter below that has it, else a function that says no to all requests."""
    names_bucket: NamesBucket | None = pipeline.find(app, "names_bucket")
    return names_bucket or _none


def domains(app: object) -> tuple[str, ...]:
    """Return the domains whose subdomains are buckets, as `hosts.domains` does; none without such a filter below."""
    found: tuple[str, ...] | None = pipeline.find(app, "bucket_domains")
    return found or ()


def _none(environ: Environ) -> bool:
    return False
