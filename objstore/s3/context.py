"""What every operation is given: the store below, the buckets, the decision over access, settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from objstore.s3.settings import S3Settings
from objstore.s3.storage_classes import UNMAPPED, StorageClasses

if TYPE_CHECKING:  # these modules themselves take a context
    from objstore.s3.access import Access
    from objstore.s3.buckets import Buckets
    from objstore.s3.native import Native


class Context(NamedTuple):
    native: Native
    buckets: Buckets
    access: Access
    settings: S3Settings
    classes: StorageClasses = UNMAPPED
