"""The host of a request, as its Host header names it (RFC 9110, 7.2)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache


def host_name(header: str) -> str:
    """Return the name in a Host header, without its port and the dot of the root; '' for an address and for nothing.

    Letters keep their case, which means nothing in names of hosts.
    """
    if header[:1] == "[":
        return ""
    name = header.partition(":")[0].removesuffix(".")
    return "" if _is_address(name) else name


def port_of(header: str) -> str:
    """Return the port in a Host header with its colon, '' if there is none."""
    name, colon, port = header.rpartition(":")
    return colon + port if colon and "]" not in port and ":" not in name.partition("]")[2] else ""


def domains(texts: Iterable[str]) -> tuple[str, ...]:
    """Return names of domains in lower case without dots around them, the longest first."""
    names = {text.lower().strip(".") for text in texts}
    return tuple(sorted(filter(None, names), key=lambda name: (-len(name), name)))


def below(name: str, among: Iterable[str]) -> str | None:
    """Return what stands before a domain in a name: '' for the domain itself; None for a name outside of all.

    among: domains as `domains` returns them.
    """
    lowered = name.lower()
    for domain in among:
        if lowered == domain:
            return ""
        if lowered.endswith("." + domain):
            return name[: -len(domain) - 1]
    return None


@lru_cache(maxsize=1024)  # clients use the same few, and the exception costs 10 µs
def _is_address(name: str) -> bool:
    if not name[-1:].isdigit():  # no address: most names end here, without the cost of an exception
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
