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
        "full: acknowledged rows survive a power cut; normal: they survive only a crash of the process",
    )
    lock_timeout: float = setting(duration, "10s", "timeout to wait for other writers of the same database")
    reserve: int = setting(size, "0", "free space on the device reserved from databases")
    open_databases: int = setting(
        positive, "256", "maximum number of idle connections of a process, per device and kind"
    )
    readers: int = setting(positive, "4", "number of reader threads per device and kind")
    writers: int = setting(positive, "4", "number of writer threads per device and kind; each database uses one")
    checkpoint_pages: int = setting(positive, "1000", "number of pages in the write-ahead log that starts a checkpoint")
    journal_interval: float = setting(
        duration, "5s", "interval at which journaled rows are merged into their container databases; 0: no journal"
    )
    journal_size: int = setting(size, "4MiB", "size of the journal that starts a merge before the interval is over")
    patience: float = 0.0
