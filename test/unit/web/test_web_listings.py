"""Listings in the forms of Swift's API."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from objstore.web import listings

OBJECT = {
    "name": "a&b <é>",
    "hash": "d41d8cd98f00b204e9800998ecf8427e",
    "bytes": 12,
    "content_type": "text/plain",
    "last_modified": "2026-01-01T00:00:00.000000",
}
CONTAINER = {
    "name": "photos",
    "count": 2,
    "bytes": 30,
    "last_modified": "2026-01-01T00:00:00.000000",
    "storage_policy": "gold",
}


@pytest.mark.parametrize(
    ("format", "accept", "kind"),
    [
        ("", "", "text/plain"),
        ("json", "text/plain", "application/json"),
        ("XML", "", "application/xml"),
        ("nonsense", "application/json", "text/plain"),
        ("", "*/*", "text/plain"),
        ("", "application/*", "application/json"),
        ("", "text/xml", "text/xml"),
        ("", "application/xml, application/json", "application/xml"),
        ("", "application/xml;q=0.5, application/json", "application/json"),
        ("", "text/*;q=0.1, application/json;q=0.2", "application/json"),
        ("", "*/*, application/json", "application/json"),
        ("", "text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8", "application/xml"),
        ("", "Application/JSON; charset=utf-8", "application/json"),
        ("", "text/html", None),
        ("", "text/plain;q=0", None),
        ("", "application/json;q=x", None),
    ],
)
def test_which_form_is_wanted(format, accept, kind):
    assert listings.negotiated(format, accept) == kind


def test_text_is_a_name_a_line():
    assert listings.text([OBJECT, {"subdir": "x/"}]) == "a&b <é>\nx/\n".encode()
    assert listings.text([]) == b""


def test_container_as_xml():
    document = listings.container_xml([OBJECT, {"subdir": 'x"/'}], "c<é")
    assert document.startswith(
        b'<?xml version="1.0" encoding="UTF-8"?>\n<container name="c&lt;\xc3\xa9"><object><name>'
    )
    root = etree.fromstring(document)
    assert root.get("name") == "c<é"
    assert [(child.tag, child.text) for child in root[0]] == [(key, str(value)) for key, value in OBJECT.items()]
    assert (root[1].tag, root[1].get("name"), root[1][0].text) == ("subdir", 'x"/', 'x"/')


def test_account_as_xml():
    root = etree.fromstring(listings.account_xml([CONTAINER, {"subdir": "x-"}], "AUTH_t"))
    assert [(child.tag, child.text) for child in root[0]] == [(key, str(value)) for key, value in CONTAINER.items()]
    assert (root.tag, root[1].get("name"), len(root[1])) == ("account", "x-", 0)


@given(st.text())
def test_xml_can_be_parsed_whatever_the_names(name):
    root = etree.fromstring(listings.container_xml([OBJECT | {"name": name}, {"subdir": name}], name))
    expected = listings._NOT_XML.sub("\ufffd", name)
    assert (root[0][0].text or "") == (root[1][0].text or "") == expected


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\n"), min_size=1))
def test_text_keeps_names(name):
    assert listings.text([{"name": json.loads(json.dumps(name))}]).decode() == name + "\n"


def test_rows_of_another_shape_are_refused():
    with pytest.raises(KeyError):
        listings.container_xml([{"name": "x"}], "c")
