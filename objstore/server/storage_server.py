"""The base of the three storage servers: it finds the verb of a request, and turns errors into answers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from objstore.core import metadata
from objstore.core.errors import DeviceUnavailable, InvalidInput, NotFound, ObjstoreError
from objstore.core.names import HashSalt, Location, Name
from objstore.runtime.seldom import Seldom
from objstore.server.answers import answer, error, missing, of_failure
from objstore.server.devices import Devices
from objstore.server.request import Request, ShareRequest, policy, twin
from objstore.store.disk_errors import FULL, GONE, UNREADABLE
from objstore.web import traces
from objstore.web.errors import status_of
from objstore.wire.bodies import Body
from objstore.wire.messages import POLICY, REPLICATE, TWIN, NodeRequest, NodeResponse, Share, path_text

Verb = Callable[[Request], NodeResponse]
Replicate = Callable[[ShareRequest], NodeResponse]

_READS = frozenset({"GET", "HEAD"})
_OF_DEVICES = UNREADABLE | GONE | FULL
_COMPLAINTS = 60.0  # seconds between log lines about one device


class StorageServer:
    """Verbs for names of one kind ('account', 'container' or 'object') on the devices of this host.

    replicate: answers REPLICATE, which has no name.
    """

    def __init__(
        self,
        kind: str,
        devices: Devices,
        salt: HashSalt,
        verbs: Mapping[str, Verb],
        logger: logging.Logger,
        replicate: Replicate | None = None,
    ) -> None:
        self.kind = kind
        self.name = f"{kind}-server"
        self._devices = devices
        self._salt = salt
        self._verbs = verbs
        self._replicate = replicate
        self._logger = logger
        self._warnings = Seldom(_COMPLAINTS)  # by device

    def handle(self, device: str, asked: NodeRequest, body: Body) -> NodeResponse:
        """Answer a request to a device. body: that of the request, which holds none of it itself."""
        method = asked.method
        response = None if method in self._verbs else self.without_verb(method)
        if response is None:
            response = self._answer(device, asked, body)
        if method == "HEAD" and response.body:
            response.close()
            return NodeResponse(response.status, response.headers)
        return response

    def without_verb(self, method: str) -> NodeResponse | None:
        """Return the answer to a method without a verb, for any path."""
        if method in self._verbs or (method == REPLICATE and self._replicate is not None):
            return None
        allow = ", ".join(sorted((*self._verbs, "OPTIONS")))
        return answer(200 if method == "OPTIONS" else 405, {"Allow": allow, "Server": self.name})

    def _answer(self, device: str, asked: NodeRequest, body: Body) -> NodeResponse:
        request: Request | ShareRequest | None = None
        try:
            if asked.method == REPLICATE:
                assert self._replicate is not None
                request = self._share_request(device, asked, body)
                response = self._replicate(request)
            else:
                request = self._request(device, asked, body)
                response = self._verbs[asked.method](request)
                if metadata.breaks_answers(response.headers):
                    self._make_sendable(device, asked, response)
            if asked.method not in _READS or response.status == 404:
                request.device.require_same()
            return response
        except NotFound as failure:
            return self._missing(device, asked, request, failure)
        except ObjstoreError as failure:
            status = status_of(failure)
            if status >= 500 and self._is_news(device, status):
                self._logger.warning("%s: %s", _description(device, asked), failure, extra=_trace(asked))
            return of_failure(failure)
        except OSError as failure:
            self._logger.exception("%s", _description(device, asked), extra=_trace(asked))
            return error(507 if failure.errno in _OF_DEVICES else 500)
        except Exception:
            self._logger.exception("%s", _description(device, asked), extra=_trace(asked))
            return error(500)

    def _request(self, device: str, asked: NodeRequest, body: Body) -> Request:
        """Raises InvalidInput, DeviceUnavailable."""
        method, partition, name, headers, query, _ = asked
        if not isinstance(name, Name) or partition is None or name.kind != self.kind or "" in name:
            raise InvalidInput(f"not an internal path: {path_text(device, partition, name)[:200]!r}")
        name_hash = self._salt.hash(name)
        if self.kind == "object":
            location = Location(
                partition,
                name_hash,
                policy(headers) if POLICY in headers else 0,
                twin(headers, partition) if TWIN in headers else None,
            )
        else:
            location = Location(partition, name_hash)
        return Request(method, self._devices.get(device), name, location, headers, query, body)

    def _share_request(self, device: str, asked: NodeRequest, body: Body) -> ShareRequest:
        share = asked.name
        if not isinstance(share, Share):
            raise InvalidInput("a request of a replicator has no name")
        return ShareRequest(self._devices.get(device), asked.partition, share.hash, asked.headers, asked.query, body)

    def _make_sendable(self, device: str, asked: NodeRequest, response: NodeResponse) -> None:
        """Drop stored items that no answer can have, so that the rest stays readable."""
        for name in metadata.not_sendable(response.headers):
            del response.headers[name]
            path = path_text(device, asked.partition, asked.name)
            if self._warnings.is_due((path, name)):
                self._logger.error(
                    "%r: the stored header %r cannot be sent and is omitted", path, name, extra=_trace(asked)
                )

    def _missing(
        self, device: str, asked: NodeRequest, request: Request | ShareRequest | None, failure: NotFound
    ) -> NodeResponse:
        """Return a 404, unless the device itself is missing."""
        try:
            if request is not None:
                request.device.require_same()
        except DeviceUnavailable as gone:
            if self._is_news(device, 507):
                self._logger.warning("%s: %s", _description(device, asked), gone, extra=_trace(asked))
            return of_failure(gone)
        return missing(failure.timestamp)

    def _is_news(self, device: str, status: int) -> bool:
        """Return whether to log a full or missing device: once a minute, because each request to it fails."""
        return status != 507 or self._warnings.is_due(device)


def _description(device: str, asked: NodeRequest) -> str:
    """Return the request as the log shows it."""
    return f"{asked.method} {path_text(device, asked.partition, asked.name)}"


def _trace(asked: NodeRequest) -> dict[str, str]:
    return traces.of_log(asked.headers)
