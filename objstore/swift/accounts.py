"""Requests for accounts."""

from __future__ import annotations

from objstore.cluster.cluster import Cluster
from objstore.cluster.former import write_database
from objstore.cluster.reads import read
from objstore.cluster.writes import Written
from objstore.core import metadata
from objstore.core.limits import Limits
from objstore.core.timestamps import Timestamp
from objstore.swift.request import ProxyRequest, client_headers, plain, refusal
from objstore.web import infos, requests, traces
from objstore.web.constraints import check_listing_limit, check_metadata
from objstore.web.responses import Response, error
from objstore.wire import messages
from objstore.wire.messages import NodeRequest

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")
_REMOVE = "X-Remove-Account-Meta-"


class Accounts:
    """Verbs for accounts, by method."""

    def __init__(self, cluster: Cluster, limits: Limits) -> None:
        self._cluster = cluster
        self._limits = limits
        self.verbs = {"GET": self.get, "HEAD": self.get, "POST": self.post, "PUT": self.put, "DELETE": self.delete}

    def get(self, request: ProxyRequest) -> Response:
        refused = request.permit()
        if refused is not None:
            return refused
        problem = check_listing_limit(requests.query(request.environ), self._limits.account_listing_limit)
        if problem:
            return error(412, problem)
        place = self._cluster.place(request.name)
        query = request.environ.get("QUERY_STRING", "")
        sent = NodeRequest(request.method, place.partition, request.name, _asked(request), query)
        response, _ = read(self._cluster, place, sent)
        if response.status == 404:
            if self._cluster.settings.account_autocreate and messages.STORED_TIMESTAMP not in response.headers:
                return self._not_yet(request)
            return error(404)
        if not response.ok:
            return refusal(response)
        headers = client_headers(request, response.headers)
        headers["Accept-Ranges"] = "bytes"
        self._name_policies(headers)
        body = response.read()
        headers["Content-Length"] = str(len(body))
        return Response(response.status, headers, body)

    def _not_yet(self, request: ProxyRequest) -> Response:
        """An account that its first container will make: there, and empty."""
        headers = dict.fromkeys(("X-Account-Container-Count", "X-Account-Object-Count", "X-Account-Bytes-Used"), "0")
        now = self._cluster.clock.now().normal
        headers |= {"X-Timestamp": now, "X-Put-Timestamp": now, "Accept-Ranges": "bytes"}
        if request.method == "HEAD":
            return Response(204, headers)
        return Response(200, {**headers, "Content-Type": "application/json; charset=utf-8"}, b"[]")

    def _name_policies(self, headers: dict[str, str]) -> None:
        for policy in self._cluster.policies:
            totals = headers.pop(f"X-Backend-Policy-{policy.index}-Totals", None)
            if totals is None:
                continue
            for what, count in zip(("Container-Count", "Object-Count", "Bytes-Used"), totals.split(","), strict=True):
                headers[f"X-Account-Storage-Policy-{policy.name.title()}-{what}"] = count

    def post(self, request: ProxyRequest) -> Response:
        refused = request.permit()
        if refused is not None:
            return refused
        check_metadata("Account", request.headers, self._limits)
        written = self._write(request, request.timestamp(self._cluster.clock))
        if written.status == 404 and self._cluster.settings.account_autocreate:
            autocreate(self._cluster, request)
            written = self._write(request, request.timestamp(self._cluster.clock))
        infos.forget(request.environ, request.name)
        return plain(written.status) if written.status < 300 else error(written.status)

    def put(self, request: ProxyRequest) -> Response:
        return self._manage(request)

    def delete(self, request: ProxyRequest) -> Response:
        if request.environ.get("QUERY_STRING"):
            # `DELETE /v1/account?...` is a client's slip of a bulk delete: never take the account for it.
            return error(400, "Account DELETE takes no query")
        return self._manage(request)

    def _manage(self, request: ProxyRequest) -> Response:
        refused = request.permit()
        if refused is not None:
            return refused
        if not self._cluster.settings.allow_account_management:
            return error(405, headers={"Allow": "GET, HEAD, POST, OPTIONS"})
        check_metadata("Account", request.headers, self._limits)
        written = self._write(request, request.timestamp(self._cluster.clock))
        infos.forget(request.environ, request.name)
        return plain(written.status) if written.status < 300 else error(written.status)

    def _write(self, request: ProxyRequest, timestamp: Timestamp) -> Written:
        headers = {
            name: value
            for name, value in request.headers.items()
            if name.startswith((metadata.user_prefix("Account"), metadata.sysmeta_prefix("Account")))
        }
        for name in request.headers:
            if name.startswith(_REMOVE):
                headers.setdefault(metadata.user_prefix("Account") + name[len(_REMOVE) :], "")
        headers[messages.TIMESTAMP] = timestamp.internal
        headers.update(traces.carried(request.environ))
        place = self._cluster.place(request.name)
        sent = NodeRequest(request.method, place.partition, request.name, headers)
        return write_database(self._cluster, place, [sent] * len(place.primaries))


def _asked(request: ProxyRequest) -> dict[str, str]:
    return {name: value for name, value in request.headers.items() if name.startswith(("X-Backend-", "X-Trans-Id"))}


def autocreate(cluster: Cluster, request: ProxyRequest) -> int:
    """Make the account of a request's name where there is none yet; the status of the PUT."""
    account = request.name.of_account
    place = cluster.place(account)
    headers = {messages.TIMESTAMP: cluster.clock.now().internal, **traces.carried(request.environ)}
    sent = NodeRequest("PUT", place.partition, account, headers)
    return write_database(cluster, place, [sent] * len(place.primaries)).status
