"""The outermost filter: transaction ids, and an answer to every request in spite of errors below.

Transaction ids are those of Swift: `tx`, 21 hex digits, `-`, 10 hex digits of the time in seconds, the cluster's
suffix, and the client's X-Trans-Id-Extra.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import quote

from objstore.core.errors import ClientGone, ObjstoreError
from objstore.runtime import log, settings
from objstore.runtime.settings import setting, table
from objstore.web.errors import response_for, status_of
from objstore.web.requests import Environ, StartResponse, WsgiApp
from objstore.web.responses import Response, close_body, error


@dataclass(frozen=True)
class CatchErrorsSettings:
    """Settings of the filter."""

    trans_id_suffix: str = setting(str.strip, "", "suffix of transaction ids, to distinguish clusters")


SETTINGS = table(CatchErrorsSettings)

_EXTRA_LENGTH = 32  # maximum length of X-Trans-Id-Extra, as in Swift


class CatchErrors:
    def __init__(
        self, app: WsgiApp, *, suffix: str = "", logger: logging.Logger, now: Callable[[], float] = time.time
    ) -> None:
        self.app = app
        self._suffix = quote(suffix)
        self._logger = logger
        self._now = now

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        # Distinguishes requests, not a secret; each forked worker has its own seed.
        trans_id = f"tx{random.getrandbits(84):021x}-{int(self._now()):010x}{self._suffix}"
        extra = environ.get("HTTP_X_TRANS_ID_EXTRA")
        if extra:
            trans_id += "-" + quote(extra[:_EXTRA_LENGTH], encoding="latin-1")
        environ["objstore.trans_id"] = environ["HTTP_X_TRANS_ID"] = trans_id

        def start(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> object:
            named = [*headers, ("X-Trans-Id", trans_id), ("X-Openstack-Request-Id", trans_id)]
            return start_response(status, named, exc_info) if exc_info else start_response(status, named)

        try:
            body = self.app(environ, start)
        except Exception as failure:
            return self._answer(failure, environ, start)
        if type(body) is tuple or type(body) is list:
            return body
        return _Guarded(body, self, environ, start)

    def _answer(self, failure: Exception, environ: Environ, start: StartResponse) -> Iterable[bytes]:
        """Return the response for a failure. `start` raises if the head of another response was sent already."""
        self._log(failure, environ)

        def replace(status: str, headers: list[tuple[str, str]]) -> object:
            return start(status, headers, (type(failure), failure, failure.__traceback__))

        return _response(failure)(environ, replace)

    def _log(self, failure: Exception, environ: Environ, what: str = "failed") -> None:
        if isinstance(failure, ClientGone):
            return  # the access log has them: there may be thousands
        status = status_of(failure)
        is_ours = isinstance(failure, ObjstoreError)  # then the type and message suffice
        self._logger.log(
            logging.ERROR if status == 500 or not is_ours else logging.WARNING if status > 500 else logging.INFO,
            "%s %r %s: %s: %s",
            environ["REQUEST_METHOD"],
            environ.get("PATH_INFO"),
            what,
            type(failure).__name__,
            failure,
            exc_info=None if is_ours else failure,
            extra={"trans_id": environ["objstore.trans_id"]},
        )


def _response(failure: Exception) -> Response:
    if isinstance(failure, ObjstoreError):
        return response_for(failure)
    return error(500, "An error occurred")


class _Guarded:
    """A body whose failures are logged. Before its first piece a failure still becomes a response."""

    __slots__ = ("_begun", "_body", "_environ", "_filter", "_next", "_start")

    def __init__(self, body: Iterable[bytes], owner: CatchErrors, environ: Environ, start: StartResponse) -> None:
        self._body = body
        self._next = iter(body).__next__
        self._filter = owner
        self._environ = environ
        self._start = start
        self._begun = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            piece = self._next()
            self._begun = True
            return piece
        except StopIteration:
            raise
        except Exception as failure:
            if self._begun:
                self._filter._log(failure, self._environ, "aborted")
                raise
            self._begun = True
            close_body(self._body)
            self._body = self._filter._answer(failure, self._environ, self._start)
            self._next = iter(self._body).__next__
            return self._next()

    def close(self) -> None:
        close_body(self._body)


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WsgiApp], CatchErrors]:
    conf = {**global_conf, **local_conf}
    values = settings.read(CatchErrorsSettings, conf, "filter:catch_errors")
    logger = log.from_conf(conf)
    return lambda app: CatchErrors(app, suffix=values.trans_id_suffix, logger=logger)
