"""Options of changes, made from the headers that a language passes on.

Names are canonical, values text. Headers for the inside of the cluster (`X-Backend-*`) must come from the store itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import unquote

from objstore.core import metadata
from objstore.core.errors import InvalidInput
from objstore.core.expiry import DELETE_AT
from objstore.core.lives import LIFE
from objstore.core.numbers import is_whole, whole
from objstore.core.timestamps import Timestamp
from objstore.layers.interface import DeleteOptions, PutOptions, RenameSource, UpdateOptions
from objstore.web import constraints
from objstore.web.write_conditions import RENAME_ETAG, RENAME_SOURCE, WriteCondition

_IF_DELETE_AT = "X-If-Delete-At"
_POLICY = "X-Backend-Storage-Policy-Index"
_TIMESTAMP = "X-Timestamp"


def put_options(
    sent: Mapping[str, str], key: str, now: float, late: Callable[[], Mapping[str, str]] | None = None
) -> PutOptions:
    """Return the options of a PUT. key: of the object, for its type. Raises InvalidInput."""
    headers = metadata.sent_values(sent, metadata.stored_with_object)
    headers["Content-Type"] = constraints.content_type(sent, key)
    headers |= _expiry(sent, now)
    return PutOptions(
        headers,
        sent.get("Etag", ""),
        _timestamp(sent),
        WriteCondition.sent(sent),
        _policy(sent),
        sent.get(LIFE, ""),
        late,
        _rename(sent) if RENAME_SOURCE in sent else None,
    )


def update_options(sent: Mapping[str, str], key: str, now: float) -> UpdateOptions:
    """Return the options of a POST; it replaces all metadata at once. Raises InvalidInput."""
    headers = metadata.sent_values(sent, metadata.replaced_by_post)
    if sent.get("Content-Type"):
        headers["Content-Type"] = constraints.content_type(sent, key)
    headers |= _expiry(sent, now)
    return UpdateOptions(headers, _timestamp(sent), WriteCondition.sent(sent), _policy(sent))


def delete_options(sent: Mapping[str, str]) -> DeleteOptions:
    """Return the options of a DELETE. Raises InvalidInput."""
    due = sent.get(_IF_DELETE_AT)
    if due is not None and not is_whole(due):
        raise InvalidInput(f"Bad {_IF_DELETE_AT} header value")
    delete_at = None if due is None else whole(due) or constraints.LATEST + 1  # 0: later than any object can expire
    return DeleteOptions(_timestamp(sent), WriteCondition.sent(sent), _policy(sent), delete_at)


def _expiry(sent: Mapping[str, str], now: float) -> dict[str, str]:
    expires = constraints.delete_at(sent, now)
    return {} if expires is None else {DELETE_AT: str(expires)}


def _timestamp(sent: Mapping[str, str]) -> Timestamp | None:
    text = sent.get(_TIMESTAMP)
    return Timestamp.parse(text) if text else None


def _policy(sent: Mapping[str, str]) -> int | None:
    text = sent.get(_POLICY)
    return int(text) if text else None


def _rename(sent: Mapping[str, str]) -> RenameSource:
    old = unquote(sent[RENAME_SOURCE], errors="surrogateescape")
    return RenameSource(old, sent.get(RENAME_ETAG) or "*")
