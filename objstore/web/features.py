"""Features that filters add to the Swift API. The proxy refuses requests for those that nobody has announced.

The filter `info` shows the features of the filters below it; those before it hand it their sections.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from objstore.web import pipeline


def announce(app: object, feature: str) -> None:
    """Report to the proxy at the end of a pipeline that it has a feature; see `swift.unsupported` for the names.

    app: the one below the filter. Nothing happens if the pipeline does not end in the proxy.
    """
    support: Callable[[str], None] | None = pipeline.find(app, "support")
    if support is not None:
        support(feature)


def show(app: object, sections: Mapping[str, Mapping[str, object]]) -> None:
    """Add sections to /info, if its filter stands below. app: the one below the filter that has these sections."""
    add: Callable[[Mapping[str, Mapping[str, object]]], None] | None = pipeline.find(app, "add_sections")
    if add is not None:
        add(sections)
