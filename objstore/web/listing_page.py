"""The page of a directory of a static web site: its entries as HTML, for browsers and for scripts that follow links.

Elements have the ids and classes that stylesheets for Swift's listings use: `title`, `listing`, `heading`, `parent`;
`item`, `subdir`, `type-text`, `colname`, `colsize`, `coldate`. All names are escaped; links are relative to the page
and begin with `./`, so that no name is taken as the scheme or host of a URL.
"""

from __future__ import annotations

import functools
import html
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

# System colours follow the light or dark mode of the browser.
_STYLE = """\
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.2rem; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .25rem .75rem; border-bottom: 1px solid #8884; }
.colname { overflow-wrap: anywhere; width: 100%; padding-left: 0; }
.colsize, .coldate { white-space: nowrap; }
.colsize { text-align: right; }
tr.item:hover { background: #8882; }
a { text-decoration: none; }
a:hover { text-decoration: underline; }
"""
_URL_CHARACTERS = "/:?#[]@!$'()*+,;=%~"  # that stay as they are in the URL of a stylesheet
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


class Directory(NamedTuple):
    """A directory to show. title: of the page, after "Listing of". prefix: of its names, '' or one that ends with `/`.

    css: URL of a stylesheet as the site's owner gave it, '' for the built-in style: relative to the container unless it
    is absolute. query: to append to each link within the site, '' or without its `?`. signed: the prefix of names for
    which links with the query are valid. marker: the entry that the page begins after, '' for the first page.
    """

    title: str
    prefix: str = ""
    css: str = ""
    query: str = ""
    signed: str = ""
    marker: str = ""


class Rendered(NamedTuple):
    """A page as UTF-8. last: the name of its last entry if there are more, else ''."""

    content: bytes
    last: str


def render(directory: Directory, rows: Iterable[Mapping[str, Any]], more: bool, max_size: int) -> Rendered:
    """Return the page with the rows of a listing (with delimiter `/`), directories first.

    A row of the directory itself is left out. more: the listing goes on after these rows. max_size: characters of the
    entries; the page ends before the entry that would exceed it, but has at least one.
    """
    directories: list[str] = []
    files: list[str] = []
    size = 0
    last = ""
    tail = html.escape(_tail(directory.query))
    for row in rows:
        name = row["subdir"] if "subdir" in row else row["name"]
        if name != directory.prefix:
            entry = _entry(row, directory, tail)
            size += len(entry)
            if size > max_size and (directories or files):
                more = True
                break
            (directories if "subdir" in row else files).append(entry)
        last = name
    last = last if more else ""
    page = "".join((*_head(directory), *directories, *files, *_foot(directory, last)))
    return Rendered(page.encode("utf-8", "replace"), last)


def _head(directory: Directory) -> Iterable[str]:
    title = html.escape(f"Listing of {directory.title}")
    yield '<!DOCTYPE html>\n<html>\n<head>\n<meta charset="utf-8">\n'
    yield f'<meta name="viewport" content="width=device-width">\n<title>{title}</title>\n'
    if directory.css:
        yield f'<link rel="stylesheet" type="text/css" href="{html.escape(_css_link(directory))}" />\n'
    else:
        yield f"<style>\n{_STYLE}</style>\n"
    yield f'</head>\n<body>\n<h1 id="title">{title}</h1>\n<table id="listing">\n'
    yield '<tr id="heading"><th class="colname">Name</th><th class="colsize">Size</th>'
    yield '<th class="coldate">Date</th></tr>\n'
    parent = directory.prefix[:-1].rpartition("/")
    if directory.prefix and _is_signed(directory, "".join(parent[:2])):
        tail = html.escape(_tail(directory.query))
        yield _row("parent", "item", f'<a href="../{tail}">../</a>')


def _foot(directory: Directory, last: str) -> Iterable[str]:
    yield "</table>\n"
    links = []
    if directory.marker:
        links.append(f'<a id="first" rel="first" href="./{html.escape(_tail(directory.query))}">First page</a>')
    if last:
        query = "&".join(filter(None, (urlencode({"marker": last}), directory.query)))
        links.append(f'<a id="next" rel="next" href="./?{html.escape(query)}">Next page</a>')
    if links:
        yield f'<p id="pages">{" ".join(links)}</p>\n'
    yield "</body>\n</html>\n"


def _entry(row: Mapping[str, Any], directory: Directory, tail: str) -> str:
    if "subdir" in row:
        return _row("", "item subdir", _link(row["subdir"][len(directory.prefix) :], tail))
    size = int(row.get("symlink_bytes", row["bytes"]))
    date = row["last_modified"].partition(".")[0]  # made by the store
    shown_size = f'<span title="{size} bytes">{readable_size(size)}</span>'
    shown_date = f'<time datetime="{date}Z">{date.replace("T", " ")}</time>'
    link = _link(row["name"][len(directory.prefix) :], tail)
    return _row("", _classes(row["content_type"]), link, shown_size, shown_date)


@functools.lru_cache(maxsize=1024)
def _classes(content_type: str) -> str:
    kinds = content_type.partition(";")[0].strip().split("/")
    return html.escape(" ".join(("item", *(f"type-{kind}" for kind in kinds))))


def _row(id: str, classes: str, link: str, size: str = "&nbsp;", date: str = "&nbsp;") -> str:
    named = f' id="{id}"' if id else ""
    return (
        f'<tr{named} class="{classes}"><td class="colname">{link}</td><td class="colsize">{size}</td>'
        f'<td class="coldate">{date}</td></tr>\n'
    )


def _link(name: str, tail: str) -> str:
    """Return a link to an entry. tail: the query to append, escaped."""
    quoted = quote(name)
    text = name if quoted == name else html.escape(name)
    return f'<a href="./{quoted}{tail}">{text}</a>'


def _tail(query: str) -> str:
    return f"?{query}" if query else ""


def _css_link(directory: Directory) -> str:
    """Return the link to the stylesheet from this page."""
    css = quote(directory.css, safe=_URL_CHARACTERS)
    if css.startswith(("http://", "https://", "/")):
        return css
    tail = _tail(directory.query) if _is_signed(directory, css) and "?" not in css else ""
    return "../" * directory.prefix.count("/") + css + tail


def _is_signed(directory: Directory, name: str) -> bool:
    return not directory.query or name.startswith(directory.signed)


def readable_size(size: int) -> str:
    """Return a number of bytes with three significant digits: `999 B`, `1.5 KiB`, `23.1 MiB`."""
    if size < 1024:
        return f"{size} B"
    amount, unit = float(size), 0
    while amount >= 999.95 and unit < len(_UNITS) - 1:
        amount /= 1024
        unit += 1
    return f"{amount:.1f} {_UNITS[unit]}"
