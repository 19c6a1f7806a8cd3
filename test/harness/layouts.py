"""The stores that functional tests start, by name, and the options of `objstore serve` for each."""

from __future__ import annotations

import pytest

LAYOUTS: dict[str, dict[str, int | str]] = {"one_device": {}, "three_replicas": {"devices": 4, "replicas": 3}}

# For modules whose subject does not depend on where the copies are.
ONE_DEVICE = pytest.mark.parametrize("store", ["one_device"], indirect=True)
