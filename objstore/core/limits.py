"""Limits for clients, all of them settings; `/info` shows them under Swift's names."""

from __future__ import annotations

from typing import NamedTuple

GIB = 1 << 30


class Limits(NamedTuple):
    """Sizes are in bytes. The names are those of Swift's constraints."""

    max_file_size: int = 5 * GIB + 2
    max_meta_name_length: int = 128
    max_meta_value_length: int = 256
    max_meta_count: int = 90
    max_meta_overall_size: int = 4096
    max_header_size: int = 8192
    max_object_name_length: int = 1024
    max_container_name_length: int = 256
    max_account_name_length: int = 256
    container_listing_limit: int = 10_000
    account_listing_limit: int = 10_000
    extra_header_count: int = 0


DEFAULT_LIMITS = Limits()

# The settings table of `runtime.settings` for these is made from the names, the defaults
# and these helps.
LIMIT_HELP = {
    "max_file_size": "maximum size of an object, in bytes",
    "max_meta_name_length": "maximum length of a metadata name, without its X-...-Meta- prefix",
    "max_meta_value_length": "maximum length of a metadata value, in bytes",
    "max_meta_count": "maximum number of metadata items of an account, container or object",
    "max_meta_overall_size": "maximum total size of metadata names and values, in bytes",
    "max_header_size": "maximum length of a header line, in bytes",
    "max_object_name_length": "maximum length of an object name, in bytes of UTF-8",
    "max_container_name_length": "maximum length of a container name, in bytes of UTF-8",
    "max_account_name_length": "maximum length of an account name, in bytes of UTF-8",
    "container_listing_limit": "maximum number of rows in one container listing",
    "account_listing_limit": "maximum number of rows in one account listing",
    "extra_header_count": "additional headers allowed in a request beside metadata",
}
