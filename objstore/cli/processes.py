"""Server processes: workers that serve an app on the supervisor's sockets until told to end."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from objstore.http.server import SERVER_SETTINGS, Server
from objstore.runtime import green, settings
from objstore.runtime.workers import Worker
from objstore.web.requests import WsgiApp


def serve_app(worker: Worker, app: WsgiApp, conf: Mapping[str, str], logger: logging.Logger) -> None:
    """Serve until the supervisor says otherwise; then let running requests end."""
    options = settings.read(SERVER_SETTINGS, conf, "server")
    servers = [Server(sock, app, options, logger) for sock in worker.sockets]
    for server in servers:
        green.spawn(server.serve)
    worker.ready()
    worker.wait_for_drain()
    waits = [green.spawn(server.drain) for server in servers]
    for wait in waits:
        wait.wait()


def find_app(pipeline: Any, kind: type[Any]) -> Any:
    """The first app of a kind in a pipeline, each filter of which holds the next as `app`; None without one."""
    while pipeline is not None:
        if isinstance(pipeline, kind):
            return pipeline
        pipeline = getattr(pipeline, "app", None)
    return None
