"""The settings that all processes of a cluster share."""

from pathlib import Path

import pytest

from objstore.core.errors import ConfigError
from objstore.runtime import cluster_conf

CONF = "[hash]\nprefix = x\n\n[storage-policy:0]\nname = gold\ndefault = yes\npacked_limit = %s\n"


def packed_limit(directory: Path, text: str) -> int:
    (directory / cluster_conf.FILE_NAME).write_text(CONF % text)
    return cluster_conf.load(directory).policies.default.packed_limit


def test_objects_of_up_to_16_mib_can_be_packed(tmp_path: Path) -> None:
    assert packed_limit(tmp_path, "16M") == 16 << 20


@pytest.mark.parametrize("text", ["16777217", "64M", "10G"])
def test_larger_ones_would_not_fit_into_memory(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="more than 16M"):
        packed_limit(tmp_path, text)
