"""What the storage servers make of requests by HTTP."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from objstore.assembly.apps import storage_servers
from objstore.cluster.cluster import Transports
from objstore.server.http_adapter import StorageApp
from objstore.web.responses import call


@pytest.fixture
def servers(tmp_path: Path) -> Any:
    (tmp_path / "objstore.conf").write_text("[hash]\nprefix = a\n")
    (tmp_path / "devices" / "d1").mkdir(parents=True)
    conf = {"ring_dir": str(tmp_path), "devices": str(tmp_path / "devices"), "mount_check": "no", "log_to": "none"}
    return storage_servers(conf, Transports(None))  # type: ignore[arg-type]


def status(servers: Any, kind: str, method: str, path: str, **environ: str) -> int:
    asked = {"REQUEST_METHOD": method, "PATH_INFO": path, "wsgi.input": io.BytesIO(), **environ}
    return call(StorageApp(servers.by_kind[kind]), asked).status


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/d1/3/AUTH_t/c", 400),
        ("/d1/x/AUTH_t/c/o", 400),
        ("/d2/3/AUTH_t/c/o", 507),
        ("/../3/AUTH_t/c/o", 507),
        ("/d1/3/AUTH_t//o", 400),
        ("/d1/3/AUTH_t/c/", 400),
        ("/", 400),
        ("*", 400),
    ],
)
def test_paths_that_lead_nowhere_are_refused(servers: Any, path: str, expected: int) -> None:
    assert status(servers, "object", "GET", path) == expected


@pytest.mark.parametrize(("method", "expected"), [("OPTIONS", 200), ("PATCH", 405)])
def test_a_method_without_a_verb_is_answered_whatever_its_path(servers: Any, method: str, expected: int) -> None:
    assert status(servers, "object", method, "*") == expected


def test_names_of_another_depth_are_refused(servers: Any) -> None:
    assert status(servers, "account", "GET", "/d1/3/AUTH_t/c") == 400
    assert status(servers, "container", "GET", "/d1/3/AUTH_t/c/o") == 400


def test_a_length_that_is_no_number_is_refused(servers: Any) -> None:
    environ = {"HTTP_X_TIMESTAMP": "1.00000", "CONTENT_LENGTH": "\xb2"}
    assert status(servers, "object", "PUT", "/d1/3/AUTH_t/c/o", **environ) == 400
