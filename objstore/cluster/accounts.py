"""Changes of accounts, each as one operation on the cluster."""

from __future__ import annotations

from objstore.cluster.cluster import Cluster
from objstore.cluster.failures import failure
from objstore.cluster.former import write_database
from objstore.cluster.reads import stored_timestamp
from objstore.cluster.writes import WriteResult
from objstore.core.errors import AccountDeleted
from objstore.core.names import Name
from objstore.core.timestamps import ZERO
from objstore.layers.interface import AccountOptions
from objstore.web import infos
from objstore.web.context import RequestContext
from objstore.wire import messages
from objstore.wire.messages import NodeRequest


class AccountChanges:
    """The part of `layers.interface.ObjectLayer` that changes accounts."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def create_account(self, context: RequestContext, name: Name, options: AccountOptions) -> bool:
        return self._done(context, name, self._write(context, "PUT", name, options)).status == 201

    def update_account(self, context: RequestContext, name: Name, options: AccountOptions) -> None:
        written = self._write(context, "POST", name, options)
        if written.status == 404 and not _was_deleted(written) and self._cluster.settings.account_autocreate:
            self.make(context, name)
            written = self._write(context, "POST", name, options)
        self._done(context, name, written)

    def delete_account(self, context: RequestContext, name: Name, options: AccountOptions) -> None:
        self._done(context, name, self._write(context, "DELETE", name, options))

    def make(self, context: RequestContext, name: Name) -> None:
        """Create the account of a name if it does not exist. Raises AccountDeleted.

        Later operations notice other failures.
        """
        written = self._write(context, "PUT", name.of_account, AccountOptions({}))
        if _was_deleted(written):
            self._done(context, name.of_account, written)

    def _write(self, context: RequestContext, method: str, name: Name, options: AccountOptions) -> WriteResult:
        timestamp = options.timestamp or self._cluster.clock.now()
        place = self._cluster.place(name)
        headers = {**options.headers, messages.TIMESTAMP: timestamp.internal, **context.trace}
        sent = NodeRequest(method, place.partition, name, headers)
        return write_database(self._cluster, place, [sent] * len(place.primaries))

    def _done(self, context: RequestContext, name: Name, written: WriteResult) -> WriteResult:
        infos.forget(context, name)
        if _was_deleted(written):
            raise AccountDeleted(f"{name.path} was deleted")
        if written.status >= 300:
            raise failure(written.status)
        return written


def _was_deleted(written: WriteResult) -> bool:
    """Return whether a change was refused because the account was deleted."""
    if written.status not in (403, 404):
        return False
    return any(answer.status in (403, 404) and stored_timestamp(answer) > ZERO for answer in written.answers)
