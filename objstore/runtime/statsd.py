"""Counters and timings to a statsd server: one UDP datagram each, never waited for.

The protocol is a line: `<name>:<value>|<c, ms or g>[|@<sample rate>]`.
"""

from __future__ import annotations

import logging
import random
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from objstore.runtime.settings import setting


def _rate(text: str) -> float:
    rate = float(text)
    if not 0 < rate <= 1:
        raise ValueError("is not above 0 and up to 1")
    return rate


def _port(text: str) -> int:
    number = int(text)
    if not 0 < number < 65536:
        raise ValueError("is not a port")
    return number


@dataclass(frozen=True)
class StatsdSettings:
    """A statsd server, and what it is sent."""

    statsd_host: str = setting(str.strip, "", "name or address of the statsd server; empty: none")
    statsd_port: int = setting(_port, "8125", "UDP port of the statsd server")
    statsd_prefix: str = setting(str.strip, "", "prefix of the names of metrics")
    statsd_sample_rate: float = setting(_rate, "1", "share of requests that is sent, above 0 and up to 1")


_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]")  # among others what the line itself is made of


class Statsd:
    """Sends from an event loop without ever waiting; what cannot be sent at once is lost."""

    def __init__(
        self,
        address: Any,
        family: int,
        prefix: str = "",
        sample_rate: float = 1.0,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """address: for `socket.connect`. sample_rate: the share of `event`s that is sent."""
        self._address = address
        self._family = family
        self._prefix = f"{prefix}." if prefix else ""
        self._rate = sample_rate
        self._suffix = f"|@{sample_rate:g}" if sample_rate < 1 else ""
        self._chance = chance
        self._socket: socket.socket | None = None
        self.lost = 0

    def count(self, name: str, amount: float) -> None:
        """A counter has grown; never sampled."""
        self._send(f"{self._prefix}{_UNSAFE.sub('_', name)}:{amount:.12g}|c")

    def gauge(self, name: str, value: float) -> None:
        self._send(f"{self._prefix}{_UNSAFE.sub('_', name)}:{value:.12g}|g")

    def request(self, name: str, seconds: float, transferred: int = 0) -> None:
        """A request of this name has ended: `<name>.timing`, and the bytes it carried as `<name>.xfer`. Sampled."""
        if self._rate < 1 and self._chance() >= self._rate:
            return
        name = _UNSAFE.sub("_", name)
        line = f"{self._prefix}{name}.timing:{seconds * 1000:.4f}|ms{self._suffix}"
        if transferred:
            line += f"\n{self._prefix}{name}.xfer:{transferred}|c{self._suffix}"
        self._send(line)

    def _send(self, line: str) -> None:
        try:
            if self._socket is None:  # made here, so that each process has its own
                self._socket = socket.socket(self._family, socket.SOCK_DGRAM)
                self._socket.setblocking(False)
                self._socket.connect(self._address)
            self._socket.send(line.encode("ascii", "replace"))
        except OSError:  # nobody listens there, or the queue is full
            self.lost += 1


def of(values: StatsdSettings, logger: logging.Logger) -> Statsd | None:
    """The sender that settings ask for; None without a host. Waits for the name to be looked up."""
    if not values.statsd_host:
        return None
    try:
        found = socket.getaddrinfo(values.statsd_host, values.statsd_port, type=socket.SOCK_DGRAM)
    except OSError as error:  # no reason not to serve
        logger.warning("statsd_host = %s: %s: no metrics are sent", values.statsd_host, error)
        return None
    family, _, _, _, address = found[0]
    return Statsd(address, family, values.statsd_prefix, values.statsd_sample_rate)
