"""Headers of an account's quotas."""

from __future__ import annotations

import pytest

from objstore.core.errors import InvalidInput
from objstore.core.policies import Policies, StoragePolicy
from objstore.core.quotas import STORED
from objstore.swift import account_quotas

POLICIES = Policies([StoragePolicy(0, "gold", default=True), StoragePolicy(3, "cold-line")])


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ({"X-Account-Quota-Bytes": "5"}, {"Bytes": "5"}),
        ({"X-Account-Meta-Quota-Bytes": "5"}, {"Bytes": "5"}),
        ({"X-Account-Quota-Bytes": "5", "X-Account-Meta-Quota-Bytes": "6"}, {"Bytes": "5"}),
        ({"X-Account-Quota-Count": ""}, {"Count": ""}),
        ({"X-Remove-Account-Quota-Count": "9"}, {"Count": ""}),
        ({"X-Remove-Account-Meta-Quota-Bytes": "x"}, {"Bytes": ""}),
        ({"X-Account-Quota-Bytes-Policy-Cold-Line": "0"}, {"Bytes-Policy-3": "0"}),
        ({"X-Account-Quota-Count-Policy-GOLD": "1"}, {"Count-Policy-0": "1"}),
        ({"X-Remove-Account-Quota-Count-Policy-Gold": "1"}, {"Count-Policy-0": ""}),
        ({"X-Account-Meta-Quota-Count": "1", "X-Account-Meta-Quota-Bytes-X": "1"}, {}),
    ],
)
def test_what_is_stored(sent: dict[str, str], stored: dict[str, str]) -> None:
    expected = {STORED + name: value for name, value in stored.items()}
    assert account_quotas.sent(sent, POLICIES) == expected


@pytest.mark.parametrize(
    "header",
    [
        {"X-Account-Quota-Bytes": "five"},
        {"X-Account-Quota-Bytes-Policy-Silver": "5"},
        {"X-Account-Quota-Bytes-Policy-": "5"},
        {"X-Account-Quota-Bytes-Policyx": "5"},
        {"X-Account-Quota-Count-Policy-Gold": "1.0"},
    ],
)
def test_what_is_refused(header: dict[str, str]) -> None:
    with pytest.raises(InvalidInput):
        account_quotas.sent(header, POLICIES)


def test_what_is_shown() -> None:
    headers = {f"{STORED}Bytes": "5", f"{STORED}Count-Policy-3": "7", f"{STORED}Bytes-Policy-9": "1"}
    account_quotas.shown(headers, POLICIES)
    shown = {name: value for name, value in headers.items() if not name.startswith(STORED)}
    assert shown == {
        "X-Account-Quota-Bytes": "5",
        "X-Account-Meta-Quota-Bytes": "5",
        "X-Account-Quota-Count-Policy-Cold-Line": "7",
    }
