"""Sending a request and reading the head of its answer, and the errors of both."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from objstore.core.errors import InvalidInput, NodeFailure, NodeTimeout
from objstore.http.pool import Address
from objstore.http.response_head import MAX_HEAD, ResponseHead, parse_response_head
from objstore.http.stream import Buffer, SentInPart, Stream

_RECV = 65536
_REQUEST_LINE = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+ [!-~\x80-\xff]+\Z")
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")


class Timeouts(NamedTuple):
    """Timeouts in seconds. connect: to a node; answer: for the head of its answer; body: of silence within a body."""

    connect: float = 0.5
    answer: float = 10.0
    body: float = 10.0


class Stale(Exception):
    """A connection was closed before any byte of an answer came; taken: some of the request may have arrived."""

    def __init__(self, taken: bool, cause: str) -> None:
        super().__init__(cause)
        self.taken = taken


class HttpRequest(NamedTuple):
    """The parts of a request that are needed to send it, and to send it again."""

    address: Address
    method: str
    head: bytes
    timeouts: Timeouts
    idempotent: bool


def send(stream: Stream, pieces: list[Buffer], timeout: float) -> None:
    """Send the pieces. Raises Stale if the connection is broken, NodeTimeout if the node takes nothing in time."""
    try:
        stream.send_all(pieces, timeout)
    except SentInPart as error:
        raise Stale(True, str(error)) from None
    except TimeoutError:
        raise NodeTimeout(f"{_name(stream)} took no more for {timeout} s") from None
    except OSError as error:
        raise Stale(False, str(error)) from None


def read_head(stream: Stream, method: str, timeout: float, interim: bool = False) -> ResponseHead:
    """Return the next head on the connection, which is closed on errors.

    interim: also return a 100. Raises Stale if the connection ends before a byte has come,
    NodeTimeout, NodeFailure.
    """
    try:
        while True:
            data = _head_bytes(stream, timeout)
            head = parse_response_head(data, method)
            if head.status >= 200 or (interim and head.status == 100):
                return head
    except BaseException:
        stream.close()
        raise


def _head_bytes(stream: Stream, timeout: float) -> bytes:
    data = b""
    try:
        more = stream.recv_next(_RECV, timeout)
        while more:
            data = data + more if data else more
            end = data.find(b"\r\n\r\n", max(0, len(data) - len(more) - 3))
            if end >= 0:
                end += 4
                if end < len(data):
                    stream.unread(data[end:])
                    return data[:end]
                return data
            if len(data) > MAX_HEAD:
                raise NodeFailure(f"{_name(stream)}: the answer's head is longer than {MAX_HEAD} bytes")
            more = stream.recv(_RECV, timeout)
    except TimeoutError:
        raise NodeTimeout(f"{_name(stream)} did not answer within {timeout} s") from None
    except OSError as error:
        if not data:
            raise Stale(True, str(error)) from None
        raise NodeFailure(f"{_name(stream)}: {error}") from None
    if not data:
        raise Stale(True, "closed before the answer")
    raise NodeFailure(f"{_name(stream)}: the answer's head is truncated")


def _name(stream: Stream) -> str:
    return f"{stream.peer[0]}:{stream.peer[1]}"


@lru_cache(maxsize=1024)
def _is_name(name: str) -> bool:
    return _NAME.match(name) is not None


@lru_cache(maxsize=256)
def _host(address: Address) -> str:
    return f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"


def make_head(address: Address, method: str, target: str, headers: Mapping[str, str], framing: str | None) -> bytes:
    """Return the head's bytes. Raises InvalidInput if a part of it would be read differently by the node."""
    line = f"{method} {target}"
    if _REQUEST_LINE.match(line) is None:
        raise InvalidInput("a method or target that cannot be sent")
    lines = [f"{line} HTTP/1.1\r\nHost: {_host(address)}"]
    for name, value in headers.items():
        if not _is_name(name):
            raise InvalidInput(f"the header name {name!r} cannot be sent")
        lines.append(f"{name}: {value}")
    if framing is not None:
        lines.append(framing)
    lines.append("\r\n")
    text = "\r\n".join(lines)
    # One for each line, one more within the first, and those of the framing.
    breaks = len(lines) + 1 + (framing.count("\r\n") if framing else 0)
    if text.count("\n") != breaks or text.count("\r") != breaks or "\0" in text:
        raise InvalidInput("CR, LF or NUL in a header value")
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        raise InvalidInput("a header value with characters beyond latin-1") from None
