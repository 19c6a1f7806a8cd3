"""Requests for accounts."""

from __future__ import annotations

from objstore.cluster.cluster import Cluster
from objstore.core import metadata
from objstore.core.errors import AccountDeleted, NotFound
from objstore.core.limits import Limits
from objstore.layers.interface import AccountOptions, ObjectLayer
from objstore.swift import account_quotas
from objstore.swift.request import ProxyRequest, client_headers, listing_answer, page_of, plain
from objstore.web import requests
from objstore.web.constraints import check_listing_limit, check_metadata
from objstore.web.responses import Response, error

_KEPT = (metadata.user_prefix("Account"), metadata.sysmeta_prefix("Account"))
_REMOVE = "X-Remove-Account-Meta-"
_DELETED = {"X-Account-Status": "Deleted"}


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
        except AccountDeleted:
            return plain(410, _DELETED)
        except NotFound:
            return error(404)
        headers = client_headers(request, listing.headers)
        account_quotas.shown(headers, self._cluster.policies)
        self._name_policies(headers)
        return listing_answer(request, headers, listing.content)

    def _name_policies(self, headers: dict[str, str]) -> None:
        for policy in self._cluster.policies:
            totals = headers.pop(f"X-Backend-Policy-{policy.index}-Totals", None)
            if totals is None:
                continue
            for what, count in zip(("Container-Count", "Object-Count", "Bytes-Used"), totals.split(","), strict=True):
                headers[f"X-Account-Storage-Policy-{policy.name.title()}-{what}"] = count

    def post(self, request: ProxyRequest) -> Response:
        refused = request.permit() or _refuse_quotas(request)
        if refused is not None:
            return refused
        try:
            self._layer.update_account(request.context, request.name, self._options(request))
        except AccountDeleted:
            return plain(404, _DELETED)
        return plain(204)

    def put(self, request: ProxyRequest) -> Response:
        refused = self._refuse(request) or _refuse_quotas(request)
        if refused is not None:
            return refused
        try:
            made = self._layer.create_account(request.context, request.name, self._options(request))
        except AccountDeleted:
            return error(403, "Recently deleted", _DELETED)
        return plain(201 if made else 202)

    def delete(self, request: ProxyRequest) -> Response:
        if request.environ.get("QUERY_STRING"):
            # `DELETE /v1/account?...` is probably a mistaken bulk delete: do not delete the account.
            return error(400, "Account DELETE takes no query")
        refused = self._refuse(request)
        if refused is not None:
            return refused
        try:
            self._layer.delete_account(request.context, request.name, self._options(request))
        except AccountDeleted:
            return plain(404, _DELETED)
        return plain(204, _DELETED)

    def _refuse(self, request: ProxyRequest) -> Response | None:
        refused = request.permit()
        if refused is None and not self._cluster.settings.allow_account_management:
            return error(405, headers={"Allow": "GET, HEAD, POST, OPTIONS"})
        return refused

    def _options(self, request: ProxyRequest) -> AccountOptions:
        check_metadata("Account", request.headers, self._limits)
        is_quota = account_quotas.is_quota
        headers = {
            name: value for name, value in request.headers.items() if name.startswith(_KEPT) and not is_quota(name)
        }
        headers |= account_quotas.sent(request.headers, self._cluster.policies)
        for name in request.headers:
            if name.startswith(_REMOVE) and not is_quota(name):
                headers.setdefault(metadata.user_prefix("Account") + name[len(_REMOVE) :], "")
        return AccountOptions(headers, request.given_timestamp)


def _refuse_quotas(request: ProxyRequest) -> Response | None:
    """Return a 403 to a client that may not set quotas of accounts; None if the request may go on."""
    environ = request.environ
    if not any(map(account_quotas.is_quota, request.headers)):
        return None
    if request.trusted or request.context.reseller or environ.get("objstore.realm") is None:
        return None
    return error(403)
