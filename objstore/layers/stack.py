"""The order of layers: the declaration of each kind, the check of a configured order, and the stack made of it.

Orders are written like pipelines: outermost first. A request passes the layers from left to right.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple, TypeVar

from objstore.core.limits import DEFAULT_LIMITS, Limits
from objstore.core.policies import Policies
from objstore.layers.interface import ObjectLayer
from objstore.runtime import settings
from objstore.runtime.settings import Dataclass, Table

_Layer = TypeVar("_Layer")


class Outermost:
    """The outermost layer of a stack, for layers that read further objects as clients do. layer: set when made."""

    layer: ObjectLayer


class Deps(NamedTuple):
    """The dependencies of a layer, beside the layer inside it.

    conf: the settings of the proxy's section, as text. outermost: of the stack that is being made.
    """

    conf: Mapping[str, str]
    policies: Policies
    logger: logging.Logger
    outermost: Outermost
    limits: Limits = DEFAULT_LIMITS


class LayerKind(NamedTuple):
    """A kind of layer in the registry.

    make: puts it around another layer; raises ConfigError for its settings. The layer may have an attribute `features`,
    names of what it adds to the Swift API (`swift.unsupported`), and a method `info()`, sections of /info. settings: in
    the section of the proxy app, so no two layers may have one of the same name. outside_of: layers that must be
    further inside, if they are used. needed: the failure without this layer; '' if it is optional.
    """

    name: str
    make: Callable[[ObjectLayer, Deps], ObjectLayer]
    settings: type[Dataclass] | None = None
    outside_of: tuple[str, ...] = ()
    needed: str = ""


class Registry:
    """The kinds of layers, in an order that is valid for all of them."""

    def __init__(self, kinds: Sequence[LayerKind]) -> None:
        self._kinds = {kind.name: kind for kind in kinds}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._kinds)

    @property
    def default(self) -> str:
        """The order of a proxy whose settings name none."""
        return " ".join(name for name, kind in self._kinds.items() if kind.needed)

    @property
    def table(self) -> Table:
        """The settings of all layers."""
        return tuple(one for kind in self._kinds.values() if kind.settings for one in settings.table(kind.settings))

    def order(self, text: str) -> tuple[str, ...]:
        """Return the names of an order. Raises ValueError, which names the right one."""
        names = settings.words(text)
        problem = self._problem(names)
        if problem:
            raise ValueError(problem)
        return names

    def build(self, inner: ObjectLayer, deps: Deps, order: Sequence[str]) -> ObjectLayer:
        """Put layers around `inner`, the first outermost. Raises ConfigError for their settings."""
        for name in reversed(order):
            inner = self._kinds[name].make(inner, deps)
        deps.outermost.layer = inner
        return inner

    def _problem(self, names: Sequence[str]) -> str:
        for name in names:
            if name not in self._kinds:
                return f"there is no layer {name}; there are {', '.join(self._kinds)}"
            if names.count(name) > 1:
                return f"{name} is there twice"
        right = " ".join(name for name, kind in self._kinds.items() if kind.needed or name in names)
        for name, kind in self._kinds.items():
            if kind.needed and name not in names:
                return f"{name} is missing: {kind.needed}; write layers = {right}"
        for outer, inner in combinations(names, 2):
            if outer in self._kinds[inner].outside_of:
                return f"{inner} must stand before {outer}; write layers = {right}"
        return ""


def layers(layer: object) -> Iterator[object]:
    """Yield the layers of the stack that begins with `layer`, the outermost first."""
    while layer is not None:
        yield layer
        layer = getattr(layer, "inner", None)


def find(layer: object, kind: type[_Layer]) -> _Layer | None:
    """Return the outermost layer of a class, in the stack that begins with `layer`; None if there is none."""
    return next((one for one in layers(layer) if isinstance(one, kind)), None)
