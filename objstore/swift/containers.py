"""Requests for containers."""

from __future__ import annotations

from objstore.access import swift_acls
from objstore.cluster.cluster import Cluster
from objstore.core.errors import AccountDeleted, Conflict, ObjstoreError
from objstore.core.headers import POLICY_NAME
from objstore.core.limits import Limits
from objstore.core.lives import PARTLY
from objstore.layers.interface import ContainerOptions, ObjectLayer
from objstore.layers.versions import is_locked
from objstore.swift import object_lock, versioned_writes, versions
from objstore.swift.permission import LISTS
from objstore.swift.request import (
    OWNER_HEADERS,
    ProxyRequest,
    client_headers,
    listing_answer,
    page_of,
    plain,
    without_owner_headers,
)
from objstore.web import guards, infos, requests
from objstore.web.constraints import check_listing_limit, check_metadata, check_name
from objstore.web.errors import response_for
from objstore.web.infos import ContainerInfo
from objstore.web.responses import Response, error

# Stored with a container; other headers of a request are not.
_KEPT = ("X-Container-Meta-", "X-Container-Sysmeta-", "X-Container-Read", "X-Container-Write", "X-Container-Sync-")
# Headers that a client may remove by X-Remove-*: never system metadata, in any spelling.
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
        if guards.KEY in request.environ:  # before the listing is read, which they may limit
            refused = request.permit()
            if refused is not None:
                return refused
        try:
            if request.method == "HEAD":
                listing = self._layer.container(request.context, request.name)
            elif versions.LISTING in query:
                listing = versions.listing(request, self._layer, query, self._limits.container_listing_limit)
            else:
                listing = self._layer.list_objects(request.context, request.name, page_of(request, query))
        except ObjstoreError as failure:
            return request.permit() or response_for(failure)
        container = infos.from_headers(ContainerInfo, 204, listing.headers)
        refused = request.permit(container)
        if refused is not None:
            return refused
        if problem:
            return error(412, problem)
        shown = client_headers(request, listing.headers)
        if versioned_writes.ARCHIVED in container.sysmeta:
            shown |= versioned_writes.shown(container.sysmeta)
        elif container.keeps_versions:
            shown |= versions.shown_headers(request, self._layer, container, listing.headers)
            if is_locked(container.sysmeta):
                shown[object_lock.HEADER] = "True"
        return listing_answer(request, shown, listing.content)

    def put(self, request: ProxyRequest) -> Response:
        refused = request.permit()
        if refused is not None:
            return refused
        headers = self._stored_headers(request) | self._changed_versioning(request)
        check_name(request.name, self._limits)
        name = request.headers.get(POLICY_NAME, "")
        policy = self._cluster.policies.by_name(name) if name else None
        if name and policy is None:
            return error(400, f"Invalid X-Storage-Policy {name!r}")
        if policy is not None and policy.deprecated:
            return error(400, f"Storage Policy {name!r} is deprecated")
        options = ContainerOptions(headers, request.given_timestamp, None if policy is None else policy.index)
        try:
            made = self._layer.create_container(request.context, request.name, options)
        except AccountDeleted:
            return error(503)  # as Swift, where the account cannot be created on demand
        return plain(201 if made else 202)

    def post(self, request: ProxyRequest) -> Response:
        refused = request.permit()
        if refused is not None:
            return refused
        headers = self._stored_headers(request) | self._changed_versioning(request)
        options = ContainerOptions(headers, request.given_timestamp)
        self._layer.update_container(request.context, request.name, options)
        return plain(204)

    def delete(self, request: ProxyRequest) -> Response:
        refused = request.permit()
        if refused is not None:
            return refused
        try:
            everywhere = self._layer.delete_container(request.context, request.name, request.given_timestamp)
        except Conflict:
            container = self._layer.container_info(request.context, request.name)
            is_cleared = container.keeps_versions and versions.drop_null_markers(request, self._layer)
            if not is_cleared:
                raise
            everywhere = self._layer.delete_container(request.context, request.name, request.given_timestamp)
        return plain(204, None if everywhere else {PARTLY: "true"})

    def _changed_versioning(self, request: ProxyRequest) -> dict[str, str]:
        """Return the headers that store what the request changes of the versions of objects."""
        if not versioned_writes.is_concerned(request) and object_lock.HEADER not in request.headers:
            return {}
        container = self._layer.container_info(request.context, request.name)
        changed = versioned_writes.changed(request, container) | versions.changed_state(request, container)
        return changed | object_lock.changed_state(request, container)

    def _stored_headers(self, request: ProxyRequest) -> dict[str, str]:
        """Return metadata as nodes store it: removals as empty values, ACLs in their normal form."""
        sent = without_owner_headers(request)
        changes = {name: value for name, value in sent.items() if name.startswith(_KEPT)}
        for name in sent:
            if name.startswith(_REMOVE):
                kept = "X-" + name[len(_REMOVE) :]
                if kept.startswith(_REMOVABLE) and (request.owner or kept not in OWNER_HEADERS):
                    changes.setdefault(kept, "")
        for name in LISTS:
            if changes.get(name):
                changes[name] = swift_acls.clean(name, changes[name])
        check_metadata("Container", changes, self._limits)
        return changes
