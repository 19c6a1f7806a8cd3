"""Requests for containers."""

from __future__ import annotations

from objstore.cluster.cluster import Cluster
from objstore.cluster.former import Former, write_database
from objstore.cluster.layer import POLICY_NAME
from objstore.cluster.writes import Written, write
from objstore.core.errors import ObjstoreError
from objstore.core.limits import Limits
from objstore.core.lives import PARTLY
from objstore.layers.interface import ObjectLayer
from objstore.swift.accounts import autocreate
from objstore.swift.request import (
    OWNER_HEADERS,
    ProxyRequest,
    client_headers,
    listed,
    missing,
    page_of,
    plain,
    without_owner_headers,
)
from objstore.web import acls, infos, requests, traces
from objstore.web.constraints import check_listing_limit, check_metadata, check_name
from objstore.web.errors import response_for
from objstore.web.responses import Response, error
from objstore.wire import messages
from objstore.wire.messages import NodeRequest

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")
_ACLS = ("X-Container-Read", "X-Container-Write")
# Kept with a container; every other header of a request is not.
_KEPT = ("X-Container-Meta-", "X-Container-Sysmeta-", "X-Container-Read", "X-Container-Write", "X-Container-Sync-")
# What a client may remove by X-Remove-*: system metadata is no client's under any spelling.
_REMOVABLE = ("X-Container-Meta-", "X-Container-Read", "X-Container-Write", "X-Container-Sync-")
_REMOVE = "X-Remove-"


class Containers:
    """Verbs for containers, by method. layer: the object layer."""

    def __init__(self, cluster: Cluster, limits: Limits, layer: ObjectLayer) -> None:
        self._cluster = cluster
        self._limits = limits
        self._layer = layer
        self.verbs = {"GET": self.get, "HEAD": self.get, "POST": self.post, "PUT": self.put, "DELETE": self.delete}

    def get(self, request: ProxyRequest) -> Response:
        query = requests.query(request.environ)
        problem = check_listing_limit(query, self._limits.container_listing_limit)
        try:
            if request.method == "HEAD":
                listing = self._layer.container(request.context, request.name)
            else:
                listing = self._layer.list_objects(request.context, request.name, page_of(request, query))
        except ObjstoreError as failure:
            return request.permit() or response_for(failure)
        refused = request.permit(listing.headers.get("X-Container-Read", ""))
        if refused is not None:
            return refused
        if problem:
            return error(412, problem)
        shown = client_headers(request, listing.headers)
        return listed(request, shown, listing.content)

    def put(self, request: ProxyRequest) -> Response:
        refused = request.permit()
        if refused is not None:
            return refused
        changes = self._changes(request)
        check_name(request.name, self._limits)
        policy = request.headers.get(POLICY_NAME, "")
        headers = {messages.POLICY_DEFAULT: str(self._cluster.policies.default.index)}
        if policy:
            found = self._cluster.policies.by_name(policy)
            if found is None:
                return error(400, f"Invalid X-Storage-Policy {policy!r}")
            if found.deprecated:
                return error(400, f"Storage Policy {policy!r} is deprecated")
            headers = {messages.POLICY: str(found.index)}
        account = self._layer.account_info(request.context, request.name.account)
        most = self._cluster.settings.max_containers_per_account
        if 0 < most <= account.container_count:
            known = self._layer.container_info(request.context, request.name)
            if not known.exists:
                return error(403, f"Reached container limit of {most}")
        written = self._write(request, headers | changes)
        if written.status < 300 and not account.container_count:
            # Its first container may have been what the account was made for.
            infos.forget(request.context, request.name.of_account)
        return plain(written.status) if written.status < 300 else error(written.status)

    def post(self, request: ProxyRequest) -> Response:
        refused = request.permit()
        if refused is not None:
            return refused
        changes = self._changes(request)
        known = self._layer.container_info(request.context, request.name)
        if not known.exists:
            return missing(known.status)
        written = self._write(request, changes)
        return plain(written.status) if written.status < 300 else error(written.status)

    def delete(self, request: ProxyRequest) -> Response:
        """In two steps, so that all replicas are deleted, or none: the container takes no new objects, then it goes.

        A replica that was deleted while others are not would be missing to some readers.
        """
        refused = request.permit()
        if refused is not None:
            return refused
        shut = self._shut(request, "1")
        if shut.status == 204:
            written = self._write(request, {})
            if written.status == 204:
                replicas = len(self._cluster.place(request.name).primaries)
                everywhere = [answer.status for answer in written.answers] == [204] * replicas
                return plain(204, None if everywhere else {PARTLY: "true"})
        else:
            written = shut
        if any(answer.ok for answer in shut.answers):
            self._shut(request, "0")
        return error(written.status)

    def _shut(self, request: ProxyRequest, value: str) -> Written:
        """1: let no new objects come, 409 where there are any. 0: let them come again."""
        cluster, name = self._cluster, request.name
        place = cluster.place(name)
        sent = NodeRequest("POST", place.partition, name, traces.carried(request.environ), f"{messages.SHUT}={value}")
        ask = Former(cluster, place).attempt_primary
        return write(cluster, place, [sent] * len(place.primaries), ask=ask)

    def _changes(self, request: ProxyRequest) -> dict[str, str]:
        """Metadata as nodes keep it: removals as empty values, ACLs in their normal form."""
        sent = without_owner_headers(request)
        changes = {name: value for name, value in sent.items() if name.startswith(_KEPT)}
        for name in sent:
            if name.startswith(_REMOVE):
                kept = "X-" + name[len(_REMOVE) :]
                if kept.startswith(_REMOVABLE) and (request.owner or kept not in OWNER_HEADERS):
                    changes.setdefault(kept, "")
        for name in _ACLS:
            if changes.get(name):
                changes[name] = acls.clean(name, changes[name])
        check_metadata("Container", changes, self._limits)
        return changes

    def _write(self, request: ProxyRequest, headers: dict[str, str]) -> Written:
        """Send a change to all replicas, each of which tells some of the account's."""
        cluster = self._cluster
        if request.method == "PUT":
            account = self._layer.account_info(request.context, request.name.account)
            if account.status == 404 or (account.exists and not account.container_count):
                # An account that the proxy only pretends (`Accounts.get`) must come to be now.
                if not cluster.settings.account_autocreate and account.status == 404:
                    return Written(404, [])
                autocreate(cluster, request)
        place = cluster.place(request.name)
        stamp = request.timestamp(cluster.clock)
        updates = cluster.updates(request.name.of_account, len(place.primaries))
        trace = traces.carried(request.environ)
        while True:
            sent = [
                NodeRequest(
                    request.method,
                    place.partition,
                    request.name,
                    {**headers, **trace, messages.TIMESTAMP: stamp.internal, messages.ACCOUNT_UPDATE: update},
                )
                for update in updates.headers
            ]
            written = write_database(cluster, place, sent)
            infos.forget(request.context, request.name)
            if not written.conflict > stamp or request.dated:
                return written
            stamp = cluster.clock.after(written.conflict)
