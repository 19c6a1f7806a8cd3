"""Hosts outside of the storage domains, followed to one of them by CNAME records (Swift documentation: CNAME Lookup).

The owner of `www.example.org` makes it a CNAME of `container.AUTH-account.example.com`. A request for it gets that
host, which `domain_remap` understands. Hosts stay that are below a storage domain, below a domain of the S3 API,
addresses, or names without a dot, such as `localhost`.

Look-ups run in threads, as they would stall the event loop. A request waits for `lookup_timeout` at most, and if
`max_waiting_lookups` requests wait, further ones are answered 503. Results, also negative ones, go to the cache that
the `cache` filter provides, for as long as the records allow.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from objstore.core.errors import ConfigError
from objstore.runtime import settings
from objstore.runtime.settings import duration, positive, setting, table, words
from objstore.runtime.threads import ThreadPool
from objstore.web import bucket_hosts, features, hosts
from objstore.web.infos import Cache
from objstore.web.requests import Environ, StartResponse, WsgiApp
from objstore.web.responses import Response, error

NAMESERVER_PORT = 53


def _nameservers(text: str) -> tuple[tuple[str, int], ...]:
    """Parse addresses with or without a port: `192.0.2.1`, `192.0.2.1:5353`, `[2001:db8::1]:5353`."""
    found = []
    for item in words(text):
        address, port = (item, "") if item.count(":") > 1 and item[0] != "[" else (item, hosts.port_of(item)[1:])
        bare = address.removesuffix(f":{port}").strip("[]") if port else address.strip("[]")
        if hosts.host_name(f"[{bare}]" if ":" in bare else bare) or not bare:
            raise ValueError(f"{item} is not the address of a name server")
        found.append((bare, settings.positive(port) if port else NAMESERVER_PORT))
    return tuple(found)


@dataclass(frozen=True)
class CnameLookupSettings:
    """Settings of the filter."""

    storage_domain: tuple[str, ...] = setting(
        lambda text: hosts.domains(words(text)), "example.com", "domains of the store, to which records must lead"
    )
    lookup_depth: int = setting(positive, "1", "maximum number of CNAME records to follow for one host")
    nameservers: tuple[tuple[str, int], ...] = setting(
        _nameservers, "", "addresses of name servers, with or without a port; empty: those of the system"
    )
    lookup_timeout: float = setting(duration, "2s", "timeout of the look-up of a host, with all its records")
    lookup_threads: int = setting(positive, "4", "maximum number of concurrent look-ups per worker")
    max_waiting_lookups: int = setting(positive, "100", "maximum number of requests that wait for look-ups per worker")
    max_ttl: float = setting(
        duration, "1h", "maximum time to cache a result; the time of the records counts if it is shorter"
    )
    missing_ttl: float = setting(duration, "1m", "time to cache that a host does not lead to a storage domain")


SETTINGS = table(CnameLookupSettings)


class LookupFailed(Exception):
    """Name servers do not answer, or not with a result."""


class CnameRecord(NamedTuple):
    """A CNAME record. target: without the dot of the root. ttl: in seconds."""

    target: str
    ttl: float


class CnameSource(Protocol):
    """A source of records."""

    def cname(self, name: str, timeout: float) -> CnameRecord | None:
        """Return the record of a name, None if there is none; raises LookupFailed."""
        ...


class CnameTarget(NamedTuple):
    """The result for a host, as the cache keeps it. target: below a storage domain; '' if the host leads to none."""

    target: str


class DnsRecords:
    """The records of the domain name system.

    Raises ConfigError if dnspython is not installed, or no server is known.
    """

    def __init__(self, nameservers: Iterable[tuple[str, int]] = ()) -> None:
        try:
            import dns.exception
            import dns.resolver
        except ImportError:
            raise ConfigError("filter:cname_lookup: dnspython is not installed; see the extra `cname`") from None
        given = tuple(nameservers)
        try:
            self._resolver = dns.resolver.Resolver(configure=not given)
        except dns.exception.DNSException as failure:
            raise ConfigError(f"filter:cname_lookup: set nameservers: {failure}") from None
        if given:
            self._resolver.nameservers = [address for address, _ in given]
            self._resolver.nameserver_ports = dict(given)
        self._none: Any = (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer)
        self._failed: Any = (dns.exception.DNSException, OSError, ValueError)  # ValueError: not a name

    def cname(self, name: str, timeout: float) -> CnameRecord | None:
        try:
            answer = self._resolver.resolve(name + ".", "CNAME", lifetime=timeout, search=False)
        except self._none:
            return None
        except self._failed as failure:
            raise LookupFailed(f"{name}: {failure}") from None
        ttl = 0.0 if answer.rrset is None else float(answer.rrset.ttl)
        return CnameRecord(answer[0].target.to_text(omit_final_dot=True), ttl)


class Chain:
    """Follows records from a host to a storage domain. now: a clock, in seconds."""

    def __init__(
        self, records: CnameSource, values: CnameLookupSettings, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._records = records
        self._values = values
        self._now = now

    def end(self) -> float:
        """Return the time at which a look-up that begins now must be complete."""
        return self._now() + self._values.lookup_timeout

    def follow(self, name: str, end: float) -> tuple[CnameTarget, float]:
        """Return the outcome for a host and the time to cache it, in seconds. end: see `end`. Raises LookupFailed."""
        values = self._values
        ttl = values.max_ttl
        for _ in range(values.lookup_depth):
            remaining = end - self._now()
            if remaining <= 0:
                raise LookupFailed(f"{name}: the look-up takes longer than {values.lookup_timeout:g} s")
            record = self._records.cname(name, remaining)
            if record is None:
                break
            ttl = min(ttl, record.ttl)
            name = record.target
            if hosts.below(name, values.storage_domain) is not None:
                return CnameTarget(name), ttl
        return CnameTarget(""), values.missing_ttl


class CnameLookup:
    """The filter. chain: called in threads."""

    def __init__(self, app: WsgiApp, values: CnameLookupSettings, chain: Chain) -> None:
        self.app = app
        self._values = values
        self._chain = chain
        self._stay = hosts.domains((*values.storage_domain, *bucket_hosts.domains(app)))
        self._threads = ThreadPool("cname", values.lookup_threads)
        self._waiting = 0
        features.show(app, self.info())

    def info(self) -> dict[str, dict[str, object]]:
        return {"cname_lookup": {"lookup_depth": self._values.lookup_depth}}

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        header = environ.get("HTTP_HOST", "")
        name = hosts.host_name(header).lower()
        if "." in name and hosts.below(name, self._stay) is None:
            refusal = self._rewrite(environ, header, name)
            if refusal is not None:
                return refusal(environ, start_response)
        return self.app(environ, start_response)

    def _rewrite(self, environ: Environ, header: str, name: str) -> Response | None:
        """Set the host that a name leads to, or return the refusal."""
        try:
            outcome = self._outcome(environ.get("objstore.cache"), name)
        except LookupFailed as failure:
            environ.setdefault("objstore.log_info", []).append("cname_lookup:failed")
            return error(503, f"Cannot look up the host: {failure}")
        if not outcome.target:
            return error(400, f"The host {name} does not lead to this store")
        environ["objstore.client_host"] = header
        environ["HTTP_HOST"] = outcome.target + hosts.port_of(header)
        return None

    def _outcome(self, cache: Cache | None, name: str) -> CnameTarget:
        """Raises LookupFailed."""
        key = f"cname:{name}"
        known: CnameTarget | None = None if cache is None else cache.get(key, CnameTarget)
        if known is not None:
            return known
        if self._waiting >= self._values.max_waiting_lookups:
            raise LookupFailed("too many requests wait for look-ups")
        self._waiting += 1
        try:
            outcome, ttl = self._threads.run(self._chain.follow, name, self._chain.end())
        finally:
            self._waiting -= 1
        if cache is not None and ttl > 0:
            cache.set(key, outcome, ttl)
        return outcome


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WsgiApp], CnameLookup]:
    values = settings.read(CnameLookupSettings, {**global_conf, **local_conf}, "filter:cname_lookup")
    chain = Chain(DnsRecords(values.nameservers), values)
    return lambda app: CnameLookup(app, values, chain)
