"""The filter that made copies before version 0.2, kept so that pipelines that name it go on working.

Copies are a part of the Swift API now (`swift.object_copy`). The filter passes all requests on. Its setting
`max_file_size` still counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from objstore.core.limits import DEFAULT_LIMITS
from objstore.runtime import settings
from objstore.runtime.settings import setting, size, table
from objstore.web import pipeline
from objstore.web.requests import WsgiApp


@dataclass(frozen=True)
class CopySettings:
    """Settings of the filter."""

    max_file_size: int = setting(size, str(DEFAULT_LIMITS.max_file_size), "maximum size of the source of a copy")


SETTINGS = table(CopySettings)


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WsgiApp], WsgiApp]:
    conf = {**global_conf, **local_conf}
    values = settings.read(CopySettings, conf, "filter:copy")

    def make(app: WsgiApp) -> WsgiApp:
        copies = pipeline.find(app, "copies")
        if copies is not None and "max_file_size" in conf:
            copies.max_size = values.max_file_size
        return app

    return make
