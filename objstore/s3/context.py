"""The parts that operations use: the object layer, objects, buckets, access control, settings."""

from __future__ import annotations

from typing import NamedTuple

from objstore.layers.interface import VersionedLayer
from objstore.s3.access import Access
from objstore.s3.buckets.registry import Buckets
from objstore.s3.data.object_store import S3Objects
from objstore.s3.data.storage_classes import UNMAPPED, StorageClasses
from objstore.s3.settings import S3Settings


class Context(NamedTuple):
    layer: VersionedLayer
    objects: S3Objects
    buckets: Buckets
    access: Access
    settings: S3Settings
    classes: StorageClasses = UNMAPPED
