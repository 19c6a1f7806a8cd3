"""The check of a configuration: every problem that would make a start or a reload fail, found without starting
anything."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterator, Mapping

from objstore.assembly import conf_settings, pipeline_rules
from objstore.assembly.conf_settings import MAIN, Conf, ConfProblem, PipelinePart, kind_of, part_of, used_name
from objstore.assembly.kinds import ProcessSettings, ServerKind
from objstore.assembly.processes import import_pipeline
from objstore.assembly.sections import OURS
from objstore.auth.users_file import read_token_key, read_users
from objstore.core.errors import ConfigError
from objstore.core.policies import ring_name
from objstore.http.server import ServerSettings
from objstore.http.tls import server_context
from objstore.ring import Ring
from objstore.runtime import cluster_conf, owners, settings
from objstore.runtime.device_counts import device_paths
from objstore.runtime.files import is_directory
from objstore.runtime.owners import Owner

_NEEDS_RINGS = {"container": ("account",), "object": ("container",)}  # for their daemons


def check_pipeline(path: str) -> list[ConfProblem]:
    """Return the problems of a file's pipeline alone: a quick check at a start."""
    try:
        conf = Conf(path)
        names = conf.values(MAIN).get("pipeline", "").split() if MAIN in conf.names else []
        parts = [used_name(conf, f"filter:{name}") for name in names[:-1]]
        kind = used_name(conf, f"app:{names[-1]}") if names else ""
    except ConfigError:
        return []  # making the pipeline reports it
    found = pipeline_rules.findings(kind, [name for name in parts if name])
    return [ConfProblem(path, MAIN, finding.text, finding.serious) for finding in found]


def check(path: str) -> list[ConfProblem]:
    """Return all problems of a file of any kind, seen as the servers' user if this is root."""
    owner = None
    try:
        with owners.acting_as(owner := owner_of(path)):
            found = list(_check(path))
    except ConfigError as error:
        found = [ConfProblem(path, "", str(error).removeprefix(f"{path}: "))]
    return [_with_user(problem, owner) for problem in found]


def _with_user(problem: ConfProblem, owner: Owner | None) -> ConfProblem:
    denied = problem.text.endswith(os.strerror(errno.EACCES))
    return problem._replace(text=f"{problem.text}, as user {owner}") if denied and owner else problem


def owner_of(path: str) -> Owner | None:
    """Return the user of the server of a file, if the files name one. Raises ConfigError."""
    conf = Conf(path)
    kind = kind_of(conf)
    defaults = conf.defaults() if kind is not None else {}
    if kind is None or kind.name == "proxy":
        return (
            owners.owner_named(defaults["user"])
            if defaults.get("user")
            else owners.of_path(os.path.dirname(path) or ".")
        )
    return owners.of_devices(defaults.get("devices", "/srv/node"), defaults.get("user", ""))


def _check(path: str) -> Iterator[ConfProblem]:
    conf = Conf(path)
    found = conf_settings.problems_of(path)
    yield from found
    if conf_settings.is_cluster_conf(conf):
        if not found and os.path.basename(path) == cluster_conf.FILE_NAME:
            cluster_conf.load(os.path.dirname(path))  # checks across sections; raises ConfigError
    elif not conf.sections:  # storage-server.conf of `objstore serve`, which has no pipeline
        yield from _check_rings(conf, conf.values("DEFAULT"), ())
    else:
        yield from _check_server(conf)


def _check_server(conf: Conf) -> Iterator[ConfProblem]:
    if MAIN not in conf.names:
        yield ConfProblem(conf.path, "", f"there is no [{MAIN}]")
        return
    names = conf.values(MAIN).get("pipeline", "").split()
    if not names:
        yield ConfProblem(conf.path, MAIN, "pipeline is empty")
        return
    wanted = [f"filter:{name}" for name in names[:-1]] + [f"app:{names[-1]}"]
    missing = [section for section in wanted if section not in conf.names]
    for section in missing:
        yield ConfProblem(
            conf.path, MAIN, f"the pipeline names {section.partition(':')[2]}, but there is no [{section}]"
        )
    parts = [part_of(conf, section) for section in wanted if section in conf.names]
    for part in parts:
        if part.name and part.table is None:
            yield ConfProblem(conf.path, part.section, f"use = egg:{OURS}#{part.name}: there is no such filter or app")
    for section in conf.sections:
        if section not in wanted and section != MAIN and section.partition(":")[0] in ("app", "filter"):
            yield ConfProblem(conf.path, section, "is not in the pipeline", serious=False)
    kind = kind_of(conf)
    if kind is not None:
        filters = [part.name for part in parts if part.section.startswith("filter:") and part.name]
        for finding in pipeline_rules.findings(kind.name, filters):
            yield ConfProblem(conf.path, MAIN, finding.text, finding.serious)
        yield from _check_process(conf, kind)
        yield from _check_surroundings(conf, kind, parts)
    if not missing and all(part.table is not None or not part.name for part in parts):
        import_pipeline(conf.path)  # of external filters; raises ConfigError


def _check_process(conf: Conf, kind: ServerKind) -> Iterator[ConfProblem]:
    """Check the certificate and the address."""
    try:
        section = kind.defaults | conf.defaults()
        values = settings.read(ProcessSettings, section)
        server = settings.read(ServerSettings, section)
    except ConfigError:
        return  # reported already
    if server.cert_file:
        try:
            server_context(server.cert_file, server.key_file)
        except ConfigError as error:
            yield ConfProblem(conf.path, "DEFAULT", str(error))
    why, serious = _cannot_bind(values.bind_ip.strip("[]"), values.bind_port)
    if why:
        where = f"bind_ip = {values.bind_ip}, bind_port = {values.bind_port}"
        yield ConfProblem(conf.path, "DEFAULT", f"{where}: {why}", serious)


def _cannot_bind(host: str, port: int) -> tuple[str, bool]:
    """Return why a server could not listen, and whether that is serious: a running server uses its own port."""
    try:
        family, _, _, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(target)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return "", False  # usually by this same server
        if error.errno in (errno.EACCES, errno.EPERM):
            return "only root, or a process with CAP_NET_BIND_SERVICE, may listen there", False
        return error.strerror or str(error), True
    return "", False


def _check_surroundings(conf: Conf, kind: ServerKind, parts: list[PipelinePart]) -> Iterator[ConfProblem]:
    """Check the files and directories that the settings name."""
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
) -> Iterator[ConfProblem]:
    """Check the rings. policies: the rings of all policies, accounts and containers are needed."""
    directory = values.get("ring_dir", "/etc/objstore")
    path = os.path.join(directory, cluster_conf.FILE_NAME)
    try:
        cluster = cluster_conf.load(directory)
        for problem in conf_settings.problems_of(path):
            yield ConfProblem(conf.path, "DEFAULT", f"ring_dir: {problem}")
    except ConfigError as error:
        yield ConfProblem(conf.path, "DEFAULT", f"ring_dir: {error}")
        return
    if policies:
        names = ("account", "container", *(ring_name(policy.index) for policy in cluster.policies))
    for name in names:
        path = os.path.join(directory, f"{name}.ring")
        try:
            Ring.load(path)
            if os.stat(path).st_mode & stat.S_IROTH:
                text = f"every user of this host can read {path}; run `chmod o= {path}`"
                yield ConfProblem(conf.path, "DEFAULT", text, serious=False)
        except ConfigError as error:
            yield ConfProblem(conf.path, "DEFAULT", f"ring_dir: {error}")


def _check_devices(conf: Conf, section: str, values: Mapping[str, str]) -> Iterator[ConfProblem]:
    root = os.path.normpath(values.get("devices", "/srv/node"))
    if not is_directory(root):
        yield ConfProblem(conf.path, section, f"devices = {root}: no such directory on this host", serious=False)
        return
    try:
        must_mount = settings.boolean(values.get("mount_check", "yes"))
    except ValueError:
        return  # which is a problem of the setting itself
    for path in (*device_paths(root), *filter(os.path.exists, owners.state_directories(root))):
        is_device = not os.path.basename(path).startswith(".")
        if is_device and must_mount and not os.path.ismount(path):
            continue
        if not os.access(path, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
            who = owners.current()
            yield ConfProblem(conf.path, section, f"{path} cannot be written by {who}; run `chown {who} {path}`")


def _check_users(conf: Conf, section: str, values: Mapping[str, str]) -> Iterator[ConfProblem]:
    for name, read in (("users_file", read_users), ("token_key_file", read_token_key)):
        if values.get(name):
            try:
                read(values[name])
            except ConfigError as error:
                yield ConfProblem(conf.path, section, f"{name}: {error}")
