"""The realms of container synchronisation, from `container-sync-realms.conf` in the directory of the rings.

The format is that of Swift's file of this name: a section for each realm, with `key`, `key2` (accepted too, while keys
are replaced), and the URL of each cluster's API as `cluster_NAME`. All hosts of a cluster have the same file.
"""

from __future__ import annotations

import configparser
import logging
import os
import time
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from objstore.core.container_sync import SyncRealm
from objstore.core.errors import ConfigError

FILE_NAME = "container-sync-realms.conf"
_CLUSTER = "cluster_"


def load(path: str) -> dict[str, SyncRealm]:
    """Return the realms of a file by their name in upper case; none without the file. Raises ConfigError."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        with open(path, encoding="utf-8") as file:
            parser.read_file(file)
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, configparser.Error) as problem:
        raise ConfigError(f"{path}: {problem}") from None
    return {name.upper(): _realm(path, name, parser[name]) for name in parser.sections()}


def _realm(path: str, name: str, section: Mapping[str, str]) -> SyncRealm:
    keys = tuple(section[option] for option in ("key", "key2") if section.get(option))
    if not section.get("key"):
        raise ConfigError(f"{path}: [{name}] has no key")
    clusters = {}
    for option, url in section.items():
        if not option.startswith(_CLUSTER):
            continue
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ConfigError(f"{path}: [{name}] {option} = {url} is not a URL such as https://host/v1/")
        clusters[option.removeprefix(_CLUSTER).upper()] = url.rstrip("/") + "/"
    return SyncRealm(name, keys, clusters)


class SyncRealms:
    """The current realms; the file is read again when it has changed. interval: seconds between looks at it."""

    def __init__(
        self, path: str, logger: logging.Logger, interval: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = path
        self._logger = logger
        self._interval = interval
        self._monotonic = monotonic
        self._realms: Mapping[str, SyncRealm] = load(path)
        self._stamp = self._file_stamp()
        self._next_look = monotonic() + interval

    def get(self) -> Mapping[str, SyncRealm]:
        """Return the realms by their name in upper case. A file that has become bad is logged, and the last good one
        counts."""
        if self._monotonic() >= self._next_look:
            self._next_look = self._monotonic() + self._interval
            stamp = self._file_stamp()
            if stamp != self._stamp:
                self._stamp = stamp
                try:
                    self._realms = load(self._path)
                except ConfigError as problem:
                    self._logger.error("%s; the realms known before stay in use", problem)
        return self._realms

    def _file_stamp(self) -> tuple[int, int] | None:
        try:
            status = os.stat(self._path)
        except FileNotFoundError:
            return None
        return status.st_mtime_ns, status.st_ino
