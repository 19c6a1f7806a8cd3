"""Metrics of a storage server's requests and, if configured, a log line for each.

Lines have the fields of Swift's storage servers (Swift: Logs, Storage Logs): address, `-`, `-`, time, method and
path, status, Content-Length, referer, transaction id, user agent, seconds, `-`, process, policy index.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import quote

from objstore.middleware.traffic import traffic
from objstore.runtime import log, metrics, settings, statsd
from objstore.runtime.settings import boolean, duration, setting, table
from objstore.web import pipeline
from objstore.web.counted_body import CountedBody
from objstore.web.errors import status_of
from objstore.web.requests import Environ, StartResponse, WsgiApp


@dataclass(frozen=True)
class StorageLoggingSettings:
    """Settings of the filter."""

    log_requests: bool = setting(boolean, "no", "log a line for each request, to log_to")
    log_requests_delay: float = setting(duration, "100ms", "flush interval of a log file")


SETTINGS = (*table(StorageLoggingSettings), *table(statsd.StatsdSettings), *table(metrics.MetricsSettings))

_METHODS = frozenset(
    {"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "REPLICATE", "LOCK", "UNLOCK"}
)  # others share a label, as clients could invent any number of them


class StorageLogging:
    """app: a storage server, which has a `server_name`. lines: None for no lines."""

    def __init__(
        self,
        app: WsgiApp,
        *,
        registry: metrics.Metrics,
        lines: log.LineWriter | None = None,
        sender: statsd.Statsd | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.app = app
        self.metrics = registry
        self._name: str = pipeline.find(app, "server_name") or "storage-server"
        self._kind = self._name.partition("-")[0]
        self._traffic = traffic(registry, "objstore_server", "server", "Bytes of request bodies, as announced.")
        self._lines = lines
        self._statsd = sender
        self._now = now

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start = self._now()
        status = 0
        length = ""

        def begin(line: str, headers: list[tuple[str, str]], exc_info: object = None) -> object:
            nonlocal status, length
            status = int(line[:3])
            if self._lines is not None:
                length = next((value for name, value in headers if name == "Content-Length"), "")
            return start_response(line, headers, exc_info) if exc_info else start_response(line, headers)

        def end(sent: int, failed: int = 0, closed: bool = False) -> None:
            self._end(environ, start, failed or status, sent, length)

        try:
            body = self.app(environ, begin)
        except Exception as failure:
            end(0, status_of(failure))
            raise
        if type(body) is tuple or type(body) is list:
            end(sum(map(len, body)))
            return body
        return CountedBody(body, end)

    def _end(self, environ: Environ, start: float, status: int, sent: int, length: str) -> None:
        seconds = self._now() - start
        method = environ["REQUEST_METHOD"]
        if method not in _METHODS:
            method = "other"
        kind, traffic = self._kind, self._traffic
        traffic.requests[kind, method, status].inc()
        traffic.seconds[kind, method].observe(seconds)
        received = environ.get("CONTENT_LENGTH") or environ.get("HTTP_X_BACKEND_CONTENT_LENGTH")
        if received and received.isdigit():
            traffic.received[kind].inc(int(received))
        if sent:
            traffic.sent[kind].inc(sent)
        if self._statsd is not None:
            errors = ".errors" if status >= 500 else ""
            self._statsd.request(f"{self._name}.{method}{errors}", seconds, sent)
        if self._lines is not None:
            self._lines.write(_line(environ, start, seconds, status, length))


def _line(environ: Environ, start: float, seconds: float, status: int, length: str) -> str:
    when = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(start))
    path = quote(environ["PATH_INFO"], "/:", encoding="latin-1", errors="replace")
    if environ.get("QUERY_STRING"):
        path += "?" + _quoted(environ, "QUERY_STRING")
    return (
        f'{_quoted(environ, "REMOTE_ADDR")} - - [{when}] "{_quoted(environ, "REQUEST_METHOD")} {path}" {status}'
        f' {length or "-"} "{_quoted(environ, "HTTP_REFERER")}" "{_quoted(environ, "HTTP_X_TRANS_ID")}"'
        f' "{_quoted(environ, "HTTP_USER_AGENT")}" {seconds:.4f} "-" {os.getpid()}'
        f" {_quoted(environ, 'HTTP_X_BACKEND_STORAGE_POLICY_INDEX')}"
    )


def _quoted(environ: Environ, key: str) -> str:
    return quote(environ.get(key, ""), "/:&= ", encoding="latin-1", errors="replace") or "-"


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WsgiApp], StorageLogging]:
    conf = {**global_conf, **local_conf}
    where = "filter:storage_logging"
    values = settings.read(StorageLoggingSettings, conf, where)
    logging_to = settings.read(log.LogSettings, conf, where)
    lines = log.line_writer(logging_to, delay=values.log_requests_delay) if values.log_requests else None
    logger = log.get_logger(logging_to)
    registry = metrics.from_conf(conf)
    sender = statsd.of(settings.read(statsd.StatsdSettings, conf, where), logger)
    return lambda app: StorageLogging(app, registry=registry, lines=lines, sender=sender)
