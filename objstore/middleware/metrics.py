"""/metrics: metrics for Prometheus, summed over the workers that share a metrics directory.

Without a directory they are those of this worker's pipeline.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from objstore.runtime import metrics, settings
from objstore.runtime.device_counts import Counted
from objstore.runtime.host_report import Host, Paths
from objstore.runtime.settings import boolean, choice, setting, table, words
from objstore.runtime.threads import ThreadPool
from objstore.web import bucket_hosts, pipeline
from objstore.web.requests import Environ, StartResponse, WsgiApp
from objstore.web.responses import Response, error

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def networks(text: str) -> tuple[Network, ...]:
    """Parse networks and addresses: `127.0.0.0/8, ::1`."""
    return tuple(ipaddress.ip_network(word) for word in words(text))


@dataclass(frozen=True)
class MetricsPageSettings:
    """Settings of the filter."""

    expose_metrics: bool = setting(boolean, "true", "enable /metrics")
    metrics_networks: tuple[Network, ...] = setting(
        networks,
        "127.0.0.0/8, ::1",
        "addresses and networks that may ask; requests through an HTTP proxy are always refused",
    )
    device_metrics: str = setting(
        choice("auto", "yes", "no"),
        "auto",
        "report free space, quarantine and spools of devices; auto: on storage servers",
    )
    devices: str = setting(str.strip, "/srv/node", "directory under which the devices are mounted")
    mount_check: bool = setting(boolean, "yes", "treat a device that is not a mount point as unmounted")


SETTINGS = (*table(MetricsPageSettings), *table(metrics.MetricsSettings))

_FORWARDED = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_CLUSTER_CLIENT_IP")


class MetricsPage:
    def __init__(
        self,
        app: WsgiApp,
        *,
        networks: Sequence[Network],
        directory: str = "",
        expose: bool = True,
        host: Host | None = None,
    ) -> None:
        """host: whose devices are reported; None for none."""
        self.app = app
        self._names_bucket = bucket_hosts.find(app)
        self._host = host
        self._threads = ThreadPool("metrics", 1)  # devices may take long to answer
        self._networks = networks
        self._directory = directory
        self._expose = expose

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/metrics" or not self._expose or environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return self.app(environ, start_response)
        if self._names_bucket(environ):
            return self.app(environ, start_response)
        if not is_within(environ, self._networks):
            return error(403)(environ, start_response)
        page = self._threads.run(self._page)  # it reads and writes files
        return Response(200, {"Content-Type": metrics.CONTENT_TYPE}, page)(environ, start_response)

    def _page(self) -> bytes:
        own = _in_pipeline(self.app)
        if self._directory:
            for registry in own:
                registry.publish()
            counted = list(metrics.workers(self._directory))
        else:
            counted = [registry.worker() for registry in own]
        if self._host is not None:
            counted.append(metrics.measured(_of_devices(self._host.counted())))
        return metrics.render(counted)


def is_within(environ: Environ, allowed: Iterable[Network]) -> bool:
    """Return whether a request comes from one of the networks, and not through an HTTP proxy."""
    if any(key in environ for key in _FORWARDED):
        return False
    try:
        address = ipaddress.ip_address(environ.get("REMOTE_ADDR", "").partition("%")[0])
    except ValueError:  # a Unix socket
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in network for network in allowed)


def _of_devices(counted: Mapping[str, Counted]) -> Iterator[metrics.Measured]:
    for name, found in counted.items():
        of = {"device": name}
        yield metrics.Measured("objstore_device_mounted", "1 if the device is mounted and in use.", found.mounted, of)
        yield metrics.Measured("objstore_device_late", "1 if the device did not answer in time.", found.late, of)
        if found.usage is not None:
            yield metrics.Measured("objstore_device_size_bytes", "Size of the device in bytes.", found.usage.size, of)
            yield metrics.Measured(
                "objstore_device_free_bytes", "Free space of the device in bytes.", found.usage.avail, of
            )
        if found.mounted:
            yield metrics.Measured(
                "objstore_device_async_pending", "Updates that are waiting.", found.async_pending, of
            )
            for kind in {"accounts", "containers", "objects", *found.quarantined}:
                number = found.quarantined.get(kind, 0)
                labels = {**of, "kind": kind}
                yield metrics.Measured(
                    "objstore_device_quarantined", "Files and databases in quarantine.", number, labels
                )


def _in_pipeline(app: object) -> list[metrics.Metrics]:
    """Return the metrics in the attribute `metrics` of apps, each once."""
    found: dict[int, metrics.Metrics] = {}
    for each in pipeline.apps(app):
        registry = getattr(each, "metrics", None)
        if isinstance(registry, metrics.Metrics):
            found[id(registry)] = registry
    return list(found.values())


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WsgiApp], MetricsPage]:
    conf = {**global_conf, **local_conf}
    values = settings.read(MetricsPageSettings, conf, "filter:metrics")
    published = settings.read(metrics.MetricsSettings, conf, "filter:metrics")
    host = Host(Paths(values.devices, "", "", values.mount_check))

    def make(app: WsgiApp) -> MetricsPage:
        of_storage = pipeline.find(app, "server_name") is not None
        shown = values.device_metrics == "yes" or (values.device_metrics == "auto" and of_storage)
        return MetricsPage(
            app,
            networks=values.metrics_networks,
            directory=published.metrics_directory,
            expose=values.expose_metrics,
            host=host if shown else None,
        )

    return make
