"""The end of a renaming that a layer makes as two changes: the new name is written, then the old one deleted."""

from __future__ import annotations

from objstore.core.errors import PreconditionFailed
from objstore.core.names import Name
from objstore.layers.interface import DeleteOptions, ObjectLayer, RenameSource
from objstore.web.context import RequestContext
from objstore.web.write_conditions import WriteCondition


def delete_old_name(layer: ObjectLayer, context: RequestContext, name: Name, source: RenameSource) -> None:
    """Delete the old name of an object, unless it has other content by now. name: the new one."""
    options = DeleteOptions(condition=WriteCondition(if_match=source.etag))
    try:
        layer.delete(context, name._replace(object=source.object), options)
    except PreconditionFailed:
        pass
