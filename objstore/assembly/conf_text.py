"""The text of configuration files: samples with every setting, and the files that `init` and `serve` write."""

from __future__ import annotations

from collections.abc import Mapping

from objstore.assembly.kinds import KINDS, ServerKind, process_settings
from objstore.assembly.sections import app_table, filter_table, unique
from objstore.runtime import cluster_conf, log, settings
from objstore.runtime.settings import Table

CLUSTER = "cluster"  # the kind of sample that is objstore.conf
SAMPLES = (*KINDS, CLUSTER)
# The settings to write, by section (`DEFAULT`, a filter's name, `app`).
Values = Mapping[str, Mapping[str, str]]

_SAMPLE_INTRO = """\
Settings of the {server}, commented out at their defaults. A section reads its own settings and
those of [DEFAULT]. To override one of [DEFAULT] in a section, write `set NAME = value`.
%(here)s is the directory of this file.
"""
_CLUSTER_SAMPLE = """\
# Settings that all processes of the cluster share: the same file on all hosts.

[hash]
# Set at least one of the two, to a secret such as `openssl rand -hex 16` prints.
{hash}
[storage-policy:0]
name = Policy-0
default = yes
packed_limit = {packed_limit}
# One section per policy; its objects are placed by object.ring, those of policy N by object-N.ring.
{policy}
[limits]
{limits}
[consistency]
{consistency}"""


def sample(kind: str) -> str:
    """Return a sample of a server's file, or of objstore.conf for the kind `cluster`."""
    if kind == CLUSTER:
        return _CLUSTER_SAMPLE.format(
            hash=settings.sample(cluster_conf.HASH),
            packed_limit=cluster_conf.PACKED_LIMIT_OF_NEW,
            policy=settings.sample(cluster_conf.POLICY),
            limits=settings.sample(cluster_conf.LIMITS),
            consistency=settings.sample(cluster_conf.CONSISTENCY),
        )
    found = KINDS[kind]
    return _text(found, _SAMPLE_INTRO.format(server=found.server), {}, True)


def sample_name(kind: str) -> str:
    return f"{cluster_conf.FILE_NAME if kind == CLUSTER else KINDS[kind].conf_name}-sample"


def config_text(kind: ServerKind, intro: str, values: Values) -> str:
    """Return a file with the usual pipeline and only these settings."""
    return _text(kind, intro, values, False)


def _text(kind: ServerKind, intro: str, values: Values, full: bool) -> str:
    head = "".join(f"# {line}\n" for line in intro.splitlines())
    sections = [
        _section("DEFAULT", {}, values.get("DEFAULT", {}), process_settings(kind) if full else ()),
        f"[pipeline:main]\npipeline = {' '.join(kind.filters)} {kind.server}\n",
        _section(
            f"app:{kind.server}",
            {"use": f"egg:objstore#{kind.name}"},
            values.get("app", {}),
            (app_table(kind.name) or ()) if full else (),
        ),
    ]
    sections += [
        _section(
            f"filter:{name}",
            {"use": f"egg:objstore#{name}"},
            values.get(name, {}),
            unique(filter_table(name) or ()) if full else (),
        )
        for name in kind.filters
    ]
    return head + "\n" + "\n".join(sections)


def filter_section(name: str, values: Values) -> str:
    """Return the section of a filter with only these settings."""
    return _section(f"filter:{name}", {"use": f"egg:objstore#{name}"}, values.get(name, {}), ())


def _section(name: str, fixed: Mapping[str, str], values: Mapping[str, str], table: Table) -> str:
    lines = [f"{key} = {value}\n" for key, value in {**fixed, **values}.items()]
    return f"[{name}]\n" + "".join(lines) + settings.sample(table)


def storage_table() -> Table:
    """Return the settings of storage-server.conf, which `objstore serve` has instead of three files."""
    return unique(
        *(app_table(kind) or () for kind in ("account", "container", "object")), settings.table(log.LogSettings)
    )
