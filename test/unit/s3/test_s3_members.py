"""The model of an SDK, operation by operation: each member of a request is supported, refused, ignored for a reason,
or of an operation that is not there."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import botocore
import pytest

from objstore.s3 import members, support
from objstore.s3.catalog import CATALOG, Documented
from objstore.s3.language.errors import S3Error
from objstore.s3.operation import Level
from objstore.s3.operations import OPERATIONS
from objstore.s3.request.amz_headers import HEADERS, Treatment
from objstore.s3.router import Router

MODEL: dict[str, Any] = json.loads(
    gzip.decompress((Path(botocore.__file__).parent / "data/s3/2006-03-01/service-2.json.gz").read_bytes())
)
SHAPES = MODEL["shapes"]
DOCUMENTED = {row.name: row for row in CATALOG}
SUPPORTED = {operation.name for operation in OPERATIONS}
ROUTER = Router(OPERATIONS)
SOURCE = "\n".join(
    path.read_text()
    for package in ("s3", "access", "web")
    for path in (Path(support.__file__).parents[1] / package).rglob("*.py")
    if path.name not in ("amz_headers.py", "members.py", "support.py", "catalog.py")
)


def inputs(operation: str) -> dict[str, Any]:
    """The members of an operation's input, by name."""
    shape = MODEL["operations"][operation].get("input", {}).get("shape")
    return dict(SHAPES[shape]["members"]) if shape else {}


def elements(shape: str, path: str, around: frozenset[str] = frozenset()) -> Iterator[str]:
    """The paths of the elements of a document of this shape."""
    kind = SHAPES[shape]
    if kind["type"] == "list":
        member = kind["member"]
        inner = path if kind.get("flattened") else f"{path}/{member.get('locationName', 'member')}"
        if inner != path:
            yield inner
        yield from elements(member["shape"], inner, around)
    elif kind["type"] == "structure" and shape not in around:
        for name, member in kind["members"].items():
            inner = f"{path}/{member.get('locationName', name)}"
            yield inner
            yield from elements(member["shape"], inner, around | {shape})


def document(operation: str) -> tuple[str, str] | None:
    """Root element and shape of an operation's document; None for raw bytes, or no body."""
    shape = MODEL["operations"][operation].get("input", {}).get("shape", "")
    payload = SHAPES[shape].get("payload") if shape else None
    member = inputs(operation)[payload] if payload else {}
    if not member or SHAPES[member["shape"]]["type"] != "structure":
        return None
    return member["locationName"], member["shape"]


def unknown_members(operation: str) -> Iterator[str]:
    for name, member in inputs(operation).items():
        place, sent_as = member.get("location"), member.get("locationName", name)
        if place in ("header", "headers") and members.of_header(sent_as) is None:
            yield f"header {sent_as}"
        if place == "querystring" and members.of_parameter(sent_as) is None:
            yield f"parameter {sent_as}"
    root = document(operation)
    if root is not None:
        yield from (f"element {path}" for path in elements(root[1], root[0]) if members.of_element(path) is None)


def selected(row: Documented) -> str:
    """The operation that answers the request of a documented one, '' for NotImplemented."""
    query = {row.subresource: "2" if row.subresource == "list-type" else ""} if row.subresource else {}
    headers = {row.header: "x"} if row.header else {}
    level: Level = row.level  # type: ignore[assignment]
    try:
        return ROUTER.route(row.method, level, query, headers).name
    except S3Error as refusal:
        assert (refusal.code, refusal.status) == ("NotImplemented", 501), row
        return ""


@pytest.mark.parametrize("operation", MODEL["operations"])
def test_every_operation_of_the_model_is_answered_or_refused_as_the_page_says(operation: str) -> None:
    row = DOCUMENTED[operation]  # KeyError: an operation that the catalog does not know
    if operation in support.SPECIAL:
        return
    http = MODEL["operations"][operation]["http"]
    path = urlsplit(http["requestUri"])
    assert row.method == http["method"]
    assert row.level == ("object" if "{Key+}" in path.path else "bucket" if "{Bucket}" in path.path else "service")
    required = {
        member["locationName"]
        for name, member in inputs(operation).items()
        if member.get("location") == "querystring" and name in SHAPES[f"{operation}Request"].get("required", ())
    }
    if row.subresource:
        assert row.subresource in {name for name, _ in parse_qsl(path.query, keep_blank_values=True)} | required
    answering = selected(row)
    if operation in SUPPORTED:
        assert answering == operation
    elif answering:
        assert DOCUMENTED[answering][1:] == row[1:], "an operation with another request answers this one"


@pytest.mark.parametrize("operation", sorted(SUPPORTED & MODEL["operations"].keys()))
def test_every_member_of_a_supported_operation_has_a_treatment(operation: str) -> None:
    assert not list(unknown_members(operation)), "done, harmless or refused? Say so in members.py or amz_headers.py"


def occurs(name: str) -> bool:
    """Whether the source reads a header: by its whole name, or by a prefix and the name of a condition."""
    prefixes = ("X-Amz-Copy-Source-", "X-Amz-Rename-Source-")
    prefix = next((prefix for prefix in prefixes if name.startswith(f"{prefix}If-")), "")
    found = f'"{name}"'.lower() in SOURCE.lower()
    return found or bool(prefix and f'"{prefix}"' in SOURCE and name[len(prefix) :] in SOURCE)


def test_what_is_done_is_read_somewhere() -> None:
    done = [name for name, treatment in HEADERS.items() if treatment is Treatment.DONE]
    assert not [name for name in done if not occurs(name)]
    assert not [name for name in members.HTTP_HEADERS if f'"{name}"' not in SOURCE]
    unread = [name for name in members.QUERY if f'"{name}"' not in SOURCE and not name.startswith("response-")]
    assert not unread


def test_what_no_table_has_is_unknown() -> None:
    assert members.of_header("x-amz-from-next-year") is None
    assert members.of_parameter("from-next-year") is None
    assert members.of_element("Tagging/TagSet/Tag/FromNextYear") is None
    assert members.of_element("Unknown/Key") is None


def test_tables_hold_nothing_that_the_model_does_not_have() -> None:
    paths = {
        path
        for operation in MODEL["operations"]
        for root in (document(operation),)
        if root is not None
        for path in elements(root[1], root[0])
    }
    listed = {f"{parent}/{name}" for parent, names in members.ELEMENTS.items() for name in names.split()}
    assert listed | members.OTHER_ELEMENTS.keys() <= paths
    parameters = {
        member["locationName"]
        for operation in MODEL["operations"]
        for member in inputs(operation).values()
        if member.get("location") == "querystring"
    }
    assert parameters >= members.QUERY
