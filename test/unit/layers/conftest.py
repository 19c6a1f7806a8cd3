"""Each stack of layers, made once a module; each test has a container of its own in it."""

from __future__ import annotations

import pytest
from harness.layer_stacks import STACKS, Shelf

from objstore.layers.interface import ObjectLayer


@pytest.fixture(scope="module", params=STACKS)
def layer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ObjectLayer:
    return STACKS[request.param](tmp_path_factory.mktemp("store"))


@pytest.fixture
def shelf(layer: ObjectLayer) -> Shelf:
    return Shelf(layer)
