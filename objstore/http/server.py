"""The WSGI server of one event loop: accepts, serves each connection in a green thread, drains."""

from __future__ import annotations

import errno
import logging
import socket
import ssl
from collections.abc import Callable
from math import inf
from time import monotonic
from typing import Any

from objstore.core.errors import ClientGone
from objstore.http.connection import Connection, Drained, Service, WSGIApp, base_environ
from objstore.http.request_head import HeadLimits
from objstore.http.response import Answering, Dates
from objstore.http.stream import Stream
from objstore.runtime import green, settings
from objstore.runtime.settings import Setting

SERVER_SETTINGS: settings.Table = (
    Setting("backlog", settings.positive, "4096", "connections that may wait to be accepted, for each worker"),
    Setting("max_connections", settings.positive, "1024", "connections that one worker serves at a time"),
    Setting("max_request_line", settings.size, "8192", "longest request line; longer ones are answered 414"),
    Setting("max_header_line", settings.size, "16K", "longest header line; longer ones are answered 431"),
    Setting("max_headers_size", settings.size, "64K", "all header lines of a request together"),
    Setting("max_header_count", settings.positive, "200", "header lines of a request"),
    Setting("keepalive_timeout", settings.duration, "75s", "how long a connection may wait for its next request"),
    Setting("header_timeout", settings.duration, "15s", "how long a request's head may take to come, as a whole"),
    Setting("client_timeout", settings.duration, "60s", "how long a client may be silent within a body, or not read"),
    Setting("linger_timeout", settings.duration, "2s", "how long a client may go on sending after an early answer"),
    Setting("max_drained_body", settings.size, "64K", "of a body left unread, what is read to keep the connection"),
    Setting("drain_timeout", settings.duration, "30s", "how long requests may go on when the server is told to end"),
    Setting("drain_idle_timeout", settings.duration, "0.5s", "how long clients may send a last request then"),
    Setting("collect_interval", settings.duration, "5s", "how often a worker frees objects that refer to each other"),
    Setting("handshake_timeout", settings.duration, "10s", "how long a TLS handshake may take"),
    Setting("cert_file", str, "", "PEM file of the certificate chain; serves HTTPS where set"),
    Setting("key_file", str, "", "PEM file of the certificate's key, if it is not in cert_file"),
)

# Errors of accept after which it is worth going on at once, and those that need a pause.
_ACCEPT_AGAIN = frozenset({errno.ECONNABORTED, errno.EPROTO, errno.EINTR, errno.EPERM})
_ACCEPT_PAUSE_SECONDS = 0.1
_ACCEPT_BATCH = 64
_LAST_ACCEPT_SECONDS = 0.02  # longer than a handshake that is under way takes


class Server:
    """Serves one WSGI application on one listening socket."""

    def __init__(self, sock: socket.socket, app: WSGIApp, options: Any, logger: logging.Logger) -> None:
        """sock: listening. options: values of SERVER_SETTINGS. Raises OSError, ssl.SSLError for a bad certificate."""
        self._sock = sock
        self._options = options
        self._logger = logger
        self._tls = _tls_context(options.cert_file, options.key_file) if options.cert_file else None
        self._connections: set[Connection] = set()
        self._count = 0  # with those whose handshake has not ended
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
            drain_idle_timeout=options.drain_idle_timeout,
        )

    @property
    def connections(self) -> int:
        """How many connections are open now."""
        return self._count

    def serve(self) -> None:
        """Accept connections until `drain` is called; the listening socket is closed then."""
        self._serving = True
        sock = self._sock
        sock.setblocking(False)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # inherited by what it accepts
        self._accepting = watch = green.Watch(sock)
        try:
            while not self._draining:
                if self._count >= self._options.max_connections and not self._make_room():
                    self._wait_for_change(1.0)
                    continue
                watch.readable()
                self._accept()
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
        """Take the connections that clients have begun: they would be reset when the socket is closed."""
        end = monotonic() + _LAST_ACCEPT_SECONDS
        while monotonic() < end and self._count < 2 * self._options.max_connections:
            if not self._accept():
                green.sleep(_LAST_ACCEPT_SECONDS / 4)

    def _accept(self) -> int:
        """Accept what waits, up to a batch; how many connections that are."""
        for number in range(_ACCEPT_BATCH):
            try:
                sock, peer = self._sock.accept()
            except BlockingIOError:
                return number
            except OSError as error:
                if error.errno in _ACCEPT_AGAIN:
                    continue
                # Out of descriptors or memory: let some connections end.
                self._logger.error("accept failed: %s", error)
                green.sleep(_ACCEPT_PAUSE_SECONDS)
                return number
            self._count += 1
            green.spawn(self._handle, sock, peer)
        return _ACCEPT_BATCH

    def _handle(self, sock: socket.socket, peer: Any) -> None:
        connection = None
        try:
            sock.setblocking(False)
            stream = self._stream(sock, peer[:2])
            if stream is None:
                return
            environ = base_environ("https" if self._tls else "http", stream.sock.getsockname()[:2], peer[:2])
            connection = Connection(stream, self._service, environ)
            self._connections.add(connection)
            connection.run()
        except green.GreenletExit:
            pass
        except Exception:
            self._logger.exception("a connection failed")
            sock.close()
        finally:
            self._connections.discard(connection)
            self._count -= 1
            self._announce_change()

    def _stream(self, sock: socket.socket, peer: tuple[str, int]) -> Stream | None:
        """The accepted connection, after its handshake where there is TLS; None if that failed."""
        if self._tls is None:
            return Stream(sock, peer)
        tls_sock = self._tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        stream = Stream(tls_sock, peer)
        try:
            handshake(stream, self._options.handshake_timeout)
            return stream
        except OSError as error:  # ssl.SSLError is one
            self._logger.info("%s:%s: no TLS: %s", *peer, error)
            stream.close()
            return None

    # Room and end

    def _make_room(self) -> bool:
        """End the connection that has waited longest for a next request; False if all are at work."""
        idle = [connection for connection in self._connections if connection.idle_since is not None]
        if not idle:
            return False
        green.later(0, min(idle, key=lambda connection: connection.idle_since or inf).end_if_idle)
        self._wait_for_change(0.1)
        return True

    def _announce_change(self) -> None:
        changed, self._changed = self._changed, green.Event()
        changed.send(None)

    def _wait_for_change(self, timeout: float) -> None:
        """Until a connection has ended, or the time has passed."""
        self._changed.wait(timeout)

    def drain(self, timeout: float | None = None) -> bool:
        """Close the listening socket, end idle connections, let requests end; whether all did in time.

        A client whose connection has not been idle for long gets a moment for one more request, which is answered
        with Connection: close. timeout: in seconds, drain_timeout if None; requests that are still under way then
        are broken off.
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


def handshake(stream: Stream, timeout: float) -> None:
    """Agree on TLS; TimeoutError after so many seconds in all, ssl.SSLError if it fails."""
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


def _tls_context(cert_file: str, key_file: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(cert_file, key_file or None)
    return context
