"""Caches that workers and hosts share the forgetting of."""

import logging
import os
import socket
import threading
from typing import NamedTuple

import pytest

from objstore.core.errors import ConfigError
from objstore.core.names import Name
from objstore.middleware.cache import GENERATIONS, LocalCache, filter_factory, generations
from objstore.web.context import RequestContext
from objstore.web.infos import AccountInfo, look_up
from objstore.web.responses import Response, call

LOGGER = logging.getLogger("test")


class Thing(NamedTuple):
    number: int
    words: tuple = ()
    more: dict = {}  # noqa: RUF012 - never changed


class Time:
    now = 100.0

    def __call__(self):
        return self.now


def test_what_was_set_is_got_until_it_expires():
    time = Time()
    cache = LocalCache(generations(LOGGER), now=time)
    assert cache.get("k", Thing) is None
    cache.set("k", Thing(1), 5)
    assert cache.get("k", Thing) == Thing(1)
    time.now += 5
    assert cache.get("k", Thing) is None and len(cache) == 0


def test_the_least_recently_used_goes_first():
    cache = LocalCache(generations(LOGGER), entries=2)
    cache.set("a", Thing(1), 5)
    cache.set("b", Thing(2), 5)
    cache.get("a", Thing)
    cache.set("c", Thing(3), 5)
    assert [cache.get(key, Thing) is not None for key in "abc"] == [True, False, True]


def test_workers_that_share_a_table_forget_together():
    table = generations(LOGGER)
    one, two = LocalCache(table), LocalCache(table)
    for cache in (one, two):
        cache.set("/AUTH_t/cé\udc80", Thing(1), 60)
    two.delete("/AUTH_t/cé\udc80")
    assert one.get("/AUTH_t/cé\udc80", Thing) is two.get("/AUTH_t/cé\udc80", Thing) is None


def test_processes_that_name_the_same_file_forget_together(tmp_path):
    path = str(tmp_path / "generations")
    cache = LocalCache(generations(LOGGER, path))
    cache.set("k", Thing(1), 60)
    child = os.fork()
    if child == 0:
        try:
            LocalCache(generations(LOGGER, path)).delete("k")  # a table of its own over the same file
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert cache.get("k", Thing) is None


def test_a_forked_worker_shares_the_table_without_a_file():
    cache = LocalCache(generations(LOGGER))
    cache.set("k", Thing(1), 60)
    child = os.fork()
    if child == 0:
        try:
            cache.delete("k")
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert cache.get("k", Thing) is None


def test_a_value_looked_up_before_a_change_is_not_kept_after_it():
    table = generations(LOGGER)
    one, two = LocalCache(table), LocalCache(table)
    token = one.token("k")
    two.delete("k")
    one.set("k", Thing(1), 60, token)
    assert one.get("k", Thing) is None
    one.set("k", Thing(2), 60, one.token("k"))
    assert one.get("k", Thing) == Thing(2)


def test_a_shared_file_cut_short_means_misses_and_no_dead_worker(tmp_path):
    """A mapped table killed the process with SIGBUS."""
    path = str(tmp_path / "generations")
    cache = LocalCache(generations(LOGGER, path))
    cache.set("k", Thing(1), 60)
    os.truncate(path, 0)
    assert cache.get("k", Thing) is None
    cache.set("k", Thing(2), 60)
    assert cache.get("k", Thing) is None
    cache.delete("k")
    cache.set("k", Thing(3), 60)
    assert cache.get("k", Thing) == Thing(3)


def test_a_change_that_a_full_disk_hides_from_other_workers_is_logged(tmp_path, caplog):
    """The sparse file of a former version may have no block for the number yet."""
    table = generations(LOGGER, str(tmp_path / "generations"))
    full = os.open("/dev/full", os.O_RDWR)
    os.dup2(full, table._fd)
    os.close(full)
    cache = LocalCache(table)
    cache.set("k", Thing(1), 60)
    cache.delete("k")
    assert cache.get("k", Thing) is None
    assert "other workers" in caplog.text


def test_a_file_that_cannot_be_used_is_named():
    with pytest.raises(ConfigError, match="shared_file"):
        generations(LOGGER, "/dev/null/x")


def test_the_filter_gives_infos_their_ttl():
    made = filter_factory({}, info_ttl="9s", missing_ttl="1s")(Response(200))
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/v1/a"}
    call(made, environ)
    assert environ["objstore.cache"] is made.cache and (made.cache.info_ttl, made.cache.missing_ttl) == (9, 1)


def test_infos_are_looked_up_once():
    asked = []

    def head(context, name):
        asked.append(name)
        return 204, {"X-Account-Container-Count": "3"}

    cache = LocalCache(generations(LOGGER))
    for _ in range(2):
        context = RequestContext("", cache)
        assert look_up(context, Name("a"), AccountInfo, head).container_count == 3
    assert asked == [Name("a")]


class Memcached:
    """A server that speaks what the cache uses of memcached's text protocol."""

    def __init__(self):
        self.items = {}
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection, connection.makefile("rwb") as file:
            for line in file:
                command, *words = line.split()
                if command in (b"get", b"gets"):
                    for key in words:
                        if key in self.items:
                            file.write(b"VALUE %s 0 %d\r\n%s\r\n" % (key, len(self.items[key]), self.items[key]))
                    file.write(b"END\r\n")
                elif command == b"set":
                    self.items[words[0]] = file.read(int(words[3]))
                    file.readline()
                    if b"noreply" not in words:
                        file.write(b"STORED\r\n")
                elif command == b"delete":
                    gone = self.items.pop(words[0], None) is None
                    if b"noreply" not in words:
                        file.write(b"NOT_FOUND\r\n" if gone else b"DELETED\r\n")
                file.flush()


@pytest.fixture
def server():
    made = Memcached()
    yield made
    made.listener.close()


def memcached_at(address):
    pytest.importorskip("pymemcache")
    return filter_factory({"log_to": "none"}, memcache_servers=address, memcache_timeout="500ms")(Response(200)).cache


INFO = AccountInfo(204, 1, 2, 3, {"color": "r\udce9d"}, {})


def test_hosts_share_a_memcached(server):
    one, two = memcached_at(server.address), memcached_at(server.address)
    assert one.get("k", AccountInfo) is None
    one.set("k", INFO, 60, one.token("k"))
    assert two.get("k", AccountInfo) == INFO
    two.delete("k")
    assert one.get("k", AccountInfo) is None


def test_a_value_looked_up_before_a_change_on_another_host_is_not_kept(server):
    one, two = memcached_at(server.address), memcached_at(server.address)
    token = one.token("k")
    two.delete("k")
    one.set("k", INFO, 60, token)
    assert one.get("k", AccountInfo) is two.get("k", AccountInfo) is None


def test_a_dead_memcached_means_misses():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    cache = memcached_at(address)
    cache.set("k", INFO, 60)
    cache.delete("k")
    assert cache.get("k", AccountInfo) is None and cache.token("k") == 0


def test_what_another_version_wrote_is_a_miss(server):
    cache = memcached_at(server.address)
    cache.set("k", Thing(1), 60)
    assert cache.get("k", AccountInfo) is None


def test_a_wrong_server_is_named():
    pytest.importorskip("pymemcache")
    with pytest.raises(ConfigError, match="localhost"):
        filter_factory({"log_to": "none"}, memcache_servers="localhost")


@pytest.mark.parametrize("by_file", [True, False])
def test_a_request_that_begins_after_a_change_sees_it(by_file, tmp_path):
    table = generations(LOGGER, str(tmp_path / "generations") if by_file else "")
    one, two = LocalCache(table), LocalCache(table)
    one.set("k", Thing(1), 60)
    before = one.state()
    assert one.get("k", Thing, before) == one.get("k", Thing, before) == Thing(1)
    two.delete("another")
    assert one.get("k", Thing, one.state()) == Thing(1)
    two.delete("k")
    assert one.get("k", Thing, one.state()) is None


def test_entries_are_checked_one_by_one_while_the_state_cannot_be_read(tmp_path):
    path = str(tmp_path / "generations")
    one, two = (LocalCache(generations(LOGGER, path)) for _ in range(2))
    one.set("k", Thing(1), 60)
    os.truncate(path, 8 * GENERATIONS)
    assert one.state() is None
    assert one.get("k", Thing, one.state()) == Thing(1)
    two.delete("k")
    assert one.get("k", Thing, one.state()) is None
