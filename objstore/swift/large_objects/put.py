"""PUT of a manifest: the document is read and checked, its segments are checked, and the list is stored.

With `heartbeat` the answer is 202 before the segments are checked; the outcome is in its body.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from objstore.core.errors import InvalidInput, LimitExceeded, ObjstoreError
from objstore.core.expiry import DELETE_AT
from objstore.core.limits import Limits
from objstore.core.listed import LISTED_WHOLE, fields_header
from objstore.core.manifests import (
    FORM,
    LARGE,
    MANIFEST,
    MANIFEST_DEPTH,
    MANIFEST_ETAG,
    MANIFEST_OWNS,
    MANIFEST_REFERS,
    MANIFEST_SIZE,
    refers,
)
from objstore.layers import bodies
from objstore.layers.bodies import BytesBody
from objstore.layers.interface import ObjectLayer, PutOptions
from objstore.layers.options import put_options
from objstore.swift import symlinks
from objstore.swift.large_objects import answers, document
from objstore.swift.large_objects.document import Entry, Refused
from objstore.swift.large_objects.settings import LargeObjectSettings
from objstore.swift.large_objects.validation import Pairs, Segments, Validated, validate
from objstore.swift.object_put import ObjectPut
from objstore.swift.request import TRUE, ProxyRequest, writable
from objstore.web import requests, segments
from objstore.web.errors import response_for
from objstore.web.requests import WsgiBody
from objstore.web.responses import Response, error, status_line

_MAX_REFERS = 2048  # characters of a header
# The texts of Swift in answers with heartbeats, for what the check of the segments refuses.
_OWN_TEXTS = {
    400: (
        "Bad Request\nThe server could not comply with the request since it is either malformed or otherwise incorrect."
    ),
    422: "Unprocessable Entity\nUnable to process the contained instructions",
}
# Of a request: the etag is that of the whole, the other two would make it another kind of manifest.
_NOT_STORED = frozenset({"Etag", MANIFEST_OWNS, "X-Object-Manifest"})


class ManifestPut:
    """The verb for PUT with `multipart-manifest=put`. put: that for other objects."""

    def __init__(self, limits: Limits, layer: ObjectLayer, put: ObjectPut, settings: LargeObjectSettings) -> None:
        self._limits = limits
        self._layer = layer
        self._put = put
        self._settings = settings

    def __call__(self, request: ProxyRequest, sent: bytes | None = None) -> Response:
        """sent: the document, None for the request's body."""
        refused = self.refuse(request)
        if refused is not None:
            return refused
        try:
            if sent is None:
                sent = self.read(request)
            entries = document.parse(sent, request.name, self._settings.max_manifest_segments, self._limits)
        except Refused as refusal:
            return Response(refusal.status, {"Content-Type": "text/plain"}, str(refusal).encode("utf-8", "replace"))
        work = _Work(self, request, entries)
        kind = answers.media_type(request.headers.get("Accept", ""))
        if requests.query(request.environ).get("heartbeat", "").lower() in TRUE:
            return Response(202, {"Content-Type": kind}, self._slowly(work, kind))
        for _ in work.check():
            pass
        if work.problems:
            return Response(400, {"Content-Type": kind}, answers.rendered(kind, {}, work.problems))
        response = work.store()
        if response.status == 201 and work.warnings:
            response.headers["Content-Type"] = kind
            response.body = answers.rendered(kind, {}, (), work.warnings)
        return response

    def refuse(self, request: ProxyRequest) -> Response | None:
        """Return the refusal of a request, None if it may go on. Raises InvalidInput."""
        if symlinks.is_link(request.environ):
            raise InvalidInput("A link cannot be the manifest of a large object")
        return writable(request, self._layer) or self._put.refuse(request)

    def read(self, request: ProxyRequest) -> bytes:
        """Return the request's body. Raises Refused if it is too large, and the errors of bodies."""
        limit = self._settings.max_manifest_size
        try:
            return bodies.whole(WsgiBody(request.environ), limit)
        except LimitExceeded:
            raise Refused(f"Manifest File > {limit} bytes\n", 413) from None

    def _slowly(self, work: _Work, kind: str) -> Iterator[bytes]:
        """Yield the body of an answer with heartbeats."""
        yield from answers.heartbeats(work.check(), self._settings.yield_frequency)
        if work.problems:
            response = error(400)
        else:
            try:
                response = work.store()
            except ObjstoreError as failure:
                response = response_for(failure)
        fields = {}
        if response.status == 201:
            fields = {"Etag": response.headers["Etag"], "Last Modified": response.headers["Last-Modified"]}
        body = response.body.decode("utf-8", "replace") if isinstance(response.body, bytes) else ""
        fields |= {
            "Response Body": _OWN_TEXTS.get(response.status, body),
            "Response Status": status_line(response.status),
        }
        yield answers.rendered(kind, fields, work.problems, work.warnings)

    def segments(self, request: ProxyRequest) -> Segments:
        return Segments(self._layer, request.context, request.name.account, request.permit_read, self._settings)

    def options(self, request: ProxyRequest) -> PutOptions:
        """Return the options of the PUT, without those of a manifest."""
        assert request.name.object is not None
        sent = {name: value for name, value in request.headers.items() if name not in _NOT_STORED}
        return self._put.options(request, put_options(sent, request.name.object, time.time()))

    def store(self, request: ProxyRequest, validated: Validated, options: PutOptions, expected: str) -> Response:
        """Store the manifest of a list. expected: etag that the whole must have, '' for any."""
        if expected and expected != validated.etag:
            return error(422)
        headers = {**options.headers, **_headers(validated)}
        body = BytesBody(segments.dump(validated.rows))
        response = self._put.store(request, options._replace(headers=headers), body)
        if response.status == 201:
            response.headers["Etag"] = f'"{validated.etag}"'
        return response


class _Work:
    """The work of one request. problems, warnings: of the segments, known after `check`."""

    def __init__(self, verb: ManifestPut, request: ProxyRequest, entries: Sequence[Entry]) -> None:
        self.problems: Pairs = []
        self.warnings: Pairs = []
        self._verb = verb
        self._request = request
        self._entries = entries
        self._options = verb.options(request)
        self._validated: Validated | None = None

    def check(self) -> Iterator[None]:
        """Check the segments; yield from time to time."""
        found = self._verb.segments(self._request)
        yield from found.read(self._entries)
        expires = self._options.headers.get(DELETE_AT)
        self._validated, self.problems = validate(self._entries, found.heads, int(expires) if expires else None)
        self.warnings = self._validated.warnings

    def store(self) -> Response:
        """Store the manifest, after the check."""
        assert self._validated is not None and not self.problems
        expected = self._request.headers.get("Etag", "").strip('"')
        return self._verb.store(self._request, self._validated, self._options, expected)


def _headers(validated: Validated) -> dict[str, str]:
    """Return the headers that are stored with a manifest."""
    return {
        LARGE: "True",
        MANIFEST: FORM,
        MANIFEST_ETAG: validated.etag,
        MANIFEST_SIZE: str(validated.size),
        MANIFEST_DEPTH: str(validated.depth),
        MANIFEST_REFERS: refers(validated.names, _MAX_REFERS),
        LISTED_WHOLE: str(validated.size),
        **fields_header({"slo_etag": f'"{validated.etag}"'}),
    }
