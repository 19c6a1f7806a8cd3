"""environ['objstore.cache']: recent look-ups, invalidated in all workers when they change.

Each worker has a `LocalCache`. The workers of a host invalidate entries through a table of *generations*, 64-bit
numbers that all of them read: each key has a place in it by its hash, deleting a key writes another number there, and
an entry is valid only while its number is unchanged. Numbers are random, not counted up, so that two workers that write
at once cannot restore an old one. Keys that share a place are invalidated together, which costs only a look-up. The
last number of the table changes with every other one: while it is unchanged, as from request to request mostly, one
look answers for all entries that were checked before.

The table is a file, read and written by system calls. It is not mapped into memory: on a full or failing disk a mapped
page kills the process with SIGBUS, while a failed read is a miss and a failed write a log line.

`MemcachedCache` is shared by hosts. It stores generations beside the values. A memcached that is slow or dead causes
misses, not errors.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import mmap
import os
import random
import struct
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from objstore.core.errors import ConfigError
from objstore.runtime import log, settings
from objstore.runtime.rate_file import RatePace
from objstore.runtime.seldom import Seldom
from objstore.runtime.settings import duration, positive, setting, table, words
from objstore.runtime.threads import ThreadPool
from objstore.web import infos
from objstore.web.requests import Environ, StartResponse, WsgiApp


@dataclass(frozen=True)
class CacheSettings:
    """Settings of the filter."""

    info_ttl: float = setting(duration, "60s", "time to cache account and container infos")
    missing_ttl: float = setting(duration, "3s", "time to cache a negative look-up")
    cache_entries: int = setting(positive, "100000", "maximum number of entries in each worker's cache")
    shared_file: str = setting(
        str.strip, "", "file through which the workers of a host invalidate their caches; created if missing"
    )
    memcache_servers: tuple[str, ...] = setting(
        words, "", "host:port of memcached servers; empty: one cache per worker"
    )
    memcache_connect_timeout: float = setting(duration, "300ms", "timeout to connect to memcached")
    memcache_timeout: float = setting(duration, "1s", "timeout of an answer of memcached")
    memcache_threads: int = setting(positive, "4", "maximum number of concurrent calls to memcached per worker")


SETTINGS = table(CacheSettings)

GENERATIONS = 65_536  # places of keys
_CHANGES = GENERATIONS  # the place of a further number, which every change replaces
_NUMBER = struct.Struct("=Q")
_LONGEST = 86_400  # expiry of values in memcached, in seconds; generations live longer


class GenerationFile:
    """The table of generations of all processes that open the same file. Raises ConfigError if it cannot be opened.

    Each number is 8 bytes, read and written as a whole, so that no reader sees half of a change.
    """

    def __init__(self, path: str, logger: logging.Logger) -> None:
        self._path = path
        self._logger = logger
        self._failures = Seldom()
        size = (GENERATIONS + 1) * _NUMBER.size
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if os.fstat(self._fd).st_size < size:
                os.ftruncate(self._fd, size)
        except OSError as error:
            raise ConfigError(f"shared_file = {path}: {error.strerror}") from None
        with contextlib.suppress(OSError):  # a full disk: holes read as zeros, and only changes fail
            os.posix_fallocate(self._fd, 0, size)

    def __getitem__(self, place: int) -> int | None:
        """Return the number at a place; None if it cannot be read."""
        try:
            return int(_NUMBER.unpack(os.pread(self._fd, _NUMBER.size, place * _NUMBER.size))[0])
        except (OSError, struct.error):
            return None

    def __setitem__(self, place: int, number: int) -> None:
        try:
            os.pwrite(self._fd, _NUMBER.pack(number), place * _NUMBER.size)
        except OSError as error:
            if self._failures.is_due(self._path):
                self._logger.warning(
                    "%s: %s: other workers see changes only when their cached entries expire", self._path, error
                )


def generations(logger: logging.Logger, path: str = "") -> Table:
    """Open a table of generations: of all processes that name the same file, or, without one, of this process and those
    it forks. Raises ConfigError if the file cannot be used."""
    if path:
        return GenerationFile(path, logger)
    return memoryview(mmap.mmap(-1, (GENERATIONS + 1) * _NUMBER.size)).cast("Q")


Table = GenerationFile | memoryview


class _Entry:
    """An entry. state: in which it was known to be valid."""

    __slots__ = ("expires", "generation", "place", "state", "value")

    def __init__(self, value: object, expires: float, place: int, generation: int) -> None:
        self.value = value
        self.expires = expires
        self.place = place
        self.generation = generation
        self.state: object = None


class LocalCache:
    """The cache of one worker, `web.infos.CacheFilter`. The least recently used entry is dropped first."""

    info_ttl = infos.TTL
    missing_ttl = infos.TTL_MISSING

    def __init__(self, table: Table, entries: int = 100_000, now: Callable[[], float] = time.monotonic) -> None:
        self._table = table
        self._most = entries
        self._now = now
        self._entries: OrderedDict[str, _Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def _place(self, key: str) -> int:
        # Not hash(): every process must find the same place.
        return zlib.crc32(key.encode("utf-8", "surrogateescape")) % GENERATIONS

    def state(self) -> object:
        return self._table[_CHANGES]

    def get(self, key: str, kind: type[object], state: object = None) -> object:
        entry = self._entries.get(key)
        if entry is None:
            return None
        is_valid = state is not None and entry.state == state  # nothing was changed since it was checked
        if (not is_valid and self._table[entry.place] != entry.generation) or entry.expires <= self._now():
            del self._entries[key]
            return None
        entry.state = state
        self._entries.move_to_end(key)
        return entry.value

    def token(self, key: str) -> object:
        return self._table[self._place(key)]

    def set(self, key: str, value: object, ttl: float, token: object = None) -> None:
        place = self._place(key)
        generation = self._table[place]
        if generation is None or (token is not None and token != generation):
            return
        self._entries[key] = _Entry(value, self._now() + ttl, place, generation)
        self._entries.move_to_end(key)
        if len(self._entries) > self._most:
            self._entries.popitem(last=False)

    def delete(self, key: str) -> None:
        self._entries.pop(key, None)
        self._table[self._place(key)] = random.getrandbits(64)
        self._table[_CHANGES] = random.getrandbits(64)  # last: see `get`


class MemcachedCache:
    """A cache in memcached, `web.infos.CacheFilter`. client: of pymemcache, or with its methods.

    Calls run in threads, as they would stall the event loop. A generation that memcached has evicted counts as 0, which
    invalidates all values of other generations.
    """

    info_ttl = infos.TTL
    missing_ttl = infos.TTL_MISSING

    def __init__(
        self, client: Any, threads: ThreadPool, logger: logging.Logger, clock: Callable[[], float] = time.time
    ) -> None:
        self._client = client
        self._threads = threads
        self._logger = logger
        self._clock = clock

    def state(self) -> object:
        return None

    def get(self, key: str, kind: type[Any], state: object = None) -> object:
        value_key, generation_key = _memcached_keys(key)
        found = self._call(self._client.get_many, [value_key, generation_key]) or {}
        raw = found.get(value_key)
        if raw is None:
            return None
        try:
            generation, fields = json.loads(raw)
            if generation == _number(found.get(generation_key)):
                return kind(**fields)
        except (ValueError, TypeError):
            pass  # written by another version
        return None

    def token(self, key: str) -> object:
        return _number(self._call(self._client.get, _memcached_keys(key)[1]))

    def set(self, key: str, value: Any, ttl: float, token: object = None) -> None:
        generation = self.token(key) if token is None else token
        raw = json.dumps([generation, value._asdict()], default=dict).encode()
        self._call(self._client.set, _memcached_keys(key)[0], raw, max(1, min(int(ttl), _LONGEST)))

    def delete(self, key: str) -> None:
        value_key, generation_key = _memcached_keys(key)
        new = random.getrandbits(63) | 1
        if self._call(self._client.set, generation_key, b"%d" % new, 2 * _LONGEST) is None:
            self._logger.warning("memcached does not answer: other workers see a change of %r late", key)
        self._call(self._client.delete, value_key)

    def wait_for(self, key: str, pace: RatePace, unit: int) -> float | None:
        """Count an event of a key for all hosts; return the seconds it must wait, None if it is refused.

        The times are of the hosts' clocks, in 1/`unit` seconds. Without an answer of memcached nothing waits.
        """
        name, step = f"{_memcached_keys(key)[0]}/rate", max(1, round(unit / pace.rate))
        now = int(self._clock() * unit)
        expire = max(60, int(pace.max_wait + pace.buffer) + 1)
        due: int | None = self._call(self._client.incr, name, step)
        if due is None:  # missing, or no answer
            self._call(self._client.set, name, b"%d" % (now + step), expire)
            return 0.0
        if due - step < now - pace.buffer * unit:
            self._call(self._client.set, name, b"%d" % (now + step), expire)
            return 0.0
        wait = float(max(0, due - step - now) / unit)
        if wait > pace.max_wait:
            self._call(self._client.decr, name, step)
            return None
        if wait:
            self._call(self._client.touch, name, expire)
        return wait

    def _call(self, method: Callable[..., Any], *args: object) -> Any:
        """Return the result, None if memcached fails."""
        try:
            return self._threads.run(method, *args)
        except Exception as error:
            self._logger.debug("memcached: %s: %s", type(error).__name__, error)
            return None


def _memcached_keys(key: str) -> tuple[str, str]:
    """Return the keys of the value and of its generation; memcached's keys are short and without spaces."""
    digest = hashlib.md5(key.encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()
    return f"objstore/v/{digest}", f"objstore/g/{digest}"


def _number(raw: bytes | None) -> int:
    return int(raw) if raw else 0


class CacheFilter:
    """The filter."""

    def __init__(self, app: WsgiApp, *, cache: infos.Cache) -> None:
        self.app = app
        self.cache = cache

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        environ["objstore.cache"] = self.cache
        return self.app(environ, start_response)


def memcached(values: CacheSettings, logger: logging.Logger) -> MemcachedCache:
    """A cache shared by hosts; raises ConfigError if pymemcache is not installed."""
    try:
        from pymemcache.client.hash import HashClient  # an optional extra
    except ImportError:
        raise ConfigError("memcache_servers: pymemcache is not installed; see the extra `memcached`") from None
    client = HashClient(
        [_server(text) for text in values.memcache_servers],
        connect_timeout=values.memcache_connect_timeout,
        timeout=values.memcache_timeout,
        use_pooling=True,
        max_pool_size=values.memcache_threads,
        no_delay=True,
        default_noreply=False,  # a change is complete only when memcached has it
        retry_attempts=1,
        dead_timeout=10,
    )
    return MemcachedCache(client, ThreadPool("memcached", values.memcache_threads), logger)


def _server(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit():
        raise ConfigError(f"memcache_servers = {text!r}: is not host:port")
    return host.strip("[]"), int(port)


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WsgiApp], CacheFilter]:
    conf = {**global_conf, **local_conf}
    values = settings.read(CacheSettings, conf, "filter:cache")
    made: LocalCache | MemcachedCache
    if values.memcache_servers:
        made = memcached(values, log.from_conf(conf))
    else:
        made = LocalCache(generations(log.from_conf(conf), values.shared_file), values.cache_entries)
    made.info_ttl = values.info_ttl
    made.missing_ttl = values.missing_ttl
    return lambda app: CacheFilter(app, cache=made)
