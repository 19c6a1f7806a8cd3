"""The stacks of layers over which the conformance suite runs, and what its tests do with one.

A layer of the registry is here of itself: around those further inside and the layer in memory, and in the whole stack
over a cluster.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.in_process import InProcess
from objstore.core.names import Name
from objstore.core.policies import Policies, StoragePolicy
from objstore.layers.bodies import BytesBody
from objstore.layers.interface import (
    ContainerOptions,
    DeleteOptions,
    DeleteResult,
    ObjectLayer,
    Page,
    PutOptions,
    PutResult,
    ReadOptions,
    Reply,
    UpdateOptions,
)
from objstore.layers.memory import MemoryLayer
from objstore.layers.registry import LAYERS
from objstore.layers.stack import Deps, Outermost
from objstore.web.context import RequestContext

POLICIES = Policies([StoragePolicy(0, "gold", default=True), StoragePolicy(1, "silver")])  # as `InProcess` has them
LIMIT = 1 << 20  # bytes of an object in memory

Stack = Callable[[Path], ObjectLayer]


def memory(root: Path) -> ObjectLayer:
    return MemoryLayer(POLICIES, LIMIT)


def cluster(root: Path) -> ObjectLayer:
    """On real files: four hosts with a device each, three replicas."""
    return InProcess(root).proxy.layer


def around(inner: Stack, *names: str) -> Stack:
    """Layers of the registry, the first outermost."""

    def build(root: Path) -> ObjectLayer:
        deps = Deps({"free_delay": "0"}, POLICIES, logging.getLogger("test"), Outermost())
        return LAYERS.build(inner(root), deps, names)

    return build


STACKS: dict[str, Stack] = {
    "memory": memory,
    **{f"{name} over memory": around(memory, *LAYERS.names[index:]) for index, name in enumerate(LAYERS.names)},
    "cluster": cluster,
    "all over cluster": around(cluster, *LAYERS.names),
}


class Shelf:
    """A container of its own for each test. Options are given as fields of the values that operations take."""

    _numbers = itertools.count(1)

    def __init__(self, layer: ObjectLayer) -> None:
        self.layer = layer
        self.container = Name(f"a{next(self._numbers)}", "c")
        layer.create_container(self.context, self.container, ContainerOptions({}))

    @property
    def context(self) -> RequestContext:
        """The context of another request."""
        return RequestContext()

    def name(self, key: str) -> Name:
        return self.container._replace(object=key)

    def put(self, key: str, data: bytes = b"", headers: Mapping[str, str] | None = None, **options: Any) -> PutResult:
        kept = {"Content-Type": "text/plain", **(headers or {})}
        return self.layer.put(self.context, self.name(key), PutOptions(kept, **options), BytesBody(data))

    def open(self, key: str, conditions: Mapping[str, str] | None = None, **options: Any) -> Reply:
        return self.layer.open(self.context, self.name(key), ReadOptions(conditions or {}, **options))

    def head(self, key: str) -> dict[str, str]:
        return self.open(key, head=True).headers

    def read(self, key: str, **options: Any) -> bytes:
        return self.open(key, **options).read()

    def update(self, key: str, headers: Mapping[str, str], **options: Any) -> None:
        self.layer.update(self.context, self.name(key), UpdateOptions(headers, **options))

    def delete(self, key: str, **options: Any) -> DeleteResult:
        return self.layer.delete(self.context, self.name(key), DeleteOptions(**options))

    def rows(self, **page: Any) -> list[dict[str, Any]]:
        return self.layer.list_objects(self.context, self.container, Page(**page)).rows

    def names(self, **page: Any) -> list[str]:
        """Names of rows, and of groups."""
        return [row.get("name") or row["subdir"] for row in self.rows(**page)]

    @property
    def life(self) -> str:
        return self.layer.container_info(self.context, self.container).life
