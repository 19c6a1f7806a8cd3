"""Settings of the databases of a device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from objstore.runtime.settings import Setting, Table, choice, duration, positive, read, size


class DatabaseSettings(NamedTuple):
    """lock_timeout in seconds; reserve in bytes; checkpoint_pages of 4 KiB; patience: see `runtime.threads`."""

    synchronous: str = "full"
    lock_timeout: float = 10.0
    reserve: int = 0
    open_databases: int = 64
    readers: int = 4
    writers: int = 4
    checkpoint_pages: int = 1000
    patience: float = 0.0

    @classmethod
    def read(cls, section: Mapping[str, str], where: str = "") -> DatabaseSettings:
        """From the text of a section; raises ConfigError."""
        return cls(**vars(read(SETTINGS, section, where)))


SETTINGS: Table = (
    Setting("synchronous", choice("full", "normal", "off"), "full",
            "full: a row acknowledged survives a power cut; normal: a crash of the process only"),
    Setting("lock_timeout", duration, "10s", "how long to wait while others write to the same database"),
    Setting("reserve", size, "0", "free space of the device that databases must not use"),
    Setting("open_databases", positive, "64", "idle connections that a process keeps, for each device and kind"),
    Setting("readers", positive, "4", "threads that read, for each device and kind"),
    Setting("writers", positive, "4", "threads that write, for each device and kind; one database has one"),
    Setting("checkpoint_pages", positive, "1000", "pages in the log after which they are moved into the database"),
)  # fmt: skip
