"""Checks and samples of configuration files."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from objstore.cli import conf_text
from objstore.cli.cluster_dir import Host, Plan, make
from objstore.cli.config_check import check, check_pipeline
from objstore.cli.data_dir import DataDir, prepare
from objstore.cli.kinds import KINDS, PROXY_FILTERS
from objstore.cli.main import main
from objstore.cli.pipeline_rules import findings

ETC = Path(__file__).parents[3] / "etc"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("cluster")
    (directory / "node").mkdir()
    make(str(directory), Plan((Host(1, 1, "10.0.0.1"),), 1, 1, 4, devices_root=str(directory / "node")))
    return directory


def problems(cluster: Path, name: str, old: str, new: str) -> list[str]:
    """What is said of one of the cluster's files after a change of its text."""
    text = (cluster / name).read_text()
    assert old in text
    changed = cluster / f"changed-{name}"
    changed.write_text(text.replace(old, new, 1))
    try:
        return [str(problem).removeprefix(f"{changed}: ") for problem in check(str(changed))]
    finally:
        changed.unlink()


@pytest.mark.parametrize("kind", [*KINDS, conf_text.CLUSTER])
def test_the_samples_in_etc_are_current(kind: str) -> None:
    """`make samples` writes them anew."""
    assert (ETC / conf_text.sample_name(kind)).read_text() == conf_text.sample(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_samples_are_sound(cluster: Path, kind: str) -> None:
    path = cluster / "sample.conf"
    storage = "" if kind == "proxy" else f"devices = {cluster}\n"
    head = f"\n[DEFAULT]\nring_dir = {cluster}\n{storage}"
    path.write_text(conf_text.sample(kind).replace("\n[DEFAULT]\n", head))
    try:
        assert [str(problem) for problem in check(str(path))] == []
    finally:
        path.unlink()


def test_samples_are_written_to_a_directory(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["config", "sample", "--write", str(tmp_path)])
    assert result.exit_code == 0
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        path.name: path.read_text() for path in ETC.glob("*.conf-sample")
    }


def test_a_misspelt_setting_is_told_with_the_right_one(cluster: Path) -> None:
    said = problems(cluster, "proxy-server.conf", "allow_account_management", "alow_account_management")
    text = "[app:proxy-server] alow_account_management is no setting of this section; allow_account_management is"
    assert said == [text]


def test_a_setting_that_no_section_knows_is_told_of_default(cluster: Path) -> None:
    assert problems(cluster, "object-server.conf", "[DEFAULT]", "[DEFAULT]\ncolour = red") == [
        "[DEFAULT] colour is no setting of this section"
    ]


def test_a_setting_of_a_filter_may_stand_in_default(cluster: Path) -> None:
    assert problems(cluster, "object-server.conf", "[DEFAULT]", "[DEFAULT]\ndisable_path = /tmp/off") == []


def test_wrong_values_are_told_all_at_once(cluster: Path) -> None:
    said = problems(cluster, "proxy-server.conf", "[DEFAULT]", "[DEFAULT]\nworkers = many\nbacklog = 0")
    assert len(said) == 2
    assert any("workers = 'many'" in text for text in said)
    assert any("backlog = '0'" in text and "not at least 1" in text for text in said)


def test_a_setting_hidden_by_default_is_told(cluster: Path) -> None:
    said = problems(cluster, "object-server.conf", "[filter:recon]", "[filter:recon]\nmount_check = yes")
    assert said == [
        "[filter:recon] mount_check is set in [DEFAULT] too, which counts; write `set mount_check = ...` here"
    ]
    assert problems(cluster, "object-server.conf", "[filter:recon]", "[filter:recon]\nset mount_check = yes") == []


def test_a_filter_without_a_section_is_told(cluster: Path) -> None:
    said = problems(cluster, "proxy-server.conf", " manifests proxy-server", " manifests ratelimit proxy-server")
    assert said == ["[pipeline:main] the pipeline names ratelimit, but there is no [filter:ratelimit]"]


def test_a_filter_that_does_not_exist_is_told(cluster: Path) -> None:
    said = problems(cluster, "proxy-server.conf", "egg:objstore#copy", "egg:objstore#kopy")
    assert "[filter:copy] use = egg:objstore#kopy: there is nothing of this name" in said


def test_a_section_outside_of_the_pipeline_is_a_warning(cluster: Path) -> None:
    said = problems(cluster, "object-server.conf", "pipeline = healthcheck recon", "pipeline = healthcheck")
    assert said == ["[filter:recon] warning: is not in the pipeline"]


def test_a_missing_ring_is_told(cluster: Path) -> None:
    ring = cluster / "container.ring"
    kept = ring.read_bytes()
    try:
        ring.write_bytes(kept[:100])
        said = [str(problem) for problem in check(str(cluster / "proxy-server.conf"))]
    finally:
        ring.write_bytes(kept)
    assert len(said) == 1
    assert f"[DEFAULT] ring_dir: {ring}" in said[0]


def test_a_missing_users_file_is_told(cluster: Path) -> None:
    said = problems(cluster, "proxy-server.conf", "users.json", "nobody.json")
    assert said == [f"[filter:tempauth] users_file: {cluster}/nobody.json: No such file or directory"]


def test_users_in_the_file_itself_are_settings(cluster: Path) -> None:
    said = problems(cluster, "proxy-server.conf", "[filter:tempauth]", "[filter:tempauth]\nuser_a_b = key .admin")
    assert said == []


def test_a_file_that_is_none_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.conf"
    path.write_text("no section = 1\n")
    assert "no section headers" in str(check(str(path))[0])
    assert "No such file" in str(check(str(tmp_path / "nothing.conf"))[0])


def test_a_policy_without_a_default_is_told(tmp_path: Path) -> None:
    path = tmp_path / "objstore.conf"
    path.write_text("[hash]\nprefix = a%%b%(c\n[storage-policy:0]\nname = a\n[storage-policy:1]\nname = b\n")
    assert [problem.text for problem in check(str(path))] == ["one storage policy must be the default, 0 are"]
    path.write_text("[hash]\nprefix = a\n[limit]\nx = 1\n[storage-policy:0]\nnam = a\n")
    assert [problem.section for problem in check(str(path))] == ["limit", "storage-policy:0"]


@pytest.mark.parametrize("name", PROXY_FILTERS)
def test_a_filter_of_the_usual_pipeline_that_is_missing_is_told(name: str) -> None:
    """Files of older versions lack what came later."""
    rest = [other for other in PROXY_FILTERS if other != name]
    assert any(name in finding.text for finding in findings("proxy", rest))


def test_at_its_start_serve_tells_what_its_pipeline_lacks(tmp_path: Path) -> None:
    data = DataDir(str(tmp_path))
    prepare(data, None, None)
    assert check_pipeline(data.proxy_conf) == []
    conf = Path(data.proxy_conf)
    conf.write_text(conf.read_text().replace("copy manifests", "copy"))
    assert [str(problem) for problem in check_pipeline(data.proxy_conf)] == [
        f"{conf}: [pipeline:main] warning: manifests is missing: large objects are read as lists of their segments"
    ]
    assert check_pipeline(str(tmp_path / "nowhere")) == []


def test_the_usual_pipelines_break_no_rule() -> None:
    for kind in KINDS.values():
        assert findings(kind.name, kind.filters) == []


def test_authentication_after_copies_is_told() -> None:
    order = [name for name in PROXY_FILTERS if name != "tempauth"] + ["tempauth"]
    found = findings("proxy", order)
    assert [finding.text.partition(":")[0] for finding in found] == ["copy comes before tempauth"]
    assert found[0].serious


def test_errors_must_be_caught_first() -> None:
    second = [PROXY_FILTERS[1], PROXY_FILTERS[0], *PROXY_FILTERS[2:]]
    told = [
        finding.text.partition(":")[0] for order in (second, PROXY_FILTERS[1:]) for finding in findings("proxy", order)
    ]
    assert told == ["catch_errors must be the first", "catch_errors is missing"]


def test_exit_status_says_whether_files_are_sound(cluster: Path, tmp_path: Path) -> None:
    good = CliRunner().invoke(main, ["config", "check", *map(str, sorted(cluster.glob("*.conf")))])
    assert (good.exit_code, good.output) == (0, "5 files are sound\n")
    bad = CliRunner().invoke(main, ["config", "check", str(tmp_path / "nothing.conf")])
    assert bad.exit_code == 1
