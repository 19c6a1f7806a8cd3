"""Limit the rate of changes and listings by account and container (Swift: Rate Limiting).

The guard of this filter counts permitted requests of both APIs. A request before its time waits; one that would wait
longer than `max_sleep_time_seconds` is refused with 498, through S3 with 503 SlowDown. Clients without rights count
nothing, so that they cannot use up the rate of others.

The workers of a host share one count (`runtime.rate_file`). The hosts of a cluster do if the `cache` filter has a
memcached.

A reseller admin sets `X-Account-Global-Write-Ratelimit` of an account: WHITELIST for no limits, BLACKLIST to refuse all
changes and listings (497), or the number of changes per second in the whole account.
"""

from __future__ import annotations

import bisect
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from objstore.core.errors import AccountBlocked, ConfigError, RateLimited
from objstore.middleware.account_setting import AccountSetting, is_of_account
from objstore.runtime import green, log, settings
from objstore.runtime.rate_file import RateFile, RatePace
from objstore.runtime.settings import duration, positive, rate, setting, table, words
from objstore.web import features, guards, pipeline
from objstore.web.guards import Permitted
from objstore.web.requests import Environ, StartResponse, WsgiApp


@dataclass(frozen=True)
class RatelimitSettings:
    """Settings of the filter, in addition to container_ratelimit_SIZE and container_listing_ratelimit_SIZE."""

    account_ratelimit: float = setting(
        rate, "0", "containers created and deleted per second in each account; 0: no limit"
    )
    max_sleep_time_seconds: float = setting(duration, "60", "longest wait; a request that would wait longer gets 498")
    log_sleep_time_seconds: float = setting(duration, "0", "log requests that wait longer than this; 0: none")
    rate_buffer_seconds: float = setting(duration, "5", "time of which a client may catch up what it did not use")
    clock_accuracy: int = setting(positive, "1000", "units per second of the times in memcached; the highest rate")
    account_whitelist: tuple[str, ...] = setting(words, "", "accounts without limits")
    account_blacklist: tuple[str, ...] = setting(words, "", "accounts whose changes and listings are refused")
    ratelimit_file: str = setting(
        str.strip, "", "file through which the workers of a host share their counts; created if missing"
    )


SETTINGS = table(RatelimitSettings)
_WHITE, _BLACK = "WHITELIST", "BLACKLIST"
_SIZED = re.compile(r"(container_ratelimit|container_listing_ratelimit)_(\d{1,18})\Z", re.ASCII)


def _is_limit(text: str) -> bool:
    if text in (_WHITE, _BLACK):
        return True
    try:
        return rate(text) > 0
    except ValueError:
        return False


_OF_ACCOUNT = AccountSetting("X-Account-Global-Write-Ratelimit", _is_limit, f"{_WHITE}, {_BLACK} or a rate above 0")


class Scale(NamedTuple):
    """Rates by the number of objects of a container: sizes ascending, and the rate of each."""

    sizes: tuple[int, ...] = ()
    rates: tuple[float, ...] = ()

    def at(self, count: int) -> float:
        """Return the rate for a number of objects, 0 for no limit: below the first size none, between two sizes in
        proportion, from the last one on its rate."""
        index = bisect.bisect_right(self.sizes, count) - 1
        if index < 0:
            return 0.0
        if index == len(self.sizes) - 1:
            return self.rates[index]
        low, high = self.sizes[index], self.sizes[index + 1]
        share = (count - low) / (high - low)
        return self.rates[index] + share * (self.rates[index + 1] - self.rates[index])


class Scales(NamedTuple):
    """writes: of objects. listings: of containers."""

    writes: Scale
    listings: Scale


def read_scales(conf: Mapping[str, str]) -> Scales:
    """Return the rates of `container_ratelimit_SIZE` and `container_listing_ratelimit_SIZE`. Raises ConfigError."""
    found: dict[str, list[tuple[int, float]]] = {"container_ratelimit": [], "container_listing_ratelimit": []}
    for name, text in conf.items():
        match = _SIZED.match(name)
        if match is None:
            continue
        try:
            value = rate(text)
        except ValueError as problem:
            raise ConfigError(f"{name} = {text!r} in filter:ratelimit: {problem}") from None
        if not value:
            raise ConfigError(f"{name} = {text!r} in filter:ratelimit: is not above 0")
        found[match[1]].append((int(match[2]), value))
    scales = []
    for pairs in found.values():
        pairs.sort()
        scales.append(Scale(tuple(size for size, _ in pairs), tuple(value for _, value in pairs)))
    return Scales(*scales)


class Limit(NamedTuple):
    """A limit that a request comes under: the key of its count, and its rate per second."""

    key: str
    rate: float


class Ratelimit:
    """The filter. layer: the object layer of the proxy, for the infos of accounts and containers."""

    def __init__(
        self,
        app: WsgiApp,
        values: RatelimitSettings,
        scales: Scales,
        logger: logging.Logger,
        *,
        sleep: Callable[[float], object] = green.sleep,
    ) -> None:
        self.app = app
        self._values = values
        self._scales = scales
        self._logger = logger
        self._layer: Any = pipeline.find(app, "layer")
        self._file = RateFile(values.ratelimit_file)
        self._sleep = sleep
        features.announce(app, "ratelimit")

    def info(self) -> dict[str, object]:
        values = self._values
        return {
            "ratelimit": {
                "account_ratelimit": values.account_ratelimit,
                "max_sleep_time_seconds": values.max_sleep_time_seconds,
                "container_ratelimits": [list(pair) for pair in zip(*self._scales.writes, strict=True)],
                "container_listing_ratelimits": [list(pair) for pair in zip(*self._scales.listings, strict=True)],
            }
        }

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        guards.add(environ, self._check)
        if is_of_account(environ["PATH_INFO"]):
            start_response = _OF_ACCOUNT.shown(environ, start_response)
        return self.app(environ, start_response)

    def _check(self, permitted: Permitted) -> None:
        method, name = permitted.method, permitted.name
        if name.container is None:
            _OF_ACCOUNT.store(permitted)
            return
        listing = method == "GET" and name.object is None
        if not (permitted.changes or listing) or name.account in self._values.account_whitelist:
            return
        of_account = _OF_ACCOUNT.of(self._layer.account_info(permitted.context, name.account))
        if of_account == _WHITE:
            return
        if of_account == _BLACK or name.account in self._values.account_blacklist:
            raise AccountBlocked("Your account has been blacklisted")
        for limit in self._limits(permitted, of_account, listing):
            self._wait(limit, permitted)

    def _limits(self, permitted: Permitted, of_account: str, listing: bool) -> list[Limit]:
        name, limits = permitted.name, []
        if name.object is None and permitted.method in ("PUT", "DELETE") and self._values.account_ratelimit:
            limits.append(Limit(f"account/{name.account}", self._values.account_ratelimit))
        if name.object is not None or listing:
            scale = self._scales.listings if listing else self._scales.writes
            if scale.sizes:
                count = self._layer.container_info(permitted.context, name).object_count
                limits.append(Limit(f"{'list' if listing else 'write'}{name.of_container.path}", scale.at(count)))
        if of_account and permitted.changes:
            limits.append(Limit(f"global/{name.account}", float(of_account) if _is_limit(of_account) else 0.0))
        return [limit for limit in limits if limit.rate]

    def _wait(self, limit: Limit, permitted: Permitted) -> None:
        values = self._values
        pace = RatePace(
            min(limit.rate, values.clock_accuracy), values.rate_buffer_seconds, values.max_sleep_time_seconds
        )
        shared = getattr(permitted.context.cache, "wait_for", None)
        if shared is None:
            seconds = self._file.wait(limit.key, pace)
        else:
            seconds = shared(f"ratelimit/{limit.key}", pace, values.clock_accuracy)
        if seconds is None:
            permitted.environ.setdefault("objstore.log_info", []).append("ratelimit:refused")
            raise RateLimited("Slow down")
        if not seconds:
            return
        if values.log_sleep_time_seconds and seconds > values.log_sleep_time_seconds:
            trace = {"trans_id": permitted.context.trans_id}
            what = f"{permitted.method} {permitted.name.path}"
            self._logger.warning("%s waits %.3f s: limit of %g per second", what, seconds, limit.rate, extra=trace)
        self._sleep(seconds)


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WsgiApp], Ratelimit]:
    conf = {**global_conf, **local_conf}
    values = settings.read(RatelimitSettings, conf, "filter:ratelimit")
    scales = read_scales(conf)
    logger = log.from_conf(conf)
    return lambda app: Ratelimit(app, values, scales, logger)
