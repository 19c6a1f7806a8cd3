"""Identities: the bearers of tokens and the owners of S3 keys, as an identity system names them."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple, Protocol

from objstore.core.names import Name

RESELLER_READER = ".reseller_reader"  # the group that may read all accounts through Swift


class Identity(NamedTuple):
    """The client of a request. user: `project:name` of its login. account: the storage account (`AUTH_test`) it uses.

    groups: names in ACLs, the user and its project first; those that begin with a period are the system's, and
    no list can name them. accounts: the storage accounts that it administers. scope: the account or container to whose
    containers and objects it is limited, None for no limit. service: the name in policies of a service of this store,
    '' for a client.
    """

    user: str = ""
    groups: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    reseller_admin: bool = False
    account: str = ""
    scope: Name | None = None
    service: str = ""

    @property
    def known(self) -> bool:
        return bool(self.user)

    @property
    def arn(self) -> str:
        """The name of the user in policies, '' for anonymous requests."""
        return f"arn:aws:iam::{self.account}:user/{self.name}" if self.account else ""

    @property
    def name(self) -> str:
        """The name within the project."""
        return self.user.partition(":")[2]

    @property
    def reads_all(self) -> bool:
        return RESELLER_READER in self.groups

    def administers(self, account: str) -> bool:
        return account in self.accounts or (self.reseller_admin and account == self.account)


ANYONE = Identity()


@lru_cache(maxsize=4096)
def bearer(scope: Name) -> Identity:
    """Return the identity of a request signed with a key of an account or container: anonymous, with its owner's
    rights within it."""
    return Identity(accounts=(scope.account,), account=scope.account, scope=scope)


class Realm(NamedTuple):
    """The accounts that an identity system decides over. prefixes: of their names, the longest first."""

    prefixes: tuple[str, ...]

    def covers(self, account: str) -> bool:
        return account.startswith(self.prefixes)

    def is_system(self, account: str) -> bool:
        """Return whether an account is the system's own: it begins with a period, or is the bare prefix."""
        prefix = next((prefix for prefix in self.prefixes if account.startswith(prefix)), "")
        return account[len(prefix) :][:1] in ("", ".")


class Credential(NamedTuple):
    """A pair of S3 keys: the identity of its owner, and its secret."""

    identity: Identity
    secret_key: str


class AccessKeys(Protocol):
    """The S3 keys of identities.

    A filter of authentication puts one into environ['objstore.access_keys'] for the filters after it, and has it as
    attribute `access_keys` for those before it.
    """

    def find(self, access_key: str) -> Credential | None:
        """Return the credential of an access key, None if unknown. Costs microseconds; never waits for a host."""
        ...

    def has_account(self, account: str) -> bool:
        """Return whether there is an identity that uses this storage account."""
        ...
