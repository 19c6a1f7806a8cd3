"""Ask all storage servers of the rings at once."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from objstore.core.nodes import Node
from objstore.ring import Ring

TIMEOUT = 5.0
_AT_ONCE = 64


class StorageHost(NamedTuple):
    """A storage server. kind: account, container or object."""

    kind: str
    ip: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.ip}]" if ":" in self.ip else self.ip
        return f"{host}:{self.port}"


class ServerAnswer(NamedTuple):
    """The answer of a server. report: its JSON; None with the reason in `error`."""

    server: StorageHost
    report: Any
    error: str = ""


def servers_of(rings: Iterable[tuple[str, Ring]]) -> list[StorageHost]:
    """Return the servers of rings (by name), in order, each once."""
    found = {
        StorageHost(name.partition("-")[0], node.ip, node.port) for name, ring in rings for node in ring.devices if node
    }
    return sorted(found, key=lambda server: (server.ip, server.port))


def ask(servers: Iterable[StorageHost], topic: str, timeout: float = TIMEOUT) -> dict[StorageHost, ServerAnswer]:
    """Ask each server for /recon/<topic>; timeout in seconds, of connecting and of each read."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return {answer.server: answer for answer in pool.map(lambda server: _ask(server, topic, timeout), servers)}


def _ask(server: StorageHost, topic: str, timeout: float) -> ServerAnswer:
    connection = http.client.HTTPConnection(server.ip, server.port, timeout=timeout)
    try:
        connection.request("GET", f"/recon/{topic}")
        response = connection.getresponse()
        body = response.read()
        if response.status != 200:
            return ServerAnswer(server, None, f"answered {response.status}")
        return ServerAnswer(server, json.loads(body))
    except TimeoutError:
        return ServerAnswer(server, None, f"no answer within {timeout:g} s")
    except (OSError, http.client.HTTPException, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return ServerAnswer(server, None, why)
    finally:
        connection.close()


def server_of(kind: str, node: Node) -> StorageHost:
    return StorageHost(kind, node.ip, node.port)
