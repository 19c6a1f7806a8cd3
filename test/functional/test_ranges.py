"""Range requests (RFC 9110, section 14)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email import message_from_bytes

import pytest
from harness.client import Answer, Client

SMALL = b"abcdefghijklmnopqrstuvwxyz"
LARGE = bytes(range(256)) * 12_000


@pytest.fixture(scope="module", params=[SMALL, LARGE], ids=["small", "large"])
def body(request: pytest.FixtureRequest) -> bytes:
    return request.param


@pytest.fixture(scope="module")
def path(owner: Client, body: bytes) -> Iterator[str]:
    """An object that holds `body`; tests do not change it."""
    path = f"ranges/{len(body)}"
    owner.put("ranges")
    assert owner.put(path, body, {"Content-Type": "text/x-thing"}).status == 201
    yield path
    owner.delete(path)


def parts(answer: Answer) -> list[tuple[str, str, bytes]]:
    """Type, Content-Range and bytes of each part of a multipart answer."""
    assert answer["Content-Type"].startswith("multipart/byteranges;")
    message = message_from_bytes(f"Content-Type: {answer['Content-Type']}\r\n\r\n".encode() + answer.body)
    found = message.get_payload()
    assert isinstance(found, list)
    return [
        (part["Content-Type"], part["Content-Range"], part.get_payload(decode=True))  # type: ignore[misc]
        for part in found
    ]


# In terms of the size N; start and stop as in Python.
ONE = [
    ("0-0", lambda n: (0, 1)),
    ("3-7", lambda n: (3, 8)),
    ("0-", lambda n: (0, n)),
    ("5-", lambda n: (5, n)),
    ("-1", lambda n: (n - 1, n)),
    ("-5", lambda n: (n - 5, n)),
    ("-9999999999", lambda n: (0, n)),
    ("5-9999999999", lambda n: (5, n)),
    ("{last}-{last}", lambda n: (n - 1, n)),
    ("{last}-", lambda n: (n - 1, n)),
]


@pytest.mark.parametrize(("wanted", "span"), ONE, ids=[wanted for wanted, _ in ONE])
def test_one_range(owner: Client, path: str, body: bytes, wanted: str, span: object) -> None:
    size = len(body)
    start, stop = span(size)  # type: ignore[operator]
    answer = owner.get(path, {"Range": "bytes=" + wanted.format(last=size - 1)})
    assert answer.status == 206
    assert answer.body == body[start:stop]
    assert answer["Content-Range"] == f"bytes {start}-{stop - 1}/{size}"
    assert answer["Content-Length"] == str(stop - start)
    assert answer["Content-Type"] == "text/x-thing"
    assert answer["Etag"] == owner.head(path)["Etag"]


def test_every_border_of_a_block(owner: Client, path: str, body: bytes) -> None:
    size = len(body)
    borders = [border for border in (4096, 65536, 1 << 17, 1 << 20, 2 << 20) if border < size] or [size // 2]
    for border in borders:
        for start, stop in ((border - 1, border + 1), (border, border + 1), (border - 1, border), (0, border)):
            answer = owner.get(path, {"Range": f"bytes={start}-{stop - 1}"})
            assert (answer.status, answer.body) == (206, body[start:stop]), (start, stop)


def test_numbers_larger_than_any_size(owner: Client, path: str, body: bytes) -> None:
    huge = "9" * 40
    assert owner.get(path, {"Range": f"bytes={huge}-"}).status == 416
    for wanted in (f"0-{huge}", f"-{huge}"):
        answer = owner.get(path, {"Range": f"bytes={wanted}"})
        assert (answer.status, answer.body) == (206, body), wanted


@pytest.mark.parametrize("wanted", ["{size}-", "{size}-{size}", "9999999999-", "-0", "{size}-,9999999999-"])
def test_a_range_beyond_the_end_is_not_satisfiable(owner: Client, path: str, body: bytes, wanted: str) -> None:
    answer = owner.get(path, {"Range": "bytes=" + wanted.format(size=len(body))})
    assert answer.status == 416
    assert answer["Content-Range"] == f"bytes */{len(body)}"


NO_RANGES = ["bytes=5-2", "bytes=", "bytes=a-b", "bytes", "lines=1-2", "bytes=1-2-3", "5-9", "bytes=\u0661-"]


@pytest.mark.parametrize("header", NO_RANGES)
def test_what_is_no_range_is_passed_over(owner: Client, path: str, body: bytes, header: str) -> None:
    answer = owner.get(path, {"Range": header})
    assert (answer.status, answer.body) == (200, body)


def test_head_takes_no_part(owner: Client, path: str, body: bytes) -> None:
    head = owner.head(path, {"Range": "bytes=0-3"})
    assert head.status in (200, 206)
    assert head["Content-Length"] in (str(len(body)), "4")


def test_several_ranges_are_parts(owner: Client, path: str, body: bytes) -> None:
    size = len(body)
    answer = owner.get(path, {"Range": "bytes=0-2,5-9,-3"})
    assert answer.status == 206
    assert answer["Content-Length"] == str(len(answer.body))
    assert answer.get("Content-Range") is None
    assert parts(answer) == [
        ("text/x-thing", f"bytes 0-2/{size}", body[0:3]),
        ("text/x-thing", f"bytes 5-9/{size}", body[5:10]),
        ("text/x-thing", f"bytes {size - 3}-{size - 1}/{size}", body[-3:]),
    ]
    assert re.search(r"boundary=\S+", answer["Content-Type"])


def test_ranges_that_cannot_be_had_are_left_out(owner: Client, path: str, body: bytes) -> None:
    size = len(body)
    answer = owner.get(path, {"Range": f"bytes=0-2,{size}-,4-5"})
    assert [part[2] for part in parts(answer)] == [body[0:3], body[4:6]]
    alone = owner.get(path, {"Range": f"bytes=0-2,{size}-"})
    assert (alone.status, alone["Content-Range"], alone.body) == (206, f"bytes 0-2/{size}", body[:3])


@pytest.mark.parametrize(
    "header", [
        "bytes=" + ",".join(f"{n}-{n}" for n in range(200)),
        "bytes=" + "0-," * 100 + "0-",
        "bytes=" + ",".join(f"{n}-{n + 5}" for n in range(0, 90, 2)),
    ], ids=["too many", "the whole again and again", "overlapping"],
)  # fmt: skip
def test_ranges_that_would_cost_more_than_the_whole_do_not(owner: Client, path: str, body: bytes, header: str) -> None:
    answer = owner.get(path, {"Range": header})
    assert answer.status in (200, 206, 416)
    assert len(answer.body) < 2 * len(body) + 100_000


def test_if_range_with_the_right_and_a_wrong_tag(owner: Client, path: str, body: bytes) -> None:
    head = owner.head(path)
    ask = {"Range": "bytes=0-2"}
    assert owner.get(path, {**ask, "If-Range": f'"{head["Etag"]}"'}).status == 206
    assert owner.get(path, {**ask, "If-Range": head["Last-Modified"]}).status == 206
    for other in ('"other"', f'W/"{head["Etag"]}"', "Thu, 01 Jan 1998 00:00:00 GMT"):
        answer = owner.get(path, {**ask, "If-Range": other})
        assert (answer.status, answer.body) == (200, body), other


def test_ranges_of_an_empty_object(owner: Client, container: str) -> None:
    owner.put(f"{container}/empty", b"")
    for wanted in ("0-", "0-0", "5-9"):
        assert owner.get(f"{container}/empty", {"Range": f"bytes={wanted}"}).status == 416, wanted
    for wanted in ("-5", "-5,0-1", "-1,-2"):
        answer = owner.get(f"{container}/empty", {"Range": f"bytes={wanted}"})
        assert (answer.status, answer.body, answer["Content-Length"]) == (200, b"", "0"), wanted
        assert answer["Content-Type"] == "application/octet-stream"
    assert owner.get(f"{container}/empty", {"Range": "bytes=-0"}).status == 416
    assert owner.get(f"{container}/empty", {"Range": "bytes=-5", "If-Match": '"wrong"'}).status == 412
