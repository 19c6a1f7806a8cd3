"""The settings of bulk requests, by Swift's names where Swift has them."""

from __future__ import annotations

from dataclasses import dataclass

from objstore.runtime.settings import duration, natural, positive, setting, size, table


def _interval(text: str) -> float:
    seconds = duration(text)
    if not seconds:
        raise ValueError("is not more than 0")
    return seconds


@dataclass(frozen=True)
class BulkSettings:
    """Settings of the filter."""

    max_containers_per_extraction: int = setting(
        positive, "10000", "maximum number of containers that one extraction stores objects in"
    )
    max_failed_extractions: int = setting(positive, "1000", "an extraction ends after this number of errors")
    max_deletes_per_request: int = setting(positive, "10000", "maximum number of names in one bulk deletion")
    max_failed_deletes: int = setting(positive, "1000", "a bulk deletion ends after this number of errors")
    yield_frequency: float = setting(_interval, "10", "interval of the spaces that keep the answer's connection open")
    delete_concurrency: int = setting(positive, "16", "number of names of one request that are deleted at once")
    delete_container_retry_count: int = setting(
        natural, "0", "number of retries for a container that is not empty, after 250 ms and twice as long each time"
    )
    extract_concurrency: int = setting(positive, "16", "number of objects of one archive that are stored at once")
    max_extended_header: int = setting(
        size, "1M", "maximum size of an extended header (long name, PAX records) or sparse map in an archive"
    )
    max_expansion: int = setting(
        natural, "200", "maximum bytes extracted for each byte received, after the first 64 MiB; 0: no limit"
    )
    decompression_memory: int = setting(
        size, "72M", "maximum memory of the decompressor of one request (xz -9 needs 65M)"
    )


SETTINGS = table(BulkSettings)
