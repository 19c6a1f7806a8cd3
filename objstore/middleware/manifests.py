"""The filter that served manifests before version 0.2, kept so that pipelines that name it go on working.

Manifests are a layer of the proxy now (`layers.manifests`). The filter passes all requests on. Its setting
`free_delay` still counts, and takes the place of the one of `[app:proxy-server]`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from objstore.runtime import settings
from objstore.runtime.settings import duration, setting, table
from objstore.web import pipeline
from objstore.web.requests import WsgiApp


@dataclass(frozen=True)
class ManifestsSettings:
    """Settings of the filter."""

    free_delay: float = setting(duration, "2m", "time that segments outlive their manifest, for those who read it")


SETTINGS = table(ManifestsSettings)


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WsgiApp], WsgiApp]:
    values = settings.read(ManifestsSettings, {**global_conf, **local_conf}, "filter:manifests")

    def make(app: WsgiApp) -> WsgiApp:
        reclaimer = pipeline.find(app, "reclaimer")
        if reclaimer is not None and "free_delay" in local_conf:
            reclaimer.delay = values.free_delay
        return app

    return make
