"""Each stack of layers, made once in a process; each test has containers and accounts of its own in it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest
from harness.layer_stacks import STACKS, Shelf

from objstore.layers.interface import ObjectLayer


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], ObjectLayer]:
    """Returns a stack by its name. A new one each time would fill the process with open files."""
    return cache(lambda name: STACKS[name](tmp_path_factory.mktemp("store")))


@pytest.fixture(scope="module", params=STACKS)
def layer(request: pytest.FixtureRequest, stack: Callable[[str], ObjectLayer]) -> ObjectLayer:
    return stack(request.param)


@pytest.fixture
def shelf(layer: ObjectLayer) -> Shelf:
    return Shelf(layer)
