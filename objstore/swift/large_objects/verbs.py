"""The requests about manifests: those with `multipart-manifest` in their query."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from objstore.core.container_sync import SYNCED
from objstore.core.limits import Limits
from objstore.core.manifests import LARGE
from objstore.core.text import ENVIRON_KEY
from objstore.layers.interface import ObjectLayer
from objstore.swift.large_objects.deletion import ManifestDelete
from objstore.swift.large_objects.put import ManifestPut
from objstore.swift.large_objects.settings import MIN_SEGMENT_SIZE, LargeObjectSettings
from objstore.swift.large_objects.synced import SyncedPut
from objstore.swift.object_put import ObjectPut
from objstore.swift.request import ProxyRequest
from objstore.web import requests
from objstore.web.requests import Environ
from objstore.web.responses import Response

QUERY = "multipart-manifest"


class LargeObjects:
    """The verbs for manifests. put: that for other objects."""

    def __init__(self, limits: Limits, layer: ObjectLayer, put: ObjectPut, settings: LargeObjectSettings) -> None:
        self._settings = settings
        self.put = ManifestPut(limits, layer, put, settings)
        self._synced = SyncedPut(self.put)
        self._verbs: dict[tuple[str, str], Callable[[ProxyRequest], Response]] = {
            ("PUT", "put"): self.put,
            ("DELETE", "delete"): ManifestDelete(layer, settings),
        }

    def verb(self, environ: Environ) -> Callable[[ProxyRequest], Response] | None:
        """Return the verb of a request, None if it is not about a manifest. Raises InvalidInput."""
        if QUERY not in environ.get("QUERY_STRING", ""):
            is_synced = SYNCED in environ and ENVIRON_KEY[LARGE] in environ and environ["REQUEST_METHOD"] == "PUT"
            return self._synced if is_synced else None
        wanted = requests.query(environ).get(QUERY, "")
        return self._verbs.get((environ["REQUEST_METHOD"], wanted))

    def info(self) -> dict[str, Any]:
        """Return the `slo` section of /info."""
        values = self._settings
        return {
            "max_manifest_segments": values.max_manifest_segments,
            "max_manifest_size": values.max_manifest_size,
            "yield_frequency": values.yield_frequency,
            "min_segment_size": MIN_SEGMENT_SIZE,
            "allow_async_delete": values.allow_async_delete,
        }
