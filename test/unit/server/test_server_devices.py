"""What counts as a device of a host."""

from __future__ import annotations

from pathlib import Path

import pytest

from objstore.core.errors import DeviceUnavailable
from objstore.server.devices import Devices, Makers


def test_plain_files_and_names_with_a_dot_are_no_devices(tmp_path: Path) -> None:
    """A request for the device `.recon` was answered if mount points are not asked for."""
    for name in ("d1", ".recon", ".out", "lost+found"):
        (tmp_path / name).mkdir()
    (tmp_path / "README").touch()
    devices = Devices(str(tmp_path), Makers(*[None] * 4), False)  # type: ignore[arg-type]
    assert devices.names() == ["d1"]
    devices.get("d1")
    for name in (".recon", ".out", ".", "..", "", "lost+found", "README", "d1/x"):
        with pytest.raises(DeviceUnavailable):
            devices.get(name)
