"""Settings of an account that only resellers change: system metadata of the account, with a header of its own.

A reseller admin sends the header with POST or PUT of the account, empty to remove the setting; owners see it with GET
and HEAD. Without authentication everyone may set it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from objstore.access.identity import ANYONE, Identity
from objstore.core.errors import AccessDenied, InvalidInput
from objstore.core.text import ENVIRON_KEY
from objstore.web.guards import Permitted
from objstore.web.infos import AccountInfo
from objstore.web.requests import Environ, StartResponse


class AccountSetting(NamedTuple):
    """header: `X-Account-<name>`, set by resellers. accepts: whether a value is valid; allowed: what values are."""

    header: str
    accepts: Callable[[str], bool]
    allowed: str

    @property
    def key(self) -> str:
        """The key in environ."""
        return ENVIRON_KEY[self.header]

    @property
    def _sysmeta(self) -> str:
        return self.header.replace("X-Account-", "X-Account-Sysmeta-", 1)

    def of(self, info: AccountInfo) -> str:
        return info.sysmeta.get(self.header.removeprefix("X-Account-").lower(), "")

    def store(self, permitted: Permitted) -> None:
        """Make system metadata of the header of a permitted request. Raises AccessDenied, InvalidInput.

        The proxy reads the headers of a request for an account after its guards have run.
        """
        environ = permitted.environ
        value = environ.get(self.key)
        if value is None or permitted.name.container is not None or permitted.method not in ("PUT", "POST"):
            return
        identity: Identity = environ.get("objstore.identity", ANYONE)
        if "objstore.realm" in environ and not identity.reseller_admin:
            raise AccessDenied(permitted.name.account, identity.known)
        if value.strip() and not self.accepts(value.strip()):
            raise InvalidInput(f"{self.header} must be {self.allowed}")
        del environ[self.key]
        environ[ENVIRON_KEY[self._sysmeta]] = value.strip()

    def shown(self, environ: Environ, start_response: StartResponse) -> StartResponse:
        """Return a start_response that shows the setting to owners. environ: of a request for an account."""
        sysmeta = self._sysmeta.lower()

        def start(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> object:
            if environ.get("objstore.owner"):
                headers = headers + [(self.header, value) for name, value in headers if name.lower() == sysmeta]
            return start_response(status, headers, exc_info) if exc_info else start_response(status, headers)

        return start


def is_of_account(path: str) -> bool:
    """Return whether a native path is that of an account: `/v1/account`."""
    return path.rstrip("/").count("/") == 2
