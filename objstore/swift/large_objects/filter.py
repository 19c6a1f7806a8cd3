"""The filter `slo`: its settings, and static large objects in the proxy at the end of its pipeline.

Requests do not pass it: the proxy itself serves them, once the filter has enabled them.
"""

from __future__ import annotations

from collections.abc import Callable

from objstore.runtime import settings
from objstore.swift.large_objects.settings import SETTINGS as SETTINGS
from objstore.swift.large_objects.settings import LargeObjectSettings
from objstore.web import features, pipeline
from objstore.web.requests import WsgiApp

FEATURE = "slo"


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WsgiApp], WsgiApp]:
    values = settings.read(LargeObjectSettings, {**global_conf, **local_conf}, "filter:slo")

    def make(app: WsgiApp) -> WsgiApp:
        enable: Callable[[LargeObjectSettings], None] | None = pipeline.find(app, "enable_large_objects")
        if enable is not None:
            enable(values)
            features.announce(app, FEATURE)
        return app

    return make
