"""What every operation is given: the store below, the buckets, the decision over access, settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from objstore.s3.storage_classes import UNMAPPED, StorageClasses

if TYPE_CHECKING:  # these modules themselves take a context
    from objstore.s3.access import Access
    from objstore.s3.buckets import Buckets
    from objstore.s3.native import Native


class Context(NamedTuple):
    """settings: values of `s3.settings.SETTINGS`."""

    native: Native
    buckets: Buckets
    access: Access
    settings: Any
    classes: StorageClasses = UNMAPPED
