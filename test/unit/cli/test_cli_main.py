"""The command as a whole: help, errors, and what starting it costs."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner

from objstore.cli.main import COMMANDS, main


def test_help_lists_every_command() -> None:
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    for name, command in COMMANDS.items():
        assert name in result.output
        assert command.help in result.output


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_examples(name: str) -> None:
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert "Examples:" in result.output
    assert f"objstore {name}" in result.output


def test_an_error_of_ours_is_one_line_and_status_2(tmp_path: object) -> None:
    result = CliRunner().invoke(main, ["locate", "a", "--ring-dir", str(tmp_path)])
    assert result.exit_code == 2
    assert result.stderr == f"Error: {tmp_path}/objstore.conf: No such file or directory\n"


@pytest.mark.parametrize("module", ["objstore.cli.serve", "objstore.cli.servers"])
def test_servers_start_without_what_they_do_not_need(module: str) -> None:
    code = f"import sys, {module}; print(*sorted({{'numpy', 'rich', 'lxml', 'dns'}} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_help_imports_no_servers() -> None:
    code = "import sys, objstore.cli.main; print(*sorted({'eventlet', 'numpy', 'paste.deploy'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
