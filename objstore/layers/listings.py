"""Listings that are read to their end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from objstore.core.names import Name
from objstore.layers.interface import ObjectLayer, Page
from objstore.web.context import RequestContext


def rows(layer: ObjectLayer, context: RequestContext, name: Name, page: Page) -> Iterator[dict[str, Any]]:
    """The rows of a container or account from a page on, read page by page as they are asked for. Raises NotFound."""
    ask = layer.list_objects if name.container is not None else layer.list_containers
    limit = page.limit
    assert limit is not None
    while True:
        found: list[dict[str, Any]] = ask(context, name, page).rows
        yield from found
        if len(found) < limit:
            return
        page = page._replace(marker=found[-1].get("name") or found[-1]["subdir"])
