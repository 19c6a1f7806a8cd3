"""The rules of doc/design about what may import what, held against the source.

A package may import itself and what its row names. Exceptions are single modules, each with
its reason.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "objstore"

# From the lowest to the highest.
LAYERS = {
    "core": "",
    "runtime": "core",
    "http": "core runtime",
    "ring": "core runtime",
    "store": "core runtime",
    "wire": "core runtime http",
    "web": "core",
    "replication": "core runtime store wire",
    "server": "core runtime http store wire web replication",
    "layers": "core runtime web",
    "daemon": "core runtime http ring store wire web replication layers",
    "cluster": "core runtime ring wire web layers",
    "access": "core web layers",
    "swift": "core runtime wire web layers access cluster",
    "auth": "core runtime web layers access",
    "middleware": "core runtime web layers access",
    "s3": "core runtime web layers access",
    "assembly": "core runtime http ring store wire web replication layers server daemon cluster access swift auth"
    " middleware s3",
    "health": "core runtime ring cluster assembly",
    "cli": "core runtime http ring store wire web replication layers server daemon cluster access swift auth"
    " middleware s3 assembly health",
}

# (module, module it may import besides), as patterns, and why.
EXCEPTIONS: dict[tuple[str, str], str] = {
    ("objstore.middleware.recon", "objstore.ring"): "tells the versions of the ring files",
}

# Packages of others, and the modules that may import them.
THIRD_PARTY = {
    "eventlet": "objstore.runtime.green",
    "greenlet": "objstore.runtime.green",
    "httptools": "objstore.http.*",
    "sqlite3": "objstore.store.databases.*",
    "lxml": "objstore.web.* objstore.s3.*",
    "numpy": "objstore.ring.* objstore.cli.ring_report",
    "awscrt": "objstore.store.* objstore.s3.*",
    "isal": "objstore.s3.language.checksums",
    "xxhash": "objstore.s3.language.checksums",
    "prometheus_client": "objstore.runtime.metrics",
    "psutil": "objstore.runtime.*",
    "paste": "objstore.assembly.processes",
    "click": "objstore.cli.*",
    "rich": "objstore.cli.*",
    "pymemcache": "objstore.middleware.cache",
    "zstandard": "objstore.swift.bulk.decompression",
    "dns": "objstore.middleware.cname_lookup",
    "objstore": "*",
}

# Looking up a ring needs the standard library alone, which keeps the memory of proxies small.
RING_BUILDING = (
    "objstore.ring.balance objstore.ring.builder objstore.ring.builder_file objstore.ring.checks objstore.ring.increase"
    " objstore.ring.moves objstore.ring.search objstore.ring.shares objstore.ring.spread"
)

# What makes bytes durable or visible goes through the one seam that crash tests can watch.
DURABILITY = frozenset({"fsync", "fdatasync", "rename", "replace", "link", "symlink", "sync", "renames"})
SEAM = "objstore.runtime.files"


class Import(NamedTuple):
    """line: where the import stands. target: dotted name of the module."""

    line: int
    target: str


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def parsed(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(), str(MODULES[module]))


def imports(module: str) -> Iterator[Import]:
    for node in ast.walk(parsed(module)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno}: a relative import"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield Import(node.lineno, name if name in MODULES else node.module or "")


def matches(module: str, patterns: str) -> bool:
    return any(
        fnmatchcase(module, pattern) or fnmatchcase(module + ".", pattern.removesuffix("*"))
        for pattern in patterns.split()
    )


def layer_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def allowed(module: str, target: str) -> bool:
    layer, wanted = layer_of(module), layer_of(target)
    if wanted in ("", layer) or wanted in LAYERS[layer].split():
        return True
    return any(fnmatchcase(module, one) and fnmatchcase(target, other) for one, other in EXCEPTIONS)


def test_every_package_is_in_the_table_and_rows_name_only_lower_ones() -> None:
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert packages == set(LAYERS)
    lower: set[str] = set()
    for layer, row in LAYERS.items():
        assert set(row.split()) <= lower, layer
        lower.add(layer)


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_point_down(layer: str) -> None:
    wrong = [
        f"{module}:{line} imports {target}"
        for module in MODULES
        if layer_of(module) == layer
        for line, target in imports(module)
        if target.startswith("objstore") and not allowed(module, target)
    ]
    assert not wrong, "\n".join(wrong)


def test_engines_are_known_by_their_contract_alone() -> None:
    """Replicators, servers and auditors know `store.interface` and `store.change`, so that they suit any engine."""
    wrong = [
        f"{module}:{line} imports {target}"
        for module in MODULES
        if layer_of(module) not in ("store", "assembly", "cli")
        for line, target in imports(module)
        if target.startswith("objstore.store.objects")
    ]
    wrong += [f"interface.py:{line}" for line, target in imports("objstore.store.interface") if ".objects" in target]
    assert not wrong, "\n".join(wrong)


def test_access_knows_neither_requests_nor_answers() -> None:
    """It decides by values, for any API: of `web` it takes the context and the infos of what the store has."""
    wrong = [
        f"{module}:{line} imports {target}"
        for module in MODULES
        if layer_of(module) == "access"
        for line, target in imports(module)
        if target.startswith("objstore.web") and target not in ("objstore.web.context", "objstore.web.infos")
    ]
    assert not wrong, "\n".join(wrong)


def test_packages_of_others_stay_where_they_belong() -> None:
    wrong = []
    for module in MODULES:
        for line, target in imports(module):
            name = target.partition(".")[0]
            if name in sys.stdlib_module_names and name not in THIRD_PARTY:
                continue
            if not matches(module, THIRD_PARTY.get(name, "")):
                wrong.append(f"{module}:{line} imports {target}")
    assert not wrong, "\n".join(wrong)


def test_only_the_ring_builder_needs_numpy() -> None:
    wrong = [
        f"{module}:{line}"
        for module in MODULES
        if layer_of(module) == "ring" and module not in RING_BUILDING.split()
        for line, target in imports(module)
        if target.partition(".")[0] == "numpy" or target in RING_BUILDING.split()
    ]
    assert not wrong, "\n".join(wrong)


def durable_calls(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
            yield node.lineno, node.attr
        elif isinstance(node, ast.ImportFrom) and node.module == "os":
            yield from ((node.lineno, alias.name) for alias in node.names)


def test_only_the_file_seam_makes_bytes_durable() -> None:
    wrong = [
        f"{module}:{line} calls os.{name}"
        for module in MODULES
        if module != SEAM
        for line, name in durable_calls(parsed(module))
        if name in DURABILITY
    ]
    assert not wrong, "\n".join(wrong)


def test_no_module_is_changed_after_its_import() -> None:
    wrong = [
        f"{module}:{node.lineno} global {', '.join(node.names)}"
        for module in MODULES
        for node in ast.walk(parsed(module))
        if isinstance(node, ast.Global)
    ]
    assert not wrong, "\n".join(wrong)


def test_nothing_is_monkey_patched() -> None:
    wrong = [module for module, path in MODULES.items() if "monkey_patch" in path.read_text()]
    assert not wrong


def test_only_the_log_makes_loggers() -> None:
    """One made elsewhere has no handler: what a proxy said of a damaged ring had neither time nor name."""
    makers = [module for module, path in MODULES.items() if "getLogger(" in path.read_text()]
    assert makers == ["objstore.runtime.log"]


# A device that fails is not an empty one: these calls say "there is nothing" for EIO too.
SWALLOWING = {"exists", "lexists", "isfile", "isdir", "islink", "ismount"}  # of os.path
SWALLOWING_PATHS = {"is_file", "is_symlink", "rglob", "iterdir", "glob", "iglob"}  # of pathlib and glob
LOOKS = {"listdir", "scandir", "walk", "stat", "lstat", "getsize", "getmtime", "open", "list", "access", "exists"}
LOOKS |= {"is_dir", "is_directory", "statvfs", "modified"}

# (module, function) that may take an error for absence, and why.
MAY_SWALLOW = {
    ("objstore.auth.users_file", "_signature"): "the file is then read anew, which raises",
    (
        "objstore.daemon.duties.database_auditor",
        "_size",
    ): "a size for the pace; the audit reads the file and reports the error",
    ("objstore.daemon.rounds", "_load"): "logs, and begins anew; the round reports what it cannot read",
    ("objstore.runtime.boot", "boot_id"): "/proc",
    ("objstore.ring.loader", "*"): "goes on with the ring it has",
    ("objstore.runtime.device_counts", "*"): "counts for status, which names the error of a device beside them",
    ("objstore.runtime.drives", "_noted"): "a note made by hand has no content",
    ("objstore.runtime.drives", "unwritable"): "may this process write to the directory?",
    (
        "objstore.runtime.system_calls",
        "file_system_type",
    ): "a file system that cannot be told is taken for one without order",
    ("objstore.runtime.host_report", "*"): "/proc, and the configuration",
    ("objstore.runtime.log", "*"): "the system's log",
    ("objstore.runtime.number_locks", "_is_ours"): "opens the file anew, which raises",
    ("objstore.runtime.owners", "*"): "the owner of files, for rights",
    ("objstore.runtime.recon_files", "*"): "telemetry",
    ("objstore.store.ballast", "*"): "room set aside as far as it goes",
    ("objstore.store.objects.file_store", "remove_stale_temporaries"): "tried again in the next pass",
}


def may_swallow(module: str, function: str) -> bool:
    return (module, "*") in MAY_SWALLOW or (module, function) in MAY_SWALLOW


def swallowing(module: str) -> Iterator[tuple[str, int, str]]:
    """Function, line and reason for each place that takes an error of the file system for absence."""

    def catches(node: ast.expr | None) -> bool:
        names = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)} if node is not None else {"OSError"}
        return bool(names & {"OSError", "Exception", "EnvironmentError"})

    def looks(body: list[ast.stmt]) -> str:
        calls = (each.func for statement in body for each in ast.walk(statement) if isinstance(each, ast.Call))
        names = (call.attr if isinstance(call, ast.Attribute) else getattr(call, "id", "") for call in calls)
        return next((name for name in names if name in LOOKS), "")

    def visit(node: ast.AST, function: str) -> Iterator[tuple[str, int, str]]:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            function = node.name
        if isinstance(node, ast.Attribute):
            of_path = ast.unparse(node.value) in ("os.path", "path") and node.attr in SWALLOWING
            if of_path or node.attr in SWALLOWING_PATHS or ast.unparse(node) == "os.access":
                yield function, node.lineno, ast.unparse(node)
        elif isinstance(node, ast.With):
            for item in node.items:
                call = item.context_expr
                suppresses = isinstance(call, ast.Call) and ast.unparse(call.func).endswith("suppress")
                if suppresses and any(map(catches, call.args)) and (name := looks(node.body)):  # type: ignore[attr-defined]
                    yield function, node.lineno, f"{name} under {ast.unparse(call)}"
        elif isinstance(node, ast.Try):
            for handler in node.handlers:
                raises = any(isinstance(each, ast.Raise) for each in ast.walk(handler))
                if catches(handler.type) and not raises and (name := looks(node.body)):
                    yield function, handler.lineno, f"{name} whose error is not raised"
        for child in ast.iter_child_nodes(node):
            yield from visit(child, function)

    yield from visit(parsed(module), "")


@pytest.mark.parametrize("layer", [layer for layer in LAYERS if layer not in ("http", "web", "s3", "assembly", "cli")])
def test_an_error_of_a_device_is_not_taken_for_absence(layer: str) -> None:
    """`runtime.files.exists` and `is_directory` raise unless the system says that there is nothing."""
    wrong = [
        f"{module}:{line}: {what} in {function or 'the module'}"
        for module in MODULES
        if layer_of(module) == layer
        for function, line, what in swallowing(module)
        if not may_swallow(module, function)
    ]
    assert not wrong, "\n".join(wrong)


def test_every_exception_for_swallowed_errors_is_used() -> None:
    found = {
        (module, function)
        for module in MODULES
        if layer_of(module) not in ("assembly", "cli")
        for function, _, _ in swallowing(module)
    }
    unused = [
        key for key in MAY_SWALLOW if not any(key[0] == module and key[1] in ("*", name) for module, name in found)
    ]
    assert not unused
