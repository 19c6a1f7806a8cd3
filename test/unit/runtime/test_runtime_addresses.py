"""Which addresses are this host's."""

from __future__ import annotations

import pytest

from objstore.runtime.addresses import own_ips


def test_a_server_bound_to_one_address_is_found_there_alone() -> None:
    assert own_ips("127.0.0.3") == {"127.0.0.3"}


@pytest.mark.parametrize("any_address", ["0.0.0.0", "::", "[::]", ""])
def test_a_server_bound_to_all_is_found_at_each_of_the_hosts_addresses(any_address: str) -> None:
    assert "127.0.0.1" in own_ips(any_address)


def test_what_the_operator_names_counts_alone() -> None:
    assert own_ips("0.0.0.0", "10.0.0.1, 10.1.0.1") == {"10.0.0.1", "10.1.0.1"}
