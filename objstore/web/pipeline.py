"""What the filters of a pipeline offer one another."""

from __future__ import annotations

from typing import Any


def find(app: Any, attribute: str) -> Any:
    """The attribute of the first app, from `app` down to the end of the pipeline, that has it; None if none has."""
    while app is not None:
        value = getattr(app, attribute, None)
        if value is not None:
            return value
        app = getattr(app, "app", None)
    return None
