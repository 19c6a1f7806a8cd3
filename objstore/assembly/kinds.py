"""The four servers, and the settings of a server's own process. Used by the servers, samples and checks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from objstore.assembly.daemons import DUTIES
from objstore.assembly.surroundings import DAEMON_SETTINGS, TOLD_SETTINGS
from objstore.http.server import SERVER_SETTINGS
from objstore.runtime import log, owners, settings
from objstore.runtime.settings import Setting


class Kind(NamedTuple):
    """port: the default. filters: of the usual pipeline, in order. daemons: those that run beside the server."""

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


_STORAGE_FILTERS = ("healthcheck", "recon", "metrics", "storage_logging")
PROXY_FILTERS = (
    "catch_errors",
    "gatekeeper",
    "healthcheck",
    "metrics",
    "proxy_logging",
    "cache",
    "info",
    "s3",
    "listing_formats",
    "tempauth",
    "copy",
)
KINDS = {
    "proxy": Kind("proxy", 8080, PROXY_FILTERS),
    "account": Kind("account", 6202, _STORAGE_FILTERS, ("account-auditor", "account-reaper", "account-replicator")),
    "container": Kind(
        "container",
        6201,
        _STORAGE_FILTERS,
        (
            "container-auditor",
            "container-reconciler",
            "container-replicator",
            "container-updater",
            "dangling-rows",
            "object-expirer",
        ),
    ),
    "object": Kind(
        "object",
        6200,
        _STORAGE_FILTERS,
        ("dark-objects", "drive-audit", "object-auditor", "object-replicator", "object-updater"),
    ),
}


def port(text: str) -> int:
    number = int(text)
    if not 0 <= number < 65536:
        raise ValueError("is not a port")
    return number


def workers(text: str) -> int:
    """0 for `auto`."""
    return 0 if text.strip() == "auto" else settings.positive(text)


def daemon_choice(all_names: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    """Reads `yes`, `no`, or some of these names."""

    def cast(text: str) -> tuple[str, ...]:
        names = settings.words(text)
        if names and all(name in all_names for name in names):
            return names
        try:
            return all_names if settings.boolean(text) else ()
        except ValueError:
            raise ValueError(f"is none of yes, no, nor names out of {', '.join(all_names)}") from None

    return cast


def chosen_daemons(names: tuple[str, ...]) -> Setting:
    """Which of the daemons of these names are to run."""
    return Setting("daemons", daemon_choice(names), "yes", f"run {', '.join(names)} too; yes, no, or some of the names")


def daemon_settings(names: Iterable[str]) -> settings.Table:
    """What daemons are told, beside what the servers are whose devices they work on."""
    names = tuple(names)
    common = DAEMON_SETTINGS if names else ()
    return (*common, *(setting for name in names for setting in DUTIES[name].settings))


# The clients of storage servers are the store's own: they are not limited, and as slow as those of the proxies.
_OF_STORAGE = {"max_guests_per_address": "0", "min_rate": "0", "request_timeout": "7d"}


def server_settings(kind: Kind) -> settings.Table:
    """SERVER_SETTINGS with the defaults of this kind of server."""
    own = {} if kind.name == "proxy" else _OF_STORAGE
    return tuple(setting._replace(default=own.get(setting.name, setting.default)) for setting in SERVER_SETTINGS)


def process_settings(kind: Kind) -> settings.Table:
    """What `[DEFAULT]` says of a server's process."""
    return (
        Setting("bind_ip", str.strip, "0.0.0.0", "address to listen on"),
        Setting("bind_port", port, str(kind.port), "port to listen on"),
        Setting("workers", workers, "auto", "processes; auto: one a core"),
        *owners.SETTINGS,
        *([chosen_daemons(kind.daemons)] if kind.daemons else []),
        *daemon_settings(kind.daemons),
        *(setting._replace(default=kind.server) if setting.name == "log_name" else setting for setting in log.SETTINGS),
        *(() if kind.name == "proxy" else TOLD_SETTINGS),
        *server_settings(kind),
    )
