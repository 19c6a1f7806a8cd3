"""The rules of doc/style.md about words and names, checked against the source and the pages.

Docstrings begin with what a thing is or returns; the words of `AVOID` do not occur in docstrings, comments, texts and
pages; some names are not defined at all; one class name means one class.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "objstore"
PAGES = sorted([*ROOT.glob("doc/**/*.md"), ROOT / "README.md"])
# Pages with words to avoid as examples.
EXAMPLES = {ROOT / "doc" / "style.md"}
MODULES = sorted(PACKAGE.rglob("*.py"))

CLAUSE = re.compile(
    r"(What(ever)?|Who(ever|m|se)?|Where|Which|Whether|How|Why|When|Until|Of|So many|That)\b", re.IGNORECASE
)
# Each rule of the word list of doc/style.md that a pattern can find.
AVOID = {
    r"(is|are|was|were|be|has|have) to be": "must be, should be, will be",
    r"to be had": "available, supported, readable",
    r"(has|have|had) not (the|a|an|any)\b": "lacks, does not match",
    r"so long\b(?! as)": "the duration itself",
    r"so many\b(?! (that|partitions that))": "a number of, n",
    r"of late": "recently",
    r"anew": "again",
    r"for ever": "forever",
    r"in vain": "without success",
    r"come what may": "always",
    r"besides": "beside, in addition",
    r"in the place of": "instead of",
    r"(tells?|told) of": "reports",
    r"(is|are|was|were|be|been) told": "gets, receives, is notified",
    r"(is|are|was|were) said\b": "is reported",
    r"where (not|none)\b": "if not, if none",
    r"None where": "None if",
    r"''\S? where": "'' if",
    r"[Rr]aises \w+ where": "raises ... if",
    r"(who|whoever) asks": "the client, the caller",
    r"(goes|go|way) home": "moves to its primaries",
    r"(it|that|which|path|text) is no (number|directory|file|name|list|object|text)\b": "is not a ...",
}
AVOIDED = {re.compile(rf"(?<![\w-])(?:{pattern})" + ("" if pattern.endswith(r"\b") else r"\b")): plain
           for pattern, plain in AVOID.items()}  # fmt: skip
NAMES = re.compile(r"_?(tell|told|said)|(?:_?most|MOST)_\w+")


class Text(NamedTuple):
    where: str
    text: str


def place(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def docstrings(path: Path) -> Iterator[Text]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            text = ast.get_docstring(node)
            if text:
                yield Text(place(path, node.body[0].lineno), text)


def comments_and_strings(path: Path) -> Iterator[Text]:
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING):
            yield Text(place(path, token.start[0]), token.string)


def unplain(texts: Iterator[Text]) -> list[str]:
    return [
        f"{text.where}: {match[0]!r}: {plain}"
        for text in texts
        for pattern, plain in AVOIDED.items()
        if (match := pattern.search(" ".join(re.sub(r"\n\s*#", " ", text.text).split())))
    ]


def definitions(path: Path) -> Iterator[Text]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield Text(place(path, node.lineno), node.name)
        elif isinstance(node, ast.arg):
            yield Text(place(path, node.lineno), node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield Text(place(path, node.lineno), node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield Text(place(path, node.lineno), node.attr)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_docstrings_begin_with_the_thing(path: Path) -> None:
    assert [text for text in docstrings(path) if CLAUSE.match(text.text)] == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_use_plain_words(path: Path) -> None:
    assert unplain(comments_and_strings(path)) == []


@pytest.mark.parametrize("page", [page for page in PAGES if page not in EXAMPLES], ids=lambda page: page.stem)
def test_pages_use_plain_words(page: Path) -> None:
    lines = page.read_text().splitlines()
    assert unplain(Text(place(page, number), line) for number, line in enumerate(lines, 1)) == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_names_are_nouns_and_verbs(path: Path) -> None:
    assert [text for text in definitions(path) if NAMES.fullmatch(text.text)] == []


def test_a_class_name_means_one_class() -> None:
    classes = defaultdict(list)
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                classes[node.name].append(place(path, node.lineno))
    assert {name: places for name, places in classes.items() if len(places) > 1} == {}


@pytest.mark.parametrize("text", ["What a row says.", "whether it is there", "Of a name: its hash.", "How it is sent."])
def test_a_clause_is_found(text: str) -> None:
    assert CLAUSE.match(text)


@pytest.mark.parametrize(
    "text", ["it is to be sent", "None where missing", "# as long ago, and of late", "the container is told", "so long"]
)
def test_a_word_to_avoid_is_found(text: str) -> None:
    assert unplain(iter([Text("", text)]))


@pytest.mark.parametrize("text", ["The hash of a name.", "Whatsapp", "soon", "as long as it lasts, so long as it is"])
def test_plain_words_pass(text: str) -> None:
    assert not unplain(iter([Text("", text)])) and not CLAUSE.match(text)
