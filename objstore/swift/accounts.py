"""Requests for accounts."""

from __future__ import annotations

from objstore.cluster.cluster import Cluster
from objstore.cluster.former import write_database
from objstore.cluster.writes import Written
from objstore.core import metadata
from objstore.core.errors import NotFound
from objstore.core.limits import Limits
from objstore.core.timestamps import Timestamp
from objstore.layers.interface import ObjectLayer
from objstore.swift.request import ProxyRequest, client_headers, listed, page_of, plain
from objstore.web import infos, requests, traces
from objstore.web.constraints import check_listing_limit, check_metadata
from objstore.web.responses import Response, error
from objstore.wire import messages
from objstore.wire.messages import NodeRequest

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")
_REMOVE = "X-Remove-Account-Meta-"


class Accounts:
    """Verbs for accounts, by method. layer: the object layer."""

    def __init__(self, cluster: Cluster, limits: Limits, layer: ObjectLayer) -> None:
        self._cluster = cluster
        self._layer = layer
        self._limits = limits
        self.verbs = {"GET": self.get, "HEAD": self.get, "POST": self.post, "PUT": self.put, "DELETE": self.delete}

    def get(self, request: ProxyRequest) -> Response:
        refused = request.permit()
        if refused is not None:
            return refused
        query = requests.query(request.environ)
        problem = check_listing_limit(query, self._limits.account_listing_limit)
        if problem:
            return error(412, problem)
        try:
            if request.method == "HEAD":
                listing = self._layer.account(request.context, request.name)
            else:
                listing = self._layer.list_containers(request.context, request.name, page_of(request, query))
        except NotFound:
            return error(404)
        headers = client_headers(request, listing.headers)
        self._name_policies(headers)
        return listed(request, headers, listing.content)

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
        infos.forget(request.context, request.name)
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
        infos.forget(request.context, request.name)
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


def autocreate(cluster: Cluster, request: ProxyRequest) -> int:
    """Make the account of a request's name where there is none yet; the status of the PUT."""
    account = request.name.of_account
    place = cluster.place(account)
    headers = {messages.TIMESTAMP: cluster.clock.now().internal, **traces.carried(request.environ)}
    sent = NodeRequest("PUT", place.partition, account, headers)
    return write_database(cluster, place, [sent] * len(place.primaries)).status
