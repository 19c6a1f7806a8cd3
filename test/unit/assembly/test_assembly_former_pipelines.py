"""Pipelines in the directory of `objstore serve` after an upgrade."""

from __future__ import annotations

from configparser import ConfigParser
from pathlib import Path

import pytest

from objstore.assembly import data_dir
from objstore.assembly.conf_text import config_text
from objstore.assembly.data_dir import DataDir
from objstore.assembly.former_pipelines import FORMER, renewed
from objstore.assembly.kinds import KINDS

PROXY = KINDS["proxy"]
VALUES = {"tempauth": {"users_file": "users"}, PROXY.filters[-1]: {"some": "value"}}


def old_conf(filters: str) -> str:
    names = filters.split()
    text = config_text(PROXY._replace(filters=tuple(names)), "The proxy.", VALUES)
    return text.replace("users_file = users", "users_file = mine")


@pytest.mark.parametrize("filters", sorted(FORMER))
def test_a_former_pipeline_becomes_the_usual_one_and_settings_stay(filters: str) -> None:
    parser = ConfigParser(interpolation=None)
    parser.read_string(renewed(old_conf(filters), PROXY, VALUES))
    assert parser["pipeline:main"]["pipeline"] == " ".join((*PROXY.filters, PROXY.server))
    for name in PROXY.filters:
        assert parser[f"filter:{name}"]["use"] == f"egg:objstore#{name}"
    assert parser["filter:tempauth"]["users_file"] == "mine"
    assert parser[f"filter:{PROXY.filters[-1]}"]["some"] == "value"


@pytest.mark.parametrize("filters", ["catch_errors s3 tempauth", " ".join(PROXY.filters), f"{min(FORMER)} mine"])
def test_any_other_pipeline_stays_as_it_is(filters: str) -> None:
    assert renewed(old_conf(filters), PROXY, VALUES) == old_conf(filters)


def test_a_directory_of_an_earlier_version_gets_the_new_filters_at_its_next_start(tmp_path: Path) -> None:
    data = DataDir(str(tmp_path / "data"))
    data_dir.prepare(data, None, None)
    conf = Path(data.proxy_conf)
    usual = " ".join((*PROXY.filters, PROXY.server))
    assert usual in conf.read_text()
    conf.write_text(conf.read_text().replace(usual, f"{min(FORMER)} {PROXY.server}"))
    data_dir.prepare(data, None, None)
    assert usual in conf.read_text()
    before = conf.read_text()
    data_dir.prepare(data, None, None)
    assert conf.read_text() == before
