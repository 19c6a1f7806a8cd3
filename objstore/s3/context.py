"""What every operation is given: the object layer, the buckets, the decision over access, settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from objstore.layers.interface import VersionedLayer
from objstore.s3.data.storage_classes import UNMAPPED, StorageClasses
from objstore.s3.settings import S3Settings

if TYPE_CHECKING:  # these modules themselves take a context
    from objstore.s3.access import Access
    from objstore.s3.buckets.registry import Buckets


class Context(NamedTuple):
    layer: VersionedLayer
    buckets: Buckets
    access: Access
    settings: S3Settings
    classes: StorageClasses = UNMAPPED
