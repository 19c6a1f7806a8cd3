"""Signature Version 2, which SDKs still use for presigned URLs (S3 User Guide: Signing REST requests, appendix)."""

from __future__ import annotations

import base64
import hmac
import re
from typing import NamedTuple

from objstore.s3.language.errors import S3Error
from objstore.s3.request.incoming import Incoming, as_header, decoded
from objstore.s3.request.signature.v4 import mismatch

# Parameters that are part of the resource: AWS's list, and the later additions of its SDKs.
RESOURCE_PARAMETERS = frozenset(
    {
        "accelerate", "acl", "analytics", "cors", "defaultObjectAcl", "delete", "intelligent-tiering", "inventory",
        "lifecycle", "location", "logging", "metrics", "notification", "object-lock", "partNumber", "policy",
        "replication", "requestPayment", "response-cache-control", "response-content-disposition",
        "response-content-encoding", "response-content-language", "response-content-type", "response-expires",
        "restore", "select", "select-type", "storageClass", "tagging", "torrent", "uploadId", "uploads", "versionId",
        "versioning", "versions", "website",
    }
)  # fmt: skip
# Sub-resources younger than version 2: some signers sign them, some do not. Together with the list above
# these are all names by which the router selects an operation (except `list-type`, the form of a listing).
YOUNG_PARAMETERS = frozenset(
    {
        "abac", "annotation", "attributes", "encryption", "legal-hold", "metadataAnnotationTable",
        "metadataConfiguration", "metadataInventoryTable", "metadataJournalTable", "metadataTable",
        "ownershipControls", "policyStatus", "publicAccessBlock", "renameObject", "retention", "session",
    }
)  # fmt: skip
_ALL_PARAMETERS = RESOURCE_PARAMETERS | YOUNG_PARAMETERS
_DIGITS = re.compile(r"[0-9]{1,12}\Z")


class ClaimV2(NamedTuple):
    """The claim of a signature. expires: the end of a URL, seconds since the epoch; None for a signature in headers."""

    access_key: str
    signature: str
    expires: int | None = None


def of_header(authorization: str) -> ClaimV2:
    """Return the claim of `AWS key:signature`; raises S3Error InvalidArgument."""
    access_key, colon, signature = authorization[4:].strip().rpartition(":")
    if not colon or not access_key or not signature:
        raise S3Error(
            "InvalidArgument",
            "AWS authorization header is invalid.  Expected AwsAccessKeyId:signature",
            {"ArgumentName": "Authorization", "ArgumentValue": authorization},
        )
    return ClaimV2(access_key, signature)


def of_query(incoming: Incoming) -> ClaimV2:
    """Return the claim of a presigned URL; raises S3Error AccessDenied."""
    query = incoming.query
    access_key, signature = query.get("AWSAccessKeyId", ""), query.get("Signature", "")
    expires = query.get("Expires", "")
    if not (access_key and signature and expires):
        raise S3Error(
            "AccessDenied",
            "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters",
        )
    if not _DIGITS.match(expires):
        raise S3Error("AccessDenied", f"Invalid date (should be seconds since epoch): {expires}")
    return ClaimV2(access_key, signature, int(expires))


def check_signature(claim: ClaimV2, incoming: Incoming, bucket_of_host: str, secret: str) -> None:
    """Check the signature of a request. Raises S3Error SignatureDoesNotMatch.

    bucket_of_host: the bucket if the host names it, '' otherwise.
    """
    # Anybody can add an unsigned parameter to a URL; with a signature in headers, all comes from one sender.
    lists = (_ALL_PARAMETERS,) if claim.expires is not None else (_ALL_PARAMETERS, RESOURCE_PARAMETERS)
    head = _head(claim, incoming)
    path = f"/{bucket_of_host}{incoming.path}" if bucket_of_host else incoming.path
    # Some signers sign a bucket with a slash that they do not send.
    paths = (path, path + "/") if path.count("/") == 1 else (path,)
    texts = [
        head + path + _parameters(incoming, names, equals) for path in paths for names in lists for equals in ("", "=")
    ]
    if not any(matches(secret, text, claim.signature) for text in dict.fromkeys(texts)):
        raise mismatch(claim.access_key, texts[0], claim.signature)


def _head(claim: ClaimV2, incoming: Incoming) -> str:
    headers = incoming.headers
    if claim.expires is not None:
        headers = headers_in_query(incoming) | headers
        date = incoming.query["Expires"]
    else:
        date = "" if "X-Amz-Date" in headers else headers.get("Date", "")
    amz = sorted((name.lower(), value) for name, value in headers.items() if name[:6] == "X-Amz-")
    lines = "".join(f"{name}:{value.strip()}\n" for name, value in amz)
    return f"{incoming.method}\n{headers.get('Content-Md5', '')}\n{headers.get('Content-Type', '')}\n{date}\n{lines}"


def _parameters(incoming: Incoming, names: frozenset[str], equals: str) -> str:
    """Return the part of the resource from the query, by its decoded names, as in the router.

    equals: the text after the name of a parameter without a value; signers differ. Raises S3Error InvalidArgument for
    a value with the form of a further parameter: the signed text cannot distinguish the two.
    """
    pairs = [(decoded(name), decoded(value)) for name, value in incoming.pairs]
    signed = [(name, value) for name, value in pairs if name in names]
    for name, value in signed:
        if any(piece.partition("=")[0] in _ALL_PARAMETERS for piece in value.split("&")[1:]):
            raise S3Error("InvalidArgument", "", {"ArgumentName": name, "ArgumentValue": value})
    texts = sorted(f"{name}={value}" if value else name + equals for name, value in signed)
    return "?" + "&".join(texts) if texts else ""


def matches(secret: str, to_sign: str, signature: str) -> bool:
    key = secret.encode("utf-8", "surrogateescape")
    expected = base64.b64encode(hmac.digest(key, to_sign.encode("utf-8", "surrogateescape"), "sha1"))
    return hmac.compare_digest(expected, signature.encode("utf-8", "replace"))


def headers_in_query(incoming: Incoming) -> dict[str, str]:
    """Return the headers in the query of a presigned URL: they are signed as headers.

    An empty type or MD5 is signed like none, and is omitted. Raises S3Error InvalidArgument for a name or value that
    no header can have.
    """
    return dict(
        as_header(name, value)
        for name, value in incoming.query.items()
        if name[:6].lower() == "x-amz-" or (value and name.lower() in ("content-md5", "content-type"))
    )
