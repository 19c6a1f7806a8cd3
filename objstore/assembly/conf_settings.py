"""Checks of a configuration file: its settings against the tables of its sections, and the file modes of its secrets.

They are quick: every start and reload refuses a file with such problems (`refuse`), and `objstore config check` reports
them.
"""

from __future__ import annotations

import configparser
import os
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from typing import NamedTuple

from objstore.assembly.conf_text import storage_table
from objstore.assembly.daemons import DUTIES
from objstore.assembly.kinds import KINDS, ServerKind, chosen_daemons, daemon_settings, process_settings
from objstore.assembly.processes import open_conf
from objstore.assembly.sections import OURS, PATTERNS, all_filters, app_table, filter_table, unique
from objstore.assembly.surroundings import TOLD_SETTINGS
from objstore.core.errors import ConfigError
from objstore.runtime import cluster_conf, owners, settings
from objstore.runtime.settings import Table

MAIN = "pipeline:main"
# Options that PasteDeploy itself reads in a section, and adds to all.
_PASTE_NAMES = frozenset({"use", "require", "filter-with", "here", "__file__"})
_PASTE_SECTIONS = ("app", "application", "composite", "composit", "filter", "filter-app", "pipeline", "server")
_PASTE_FACTORY = "paste.filter_factory"
_CLUSTER_TABLES = {"hash": cluster_conf.HASH, "limits": cluster_conf.LIMITS, "consistency": cluster_conf.CONSISTENCY}
_POLICY = "storage-policy:"
_STORAGE_TABLE = unique(storage_table(), (chosen_daemons(tuple(DUTIES)), *TOLD_SETTINGS), daemon_settings(DUTIES))
# Settings with a secret value, and settings that name a file of secrets.
_SECRETS = ("token_key", "admin_key")
_SECRET_FILES = ("users_file", "token_key_file", "key_file")
_USERS = "tempauth"  # the filter whose settings by pattern are users with their keys
_NEAR = 0.85  # similarity above which a name counts as misspelt


class ConfProblem(NamedTuple):
    """A problem of a file. serious: an error, else a warning. at_start: no server starts or reloads with it."""

    path: str
    section: str
    text: str
    serious: bool = True
    at_start: bool = False

    def __str__(self) -> str:
        place = f"{self.path}: [{self.section}]" if self.section else f"{self.path}:"
        return f"{place} {'' if self.serious else 'warning: '}{self.text}"


class Conf:
    """The sections of a file, uninterpreted. names: names of the settings that each section itself has."""

    def __init__(self, path: str) -> None:
        """Raises ConfigError if the file cannot be read."""
        self.path = path
        self._parser = open_conf(path).parser
        # With [DEFAULT] as an ordinary section, the others show only their own settings.
        raw = configparser.RawConfigParser(default_section="\0")
        raw.optionxform = str  # type: ignore[assignment,method-assign]
        raw.read(path)
        self.raw = {section: dict(raw[section]) for section in raw.sections()}
        self.names = {section: list(values) for section, values in self.raw.items()}

    @property
    def sections(self) -> list[str]:
        return [section for section in self.names if section != "DEFAULT"]

    def defaults(self) -> dict[str, str]:
        try:
            found: dict[str, str] = self._parser.defaults()
            return found
        except (configparser.Error, ValueError) as error:
            raise ConfigError(f"{self.path}: [DEFAULT] {error}") from None

    def values(self, section: str) -> dict[str, str]:
        """Return the settings that an app or filter of this section gets; raises ConfigError."""
        found = self.defaults()
        for name in self.names.get(section, ()):
            bare = bare_name(name)
            if name.startswith("get "):
                found[bare] = found.get(self._parser.get(section, name), "")
            elif bare != name or name not in found:
                try:
                    found[bare] = self._parser.get(section, name)
                except (configparser.Error, ValueError) as error:
                    raise ConfigError(f"{self.path}: [{section}] {name}: {error}") from None
        return found


def bare_name(option: str) -> str:
    """Return the setting of an option of a section: PasteDeploy knows `set NAME` and `get NAME`."""
    return option.removeprefix("set ").removeprefix("get ").strip()


class PipelinePart(NamedTuple):
    """An app or filter of a pipeline. name: if it is ours, else ''. table: None if only it knows its settings."""

    section: str
    name: str
    table: Table | None


def refuse(*paths: str) -> None:
    """Raise ConfigError, with all problems, for a file that no server must start or reload with.

    The objstore.conf of a server's file is checked with it.
    """
    files = dict.fromkeys(file for path in paths for file in (path, _cluster_file(path)) if file)
    found = [str(problem) for path in files for problem in problems_of(path) if problem.at_start]
    if found:
        raise ConfigError("\n".join(found))


def _cluster_file(path: str) -> str:
    """Return the path of objstore.conf, empty if it cannot be found: the server reports that when it needs it."""
    conf = Conf(path)
    kind = kind_of(conf)
    values = conf.values(f"app:{_pipeline(conf)[-1]}") if kind else conf.defaults()
    found = os.path.join(values.get("ring_dir", "/etc/objstore"), cluster_conf.FILE_NAME)
    return found if os.access(found, os.R_OK, effective_ids=True) else ""


def problems_of(path: str) -> list[ConfProblem]:
    """Return the problems of the settings of a file of any kind. Raises ConfigError if it cannot be read."""
    conf = Conf(path)
    if is_cluster_conf(conf):
        return list(_of_cluster(conf))
    if not conf.sections:
        return check_section(conf, "DEFAULT", _STORAGE_TABLE)
    return list(_of_server(conf))


def is_cluster_conf(conf: Conf) -> bool:
    return any(section in _CLUSTER_TABLES or section.startswith(_POLICY) for section in conf.sections)


def _of_cluster(conf: Conf) -> Iterator[ConfProblem]:
    for section in conf.sections:
        table = cluster_conf.POLICY if section.startswith(_POLICY) else _CLUSTER_TABLES.get(section)
        if table is None:
            near = _nearest(section, [*_CLUSTER_TABLES, f"{_POLICY}0"])
            yield ConfProblem(conf.path, section, f"is not a section of objstore.conf{near}", at_start=True)
        else:
            # Uninterpreted: a salt may contain text that PasteDeploy would read as a reference.
            yield from _unknown(conf, section, table)
            yield from _wrong(conf, section, table, conf.raw[section])
    yield from _exposed(conf.path, conf.path, "")


def _of_server(conf: Conf) -> Iterator[ConfProblem]:
    """Yield problems of the sections, and of [DEFAULT], which may have the settings of all of them."""
    parts = [part_of(conf, section) for section in conf.sections if section.partition(":")[0] in ("app", "filter")]
    kind = kind_of(conf)
    process = process_settings(kind) if kind is not None else ()
    tables = [process]
    for part in parts:
        if part.table is not None:
            tables.append(part.table)
            yield from check_section(conf, part.section, part.table, part.name)
    yield from _sections(conf)
    everything = unique(*tables)
    # Sections of external filters may read any name.
    foreign = kind is None or any(part.table is None for part in parts)
    yield from _unknown(conf, "DEFAULT", everything, cutoff=_NEAR if foreign else 0.0)
    yield from _wrong(conf, "DEFAULT", process, conf.defaults())
    yield from _secrets(conf)


def _sections(conf: Conf) -> Iterator[ConfProblem]:
    """Yield problems of sections that PasteDeploy ignores, and of options that it ignores in the pipeline."""
    for section in conf.sections:
        kind = section.partition(":")[0]
        if kind not in _PASTE_SECTIONS:
            near = _nearest(kind, ["DEFAULT", *_PASTE_SECTIONS])
            yield ConfProblem(conf.path, section, f"is not a section of a server's file{near}", at_start=True)
    if MAIN in conf.names:
        yield from _unknown(conf, MAIN, (settings.Setting("pipeline", str, "", ""),))


def used_name(conf: Conf, section: str) -> str:
    """Return the name of our app or filter that a section configures; empty for external ones."""
    use = conf.values(section).get("use", "")
    egg, _, name = use.removeprefix("egg:").partition("#")
    return name if egg == OURS and use.startswith("egg:") else ""


def kind_of(conf: Conf) -> ServerKind | None:
    """Return the server at the end of the pipeline, if it is one of ours."""
    names = _pipeline(conf)
    section = f"app:{names[-1]}" if names else ""
    return KINDS.get(used_name(conf, section)) if section in conf.names else None


def _pipeline(conf: Conf) -> list[str]:
    return conf.values(MAIN).get("pipeline", "").split() if MAIN in conf.names else []


def part_of(conf: Conf, section: str) -> PipelinePart:
    name = used_name(conf, section)
    if name:
        return PipelinePart(section, name, filter_table(name) if section.startswith("filter:") else app_table(name))
    module = conf.values(section).get(_PASTE_FACTORY, "").partition(":")[0]
    ours = module.startswith(OURS + ".")
    return PipelinePart(section, "", tuple(getattr(import_module(module), "SETTINGS", ())) if ours else None)


def check_section(conf: Conf, section: str, table: Table, name: str = "") -> list[ConfProblem]:
    shadowed = [
        ConfProblem(
            conf.path,
            section,
            f"{option} is set in [DEFAULT] too, which takes precedence; write `set {option} = ...` here",
        )
        for option in conf.names.get(section, ())
        if section != "DEFAULT" and option in conf.names.get("DEFAULT", ())
    ]
    wrong = _wrong(conf, section, table, conf.values(section))
    return [*_unknown(conf, section, table, name), *shadowed, *wrong]


def _unknown(conf: Conf, section: str, table: Table, name: str = "", cutoff: float = 0.0) -> Iterator[ConfProblem]:
    """Yield unknown names. cutoff: only names that are this similar to a setting, which are probably misspelt."""
    pattern = PATTERNS.get(name)
    known = [setting.name for setting in table]
    for option in settings.unknown(table, map(bare_name, conf.names.get(section, ()))):
        if option in _PASTE_NAMES or option.startswith("paste.") or (pattern and pattern.fullmatch(option)):
            continue
        if section == "DEFAULT" and option in _names_of_all():
            text = f"{option} is a setting of other servers or filters, and has no effect here"
            yield ConfProblem(conf.path, section, text, serious=False)
            continue
        if cutoff and not get_close_matches(option, known, n=1, cutoff=cutoff):
            continue
        text = f"{option} is not a setting of this section{_nearest(option, known)}"
        yield ConfProblem(conf.path, section, text, at_start=True)


@cache
def _names_of_all() -> frozenset[str]:
    """Return the settings of all servers and filters: hosts may have the same [DEFAULT] in all their files."""
    tables = [process_settings(kind) for kind in KINDS.values()]
    tables += [app_table(name) or () for name in KINDS]
    tables += [filter_table(name) or () for name in all_filters()]
    return frozenset(setting.name for setting in unique(*tables))


def _nearest(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, list(known), n=1)
    return f"; {near[0]} is" if near else ""


def _wrong(conf: Conf, section: str, table: Table, values: Mapping[str, str]) -> Iterator[ConfProblem]:
    for setting in table:
        if setting.name in values:
            try:
                setting.read(values)
            except ConfigError as error:
                yield ConfProblem(conf.path, section, str(error), at_start=True)


def _secrets(conf: Conf) -> Iterator[ConfProblem]:
    """Yield secrets that every user of the host can read: in the file itself, or in files that it names."""
    for section in ["DEFAULT", *conf.sections]:
        names = set(map(bare_name, conf.names.get(section, ())))
        pattern = PATTERNS.get(_USERS) if section.startswith("filter:") and used_name(conf, section) == _USERS else None
        if names & set(_SECRETS) or (pattern and any(map(pattern.fullmatch, names))):
            yield from _exposed(conf.path, conf.path, section)
        values = conf.defaults() if section == "DEFAULT" else conf.values(section)
        for name in names & {*_SECRET_FILES, "cert_file"}:
            if name == "cert_file" and "key_file" in values:
                continue  # which then is not a key
            yield from _exposed(conf.path, values.get(name, ""), section)


def _exposed(path: str, secret: str, section: str) -> Iterator[ConfProblem]:
    why = owners.exposed(secret)
    if why:
        yield ConfProblem(path, section, why, at_start=True)
