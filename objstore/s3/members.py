"""The members of requests that S3 documents, and their treatment: headers, query parameters, elements of documents.

A test walks the model of an SDK with these tables, so that no member is skipped unnoticed. The headers of S3 itself are
in `request.amz_headers`, and the parameters that select an operation in `catalog`.
"""

from __future__ import annotations

from objstore.s3.language import checksums
from objstore.s3.request.amz_headers import HEADERS, PREFIXES, Treatment

_HTTP_HEADERS = """
    Cache-Control Content-Disposition Content-Encoding Content-Language Content-Length Content-Md5 Content-Type Expires
    If-Match If-Modified-Since If-None-Match If-Unmodified-Since Range
"""
_QUERY = """
    bucket-region continuation-token delimiter encoding-type fetch-owner key-marker marker max-buckets max-keys
    max-parts max-uploads part-number-marker partNumber prefix response-cache-control response-content-disposition
    response-content-encoding response-content-language response-content-type response-expires start-after
    upload-id-marker uploadId version-id-marker versionId
"""
HTTP_HEADERS = frozenset(_HTTP_HEADERS.split())
QUERY = frozenset(_QUERY.split())
# Of a configuration by its id; there is none of these, and the answer says so for every id.
_IGNORED_QUERY = frozenset({"id"})

_PART = ["PartNumber", "ETag", *(f"Checksum{name}" for name in checksums.ALGORITHMS)]
# The elements of documents that are read, by the path of their parent.
ELEMENTS: dict[str, str] = {
    "AccessControlPolicy": "AccessControlList Owner",
    "AccessControlPolicy/AccessControlList": "Grant",
    "AccessControlPolicy/AccessControlList/Grant": "Grantee Permission",
    "AccessControlPolicy/AccessControlList/Grant/Grantee": "ID URI xsi:type",
    "AccessControlPolicy/Owner": "ID",
    "BucketLoggingStatus": "LoggingEnabled",
    "BucketLoggingStatus/LoggingEnabled": "TargetBucket TargetPrefix TargetGrants TargetObjectKeyFormat",
    "BucketLoggingStatus/LoggingEnabled/TargetGrants": "Grant",
    "BucketLoggingStatus/LoggingEnabled/TargetGrants/Grant": "Grantee Permission",
    "BucketLoggingStatus/LoggingEnabled/TargetGrants/Grant/Grantee": "ID URI xsi:type",
    "BucketLoggingStatus/LoggingEnabled/TargetObjectKeyFormat": "SimplePrefix PartitionedPrefix",
    "BucketLoggingStatus/LoggingEnabled/TargetObjectKeyFormat/PartitionedPrefix": "PartitionDateSource",
    "CORSConfiguration": "CORSRule",
    "CORSConfiguration/CORSRule": "ID AllowedHeader AllowedMethod AllowedOrigin ExposeHeader MaxAgeSeconds",
    "CompleteMultipartUpload": "Part",
    "CompleteMultipartUpload/Part": " ".join(_PART),
    "CreateBucketConfiguration": "LocationConstraint Tags",
    "CreateBucketConfiguration/Tags": "Tag",
    "CreateBucketConfiguration/Tags/Tag": "Key Value",
    "Delete": "Object Quiet",
    "Delete/Object": "Key VersionId ETag LastModifiedTime Size",
    "LegalHold": "Status",
    "ObjectLockConfiguration": "ObjectLockEnabled Rule",
    "ObjectLockConfiguration/Rule": "DefaultRetention",
    "ObjectLockConfiguration/Rule/DefaultRetention": "Mode Days Years DefaultEventHold",
    "ObjectLockConfiguration/Rule/DefaultRetention/DefaultEventHold": "Days Years",
    "OwnershipControls": "Rule",
    "OwnershipControls/Rule": "ObjectOwnership",
    "PublicAccessBlockConfiguration": "BlockPublicAcls IgnorePublicAcls BlockPublicPolicy RestrictPublicBuckets",
    "RequestPaymentConfiguration": "Payer",
    "RestoreRequest": "",
    "Retention": "Mode RetainUntilDate EventHold EventHoldDuration",
    "Retention/EventHoldDuration": "Days Years",
    "Tagging": "TagSet",
    "Tagging/TagSet": "Tag",
    "Tagging/TagSet/Tag": "Key Value",
    "VersioningConfiguration": "Status",
    "WebsiteConfiguration": "ErrorDocument IndexDocument RedirectAllRequestsTo RoutingRules",
    "WebsiteConfiguration/ErrorDocument": "Key",
    "WebsiteConfiguration/IndexDocument": "Suffix",
    "WebsiteConfiguration/RedirectAllRequestsTo": "HostName Protocol",
    "WebsiteConfiguration/RoutingRules": "RoutingRule",
    "WebsiteConfiguration/RoutingRules/RoutingRule": "Condition Redirect",
    "WebsiteConfiguration/RoutingRules/RoutingRule/Condition": "HttpErrorCodeReturnedEquals KeyPrefixEquals",
    "WebsiteConfiguration/RoutingRules/RoutingRule/Redirect": (
        "HostName HttpRedirectCode Protocol ReplaceKeyPrefixWith ReplaceKeyWith"
    ),
}
# Elements with another treatment, and the elements within them.
OTHER_ELEMENTS: dict[str, Treatment] = {
    "AccessControlPolicy/AccessControlList/Grant/Grantee/DisplayName": Treatment.HARMLESS,
    "AccessControlPolicy/AccessControlList/Grant/Grantee/EmailAddress": Treatment.REFUSED,
    "AccessControlPolicy/Owner/DisplayName": Treatment.HARMLESS,
    "BucketLoggingStatus/LoggingEnabled/TargetGrants/Grant/Grantee/DisplayName": Treatment.HARMLESS,
    "BucketLoggingStatus/LoggingEnabled/TargetGrants/Grant/Grantee/EmailAddress": Treatment.REFUSED,
    "CreateBucketConfiguration/Bucket": Treatment.REFUSED,
    "CreateBucketConfiguration/Location": Treatment.REFUSED,
    # The request is refused whatever they say, since no object is archived.
    **dict.fromkeys(
        (
            *("RestoreRequest/Days", "RestoreRequest/Type", "RestoreRequest/Tier", "RestoreRequest/Description"),
            *("RestoreRequest/GlacierJobParameters", "RestoreRequest/SelectParameters"),
            "RestoreRequest/OutputLocation",
        ),
        Treatment.HARMLESS,
    ),
    "VersioningConfiguration/MfaDelete": Treatment.REFUSED,
}


def of_header(name: str) -> Treatment | None:
    """Return the treatment of a header, or of the prefix of headers; None if it is unknown."""
    canonical = name.title()
    if canonical in HTTP_HEADERS or canonical.startswith(PREFIXES):
        return Treatment.DONE
    return HEADERS.get(canonical)


def of_parameter(name: str) -> Treatment | None:
    """Return the treatment of a query parameter, None if it is unknown."""
    if name in QUERY:
        return Treatment.DONE
    return Treatment.HARMLESS if name in _IGNORED_QUERY else None


def of_element(path: str) -> Treatment | None:
    """Return the treatment of an element of a document, None if it is unknown. path: as `Tagging/TagSet`."""
    for other, treatment in OTHER_ELEMENTS.items():
        if path == other or path.startswith(f"{other}/"):
            return treatment
    parent, _, name = path.rpartition("/")
    return Treatment.DONE if name in ELEMENTS.get(parent, "").split() else None
