"""Which cluster runs while probes are at work."""

from __future__ import annotations

from typing import Any

import pytest

from harness.cluster import Cluster


class Running:
    """The one cluster that runs: of a test's module, until a test leaves it unsound, and the next has a new one.

    One at a time, since its forty processes are what two cores carry; and new for each module, since all that is
    kept is looked through again and again by daemons and by `check_cluster`.
    """

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        self._factory = factory
        self._cluster: Cluster | None = None
        self._made_for: object = None

    def get(self, owner: object, **options: Any) -> Cluster:
        """The owner's cluster of these options, made if there is none. options: as of `Cluster`."""
        if self._cluster is None or self._made_for != (owner, options):
            self.drop()
            self._made_for = owner, options
            self._cluster = Cluster(self._factory.mktemp("cluster"), **{"controlled": True, **options})
            self._cluster.start()
        return self._cluster

    def drop(self) -> None:
        if self._cluster is not None:
            cluster, self._cluster = self._cluster, None
            cluster.stop()
