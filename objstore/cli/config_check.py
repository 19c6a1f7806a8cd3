"""What is wrong with a configuration file: told with file and section, all at once, and without starting anything."""

from __future__ import annotations

import configparser
import os
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import NamedTuple

from objstore.auth.users_file import read_token_key, read_users
from objstore.cli import pipeline_rules
from objstore.cli.conf_text import storage_table
from objstore.cli.daemons import DUTIES
from objstore.cli.kinds import KINDS, Kind, chosen_daemons, daemon_settings, process_settings
from objstore.cli.processes import import_pipeline, open_conf
from objstore.cli.sections import OURS, PATTERNS, app_table, filter_table, unique
from objstore.cli.surroundings import TOLD_SETTINGS
from objstore.core.errors import ConfigError
from objstore.core.policies import ring_name
from objstore.ring import Ring
from objstore.runtime import cluster_conf, settings
from objstore.runtime.settings import Table

# What PasteDeploy itself reads in a section, and adds to all.
_PASTE_NAMES = frozenset({"use", "require", "filter-with", "here", "__file__"})
_FACTORIES = ("paste.app_factory", "paste.filter_factory")
_MAIN = "pipeline:main"
_NEEDS_RINGS = {"container": ("account",), "object": ("container",)}  # for their daemons


class Problem(NamedTuple):
    """serious: must be mended; otherwise it is worth a look."""

    path: str
    section: str
    text: str
    serious: bool = True

    def __str__(self) -> str:
        place = f"{self.path}: [{self.section}]" if self.section else f"{self.path}:"
        return f"{place} {'' if self.serious else 'warning: '}{self.text}"


def check_pipeline(path: str) -> list[Problem]:
    """What is wrong with a file's pipeline alone: a quick look, at a start."""
    try:
        conf = Conf(path)
        names = conf.values(_MAIN).get("pipeline", "").split() if _MAIN in conf.names else []
        parts = [_used(conf, f"filter:{name}") for name in names[:-1]]
        kind = _used(conf, f"app:{names[-1]}") if names else ""
    except ConfigError:
        return []  # who makes the pipeline tells
    found = pipeline_rules.findings(kind, [name for name in parts if name])
    return [Problem(path, _MAIN, finding.text, finding.serious) for finding in found]


class Conf:
    """A file's sections as they stand. names: of the settings that each section itself has."""

    def __init__(self, path: str) -> None:
        """Raises ConfigError where the file cannot be read."""
        self.path = path
        self._parser = open_conf(path).parser
        # Where [DEFAULT] is a section like any other, one sees what the others themselves say.
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
        """What an app or filter of this section is given; raises ConfigError."""
        found = self.defaults()
        for name in self.names.get(section, ()):
            bare = name.removeprefix("set ").strip()
            if bare != name or name not in found:
                try:
                    found[bare] = self._parser.get(section, name)
                except (configparser.Error, ValueError) as error:
                    raise ConfigError(f"{self.path}: [{section}] {name}: {error}") from None
        return found


class Part(NamedTuple):
    """An app or filter of a pipeline. name: among ours, else ''. table: None where only it knows its settings."""

    section: str
    name: str
    table: Table | None


def check(path: str) -> list[Problem]:
    """All problems of a file, of whatever kind it is."""
    try:
        conf = Conf(path)
        if _is_cluster_conf(conf):
            return _check_cluster(conf)
        if not conf.sections:
            return _check_storage(conf)
        return list(_check_server(conf))
    except ConfigError as error:
        return [Problem(path, "", str(error).removeprefix(f"{path}: "))]


def _is_cluster_conf(conf: Conf) -> bool:
    known = ("hash", "limits")
    return any(section in known or section.startswith("storage-policy:") for section in conf.sections)


def _check_cluster(conf: Conf) -> list[Problem]:
    tables = {"hash": cluster_conf.HASH, "limits": cluster_conf.LIMITS, "consistency": cluster_conf.CONSISTENCY}
    found = []
    for section in conf.sections:
        table = cluster_conf.POLICY if section.startswith("storage-policy:") else tables.get(section)
        if table is None:
            found.append(Problem(conf.path, section, "is no section of objstore.conf"))
        else:
            # As they stand: a salt may hold what PasteDeploy would read as a reference.
            found += [*_unknown(conf, section, table), *_wrong(conf, section, table, conf.raw[section])]
    if not found and os.path.basename(conf.path) == cluster_conf.FILE_NAME:
        cluster_conf.load(os.path.dirname(conf.path))  # what holds between sections; raises ConfigError
    return found


def _check_storage(conf: Conf) -> list[Problem]:
    """storage-server.conf of `objstore serve`, which has no pipeline."""
    table = unique(storage_table(), (chosen_daemons(tuple(DUTIES)), *TOLD_SETTINGS), daemon_settings(DUTIES))
    return [*_check_section(conf, "DEFAULT", table), *_check_rings(conf, conf.values("DEFAULT"), ())]


def _check_server(conf: Conf) -> Iterator[Problem]:
    if _MAIN not in conf.names:
        yield Problem(conf.path, "", f"there is no [{_MAIN}]")
        return
    names = conf.values(_MAIN).get("pipeline", "").split()
    if not names:
        yield Problem(conf.path, _MAIN, "pipeline is empty")
        return
    wanted = [f"filter:{name}" for name in names[:-1]] + [f"app:{names[-1]}"]
    missing = [section for section in wanted if section not in conf.names]
    for section in missing:
        yield Problem(conf.path, _MAIN, f"the pipeline names {section.partition(':')[2]}, but there is no [{section}]")
    parts = [_part(conf, section) for section in wanted if section in conf.names]
    for part in parts:
        if part.name and part.table is None:
            yield Problem(conf.path, part.section, f"use = egg:{OURS}#{part.name}: there is nothing of this name")
    kind = KINDS.get(parts[-1].name) if parts and parts[-1].section == wanted[-1] else None
    yield from _check_parts(conf, kind, parts)
    for section in conf.sections:
        if section not in wanted and section != _MAIN:
            yield Problem(conf.path, section, "is not in the pipeline", serious=False)
    if kind is not None:
        filters = [part.name for part in parts if part.section.startswith("filter:") and part.name]
        for finding in pipeline_rules.findings(kind.name, filters):
            yield Problem(conf.path, _MAIN, finding.text, finding.serious)
        yield from _check_surroundings(conf, kind, parts)
    if not missing and all(part.table is not None or not part.name for part in parts):
        import_pipeline(conf.path)  # of others' filters; raises ConfigError


def _used(conf: Conf, section: str) -> str:
    """The name, among ours, of what a section is for; empty for others'."""
    use = conf.values(section).get("use", "")
    egg, _, name = use.removeprefix("egg:").partition("#")
    return name if egg == OURS and use.startswith("egg:") else ""


def _part(conf: Conf, section: str) -> Part:
    name = _used(conf, section)
    if not name:
        return Part(section, "", None)
    is_filter = section.startswith("filter:")
    return Part(section, name, filter_table(name) if is_filter else app_table(name))


def _check_parts(conf: Conf, kind: Kind | None, parts: Iterable[Part]) -> Iterator[Problem]:
    """Settings of the sections, and of [DEFAULT], which may set those of all of them."""
    process = process_settings(kind) if kind is not None else ()
    known = [process]
    for part in parts:
        if part.table is not None:
            known.append(part.table)
            yield from _check_section(conf, part.section, part.table, part.name)
    if all(part.table is not None for part in parts):
        yield from _unknown(conf, "DEFAULT", unique(*known))
    yield from _wrong(conf, "DEFAULT", process, conf.defaults())


def _check_section(conf: Conf, section: str, table: Table, name: str = "") -> list[Problem]:
    shadowed = [
        Problem(conf.path, section, f"{option} is set in [DEFAULT] too, which counts; write `set {option} = ...` here")
        for option in conf.names.get(section, ())
        if section != "DEFAULT" and option in conf.names.get("DEFAULT", ())
    ]
    wrong = _wrong(conf, section, table, conf.values(section))
    return [*_unknown(conf, section, table, name), *shadowed, *wrong]


def _unknown(conf: Conf, section: str, table: Table, name: str = "") -> Iterator[Problem]:
    pattern = PATTERNS.get(name)
    names = [option.removeprefix("set ").strip() for option in conf.names.get(section, ())]
    for option in settings.unknown(table, names):
        if option in _PASTE_NAMES or option in _FACTORIES or (pattern is not None and pattern.fullmatch(option)):
            continue
        yield Problem(conf.path, section, f"{option} is no setting of this section{_meant(option, table)}")


def _meant(option: str, table: Table) -> str:
    near = get_close_matches(option, [setting.name for setting in table], n=1)
    return f"; {near[0]} is" if near else ""


def _wrong(conf: Conf, section: str, table: Table, values: Mapping[str, str]) -> Iterator[Problem]:
    for setting in table:
        if setting.name in values:
            try:
                settings.read((setting,), values)
            except ConfigError as error:
                yield Problem(conf.path, section, str(error))


def _check_surroundings(conf: Conf, kind: Kind, parts: Iterable[Part]) -> Iterator[Problem]:
    """The files and directories that the settings name."""
    for part in parts:
        values = conf.values(part.section)
        if part.name == kind.name and part.section.startswith("app:"):
            yield from _check_rings(conf, values, _NEEDS_RINGS.get(kind.name, ()), kind.name == "proxy")
            if kind.name != "proxy":
                yield from _check_devices(conf, part.section, values)
        if part.name == "tempauth":
            yield from _check_users(conf, part.section, values)


def _check_rings(
    conf: Conf, values: Mapping[str, str], names: tuple[str, ...], policies: bool = False
) -> Iterator[Problem]:
    """policies: are the rings of all policies, accounts and containers needed?"""
    directory = values.get("ring_dir", "/etc/objstore")
    try:
        cluster = cluster_conf.load(directory)
    except ConfigError as error:
        yield Problem(conf.path, "DEFAULT", f"ring_dir: {error}")
        return
    if policies:
        names = ("account", "container", *(ring_name(policy.index) for policy in cluster.policies))
    for name in names:
        try:
            Ring.load(os.path.join(directory, f"{name}.ring"))
        except ConfigError as error:
            yield Problem(conf.path, "DEFAULT", f"ring_dir: {error}")


def _check_devices(conf: Conf, section: str, values: Mapping[str, str]) -> Iterator[Problem]:
    root = os.path.normpath(values.get("devices", "/srv/node"))
    if not os.path.isdir(root):
        yield Problem(conf.path, section, f"devices = {root}: there is no such directory on this host", serious=False)


def _check_users(conf: Conf, section: str, values: Mapping[str, str]) -> Iterator[Problem]:
    for name, read in (("users_file", read_users), ("token_key_file", read_token_key)):
        if values.get(name):
            try:
                read(values[name])
            except ConfigError as error:
                yield Problem(conf.path, section, f"{name}: {error}")
