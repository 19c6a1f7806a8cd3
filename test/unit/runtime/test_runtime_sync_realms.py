"""The file of realms."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from objstore.core.container_sync import SyncRealm
from objstore.core.errors import ConfigError
from objstore.runtime.sync_realms import SyncRealms, load

GOOD = """
[DEFAULT]
mtime_check_interval = 300
[Realm1]
key = a%b
key2 = former
cluster_one = https://one.example/v1
cluster_two = http://two.example:8080/v1/
"""
REALM = SyncRealm("Realm1", ("a%b", "former"), {"ONE": "https://one.example/v1/", "TWO": "http://two.example:8080/v1/"})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "realms.conf"


def test_realms_are_found_by_name_whatever_its_case(path: Path) -> None:
    path.write_text(GOOD)
    assert load(str(path)) == {"REALM1": REALM}


def test_without_the_file_there_are_no_realms(path: Path) -> None:
    assert load(str(path)) == {}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[r]\n", "has no key"),
        ("[r]\nkey = \nkey2 = x\n", "has no key"),
        ("[r]\nkey = x\ncluster_a = host/v1\n", "cluster_a = host/v1 is not a URL"),
        ("[r]\nkey = x\ncluster_a = ftp://host/v1\n", "is not a URL"),
        ("key = x\n", "no section headers"),
    ],
)
def test_a_bad_file_is_an_error_that_names_it(path: Path, text: str, problem: str) -> None:
    path.write_text(text)
    with pytest.raises(ConfigError, match=f"{path.name}.*{problem}"):
        load(str(path))


def test_a_changed_file_is_read_again_and_a_bad_one_changes_nothing(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_text(GOOD)
    clock = [0.0]
    realms = SyncRealms(str(path), logging.getLogger("test"), 10.0, lambda: clock[0])
    path.write_text("[other]\nkey = x\n")
    os.utime(path, (1, 1))
    assert realms.get() == {"REALM1": REALM}
    clock[0] = 11.0
    assert realms.get() == {"OTHER": SyncRealm("other", ("x",), {})}
    path.write_text("[other]\n")
    os.utime(path, (2, 2))
    clock[0] = 22.0
    assert list(realms.get()) == ["OTHER"]
    assert "stay in use" in caplog.text
