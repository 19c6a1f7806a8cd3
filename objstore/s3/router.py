"""The table from method, level and sub-resource to the operation, made from the list in `operations`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from objstore.s3.catalog import CATALOG
from objstore.s3.language.errors import S3Error
from objstore.s3.operation import Level, Operation

_RESOURCE_TYPES = {"service": "SERVICE", "bucket": "BUCKET", "object": "OBJECT"}


class Router:
    """The selection of operations. Raises ValueError if two operations answer the same request."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        # Of several operations for the same sub-resource, those that need a header come first.
        self._table: dict[tuple[str, str, str], list[Operation]] = {}
        for operation in sorted(operations, key=lambda operation: not operation.header):
            row = self._table.setdefault((operation.method, operation.level, operation.subresource), [])
            if any(other.header == operation.header for other in row):
                raise ValueError(f"{operation.name} and {row[-1].name} answer the same request")
            row.append(operation)
        self._documented = {(row.method, row.level, row.subresource) for row in CATALOG}
        documented = [(row.level, row.subresource) for row in CATALOG]
        selecting = {(level, name) for _, level, name in self._table if name} | {row for row in documented if row[1]}
        self._names: dict[str, frozenset[str]] = {
            level: frozenset(name for other, name in selecting if other == level) for level in _RESOURCE_TYPES
        }
        self._all_names = frozenset(name for _, name in selecting)

    def route(self, method: str, level: Level, query: Mapping[str, str], headers: Mapping[str, str]) -> Operation:
        """Return the operation that a request selects.

        Raises S3Error NotImplemented, MethodNotAllowed, InvalidArgument, InvalidRequest.
        """
        name = self._selected(method, level, query) if query else ""
        row = self._table.get((method, level, name))
        if row is None and method == "HEAD":  # ignores other sub-resources: HEAD returns no document
            row = self._table.get((method, level, ""))
        if row is not None:
            for operation in row:
                if not operation.header or operation.header in headers:
                    return operation
        if (method, level, name) in self._documented:
            raise S3Error(
                "NotImplemented",
                "A header or query you provided requested a function that is not implemented.",
                {"Header": name} if name else None,
            )
        raise S3Error(
            "MethodNotAllowed",
            extra={"Method": method, "ResourceType": name.upper() or _RESOURCE_TYPES[level]},
            headers={"Allow": ", ".join(self._allowed(level, name))},
        )

    def _selected(self, method: str, level: Level, query: Mapping[str, str]) -> str:
        """Return the sub-resource that a query names, '' for none."""
        if self._all_names.isdisjoint(query):
            return ""
        names = [name for name in query if name in self._all_names]
        ours = [name for name in names if name in self._names[level]]
        if len(ours) > 1:
            raise S3Error(
                "InvalidArgument",
                f"Conflicting query string parameters: {', '.join(ours)}",
                {"ArgumentName": "ResourceType", "ArgumentValue": ours[0]},
            )
        if ours:
            return ours[0]
        if method == "HEAD" or level == "service":
            return ""
        resource = "key" if level == "object" else "bucket"
        raise S3Error("InvalidRequest", f"There is no such thing as the ?{names[0]} sub-resource for a {resource}")

    def _allowed(self, level: Level, name: str) -> list[str]:
        return sorted({method for method, other, sub in self._table if (other, sub) == (level, name)})
