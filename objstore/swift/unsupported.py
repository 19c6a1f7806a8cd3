"""Requests for features of Swift that this proxy does not have: refused with 501, never silently ignored.

A feature is supported once a filter or a layer of the proxy has announced it by its name (`FEATURES`); until then a
request for it is refused. A value that is empty, or means no, passes: it removes a feature that is not there.
"""

from __future__ import annotations

from collections.abc import Mapping

from objstore.core.errors import NotSupported
from objstore.core.text import ENVIRON_KEY
from objstore.web import requests
from objstore.web.requests import Environ

# Refusals by the name of the feature.
FEATURES: dict[str, str] = {
    "slo": "Static large objects (multipart-manifest) are not supported by this proxy",
    "dlo": "Dynamic large objects (X-Object-Manifest) are not supported by this proxy",
    "symlink": "Links (symlinks) are not supported by this proxy",
    "versions": "Versions of objects are not supported by the Swift API here; the S3 API has them",
    "versioned_writes": "Versions in another container are not supported; X-Versions-Enabled is",
    "quotas": "Quotas are not supported yet",
    "container_sync": "Container sync is not supported",
    "tempurl": "Temporary URLs are not supported; presigned URLs of the S3 API are",
    "staticweb": "Static web pages are not supported by this proxy",
    "bulk": "Bulk operations are not supported yet",
    "etag_quoter": "This proxy does not quote etags",
    "read_only": "Accounts cannot be made read-only by this proxy",
    "ratelimit": "Rates are not limited by this proxy",
    "formpost": "Uploads by forms are not supported by the Swift API; the S3 API has them",
}

# Headers of requests that change something.
HEADERS: dict[str, str] = {
    "X-Object-Manifest": "dlo",
    "X-Symlink-Target": "symlink",
    "X-Symlink-Target-Account": "symlink",
    "X-Symlink-Target-Etag": "symlink",
    "X-Versions-Location": "versioned_writes",
    "X-History-Location": "versioned_writes",
    "X-Versions-Mode": "versioned_writes",
    "X-Versions-Enabled": "versions",
    "X-Container-Meta-Quota-Bytes": "quotas",
    "X-Container-Meta-Quota-Count": "quotas",
    "X-Account-Meta-Quota-Bytes": "quotas",
    "X-Account-Meta-Quota-Count": "quotas",
    "X-Account-Quota-Bytes": "quotas",
    "X-Account-Quota-Count": "quotas",
    "X-Account-Read-Only": "read_only",
    "X-Account-Global-Write-Ratelimit": "ratelimit",
    "X-Container-Sync-To": "container_sync",
    "X-Container-Sync-Key": "container_sync",
    "X-Account-Meta-Temp-Url-Key": "tempurl",
    "X-Account-Meta-Temp-Url-Key-2": "tempurl",
    "X-Container-Meta-Temp-Url-Key": "tempurl",
    "X-Container-Meta-Temp-Url-Key-2": "tempurl",
    "X-Account-Rfc-Compliant-Etags": "etag_quoter",
    "X-Container-Rfc-Compliant-Etags": "etag_quoter",
    "X-Container-Meta-Web-Index": "staticweb",
    "X-Container-Meta-Web-Error": "staticweb",
    "X-Container-Meta-Web-Listings": "staticweb",
    "X-Container-Meta-Web-Listings-Css": "staticweb",
    "X-Container-Meta-Web-Listings-Label": "staticweb",
    "X-Container-Meta-Web-Directory-Type": "staticweb",
}
_QUOTA_OF_POLICY = ("HTTP_X_ACCOUNT_QUOTA_BYTES_POLICY_", "HTTP_X_ACCOUNT_QUOTA_COUNT_POLICY_")

# Headers of any request. Without manifests and links, `multipart-manifest=get` and `symlink=get` make no difference.
QUERIES: dict[str, str] = {
    "multipart-manifest": "slo",
    "bulk-delete": "bulk",
    "extract-archive": "bulk",
    "temp_url_sig": "tempurl",
    "temp_url_expires": "tempurl",
    "temp_url_prefix": "tempurl",
    "version-id": "versions",
    "versions": "versions",
}
_READ = frozenset({"multipart-manifest"})
_CHANGES = frozenset({"PUT", "POST", "DELETE", "COPY"})
_NO = frozenset({"", "false", "no", "off", "0", "f", "n"})


class Unsupported:
    """The features that a proxy lacks; at first all of them."""

    def __init__(self) -> None:
        self._missing = dict(FEATURES)
        self._by_key = {ENVIRON_KEY[name]: feature for name, feature in HEADERS.items()}
        self._queries = dict(QUERIES)

    def support(self, feature: str) -> None:
        """Stop refusing requests for a feature, one of `FEATURES`. Others, such as those of other filters, are
        ignored."""
        self._missing.pop(feature, None)
        self._by_key = {key: name for key, name in self._by_key.items() if name in self._missing}
        self._queries = {query: name for query, name in self._queries.items() if name in self._missing}

    def check(self, environ: Environ) -> None:
        """Raise NotSupported, whose message names the feature."""
        method = environ["REQUEST_METHOD"]
        changes = method in _CHANGES
        if environ.get("QUERY_STRING") and self._queries:
            self._check_query(requests.query(environ), changes)
        if not changes:
            return
        for key, feature in self._by_key.items():
            if key in environ and not _says_no(environ[key]):
                raise self._refusal(feature)
        if "quotas" in self._missing and environ["PATH_INFO"].rstrip("/").count("/") == 2:  # an account
            for key in environ:
                if key.startswith(_QUOTA_OF_POLICY) and not _says_no(environ[key]):
                    raise self._refusal("quotas")
        is_form = environ.get("CONTENT_TYPE", "")[:19].lower() == "multipart/form-data"
        if is_form and method == "POST" and "formpost" in self._missing and requests.has_body(environ):
            raise self._refusal("formpost")

    def _check_query(self, query: Mapping[str, str], changes: bool) -> None:
        for name in query:
            if name in self._queries and (changes or name not in _READ):
                raise self._refusal(self._queries[name])

    def _refusal(self, feature: str) -> NotSupported:
        return NotSupported(self._missing[feature])


def _says_no(value: str) -> bool:
    return value.strip().lower() in _NO
