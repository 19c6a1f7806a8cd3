"""The right of one client to change many names: one decision for each container, where it holds for all its objects."""

from __future__ import annotations

from objstore.access.bucket import POLICY_SYSMETA
from objstore.access.identity import ANYONE
from objstore.core.errors import ObjstoreError
from objstore.core.names import Name
from objstore.layers.interface import ObjectLayer
from objstore.swift.permission import Permissions
from objstore.web import guards
from objstore.web.context import RequestContext
from objstore.web.errors import status_of
from objstore.web.requests import Environ

_ANY_OBJECT = "-"  # without a policy the decision is the same for each


class Rights:
    """The decisions for one bulk request. environ: of the request."""

    def __init__(self, environ: Environ, context: RequestContext, layer: ObjectLayer) -> None:
        self._environ = environ
        self._context = context
        self._layer = layer
        self._permissions = Permissions(layer)
        self._is_scoped = environ.get("objstore.identity", ANYONE).scope is not None
        self._decided: dict[tuple[str, str | None, bool, bool], int] = {}

    def refusal(self, method: str, name: Name, query: str = "") -> int:
        """Return 0 if a request with that method for a container or object is permitted, else the status.

        The status is 401 or 403, or that of a guard (`web.guards`), which may wait. query: of that request.
        """
        key = (method, name.container, name.object is None, bool(query))
        status = self._decided.get(key)
        if status is not None:
            return status
        info = self._layer.container_info(self._context, name)
        # Policies, scopes and guards alone know names of objects, and the values of a query.
        knows_names = self._is_scoped or POLICY_SYSMETA in info.sysmeta or guards.KEY in self._environ
        depends_on_name = name.object is not None and knows_names
        environ = {**self._environ, "REQUEST_METHOD": method, "QUERY_STRING": query, "objstore.log_info": []}
        asked = name if depends_on_name or name.object is None else name._replace(object=_ANY_OBJECT)
        try:
            refused = self._permissions.refusal(environ, self._context, asked, info)
            status = 0 if refused is None else refused.status
            if not status and guards.KEY in environ:
                guards.check(environ, self._context, method, asked)
        except ObjstoreError as failure:  # of a guard, or a policy that cannot be read
            status = status_of(failure)
        if not depends_on_name:
            self._decided[key] = status
        return status
