"""The versioning state of a container, and the check of version ids."""

from __future__ import annotations

from objstore.core.errors import BadVersionId, NoSuchVersion, ObjstoreError
from objstore.core.names import Name
from objstore.layers import documents
from objstore.layers.versions.names import NULL, Ref, parse_id
from objstore.web.infos import ContainerInfo

CONFIG = "versioning"
ENABLED = "Enabled"
SUSPENDED = "Suspended"


def state(container: ContainerInfo) -> str:
    """Return ENABLED, SUSPENDED, or '' for a container that never kept versions."""
    document = documents.read(container.sysmeta, CONFIG)
    return document and next((status for status in (ENABLED, SUSPENDED) if status in document), "")


def parse(version_id: str) -> Ref:
    """Return the version with an id other than `null`. Raises BadVersionId."""
    ref = parse_id(version_id)
    if ref is None:
        raise BadVersionId("Invalid version id specified")
    return ref


def unknown(name: Name, version_id: str) -> ObjstoreError:
    """Return the error for a version of a container that never kept any. Raises BadVersionId."""
    if version_id != NULL:
        parse(version_id)
    return no_such(name, version_id)


def no_such(name: Name, version_id: str) -> ObjstoreError:
    return NoSuchVersion(f"{name.path} has no version {version_id}")
