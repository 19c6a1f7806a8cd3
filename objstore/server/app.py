"""What the three servers share: from a WSGI request to a verb of theirs, and errors to answers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from objstore.core import metadata
from objstore.core.errors import DeviceUnavailable, InvalidInput, NodeFailure, NotFound, ObjstoreError
from objstore.core.names import HashSalt, Location, Name
from objstore.core.numbers import whole
from objstore.core.text import to_text
from objstore.core.timestamps import Timestamp
from objstore.runtime.seldom import Seldom
from objstore.server.devices import Device, Devices
from objstore.store.objects.disk_errors import FULL, GONE, UNREADABLE
from objstore.web import traces
from objstore.web.errors import response_for, status_of
from objstore.web.requests import Environ, StartResponse, header, query, vouch
from objstore.web.responses import Response, error
from objstore.wire import messages


class Request(NamedTuple):
    """One request to a storage server, its path taken apart."""

    environ: Environ
    method: str
    device: Device
    name: Name
    location: Location

    def header(self, name: str, default: str = "") -> str:
        return header(self.environ, name, default)

    def timestamp(self) -> Timestamp:
        """When the change was made; raises InvalidInput where the request does not say."""
        text = self.environ.get("HTTP_X_TIMESTAMP")
        if not text:
            raise InvalidInput("X-Timestamp is missing")
        return Timestamp.parse(text)

    def number(self, name: str) -> int | None:
        """The whole number of a header, None where it is not sent; raises InvalidInput."""
        return _number(self.header(name), name)

    def query(self) -> dict[str, str]:
        return query(self.environ)


Verb = Callable[[Request], Response]
_READS = frozenset({"GET", "HEAD"})
_OF_DEVICES = UNREADABLE | GONE | FULL
_COMPLAINTS = 60.0  # seconds between log lines about one device


class ShareRequest(NamedTuple):
    """What a peer asks about a partition, one database of it, or many partitions.

    named: the partition of the path; None where the body names many. hash: of the database's name, or ''.
    """

    environ: Environ
    device: Device
    named: int | None
    hash: str

    @property
    def partition(self) -> int:
        """Raises InvalidInput where the path names none."""
        if self.named is None:
            raise InvalidInput("no partition is named")
        return self.named

    @property
    def policy(self) -> int:
        """Of objects: the index of their storage policy."""
        return _policy(self.environ)

    def header(self, name: str, default: str = "") -> str:
        return header(self.environ, name, default)

    def query(self) -> dict[str, str]:
        return query(self.environ)


Replicate = Callable[[ShareRequest], Response]


class StorageApp:
    """A WSGI app of verbs for names of one depth (1: accounts, 2: containers, 3: objects).

    replicate: answers REPLICATE, which is about no name.
    """

    def __init__(
        self,
        devices: Devices,
        salt: HashSalt,
        verbs: Mapping[str, Verb],
        depth: int,
        logger: logging.Logger,
        replicate: Replicate | None = None,
    ) -> None:
        self._devices = devices
        self._salt = salt
        self._verbs = verbs
        self._replicate = replicate
        self._depth = depth
        self._logger = logger
        self._told = Seldom(_COMPLAINTS)  # by device
        self._allow = ", ".join(sorted((*verbs, "OPTIONS")))

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[Any]:
        vouch(environ)  # all clients are the store's own
        return self._answer(environ)(environ, start_response)

    def _answer(self, environ: Environ) -> Response:
        method = environ["REQUEST_METHOD"]
        verb = self._verbs.get(method)
        if verb is None and not (method == messages.REPLICATE and self._replicate is not None):
            status = 200 if method == "OPTIONS" else 405
            return Response(status, {"Allow": self._allow, "Server": self.server_name})
        request: Request | ShareRequest | None = None
        try:
            if verb is None:
                assert self._replicate is not None
                request = self._parse_share(environ)
                response = self._replicate(request)
            else:
                request = self._parse(environ, method)
                response = self._sendable(environ, verb(request))
            if method not in _READS or response.status == 404:
                request.device.require_same()
            return response
        except NotFound as failure:
            return self._missing(environ, request, failure)
        except (NodeFailure, ObjstoreError) as failure:
            status = status_of(failure)
            if status >= 500 and self._is_news(environ, status):
                self._logger.warning("%s %s: %s", method, environ["PATH_INFO"], failure, extra=traces.of_log(environ))
            return response_for(failure)
        except OSError as failure:
            self._logger.exception("%s %s", method, environ["PATH_INFO"], extra=traces.of_log(environ))
            return error(507 if failure.errno in _OF_DEVICES else 500)
        except Exception:
            self._logger.exception("%s %s", method, environ["PATH_INFO"], extra=traces.of_log(environ))
            return error(500)

    def _sendable(self, environ: Environ, response: Response) -> Response:
        """The answer without stored items that no answer can have: the rest of what is stored stays readable."""
        if not metadata.breaks_answers(response.headers):
            return response
        for name in metadata.not_sendable(response.headers):
            del response.headers[name]
            if self._told.is_due((environ["PATH_INFO"], name)):
                self._logger.error(
                    "%r: the stored header %r cannot be sent and is left out",
                    environ["PATH_INFO"],
                    name,
                    extra=traces.of_log(environ),
                )
        return response

    def _missing(self, environ: Environ, request: Request | ShareRequest | None, failure: NotFound) -> Response:
        """404, unless the device is not there either."""
        try:
            if request is not None:
                request.device.require_same()
        except DeviceUnavailable as gone:
            if self._is_news(environ, 507):
                self._logger.warning("%s: %s", environ["PATH_INFO"], gone, extra=traces.of_log(environ))
            return response_for(gone)
        return response_for(failure)

    def _is_news(self, environ: Environ, status: int) -> bool:
        """A device that is full or not there is told of once a minute: each request to it fails."""
        if status != 507:
            return True
        return self._told.is_due(environ["PATH_INFO"].split("/", 2)[1])

    @property
    def server_name(self) -> str:
        return f"{('account', 'container', 'object')[self._depth - 1]}-server"

    def _parse(self, environ: Environ, method: str) -> Request:
        device, partition, name = messages.parse_path(to_text(environ["PATH_INFO"]))
        if sum(part is not None for part in name) != self._depth:
            raise InvalidInput(f"not a path of this server: {environ['PATH_INFO']}")
        location = Location(partition, self._salt.hash(name))
        if self._depth == 3:
            location = location._replace(policy=_policy(environ), twin=_twin(environ, partition))
        return Request(environ, method, self._devices.get(device), name, location)

    def _parse_share(self, environ: Environ) -> ShareRequest:
        device, partition, name_hash = messages.parse_share_path(to_text(environ["PATH_INFO"]))
        return ShareRequest(environ, self._devices.get(device), partition, name_hash)


def _twin(environ: Environ, partition: int) -> int | None:
    text = environ.get(messages.TWIN_KEY)
    if text is None:
        return None
    twin = whole(text)
    if twin is None or partition not in (twin // 2, 2 * twin, 2 * twin + 1):
        raise InvalidInput(f"not a twin of partition {partition}: {text[:60]!r}")
    return twin


def _policy(environ: Environ) -> int:
    return _number(environ.get("HTTP_X_BACKEND_STORAGE_POLICY_INDEX", "0"), messages.POLICY) or 0


def _number(text: str, header: str) -> int | None:
    if not text:
        return None
    number = whole(text)
    if number is None:
        raise InvalidInput(f"{header} is not a whole number: {text[:60]!r}")
    return number
