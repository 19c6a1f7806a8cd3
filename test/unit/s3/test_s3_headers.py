"""S3's headers of objects and ours."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.core import listed_types
from objstore.core.listed import listed_type
from objstore.s3.data import object_headers
from objstore.s3.data.object_headers import Checksum
from objstore.s3.language.errors import S3Error

NAMES = st.text(st.sampled_from("abcxyz019-_.%!"), min_size=1, max_size=20)


def native(kept: Mapping[str, str]) -> dict[str, str]:
    """As a native answer has them: canonical names, values native."""
    return {name.title(): value for name, value in kept.items()}


@given(st.dictionaries(NAMES, st.sampled_from(["", "plain", "a  b", "=?"]), max_size=8))
def test_user_metadata_comes_back_under_its_names(metadata: dict[str, str]) -> None:
    sent = {f"x-amz-meta-{name}".title(): value for name, value in metadata.items()}
    output = object_headers.answer_headers(native(object_headers.user_metadata(sent)))
    prefix = "x-amz-meta-"
    assert {name[len(prefix) :]: value for name, value in output.items() if name.startswith(prefix)} == metadata


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        ("grün", "grün"),
        ("=?UTF-8?B?Z3LDvG4=?=", "grün"),
        ("=?utf-8?q?gr=C3=BCn?= =?utf-8?q?es?=", "grünes"),
        ("=?iso-8859-1?q?gr=FCn?=", "grün"),
        ("=?nocharset?B?Z3LDvG4=?=", "=?nocharset?B?Z3LDvG4=?="),
        ("=?UTF-8?B?!?=", "=?UTF-8?B?!?="),
        ("a=?b", "a=?b"),
        ("=?utf-7?q?+2AA-?=", "=?utf-7?q?+2AA-?="),  # half a character
        ("=?unicode_escape?q?=5Cx0d?=", "=?unicode_escape?q?=5Cx0d?="),
        ("=?utf-8?q?" * 5000, "=?utf-8?q?" * 5000),  # takes a second to look through
        ("=?utf-8?b?/w==?=", "=?utf-8?b?/w==?="),
    ],
)
def test_encoded_words(value: str, text: str) -> None:
    assert object_headers.decoded(value) == text


def test_bytes_that_are_no_text_go_out_as_they_came() -> None:
    assert object_headers.encoded("\udce9") == "\udce9"
    assert object_headers.decoded(object_headers.encoded("é")) == "é"
    assert object_headers.encoded("e") == "e"


@pytest.mark.parametrize("value", ["=?utf-8?b?YQ1i?=", "=?utf-8?q?=00?=", "=?utf-8?q?a=0Ab?=", "a\x01b"])
def test_metadata_that_decodes_to_controls_is_refused(value: str) -> None:
    """It was checked before it was decoded, and stored."""
    with pytest.raises(S3Error) as caught:
        object_headers.stored_headers({"X-Amz-Meta-A": value})
    assert (caught.value.code, caught.value.extra["ArgumentName"]) == ("InvalidArgument", "x-amz-meta-a")


@pytest.mark.parametrize("name", ["X-Amz-Meta-A B", "X-Amz-Meta-A:B", "X-Amz-Meta-\r\nC", "X-Amz-Meta-Ü"])
@pytest.mark.parametrize("value", ["v", ""])
def test_metadata_whose_name_is_no_token_is_refused(name: str, value: str) -> None:
    with pytest.raises(S3Error) as caught:
        object_headers.stored_headers({name: value})
    assert caught.value.code == "InvalidArgument"


def test_metadata_is_measured_in_bytes_of_names_and_values() -> None:
    assert object_headers.user_metadata({"X-Amz-Meta-A": "é" * 1023 + "x"})
    with pytest.raises(S3Error) as caught:
        object_headers.user_metadata({"X-Amz-Meta-A": "é" * 1024})
    assert (caught.value.code, caught.value.extra["Size"]) == ("MetadataTooLarge", "2049")


@given(
    st.sampled_from(["CRC32", "SHA256"]),
    st.text("abc=/+"),
    st.sampled_from(["FULL_OBJECT", "COMPOSITE"]),
    st.integers(0, 9),
)
def test_a_checksum_is_kept(algorithm: str, value: str, kind: str, parts: int) -> None:
    checksum = Checksum(algorithm, value, kind, parts)
    assert Checksum.load(checksum.dump()) == checksum
    assert checksum.dump().isascii()


@pytest.mark.parametrize("checksum", [Checksum("CRC32", "eA=="), Checksum("SHA1", "eA==-2", "COMPOSITE", 2)])
def test_rows_show_the_checksum_in_the_form_in_which_it_is_stored(checksum: Checksum) -> None:
    listed = listed_types.read(listed_type("a/b", {object_headers.CHECKSUM: checksum.dump()}))
    assert listed == ("a/b", "", f"{checksum.algorithm}/COMPOSITE" if checksum.parts else "CRC32")


def test_the_date_is_that_of_the_data_rounded_up() -> None:
    both = {"X-Timestamp": "1700000009.50000", "X-Backend-Data-Timestamp": "1700000000.00001_0000000000000001"}
    assert object_headers.modified(both) == 1700000001
    assert object_headers.modified({"X-Timestamp": "1700000009.00000"}) == 1700000009
    assert object_headers.modified({"Last-Modified": "Tue, 14 Nov 2023 22:13:20 GMT"}) == 1700000000


def test_a_change_says_everything_again() -> None:
    stored = {
        "Content-Type": "text/x",
        "Cache-Control": "no-store",
        "X-Object-Meta-A": "grün",
        "X-Delete-At": "2000000000",
        object_headers.TAGS: "a=b",
        object_headers.ACL: "acl",
        object_headers.CHECKSUM: "{}",
        "Etag": "x",
    }
    assert object_headers.post_headers(stored, {object_headers.TAGS: "c=d", object_headers.ACL: ""}) == {
        "Cache-Control": "no-store",
        "X-Object-Meta-A": "grün",
        "X-Delete-At": "2000000000",
        object_headers.TAGS: "c=d",
    }


# Encryption

ENCRYPTION = "X-Amz-Server-Side-Encryption"


def test_aes256_is_kept_with_the_object_and_shown() -> None:
    kept = object_headers.stored_headers({ENCRYPTION: "AES256"})
    assert object_headers.encryption(kept) == {"x-amz-server-side-encryption": "AES256"}
    assert object_headers.answer_headers(native(kept))["x-amz-server-side-encryption"] == "AES256"
    assert object_headers.encryption(object_headers.stored_headers({})) == {}


@pytest.mark.parametrize(
    ("name", "value", "setting", "code"),
    [
        ("", "AES256", object_headers.REFUSE, "NotImplemented"),
        ("", "aws:kms", object_headers.ACCEPT, "NotImplemented"),
        ("", "aws:kms:dsse", object_headers.ACCEPT, "NotImplemented"),
        ("", "", object_headers.ACCEPT, "InvalidArgument"),
        ("", "aes256", object_headers.ACCEPT, "InvalidArgument"),
        ("-Customer-Algorithm", "AES256", object_headers.ACCEPT, "NotImplemented"),
        ("-Aws-Kms-Key-Id", "key", object_headers.ACCEPT, "NotImplemented"),
    ],
)
def test_other_encryption_is_refused(name: str, value: str, setting: str, code: str) -> None:
    with pytest.raises(S3Error) as raised:
        object_headers.stored_headers({ENCRYPTION + name: value}, encryption=setting)
    assert raised.value.code == code
