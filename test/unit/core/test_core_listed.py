"""Further keys of rows in listings."""

from __future__ import annotations

import pytest

from objstore.core.errors import InvalidInput
from objstore.core.listed import LISTED_FIELDS, checked_fields, fields_header


def test_fields_come_back_as_they_were_written() -> None:
    header = fields_header({"slo_etag": '"a-1"', "symlink_bytes": 7, "version_symlink": True})
    text = '{"slo_etag":"\\"a-1\\"","symlink_bytes":7,"version_symlink":true}'
    assert header == {LISTED_FIELDS: text}
    assert checked_fields(text) == text
    assert fields_header({}) == {}


@pytest.mark.parametrize("text", ["", "{}"])
def test_a_row_may_have_no_further_keys(text: str) -> None:
    assert checked_fields(text) == ""


@pytest.mark.parametrize(
    "text", ['{"name":"other"}', "[]", "1", "{", '{"slo_etag":{}}', '{"slo_etag":null}', '{"slo_etag":1.5}', "[" * 9999]
)
def test_what_is_no_field_of_a_row_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        checked_fields(text)
