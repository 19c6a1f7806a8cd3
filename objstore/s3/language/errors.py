"""S3's errors: one exception, and the table of codes with status and message (S3 API reference, Error responses)."""

from __future__ import annotations

from typing import NamedTuple


class Meaning(NamedTuple):
    status: int
    message: str


ERRORS: dict[str, Meaning] = {
    "AccessControlListNotSupported": Meaning(400, "The bucket does not allow ACLs"),
    "AccessDenied": Meaning(403, "Access Denied"),
    "AccessForbidden": Meaning(
        403,
        "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, "
        "request method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted"
        " by the resource's CORS spec.",
    ),
    "AccountProblem": Meaning(
        403,
        "There is a problem with your account that prevents the operation from completing successfully.",
    ),
    "AuthorizationHeaderMalformed": Meaning(400, "The authorization header you provided is invalid."),
    "AuthorizationQueryParametersError": Meaning(
        400, "The authorization query parameters that you provided are not valid."
    ),
    "BadDigest": Meaning(
        400, "The Content-MD5 or checksum value that you specified did not match what the server received."
    ),
    "BadRequest": Meaning(400, "Bad Request"),
    "BucketAlreadyExists": Meaning(
        409,
        "The requested bucket name is not available. The bucket namespace is shared by all users of the "
        "system. Please select a different name and try again.",
    ),
    "BucketAlreadyOwnedByYou": Meaning(
        409, "Your previous request to create the named bucket succeeded and you already own it."
    ),
    "BucketNotEmpty": Meaning(409, "The bucket you tried to delete is not empty"),
    "ConditionalRequestConflict": Meaning(
        409, "The conditional request cannot succeed due to a conflicting operation against this resource."
    ),
    "EntityTooLarge": Meaning(400, "Your proposed upload exceeds the maximum allowed object size."),
    "EntityTooSmall": Meaning(400, "Your proposed upload is smaller than the minimum allowed size"),
    "IllegalLocationConstraintException": Meaning(
        400,
        "The unspecified location constraint is incompatible for the region specific endpoint this request "
        "was sent to.",
    ),
    "IllegalVersioningConfigurationException": Meaning(400, "The Versioning element must be specified"),
    "IncompleteBody": Meaning(400, "The request body terminated unexpectedly"),
    "IncorrectNumberOfFilesInPostRequest": Meaning(400, "POST requires exactly one file upload per request."),
    "InternalError": Meaning(500, "We encountered an internal error. Please try again."),
    "InvalidAccessKeyId": Meaning(403, "The AWS Access Key Id you provided does not exist in our records."),
    "InvalidArgument": Meaning(400, "Invalid Argument"),
    "InvalidBucketAclWithObjectOwnership": Meaning(
        400, "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting"
    ),
    "InvalidBucketName": Meaning(400, "The specified bucket is not valid."),
    "InvalidBucketState": Meaning(409, "The request isn't valid for the current state of the bucket."),
    "InvalidChunkSizeError": Meaning(403, "Only the last chunk is allowed to have a size less than 8192 bytes"),
    "InvalidDigest": Meaning(400, "The Content-MD5 you specified was invalid."),
    "InvalidEncryptionAlgorithmError": Meaning(
        400, "The encryption request you specified is not valid. The valid value is AES256."
    ),
    "InvalidLocationConstraint": Meaning(400, "The specified location-constraint is not valid"),
    "InvalidObjectState": Meaning(403, "The operation is not valid for the object's storage class"),
    "InvalidPart": Meaning(
        400,
        "One or more of the specified parts could not be found.  The part may not have been uploaded, or the "
        "specified entity tag may not match the part's entity tag.",
    ),
    "InvalidPartNumber": Meaning(416, "The requested partnumber is not satisfiable"),
    "InvalidPartOrder": Meaning(
        400,
        "The list of parts was not in ascending order. Parts must be ordered by part number.",
    ),
    "InvalidPolicyDocument": Meaning(
        400, "The content of the form does not meet the conditions specified in the policy document."
    ),
    "InvalidRange": Meaning(416, "The requested range is not satisfiable"),
    "InvalidRedirectLocation": Meaning(
        400, "The website redirect location must have a prefix of 'http://' or 'https://' or '/'."
    ),
    "InvalidRequest": Meaning(400, "Invalid Request"),
    "InvalidRetentionPeriod": Meaning(400, "The retention period is not valid."),
    "InvalidSecurity": Meaning(403, "The provided security credentials are not valid."),
    "InvalidStorageClass": Meaning(400, "The storage class you specified is not valid"),
    "InvalidTag": Meaning(
        400, "The tag provided was not a valid tag. This error can occur if the tag did not pass input validation."
    ),
    "InvalidTargetBucketForLogging": Meaning(
        400,
        "The target bucket for logging does not exist, is not owned by you, or does not have the appropriate grants "
        "for the log-delivery group.",
    ),
    "InvalidToken": Meaning(400, "The provided token is malformed or otherwise invalid."),
    "InvalidURI": Meaning(400, "Couldn't parse the specified URI."),
    "KeyTooLongError": Meaning(400, "Your key is too long"),
    "MalformedACLError": Meaning(
        400, "The XML you provided was not well-formed or did not validate against our published schema"
    ),
    "MalformedPOSTRequest": Meaning(400, "The body of your POST request is not well-formed multipart/form-data."),
    "MalformedPolicy": Meaning(400, "This policy contains invalid Json"),
    "MalformedTrailerError": Meaning(
        400, "The request contained trailing data that was not well-formed or did not conform to our published schema."
    ),
    "MalformedXML": Meaning(
        400, "The XML you provided was not well-formed or did not validate against our published schema"
    ),
    "MaxMessageLengthExceeded": Meaning(400, "Your request was too big."),
    "MaxPostPreDataLengthExceededError": Meaning(
        400, "Your POST request fields preceding the upload file were too large."
    ),
    "MetadataTooLarge": Meaning(400, "Your metadata headers exceed the maximum allowed metadata size"),
    "MethodNotAllowed": Meaning(405, "The specified method is not allowed against this resource."),
    "MissingContentLength": Meaning(411, "You must provide the Content-Length HTTP header."),
    "MissingRequestBodyError": Meaning(400, "Request Body is empty"),
    "MissingSecurityHeader": Meaning(400, "Your request was missing a required header"),
    "NoSuchBucket": Meaning(404, "The specified bucket does not exist"),
    "NoSuchBucketPolicy": Meaning(404, "The bucket policy does not exist"),
    "NoSuchCORSConfiguration": Meaning(404, "The CORS configuration does not exist"),
    "NoSuchConfiguration": Meaning(404, "The specified configuration does not exist."),
    "NoSuchKey": Meaning(404, "The specified key does not exist."),
    "NoSuchLifecycleConfiguration": Meaning(404, "The lifecycle configuration does not exist"),
    "NoSuchObjectLockConfiguration": Meaning(404, "The specified object does not have a ObjectLock configuration"),
    "NoSuchPublicAccessBlockConfiguration": Meaning(404, "The public access block configuration was not found"),
    "NoSuchTagSet": Meaning(404, "The TagSet does not exist"),
    "NoSuchUpload": Meaning(
        404,
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have been "
        "aborted or completed.",
    ),
    "NoSuchVersion": Meaning(404, "The specified version does not exist."),
    "NoSuchWebsiteConfiguration": Meaning(404, "The specified bucket does not have a website configuration"),
    "NotImplemented": Meaning(501, "A header you provided implies functionality that is not implemented"),
    "ObjectLockConfigurationNotFoundError": Meaning(404, "Object Lock configuration does not exist for this bucket"),
    "OperationAborted": Meaning(
        409, "A conflicting conditional operation is currently in progress against this resource. Please try again."
    ),
    "OwnershipControlsNotFoundError": Meaning(404, "The bucket ownership controls were not found"),
    "PreconditionFailed": Meaning(412, "At least one of the pre-conditions you specified did not hold"),
    "QuotaExceeded": Meaning(403, "The quota of the bucket or account has been exceeded."),
    "ReplicationConfigurationNotFoundError": Meaning(404, "The replication configuration was not found"),
    "RequestTimeTooSkewed": Meaning(403, "The difference between the request time and the current time is too large."),
    "RequestTimeout": Meaning(
        400, "Your socket connection to the server was not read from or written to within the timeout period."
    ),
    "ServerSideEncryptionConfigurationNotFoundError": Meaning(
        404, "The server side encryption configuration was not found"
    ),
    "ServiceUnavailable": Meaning(503, "Please reduce your request rate."),
    "SignatureDoesNotMatch": Meaning(
        403,
        "The request signature we calculated does not match the signature you provided. Check your key and "
        "signing method.",
    ),
    "SlowDown": Meaning(503, "Please reduce your request rate."),
    "TooManyBuckets": Meaning(400, "You have attempted to create more buckets than allowed"),
    "UserKeyMustBeSpecified": Meaning(
        400,
        "The bucket POST must contain the specified field name. If it is specified, please check the order of"
        " the fields.",
    ),
    "XAmzContentSHA256Mismatch": Meaning(
        400, "The provided 'x-amz-content-sha256' header does not match what was computed."
    ),
}


class S3Error(Exception):
    """An error to answer with. code: a key of ERRORS. extra: further elements of the error document, in order.

    headers: of the answer (`x-amz-delete-marker`, `Allow`).
    """

    def __init__(
        self,
        code: str,
        message: str = "",
        extra: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        meaning = ERRORS[code]
        super().__init__(message or meaning.message)
        self.code = code
        self.status = meaning.status
        self.message = message or meaning.message
        self.extra = extra or {}
        self.headers = headers or {}


def incomplete() -> S3Error:
    """Return the error for a body that ends too early, or has broken framing."""
    return S3Error("IncompleteBody")


def wrong_count(expected: int, provided: int) -> S3Error:
    """Return the error for a body whose number of bytes is not the announced one."""
    return S3Error(
        "IncompleteBody",
        "You did not provide the number of bytes specified by the Content-Length HTTP header",
        {"NumberBytesExpected": str(expected), "NumberBytesProvided": str(provided)},
    )
