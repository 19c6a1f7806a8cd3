"""The store that a functional test speaks to."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from harness.client import Client, log_in
from harness.processes import Serve, run


class Store(NamedTuple):
    """server: None for a store that we did not start."""

    endpoint: str
    user: str
    key: str
    server: Serve | None

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.endpoint.rpartition("/")[2].rpartition(":")
        return host, int(port)

    def started_here(self) -> Serve:
        """The server, for what only its operator can do."""
        if self.server is None:
            pytest.skip("needs the server's data directory")
        return self.server

    def add_user(self, name: str, *options: str) -> Client:
        """A client for a new user, who may do nothing in our account."""
        data = self.started_here().data
        run("user", "add", name, "--data", str(data), "--key", "secret", "--replace", *options)
        return log_in(self.endpoint, name, "secret")
