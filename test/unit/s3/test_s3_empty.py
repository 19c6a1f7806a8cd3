"""What is sent empty is not what is not sent."""

from __future__ import annotations

import pytest

from objstore.s3.language.errors import S3Error
from objstore.s3.operations.object import deleting
from objstore.s3.operations.object.delete_many import read
from objstore.s3.operations.object.reading import conditions_of
from objstore.s3.operations.objects import CopySource
from objstore.s3.request import empty


@pytest.mark.parametrize("name", sorted(empty.QUERY))
def test_an_empty_parameter_that_would_count_as_absent_is_refused(name: str) -> None:
    empty.check("GET", {name: "x"}, {})
    with pytest.raises(S3Error) as caught:
        empty.check("GET", {name: ""}, {})
    assert (caught.value.code, caught.value.extra) == ("InvalidArgument", {"ArgumentName": name, "ArgumentValue": ""})


@pytest.mark.parametrize("name", sorted(empty.HEADERS))
def test_an_empty_header_that_would_count_as_absent_is_refused(name: str) -> None:
    empty.check("PUT", {}, {name: "x"})
    with pytest.raises(S3Error):
        empty.check("PUT", {}, {name: ""})


def test_sub_resources_and_what_may_be_empty_pass() -> None:
    empty.check("GET", {"versions": "", "prefix": "", "key-marker": "", "delimiter": ""}, {"X-Amz-Tagging": ""})


@pytest.mark.parametrize("name", ["If-Match", "If-None-Match"])
def test_an_empty_condition_holds_no_change(name: str) -> None:
    empty.check("GET", {}, {name: ""})
    assert conditions_of({name: "", "If-Modified-Since": "x"}).tags == {name: ""}
    for method in ("PUT", "POST", "DELETE"):
        with pytest.raises(S3Error):
            empty.check(method, {}, {name: ""})


def test_an_empty_version_of_a_copy_source_is_refused() -> None:
    assert CopySource("/b/k").version == ""
    with pytest.raises(S3Error) as caught:
        CopySource("/b/k?versionId=")
    assert caught.value.code == "InvalidArgument"


def test_empty_elements_of_a_deletion_are_not_absent_ones() -> None:
    (absent, given), _ = read(
        b"<Delete><Object><Key>k</Key></Object>"
        b"<Object><Key>k</Key><VersionId/><ETag></ETag><Size> </Size></Object></Delete>",
        10,
    )
    assert (absent.version, absent.conditions) == (None, deleting.NONE)
    assert (given.version, given.conditions.etag, given.conditions.size) == ("", "", "")
    assert given.conditions.modified is None
