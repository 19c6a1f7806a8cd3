"""The headers that a copy takes over from its source."""

from __future__ import annotations

import pytest

from objstore.core.manifests import FORM, MANIFEST
from objstore.layers.copies import carried

_CHECKSUM = "X-Object-Sysmeta-S3-Checksum"
_SOURCE = {"Content-Type": "text/plain", "X-Object-Meta-Color": "blue", _CHECKSUM: "of the whole"}


def test_a_copy_of_the_whole_keeps_the_sums_of_its_source() -> None:
    assert carried(_SOURCE, {}) == _SOURCE


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("header", [{"Content-Range": "bytes 0-1/10"}, {MANIFEST: FORM}])
def test_a_copy_of_other_bytes_has_no_sums_of_its_source(header: dict[str, str], fresh: bool) -> None:
    kept = carried(_SOURCE | header, {}, fresh)
    assert _CHECKSUM not in kept
    assert ("X-Object-Meta-Color" in kept) is not fresh
    assert kept["Content-Type"] == "text/plain"
