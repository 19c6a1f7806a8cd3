"""Object lock in the Swift API: the headers that set and show it. The layer `versions` decides what they may change.

They are those of S3 without its prefix. Only owners set and see them.
"""

from __future__ import annotations

from collections.abc import Mapping

from objstore.core.errors import AccessDenied, InvalidInput
from objstore.core.object_lock import LOCK, Lock, LockChange, LockRule
from objstore.layers import documents
from objstore.layers.interface import DeleteOptions, ObjectLayer, PutOptions
from objstore.layers.versioned_writes import location_of
from objstore.layers.versions import CONFIG, ENABLED, LOCK_CONFIG, is_locked
from objstore.runtime.steady_clock import CLOCK
from objstore.swift import versions
from objstore.swift.request import FALSE, TRUE, ProxyRequest
from objstore.web.infos import ContainerInfo
from objstore.web.lock_headers import LockHeaders

HEADER = "X-Object-Lock-Enabled"  # of containers
BYPASS = "X-Object-Lock-Bypass-Governance-Retention"
_NAMES = LockHeaders(
    "X-Object-Lock-Mode", "X-Object-Lock-Retain-Until-Date", "X-Object-Lock-Legal-Hold", "X-Object-Lock-Event-Hold",
    "X-Object-Lock-Event-Hold-Duration-Days", "X-Object-Lock-Event-Hold-Duration-Years",
)  # fmt: skip


def changed_state(request: ProxyRequest, container: ContainerInfo) -> dict[str, str]:
    """Return the headers that enable object lock, and versioning, if the request asks for it. Raises InvalidInput."""
    sent = request.headers.get(HEADER)
    if sent is None:
        return {}
    value = sent.strip().lower()
    if value not in TRUE and value not in FALSE:
        raise InvalidInput(f"{HEADER} is neither true nor false")
    locked = is_locked(container.sysmeta)
    if value in FALSE and locked:
        raise InvalidInput("object lock cannot be disabled")
    if value in FALSE or locked:
        return {}
    if location_of(container.sysmeta):
        raise InvalidInput("object lock cannot be enabled: versions are kept in another container")
    return documents.headers(CONFIG, ENABLED) | documents.headers(LOCK_CONFIG, LockRule().dump())


def with_lock(request: ProxyRequest, options: PutOptions) -> PutOptions:
    """Return the options of a PUT with the lock that its headers ask for. Raises InvalidInput, AccessDenied."""
    if _NAMES.names.isdisjoint(request.headers):
        return options
    _check_owner(request)
    lock = _NAMES.requested(request.headers, CLOCK.earliest())
    return options._replace(headers={**options.headers, LOCK: lock.dump()})


def set_lock(request: ProxyRequest, layer: ObjectLayer) -> bool:
    """Change the lock of the object, or version, of a POST; return whether its headers ask for that.

    Raises InvalidInput, AccessDenied, ObjectHeld.
    """
    if _NAMES.names.isdisjoint(request.headers):
        return False
    _check_owner(request)
    change: LockChange = _NAMES.change(request.headers, CLOCK.earliest())
    version_id = versions.checked_id(request, layer.container_info(request.context, request.name))
    versions.layer_of(layer).set_lock(request.context, request.name, version_id, change, bypasses(request))
    return True


def bypasses(request: ProxyRequest) -> bool:
    """Return whether the request may ignore a retention in governance mode, and asks for it."""
    return request.owner and request.headers.get(BYPASS, "").strip().lower() in TRUE


def of_deletion(request: ProxyRequest, options: DeleteOptions) -> DeleteOptions:
    """Return the options of a DELETE with the bypass that its headers ask for."""
    return options._replace(bypass=True) if BYPASS in request.headers and bypasses(request) else options


def shown(request: ProxyRequest, headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that show an object's lock to this client. headers: stored with the object."""
    return _NAMES.shown(Lock.parse(headers[LOCK])) if request.owner else {}


def _check_owner(request: ProxyRequest) -> None:
    if not request.owner:
        raise AccessDenied(request.name.account, True)
