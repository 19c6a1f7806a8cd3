"""Limit the rate of requests to each device of a storage server (Swift: Backend Ratelimit).

A request above the rate is answered 529 at once; the proxy tries the next node, and does not count it as a failure of
this one. Rates are those of one worker. A method can have a rate in addition to that of all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from objstore.runtime import settings
from objstore.runtime.settings import duration, rate, setting, table
from objstore.web.requests import Environ, StartResponse, WsgiApp
from objstore.web.responses import Response, error


@dataclass(frozen=True)
class BackendRatelimitSettings:
    """Settings of the filter. All rates are per second, device and worker; 0 for no limit."""

    requests_per_device_per_second: float = setting(rate, "0", "rate of all requests; 0: no limit")
    delete_requests_per_device_per_second: float = setting(rate, "0", "rate of DELETE; 0: no limit")
    get_requests_per_device_per_second: float = setting(rate, "0", "rate of GET; 0: no limit")
    head_requests_per_device_per_second: float = setting(rate, "0", "rate of HEAD; 0: no limit")
    post_requests_per_device_per_second: float = setting(rate, "0", "rate of POST; 0: no limit")
    put_requests_per_device_per_second: float = setting(rate, "0", "rate of PUT; 0: no limit")
    replicate_requests_per_device_per_second: float = setting(rate, "0", "rate of REPLICATE; 0: no limit")
    update_requests_per_device_per_second: float = setting(
        rate, "0", "rate of updates of listings by other servers; 0: no limit"
    )
    requests_per_device_rate_buffer: float = setting(
        duration, "1", "seconds whose unused requests may follow in a burst"
    )

    def rates(self) -> dict[str, float]:
        """Return the rates above 0 by method, '' for all."""
        found = {"": self.requests_per_device_per_second}
        for method in _METHODS:
            found[method] = getattr(self, f"{method.lower()}_requests_per_device_per_second")
        return {method: value for method, value in found.items() if value}


SETTINGS = table(BackendRatelimitSettings)
_METHODS = ("DELETE", "GET", "HEAD", "POST", "PUT", "REPLICATE", "UPDATE")
_FREE = frozenset({"OPTIONS", "UNLOCK"})  # a lease that is not given back would hold up others
_MAX_DEVICES = 4096  # whose times are remembered; a request can name any


class DeviceRates:
    """The rates of the devices of one worker. rates: by method, '' for all."""

    def __init__(self, rates: Mapping[str, float], buffer: float, now: Callable[[], float] = time.monotonic) -> None:
        self._steps = {method: 1 / value for method, value in rates.items()}
        self._buffer = buffer
        self._now = now
        self._due: dict[tuple[str, str], float] = {}

    def admit(self, device: str, method: str) -> bool:
        """Count a request and return True, or return False if it is above a rate, and count nothing."""
        now = self._now()
        due = {}
        for kind in ("", method):
            step = self._steps.get(kind)
            if step is None:
                continue
            start = max(self._due.get((device, kind), 0.0), now - self._buffer)
            if start > now:
                return False
            due[device, kind] = start + step
        if len(self._due) >= _MAX_DEVICES:
            self._due.clear()
        self._due.update(due)
        return True


class BackendRatelimit:
    """The filter."""

    def __init__(self, app: WsgiApp, rates: DeviceRates) -> None:
        self.app = app
        self._rates = rates

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        device, slash, _ = environ["PATH_INFO"][1:].partition("/")
        if method in _FREE or not (slash or method == "REPLICATE") or self._rates.admit(device, _kind(environ)):
            return self.app(environ, start_response)
        answer: Response = error(529)
        return answer(environ, start_response)


def _kind(environ: Environ) -> str:
    """Return the method, UPDATE for rows that another server sends."""
    is_update = environ["REQUEST_METHOD"] == "POST" and environ.get("QUERY_STRING", "")[:5] == "rows="
    return "UPDATE" if is_update else str(environ["REQUEST_METHOD"])


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WsgiApp], WsgiApp]:
    """Without a rate the filter is left out."""
    values = settings.read(BackendRatelimitSettings, {**global_conf, **local_conf}, "filter:backend_ratelimit")
    rates = values.rates()
    if not rates:
        return lambda app: app
    return lambda app: BackendRatelimit(app, DeviceRates(rates, values.requests_per_device_rate_buffer))
