"""Limits that clients meet, all of them settings; `/info` shows them under Swift's names."""

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
    "max_file_size": "largest object of one PUT, in bytes",
    "max_meta_name_length": "longest name of a metadata item, without its X-...-Meta- prefix",
    "max_meta_value_length": "longest value of a metadata item, in bytes",
    "max_meta_count": "most metadata items of an account, container or object",
    "max_meta_overall_size": "names and values of all metadata items together, in bytes",
    "max_header_size": "longest header line, in bytes",
    "max_object_name_length": "longest object name, in bytes of UTF-8",
    "max_container_name_length": "longest container name, in bytes of UTF-8",
    "max_account_name_length": "longest account name, in bytes of UTF-8",
    "container_listing_limit": "most rows in one listing of a container",
    "account_listing_limit": "most rows in one listing of an account",
    "extra_header_count": "headers allowed in a request beyond what metadata needs",
}
