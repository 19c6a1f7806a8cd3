"""Changes of containers, each as one operation on the cluster."""

from __future__ import annotations

from collections.abc import Mapping

from objstore.cluster.accounts import AccountChanges
from objstore.cluster.cluster import Cluster
from objstore.cluster.failures import failure
from objstore.cluster.former import Former, write_database
from objstore.cluster.infos import Infos, existing
from objstore.cluster.writes import WriteResult, write
from objstore.core.errors import AccountDeleted, NoContainer, NotFound, TooManyContainers
from objstore.core.names import Name
from objstore.core.timestamps import Timestamp
from objstore.layers.interface import ContainerOptions
from objstore.web import infos
from objstore.web.context import RequestContext
from objstore.web.infos import AccountInfo
from objstore.wire import messages
from objstore.wire.messages import NodeRequest


class ContainerChanges:
    """The part of `layers.interface.ObjectLayer` that changes containers."""

    def __init__(self, cluster: Cluster, known: Infos, accounts: AccountChanges) -> None:
        self._cluster = cluster
        self._infos = known
        self._accounts = accounts

    def create_container(self, context: RequestContext, name: Name, options: ContainerOptions) -> bool:
        account = self._infos.account_info(context, name.account)
        self._check_count(context, name, account)
        self._have_account(context, name, account)
        if options.policy is None:
            policy = {messages.POLICY_DEFAULT: str(self._cluster.policies.default.index)}
        else:
            policy = {messages.POLICY: str(options.policy)}
        written = self._write(context, "PUT", name, {**policy, **options.headers}, options.timestamp)
        if written.status >= 300:
            raise failure(written.status)
        if not account.container_count:
            infos.forget(context, name.of_account)  # the account may have been created for its first container
        return written.status == 201

    def update_container(self, context: RequestContext, name: Name, options: ContainerOptions) -> None:
        existing(self._infos, context, name)
        written = self._write(context, "POST", name, options.headers, options.timestamp)
        if written.status >= 300:
            raise failure(written.status)

    def delete_container(self, context: RequestContext, name: Name, timestamp: Timestamp | None = None) -> bool:
        """Delete in two steps, so that all replicas are deleted or none: first the container refuses new objects, then
        it is deleted.

        If only some replicas were deleted, the container would be missing for some readers.
        """
        if self._infos.account_info(context, name.account).status == 410:
            raise NoContainer(f"the account of {name.path} was deleted")
        shut = self._shut(context, name, "1")
        written = self._write(context, "DELETE", name, {}, timestamp) if shut.status == 204 else shut
        if written.status == 204:
            replicas = len(self._cluster.place(name).primaries)
            return [answer.status for answer in written.answers] == [204] * replicas
        if any(answer.ok for answer in shut.answers):
            self._shut(context, name, "0")
        raise failure(written.status)

    def _shut(self, context: RequestContext, name: Name, value: str) -> WriteResult:
        """Refuse new objects (1), with 409 if there are any, or accept them again (0)."""
        place = self._cluster.place(name)
        sent = NodeRequest("POST", place.partition, name, context.trace, f"{messages.SHUT}={value}")
        ask = Former(self._cluster, place).attempt_primary
        return write(self._cluster, place, [sent] * len(place.primaries), ask=ask)

    def _check_count(self, context: RequestContext, name: Name, account: AccountInfo) -> None:
        limit = self._cluster.settings.max_containers_per_account
        if 0 < limit <= account.container_count and not self._infos.container_info(context, name).exists:
            raise TooManyContainers(f"Reached container limit of {limit}")

    def _have_account(self, context: RequestContext, name: Name, account: AccountInfo) -> None:
        """Create the account. Until it has a container, a missing account is shown as an empty one.

        Raises AccountDeleted, NotFound if accounts are not created on demand.
        """
        if account.status == 410:
            raise AccountDeleted(f"the account of {name.path} was deleted")
        if account.status == 404 or (account.exists and not account.container_count):
            if account.status == 404 and not self._cluster.settings.account_autocreate:
                raise NotFound(f"there is no account {name.account}")
            self._accounts.make(context, name)

    def _write(
        self, context: RequestContext, method: str, name: Name, headers: Mapping[str, str], final: Timestamp | None
    ) -> WriteResult:
        """Send a change to all replicas, each of which updates some of the account's."""
        cluster = self._cluster
        place = cluster.place(name)
        stamp = final or cluster.clock.now()
        updates = cluster.updates(name.of_account, len(place.primaries))
        while True:
            common = {**headers, **context.trace, messages.TIMESTAMP: stamp.internal}
            sent = [
                NodeRequest(method, place.partition, name, {**common, messages.ACCOUNT_UPDATE: update})
                for update in updates.headers
            ]
            written = write_database(cluster, place, sent)
            infos.forget(context, name)
            if not written.conflict > stamp or final is not None:
                return written
            stamp = cluster.clock.after(written.conflict)
