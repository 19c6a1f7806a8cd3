"""The page of a directory."""

import re

import pytest

from objstore.web.listing_page import Directory, readable_size, render

MANY = 1_000_000


def file(name, bytes=1, kind="text/plain", **more):
    return {"name": name, "bytes": bytes, "content_type": kind, "last_modified": "2026-01-02T03:04:05.678900", **more}


def page(directory, *rows, more=False, max_size=MANY):
    rendered = render(directory, rows, more, max_size)
    return rendered.content.decode(), rendered.last


def hrefs(text):
    return re.findall(r'href="([^"]*)"', text)


def test_directories_first_and_the_parent_before_them():
    text, last = page(Directory("/t/", "a/"), file("a/1"), {"subdir": "a/2/"}, file("a/3"))
    assert hrefs(text) == ["../", "./2/", "./1", "./3"]
    assert last == ""
    assert '<tr id="parent"' in text and 'class="item subdir"' in text and 'class="item type-text type-plain"' in text
    assert '<time datetime="2026-01-02T03:04:05Z">2026-01-02 03:04:05</time>' in text
    assert hrefs(page(Directory("/t/"), file("1"))[0]) == ["./1"]


def test_the_row_of_the_directory_itself_is_left_out_but_counts_as_its_last():
    text, last = page(Directory("t", "a/"), file("a/", 0), more=True)
    assert hrefs(text)[0] == "../" and "./" not in hrefs(text)
    assert last == "a/"


def test_a_page_that_is_full_leads_on():
    rows = [file(f"n{number}") for number in range(100)]
    text, last = page(Directory("t"), *rows, max_size=1000)
    shown = hrefs(text)
    assert last == rows[len(shown) - 2]["name"] and 1 < len(shown) < 100
    assert shown[-1] == f"./?marker={last}"
    text, last = page(Directory("t", marker="n5"), *rows, max_size=1)
    assert last == "n0" and hrefs(text) == ["./n0", "./", "./?marker=n0"]  # at least one, else it would not go on
    assert page(Directory("t"), *rows)[1] == ""
    assert page(Directory("t"), *rows, more=True)[1] == "n99"


def test_a_marker_is_encoded():
    text, last = page(Directory("t"), file('ü&"<'), more=True)
    assert hrefs(text)[-1] == "./?marker=%C3%BC%26%22%3C"
    assert last == 'ü&"<'


def test_everything_of_clients_is_escaped():
    bad = "<i>\"'&"
    directory = Directory(bad, "p/", css=bad, query=f"q={bad}")
    text, _ = page(
        directory,
        file(f"p/{bad}", kind=f"{bad}/{bad}; {bad}"),
        {"subdir": f"p/{bad}/"},
        more=True,
    )
    inner = text.replace("<i>", "!")
    assert inner == text and "\"'" not in text


def test_links_of_temporary_urls():
    directory = Directory("t", "a/b/", css="a/x.css", query="temp_url_sig=1&inline=", signed="a/")
    text, _ = page(directory, file("a/b/c"), more=True)
    tail = "?temp_url_sig=1&amp;inline="
    assert hrefs(text) == [
        f"../../a/x.css{tail}",
        f"../{tail}",
        f"./c{tail}",
        "./?marker=a%2Fb%2Fc&amp;temp_url_sig=1&amp;inline=",
    ]
    at_the_prefix = directory._replace(prefix="a/", css="x.css")
    assert hrefs(page(at_the_prefix, file("a/c"))[0]) == ["../x.css", f"./c{tail}"]


def test_a_link_shows_the_size_of_its_target():
    text, _ = page(Directory("t"), file("link", 0, symlink_bytes=2048))
    assert '<span title="2048 bytes">2.0 KiB</span>' in text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1_500_000, "1.4 MiB"),
        (1023 * 1024, "1.0 MiB"),
        (5 << 40, "5.0 TiB"),
    ],
)
def test_sizes(size, text):
    assert readable_size(size) == text
