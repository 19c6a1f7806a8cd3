"""An object layer over a WSGI app that answers as the proxy does, for tests whose store is such an app."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.subrequests import subrequest
from objstore.cluster.failures import failure
from objstore.core.errors import NoContainer, NodeFailure, NotFound
from objstore.core.lives import ENDED, LIFE, PARTLY
from objstore.core.manifests import REPLACED_SEGMENTS
from objstore.core.names import Name
from objstore.core.text import to_text
from objstore.core.timestamps import Timestamp
from objstore.layers.bodies import ObjectBody, whole
from objstore.layers.interface import (
    AccountOptions,
    ContainerOptions,
    DeleteOptions,
    DeleteResult,
    Listing,
    Page,
    PutOptions,
    PutResult,
    ReadOptions,
    Reply,
    UpdateOptions,
)
from objstore.web import infos
from objstore.web.context import RequestContext
from objstore.web.infos import AccountInfo, ContainerInfo
from objstore.web.requests import WsgiApp
from objstore.web.responses import Answer, call


class LayerOverApp:
    """See `layers.interface.ObjectLayer`: each call is a request of the app."""

    def __init__(self, app: WsgiApp) -> None:
        self.app = app

    def open(self, context: RequestContext, name: Name, options: ReadOptions) -> Reply:
        headers = dict(options.conditions)
        if options.newest:
            headers["X-Newest"] = "true"
        query = "multipart-manifest=get" if options.raw else ""
        answer = self._ask(context, "HEAD" if options.head else "GET", name, headers, query)
        return Reply(answer.status, _headers(answer), answer.body)

    def container(self, context: RequestContext, name: Name) -> Listing:
        answer = self._ask(context, "HEAD", name)
        answer.close()
        return Listing(_headers(answer), b"")

    account = container

    def list_objects(self, context: RequestContext, name: Name, page: Page) -> Listing:
        answer = self._ask(context, "GET", name, {}, f"{page.query()}&format=json")
        return Listing(_headers(answer), answer.read())

    list_containers = list_objects

    def put(self, context: RequestContext, name: Name, options: PutOptions, body: ObjectBody) -> PutResult:
        headers = {**options.headers, **_changing(options), **({LIFE: options.life} if options.life else {})}
        if options.etag:
            headers["Etag"] = options.etag
        answer = self._change(context, "PUT", name, headers, whole(body, 1 << 30))
        return PutResult(answer.headers.get("Etag", "").strip('"'), Timestamp(1), _segments(answer))

    def update(self, context: RequestContext, name: Name, options: UpdateOptions) -> None:
        self._change(context, "POST", name, {**options.headers, **_changing(options)})

    def delete(self, context: RequestContext, name: Name, options: DeleteOptions) -> DeleteResult:
        answer = self._change(context, "DELETE", name, _changing(options), missing=True)
        return DeleteResult(answer.status != 404, _segments(answer))

    def create_container(self, context: RequestContext, name: Name, options: ContainerOptions) -> bool:
        return self._change(context, "PUT", name, options.headers).status == 201

    def update_container(self, context: RequestContext, name: Name, options: ContainerOptions) -> None:
        self._change(context, "POST", name, options.headers)

    def delete_container(self, context: RequestContext, name: Name, timestamp: Timestamp | None = None) -> bool:
        return PARTLY not in self._change(context, "DELETE", name, {}).headers

    def create_account(self, context: RequestContext, name: Name, options: AccountOptions) -> bool:
        return self._change(context, "PUT", name, options.headers).status == 201

    def update_account(self, context: RequestContext, name: Name, options: AccountOptions) -> None:
        self._change(context, "POST", name, options.headers)

    def delete_account(self, context: RequestContext, name: Name, options: AccountOptions) -> None:
        self._change(context, "DELETE", name, options.headers)

    def container_info(self, context: RequestContext, name: Name) -> ContainerInfo:
        return infos.look_up(context, name.of_container, ContainerInfo, self._head)

    def account_info(self, context: RequestContext, account: str) -> AccountInfo:
        return infos.look_up(context, Name(account), AccountInfo, self._head)

    def _head(self, context: RequestContext, name: Name) -> tuple[int, dict[str, str]]:
        answer = self._request(context, "HEAD", name, {}, "")
        answer.close()
        return answer.status, _headers(answer)

    def _ask(
        self, context: RequestContext, method: str, name: Name, headers: dict[str, str] | None = None, query: str = ""
    ) -> Answer:
        answer = self._request(context, method, name, headers or {}, query)
        if answer.status == 404:
            answer.close()
            raise NotFound(name.path)
        if answer.status >= 500:
            answer.close()
            raise NodeFailure(f"{name.path}: {answer.status}")
        return answer

    def _change(
        self,
        context: RequestContext,
        method: str,
        name: Name,
        headers: Mapping[str, str],
        body: bytes = b"",
        missing: bool = False,
    ) -> Answer:
        """missing: a 404 is no failure."""
        infos.forget(context, name)
        answer = self._request(context, method, name, dict(headers), "", body)
        answer.close()
        if answer.status >= 300 and not (missing and answer.status == 404):
            if answer.status == 404 and ENDED in answer.headers:
                raise NoContainer("the container was deleted", ended=True)
            raise failure(answer.status)
        return answer

    def _request(
        self, context: RequestContext, method: str, name: Name, headers: dict[str, str], query: str, body: bytes = b""
    ) -> Answer:
        environ: dict[str, Any] = {"objstore.cache": context.cache, "objstore.context": context}
        sent = {**headers, **context.trace, "X-Backend-Allow-Reserved-Names": "true"}
        made = subrequest(
            environ, method, f"/v1{name.path}", source="test", headers=sent, query=query, body=body, preauthorized=True
        )
        return call(self.app, made)


def _changing(options: PutOptions | UpdateOptions | DeleteOptions) -> dict[str, str]:
    """What a change of an object says besides what is kept."""
    headers = dict(options.condition.headers) if options.condition is not None else {}
    if options.timestamp is not None:
        headers["X-Timestamp"] = options.timestamp.internal
    return headers


def _segments(answer: Answer) -> tuple[str, ...]:
    return tuple(filter(None, answer.headers.get(REPLACED_SEGMENTS, "").split(",")))


def _headers(answer: Answer) -> dict[str, str]:
    return {name: to_text(value) for name, value in answer.headers.items()}
