"""/recon/<topic>: the state of a storage server's host as JSON, for monitoring (Swift: Cluster Telemetry).

Topics of the host are measured at each request, in a thread, because they access disks. Any other topic is a file
`<topic>.json` that a daemon writes to `recon_cache_path`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from objstore.ring import Ring
from objstore.runtime import recon_files, settings
from objstore.runtime.host_report import TOPICS, Host, Paths
from objstore.runtime.settings import boolean, setting, table
from objstore.runtime.threads import ThreadPool
from objstore.web.requests import Environ, StartResponse, WsgiApp
from objstore.web.responses import Response, error


@dataclass(frozen=True)
class ReconPageSettings:
    """Settings of the filter."""

    devices: str = setting(str.strip, "/srv/node", "directory that holds the devices' mount points")
    mount_check: bool = setting(boolean, "true", "report a device that is not a mount point as unmounted")
    ring_dir: str = setting(str.strip, "/etc/objstore", "directory of the ring files")


SETTINGS = (*table(ReconPageSettings), *table(recon_files.ReconSettings))

_TOPIC = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*\Z", re.ASCII)


class Recon:
    """The filter. threads: measure the topics."""

    def __init__(self, app: WsgiApp, *, host: Host, threads: ThreadPool) -> None:
        self.app = app
        self._host = host
        self._threads = threads

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path[:7] != "/recon/":
            return self.app(environ, start_response)
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return error(405, headers={"Allow": "GET, HEAD"})(environ, start_response)
        return self._answer(path[7:].rstrip("/"))(environ, start_response)

    def _answer(self, topic: str) -> Response:
        measure = TOPICS.get(topic)
        if measure is not None:
            report = self._threads.run(measure, self._host)
        elif _TOPIC.match(topic):
            report = self._threads.run(recon_files.read, self._host.paths.recon, topic)
            if report is None:
                return error(404, f"Unknown topic {topic}")
        else:
            return error(404, "Invalid path")
        return Response(200, {"Content-Type": "application/json"}, json.dumps(report).encode())


def host(values: ReconPageSettings, recon_cache_path: str) -> Host:
    recon = recon_files.directory(recon_cache_path, values.devices)
    paths = Paths(values.devices, values.ring_dir, recon, values.mount_check)
    return Host(paths, lambda path: Ring.load(path).version)


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WsgiApp], Recon]:
    conf = {**global_conf, **local_conf}
    values = settings.read(ReconPageSettings, conf, "filter:recon")
    state = settings.read(recon_files.ReconSettings, conf, "filter:recon")
    threads = ThreadPool("recon", 2)
    return lambda app: Recon(app, host=host(values, state.recon_cache_path), threads=threads)
