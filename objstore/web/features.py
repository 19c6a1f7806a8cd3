"""Features that filters add to the Swift API. The proxy refuses requests for those that nobody has announced."""

from __future__ import annotations

from collections.abc import Callable

from objstore.web import pipeline


def announce(app: object, feature: str) -> None:
    """Report to the proxy at the end of a pipeline that it has a feature; see `swift.unsupported` for the names.

    app: the one below the filter. Nothing happens if the pipeline does not end in the proxy.
    """
    support: Callable[[str], None] | None = pipeline.find(app, "support")
    if support is not None:
        support(feature)
