"""What a completion makes of the parts there are; names; sums of checksums."""

import base64
import hashlib
import zlib
from itertools import pairwise

import pytest
from awscrt import checksums as crt
from hypothesis import given
from hypothesis import strategies as st

from objstore.s3.language.errors import S3Error
from objstore.s3.multipart import names, parts, plan, sums
from objstore.s3.multipart.parts import Part
from objstore.s3.multipart.plan import RequestedPart, Rules
from objstore.s3.multipart.uploads import COMPOSITE, FULL_OBJECT, MultipartUpload, read_row

RULES = Rules(5, 100, 10)
UPLOAD = MultipartUpload("key", "0" * 32, 1.0, "AUTH_a", "STANDARD", "", FULL_OBJECT)
keys = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=5)


def encode(data):
    return base64.b64encode(data).decode()


def part(number, body, **checksums):
    return Part(number, f"p/{number}", hashlib.md5(body).hexdigest(), len(body), "", 1.0, checksums)


def made(parts_, upload=UPLOAD, headers=None, asked=None, rules=RULES):
    asked = asked or [RequestedPart(one.number, one.etag, {}) for one in parts_]
    return plan.make(asked, {one.number: one for one in parts_}, upload, headers or {}, rules)


def code_of(call, *args, **options):
    with pytest.raises(S3Error) as caught:
        call(*args, **options)
    return caught.value.code


def document(*rows):
    return ("<CompleteMultipartUpload>" + "".join(f"<Part>{row}</Part>" for row in rows)).encode() + (
        b"</CompleteMultipartUpload>"
    )


# Documents


def test_a_document_is_read():
    rows = '<PartNumber>1</PartNumber><ETag>"a"</ETag>', "<PartNumber>3</PartNumber><ETag>b</ETag>"
    assert plan.read(document(*rows), 10) == [RequestedPart(1, "a", {}), RequestedPart(3, "b", {})]


def test_checksums_are_read():
    row = "<PartNumber>1</PartNumber><ETag>a</ETag><ChecksumCRC32>AAAAAA==</ChecksumCRC32>"
    assert plan.read(document(row), 10) == [RequestedPart(1, "a", {"CRC32": "AAAAAA=="})]


@pytest.mark.parametrize(
    ("numbers", "code"),
    [((), "MalformedXML"), ((1, 1), "InvalidPartOrder"), ((2, 1), "InvalidPartOrder"), ((11,), "InvalidArgument"),
     ((0,), "InvalidArgument")],
)  # fmt: skip
def test_wrong_numbers(numbers, code):
    rows = [f"<PartNumber>{number}</PartNumber><ETag>a</ETag>" for number in numbers]
    assert code_of(plan.read, document(*rows), 10) == code


# Plans


def test_the_etag_is_that_of_the_etags():
    done = made([part(1, b"12345"), part(2, b"678")])
    digest = hashlib.md5(hashlib.md5(b"12345").digest() + hashlib.md5(b"678").digest()).hexdigest()
    assert (done.etag, done.size, done.checksum) == (f"{digest}-2", 8, None)


def test_an_empty_entity_tag_is_that_of_no_part_and_a_missing_one_is_malformed():
    number = "<PartNumber>1</PartNumber>"
    for empty in ("<ETag></ETag>", "<ETag/>", '<ETag>""</ETag>'):
        asked = plan.read(document(number + empty), 10)
        with pytest.raises(S3Error) as caught:
            made([part(1, b"first")], asked=asked)
        assert (caught.value.code, caught.value.extra["PartNumber"]) == ("InvalidPart", "1")
        assert caught.value.extra["ETag"] == ""
    assert code_of(plan.read, document(number), 10) == "MalformedXML"


def test_only_the_list_that_an_object_was_made_of_makes_it():
    """Any list was taken for that of the first completion."""
    first, second = part(1, b"first"), part(2, b"second")
    etag = made([first, second]).etag
    one, two = RequestedPart(1, first.etag, {}), RequestedPart(2, second.etag, {})
    assert plan.makes([one, two], etag)
    for other in (
        [one],
        [two, one],
        [one, two, two],
        [one, RequestedPart(2, "", {})],
        [one, RequestedPart(2, "nonsense", {})],
    ):
        assert not plan.makes(other, etag)


def test_rows_tell_where_the_parts_are():
    done = made([part(1, b"12345", CRC64NVME="AAAAAAAAAAA=")])
    assert done.rows("parts") == [
        {
            "name": "/parts/p/1",
            "hash": hashlib.md5(b"12345").hexdigest(),
            "bytes": 5,
            "checksum": {"algorithm": "CRC64NVME", "value": "AAAAAAAAAAA="},
        }
    ]


def test_only_the_last_part_may_be_small():
    assert made([part(1, b"1")]).size == 1
    assert made([part(1, b"12345"), part(9, b"1")]).size == 6
    assert code_of(made, [part(1, b"1234"), part(2, b"1")]) == "EntityTooSmall"


def test_objects_must_not_be_too_large():
    assert code_of(made, [part(1, b"x" * 90), part(2, b"x" * 11)]) == "EntityTooLarge"


def test_parts_must_be_those_that_are_meant():
    there = part(1, b"12345", CRC32="AAAAAA==")
    for asked in (
        RequestedPart(2, there.etag, {}),
        RequestedPart(1, "other", {}),
        RequestedPart(1, there.etag, {"SHA1": "x"}),
    ):
        assert code_of(made, [there], asked=[asked]) == "InvalidPart"
    assert made([there], asked=[RequestedPart(1, there.etag, {"CRC32": "AAAAAA=="})]).size == 5


@pytest.mark.parametrize(
    ("said", "code"), [("6", "InvalidRequest"), ("x", "InvalidRequest"), ("9" * 99, "InvalidRequest")]
)
def test_the_announced_size_is_checked(said, code):
    assert code_of(made, [part(1, b"12345")], headers={"X-Amz-Mp-Object-Size": said}) == code
    assert made([part(1, b"12345")], headers={"X-Amz-Mp-Object-Size": "5"}).size == 5


# Sums


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=6))
def test_crcs_of_parts_combine_to_that_of_the_whole(bodies):
    whole = b"".join(bodies)
    for name, size, function in (("CRC32", 4, zlib.crc32), ("CRC32C", 4, crt.crc32c), ("CRC64NVME", 8, crt.crc64nvme)):
        rows = [(encode(function(body).to_bytes(size, "big")), len(body)) for body in bodies]
        found = sums.full(name, rows)
        assert found.value == encode(function(whole).to_bytes(size, "big"))
        assert (found.type, found.parts) == (FULL_OBJECT, len(bodies))


def test_a_composite_is_the_checksum_of_checksums():
    bodies = (b"a", b"b")
    digests = [hashlib.sha256(body).digest() for body in bodies]
    found = sums.composite("SHA256", [encode(digest) for digest in digests])
    assert found.value == encode(hashlib.sha256(b"".join(digests)).digest()) + "-2"
    assert (found.type, found.parts) == (COMPOSITE, 2)


# Attempts and names


def test_of_attempts_the_last_to_end_counts():
    def attempt(number, name, ended):
        return Part(number, name, "e", 1, "", ended, {})

    found = [attempt(1, "a", 5.0), attempt(1, "b", 9.0), attempt(1, "c", 7.0), attempt(2, "d", 1.0)]
    assert [one.name for one in parts.last_attempts(found)] == ["b", "d"]
    assert list(parts.last_attempts([])) == []


@given(keys, keys)
def test_records_are_in_the_order_of_keys_and_then_of_age(one, other):
    early, late = names.new_id(), names.new_id()
    assert names.read_record(names.record(one, early)) == (one, early)
    listed = [(one, early), (one, late), (other, early)]
    assert sorted(listed, key=lambda item: names.record(*item).encode()) == sorted(
        listed, key=lambda item: (item[0].encode(), item[1])
    )
    assert all(names.record(one, upload_id) < names.behind(one) for upload_id in (early, late))
    if one.encode() < other.encode():
        assert names.behind(one).encode() < names.record(other, early).encode()


@given(keys, st.text(st.characters(min_codepoint=32), min_size=1, max_size=2))
def test_no_delimiter_is_in_the_tail_of_a_record(key, delimiter):
    assert delimiter not in names.record(key, names.new_id()).rpartition("\0")[2]


def test_ids_grow_and_are_told_from_other_text():
    made_ids = [names.new_id() for _ in range(3)]
    assert all(names.is_id(one) for one in made_ids) and all(a[:14] <= b[:14] for a, b in pairwise(made_ids))
    assert not any(names.is_id(text) for text in ("", "x", "0" * 31, "0" * 33, "0" * 31 + "A", "0" * 32 + "\n"))


def test_parts_lie_between_the_bounds_of_their_listing():
    upload_id = names.new_id()
    page = names.numbers(upload_id, 3)
    for number, inside in ((1, False), (3, False), (4, True), (10_000, True)):
        name = names.new_part(upload_id, number)
        assert (page.marker < name < page.end_marker) is inside and names.number_of(name) == number
    assert not names.claim(upload_id) < page.end_marker
    assert not names.prefix(upload_id) + "reading-x" < page.end_marker


def test_an_upload_is_read_back_from_its_row():
    upload = MultipartUpload("k/é", names.new_id(), 1500000000.25, "AUTH_ü", "STANDARD_IA", "CRC32", COMPOSITE)
    assert read_row({"name": names.record(upload.key, upload.id), "content_type": upload.listed}) == upload
    assert upload.listed.isascii()
