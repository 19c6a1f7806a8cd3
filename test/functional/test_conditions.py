"""Conditional requests (RFC 9110, section 13)."""

from __future__ import annotations

from email.utils import formatdate, parsedate_to_datetime

import pytest
from harness.client import Client

BODY = b"some content"
LONG_AGO = "Thu, 01 Jan 1998 00:00:00 GMT"
IN_FUTURE = "Thu, 01 Jan 2099 00:00:00 GMT"


@pytest.fixture
def path(owner: Client, container: str) -> str:
    path = f"{container}/object"
    assert owner.put(path, BODY).status == 201
    return path


def expected(owner: Client, path: str, headers: dict[str, str], status: int) -> None:
    """GET and HEAD answer alike."""
    got, head = owner.get(path, headers), owner.head(path, headers)
    assert (got.status, head.status) == (status, status), headers
    assert head.body == b""
    assert (got.body == BODY) == (status == 200)


def test_if_match(owner: Client, path: str) -> None:
    etag = owner.head(path)["Etag"]
    for same in (etag, f'"{etag}"', f'"other", "{etag}"', "*"):
        expected(owner, path, {"If-Match": same}, 200)
    for other in ('"other"', "other", f'W/"{etag}"', f'"{etag}x"'):
        expected(owner, path, {"If-Match": other}, 412)


def test_if_none_match(owner: Client, path: str) -> None:
    etag = owner.head(path)["Etag"]
    for same in (etag, f'"{etag}"', f'"other", "{etag}"', "*", f'W/"{etag}"'):
        expected(owner, path, {"If-None-Match": same}, 304)
    for other in ('"other"', "other"):
        expected(owner, path, {"If-None-Match": other}, 200)


def test_not_modified_says_what_the_client_may_keep(owner: Client, path: str) -> None:
    head = owner.head(path)
    answer = owner.get(path, {"If-None-Match": head["Etag"]})
    assert (answer.status, answer.body) == (304, b"")
    assert answer["Etag"] == head["Etag"]
    assert answer["Last-Modified"] == head["Last-Modified"]


def test_dates(owner: Client, path: str) -> None:
    modified = owner.head(path)["Last-Modified"]
    seconds = parsedate_to_datetime(modified).timestamp()
    before, after = formatdate(seconds - 1, usegmt=True), formatdate(seconds + 1, usegmt=True)
    expected(owner, path, {"If-Modified-Since": before}, 200)
    expected(owner, path, {"If-Modified-Since": modified}, 304)
    expected(owner, path, {"If-Modified-Since": after}, 304)
    expected(owner, path, {"If-Unmodified-Since": before}, 412)
    expected(owner, path, {"If-Unmodified-Since": modified}, 200)
    expected(owner, path, {"If-Unmodified-Since": after}, 200)
    for nonsense in ("yesterday", "", "32 Foo 2020"):
        expected(owner, path, {"If-Modified-Since": nonsense}, 200)
        expected(owner, path, {"If-Unmodified-Since": nonsense}, 200)


def test_a_tag_goes_before_the_date_of_a_change(owner: Client, path: str) -> None:
    expected(owner, path, {"If-None-Match": '"other"', "If-Modified-Since": IN_FUTURE}, 200)


def test_if_match_and_if_unmodified_since_must_both_hold_as_in_swift(owner: Client, path: str) -> None:
    etag = owner.head(path)["Etag"]
    expected(owner, path, {"If-Match": etag, "If-Unmodified-Since": IN_FUTURE}, 200)
    expected(owner, path, {"If-Match": etag, "If-Unmodified-Since": LONG_AGO}, 412)
    expected(owner, path, {"If-Match": "other", "If-Unmodified-Since": IN_FUTURE}, 412)


def test_a_condition_comes_before_a_range(owner: Client, path: str) -> None:
    etag = owner.head(path)["Etag"]
    assert owner.get(path, {"Range": "bytes=0-1", "If-Match": "other"}).status == 412
    assert owner.get(path, {"Range": "bytes=0-1", "If-None-Match": etag}).status == 304
    assert owner.get(path, {"Range": "bytes=0-1", "If-Match": etag}).status == 206


def test_what_is_not_there_is_not_found_whatever_the_condition(owner: Client, container: str) -> None:
    for headers in ({"If-Match": "*"}, {"If-None-Match": "*"}, {"If-Modified-Since": IN_FUTURE}):
        assert owner.get(f"{container}/nothing", headers).status == 404


@pytest.mark.parametrize("size", [5, 3_000_000])
def test_put_only_where_nothing_is(owner: Client, container: str, size: int) -> None:
    path = f"{container}/new"
    only_new = {"If-None-Match": "*"}
    assert owner.put(path, b"1" * size, only_new).status == 201
    assert owner.put(path, b"2" * size, only_new).status == 412
    assert owner.get(path).body == b"1" * size
    owner.delete(path)
    assert owner.put(path, b"3" * size, only_new).status == 201
    assert owner.get(path).body == b"3" * size
