"""The layers of a proxy. A new one is a module of this package, and a line here."""

from __future__ import annotations

from dataclasses import dataclass

from objstore.layers import dlo, manifests, placement, quotas, symlinks, versioned_writes, versions
from objstore.layers.stack import Registry
from objstore.runtime.settings import setting, table

# Outermost first.
LAYERS = Registry(
    (symlinks.KIND, dlo.KIND, versioned_writes.KIND, placement.KIND, versions.KIND, manifests.KIND, quotas.KIND)
)


@dataclass(frozen=True)
class StackSettings:
    """The order of the layers."""

    layers: tuple[str, ...] = setting(
        LAYERS.order, LAYERS.default, f"layers around the cluster, outermost first; out of: {', '.join(LAYERS.names)}"
    )


SETTINGS = (*table(StackSettings), *LAYERS.table)
