"""Listings that are read to their end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from objstore.core.names import Name
from objstore.layers.interface import ObjectLayer, Page
from objstore.web.context import RequestContext


def rows(layer: ObjectLayer, context: RequestContext, name: Name, page: Page) -> Iterator[dict[str, Any]]:
    """Yield the rows of a container or account from a page on, read page by page on demand. Raises NotFound."""
    list_page = layer.list_objects if name.container is not None else layer.list_containers
    limit = page.limit
    assert limit is not None
    while True:
        page_rows: list[dict[str, Any]] = list_page(context, name, page).rows
        yield from page_rows
        if len(page_rows) < limit:
            return
        page = page._replace(marker=page_rows[-1].get("name") or page_rows[-1]["subdir"])
