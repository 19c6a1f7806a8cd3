"""The access log: one line per request in Swift's order of fields, and the metrics of requests.

Fields are percent-quoted and separated by a space; an empty one is `-`. The order and the names for the template are
those of Swift's proxy-logging (Swift: Logs, Proxy Logs). If the filter is in a pipeline twice, the outer one logs
clients' requests, and the inner one subrequests, if configured.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from string import Formatter
from typing import NamedTuple
from urllib.parse import quote

from objstore.core.errors import ConfigError
from objstore.middleware.traffic import CountedInput, counted_input, traffic
from objstore.runtime import log, metrics, settings, statsd
from objstore.runtime.settings import boolean, duration, setting, size, table, words
from objstore.web.counted_body import CountedBody
from objstore.web.errors import status_of
from objstore.web.requests import Environ, StartResponse, WsgiApp
from objstore.web.requests import headers as request_headers

TEMPLATE = (
    "{client_ip} {remote_addr} {end_time.datetime} {method} {path} {protocol} {status_int} {referer} {user_agent} "
    "{auth_token} {bytes_recvd} {bytes_sent} {client_etag} {transaction_id} {headers} {request_time} {source} "
    "{log_info} {start_time} {end_time} {policy_index}"
)


@dataclass(frozen=True)
class ProxyLoggingSettings:
    """Settings of the filter."""

    access_log_to: str = setting(
        log.destination, "stdout", "access log: stdout, stderr, syslog, none, or the path of a file"
    )
    access_log_size: int = setting(size, "0", "size at which the file is rotated to .1; 0: never")
    access_log_delay: float = setting(duration, "100ms", "flush interval of the access log")
    access_log_name: str = setting(str.strip, "proxy-server", "name at the start of each line in syslog")
    access_log_address: str = setting(str.strip, "/dev/log", "syslog's socket, or host:port for UDP")
    access_log_facility: str = setting(str.strip, "local0", "syslog facility")
    access_log_headers: bool = setting(boolean, "false", "log request headers")
    access_log_headers_only: tuple[str, ...] = setting(words, "", "log only these request headers; empty: all")
    access_log_subrequests: bool = setting(boolean, "false", "log the requests that filters make themselves")
    log_msg_template: str = setting(str.strip, TEMPLATE, "format of a line; fields in braces")
    reveal_sensitive_prefix: int = setting(int, "16", "number of characters of tokens and signatures that are logged")


SETTINGS = (*table(ProxyLoggingSettings), *table(statsd.StatsdSettings), *table(metrics.MetricsSettings))

_UNSAFE = re.compile(r"[^A-Za-z0-9_.~/:-]")
_BEYOND_URLS = re.compile(r"[^A-Za-z0-9_.~/:%?&=-]")
# Each character of a native string to its encoding; twice as fast as `quote`.
_ENCODED = {code: quote(chr(code), "/:", encoding="latin-1") for code in range(256)}
_SECRET_PARAMETER = re.compile(
    r"([?&](?:temp_url_sig|swiftinfo_sig|signature|x-amz-signature|x-amz-security-token)=)([^&]*)", re.IGNORECASE
)
_SECRET_HEADERS = frozenset(
    {"X-Auth-Token", "X-Storage-Token", "X-Service-Token", "X-Auth-Key", "X-Storage-Pass", "Authorization", "Cookie"}
)
_METHODS = frozenset({"GET", "HEAD", "PUT", "POST", "DELETE", "COPY", "OPTIONS"})


def _percent_encoded(native: str) -> str:
    """Encode every byte except the unreserved, `/` and `:` as %XX; `%3F` for a character that is not a byte."""
    if not _UNSAFE.search(native):
        return native
    if not _BEYOND_URLS.search(native):  # the target of a request, mostly: much quicker than `translate`
        return native.replace("%", "%25").replace("?", "%3F").replace("&", "%26").replace("=", "%3D")
    return (native if native.isascii() else native.encode("latin-1", "replace").decode("latin-1")).translate(_ENCODED)


class _Quoted(dict[str, str]):
    """Maps text to its quoted form, cached for up to 4,096 short texts: addresses, programs, tokens repeat."""

    def __init__(self) -> None:
        super().__init__({"": "-"})

    def __missing__(self, text: str) -> str:
        quoted = _percent_encoded(text)
        if len(self) < 4096 and len(text) <= 256:
            self[text] = quoted
        return quoted


class _Record:
    """A request, from its start to its log line. Made from environ before filters below change it."""

    __slots__ = ("_start_response", "end", "environ", "headers", "input", "method", "path", "sent", "start", "status")

    def __init__(self, environ: Environ, start: float, start_response: StartResponse) -> None:
        self.environ = environ
        self.start = start
        self.end = start
        self.method: str = environ["REQUEST_METHOD"]
        self.path: str = environ["PATH_INFO"]
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        self.sent = 0
        self.input: CountedInput | None = None
        self._start_response = start_response

    def start_response(self, status: str, headers: list[tuple[str, str]], exc_info: object = None) -> object:
        self.status = int(status[:3])
        self.headers = headers
        return self._start_response(status, headers, exc_info) if exc_info else self._start_response(status, headers)

    @property
    def is_whole(self) -> bool:
        """True if the response's body was sent completely, judged by its headers."""
        if self.method == "HEAD":
            return True
        length = next((value for name, value in self.headers if name.lower() == "content-length"), None)
        return length is not None and self.sent >= int(length)


class _Series(NamedTuple):
    """The series that count requests of one kind, method, status and operation."""

    requests: tuple[metrics.Value, ...]
    seconds: tuple[metrics.Distribution, ...]


class ProxyLogging:
    def __init__(
        self,
        app: WsgiApp,
        *,
        lines: log.LineWriter,
        registry: metrics.Metrics,
        sender: statsd.Statsd | None = None,
        template: str = TEMPLATE,
        log_headers: bool = False,
        headers_only: Iterable[str] = (),
        subrequests: bool = False,
        reveal: int = 16,
        now: Callable[[], float] = time.time,
    ) -> None:
        """reveal: characters of a secret that are logged. Raises ConfigError for an unknown field of the template."""
        self.app = app
        self.metrics = registry
        self._traffic = traffic(registry, "objstore", "kind", "Bytes of request bodies.")
        self._operations = registry.counters(
            "objstore_s3_requests_total", "S3 requests answered.", ("operation", "status")
        )
        self._operation_seconds = registry.histograms(
            "objstore_s3_request_seconds", "Seconds that S3 requests took.", ("operation",)
        )
        self._statsd = sender
        self._write = lines.write
        self._log_headers = log_headers
        self._headers_only = frozenset(name.title() for name in headers_only)
        self._subrequests = subrequests
        self._reveal = reveal
        self._now = now
        self._quoted = _Quoted()
        self._dates: dict[int, str] = {}
        self._line, self._fields = _compile(template)
        self._further = not _FURTHER.isdisjoint(self._fields)
        self._series: dict[tuple[str, str, int, str | None], _Series] = {}

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if "objstore.logged" in environ or ("objstore.source" in environ and not self._subrequests):
            return self.app(environ, start_response)
        environ["objstore.logged"] = True
        record = _Record(environ, self._now(), start_response)
        if environ.get("CONTENT_LENGTH", "0") not in ("0", "") or "HTTP_TRANSFER_ENCODING" in environ:
            record.input = environ["wsgi.input"] = counted_input(environ["wsgi.input"])
        try:
            body = self.app(environ, record.start_response)
        except Exception as failure:
            record.status = status_of(failure)
            self._end(record)
            raise
        if type(body) is tuple or type(body) is list:
            for piece in body:
                record.sent += len(piece)
            self._end(record)
            return body

        def end(sent: int, failed: int, closed: bool) -> None:
            record.sent = sent
            if failed or (closed and not record.is_whole):
                record.status = failed or 499  # the client has gone
            self._end(record)

        return CountedBody(body, end)

    def _end(self, record: _Record) -> None:
        record.end = self._now()
        if record.input is not None and record.input.gone:
            record.status = 499
        self._count(record)
        texts = self._texts(record)
        if self._further:
            texts += self._further_texts(record)
        if self._fields != _FIELDS:
            named = dict(zip((*_FIELDS, *_FURTHER_FIELDS), texts, strict=False))
            texts = tuple([named[name] for name in self._fields])
        self._write(self._line % texts)

    def _count(self, record: _Record) -> None:
        environ = record.environ
        kind = environ.get("objstore.kind") or _kind(record.path)
        method = record.method if record.method in _METHODS else "other"
        key = kind, method, record.status, environ.get("objstore.operation")
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = self._series_of(*key)
        seconds = record.end - record.start
        received = record.input.count if record.input is not None else 0
        for counter in series.requests:
            counter.inc()
        for histogram in series.seconds:
            histogram.observe(seconds)
        if received:
            self._traffic.received[kind].inc(received)
        if record.sent:
            self._traffic.sent[kind].inc(record.sent)
        if self._statsd is not None:
            name = f"proxy-server.{kind}.{method}.{record.status}"  # as Swift calls it
            self._statsd.request(name, seconds, received + record.sent)

    def _series_of(self, kind: str, method: str, status: int, operation: str | None) -> _Series:
        """Return the series of requests of a kind. operation: of S3, from a small set."""
        traffic = self._traffic
        requests, seconds = (traffic.requests[kind, method, status],), (traffic.seconds[kind, method],)
        if operation is None:
            return _Series(requests, seconds)
        return _Series((*requests, self._operations[operation, status]), (*seconds, self._operation_seconds[operation]))

    def _texts(self, record: _Record) -> tuple[str, ...]:
        """Return the fields of a line in the order of the usual template, as they stand in the line."""
        environ, quoted = record.environ, self._quoted
        value = environ.get
        start, end = record.start, record.end
        token = value("HTTP_X_AUTH_TOKEN")
        return (
            quoted[_client_ip(environ)],
            quoted[value("REMOTE_ADDR", "")],
            self._date(end),
            quoted[record.method],
            self._path(record),
            quoted[value("SERVER_PROTOCOL", "")],
            str(record.status),
            quoted[value("HTTP_REFERER", "")],
            quoted[value("HTTP_USER_AGENT", "")],
            quoted[self._obscured(token)] if token else "-",
            str(record.input.count or "-") if record.input is not None else "-",
            str(record.sent or "-"),
            quoted[value("HTTP_ETAG", "")],
            value("objstore.trans_id") or "-",
            self._request_headers(environ) if self._log_headers else "-",
            f"{end - start:.4f}",
            quoted[value("objstore.source", "")],
            self._log_info(value("objstore.log_info")),
            f"{start:.9f}",
            f"{end:.9f}",
            quoted[_policy_index(record)],
        )

    def _further_texts(self, record: _Record) -> tuple[str, ...]:
        """Return the fields that few templates have, in the order of `_FURTHER_FIELDS`."""
        parts = [_percent_encoded(part) or "-" for part in record.path.split("/", 4)[2:]]
        account, container, name = [*parts, "-", "-", "-"][:3]
        domain = self._quoted[record.environ.get("HTTP_HOST", "")]
        return (self._date(record.start), account, container, name, domain)

    def _date(self, seconds: float) -> str:
        second = int(seconds)
        text = self._dates.get(second)
        if text is None:
            self._dates.clear()
            text = self._dates[second] = time.strftime("%d/%b/%Y/%H/%M/%S", time.gmtime(second))
        return text

    def _obscured(self, secret: str) -> str:
        return secret if len(secret) <= self._reveal else secret[: self._reveal] + "..."

    def _path(self, record: _Record) -> str:
        environ = record.environ
        path = environ.get("objstore.raw_target")
        if path is None:
            path = quote(record.path, encoding="latin-1")
        if "?" in path:
            path = _SECRET_PARAMETER.sub(self._obscured_match, path)
        return _percent_encoded(path)

    def _obscured_match(self, match: re.Match[str]) -> str:
        return match[1] + self._obscured(match[2])

    def _log_info(self, entries: list[str] | None) -> str:
        if not entries:
            return "-"
        text = ",".join(entries)
        return self._quoted[text] if text.isascii() else _quote_text(text)

    def _request_headers(self, environ: Environ) -> str:
        lines = [
            f"{name}: {self._obscured(value) if name in _SECRET_HEADERS else value}"
            for name, value in request_headers(environ).items()
            if not self._headers_only or name in self._headers_only
        ]
        return _quote_text("\n".join(lines))


def _kind(path: str) -> str:
    if path[:4] != "/v1/":
        return "other"
    parts = path.split("/", 4)
    if len(parts) > 4 and parts[4]:
        return "object"
    return "container" if len(parts) > 3 and parts[3] else "account"


def _quote_text(text: str) -> str:
    return quote(text, "/:", errors="surrogateescape") or "-"


def _client_ip(environ: Environ) -> str:
    """Return the client's address from the headers of proxies in front of us. A client can forge it: for statistics
    only."""
    address: str = environ.get("HTTP_X_CLUSTER_CLIENT_IP", "")
    if not address:
        forwarded = environ.get("HTTP_X_FORWARDED_FOR")
        address = forwarded.split(",", 1)[0].strip() if forwarded else environ.get("REMOTE_ADDR", "")
    return address


def _policy_index(record: _Record) -> str:
    index = dict(record.headers).get("X-Backend-Storage-Policy-Index")
    return record.environ.get("HTTP_X_BACKEND_STORAGE_POLICY_INDEX", "") if index is None else index


# Names of all fields that a template can have.
_FIELDS = tuple(name for _, name, _, _ in Formatter().parse(TEMPLATE) if name)
_FURTHER_FIELDS = ("start_time.datetime", "account", "container", "object", "domain")
_FURTHER = frozenset(_FURTHER_FIELDS)


def _compile(template: str) -> tuple[str, tuple[str, ...]]:
    """Compile a template to a format for `%`, and the names of its fields in order.

    Raises ConfigError for an unknown field.
    """
    line = ""
    fields: list[str] = []
    try:
        for text, name, _, _ in Formatter().parse(template):
            line += text.replace("%", "%%")
            if name is not None:
                if name not in _FIELDS and name not in _FURTHER:
                    raise ConfigError(f"log_msg_template: there is no field {name!r}")
                fields.append(name)
                line += "%s"
    except ValueError as error:
        raise ConfigError(f"log_msg_template: {error}") from None
    return line, tuple(fields)


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WsgiApp], ProxyLogging]:
    conf = {**global_conf, **local_conf}
    values = settings.read(ProxyLoggingSettings, conf, "filter:proxy-logging")
    destination = log.LogSettings(
        log_name=values.access_log_name,
        log_to=values.access_log_to,
        log_address=values.access_log_address,
        log_facility=values.access_log_facility,
    )
    lines = log.line_writer(destination, size=values.access_log_size, delay=values.access_log_delay)
    registry = metrics.from_conf(conf)
    sender = statsd.of(settings.read(statsd.StatsdSettings, conf, "filter:proxy-logging"), log.from_conf(conf))
    return lambda app: ProxyLogging(
        app,
        lines=lines,
        registry=registry,
        sender=sender,
        template=values.log_msg_template,
        log_headers=values.access_log_headers,
        headers_only=values.access_log_headers_only,
        subrequests=values.access_log_subrequests,
        reveal=values.reveal_sensitive_prefix,
    )
