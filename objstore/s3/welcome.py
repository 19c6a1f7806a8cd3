"""The page for a person who opens the store's address in a browser; it replaces the XML error."""

from __future__ import annotations

from objstore.s3.request.addressing import Address
from objstore.web.requests import Environ
from objstore.web.responses import Response

_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
}
_PAGE = b"""\
<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>objstore</title>
<style>body { font: 1rem/1.5 sans-serif; max-width: 40em; margin: 3em auto; padding: 0 1em }</style>
<h1>An object store</h1>
<p>This address is for programs: it speaks the S3 API and the Swift API.</p>
<ul>
<li>S3: this address is the endpoint; use path-style addressing, your access key and your secret key.</li>
<li>Swift: log in at <code>/auth/v1.0</code> of this address with your user and your key.</li>
<li><a href="/info">/info</a> has limits and features, <a href="/healthcheck">/healthcheck</a> its health.</li>
</ul>
<p>Keys come from those who run the store.</p>
</html>
"""


def page(environ: Environ, address: Address) -> Response | None:
    """Return the page for an anonymous GET of `/` that accepts HTML, as those of browsers do; None for all others."""
    if address.bucket or environ["PATH_INFO"] != "/" or environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
        return None
    if "HTTP_AUTHORIZATION" in environ or environ["QUERY_STRING"]:
        return None
    if "text/html" not in environ.get("HTTP_ACCEPT", ""):
        return None
    return Response(200, dict(_HEADERS), _PAGE)
