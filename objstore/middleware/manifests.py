"""The filter that served manifests before version 0.2, kept for pipelines that name it.

Manifests are a layer of the proxy now (`layers.manifests`). The filter passes all requests on. Its setting `free_delay`
still works, and overrides that of `[app:proxy-server]`.
"""

from __future__ import annotations

from collections.abc import Callable

from objstore.layers import stack
from objstore.layers.manifests import Manifests, ManifestsSettings
from objstore.runtime import settings
from objstore.runtime.settings import table
from objstore.web import pipeline
from objstore.web.requests import WsgiApp

SETTINGS = table(ManifestsSettings)


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WsgiApp], WsgiApp]:
    conf = {**global_conf, **local_conf}
    values = settings.read(ManifestsSettings, conf, "filter:manifests")

    def make(app: WsgiApp) -> WsgiApp:
        layer = stack.find(pipeline.find(app, "layer"), Manifests)
        if layer is not None and "free_delay" in conf:
            layer.reclaimer.delay = values.free_delay
        return app

    return make
