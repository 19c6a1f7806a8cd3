"""An object layer over a WSGI app that answers as the proxy does, for tests whose store is such an app."""

from __future__ import annotations

from typing import Any

from objstore.core.errors import NodeFailure, NotFound
from objstore.core.names import Name
from objstore.core.text import to_text
from objstore.layers.interface import Listing, Page, ReadOptions, Reply
from objstore.web import infos
from objstore.web.context import RequestContext
from objstore.web.infos import AccountInfo, ContainerInfo
from objstore.web.requests import WsgiApp
from objstore.web.responses import Answer, call
from objstore.web.subrequests import subrequest


class LayerOverApp:
    """See `layers.interface.ObjectLayer`: the read half, each call a request of the app."""

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

    def _request(self, context: RequestContext, method: str, name: Name, headers: dict[str, str], query: str) -> Answer:
        environ: dict[str, Any] = {"objstore.cache": context.cache, "objstore.infos": context.infos}
        sent = {**headers, **context.trace, "X-Backend-Allow-Reserved-Names": "true"}
        made = subrequest(
            environ, method, f"/v1{name.path}", source="test", headers=sent, query=query, preauthorized=True
        )
        return call(self.app, made)


def _headers(answer: Answer) -> dict[str, str]:
    return {name: to_text(value) for name, value in answer.headers.items()}
