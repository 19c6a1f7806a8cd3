"""The settings of each section of a configuration file: those of its app or filter."""

from __future__ import annotations

import re
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from objstore.assembly.kinds import KINDS
from objstore.runtime.settings import Setting, Table

OURS = "objstore"
# Settings whose names contain other names, by filter.
PATTERNS = {
    "ratelimit": re.compile(r"container_(listing_)?ratelimit_[0-9]+"),
    "tempauth": re.compile(r"user(64)?_\w+|\w+_require_group"),
}


def filter_table(name: str) -> Table | None:
    """Return the settings of our filter of this name; None if there is no such filter."""
    found = _entry_point("paste.filter_factory", name)
    return None if found is None else tuple(getattr(import_module(found.module), "SETTINGS", ()))


def all_filters() -> list[str]:
    """Return the names of our filters."""
    points = entry_points(group="paste.filter_factory")
    return sorted(point.name for point in points if point.module.startswith(OURS + "."))


def app_table(name: str) -> Table | None:
    """Return the settings of our app of this name."""
    if name not in KINDS:
        return None
    from objstore.assembly.apps import SECTIONS  # imports all the servers

    return unique(SECTIONS[name])


def unique(*tables: Table) -> Table:
    """Return the settings of several tables; the first table with a name wins."""
    by_name: dict[str, Setting[object]] = {}
    for table in tables:
        for setting in table:
            by_name.setdefault(setting.name, setting)
    return tuple(by_name.values())


def _entry_point(group: str, name: str) -> EntryPoint | None:
    found = [point for point in entry_points(group=group, name=name) if point.module.startswith(OURS + ".")]
    return found[0] if found else None
