"""Changes of objects, each as one operation on the cluster.

A body that fits `small_body` is read before any node is asked, so that the whole request can be sent again. A larger
one is streamed to all nodes at once, each with its own queue; nodes first answer whether they want it, so that a full
disk costs no transfer. Its MD5 is computed once: by the object server if there is one, by the proxy if there are
several.
"""

from __future__ import annotations

import functools

from objstore.cluster import object_rows, sending
from objstore.cluster.cluster import Cluster
from objstore.cluster.enlisting import Enlisting, is_listed
from objstore.cluster.infos import Infos, existing
from objstore.cluster.object_change import ObjectChange, ObjectPlace
from objstore.core import metadata
from objstore.core.errors import NodeFailure
from objstore.core.expiry_queue import DELETED_LATER, Due, ExpiryQueue
from objstore.core.manifests import REPLACED_SEGMENTS
from objstore.core.names import Name
from objstore.layers.bodies import ObjectBody, whole
from objstore.layers.interface import DeleteOptions, DeleteResult, PutOptions, PutResult, UpdateOptions
from objstore.web import infos
from objstore.web.context import RequestContext
from objstore.web.infos import ContainerInfo
from objstore.wire.messages import EVEN_EXPIRED, RECREATE
from objstore.wire.rows import queue_row, rows_request
from objstore.wire.telling import is_majority, tell_all


class Objects:
    """The part of `layers.interface.ObjectLayer` that changes objects. limit: maximum bytes of a body."""

    def __init__(self, cluster: Cluster, known: Infos, limit: int) -> None:
        self._cluster = cluster
        self._infos = known
        self._limit = limit

    def put(self, context: RequestContext, name: Name, options: PutOptions, body: ObjectBody) -> PutResult:
        metadata.check_sendable(options.headers)
        container = existing(self._infos, context, name)
        content = self._at_hand(body)
        headers = {**options.headers, "Etag": options.etag} if options.etag else options.headers
        if options.late is not None and content is not None:
            headers = {**headers, **options.late()}
        place = self._place(context, name, container, options.policy)
        life = options.life or container.life
        change = ObjectChange.of(place, "PUT", headers, options.timestamp, options.condition, life)
        if options.rename is not None or (options.late is not None and content is None):
            change = change._replace(rename=options.rename, late=options.late)
        sent = sending.send(change, body if content is None else content, self._limit)
        if sent.status != 201:
            raise sent.failure()
        etag = sent.written.header("Etag")
        if not is_listed(sent, bool(options.life) or options.listed):
            look_again = functools.partial(self._look_again, context, name)
            seen = container._replace(life=life)
            enlisting = Enlisting(sent.change, seen, bool(options.life), options.listed, look_again)
            enlisting.finish(sent, functools.partial(object_rows.row, sent.change, etag, sent.size))
        return PutResult(etag, sent.change.timestamp, sent.written.all_of(REPLACED_SEGMENTS))

    def update(self, context: RequestContext, name: Name, options: UpdateOptions) -> None:
        metadata.check_sendable(options.headers)
        place = self._place(context, name, existing(self._infos, context, name), options.policy)
        headers = {**options.headers, EVEN_EXPIRED: "1"} if options.expired else options.headers
        sent = sending.send(ObjectChange.of(place, "POST", headers, options.timestamp, options.condition))
        if sent.status != 202:
            raise sent.failure()

    def delete(self, context: RequestContext, name: Name, options: DeleteOptions) -> DeleteResult:
        place = self._place(context, name, existing(self._infos, context, name), options.policy)
        if options.later:
            return self._delete_later(place)
        headers = {} if options.delete_at is None else {"X-If-Delete-At": str(options.delete_at)}
        sent = sending.send(ObjectChange.of(place, "DELETE", headers, options.timestamp, options.condition))
        if sent.status == 412 and options.delete_at is not None and place.nodes.is_mostly_new:
            raise NodeFailure("the expired object may be one that is being renamed")
        if sent.status != 204:
            raise sent.failure()
        object_rows.send_the_rest(sent, functools.partial(object_rows.tombstone, sent.change))
        existed = any(answer.status == 204 for answer in sent.written.answers)
        return DeleteResult(existed, sent.written.all_of(REPLACED_SEGMENTS))

    def _delete_later(self, place: ObjectPlace) -> DeleteResult:
        """Put an object into the queue of the expirer. Raises NodeFailure if a majority of its replicas has no row."""
        cluster, settings = self._cluster, self._cluster.settings
        stamp = cluster.clock.now()
        queue = ExpiryQueue(settings.expiring_objects_account, settings.expiring_objects_container_divisor)
        due = Due(int(stamp.seconds), place.name)
        container = queue.container(due.when, cluster.salt.hash(place.name))
        at = cluster.place(container)
        row = queue_row(due, stamp, DELETED_LATER)
        sent = rows_request(container, at.partition, [row], stamp.internal, {RECREATE: "0"})
        statuses = tell_all(cluster, dict(enumerate(at.primaries)), sent)
        if not is_majority(statuses.values()):
            raise NodeFailure(f"{place.name.path} is not in the queue of the expirer")
        return DeleteResult(True)

    def _at_hand(self, body: ObjectBody) -> bytes | None:
        """Return the whole body if it is small; None if it must be streamed."""
        small = body.length is not None and body.length <= self._cluster.settings.small_body
        return whole(body, self._limit) if small else None

    def _look_again(self, context: RequestContext, name: Name) -> ContainerInfo:
        infos.forget(context, name.of_container)
        return self._infos.container_info(context, name)

    def _place(self, context: RequestContext, name: Name, container: ContainerInfo, policy: int | None) -> ObjectPlace:
        return ObjectPlace.of(self._cluster, name, container.policy_index if policy is None else policy, context.trace)
