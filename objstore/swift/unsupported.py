"""Requests for features of Swift that are not supported: refused with 501, never silently ignored.

A value that is empty, or means no, passes: it removes a feature that is not there.
"""

from __future__ import annotations

from collections.abc import Mapping

from objstore.core.errors import NotSupported
from objstore.core.text import ENVIRON_KEY
from objstore.web import requests
from objstore.web.requests import Environ

_MANIFESTS = "Large objects by manifest (SLO, DLO) are not supported yet"
_LINKS = "Links (symlinks) are not supported yet"
_VERSIONS = "Versions of objects are not supported yet by the Swift API; the S3 API has them"
_QUOTAS = "Quotas are not supported yet"
_SYNC = "Container sync is not supported"
_TEMPORARY = "Temporary URLs are not supported; presigned URLs of the S3 API are"
_WEB = "Static web pages are not supported"
_BULK = "Bulk operations are not supported yet"
_FORMS = "Uploads by forms are not supported by the Swift API; the S3 API has them"

# Headers of requests that change something.
HEADERS: dict[str, str] = {
    "X-Object-Manifest": _MANIFESTS,
    "X-Symlink-Target": _LINKS,
    "X-Symlink-Target-Account": _LINKS,
    "X-Symlink-Target-Etag": _LINKS,
    "X-Versions-Location": _VERSIONS,
    "X-History-Location": _VERSIONS,
    "X-Versions-Mode": _VERSIONS,
    "X-Versions-Enabled": _VERSIONS,
    "X-Container-Meta-Quota-Bytes": _QUOTAS,
    "X-Container-Meta-Quota-Count": _QUOTAS,
    "X-Account-Meta-Quota-Bytes": _QUOTAS,
    "X-Account-Meta-Quota-Count": _QUOTAS,
    "X-Account-Quota-Bytes": _QUOTAS,
    "X-Account-Quota-Count": _QUOTAS,
    "X-Container-Sync-To": _SYNC,
    "X-Container-Sync-Key": _SYNC,
    "X-Account-Meta-Temp-Url-Key": _TEMPORARY,
    "X-Account-Meta-Temp-Url-Key-2": _TEMPORARY,
    "X-Container-Meta-Temp-Url-Key": _TEMPORARY,
    "X-Container-Meta-Temp-Url-Key-2": _TEMPORARY,
    "X-Container-Meta-Web-Index": _WEB,
    "X-Container-Meta-Web-Error": _WEB,
    "X-Container-Meta-Web-Listings": _WEB,
    "X-Container-Meta-Web-Listings-Css": _WEB,
    "X-Container-Meta-Web-Listings-Label": _WEB,
    "X-Container-Meta-Web-Directory-Type": _WEB,
}
_BY_KEY: dict[str, str] = {ENVIRON_KEY[name]: text for name, text in HEADERS.items()}
_QUOTA_OF_POLICY = ("HTTP_X_ACCOUNT_QUOTA_BYTES_POLICY_", "HTTP_X_ACCOUNT_QUOTA_COUNT_POLICY_")

# Headers of any request. Without manifests and links, `multipart-manifest=get` and `symlink=get` make no difference.
QUERIES: dict[str, str] = {
    "multipart-manifest": _MANIFESTS,
    "bulk-delete": _BULK,
    "extract-archive": _BULK,
    "temp_url_sig": _TEMPORARY,
    "temp_url_expires": _TEMPORARY,
    "temp_url_prefix": _TEMPORARY,
    "version-id": _VERSIONS,
    "versions": _VERSIONS,
}
_READ = frozenset({"multipart-manifest"})
_CHANGES = frozenset({"PUT", "POST", "DELETE", "COPY"})
_NO = frozenset({"", "false", "no", "off", "0", "f", "n"})


def check(environ: Environ) -> None:
    """Raise NotSupported, whose message names the feature."""
    method = environ["REQUEST_METHOD"]
    changes = method in _CHANGES
    if environ.get("QUERY_STRING"):
        _check_query(requests.query(environ), changes)
    if not changes:
        return
    for key in _BY_KEY.keys() & environ.keys():
        if not _says_no(environ[key]):
            raise NotSupported(_BY_KEY[key])
    if environ["PATH_INFO"].rstrip("/").count("/") == 2:  # an account
        for key in environ:
            if key.startswith(_QUOTA_OF_POLICY) and not _says_no(environ[key]):
                raise NotSupported(_QUOTAS)
    is_form = environ.get("CONTENT_TYPE", "")[:19].lower() == "multipart/form-data"
    if is_form and method == "POST" and requests.has_body(environ):
        raise NotSupported(_FORMS)


def _check_query(query: Mapping[str, str], changes: bool) -> None:
    for name in query:
        if name in QUERIES and (changes or name not in _READ):
            raise NotSupported(QUERIES[name])


def _says_no(value: str) -> bool:
    return value.strip().lower() in _NO
