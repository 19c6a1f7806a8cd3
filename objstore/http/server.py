"""The WSGI server of one event loop: accepts, serves each connection in a green thread, drains."""

from __future__ import annotations

import errno
import logging
import resource
import socket
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import monotonic
from typing import Any

from objstore.core.errors import ClientGone
from objstore.http import tls
from objstore.http.connection import Connection, Drained, Service, WSGIApp, base_environ
from objstore.http.crowd import AGAIN_SECONDS, Exempt, Neighbours, Network, batch, must_go, networks
from objstore.http.request_head import HeadLimits
from objstore.http.response import Answering, Dates
from objstore.http.stream import Stream
from objstore.runtime import green
from objstore.runtime.settings import duration, natural, positive, setting, size


@dataclass(frozen=True)
class ServerSettings:
    """Limits of connections and requests, and the certificate."""

    backlog: int = setting(positive, "4096", "number of connections that may wait to be accepted, per worker")
    max_connections: int = setting(
        positive,
        "1024",
        "maximum number of connections of one worker; as many new ones again are accepted for a moment",
    )
    max_guests_per_address: int = setting(
        natural,
        "512",
        (
            "maximum number of connections of one address without valid credentials, per worker; more replace the "
            "slowest; 0: no limit"
        ),
    )
    exempt_addresses: tuple[Network, ...] = setting(
        networks, "", "addresses and networks exempt from that limit, such as load balancers"
    )
    max_request_line: int = setting(size, "8192", "maximum length of a request line; longer ones are answered 414")
    max_header_line: int = setting(size, "16K", "maximum length of a header line; longer ones are answered 431")
    max_headers_size: int = setting(size, "64K", "maximum size of all header lines of a request together")
    max_header_count: int = setting(positive, "200", "maximum number of header lines of a request")
    keepalive_timeout: float = setting(duration, "75s", "idle timeout of a connection between requests")
    header_timeout: float = setting(duration, "15s", "timeout of a whole request head")
    client_timeout: float = setting(duration, "60s", "timeout of each read and write of a body")
    min_rate: int = setting(
        size, "1K", "minimum bytes per second of a client, averaged over client_timeout; 0: no minimum"
    )
    request_timeout: float = setting(duration, "1d", "timeout of a whole request")
    linger_timeout: float = setting(duration, "2s", "time a client may go on sending after an early answer")
    max_drained_body: int = setting(size, "64K", "maximum bytes of an unread body that are read to keep the connection")
    drain_timeout: float = setting(duration, "30s", "time that requests under way may take at shutdown")
    drain_idle_timeout: float = setting(duration, "0.5s", "time that clients may send a last request at shutdown")
    collect_interval: float = setting(duration, "2s", "interval of the garbage collection of reference cycles")
    handshake_timeout: float = setting(duration, "10s", "timeout of a TLS handshake")
    cert_file: str = setting(str, "", "PEM file of the certificate chain; if set, the server speaks HTTPS")
    key_file: str = setting(str, "", "PEM file of the certificate's key, unless cert_file has it")


# Errors of accept after which the next call can follow at once; the others need a pause.
_ACCEPT_AGAIN = frozenset({errno.ECONNABORTED, errno.EPROTO, errno.EINTR, errno.EPERM})
_ACCEPT_PAUSE_SECONDS = 0.1
_ACCEPT_BATCH = 64
_LAST_ACCEPT_SECONDS = 0.02  # longer than a handshake that is under way takes


class Server:
    """Serves one WSGI application on one listening socket."""

    def __init__(self, sock: socket.socket, app: WSGIApp, options: ServerSettings, logger: logging.Logger) -> None:
        """sock: listening. Raises ConfigError for a bad certificate."""
        self._sock = sock
        self._options = options
        self._logger = logger
        self._tls = tls.server_context(options.cert_file, options.key_file) if options.cert_file else None
        self._connections: set[Connection] = set()
        self._groups: dict[str, Neighbours[Connection]] = {}  # by address
        self._exempt = Exempt(options.exempt_addresses)
        self._max, self._ceiling = _bounded_by_descriptors(options.max_connections, logger)
        self._count = 0
        self._room_again = 0.0  # before this time, no connection can be ended to make room
        self._draining = False
        self._serving = False
        self._accepting: green.Watch | None = None
        self._changed = green.Event()
        self._service = Service(
            app=app,
            logger=logger,
            limits=HeadLimits(
                options.max_request_line, options.max_header_line, options.max_headers_size, options.max_header_count
            ),
            answering=Answering(
                Dates(),
                options.client_timeout,
                lambda: self._draining,
                options.max_drained_body,
                options.keepalive_timeout,
            ),
            keepalive_timeout=options.keepalive_timeout,
            header_timeout=options.header_timeout,
            client_timeout=options.client_timeout,
            linger_timeout=options.linger_timeout,
            min_rate=options.min_rate,
            request_timeout=options.request_timeout,
            drain_idle_timeout=options.drain_idle_timeout,
        )

    @property
    def connections(self) -> int:
        """The number of open connections."""
        return self._count

    def serve(self) -> None:
        """Accept connections until `drain` is called, then close the listening socket."""
        self._serving = True
        sock = self._sock
        sock.setblocking(False)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # inherited by accepted sockets
        self._accepting = watch = green.Watch(sock)
        try:
            while not self._draining:
                if self._count >= self._max:
                    self._make_room()
                if self._count >= self._ceiling:
                    self._wait_for_change(AGAIN_SECONDS)
                    continue
                try:
                    watch.readable(AGAIN_SECONDS if self._count >= self._max else None)
                except TimeoutError:
                    continue  # connections above the limit may be old enough to end now
                self._accept(min(_ACCEPT_BATCH, self._ceiling - self._count))
        except Drained:
            pass
        finally:
            self._accepting = None
            watch.close()
            self._accept_the_last()
            sock.close()
            self._serving = False
            self._announce_change()

    def _accept_the_last(self) -> None:
        """Accept the connections that clients have begun: they would be reset when the socket is closed."""
        end = monotonic() + _LAST_ACCEPT_SECONDS
        while monotonic() < end and self._count < self._ceiling:
            if not self._accept(_ACCEPT_BATCH):
                green.sleep(_LAST_ACCEPT_SECONDS / 4)

    def _accept(self, limit: int) -> int:
        """Accept up to `limit` waiting connections; return their number."""
        for number in range(limit):
            try:
                sock, peer = self._sock.accept()
            except BlockingIOError:
                return number
            except OSError as error:
                if error.errno in _ACCEPT_AGAIN:
                    continue
                # Out of descriptors or memory: let some connections end.
                self._logger.error("accept failed: %s", error)
                self._make_room()
                green.sleep(_ACCEPT_PAUSE_SECONDS)
                return number
            self._admit(sock, peer)
        return limit

    def _admit(self, sock: socket.socket, peer: Any) -> None:
        """Serve an accepted connection; others of its address may have to end for it."""
        self._count += 1
        address = peer[0] if peer else ""
        group = self._groups.get(address)
        if group is None:
            group = self._groups[address] = Neighbours()
        limit = self._options.max_guests_per_address
        if limit and len(group.members) >= limit and address not in self._exempt:
            _end(group.too_many(limit, monotonic()))
        green.spawn(self._handle, sock, peer, group)

    def _handle(self, sock: socket.socket, peer: Any, group: Neighbours[Connection]) -> None:
        connection = None
        try:
            sock.setblocking(False)
            environ = base_environ("https" if self._tls else "http", sock.getsockname()[:2], peer[:2])
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
            connection = Connection(Stream(sock, peer[:2]), self._service, environ)
            self._connections.add(connection)
            group.members.add(connection)
            if self._tls is None or self._has_agreed(connection):
                connection.run()
        except green.GreenletExit:
            pass
        except Exception:
            self._logger.exception("a connection failed")
            sock.close()
        finally:
            self._connections.discard(connection)
            group.members.discard(connection)
            if not group.members:
                self._groups.pop(peer[0] if peer else "", None)
            self._count -= 1
            self._announce_change()

    def _has_agreed(self, connection: Connection) -> bool:
        """Return whether the handshake of a TLS connection succeeds; if not, it is closed."""
        stream = connection.stream
        try:
            handshake(stream, self._options.handshake_timeout)
            # `TLSv1.3`, as other servers name it.
            connection.environ["SSL_PROTOCOL"] = stream.sock.version() or ""
            connection.environ["SSL_CIPHER"] = (stream.sock.cipher() or ("",))[0]
            return True
        except (OSError, Drained, ClientGone) as error:  # ssl.SSLError is one
            self._logger.info("%s:%s: no TLS: %s", *stream.peer, error)
            stream.close()
            return False

    # Room and end

    def _make_room(self) -> None:
        """End the connections above the limit, and a batch more for newcomers, as far as `must_go` allows."""
        now = monotonic()
        if now < self._room_again:
            return
        number = max(0, self._count - self._max) + batch(self._max)
        leaving = must_go(self._connections, number, now)
        _end(leaving)
        if len(leaving) < number:
            self._room_again = now + AGAIN_SECONDS

    def _announce_change(self) -> None:
        changed, self._changed = self._changed, green.Event()
        changed.send(None)

    def _wait_for_change(self, timeout: float) -> None:
        """Wait until a connection has ended, or for `timeout` seconds."""
        self._changed.wait(timeout)

    def drain(self, timeout: float | None = None) -> bool:
        """Close the listening socket, end idle connections, let requests end; return whether all did in time.

        A client whose connection has not been idle for long gets a moment for one more request, which is answered
        with Connection: close. timeout: in seconds, drain_timeout if None; requests that are still under way then
        are cancelled.
        """
        self._draining = True
        deadline = monotonic() + (self._options.drain_timeout if timeout is None else timeout)
        if self._accepting is not None:
            self._accepting.interrupt(Drained())
        self._announce_change()
        for connection in self._connections:
            green.later(0, connection.end_if_idle, self._options.drain_idle_timeout)
        while (self._count or self._serving) and (left := deadline - monotonic()) > 0:
            self._wait_for_change(min(left, 1.0))
        clean = not self._count
        for connection in list(self._connections):
            connection.stream.watch.interrupt(ClientGone("the server ends"))
        return clean


def _end(connections: Iterable[Connection]) -> None:
    for connection in connections:
        green.later(0, connection.make_room)


def _bounded_by_descriptors(connections: int, logger: logging.Logger) -> tuple[int, int]:
    """Return the limits of connections, in general and for a moment, that the limit of open files allows.

    Each connection may need a file or another connection, too. The second limit is higher: new connections are
    accepted before older ones can be ended.
    """
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:
        return connections, 2 * connections
    bound = max(16, descriptors // 2)
    if bound < connections:
        logger.warning("max_connections = %d: the limit of open files allows %d", connections, bound)
    return min(bound, connections), min(bound + bound // 2, 2 * connections)


def handshake(stream: Stream, timeout: float) -> None:
    """Agree on TLS. Raises TimeoutError after `timeout` seconds in all, ssl.SSLError if it fails."""
    deadline = monotonic() + timeout
    while True:
        try:
            stream.sock.do_handshake()
            return
        except ssl.SSLWantReadError:
            wait: Callable[[float], None] = stream.watch.readable
        except ssl.SSLWantWriteError:
            wait = stream.watch.writable
        wait(max(0.0, deadline - monotonic()))
