"""The page of what is supported is that of the code, and the code's operations are S3's."""

from __future__ import annotations

from pathlib import Path

from objstore.s3 import support
from objstore.s3.catalog import CATALOG
from objstore.s3.operations import OPERATIONS

PAGE = Path(__file__).parents[3] / "doc/s3_support.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == support.document(), "run `make samples`"


def test_every_operation_is_called_and_asked_for_as_s3_documents_it() -> None:
    documented = {one.name: one[1:] for one in CATALOG}
    for operation in OPERATIONS:
        asked = (operation.method, operation.level, operation.subresource, operation.header)
        assert documented[operation.name] == asked
