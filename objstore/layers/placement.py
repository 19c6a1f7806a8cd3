"""Objects whose content has another storage policy than their container (`PutOptions.data_policy`).

All objects of a container have one policy. Therefore the data are stored in a hidden container `class-N` of the
container, which has the policy with the index N, as `d/<id>/data`; the object under the key (the version's entry, if
the container keeps versions) is a manifest of that one segment, and owns it.

The data are written first and the manifest last: readers see the old object or the new one. Rows of the data count no
bytes, since the object does. A writer that dies in between leaves data that no object refers to, until the container's
hidden ones are cleared.
"""

from __future__ import annotations

import secrets

from objstore.core.errors import NoContainer, ObjstoreError, is_refusal
from objstore.core.listed import LISTED_ETAG, LISTED_SIZE
from objstore.core.manifests import FORM, MANIFEST, MANIFEST_ETAG, MANIFEST_OWNS, MANIFEST_SIZE, owns
from objstore.core.names import Name, hidden
from objstore.layers import hidden as containers
from objstore.layers.bodies import BytesBody, ObjectBody
from objstore.layers.interface import DeleteOptions, PutOptions, PutResult, ReadOptions
from objstore.layers.passing import Passing
from objstore.layers.stack import LayerKind
from objstore.web import segments
from objstore.web.context import RequestContext

DATA = "class"  # of `core.names.hidden`, with the policy's index
_TYPE = "application/octet-stream"


def kind(plain: str, policy: int) -> str:
    """Return the kind of the hidden container for data of a kind in the policy with that index."""
    return f"{plain}-{policy}"


class PlacementLayer(Passing):
    """The layer around `inner`."""

    def put(self, context: RequestContext, name: Name, options: PutOptions, body: ObjectBody) -> PutResult:
        policy = options.data_policy
        if policy is None:
            return self.inner.put(context, name, options, body)
        options = options._replace(data_policy=None)
        container = self.container_info(context, name)
        is_elsewhere = container.exists and container.policy_index != policy
        if not is_elsewhere or MANIFEST in options.headers or body.length == 0:
            return self.inner.put(context, name, options, body)
        assert name.container is not None
        data = Name(name.account, hidden(kind(DATA, policy), name.container), f"d/{secrets.token_hex(16)}/data")
        containers.make(self.inner, context, data, name, policy)
        headers, content = self._store(context, name, data, options, body)
        manifest = options._replace(headers=headers, etag="", late=None, life=options.life or container.life)
        try:
            result = self.inner.put(context, name, manifest, BytesBody(content))
        except ObjstoreError as failure:
            if is_refusal(failure):  # else the manifest may be stored
                self._drop(context, data)
            raise
        return result._replace(etag=headers[MANIFEST_ETAG])

    def _store(
        self, context: RequestContext, name: Name, data: Name, options: PutOptions, body: ObjectBody
    ) -> tuple[dict[str, str], bytes]:
        """Write the data; return the headers and the content of the manifest for the name."""
        stored = PutOptions({"Content-Type": _TYPE, LISTED_SIZE: "0"}, options.etag)
        try:
            result = self.inner.put(context, data, stored, body)
        except NoContainer:
            raise containers.gone(self.inner, context, name) from None
        headers = dict(options.headers)
        if options.late is not None:
            headers |= options.late()
        size = body.length
        if size is None:
            size = self.inner.open(context, data, ReadOptions(head=True)).size
        md5 = result.etag.strip('"')
        etag = headers.get(MANIFEST_ETAG) or md5
        prefix = (data.object or "").removesuffix("data")
        headers |= {
            MANIFEST: FORM,
            MANIFEST_ETAG: etag,
            MANIFEST_SIZE: str(size),
            MANIFEST_OWNS: owns(data.container or "", prefix),
            LISTED_ETAG: etag,
            LISTED_SIZE: str(size),
        }
        return headers, segments.dump([{"name": f"/{data.container}/{data.object}", "hash": md5, "bytes": size}])

    def _drop(self, context: RequestContext, data: Name) -> None:
        try:
            self.inner.delete(context, data, DeleteOptions())
        except ObjstoreError:
            pass  # the data are deleted with the container


KIND = LayerKind(
    "placement",
    lambda inner, deps: PlacementLayer(inner),
    outside_of=("versions", "manifests", "encryption"),
    needed="objects of other storage classes would be kept by the policy of their bucket",
)
