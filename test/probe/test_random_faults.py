"""Faults of all kinds at random, under load: nothing acknowledged is lost, and all comes to rest.

`make torture SECONDS=600 SEED=7` does the same for longer.
"""

from __future__ import annotations

import secrets

import pytest
from harness.cluster import Cluster
from harness.driver import torture
from harness.processes import environment

SECONDS = float(environment("TORTURE_SECONDS") or 25)


@pytest.mark.parametrize("seed", [7, secrets.randbelow(1_000_000)], ids=["known seed", "new seed"])
def test_a_cluster_survives_faults_at_random(cluster: Cluster, seed: int) -> None:
    torture(cluster, seed, SECONDS)


@pytest.mark.cluster(packed_limit="0")
def test_a_cluster_that_packs_nothing_survives_faults_at_random(cluster: Cluster) -> None:
    torture(cluster, secrets.randbelow(1_000_000), SECONDS)
