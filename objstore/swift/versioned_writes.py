"""Swift's older versions of objects, in another container: X-Versions-Location and X-History-Location.

The layer `versioned_writes` does the work; here are the headers of containers.
"""

from __future__ import annotations

from collections.abc import Mapping

from objstore.core.errors import InvalidInput, MalformedHeader
from objstore.core.text import to_native
from objstore.layers.versioned_writes import ARCHIVED, HISTORY, LOCATION, MODE, STACK, location_of, mode_of
from objstore.swift import versions
from objstore.swift.named_object import unquoted
from objstore.swift.request import ProxyRequest
from objstore.web.infos import ContainerInfo

__all__ = ["ARCHIVED", "changed", "is_concerned", "shown"]

_MODES = {"X-Versions-Location": STACK, "X-History-Location": HISTORY}
_REMOVE = ("X-Remove-Versions-Location", "X-Remove-History-Location")


def is_concerned(request: ProxyRequest) -> bool:
    """Return whether a request for a container is about its versions."""
    return not request.headers.keys().isdisjoint((*_MODES, *_REMOVE, versions.HEADER))


def changed(request: ProxyRequest, container: ContainerInfo) -> dict[str, str]:
    """Return the headers that store what the request changes. container: before the change.

    Raises InvalidInput for a combination that is not possible, and MalformedHeader.
    """
    sent = {header: request.headers[header] for header in _MODES if header in request.headers}
    chosen = {header: location for header, location in sent.items() if location}
    if len(chosen) > 1:
        raise InvalidInput("Only one of x-versions-location or x-history-location may be specified")
    is_removed = bool(sent) or any(header in request.headers for header in _REMOVE)
    is_legacy = bool(chosen) or (bool(location_of(container.sysmeta)) and not is_removed)
    if is_legacy and versions.HEADER in request.headers:
        raise InvalidInput(
            "Cannot enable object versioning on a container that is already using the legacy versioned writes feature."
        )
    for header, location in chosen.items():
        if container.keeps_versions:
            raise InvalidInput(f"{header} cannot be set on a container that keeps versions of its objects")
        if "/" in unquoted(to_native(location), header):
            raise MalformedHeader("Container name cannot contain slashes")
        return {LOCATION: location, MODE: _MODES[header]}
    return {LOCATION: "", MODE: ""} if is_removed and location_of(container.sysmeta) else {}


def shown(sysmeta: Mapping[str, str]) -> dict[str, str]:
    """Return the header that shows the archive of a container; none if it has none."""
    location = location_of(sysmeta)
    return {header: location for header, mode in _MODES.items() if location and mode == mode_of(sysmeta)}
