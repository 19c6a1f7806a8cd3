"""Hosts that name a container or an account: `container.AUTH-account.example.com/object` (Swift documentation).

The names in the host become the path `/v1/AUTH_account/container/object`; the Host header stays. A request keeps its
path if its host

- is not below one of the storage domains, is the domain itself, or is an address;
- names an account without a known reseller prefix, and there is no default one;
- names a bucket of the S3 API: what is below a domain of the filter `s3` is left to that.

Names of hosts have no case, so a name with capitals means the container of exactly this name if it exists, else the one
in small letters. In a host the reseller prefix ends with `-` or `_`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from objstore.core.errors import ConfigError, ObjstoreError
from objstore.core.names import Name
from objstore.layers.interface import ObjectLayer
from objstore.runtime import settings
from objstore.runtime.settings import boolean, setting, table, words
from objstore.web import bucket_hosts, features, hosts, pipeline
from objstore.web.context import RequestContext
from objstore.web.requests import Environ, StartResponse, WsgiApp
from objstore.web.responses import error


def _prefix(text: str) -> str:
    """Parse a reseller prefix, with or without its `_`; `''` names the empty one."""
    return text.strip().strip("'\"").removesuffix("_")


def _prefixes(text: str) -> tuple[str, ...]:
    found = {_prefix(item) for item in words(text)}
    return tuple(sorted(found, key=lambda prefix: (-len(prefix), prefix)))


def _root(text: str) -> str:
    return text.strip().strip("/")


@dataclass(frozen=True)
class DomainRemapSettings:
    """Settings of the filter."""

    storage_domain: tuple[str, ...] = setting(
        lambda text: hosts.domains(words(text)), "example.com", "domains whose subdomains are accounts and containers"
    )
    path_root: str = setting(_root, "v1", "first element of the paths that hosts are translated to")
    reseller_prefixes: tuple[str, ...] = setting(_prefixes, "AUTH", "prefixes of account names, in their right case")
    default_reseller_prefix: str = setting(
        _prefix, "", "prefix of accounts whose name in a host has none; empty: such hosts are not translated"
    )
    mangle_client_paths: bool = setting(
        boolean, "no", "take a path that begins with path_root for one of the API, as Swift did up to version 2.7"
    )


SETTINGS = table(DomainRemapSettings)


class BadDomain(Exception):
    """A host below a storage domain that cannot name a container or an account."""


class HostNames(NamedTuple):
    """The names in a host. prefix, project: the two parts of the account's name, the reseller prefix with its `_`.

    container: None for the host of an account.
    """

    prefix: str
    project: str
    container: str | None = None

    @property
    def lowered(self) -> HostNames:
        """The names in small letters, but for the reseller prefix."""
        return HostNames(self.prefix, self.project.lower(), self.container and self.container.lower())

    @property
    def name(self) -> Name:
        return Name(self.prefix + self.project, self.container)


def names_in(labels: str, values: DomainRemapSettings) -> HostNames | None:
    """Return the names in the part of a host that is below the storage domain; None if it is not to be translated.

    Raises BadDomain.
    """
    parts = labels.split(".")
    if len(parts) > 2 or not all(parts):
        raise BadDomain
    account = _account(parts[-1], values)
    return None if account is None else HostNames(*account, parts[0] if len(parts) == 2 else None)


def _account(label: str, values: DomainRemapSettings) -> tuple[str, str] | None:
    """Return the parts of the account that a label names; None if there is no prefix for it."""
    for prefix in values.reseller_prefixes:
        if not prefix:
            return "", label
        start, project = label[: len(prefix) + 1], label[len(prefix) + 1 :]
        if project and start[:-1].lower() == prefix.lower() and start[-1] in "-_":
            return f"{prefix}_", project
    return (f"{values.default_reseller_prefix}_", label) if values.default_reseller_prefix else None


def path_of(names: HostNames, path: str, values: DomainRemapSettings) -> str:
    """Return the path of the API for a path on a host with these names."""
    root = f"/{values.path_root}"
    if values.mangle_client_paths and (path == root or path.startswith(root + "/")):
        path = path[len(root) :]
    return f"{root}{names.name.path}{path}"


class DomainRemap:
    """The filter. Raises ConfigError if all hosts below a storage domain are buckets of the S3 API."""

    def __init__(self, app: WsgiApp, values: DomainRemapSettings) -> None:
        self.app = app
        self._values = values
        self._layer: ObjectLayer = pipeline.find(app, "layer")
        self._bucket_domains = bucket_hosts.domains(app)
        for domain in values.storage_domain:
            if hosts.below(domain, self._bucket_domains) is not None:
                raise ConfigError(
                    f"filter:domain_remap: storage_domain {domain} belongs to the domains of filter:s3, whose"
                    " subdomains are buckets; use another domain"
                )
        features.show(app, self.info())

    def info(self) -> dict[str, dict[str, object]]:
        return {"domain_remap": {"default_reseller_prefix": self._values.default_reseller_prefix or None}}

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        header = environ.get("HTTP_HOST", "")
        labels = hosts.below(hosts.host_name(header), self._values.storage_domain)
        if not labels or environ["PATH_INFO"][:1] != "/" or self._names_bucket(header):
            return self.app(environ, start_response)
        try:
            names = names_in(labels, self._values)
        except BadDomain:
            return error(400, "Bad domain in host header")(environ, start_response)
        if names is not None:
            names = self._existing(environ, names)
            path = environ["PATH_INFO"] = path_of(names, environ["PATH_INFO"], self._values)
            depth = min(path.rstrip("/").count("/"), 4) - 2
            environ["objstore.kind"] = ("account", "container", "object")[depth]
        return self.app(environ, start_response)

    def _names_bucket(self, header: str) -> bool:
        return bool(self._bucket_domains) and hosts.below(hosts.host_name(header), self._bucket_domains) is not None

    def _existing(self, environ: Environ, names: HostNames) -> HostNames:
        """Return the names as they are written, if they have capitals and exist so; else in small letters."""
        lowered = names.lowered
        if names == lowered:
            return names
        context = RequestContext.of(environ)
        try:
            if names.container is None:
                exists = self._layer.account_info(context, names.name.account).exists
            else:
                exists = self._layer.container_info(context, names.name).exists
        except ObjstoreError:
            exists = False
        return names if exists else lowered


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WsgiApp], DomainRemap]:
    values = settings.read(DomainRemapSettings, {**global_conf, **local_conf}, "filter:domain_remap")
    return lambda app: DomainRemap(app, values)
