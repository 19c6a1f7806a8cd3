"""The look-ups of accounts and containers that operations need."""

from __future__ import annotations

from typing import Protocol

from objstore.core.errors import NoContainer, NodeFailure
from objstore.core.names import Name
from objstore.web.context import RequestContext
from objstore.web.infos import AccountInfo, ContainerInfo


class Infos(Protocol):
    """The look-ups of `layers.interface.ObjectLayer`."""

    def container_info(self, context: RequestContext, name: Name) -> ContainerInfo: ...

    def account_info(self, context: RequestContext, account: str) -> AccountInfo: ...


def existing(infos: Infos, context: RequestContext, name: Name) -> ContainerInfo:
    """Return the info of the container of a name. Raises NoContainer, NodeFailure if it cannot be looked up."""
    container = infos.container_info(context, name)
    if container.exists:
        return container
    if container.status in (404, 410):
        raise NoContainer(f"there is no container {name.of_container.path}")
    raise NodeFailure(f"the container {name.of_container.path} cannot be looked up")
