"""What the pages in doc/, the README and the unit files say, held against the code.

Files and directories they name are there; so are modules, functions and constants; settings are settings of some
table; command lines are understood by the commands themselves, without running them.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import click
import pytest
from harness import invariants

from objstore.assembly.conf_text import storage_table
from objstore.assembly.daemons import DUTIES
from objstore.assembly.kinds import KINDS, daemon_settings, process_settings
from objstore.assembly.sections import PATTERNS, all_filters, app_table, filter_table
from objstore.assembly.surroundings import RingSettings
from objstore.cli import status
from objstore.cli.main import COMMANDS, main
from objstore.cli.servers import command as server_command
from objstore.http.client import ClientSettings
from objstore.http.server import ServerSettings
from objstore.runtime import cluster_conf, owners, settings
from objstore.store.objects.file_store import FileSettings

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "objstore"
PAGES = sorted([*(ROOT / "doc").glob("*.md"), ROOT / "README.md"])
PACKAGES = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))
# Directories that paths of pages are relative to.
BASES = (ROOT, PACKAGE, ROOT / "test", ROOT / "doc")
# Placeholders of a page, by what a command takes in their place.
NUMBERS = re.compile(r"[A-Z_]*(?:POWER|REPLICAS|HOURS|WEIGHT|INDEX|SEED|SECONDS|PORT|N)\b")
CHOICES = {"KIND": "proxy", "NAME": "object-auditor"}


class Place(NamedTuple):
    page: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}: {self.text}"


def lines_of(page: Path) -> Iterator[Place]:
    for number, line in enumerate(page.read_text().splitlines(), 1):
        yield Place(page, number, line)


def quoted() -> Iterator[Place]:
    """What stands in `backticks`."""
    for page in PAGES:
        for place in lines_of(page):
            for text in re.findall(r"`([^`]+)`", place.text):
                yield place._replace(text=text)


@cache
def source() -> str:
    return "\n".join(path.read_text() for path in [*PACKAGE.rglob("*.py"), *(ROOT / "test").rglob("*.py")])


@cache
def names() -> frozenset[str]:
    """Every name that the code defines, binds, or uses as a field or text."""
    return frozenset(re.findall(r"[A-Za-z_][A-Za-z0-9_]*", source()))


@cache
def defined(module: Path) -> frozenset[str]:
    """Names that a module defines, in classes too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
            found |= {target.attr for target in targets if isinstance(target, ast.Attribute)}
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.asname or alias.name for alias in node.names}
    return frozenset(found)


def exists(path: str) -> bool:
    """A file or directory of ours, perhaps below a package that the page named before."""
    if any(list(base.glob(path.rstrip("/"))) for base in BASES):
        return True
    return any(any(base.rglob(path)) for base in (PACKAGE, ROOT / "test")) if path.endswith(".py") else False


def test_links_between_pages_lead_somewhere() -> None:
    wrong = []
    for page in PAGES:
        for place in lines_of(page):
            targets = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", place.text)
            wrong += [str(place._replace(text=target)) for target in targets if not (page.parent / target).exists()]
    assert not wrong, "\n".join(wrong)


def test_links_to_headings_lead_somewhere() -> None:
    wrong = []
    for page in PAGES:
        for place in lines_of(page):
            for target, anchor in re.findall(r"\]\(([^)#:\s]*)#([^)]+)\)", place.text):
                text = (page.parent / target if target else page).read_text()
                headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
                known = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
                if anchor not in known:
                    wrong.append(str(place._replace(text=f"{target}#{anchor}")))
    assert not wrong, "\n".join(wrong)


def test_files_that_pages_name_are_there() -> None:
    wrong = [
        str(place)
        for place in quoted()
        if re.fullmatch(r"[\w/*.-]+\.py|(?:doc|etc|test|bench|bin|objstore)/[\w/.*@-]+", place.text)
        and not exists(place.text)
        and not place.text.startswith(("etc/objstore.conf", "etc/proxy-server.conf", "etc/storage-server.conf"))
        and not re.fullmatch(r"etc/(?:\*\.|token|account|container|object).*", place.text)
    ]
    assert not wrong, "\n".join(wrong)


def test_functions_and_constants_stand_in_the_module_that_pages_name_for_them() -> None:
    """`cluster/writes.py` `write` and `runtime/log.py` `one_line`: the name stands right after its module."""
    wrong = []
    for page in PAGES:
        for place in lines_of(page):
            for module, name in re.findall(r"`([\w/]+\.py)` `([A-Za-z_][\w.]*)`", place.text):
                path = PACKAGE / module
                if not path.exists():
                    continue  # of a package that the page named before
                if not set(name.split(".")) <= defined(path):
                    wrong.append(str(place._replace(text=f"{module} {name}")))
    assert not wrong, "\n".join(wrong)


def test_dotted_names_that_pages_use_exist() -> None:
    """`runtime.files`, `harness.cluster.Cluster`: modules, and names in them."""
    wrong = []
    modules = {path.stem for base in (PACKAGE, ROOT / "test") for path in base.rglob("*.py")}
    for place in quoted():
        text = place.text.removesuffix("()")
        parts = text.removeprefix("objstore.").split(".")
        if len(parts) < 2 or parts[0] not in (*PACKAGES, "harness") or not re.fullmatch(r"[\w.]+", text):
            continue
        if not set(parts[1:]) <= names() | modules:
            wrong.append(str(place))
    assert not wrong, "\n".join(wrong)


def test_words_with_underscores_are_names_of_the_code() -> None:
    """Settings, functions, fields and files: what is renamed or removed must not live on in a page."""
    wrong = [
        str(place)
        for place in quoted()
        for word in re.findall(r"(?<![\w./<-])[a-z]+(?:_[a-z0-9]+)+(?![\w<*-])", place.text)
        if not is_of_the_code(word) and word not in FOREIGN
    ]
    assert not wrong, "\n".join(wrong)


def is_of_the_code(word: str) -> bool:
    """Names of metrics are made of parts, and of `_total` for counters."""
    part = re.sub(r"^objstore_(?:server_|daemon_|device_)?", "", word).removesuffix("_total")
    return word in names() | settings_known() or part in source() or exists(f"{word}.py")


# Names of others that pages explain.
FOREIGN = frozenset({"sd_notify", "vm.dirty_bytes", "ip_local_port_range"})


@cache
def settings_known() -> frozenset[str]:
    tables = [
        *(process_settings(kind) for kind in KINDS.values()),
        *(app_table(name) or () for name in KINDS),
        *(filter_table(name) or () for name in all_filters()),
        daemon_settings(DUTIES),
        storage_table(),
        cluster_conf.HASH, cluster_conf.POLICY, cluster_conf.LIMITS, cluster_conf.CONSISTENCY,
    ]  # fmt: skip
    return frozenset(setting.name for table in tables for setting in table)


def test_settings_that_pages_set_are_settings() -> None:
    """`mount_check = yes`: a name that a page sets to a value."""
    patterns = list(PATTERNS.values())
    wrong = []
    for place in quoted():
        match = re.fullmatch(r"(?:set )?([a-z][a-z0-9_]+) = .+", place.text)
        if match and match[1] not in settings_known() and not any(one.fullmatch(match[1]) for one in patterns):
            wrong.append(str(place))
    assert not wrong, "\n".join(wrong)


# Command lines


def command_lines() -> Iterator[Place]:
    """Of indented and fenced blocks, and in backticks."""
    for page in PAGES:
        fenced = False
        text = page.read_text().replace("\\\n", " " * 2)
        for number, line in enumerate(text.splitlines(), 1):
            fenced ^= line.startswith("```")
            if fenced or line.startswith("    "):
                yield from (Place(page, number, part) for part in _commands_in(line))
    for place in quoted():
        if place.text.startswith(("objstore ", "objstore-")) and " " in place.text.strip():
            yield place


def _commands_in(line: str) -> Iterator[str]:
    line = re.sub(r"\s#.*", "", line)
    for part in re.split(r"&&|;|\bdo\b|\||&|`", line):
        part = re.sub(r"^\s*(?:\w+=\S+\s+)*", "", part).strip()
        part = re.sub(r"\s*[<>].*", "", part)
        part = part.removeprefix("/opt/objstore/.venv/bin/").removeprefix("ExecStart=/opt/objstore/.venv/bin/")
        if re.match(r"objstore(?:-[\w$]+)? ", part) and "..." not in part.split()[:2]:
            yield part


def parse(words: list[str]) -> None:
    """Raises click.UsageError for what a command does not understand; runs nothing."""
    program = words[0]
    if program.startswith("objstore-"):
        kind = program.removeprefix("objstore-").removesuffix("-server")
        if kind == "ring-builder":
            return
        found: click.Command = server_command(KINDS[CHOICES.get(kind, "proxy") if kind not in KINDS else kind])
    else:
        found = main
    rest = words[1:]
    context = click.Context(found, info_name=program)
    while isinstance(found, click.Group):
        name = rest.pop(0)
        if name == "--help":
            return
        child = found.get_command(context, name)
        if child is None:
            raise click.UsageError(f"no command {name!r}")
        found, context = child, click.Context(child, info_name=name, parent=context)
        if isinstance(found, click.Group) and not rest:
            return  # a page names the group
    if rest:  # else the page names the command
        _without_files(found)
        found.make_context(found.name, rest, parent=context.parent)


def _without_files(command: click.Command) -> None:
    """Files and hosts of a page are not on this host."""
    for parameter in command.params:
        if isinstance(parameter.type, click.Path):
            parameter.type.exists = False


def filled_in(text: str) -> list[str]:
    """A command line of a page with its placeholders replaced: `[NAME]`, `KIND`, `...`."""
    text = re.sub(r"\[(?:NAME|CONTAINER|OBJECT)[^\]]*\](?:\.\.\.)?\]?|\[--[^\]]*\]|\.\.\.", "", text)
    words = shlex.split(text)
    words = [CHOICES.get(word, word) for word in words]
    return [NUMBERS.sub("3", word) if word.isupper() or "$" not in word else word for word in words]


def test_command_lines_are_understood_by_the_commands() -> None:
    wrong = []
    seen = 0
    for place in command_lines():
        seen += 1
        try:
            parse(filled_in(place.text))
        except click.exceptions.Exit:
            pass  # --help
        except click.ClickException as error:
            wrong.append(f"{place}: {error.format_message()}")
        except (ValueError, IndexError) as error:
            wrong.append(f"{place}: {error}")
    assert not wrong, "\n".join(wrong)
    assert seen > 50


def test_every_command_is_told_of_in_the_page_of_commands() -> None:
    page = (ROOT / "doc" / "commands.md").read_text() + (ROOT / "doc" / "operating.md").read_text()
    assert [name for name in COMMANDS if f"objstore {name}" not in page and f"`{name}`" not in page] == []


@pytest.mark.parametrize("unit", sorted((ROOT / "etc").glob("*.service")), ids=lambda path: path.name)
def test_unit_files_start_what_is_there(unit: Path) -> None:
    for line in re.findall(r"^ExecStart=/usr/bin/env (.+)$", unit.read_text(), re.MULTILINE):
        for kind in KINDS if "%i" in line else [""]:
            parse(shlex.split(line.replace("%i", kind)))


def test_figures_that_pages_give_are_those_of_the_code() -> None:
    """(page, sentence, value in the code, value that the sentence stands for)"""
    wrong = [
        f"{page}: {sentence!r} stands for {report}, the code has {value}"
        for page, sentence, value, report in FIGURES
        if value != report or sentence not in (ROOT / page).read_text()
    ]
    assert not wrong, "\n".join(wrong)


def default(settings_class: type[settings.Dataclass], name: str) -> object:
    return getattr(settings_class(), name)


FIGURES = (
    ("doc/testing.md", "two minutes at most", invariants.SECONDS, 120.0),
    (
        "doc/operating.md",
        "`reclaim_age` (a week)",
        default(cluster_conf.ConsistencySettings, "reclaim_age"),
        7 * 86400.0,
    ),
    ("doc/operating.md", "`drain_timeout` (30 s)", default(ServerSettings, "drain_timeout"), 30.0),
    ("doc/operating.md", "`max_connections` (1024)", default(ServerSettings, "max_connections"), 1024),
    ("doc/operating.md", "`ring_check_interval` (15 s)", default(RingSettings, "ring_check_interval"), 15.0),
    ("doc/operating.md", "`fallocate_reserve` (1%)", default(FileSettings, "fallocate_reserve"), (0, 1.0)),
    ("doc/operating.md", "`umask = 077`", default(owners.OwnerSettings, "umask"), 0o077),
    ("doc/failures.md", "`conn_timeout` (0.5 s)", default(ClientSettings, "conn_timeout"), 0.5),
    ("doc/failures.md", "`node_timeout` (10 s)", default(ClientSettings, "node_timeout"), 10.0),
    ("doc/commands.md", "3 | only `status`", status.COPIES_UNDER_WAY, 3),
)
