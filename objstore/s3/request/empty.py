"""Parameters and headers that a request may omit, but not send empty.

After this check '' means "not sent" in both, so an empty value must not get there if a request without it has another
meaning. Those that are not listed here may be empty (`prefix`, `max-keys`, of which clients send all in every listing,
x-amz-tagging), or their reader refuses an empty value.
"""

from __future__ import annotations

from collections.abc import Mapping

from objstore.s3.language.errors import S3Error

QUERY = {
    "versionId": "Version id cannot be the empty string",
    "partNumber": "Part number must be an integer between 1 and 10000, inclusive",
    "version-id-marker": "A version-id marker cannot be empty.",
    "continuation-token": "The continuation token provided is incorrect",
}
HEADERS = frozenset(
    {
        "X-Amz-Copy-Source-Range", "X-Amz-Source-Expected-Bucket-Owner", "X-Amz-Expected-Bucket-Owner",
        "X-Amz-Copy-Source-If-Match", "X-Amz-Copy-Source-If-None-Match", "X-Amz-Copy-Source-If-Modified-Since",
        "X-Amz-Copy-Source-If-Unmodified-Since", "X-Amz-Rename-Source-If-Match", "X-Amz-Rename-Source-If-None-Match",
        "X-Amz-Rename-Source-If-Modified-Since", "X-Amz-Rename-Source-If-Unmodified-Since",
        "X-Amz-If-Match-Last-Modified-Time", "X-Amz-If-Match-Size", "X-Amz-Mp-Object-Size", "X-Amz-Max-Parts",
        "X-Amz-Part-Number-Marker", "X-Amz-Acl", "X-Amz-Object-Ownership", "X-Amz-Checksum-Algorithm",
        "X-Amz-Checksum-Type",
    }
)  # fmt: skip
# An empty list of entity tags matches none: If-Match refuses a read, If-None-Match allows it (RFC 9110, 13.1).
# In a change it is more likely a client's fault.
_OF_CHANGES = frozenset({"If-Match", "If-None-Match"})
_READS = frozenset({"GET", "HEAD"})


def check(method: str, query: Mapping[str, str], headers: Mapping[str, str]) -> None:
    """Refuse empty parameters and headers that must have a value; raises S3Error InvalidArgument."""
    if "" in query.values():
        for name, value in query.items():
            if not value and name in QUERY:
                raise _refused(QUERY[name], name)
    if "" in headers.values():
        for name, value in headers.items():
            if not value and (name in HEADERS or (name in _OF_CHANGES and method not in _READS)):
                raise _refused("The value of the header is empty.", name.lower())


def _refused(message: str, name: str) -> S3Error:
    return S3Error("InvalidArgument", message, {"ArgumentName": name, "ArgumentValue": ""})
