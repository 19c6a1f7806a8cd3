"""A program that passes on TCP connections, and does to them what a bad network does.

In front of each server stands a *door*: a port that is open while the server's own is. Who comes, and what is
done to the connection, is told by its source address: every host's connections come from its own.

Commands come as lines of JSON: `doors` (host, port of the server, what the door's is more) are opened, `rules` take the
place of those before. Each is answered by a line with the number of connections there are.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import sys
from collections.abc import Iterable
from typing import Any, NamedTuple

PIECE = 1 << 18
KNOCK_SECONDS = 0.02  # between looks at whether a server is there again
_NO_FAREWELL = struct.pack("ii", 1, 0)  # closing the socket resets the connection
Address = tuple[str, int]


class Rule(NamedTuple):
    """source, host: addresses between which it holds, of the one who connects and of the server; "*" for any.

    port: of the server; 0 for any. action: `hang` (nothing passes, nothing is lost: it comes later), `refuse`
    (connections are reset), `delay` (by `value` seconds each way), `cut` (reset after `value` bytes of an
    answer, or of a request where `value` is negative), `repeat` (the server gets all that is sent once more, `value`
    seconds later, over another connection, whose answers nobody reads).
    """

    source: str
    host: str
    port: int
    action: str
    value: float = 0.0

    def holds(self, source: str, server: Address) -> bool:
        return self.source in ("*", source) and self.host in ("*", server[0]) and self.port in (0, server[1])


class Relay:
    def __init__(self) -> None:
        self.rules: list[Rule] = []
        self.changed = asyncio.Event()
        self.connections: set[Connection] = set()

    def set(self, rules: Iterable[Rule]) -> None:
        self.rules = list(rules)
        self.changed.set()
        self.changed = asyncio.Event()
        for connection in list(self.connections):
            if self.rule(connection, "refuse"):
                connection.reset()

    def rule(self, connection: Connection, action: str) -> Rule | None:
        for rule in self.rules:
            if rule.action == action and rule.holds(connection.source, connection.server):
                return rule
        return None

    async def passable(self, connection: Connection) -> None:
        while self.rule(connection, "hang"):
            await self.changed.wait()


class Connection:
    """One that a client opened, and what belongs to it on the other side."""

    def __init__(self, relay: Relay, source: str, server: Address) -> None:
        self.relay = relay
        self.source = source
        self.server = server
        self._writers: list[asyncio.StreamWriter] = []
        self._passed = {True: 0, False: 0}

    async def run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Raises ConnectionRefusedError where the server is not there."""
        self._writers.append(writer)
        self.relay.connections.add(self)
        try:
            if self.relay.rule(self, "refuse"):
                self.reset()
                return
            await self.relay.passable(self)
            back, forth = await asyncio.open_connection(*self.server, limit=PIECE)
            self._writers.append(forth)
            sinks = [forth]
            if self.relay.rule(self, "repeat"):
                sinks.append(await self._second())
            await asyncio.gather(self._pass(reader, sinks, True), self._pass(back, [writer], False))
        except ConnectionRefusedError:
            raise
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.relay.connections.discard(self)
            for end in self._writers:
                end.close()

    async def _second(self) -> asyncio.StreamWriter:
        reader, writer = await asyncio.open_connection(*self.server)
        self._writers.append(writer)
        self._drain = asyncio.ensure_future(_read_all(reader))
        return writer

    async def _pass(self, reader: asyncio.StreamReader, sinks: list[asyncio.StreamWriter], request: bool) -> None:
        """All that comes from one end, until it closes."""
        while data := await reader.read(PIECE):
            if delay := self.relay.rule(self, "delay"):
                await asyncio.sleep(delay.value)
            await self.relay.passable(self)
            self._passed[request] += len(data)
            if (cut := self.relay.rule(self, "cut")) and (cut.value < 0) == request:
                data = data[: max(0, int(abs(cut.value)) - self._passed[request] + len(data))]
                if self._passed[request] > abs(cut.value):
                    sinks[0].write(data)
                    with contextlib.suppress(OSError):
                        await sinks[0].drain()
                    self.reset()
                    return
            sinks[0].write(data)
            await sinks[0].drain()
            for sink in sinks[1:]:
                rule = self.relay.rule(self, "repeat")
                asyncio.get_running_loop().call_later(rule.value if rule else 0, _write, sink, data)
        await self.relay.passable(self)
        sinks[0].write_eof()

    def reset(self) -> None:
        """End it as a host does that knows nothing of it."""
        for writer in self._writers:
            with contextlib.suppress(OSError, AttributeError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_FAREWELL)
            writer.transport.abort()


def _write(sink: asyncio.StreamWriter, data: bytes) -> None:
    if not sink.is_closing():
        sink.write(data)


async def _read_all(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(OSError):
        while await reader.read(PIECE):
            pass


class Door:
    """The port in front of a server's."""

    def __init__(self, relay: Relay, address: Address, server: Address) -> None:
        self._relay = relay
        self._address = address
        self._server = server
        self._listener: asyncio.Server | None = None

    async def keep(self) -> None:
        """Open it whenever the server is there."""
        while True:
            if self._listener is None and await self._is_there():
                self._listener = await asyncio.start_server(
                    self._enter, *self._address, limit=PIECE, reuse_address=True, backlog=1024
                )
            await asyncio.sleep(KNOCK_SECONDS)

    async def _is_there(self) -> bool:
        try:
            _, writer = await asyncio.open_connection(*self._server)
        except OSError:
            return False
        writer.close()
        return True

    async def _enter(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        source = writer.get_extra_info("peername")[0]
        try:
            await Connection(self._relay, source, self._server).run(reader, writer)
        except ConnectionRefusedError:
            self._shut()
            return
        if self._listener is not None and not await self._is_there():
            self._shut()

    def _shut(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()


async def main() -> None:
    relay = Relay()
    tasks: list[asyncio.Future[Any]] = []
    commands = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := await commands.readline():
        command = json.loads(line)
        for host, port, offset in command.get("doors", []):
            tasks.append(asyncio.ensure_future(Door(relay, (host, port + offset), (host, port)).keep()))
        if "rules" in command:
            relay.set(Rule(*fields) for fields in command["rules"])
        print(len(relay.connections), flush=True)
    for task in tasks:
        task.cancel()


if __name__ == "__main__":
    asyncio.run(main())
