"""Rules for pipelines: required filters and their order, with the reasons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

FIRST = "catch_errors"
AUTH = ("tempauth", "keystoneauth", "keystone", "ldapauth")


class Before(NamedTuple):
    first: str
    second: str
    reason: str


class Needed(NamedTuple):
    """A required filter. serious: the server must not run without it."""

    name: str
    serious: bool
    reason: str


class Finding(NamedTuple):
    serious: bool
    text: str


# Filters that check what access control has permitted, in both APIs (`web.guards`).
GUARDS = ("name_check", "ratelimit", "read_only")
_HEADERS = "clients could send internal headers of the cluster"
_PATHS = "it needs the path of the API, which the host names"
ORDER = (
    Before("gatekeeper", "cache", _HEADERS),
    Before("gatekeeper", "tempauth", _HEADERS),
    Before("gatekeeper", "s3", _HEADERS),
    Before("healthcheck", "tempauth", "health checks have no token"),
    Before("proxy_logging", "tempauth", "refused requests would not be logged"),
    Before("cache", "tempauth", "it looks accounts and containers up through the cache"),
    Before("cache", "s3", "it looks buckets up through the cache"),
    *(Before("gatekeeper", name, _HEADERS) for name in ("ratelimit", "read_only")),
    *(Before(name, "s3", "requests of S3 would pass it") for name in GUARDS),
    *(Before(name, "tempauth", "it must see requests before they are read") for name in GUARDS),
    Before("cache", "ratelimit", "it looks containers up, and counts, through the cache"),
    Before("cache", "read_only", "it looks accounts up through the cache"),
    Before("cache", "list_endpoints", "it looks containers up through the cache"),
    Before("list_endpoints", "s3", "its paths have no token, and would be buckets"),
    Before("s3", "tempauth", "signatures are read before users are known"),
    Before("crossdomain", "s3", "/crossdomain.xml would be a bucket"),
    Before("crossdomain", "tempauth", "readers of the policy have no token"),
    Before("cache", "cname_lookup", "it keeps what it has looked up in the cache"),
    Before("cname_lookup", "domain_remap", "the host must be known before it becomes a path"),
    Before("cache", "domain_remap", "it looks containers up through the cache"),
    Before("domain_remap", "s3", "paths of remapped hosts would be buckets"),
    Before("domain_remap", "listing_formats", _PATHS),
    Before("domain_remap", "tempurl", _PATHS),
    Before("domain_remap", "formpost", _PATHS),
    Before("domain_remap", "tempauth", _PATHS),
    Before("domain_remap", "etag_quoter", _PATHS),
    Before("gatekeeper", "etag_quoter", _HEADERS),
    Before("cache", "etag_quoter", "it looks accounts and containers up through the cache"),
    Before("cache", "staticweb", "it looks containers up through the cache"),
    Before("tempauth", "staticweb", "pages are for clients without credentials"),
    Before("listing_formats", "staticweb", "its pages are made of JSON listings"),
    Before("gatekeeper", "container_sync", _HEADERS),
    Before("cache", "container_sync", "it looks containers up through the cache"),
    Before("container_sync", "tempauth", "requests of other clusters have no token"),
    Before("s3", "listing_formats", "S3's listings are made of JSON ones"),
    Before("gatekeeper", "tempurl", _HEADERS),
    Before("proxy_logging", "tempurl", "refused requests would not be logged"),
    Before("cache", "tempurl", "it looks keys of accounts and containers up through the cache"),
    Before("s3", "tempurl", "a presigned URL of S3 may have such parameters"),
    Before("gatekeeper", "formpost", _HEADERS),
    Before("proxy_logging", "formpost", "refused forms would not be logged"),
    Before("cache", "formpost", "it looks keys of accounts and containers up through the cache"),
    Before("s3", "formpost", "forms sent to buckets have another signature"),
    Before("formpost", "tempauth", "forms have no token, and their files are stored with rights of their own"),
    Before("tempurl", "tempauth", "requests by temporary URLs have no valid token"),
    Before("tempauth", "bulk", "bulk requests would be anonymous"),
)
NEEDED_BY_PROXY = (
    Needed(FIRST, True, "errors would not be answered, and requests would have no transaction id"),
    Needed("gatekeeper", True, _HEADERS),
    Needed("healthcheck", False, "load balancers cannot check whether it serves requests"),
    Needed("metrics", False, "/metrics is not available"),
    Needed("proxy_logging", False, "requests are neither logged nor counted"),
    Needed("cache", False, "every request looks its account and container up on disk"),
    Needed("info", False, "clients cannot ask for limits and features"),
    Needed("container_sync", False, "containers cannot be synchronised with other clusters"),
    Needed("s3", False, "S3 requests are refused"),
    Needed("tempurl", False, "temporary URLs are refused"),
    Needed("formpost", False, "uploads by forms are refused"),
    Needed("listing_formats", False, "listings are JSON only"),
    Needed("bulk", False, "bulk uploads and deletions are refused"),
    Needed("staticweb", False, "containers cannot be web sites"),
    Needed("slo", False, "requests for static large objects are refused"),
)


def findings(kind: str, filters: Sequence[str]) -> list[Finding]:
    """Return the problems of a pipeline. filters: our filters, by name, in order; kind: of the server at its end."""
    found = [
        Finding(True, f"{rule.second} comes before {rule.first}: {rule.reason}")
        for rule in ORDER
        if _position(filters, rule.second) < _position(filters, rule.first) < len(filters)
    ]
    found += [Finding(True, f"{name} is listed twice") for name in dict.fromkeys(filters) if filters.count(name) > 1]
    if kind != "proxy":
        return found
    if FIRST in filters and filters[0] != FIRST:
        found.append(Finding(True, f"{FIRST} must be the first: errors before it are not answered"))
    found += [
        Finding(need.serious, f"{need.name} is missing: {need.reason}")
        for need in NEEDED_BY_PROXY
        if need.name not in filters
    ]
    if not set(AUTH) & set(filters):
        found.append(Finding(False, f"none of {', '.join(AUTH)} is in the pipeline: clients are not authenticated"))
    return found


def _position(filters: Sequence[str], name: str) -> int:
    return filters.index(name) if name in filters else len(filters)
