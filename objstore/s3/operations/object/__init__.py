"""Operations on objects and the data stored with them."""

from objstore.s3.operations.object import (
    acl,
    attributes,
    copy,
    delete,
    delete_many,
    get,
    lock,
    post,
    put,
    rename,
    restore,
    tagging,
)

RESOURCES = (
    acl,
    attributes,
    copy,
    delete,
    delete_many,
    get,
    lock,
    post,
    put,
    rename,
    restore,
    tagging,
)
