"""/crossdomain.xml: the policy by which Flash, Silverlight and readers of PDF use the API from pages of other sites."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from xml.etree import ElementTree

from objstore.runtime import settings
from objstore.runtime.settings import setting, table
from objstore.web import bucket_hosts, features
from objstore.web.requests import Environ, StartResponse, WsgiApp
from objstore.web.responses import Response

_PATH = "/crossdomain.xml"
_DOCUMENT = """\
<?xml version="1.0"?>
<!DOCTYPE cross-domain-policy SYSTEM "http://www.adobe.com/xml/dtds/cross-domain-policy.dtd" >
<cross-domain-policy>
{policy}
</cross-domain-policy>
"""


def _policy(text: str) -> str:
    """Parse the elements of a policy; raises ValueError if they are not XML."""
    stripped = text.strip()
    try:
        ElementTree.fromstring(f"<cross-domain-policy>{stripped}</cross-domain-policy>")
    except ElementTree.ParseError as failure:
        raise ValueError(f"is not XML: {failure}") from None
    return stripped


@dataclass(frozen=True)
class CrossDomainSettings:
    """Settings of the filter."""

    cross_domain_policy: str = setting(
        _policy,
        '<allow-access-from domain="*" secure="false" />',
        "XML elements of the policy; it may take several lines, each of the further ones indented",
    )


SETTINGS = table(CrossDomainSettings)


class CrossDomain:
    """The filter. policy: the elements of the document."""

    def __init__(self, app: WsgiApp, policy: str) -> None:
        self.app = app
        self._names_bucket = bucket_hosts.find(app)
        self._document = _DOCUMENT.format(policy=policy).encode()
        features.show(app, self.info())

    def info(self) -> dict[str, dict[str, object]]:
        return {"crossdomain": {}}

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] != _PATH or environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return self.app(environ, start_response)
        if self._names_bucket(environ):
            return self.app(environ, start_response)
        return Response(200, {"Content-Type": "application/xml"}, self._document)(environ, start_response)


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WsgiApp], CrossDomain]:
    values = settings.read(CrossDomainSettings, {**global_conf, **local_conf}, "filter:crossdomain")
    return lambda app: CrossDomain(app, values.cross_domain_policy)
