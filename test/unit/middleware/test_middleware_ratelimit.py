"""Rates of containers by size, limits of requests, and the count that hosts share in a memcached."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from objstore.core.errors import AccountBlocked, ConfigError, RateLimited
from objstore.core.names import Name
from objstore.middleware.cache import MemcachedCache
from objstore.middleware.ratelimit import Ratelimit, RatelimitSettings, Scale, read_scales
from objstore.runtime.rate_file import RatePace
from objstore.runtime.threads import ThreadPool
from objstore.web import guards
from objstore.web.context import RequestContext
from objstore.web.infos import AccountInfo, ContainerInfo

LOGGER = logging.getLogger("test")


@pytest.mark.parametrize(
    "count, rate",
    [(0, 0), (99, 0), (100, 100), (150, 75), (199, 50.5), (200, 50), (350, 35), (500, 20), (10**9, 20)],
)
def test_the_rate_of_a_size(count: int, rate: float) -> None:
    assert Scale((100, 200, 500), (100.0, 50.0, 20.0)).at(count) == pytest.approx(rate)


def test_no_sizes_no_limit() -> None:
    assert Scale().at(10**6) == 0


def test_scales_are_read_in_order_of_their_sizes() -> None:
    scales = read_scales({"container_ratelimit_200": "5", "container_ratelimit_0": "50", "other_3": "x",
                          "container_listing_ratelimit_10": "1.5"})  # fmt: skip
    assert scales.writes == Scale((0, 200), (50.0, 5.0))
    assert scales.listings == Scale((10,), (1.5,))


@pytest.mark.parametrize("text", ["", "x", "-1", "0", "nan", "inf"])
def test_a_rate_that_is_none(text: str) -> None:
    with pytest.raises(ConfigError, match="container_ratelimit_3"):
        read_scales({"container_ratelimit_3": text})


class Layer:
    """Infos of one account and its containers."""

    def __init__(self, setting: str = "", count: int = 0) -> None:
        self.layer = self
        self.setting = setting
        self.count = count

    def account_info(self, context: RequestContext, account: str) -> AccountInfo:
        return AccountInfo(204, 1, 0, 0, {}, {"global-write-ratelimit": self.setting} if self.setting else {})

    def container_info(self, context: RequestContext, name: Name) -> ContainerInfo:
        return ContainerInfo(204, 0, self.count, 0, "", "", {}, {})

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        guards.check(environ, RequestContext.of(environ), environ["REQUEST_METHOD"], environ["name"])
        return [b"passed"]


def ask(filter_: Ratelimit, method: str, *parts: str) -> None:
    filter_({"REQUEST_METHOD": method, "PATH_INFO": "/v1/" + "/".join(parts), "name": Name(*parts)}, lambda *_: None)


def limiter(layer: Layer, sleeps: list[float], scales: dict[str, str] | None = None, **values: Any) -> Ratelimit:
    given = {"max_sleep_time_seconds": 0.5, **values}
    return Ratelimit(layer, RatelimitSettings(**given), read_scales(scales or {}), LOGGER, sleep=sleeps.append)


def test_a_request_before_its_time_sleeps_and_a_later_one_is_refused() -> None:
    sleeps: list[float] = []
    filter_ = limiter(Layer(), sleeps, account_ratelimit=3.0)
    for _ in range(2):
        ask(filter_, "PUT", "a", "c")
    assert sleeps == [pytest.approx(1 / 3, abs=0.1)]
    with pytest.raises(RateLimited):
        ask(filter_, "DELETE", "a", "d")
    ask(filter_, "PUT", "b", "c")  # another account
    ask(filter_, "POST", "a", "c")
    ask(filter_, "PUT", "a", "c", "o")
    ask(filter_, "GET", "a", "c")
    assert len(sleeps) == 1


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "COPY"])
def test_changes_of_objects_are_limited_by_the_size_of_their_container(method: str) -> None:
    filter_ = limiter(Layer(count=10), [], {"container_ratelimit_10": "1"})
    ask(filter_, method, "a", "c", "o")
    with pytest.raises(RateLimited):
        ask(filter_, "PUT", "a", "c", "p")
    for name in (("a", "other", "o"), ("b", "c", "o")):
        ask(filter_, "PUT", *name)
    for method_, name in (("GET", ("a", "c", "o")), ("HEAD", ("a", "c", "o")), ("GET", ("a", "c"))):
        ask(filter_, method_, *name)


def test_listings_have_a_limit_of_their_own() -> None:
    filter_ = limiter(Layer(count=10), [], {"container_listing_ratelimit_10": "1"})
    ask(filter_, "GET", "a", "c")
    with pytest.raises(RateLimited):
        ask(filter_, "GET", "a", "c")
    ask(filter_, "HEAD", "a", "c")
    ask(filter_, "PUT", "a", "c", "o")


def test_one_request_counts_once() -> None:
    filter_ = limiter(Layer(), [], account_ratelimit=1.0)
    environ = {"REQUEST_METHOD": "PUT", "PATH_INFO": "/v1/a/c", "name": Name("a", "c")}
    filter_(environ, lambda *_: None)
    guards.check(environ, RequestContext.of(environ), "PUT", Name("a", "c"))
    with pytest.raises(RateLimited):
        ask(filter_, "PUT", "a", "c")


def test_accounts_of_the_lists() -> None:
    values = {"account_ratelimit": 1.0, "account_whitelist": ("white",), "account_blacklist": ("black",)}
    filter_ = limiter(Layer(), [], **values)
    for _ in range(3):
        ask(filter_, "PUT", "white", "c")
    for method in ("PUT", "GET", "DELETE"):
        with pytest.raises(AccountBlocked):
            ask(filter_, method, "black", "c")
    ask(filter_, "HEAD", "black", "c")
    with pytest.raises(AccountBlocked):
        ask(limiter(Layer("BLACKLIST"), []), "PUT", "a", "c", "o")
    exempt = limiter(Layer("WHITELIST"), [], account_ratelimit=1.0)
    for _ in range(3):
        ask(exempt, "PUT", "a", "c")


def test_a_number_limits_all_changes_of_an_account() -> None:
    filter_ = limiter(Layer("1"), [])
    ask(filter_, "PUT", "a", "c")
    with pytest.raises(RateLimited):
        ask(filter_, "PUT", "a", "d", "o")
    ask(filter_, "GET", "a", "d")
    ask(limiter(Layer("nonsense"), []), "PUT", "a", "c")


class Memcached:
    """The methods of pymemcache's client that a count needs."""

    def __init__(self) -> None:
        self.values: dict[str, int] = {}

    def incr(self, key: str, step: int) -> int | None:
        if key not in self.values:
            return None
        self.values[key] += step
        return self.values[key]

    def decr(self, key: str, step: int) -> int:
        self.values[key] -= step
        return self.values[key]

    def set(self, key: str, raw: bytes, expire: int) -> bool:
        self.values[key] = int(raw)
        return True

    def touch(self, key: str, expire: int) -> bool:
        return True


class Dead:
    """A client whose memcached does not answer."""

    def __getattr__(self, name: str) -> Any:
        def fail(*args: object) -> None:
            raise TimeoutError

        return fail


def test_hosts_share_a_count_in_memcached() -> None:
    client, threads, pace = Memcached(), ThreadPool("test", 1), RatePace(2.0, 5.0, 1.0)
    now = 1000.0
    one, two = (MemcachedCache(client, threads, LOGGER, clock=lambda: now) for _ in range(2))
    waits = [cache.wait_for("k", pace, 1000) for cache in (one, two, one, two, one)]
    assert waits == [0.0, 0.5, 1.0, None, None]
    now = 1002.0
    assert two.wait_for("k", pace, 1000) == 0.0
    now = 1020.0  # idle for longer than the buffer
    assert [one.wait_for("k", pace, 1000), two.wait_for("k", pace, 1000)] == [0.0, 0.5]


def test_without_an_answer_of_memcached_nothing_waits() -> None:
    cache = MemcachedCache(Dead(), ThreadPool("test", 1), LOGGER)
    assert [cache.wait_for("k", RatePace(1.0, 5.0, 0.1), 1000) for _ in range(3)] == [0.0] * 3
