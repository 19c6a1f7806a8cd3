"""A connected socket: receives, sends, and keeps the bytes that were received too early.

System calls are tried first and waited for only when they would block, unless nothing
can have come yet. All waits end with TimeoutError after a time without progress; a connection
that the other end broke raises OSError.
"""

from __future__ import annotations

import fcntl
import socket
import ssl
import struct
import termios
from collections.abc import Sequence
from time import monotonic
from typing import Any

from objstore.http.pace import Pace, TooSlow
from objstore.runtime.green import Watch

Buffer = bytes | bytearray | memoryview

MIB = 1 << 20
# A body is received in runs of at least this number of bytes if its sender is fast enough;
# if it is not, a run is delayed by at most this number of seconds.
FILL_BYTES = 256 * 1024
FILL_SECONDS = 0.2

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no time: close sends RST
_CLOSE_WAIT = 8  # tcp_states.h: all that the other end sends has come
_INT = struct.Struct("i")
_MAX_PIECES = 64  # of one sendmsg, far below IOV_MAX


class SentInPart(ConnectionError):
    """The connection broke after the kernel had taken some of the data."""


class Stream:
    """One connection. Used by one green thread at a time.

    pace: of the other end, in a server. moved: number of bytes received and sent.
    """

    __slots__ = ("_flows", "_low", "_unread", "moved", "pace", "peer", "sock", "tls", "watch")

    def __init__(self, sock: Any, peer: tuple[str, int]) -> None:
        """sock: connected and non-blocking, plain or TLS."""
        self.sock = sock
        self.peer = peer
        self.tls = isinstance(sock, ssl.SSLSocket)
        self.watch = Watch(sock)
        self._unread = b""
        self._low = 1
        self._flows = False  # the last run filled its buffer: more has probably come already
        self.pace: Pace | None = None
        self.moved = 0

    def _readable(self, timeout: float) -> None:
        if self.pace is None:
            self.watch.readable(timeout)
        else:
            self.pace.wait(self.watch.readable, timeout, self.moved)

    def _writable(self, timeout: float) -> None:
        if self.pace is None:
            self.watch.writable(timeout)
        else:
            self.pace.wait(self.watch.writable, timeout, self.moved)

    # Receiving

    @property
    def has_unread(self) -> bool:
        return bool(self._unread)

    def unread(self, data: bytes) -> None:
        """Put back bytes that belong to the next message."""
        self._unread = data + self._unread if self._unread else data

    def take_unread(self, limit: int) -> bytes:
        """Return bytes that were put back, without a system call; b'' if there are none."""
        data = self._unread
        if len(data) > limit:
            self._unread = data[limit:]
            return data[:limit]
        self._unread = b""
        return data

    def recv(self, limit: int, timeout: float) -> bytes:
        """Return the bytes that have come, or else the next; b'' if the other end has closed."""
        if self._unread:
            return self.take_unread(limit)
        while True:
            try:
                data: bytes = self.sock.recv(limit)
            except (BlockingIOError, ssl.SSLWantReadError):
                self._readable(timeout)
            except ssl.SSLWantWriteError:
                self._writable(timeout)
            else:
                self.moved += len(data)
                return data

    def recv_next(self, limit: int, timeout: float) -> bytes:
        """Receive as `recv` does if nothing is expected to have come yet: wait first, without a pace."""
        if self._unread:
            return self.take_unread(limit)
        pace, self.pace = self.pace, None
        try:
            if not self.tls:
                self.watch.readable(timeout)
            return self.recv(limit, timeout)
        finally:
            self.pace = pace

    def recv_run(self, limit: int, sure: int, timeout: float) -> bytes:
        """Receive as `recv` does, but wait a moment for many bytes rather than return few.

        sure: number of bytes that must come before the message can end; no more than these are waited for.
        """
        if self._unread:
            return self.take_unread(limit)
        if not self.tls:
            self._await_run(min(limit, sure), timeout)
            return self.recv(limit, timeout)
        data = self.recv(limit, timeout)
        runs = [data]
        have = len(data)
        while data and have < limit:  # a TLS record holds 16 KiB: take those that have come
            try:
                data = self.sock.recv(limit - have)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                break
            runs.append(data)
            have += len(data)
        self.moved += have - len(runs[0])
        return runs[0] if len(runs) == 1 else b"".join(runs)

    def closed_after(self, limit: int) -> int | None:
        """Return the number of unread bytes if the other end has visibly closed, else None. Never waits.

        Receives the bytes that have come, up to `limit` or FILL_BYTES: the end is visible only behind them.
        """
        try:
            while (room := min(limit, FILL_BYTES) - len(self._unread)) > 0:
                data = self.sock.recv(room)
                if not data:
                    return len(self._unread)
                self.moved += len(data)
                self._unread += data
            state = self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
            if state != _CLOSE_WAIT:
                return None
            (waiting,) = _INT.unpack(fcntl.ioctl(self.sock.fileno(), termios.FIONREAD, bytes(_INT.size)))
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None
        except OSError:
            return len(self._unread)
        if self.tls:
            waiting += self.sock.pending()
        return len(self._unread) + int(waiting)

    def look_ahead(self) -> bytes:
        """Return the bytes that were put back or received early, without taking them."""
        return self._unread

    def recv_run_into(self, view: memoryview, sure: int, timeout: float) -> int:
        """Receive as `recv_run` does, into a buffer; return the number of bytes, 0 at the end."""
        if self._unread:
            data = self.take_unread(len(view))
            view[: len(data)] = data
            return len(data)
        if not self.tls:
            if not self._flows:
                self._await_run(min(len(view), sure), timeout)
            taken = self._recv_into(view, timeout)
            self._flows = taken == len(view)
            return taken
        have = taken = self._recv_into(view, timeout)
        while taken and have < len(view):  # a TLS record holds 16 KiB: take those that have come
            try:
                taken = self.sock.recv_into(view[have:])
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                break
            have += taken
            self.moved += taken
        return have

    def _recv_into(self, view: memoryview, timeout: float) -> int:
        while True:
            try:
                taken: int = self.sock.recv_into(view)
            except (BlockingIOError, ssl.SSLWantReadError):
                self._readable(timeout)
            except ssl.SSLWantWriteError:
                self._writable(timeout)
            else:
                self.moved += taken
                return taken

    def _await_run(self, sure: int, timeout: float) -> None:
        """Wait a moment for up to `sure` bytes, if they are many."""
        want = min(sure, FILL_BYTES)
        if want <= 16384:
            self._set_low(1)
            return
        self._set_low(want)
        try:
            self._readable(min(FILL_SECONDS, timeout))
        except TooSlow:
            raise
        except TimeoutError:
            self._set_low(1)

    def _set_low(self, low: int) -> None:
        """Let the kernel wake this thread only when `low` bytes have come; it also opens the window for them."""
        if low != self._low and not self.tls:
            self._low = low
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, low)

    def message_ended(self) -> None:
        """Prepare for the next message after a body was read: it may be short."""
        if self._low != 1:
            self._set_low(1)

    def is_quiet(self) -> bool:
        """Return whether the connection is open and nothing has come: a sound one between two messages."""
        if self._unread:
            return False
        try:
            # Past the TLS layer, whose own `recv` cannot peek.
            socket.socket.recv(self.sock, 1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    # Sending

    def send_all(self, pieces: Sequence[Buffer], timeout: float) -> None:
        """Send all pieces, in one segment if they are small.

        Raises TimeoutError if the other end takes nothing for `timeout` seconds, OSError if it
        is gone: SentInPart if it may have got some of the data.
        """
        if self.tls:
            self._send_tls(pieces, timeout)
            return
        try:
            sent = self.sock.sendmsg(pieces) if len(pieces) > 1 else self.sock.send(pieces[0])
        except BlockingIOError:
            sent = 0
        self.moved += sent
        if sent != sum(map(len, pieces)):
            self._send_rest(pieces, sent, timeout)

    def _send_rest(self, pieces: Sequence[Buffer], sent: int, timeout: float) -> None:
        views = [memoryview(piece) for piece in pieces]
        while True:
            while views and sent >= len(views[0]):
                sent -= len(views.pop(0))
            if not views:
                return
            views[0] = views[0][sent:]
            self._writable(timeout)
            try:
                sent = self.sock.sendmsg(views[:_MAX_PIECES])
            except BlockingIOError:
                sent = 0
            except OSError as error:
                raise SentInPart(str(error)) from error
            self.moved += sent

    def _send_tls(self, pieces: Sequence[Buffer], timeout: float) -> None:
        if len(pieces) > 1 and sum(map(len, pieces)) <= 16384:
            pieces = [b"".join(pieces)]
        for piece in pieces:
            view = memoryview(piece)
            while view:
                try:
                    sent = self.sock.send(view)
                except ssl.SSLWantWriteError:
                    self._writable(timeout)
                except ssl.SSLWantReadError:
                    self._readable(timeout)
                else:
                    self.moved += sent
                    view = view[sent:]

    # Ending

    def __del__(self) -> None:
        # A forgotten stream must not leave its descriptor in the loop's set: the number is used again.
        if hasattr(self, "watch"):
            self.close()

    def close(self) -> None:
        self.watch.close()
        self.sock.close()

    def shut(self) -> None:
        """Stop sending and receiving; the stream is closed later."""
        try:
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)  # past the TLS layer
        except OSError:
            pass  # the other end has broken the connection

    def abort(self) -> None:
        """Close so that the other end sees a broken connection, not an orderly end."""
        try:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        except OSError:
            pass  # closed by the other end already
        self.close()

    def close_gently(self, limit: int, timeout: float) -> None:
        """Close after the other end has had a chance to read the answer.

        A socket closed with unread data sends a reset, which may destroy an answer that is
        still under way. Therefore read and drop up to `limit` bytes, until the other end is silent for `timeout`
        seconds, or for ten times `timeout` in all.
        """
        end = monotonic() + 10 * timeout
        try:
            self.sock.shutdown(socket.SHUT_WR)
            self._set_low(1)
            self._unread = b""
            while limit > 0 and monotonic() < end:
                dropped = self.recv(256 * 1024, timeout)
                if not dropped:
                    break
                limit -= len(dropped)
        except (OSError, ValueError):  # TimeoutError is one
            pass
        self.close()
