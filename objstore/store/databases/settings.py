"""Settings of the databases of a device."""

from __future__ import annotations

from dataclasses import dataclass

from objstore.runtime.settings import choice, duration, positive, setting, size


@dataclass(frozen=True)
class DatabaseSettings:
    """lock_timeout in seconds; reserve in bytes; checkpoint_pages of 4 KiB; patience: see `runtime.threads`."""

    synchronous: str = setting(
        choice("full", "normal", "off"),
        "full",
        "full: a row acknowledged survives a power cut; normal: a crash of the process only",
    )
    lock_timeout: float = setting(duration, "10s", "how long to wait while others write to the same database")
    reserve: int = setting(size, "0", "free space of the device that databases must not use")
    open_databases: int = setting(positive, "64", "idle connections that a process keeps, for each device and kind")
    readers: int = setting(positive, "4", "threads that read, for each device and kind")
    writers: int = setting(positive, "4", "threads that write, for each device and kind; one database has one")
    checkpoint_pages: int = setting(positive, "1000", "pages in the log after which they are moved into the database")
    patience: float = 0.0
