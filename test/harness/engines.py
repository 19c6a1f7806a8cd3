"""What a test looks at in an engine's directories."""

from __future__ import annotations

import os

from objstore.core.names import Location
from objstore.store.change import Change
from objstore.store.objects.file_store import FileStore
from objstore.store.objects.layout import changes_among


def present(store: FileStore, location: Location) -> list[Change]:
    """The changes whose files are at a location, also obsolete ones, in no order."""
    try:
        return changes_among(os.listdir(store.layout.hash_dir(location)))
    except FileNotFoundError:
        return []
