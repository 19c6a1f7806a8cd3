"""Statuses of nodes as errors: the table of `web.errors` makes the same statuses of them."""

from __future__ import annotations

import pytest

from objstore.cluster.failures import failure
from objstore.web.errors import status_of


@pytest.mark.parametrize("status", [400, 404, 408, 409, 410, 412, 422, 431, 499, 503, 507])
def test_a_client_gets_the_status_of_the_nodes(status: int) -> None:
    assert status_of(failure(status)) == status


@pytest.mark.parametrize(("status", "shown"), [(414, 400), (500, 503), (502, 503), (504, 503)])
def test_other_statuses_are_of_the_request_or_of_the_nodes(status: int, shown: int) -> None:
    assert status_of(failure(status)) == shown
