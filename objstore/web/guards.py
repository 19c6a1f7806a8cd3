"""Guards: what filters check of the requests that access control has permitted, in both APIs.

A filter adds its guard to environ before the request is read; the languages call `check` once they know the name and
the rights. So a guard counts nothing for clients without rights, and knows the container of an S3 request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from objstore.core.names import Name
from objstore.web.context import RequestContext
from objstore.web.requests import Environ

KEY = "objstore.guards"
_DONE = "objstore.guarded"
_CHANGES = frozenset({"PUT", "POST", "DELETE", "COPY"})


class Permitted(NamedTuple):
    """A permitted request, as Swift would name it: GET of a container is a listing. environ: of the request.

    A request for several names is one for each of them.
    """

    method: str
    name: Name
    context: RequestContext
    environ: Environ

    @property
    def changes(self) -> bool:
        return self.method in _CHANGES


# Raises an ObjstoreError to refuse the request. It may wait.
Guard = Callable[[Permitted], None]


def add(environ: Environ, guard: Guard) -> None:
    environ[KEY] = (*environ.get(KEY, ()), guard)


def check(environ: Environ, context: RequestContext, method: str, name: Name) -> None:
    """Call the guards of a request, once for each method and name. Raises ObjstoreError as they do."""
    guards: tuple[Guard, ...] = environ[KEY]
    done: set[Any] = environ.setdefault(_DONE, set())
    if (method, name) in done:
        return
    done.add((method, name))
    permitted = Permitted(method, name, context, environ)
    for guard in guards:
        guard(permitted)
