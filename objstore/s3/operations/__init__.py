"""S3's operations, by resource: the router gets exactly those of the modules listed in these packages."""

from __future__ import annotations

from objstore.s3.operation import Operation
from objstore.s3.operations import bucket, lists, uploads
from objstore.s3.operations import object as objects

OPERATIONS: tuple[Operation, ...] = tuple(
    operation
    for package in (bucket, lists, objects, uploads)
    for resource in package.RESOURCES
    for operation in resource.OPERATIONS
)
