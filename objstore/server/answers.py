"""Answers of storage servers."""

from __future__ import annotations

from collections.abc import Mapping

from objstore.core.timestamps import Timestamp
from objstore.web import errors, responses
from objstore.wire.messages import STORED_TIMESTAMP, NodeResponse

JSON = {"Content-Type": "application/json"}


def answer(status: int, headers: Mapping[str, str] | None = None, body: bytes = b"") -> NodeResponse:
    """Return an answer with a complete body, with its length unless the headers give another."""
    sent = dict(headers) if headers else {}
    if status != 304:
        sent.setdefault("Content-Length", str(len(body)))  # with 204 too, as Swift has it
    return NodeResponse(status, sent, (body,) if body else ())


def error(status: int, message: str = "", headers: Mapping[str, str] | None = None) -> NodeResponse:
    """Return an error answer with a short page that explains it."""
    return _node_response(responses.error(status, message, headers))


def of_failure(failure: BaseException) -> NodeResponse:
    """Return the answer to a request that raised an error."""
    return _node_response(errors.response_for(failure))


def missing(newest: object) -> NodeResponse:
    """Return a 404; newest: the timestamp of the newest known change of the name, if there is one."""
    return error(404, headers={STORED_TIMESTAMP: newest.internal} if isinstance(newest, Timestamp) else None)


def _node_response(response: responses.Response) -> NodeResponse:
    assert isinstance(response.body, bytes)
    return answer(response.status, response.headers, response.body)
