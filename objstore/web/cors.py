"""Cross-origin requests of browsers, as Swift documents them (overview: CORS).

A container's metadata says which origins may read it in a browser, and so for its objects:
`access-control-allow-origin` (space separated, `*` for all), `-expose-headers` (space
separated) and `-max-age` (seconds). The cluster's settings add origins and headers for all
containers. What is exposed here is never access by itself: every request is authorized as
if it came from no browser.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from objstore.web.responses import Response

# What a browser may show a script anyway, and what Swift's clients need beyond it.
EXPOSED = (
    "cache-control", "content-language", "content-type", "expires", "last-modified", "pragma",
    "etag", "x-timestamp", "x-trans-id", "x-openstack-request-id",
)  # fmt: skip
_USER_METADATA = ("X-Container-Meta-", "X-Object-Meta-")


class CorsSettings(NamedTuple):
    """allow_origin, expose_headers: cluster-wide additions to what containers say.

    strict: answer only allowed origins with CORS headers; otherwise any origin gets them,
    and the container's list decides over preflights alone.
    """

    allow_origin: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    strict: bool = True


def preflight(
    headers: Mapping[str, str], meta: Mapping[str, str] | None, allowed: Sequence[str], settings: CorsSettings
) -> Response:
    """The answer to an OPTIONS request: 200, or 401 where the container does not allow what is asked.

    headers: the request's, canonical name to text. meta: the container's user metadata, by
    lower-case name without prefix; None for an account, which knows no CORS. allowed: the methods of the resource.
    All headers that the browser names are allowed, as the request that follows is judged by itself.
    """
    answer = {"Allow": ", ".join(allowed)}
    origin = headers.get("Origin")
    if not origin or meta is None:
        return Response(200, answer)
    if not _is_allowed(origin, meta, settings) or headers.get("Access-Control-Request-Method") not in allowed:
        return Response(401, answer)
    _name_origin(answer, origin, meta)
    if meta.get("access-control-max-age"):
        answer["Access-Control-Max-Age"] = meta["access-control-max-age"]
    answer["Access-Control-Allow-Methods"] = ", ".join(allowed)
    wanted = _listed(headers.get("Access-Control-Request-Headers", "").split(","))
    if wanted:
        answer["Access-Control-Allow-Headers"] = ", ".join(wanted)
        answer["Vary"] = ", ".join(_listed((answer.get("Vary", ""), "Access-Control-Request-Headers")))
    return Response(200, answer)


def response_headers(
    origin: str, meta: Mapping[str, str], names: Iterable[str], settings: CorsSettings
) -> dict[str, str]:
    """Return headers to add to the response to an actual request that has an Origin header.

    names: of the response's headers, canonical; metadata among them is exposed. Empty if the origin is not allowed and
    the settings are strict: the browser then hides the response.
    """
    if settings.strict and not _is_allowed(origin, meta, settings):
        return {}
    exposed = _listed(
        (
            *EXPOSED,
            *(name.lower() for name in names if name.startswith(_USER_METADATA)),
            *meta.get("access-control-expose-headers", "").split(),
            *settings.expose_headers,
        )
    )
    answer = {"Access-Control-Expose-Headers": ", ".join(exposed)}
    _name_origin(answer, origin, meta)
    return answer


def _is_allowed(origin: str, meta: Mapping[str, str], settings: CorsSettings) -> bool:
    origins = {*meta.get("access-control-allow-origin", "").split(), *settings.allow_origin}
    return origin in origins or "*" in origins


def _name_origin(answer: dict[str, str], origin: str, meta: Mapping[str, str]) -> None:
    """Allow all origins where the container does, else this one; caches must then tell origins apart."""
    if meta.get("access-control-allow-origin", "").strip() == "*":
        answer["Access-Control-Allow-Origin"] = "*"
    else:
        answer["Access-Control-Allow-Origin"] = origin
        answer["Vary"] = "Origin"


def _listed(items: Iterable[str]) -> list[str]:
    """The items that are not empty, each once, in order."""
    return list(dict.fromkeys(stripped for item in items if (stripped := item.strip())))
