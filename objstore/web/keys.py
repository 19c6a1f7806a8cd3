"""The seam between those who verify signatures and those who know whose key it is.

A filter of authentication puts an `AccessKeys` into environ['objstore.access_keys'] for the
filters after it, and has it as attribute `access_keys` for those before it.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from objstore.web.access import Identity


class Credential(NamedTuple):
    """identity: whom the key makes of its user. account: the storage account that the user works in."""

    identity: Identity
    secret_key: str
    account: str


class AccessKeys(Protocol):
    """Who has which access key."""

    def find(self, access_key: str) -> Credential | None:
        """Whose access key this is, None for nobody's. Costs microseconds, and never waits for another host."""
        ...

    def has_account(self, account: str) -> bool:
        """Is there someone who works in this storage account?"""
        ...
