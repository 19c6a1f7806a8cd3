"""Commands set the umask of their process, which is the tests' own here."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from objstore.runtime.owners import PRIVATE


@pytest.fixture(autouse=True, scope="module")
def umask_of_commands() -> Iterator[None]:
    before = os.umask(PRIVATE)
    yield
    os.umask(before)
