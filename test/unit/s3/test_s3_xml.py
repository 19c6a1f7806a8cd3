"""Documents in and out."""

from __future__ import annotations

import time
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.s3.language import dates, xml
from objstore.s3.language.errors import S3Error

S3 = xml.NAMESPACE


def test_namespaces_do_not_matter() -> None:
    for text in (f'<D xmlns="{S3}"><K> a </K></D>', "<D><K>a</K></D>", f'<x:D xmlns:x="{S3}"><K>a</K></x:D>'):
        root = xml.parse(text.encode(), "D")
        assert (root.tag, xml.text(root, "K"), xml.text(root, "Z", "none")) == ("D", "a", "none")


@pytest.mark.parametrize(
    "document",
    [
        b"", b"<a>", b"nonsense", b"<a></b>", b"<other/>", b"\xff\xfe", b"<D>\x00</D>",
        b'<!DOCTYPE D [<!ENTITY x "y">]><D>&x;</D>', b'<!DOCTYPE D SYSTEM "http://127.0.0.1/x"><D/>',
        b"<!DOCTYPE D><D/>",
        b'<!DOCTYPE D [<!ENTITY x SYSTEM "file:///etc/passwd">]><D>&x;</D>', b"<D>&x;</D>",
        b'<!DOCTYPE D [<!ENTITY a "a"><!ENTITY b "&a;&a;&a;&a;">]><D>&b;</D>', b"<D>" * 1_000_000,
        b"<D>" + b"<a>" * 300 + b"</a>" * 300 + b"</D>",
    ],
)  # fmt: skip
def test_what_is_not_a_document_is_refused_cheaply(document: bytes) -> None:
    start = time.process_time()
    with pytest.raises(S3Error) as raised:
        xml.parse(document, "D")
    assert raised.value.code == "MalformedXML"
    assert time.process_time() - start < 0.5


def test_unknown_children_are_told() -> None:
    root = xml.parse(b"<D><a/><b/></D>")
    xml.only(root, ("a", "b"))
    with pytest.raises(S3Error):
        xml.only(root, ("a",))


_TEXT = st.text(st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="\ufffe\uffff"), max_size=20)


@given(_TEXT, st.integers(), st.booleans())
def test_what_is_built_can_be_read(text: str, number: int, truth: bool) -> None:
    made = xml.document("Root", [("T", text), ("N", number), ("B", truth), ("Not", None), ("In", [("T", text)])])
    root = ElementTree.fromstring(made)
    assert [child.tag for child in root] == [f"{{{S3}}}{name}" for name in ("T", "N", "B", "In")]
    assert root[0].text or text == ""
    assert (root[1].text, root[2].text) == (str(number), str(truth).lower())
    assert root[3][0].text == (text or None)


def test_characters_that_xml_lacks_go_out_by_number() -> None:
    assert xml.escape("a\x01\r\n\t<&>\"'") == "a&#x1;&#xd;\n\t&lt;&amp;&gt;&quot;'"
    assert xml.escape("\udc80") == "\ufffd"
    assert xml.escape("\0") == "\ufffd"  # which even XML 1.1 lacks


def test_attributes() -> None:
    name = xml.attributes("Grantee", xmlns__xsi=xml.XSI, xsi__type='a"b')
    made = xml.document("R", [(name, [("ID", "x")])], namespace="")
    grantee = ElementTree.fromstring(made)[0]
    assert (grantee.tag, grantee.get(f"{{{xml.XSI}}}type"), grantee[0].text) == ("Grantee", 'a"b', "x")


# Dates


def test_dates_are_rounded_up() -> None:
    assert dates.iso(0.1) == "1970-01-01T00:00:01.000Z"
    assert dates.iso(7.0) == "1970-01-01T00:00:07.000Z"
    assert dates.listed("2024-05-06T07:08:09.000001") == "2024-05-06T07:08:10.000Z"
    assert dates.listed("2024-05-06T07:08:09.000000") == "2024-05-06T07:08:09.000Z"
    assert dates.listed("2024-12-31T23:59:59.500000") == "2025-01-01T00:00:00.000Z"


@pytest.mark.parametrize(
    "text", ["", "20240506T070809", "20241306T070809Z", "20240506T240809Z", "2024-5-6T070809Z", "x" * 16]
)
def test_what_is_no_date(text: str) -> None:
    assert dates.parse_iso_basic(text) is None
    assert dates.parse_http(text) is None
    assert dates.parse_iso("20") is None


def test_dates_are_read() -> None:
    assert dates.parse_iso_basic("19700101T000007Z") == 7
    assert dates.parse_http("Thu, 01 Jan 1970 00:00:07 GMT") == 7
    assert dates.parse_iso("1970-01-01T00:00:07.000Z") == 7
    assert dates.parse_iso("1970-01-01T00:00:07") is None
    assert dates.of_http("Thu, 01 Jan 1970 00:00:07 GMT") == "1970-01-01T00:00:07.000Z"
