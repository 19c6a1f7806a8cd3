"""The apps of a pipeline, each filter of which holds the next as its attribute `app`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

_App = TypeVar("_App")


def apps(app: object) -> Iterator[object]:
    """This app and those below it, in the order in which a request passes them."""
    while app is not None:
        yield app
        app = getattr(app, "app", None)


def find(app: object, attribute: str) -> Any:
    """The attribute of the first app that has it and not as None; None if there is none."""
    values = (getattr(each, attribute, None) for each in apps(app))
    return next((value for value in values if value is not None), None)


def find_app(app: object, kind: type[_App]) -> _App | None:
    """The first app of a kind; None if there is none."""
    return next((each for each in apps(app) if isinstance(each, kind)), None)
