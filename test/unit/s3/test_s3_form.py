"""Forms read in any pieces, and the policies that they must keep to."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.s3.language.errors import S3Error
from objstore.s3.request import post_policy
from objstore.s3.request.form import Form, boundary_of

BOUNDARY = "xYz"


class Pieces:
    def __init__(self, data: bytes, size: int) -> None:
        self._file = io.BytesIO(data)
        self._size = size

    def read_chunk(self, most: int) -> bytes:
        return self._file.read(min(most, self._size))


def part(name: str, value: bytes, more: str = "") -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'
    return head.encode() + value + b"\r\n"


def whole(fields: dict[str, str], file: bytes, filename: str = "a.txt") -> bytes:
    made = b"".join(part(name, value.encode()) for name, value in fields.items())
    more = f'; filename="{filename}"\r\nContent-Type: image/png'
    return made + part("file", file, more) + f"--{BOUNDARY}--\r\n".encode()


def read(data: bytes, size: int = 1000) -> Form:
    form = Form(Pieces(data, size), BOUNDARY)
    form.read_fields()
    return form


def file_of(form: Form, most: int = 1 << 20) -> bytes:
    return b"".join(iter(lambda: form.read_chunk(most), b""))


def code_of(data: bytes, **limits: int) -> str:
    with pytest.raises(S3Error) as raised:
        form = read(data)
        for name, value in limits.items():
            setattr(form, name, value)
        file_of(form)
    return raised.value.code


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300) | st.lists(st.sampled_from([b"\r\n--xY", b"\r\n--x", b"-", b"\r\n"])).map(b"".join),
       st.integers(1, 400), st.integers(1, 100))  # fmt: skip
def test_a_form_in_any_pieces_is_read(file: bytes, size: int, most: int) -> None:
    form = read(whole({"key": "k/ü", "x-amz-meta-A": "1"}, file), size)
    assert form.fields == {"key": "k/ü", "x-amz-meta-a": "1"}
    assert form.filename == "a.txt"
    assert file_of(form, most) == file
    assert form.read_chunk() == b""


@pytest.mark.parametrize(
    ("sent", "filename"), [(r"C:\dir\a b.txt", "a b.txt"), ("dir/a.txt", "a.txt"), ('a\\"b.txt', "b.txt"), ("", "")]
)
def test_the_path_before_a_filename_is_dropped(sent: str, filename: str) -> None:
    assert read(whole({}, b"", sent)).filename in (filename, 'a"b.txt')


def test_fields_after_the_file_do_not_count() -> None:
    data = whole({"key": "k"}, b"abc").replace(b"--xYz--\r\n", b"") + part("acl", b"public-read") + b"--xYz--\r\n"
    form = read(data)
    assert (file_of(form), form.fields) == (b"abc", {"key": "k"})


def test_what_is_no_whole_form_is_refused() -> None:
    good = whole({"key": "k"}, b"abc" * 100)
    assert code_of(good[:-20]) == "IncompleteBody"
    assert code_of(good[:30]) == "IncompleteBody"
    assert code_of(part("key", b"k") + b"--xYz--\r\n") == "InvalidArgument"
    assert code_of(whole({"key": "k" * 30_000}, b"")) == "MaxPostPreDataLengthExceededError"
    assert code_of(b"x" * 50_000) == "MaxPostPreDataLengthExceededError"
    assert code_of(part("key", b"k") + good) == "InvalidArgument"
    assert code_of(good.replace(b"Content-Disposition", b"Content-Description")) == "MalformedPOSTRequest"
    assert code_of(part("key", b"\xff") + good) == "MalformedPOSTRequest"


def test_sizes_are_held() -> None:
    assert code_of(whole({}, b"12345"), max_size=4) == "EntityTooLarge"
    assert code_of(whole({}, b"12345"), min_size=6) == "EntityTooSmall"
    form = read(whole({}, b"12345"))
    form.min_size = form.max_size = 5
    assert file_of(form) == b"12345"


def test_boundaries() -> None:
    assert boundary_of("multipart/form-data; boundary=abc") == "abc"
    assert boundary_of('Multipart/Form-Data; charset=utf-8; boundary="a b"') == "a b"
    assert boundary_of("text/plain; boundary=abc") == ""
    assert boundary_of("") == ""
    with pytest.raises(S3Error):
        boundary_of("multipart/form-data")


# Policies

NOW = 1_700_000_000.0


def encoded(conditions: Any, expiration: Any = "2099-01-01T00:00:00Z", **more: Any) -> str:
    document = {"expiration": expiration, "conditions": conditions, **more}
    return base64.b64encode(json.dumps(document).encode()).decode()


FIELDS = {"key": "dir/a.txt", "bucket": "bkt", "acl": "private", "content-type": "image/png,image/gif"}
GOOD = [
    {"bucket": "bkt"}, ["starts-with", "$key", "dir/"], ["eq", "$acl", "private"],
    ["starts-with", "$Content-Type", "image/"],
]  # fmt: skip


def verdict(conditions: Any, fields: dict[str, str], **more: Any) -> str:
    """'' where the fields keep to the policy, else the message."""
    try:
        post_policy.check(post_policy.parse(encoded(conditions, **more)), fields, NOW)
    except S3Error as error:
        return f"{error.code}: {error.message}"
    return ""


def test_fields_that_keep_to_the_policy_pass() -> None:
    assert verdict(GOOD, FIELDS) == ""
    unchecked = {"signature": "x", "AWSAccessKeyId": "y", "x-amz-signature": "z", "policy": "p", "x-ignore-me": "1"}
    assert verdict(GOOD, {**FIELDS, **{name.lower(): value for name, value in unchecked.items()}}) == ""
    assert verdict([*GOOD[:1], ["StArTs-WiTh", "$KeY", "dir"], *GOOD[2:]], FIELDS) == ""
    assert verdict([*GOOD, ["starts-with", "$x-amz-meta-a", ""]], {**FIELDS, "x-amz-meta-a": ""}) == ""


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"key": "other"}, 'Policy Condition failed: ["starts-with", "$key", "dir/"]'),
        ({"acl": "public-read"}, 'Policy Condition failed: ["eq", "$acl", "private"]'),
        ({"acl": "Private"}, "Policy Condition failed"),
        ({"bucket": "other"}, "Policy Condition failed"),
        ({"content-type": "image/png,text/html"}, "Policy Condition failed"),
        ({"x-amz-meta-a": "1"}, "Extra input fields: x-amz-meta-a"),
    ],
)
def test_fields_that_break_the_policy_are_denied(fields: dict[str, str], message: str) -> None:
    output = verdict(GOOD, {**FIELDS, **fields})
    assert output.startswith("AccessDenied: Invalid according to Policy: ")
    assert message in output


def test_a_field_that_the_policy_wants_must_be_there() -> None:
    assert "Policy Condition failed" in verdict([*GOOD, ["starts-with", "$x-amz-meta-a", ""]], FIELDS)
    assert "Extra input fields: bucket" in verdict(GOOD[1:], FIELDS)


def test_a_policy_expires() -> None:
    assert "Policy expired" in verdict(GOOD, FIELDS, expiration="2020-01-01T00:00:00.000Z")


@pytest.mark.parametrize(
    "policy",
    [
        "", "bm90IGpzb24=", encoded({}), encoded([{}]), encoded("x"), encoded([["eq", "$a"]]),
        encoded([["eq", "a", "b"]]),
        encoded([["like", "$a", "b"]]), encoded([["eq", "$a", ["b"]]]), encoded([["content-length-range", 0]]),
        encoded([["content-length-range", 0, float("inf")]]),
        encoded([["content-length-range", -1, 0]]), encoded([["content-length-range", 5, 4]]),
        encoded([["content-length-range", "a", "b"]]), encoded([], "soon"), encoded([], 5), encoded([1]),
        base64.b64encode(b'{"conditions": []}').decode(), base64.b64encode(b'{"expiration": "x"}').decode(),
        base64.b64encode(b'{"expiration": "2099-01-01T00:00:00Z", "CONDITIONS": []}').decode(),
        base64.b64encode(b"[" * 100_000).decode(), base64.b64encode(b"[]").decode(), "\u00fc",
    ],
)  # fmt: skip
def test_a_malformed_policy_is_refused(policy: str) -> None:
    with pytest.raises(S3Error) as raised:
        post_policy.parse(policy)
    assert (raised.value.status, raised.value.code) == (400, "InvalidPolicyDocument")


def test_the_range_of_sizes_is_read() -> None:
    assert post_policy.parse(encoded([["content-length-range", 1, "10"]])).sizes == (1, 10)
    several = [["content-length-range", 2, 5], ["content-length-range", 0, 90], ["content-length-range", 1, 7]]
    assert post_policy.parse(encoded(several)).sizes == (2, 5)  # the last one once counted alone
    assert post_policy.parse(encoded([])).sizes == (0, None)


@pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN", "1.5", "true", "null", "[]", '"x"', '"1e3"', '"²"', "-1"])
def test_a_size_that_is_no_whole_number_is_refused(number: str) -> None:
    """1e999 is infinity to Python's reader of JSON, and no number of bytes."""
    text = f'{{"expiration": "2030-01-01T00:00:00Z", "conditions": [["content-length-range", 0, {number}]]}}'
    with pytest.raises(S3Error) as caught:
        post_policy.parse(base64.b64encode(text.encode()).decode())
    assert caught.value.code == "InvalidPolicyDocument"


@pytest.mark.parametrize(
    "date",
    ["2030-01-01", "2030-01-01 00:00:00Z", "2030-01-01T00:00:00", "2030-01-01T00:00:00+00:00", "20300101T000000Z",
     "2030-W01-1T00:00:00Z", "2030-02-30T00:00:00Z", "2030-01-01T00:00:00.Z", "x", ""],
)  # fmt: skip
def test_an_expiration_in_another_form_is_refused(date: str) -> None:
    text = json.dumps({"expiration": date, "conditions": []})
    with pytest.raises(S3Error) as caught:
        post_policy.parse(base64.b64encode(text.encode()).decode())
    assert (caught.value.status, caught.value.code) == (400, "InvalidPolicyDocument")


@pytest.mark.parametrize("date", ["2030-01-01T00:00:00Z", "2030-01-01T00:00:00.000Z"])
def test_an_expiration_as_s3_writes_it_is_taken(date: str) -> None:
    text = json.dumps({"expiration": date, "conditions": []})
    assert post_policy.parse(base64.b64encode(text.encode()).decode()).expires == 1893456000.0
