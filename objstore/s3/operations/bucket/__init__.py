"""Operations on a bucket and its configuration documents, one file a resource."""

from objstore.s3.operations.bucket import (
    acl,
    bucket,
    cors,
    create,
    logging,
    not_configured,
    object_lock,
    ownership,
    policy,
    public_access,
    request_payment,
    tagging,
    versioning,
    website,
)

RESOURCES = (
    acl,
    bucket,
    cors,
    create,
    logging,
    not_configured,
    object_lock,
    ownership,
    policy,
    public_access,
    request_payment,
    tagging,
    versioning,
    website,
)
