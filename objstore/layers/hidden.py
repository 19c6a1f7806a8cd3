"""Hidden containers, in which layers store data that belong to the objects of a container (`core.names.hidden`)."""

from __future__ import annotations

import contextlib

from objstore.core.errors import Conflict, ContainerReplaced, NoContainer, NotFound, ObjectHeld, ObjstoreError
from objstore.core.headers import POLICY
from objstore.core.names import Name
from objstore.layers.interface import ContainerOptions, DeleteOptions, ObjectLayer, Page
from objstore.web.context import RequestContext

_PAGE = 1000  # rows of a listing


def make(layer: ObjectLayer, context: RequestContext, name: Name, owner: Name, policy: int | None = None) -> None:
    """Make the hidden container of a name, if it does not exist.

    owner: the container it belongs to, or a name in that. policy: its storage policy, None for that of its owner.
    Raises NoContainer, ContainerReplaced if the owner is being deleted.
    """
    if layer.container_info(context, name).exists:
        return
    try:
        if policy is None:
            policy = int(layer.container(context, owner.of_container).headers.get(POLICY, 0))
        layer.create_container(context, name.of_container, ContainerOptions({}, policy=policy))
    except (NotFound, Conflict):
        raise gone(layer, context, owner) from None


def gone(layer: ObjectLayer, context: RequestContext, owner: Name) -> ObjstoreError:
    """Return the error for a missing hidden container: it was deleted with its owner, or with a former life of that.

    In the latter case the same request may be sent again.
    """
    try:
        layer.container(context, owner.of_container)
    except NotFound:
        return NoContainer(f"{owner.of_container.path} was deleted", ended=True)
    return ContainerReplaced(f"{owner.of_container.path} was deleted and made again")


def clear(layer: ObjectLayer, context: RequestContext, name: Name, owner: Name) -> None:
    """Delete a hidden container and its objects, if it exists, as long as its owner does not.

    What is held by object lock stays.
    """
    marker = ""
    try:
        while True:
            rows = layer.list_objects(context, name, Page(marker=marker, limit=_PAGE)).rows
            if _exists(layer, context, owner):
                return  # another creation made it, and some of the rows may be its own
            for row in rows:
                marker = str(row["name"])
                with contextlib.suppress(ObjectHeld):
                    layer.delete(context, name._replace(object=marker), DeleteOptions())
            if len(rows) < _PAGE:
                break
    except NotFound:
        return
    try:
        layer.delete_container(context, name)
    except (NotFound, Conflict):
        pass


def _exists(layer: ObjectLayer, context: RequestContext, name: Name) -> bool:
    """Return whether a container exists. Not from the cache, which may be out of date."""
    try:
        layer.container(context, name.of_container)
    except NotFound:
        return False
    return True
