"""An operation of S3: the request that selects it, its actions and its handler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from objstore.s3.context import Context
from objstore.s3.request.s3_request import S3Request
from objstore.web.responses import Response

Level = Literal["service", "bucket", "object"]


class Operation(NamedTuple):
    """One of S3's operations; each module of `operations` lists its own as OPERATIONS.

    name: as AWS documents it (`PutObject`). subresource: the query key that selects it (`acl`, `uploads`,
    `list-type`), '' for none. header: a canonical header that selects it over the one without (`X-Amz-Copy-Source`).
    action: its name in policies (`s3:PutObject`), checked against bucket and key before the handler runs; '' if the
    handler checks by itself. versioned_action: the action of a request that names a version. note: the missing parts
    of the operation, for the table in `support`; '' if it is complete.
    """

    name: str
    method: str
    level: Level
    handler: Callable[[Context, S3Request], Response]
    action: str
    subresource: str = ""
    header: str = ""
    versioned_action: str = ""
    note: str = ""
