"""Identities for tests."""

from __future__ import annotations

from objstore.access.identity import Identity


def identity(account: str, user: str, administers: bool = False) -> Identity:
    """A user who works in an account."""
    project = account.removeprefix("AUTH_")
    return Identity(
        f"{project}:{user}", (f"{project}:{user}", project), (account,) if administers else (), account=account
    )
