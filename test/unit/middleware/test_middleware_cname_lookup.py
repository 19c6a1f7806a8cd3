"""Hosts that lead to a storage domain by CNAME records."""

import threading
import time

import pytest
from harness.name_server import NameServer

from objstore.core.errors import ConfigError
from objstore.middleware.cache import LocalCache, generations
from objstore.middleware.cname_lookup import (
    Chain,
    CnameLookup,
    CnameLookupSettings,
    CnameRecord,
    CnameTarget,
    LookupFailed,
    filter_factory,
)
from objstore.runtime import green, settings
from objstore.web.responses import Response, call


class Table:
    """Records; a name whose record is an error raises it."""

    def __init__(self, **records):
        self.records = {name.replace("_", "."): record for name, record in records.items()}
        self.asked = []

    def cname(self, name, timeout):
        self.asked.append(name)
        record = self.records.get(name)
        if isinstance(record, Exception):
            raise record
        return record


class Below:
    bucket_domains = ("s3.test",)

    def __call__(self, environ, start_response):
        self.environ = environ
        return Response(200)(environ, start_response)


def values_of(**conf):
    return settings.read(CnameLookupSettings, {"storage_domain": "store.test other.test", **conf})


def follow(table, name, now=lambda: 0.0, **conf):
    chain = Chain(table, values_of(**conf), now)
    return chain.follow(name, chain.end())


def ask(table, host, cache=None, **conf):
    below = Below()
    values = values_of(**conf)
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/o"}
    if host is not None:
        environ["HTTP_HOST"] = host
    if cache is not None:
        environ["objstore.cache"] = cache
    answer = call(CnameLookup(below, values, Chain(table, values)), environ)
    return (
        (answer.status, below.environ["HTTP_HOST"] if host else None) if answer.ok else (answer.status, answer.read())
    )


SITE = CnameRecord("c.AUTH-a.store.test", 300.0)


def test_a_record_below_a_storage_domain():
    assert follow(Table(www_example_org=SITE), "www.example.org") == (CnameTarget("c.AUTH-a.store.test"), 300.0)
    assert follow(Table(x=CnameRecord("store.test", 5.0)), "x") == (CnameTarget("store.test"), 5.0)
    assert follow(Table(x=CnameRecord("c.other.test", 9e9)), "x") == (CnameTarget("c.other.test"), 3600.0)


def test_the_depth_bounds_a_chain():
    chain = Table(a=CnameRecord("b", 50.0), b=CnameRecord("c", 10.0), c=SITE)
    for depth, target in (("1", ""), ("2", ""), ("3", "c.AUTH-a.store.test")):
        assert follow(chain, "a", lookup_depth=depth)[0] == CnameTarget(target)
    assert follow(chain, "a", lookup_depth="9") == (CnameTarget("c.AUTH-a.store.test"), 10.0)
    loop = Table(a=CnameRecord("b", 5.0), b=CnameRecord("a", 5.0))
    assert follow(loop, "a", lookup_depth="20") == (CnameTarget(""), 60.0)
    assert len(loop.asked) == 20


def test_a_host_without_a_record_counts_for_a_while():
    assert follow(Table(), "a") == (CnameTarget(""), 60.0)
    assert follow(Table(a=CnameRecord("mystore.test", 500.0)), "a", missing_ttl="7s") == (CnameTarget(""), 7.0)


def test_all_records_share_the_timeout():
    times = iter([0.0, 0.0, 1.5, 2.5])
    with pytest.raises(LookupFailed, match="takes longer than 2 s"):
        follow(Table(a=CnameRecord("b", 1.0), b=CnameRecord("c", 1.0)), "a", lambda: next(times), lookup_depth="3")


def test_the_host_of_a_request_is_replaced():
    table = Table(www_example_org=SITE)
    assert ask(table, "WWW.example.org.:8080") == (200, "c.AUTH-a.store.test:8080")
    below = Below()
    values = values_of()
    call(CnameLookup(below, values, Chain(table, values)), {"REQUEST_METHOD": "GET", "HTTP_HOST": "www.example.org"})
    assert below.environ["objstore.client_host"] == "www.example.org"


@pytest.mark.parametrize(
    "host",
    [
        "store.test", "c.AUTH-a.Store.Test:80", "c.other.test.", "s3.test", "bucket.s3.test", "10.0.0.1", "[::1]:80",
        "localhost", None,
    ],
)  # fmt: skip
def test_hosts_that_stay(host):
    table = Table()
    assert ask(table, host) == (200, host)
    assert table.asked == []


def test_a_host_that_leads_elsewhere_is_refused():
    status, body = ask(Table(), "www.example.org")
    assert status == 400 and b"www.example.org does not lead to this store" in body


def test_servers_that_fail_are_not_the_fault_of_the_client():
    status, body = ask(Table(a_b=LookupFailed("a.b: timed out")), "a.b")
    assert status == 503 and b"timed out" in body


def test_results_are_cached_also_negative_ones():
    cache = LocalCache(generations(None))
    table = Table(www_example_org=SITE, dead_test=LookupFailed("dead"))
    for _ in range(3):
        assert ask(table, "www.example.org", cache)[0] == 200
        assert ask(table, "none.test", cache)[0] == 400
        assert ask(table, "dead.test", cache)[0] == 503
    assert table.asked.count("www.example.org") == table.asked.count("none.test") == 1
    assert table.asked.count("dead.test") == 3  # perhaps it works the next time
    table.records["now.test"] = CnameRecord("c.store.test", 0.0)
    for _ in range(2):
        assert ask(table, "now.test", cache)[0] == 200
    assert table.asked.count("now.test") == 2


def test_few_requests_wait_for_slow_servers():
    release = threading.Event()

    class Slow(Table):
        def cname(self, name, timeout):
            release.wait(10)
            return SITE

    values = values_of(lookup_threads="1", max_waiting_lookups="3")
    filter_ = CnameLookup(Below(), values, Chain(Slow(), values))
    statuses = []

    def one(number):
        answer = call(filter_, {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "HTTP_HOST": f"h{number}.example.org"})
        statuses.append(answer.status)

    threads = [green.spawn(one, number) for number in range(5)]
    green.sleep(0.05)
    assert statuses == [503, 503]
    release.set()
    for thread in threads:
        thread.wait()
    assert sorted(statuses) == [200, 200, 200, 503, 503]


def test_a_request_that_waited_too_long_asks_nobody():
    values = values_of()
    now = [0.0]
    chain = Chain(table := Table(a=SITE), values, lambda: now[0])
    end = chain.end()
    now[0] = 3.0
    with pytest.raises(LookupFailed):
        chain.follow("a", end)
    assert table.asked == []


# With a name server


@pytest.fixture(scope="module")
def server():
    with NameServer() as made:
        made.records["www.example.org"] = ("c.AUTH-a.store.test", 77)
        made.records["first.example.org"] = ("www.example.org", 99)
        made.silent.add("silent.example.org")
        made.broken.add("broken.example.org")
        yield made


def asking(server, host, **conf):
    below = Below()
    app = filter_factory({}, storage_domain="store.test", nameservers=server.address, **conf)(below)
    answer = call(app, {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "HTTP_HOST": host})
    return below.environ["HTTP_HOST"] if answer.ok else answer.status


def test_real_look_ups(server):
    assert asking(server, "www.example.org:81") == "c.AUTH-a.store.test:81"
    assert asking(server, "first.example.org") == 400
    assert asking(server, "first.example.org", lookup_depth="2") == "c.AUTH-a.store.test"
    assert asking(server, "none.example.org") == 400
    assert asking(server, "broken.example.org") == 503
    assert asking(server, f"{'x' * 64}.example.org") == 503  # not a name


def test_a_silent_server_is_waited_for_no_longer_than_the_timeout(server):
    begun = time.monotonic()
    assert asking(server, "silent.example.org", lookup_timeout="300ms") == 503
    assert time.monotonic() - begun < 2


@pytest.mark.parametrize(
    ("text", "servers"),
    [
        ("", ()),
        ("192.0.2.1, 192.0.2.2:5353", (("192.0.2.1", 53), ("192.0.2.2", 5353))),
        ("2001:db8::1 [2001:db8::2] [2001:db8::3]:54", (("2001:db8::1", 53), ("2001:db8::2", 53), ("2001:db8::3", 54))),
    ],
)
def test_name_servers_of_the_settings(text, servers):
    assert values_of(nameservers=text).nameservers == servers


@pytest.mark.parametrize("text", ["ns.example.com", "192.0.2.1:x", "192.0.2.1:0", "[]", "[x]"])
def test_what_is_not_a_name_server_is_refused(text):
    with pytest.raises(ConfigError, match="nameservers"):
        values_of(nameservers=text)


def test_info():
    values = values_of(lookup_depth="3")
    assert CnameLookup(Below(), values, Chain(Table(), values)).info() == {"cname_lookup": {"lookup_depth": 3}}
