"""The four servers, and the settings of a server's own process. Used by the servers, samples and checks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from objstore.assembly.daemons import DUTIES
from objstore.assembly.surroundings import DAEMON_SETTINGS, TOLD_SETTINGS
from objstore.http.server import ServerSettings
from objstore.runtime import settings
from objstore.runtime.log import LogSettings
from objstore.runtime.owners import OwnerSettings
from objstore.runtime.settings import Setting, Table, setting, table


class ServerKind(NamedTuple):
    """A kind of server. port: the default. filters: of the usual pipeline, in order. daemons: those that run beside the
    server."""

    name: str
    port: int
    filters: tuple[str, ...]
    daemons: tuple[str, ...] = ()

    @property
    def server(self) -> str:
        return f"{self.name}-server"

    @property
    def conf_name(self) -> str:
        return f"{self.name}-server.conf"

    @property
    def defaults(self) -> dict[str, str]:
        """Return settings with the defaults of this kind of server."""
        own = {"bind_port": str(self.port), "log_name": self.server}
        return own if self.name == "proxy" else own | _OF_STORAGE


# The clients of storage servers belong to the store: they are not limited, and may be as slow as the proxies' clients.
_OF_STORAGE = {"max_guests_per_address": "0", "min_rate": "0", "request_timeout": "7d"}
_STORAGE_FILTERS = ("healthcheck", "recon", "metrics", "storage_logging")
PROXY_FILTERS = (
    "catch_errors",
    "gatekeeper",
    "healthcheck",
    "metrics",
    "proxy_logging",
    "cache",
    "info",
    "container_sync",
    "s3",
    "tempurl",
    "formpost",
    "listing_formats",
    "tempauth",
    "bulk",
    "staticweb",
    "slo",
)
KINDS = {
    "proxy": ServerKind("proxy", 8080, PROXY_FILTERS),
    "account": ServerKind(
        "account", 6202, _STORAGE_FILTERS, ("account-auditor", "account-reaper", "account-replicator")
    ),
    "container": ServerKind(
        "container",
        6201,
        _STORAGE_FILTERS,
        (
            "container-auditor",
            "container-reconciler",
            "container-replicator",
            "container-sync",
            "container-updater",
            "dangling-rows",
            "object-expirer",
        ),
    ),
    "object": ServerKind(
        "object",
        6200,
        _STORAGE_FILTERS,
        (
            "dark-objects",
            "drive-audit",
            "object-auditor",
            "object-compactor",
            "object-packer",
            "object-replicator",
            "object-updater",
        ),
    ),
}


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number < 65536:
        raise ValueError("is not a port")
    return number


def _workers(text: str) -> int:
    """Parse a number of workers; 0 for `auto`."""
    return 0 if text.strip() == "auto" else settings.positive(text)


@dataclass(frozen=True)
class ProcessSettings:
    """The address and the number of processes of a server."""

    bind_ip: str = setting(str.strip, "0.0.0.0", "address to listen on")
    bind_port: int = setting(_port, "0", "port to listen on")
    workers: int = setting(_workers, "auto", "number of worker processes; auto: one per core")


def daemon_choice(all_names: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    """Return a parser of `yes`, `no`, or some of these names."""

    def cast(text: str) -> tuple[str, ...]:
        names = settings.words(text)
        if names and all(name in all_names for name in names):
            return names
        try:
            return all_names if settings.boolean(text) else ()
        except ValueError:
            raise ValueError(f"is neither yes, no, nor names out of {', '.join(all_names)}") from None

    return cast


def chosen_daemons(names: tuple[str, ...]) -> Setting[tuple[str, ...]]:
    """Return the names of the daemons to run."""
    return Setting("daemons", daemon_choice(names), "yes", f"run {', '.join(names)} too: yes, no, or some of the names")


def daemon_settings(names: Iterable[str]) -> Table:
    """Return the settings of daemons, in addition to those of the servers whose devices they work on."""
    names = tuple(names)
    common = DAEMON_SETTINGS if names else ()
    return (*common, *(setting for name in names for setting in DUTIES[name].settings))


def process_settings(kind: ServerKind) -> Table:
    """Return the settings of a server's process in `[DEFAULT]`."""
    found = (
        *table(ProcessSettings),
        *table(OwnerSettings),
        *([chosen_daemons(kind.daemons)] if kind.daemons else []),
        *daemon_settings(kind.daemons),
        *table(LogSettings),
        *(() if kind.name == "proxy" else TOLD_SETTINGS),
        *table(ServerSettings),
    )
    return settings.with_defaults(found, kind.defaults)
