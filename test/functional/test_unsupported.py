"""Features of Swift that are not here: 501 with their name, and nothing done."""

from __future__ import annotations

import pytest
from harness.client import Answer, Client
from harness.layouts import ONE_DEVICE

pytestmark = ONE_DEVICE


def refused(answer: Answer) -> bool:
    return answer.status == 501 and b"not supported" in answer.body


@pytest.mark.parametrize("header", ["X-Object-Manifest"])
def test_objects_that_stand_for_others(owner: Client, container: str, header: str) -> None:
    assert refused(owner.put(f"{container}/o", b"", {header: f"{container}/x"}))
    assert owner.get(f"{container}/o").status == 404
    assert owner.put(f"{container}/o", b"content", {"X-Object-Meta-A": "b"}).status == 201
    assert refused(owner.post(f"{container}/o", {header: f"{container}/x"}))
    assert refused(owner.copy(f"{container}/o", f"{container}/p", {header: f"{container}/x"}))
    assert owner.get(f"{container}/o")["X-Object-Meta-A"] == "b"
    assert owner.names(container) == ["o"]
