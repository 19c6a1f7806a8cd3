"""Access keys of the users table, for code that verifies signatures (see `access.identity`)."""

from __future__ import annotations

from objstore.access.identity import Credential
from objstore.auth.users_file import Users


class TableKeys:
    """The explicit pairs of users, and `project:user` with its key if that is stored plain."""

    def __init__(self, users: Users) -> None:
        self._users = users

    def find(self, access_key: str) -> Credential | None:
        return self._users.current().credentials.get(access_key)

    def has_account(self, account: str) -> bool:
        return account in self._users.current().accounts
