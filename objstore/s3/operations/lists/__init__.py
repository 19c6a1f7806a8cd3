"""Operations that list: buckets, objects, versions, uploads, parts."""

from objstore.s3.operations.lists import (
    buckets,
    objects,
    parts,
    uploads,
    versions,
)

RESOURCES = (
    buckets,
    objects,
    parts,
    uploads,
    versions,
)
