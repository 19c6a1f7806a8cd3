"""Links: objects that are read as another object, their target, which may be in another container or account.

A read that comes to a link goes on with its target, with the same options; a static link demands an etag of it. Each
target is checked by `ReadOptions.permit` before it is opened. A target may be a link itself, up to a limit. Changes and
deletions are of the link; its metadata cannot be replaced.

A header of the stored object makes it a link (`core.links`), so other objects cost nothing here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from objstore.core import links
from objstore.core.dlo import DLO
from objstore.core.errors import (
    AccessDenied,
    BrokenLink,
    Conflict,
    InvalidInput,
    IsLink,
    NotFound,
    TargetChanged,
    TooManyLinks,
)
from objstore.core.links import LINK, LINK_ETAG, Link
from objstore.core.manifests import MANIFEST_ETAG, OWN_ETAG, is_large
from objstore.core.names import Name
from objstore.layers.interface import ObjectLayer, ReadOptions, Reply, UpdateOptions
from objstore.layers.passing import Passing
from objstore.layers.stack import Deps, LayerKind
from objstore.runtime import settings
from objstore.runtime.settings import positive, setting
from objstore.web.context import RequestContext


@dataclass(frozen=True)
class SymlinksSettings:
    """Settings of the layer."""

    symloop_max: int = setting(positive, "2", "limit of links that lead to each other")


class Symlinks(Passing):
    """The layer around `inner`. max_links: that are followed for one read."""

    features = ("symlink",)

    def __init__(self, inner: ObjectLayer, max_links: int) -> None:
        super().__init__(inner)
        self._max_links = max_links

    def info(self) -> dict[str, dict[str, object]]:
        """Return the sections of /info."""
        return {"symlink": {"symloop_max": self._max_links, "static_links": True}}

    def open(self, context: RequestContext, name: Name, options: ReadOptions) -> Reply:
        """See `ObjectLayer.open`. Raises BrokenLink, TargetChanged, TooManyLinks."""
        reply = self.inner.open(context, name, options)
        if LINK not in reply.headers or options.link:
            return reply
        link_version_id = reply.version_id
        options = options._replace(version_id="", policy=None)
        place = name
        for _ in range(self._max_links):
            reply.close()
            link = _parse(reply, place)
            place = link.target
            _check_right(options, place)
            reply = self._open_target(context, link, options)
            if LINK not in reply.headers:
                reply.target = place
                reply.link_version_id = link_version_id
                return reply
        reply.close()
        raise TooManyLinks(f"Too many levels of symbolic links, maximum allowed is {self._max_links}")

    def _open_target(self, context: RequestContext, link: Link, options: ReadOptions) -> Reply:
        """Open the object, perhaps another link, to which a link leads. Raises BrokenLink, TargetChanged."""
        try:
            reply = self.inner.open(context, link.target, options)
        except NotFound as failure:
            raise BrokenLink(link.target.path, failure.timestamp) from None
        etags = _etags(reply.headers)
        if link.etag and etags and link.etag not in etags:
            reply.close()
            message = f"Object Etag {etags[0]!r} does not match X-Symlink-Target-Etag header {link.etag!r}"
            raise TargetChanged(message, link.target.path)
        return reply

    def update(self, context: RequestContext, name: Name, options: UpdateOptions) -> None:
        """See `ObjectLayer.update`. Raises IsLink."""
        if options.condition is not None:
            self._refuse_link(context, name, options)  # under a lease the refusal of a node would look like a failure
        try:
            self.inner.update(context, name, options)
        except Conflict:
            self._refuse_link(context, name, options)
            raise

    def _refuse_link(self, context: RequestContext, name: Name, options: UpdateOptions) -> None:
        read = ReadOptions(head=True, newest=True, raw=True, policy=options.policy, version_id=options.version_id)
        reply = self.inner.open(context, name, read._replace(expired=options.expired))
        if LINK in reply.headers:
            link = _parse(reply, name)
            raise IsLink(link.target.path, link.etag)


def resolve(layer: ObjectLayer, context: RequestContext, link: Link, options: ReadOptions) -> tuple[Link, Reply]:
    """Return a static link with the size of its target, and the target, of which only the headers are read.

    link: with an etag that the target must have; of a static large object, that of its list is returned.
    options: of the reads; their `permit` is asked for each object.
    Raises TargetChanged if the target does not exist or has another etag, and as `Symlinks.open`.
    """
    _check_right(options, link.target)
    read = options._replace(head=True, newest=True)
    try:
        reply = layer.open(context, link.target, read._replace(link=True))
        etags = _etags(reply.headers)
        if link.etag not in etags:
            message = f"Object Etag {etags[0]!r} does not match X-Symlink-Target-Etag header {link.etag!r}"
            raise TargetChanged(message, link.target.path)
        if LINK_ETAG in reply.headers:  # of another static link
            reply = layer.open(context, link.target, read)
    except NotFound:
        raise TargetChanged("X-Symlink-Target does not exist", link.target.path) from None
    etag = reply.headers[OWN_ETAG] if is_large(reply.headers) else link.etag
    return link._replace(etag=etag, size=reply.size), reply


def _etags(headers: Mapping[str, str]) -> list[str]:
    """Return the etags by which a static link may know an object, without quotes: first that of its own bytes.

    Those of a manifest are that of its list and that of its content; of a static link, also that of its target.
    """
    if LINK in headers:
        found = [headers.get("Etag"), headers.get(LINK_ETAG)]
    elif DLO in headers and MANIFEST_ETAG not in headers:  # its content may be another one tomorrow
        found = [headers.get(OWN_ETAG) or headers.get("Etag")]
    else:
        found = [headers.get(OWN_ETAG), headers.get("Etag"), headers.get(MANIFEST_ETAG)]
    return [etag.strip('"') for etag in found if etag]


def _check_right(options: ReadOptions, target: Name) -> None:
    """Raise the error of `ReadOptions.permit` if the client may not read the target of a link."""
    if options.permit is not None:
        try:
            options.permit(target)
        except AccessDenied as failure:
            failure.target = target.path
            raise


def _parse(reply: Reply, name: Name) -> Link:
    try:
        return links.parse(reply.headers, name.account)
    except InvalidInput as failure:
        raise BrokenLink(name.path) from failure


def _make(inner: ObjectLayer, deps: Deps) -> Symlinks:
    return Symlinks(inner, settings.read(SymlinksSettings, deps.conf, "app:proxy-server").symloop_max)


KIND = LayerKind(
    "symlinks",
    _make,
    SymlinksSettings,
    outside_of=("dlo", "versioned_writes", "placement", "versions", "manifests", "encryption"),
    needed="links would be read as empty objects",
)
