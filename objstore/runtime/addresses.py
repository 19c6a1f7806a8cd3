"""The addresses of this host, by which a daemon finds its own devices in a ring."""

from __future__ import annotations

import ipaddress
import socket

import psutil


def own_ips(bind_ip: str, named: str = "") -> frozenset[str]:
    """The addresses at which peers find this host.

    named: what the operator says, separated by commas or blanks, where rings name it by others. Else
    `bind_ip`; where that means every address, those of all interfaces.
    """
    addresses = named.replace(",", " ").split()
    if addresses:
        return frozenset(addresses)
    bound = bind_ip.strip("[]")
    if bound and not _is_any(bound):
        return frozenset({bound})
    families = (socket.AF_INET, socket.AF_INET6)
    return frozenset(
        address.address.partition("%")[0]
        for addresses in psutil.net_if_addrs().values()
        for address in addresses
        if address.family in families
    )


def _is_any(ip: str) -> bool:
    try:
        return ipaddress.ip_address(ip).is_unspecified
    except ValueError:
        return False
