"""The filter for bulk requests: `PUT ...?extract-archive=tar.gz`, and `POST` or `DELETE ...?bulk-delete`.

It stands behind authentication. Each object passes the object layer as one of a single request does, and none of the
filters: the client's right is asked for once for each container, where that is exact.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from objstore.core.errors import InvalidInput
from objstore.core.limits import DEFAULT_LIMITS, Limits
from objstore.core.names import Name
from objstore.layers.interface import ObjectLayer
from objstore.runtime import log, settings
from objstore.runtime.threads import ThreadPool
from objstore.swift.bulk import decompression
from objstore.swift.bulk.deletion import BulkDeletion
from objstore.swift.bulk.extraction import BulkExtraction, ExtractionTarget
from objstore.swift.bulk.report import BulkReport, with_heartbeats
from objstore.swift.bulk.rights import Rights
from objstore.swift.bulk.settings import SETTINGS, BulkSettings
from objstore.swift.bulk.tar_reader import TarReader
from objstore.web import features, listings, pipeline, requests
from objstore.web.context import RequestContext
from objstore.web.errors import response_for
from objstore.web.requests import Environ, StartResponse, WsgiApp, WsgiBody
from objstore.web.responses import error, status_line

__all__ = ["SETTINGS", "Bulk", "filter_factory"]

_DELETE, _EXTRACT = "bulk-delete", "extract-archive"
_THREADS = 2  # that decompress, of one process


class BulkWork(NamedTuple):
    """A bulk request under way. steps: does the work while it is iterated."""

    report: BulkReport
    steps: Iterator[None]


class Bulk:
    """The filter. layer: the object layer."""

    def __init__(
        self, app: WsgiApp, settings: BulkSettings, layer: ObjectLayer, limits: Limits, logger: logging.Logger
    ) -> None:
        self.app = app
        self._settings = settings
        self._layer = layer
        self._limits = limits
        self._logger = logger
        self._threads = ThreadPool("bulk", _THREADS)
        self._formats = decompression.available_formats()
        features.announce(app, "bulk")

    def info(self) -> dict[str, dict[str, Any]]:
        """Return the sections of /info."""
        values = self._settings
        return {
            "bulk_upload": {
                "max_containers_per_extraction": values.max_containers_per_extraction,
                "max_failed_extractions": values.max_failed_extractions,
                "formats": list(self._formats),
            },
            "bulk_delete": {
                "max_deletes_per_request": values.max_deletes_per_request,
                "max_failed_deletes": values.max_failed_deletes,
            },
        }

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        query = environ.get("QUERY_STRING")
        if not query or (_DELETE not in query and _EXTRACT not in query) or environ.get("objstore.preauthorized"):
            return self.app(environ, start_response)
        try:
            return self._answer(environ, start_response)
        except InvalidInput as failure:
            return response_for(failure)(environ, start_response)

    def _answer(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a bulk request, or pass another one on. Raises InvalidInput."""
        query = requests.query(environ)
        method = environ["REQUEST_METHOD"]
        found = requests.api_name(environ["PATH_INFO"])
        is_deletion = _DELETE in query and method in ("POST", "DELETE")
        is_extraction = _EXTRACT in query and method == "PUT"
        if found is None or found[0] not in ("v1", "v1.0") or not (is_deletion or is_extraction):
            return self.app(environ, start_response)
        if is_extraction and query[_EXTRACT] not in self._formats:
            refused = error(400, f"Unsupported archive format: supported are {', '.join(self._formats)}")
            return refused(environ, start_response)
        media_type = listings.negotiated("", environ.get("HTTP_ACCEPT", ""))
        context = RequestContext.of(environ)
        rights = Rights(environ, context, self._layer)
        if is_extraction:
            work = self._extraction(environ, context, rights, found[1], query[_EXTRACT])
        else:
            work = self._deletion(environ, context, rights, found[1])
        if media_type is None:
            work.report.refuse(406)
            work = work._replace(steps=iter(()))
        elif is_deletion and not _is_text(environ.get("CONTENT_TYPE", "")):
            work.report.refuse(406, "The type of the list must be text/plain")
            work = work._replace(steps=iter(()))
        shown_type = media_type or "text/html; charset=UTF-8"
        start_response(status_line(200), [("Content-Type", shown_type)])
        return with_heartbeats(work.steps, work.report, media_type or listings.TEXT, self._settings.yield_frequency)

    def _deletion(self, environ: Environ, context: RequestContext, rights: Rights, name: Name) -> BulkWork:
        account = name.account
        made = BulkDeletion(self._layer, context, rights, self._settings, self._limits, self._logger, account)
        return BulkWork(made.report, made.run(WsgiBody(environ)))

    def _extraction(
        self, environ: Environ, context: RequestContext, rights: Rights, name: Name, format: str
    ) -> BulkWork:
        values = self._settings
        growth = decompression.Growth(values.max_expansion)
        body = WsgiBody(environ)
        read = decompression.opened(format, body, growth, values.decompression_memory, self._threads)
        archive = TarReader(read, values.max_extended_header, growth.produced)
        target = ExtractionTarget(name.account, name.container, (name.object or "").rstrip("/"))
        headers = requests.headers(environ)
        made = BulkExtraction(self._layer, context, rights, values, self._limits, self._logger, target, headers)
        return BulkWork(made.report, made.run(archive))


def _is_text(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() in ("", listings.TEXT)


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WsgiApp], Bulk]:
    conf = {**global_conf, **local_conf}
    values = settings.read(BulkSettings, conf, "filter:bulk")
    logger = log.from_conf(conf)

    def make(app: WsgiApp) -> Bulk:
        layer = pipeline.find(app, "layer")
        limits: Limits = pipeline.find(app, "limits") or DEFAULT_LIMITS
        return Bulk(app, values, layer, limits, logger)

    return make
