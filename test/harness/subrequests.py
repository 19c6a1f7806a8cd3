"""Requests that a filter makes on behalf of the one it serves."""

from __future__ import annotations

import io
from collections.abc import Mapping
from urllib.parse import quote

from objstore.web.requests import ENVIRON_KEY, Environ, to_native

# What a subrequest shares with the request that caused it.
_CARRIED = (
    "REMOTE_ADDR", "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL", "HTTP_HOST", "HTTP_X_AUTH_TOKEN", "HTTP_REFERER",
    "HTTP_X_TRANS_ID", "HTTP_USER_AGENT", "wsgi.version", "wsgi.url_scheme", "wsgi.errors", "wsgi.multithread",
    "wsgi.multiprocess", "wsgi.run_once", "REMOTE_USER", "objstore.trans_id", "objstore.cache", "objstore.context",
    "objstore.realm", "objstore.identity", "objstore.bucket_defaults", "objstore.preauthorized", "objstore.check_body",
)  # fmt: skip


def subrequest(
    environ: Environ,
    method: str,
    path: str,
    *,
    source: str,
    headers: Mapping[str, str] | None = None,
    query: str = "",
    body: bytes = b"",
    preauthorized: bool = False,
) -> Environ:
    """The environ of a further request; path and header values are text, the query is as on the wire.

    source: who makes it, for the access log. preauthorized: made with the system's rights,
    where the user's must not matter (looking up a container's ACL).
    """
    made: Environ = {key: environ[key] for key in _CARRIED if key in environ}
    native = to_native(path)
    made.update(
        {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": native,
            "QUERY_STRING": query,
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
            "objstore.raw_target": quote(native, encoding="latin-1") + (f"?{query}" if query else ""),
            "objstore.source": source,
        }
    )
    for name, value in (headers or {}).items():
        made[ENVIRON_KEY[name]] = to_native(value)
    if preauthorized:
        made["objstore.preauthorized"] = True
    return made
