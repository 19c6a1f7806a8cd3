"""The settings of static large objects, by Swift's names."""

from __future__ import annotations

from dataclasses import dataclass

from objstore.runtime.settings import boolean, duration, positive, setting, size, table


def _interval(text: str) -> float:
    seconds = duration(text)
    if not seconds:
        raise ValueError("is not more than 0")
    return seconds


@dataclass(frozen=True)
class LargeObjectSettings:
    """Settings of the filter."""

    max_manifest_segments: int = setting(positive, "1000", "maximum number of segments of a manifest")
    max_manifest_size: int = setting(size, "8M", "maximum size of the document of a manifest")
    concurrency: int = setting(positive, "16", "number of segments of a new manifest that are checked at once")
    delete_concurrency: int = setting(positive, "16", "number of segments of a manifest that are deleted at once")
    yield_frequency: float = setting(
        _interval, "10", "interval of the spaces that keep the connection of a long answer open"
    )
    allow_async_delete: bool = setting(
        boolean, "true", "allow clients to delete a manifest at once and its segments later, by the expirer"
    )


SETTINGS = table(LargeObjectSettings)
MIN_SEGMENT_SIZE = 1  # bytes of a segment that count
