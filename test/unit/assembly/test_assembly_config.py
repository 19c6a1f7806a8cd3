"""Checks and samples of configuration files."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from objstore.assembly import conf_text
from objstore.assembly.cluster_dir import ClusterPlan, PlannedHost, make
from objstore.assembly.conf_settings import refuse
from objstore.assembly.config_check import check, check_pipeline
from objstore.assembly.data_dir import DataDir, prepare
from objstore.assembly.kinds import KINDS, PROXY_FILTERS
from objstore.assembly.pipeline_rules import findings
from objstore.cli.main import main
from objstore.core.errors import ConfigError

ETC = Path(__file__).parents[3] / "etc"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("cluster")
    (directory / "node").mkdir()
    make(str(directory), ClusterPlan((PlannedHost(1, 1, "10.0.0.1"),), 1, 1, 4, devices_root=str(directory / "node")))
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
    output = problems(cluster, "proxy-server.conf", "allow_account_management", "alow_account_management")
    text = "[app:proxy-server] alow_account_management is not a setting of this section; allow_account_management is"
    assert output == [text]


def test_a_setting_that_no_section_knows_is_told_of_default(cluster: Path) -> None:
    assert problems(cluster, "object-server.conf", "[DEFAULT]", "[DEFAULT]\ncolour = red") == [
        "[DEFAULT] colour is not a setting of this section"
    ]


def test_a_setting_of_a_filter_may_stand_in_default(cluster: Path) -> None:
    assert problems(cluster, "object-server.conf", "[DEFAULT]", "[DEFAULT]\ndisable_path = /tmp/off") == []


def test_wrong_values_are_told_all_at_once(cluster: Path) -> None:
    output = problems(cluster, "proxy-server.conf", "[DEFAULT]", "[DEFAULT]\nworkers = many\nbacklog = 0")
    assert len(output) == 2
    assert any("workers = 'many'" in text for text in output)
    assert any("backlog = '0'" in text and "not at least 1" in text for text in output)


def test_a_wrong_mount_check_is_reported_and_ends_no_check(cluster: Path) -> None:
    output = problems(cluster, "object-server.conf", "mount_check = yes", "mount_check = perhaps")
    assert any("mount_check" in text and "perhaps" in text for text in output), output


def test_a_setting_hidden_by_default_is_told(cluster: Path) -> None:
    output = problems(cluster, "object-server.conf", "[filter:recon]", "[filter:recon]\nmount_check = yes")
    assert output == [
        "[filter:recon] mount_check is set in [DEFAULT] too, which takes precedence; write `set mount_check = ...` here"
    ]
    assert problems(cluster, "object-server.conf", "[filter:recon]", "[filter:recon]\nset mount_check = yes") == []


def test_a_filter_without_a_section_is_told(cluster: Path) -> None:
    output = problems(cluster, "proxy-server.conf", " proxy-server\n", " unheard-of proxy-server\n")
    assert output == ["[pipeline:main] the pipeline names unheard-of, but there is no [filter:unheard-of]"]


def test_a_filter_that_does_not_exist_is_told(cluster: Path) -> None:
    output = problems(cluster, "proxy-server.conf", "egg:objstore#info", "egg:objstore#inffo")
    assert "[filter:info] use = egg:objstore#inffo: there is no such filter or app" in output


def test_a_section_outside_of_the_pipeline_is_a_warning(cluster: Path) -> None:
    output = problems(cluster, "object-server.conf", "pipeline = healthcheck recon", "pipeline = healthcheck")
    assert output == ["[filter:recon] warning: is not in the pipeline"]


def test_a_missing_ring_is_told(cluster: Path) -> None:
    ring = cluster / "container.ring"
    kept = ring.read_bytes()
    try:
        ring.write_bytes(kept[:100])
        output = [str(problem) for problem in check(str(cluster / "proxy-server.conf"))]
    finally:
        ring.write_bytes(kept)
    assert len(output) == 1
    assert f"[DEFAULT] ring_dir: {ring}" in output[0]


def test_a_missing_users_file_is_told(cluster: Path) -> None:
    output = problems(cluster, "proxy-server.conf", "users.json", "nobody.json")
    assert output == [f"[filter:tempauth] users_file: {cluster}/nobody.json: No such file or directory"]


def test_users_in_the_file_itself_are_settings(cluster: Path) -> None:
    output = problems(cluster, "proxy-server.conf", "[filter:tempauth]", "[filter:tempauth]\nuser_a_b = key .admin")
    assert output == []


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
    conf.write_text(conf.read_text().replace("listing_formats ", ""))
    assert [str(problem) for problem in check_pipeline(data.proxy_conf)] == [
        f"{conf}: [pipeline:main] warning: listing_formats is missing: listings are JSON only"
    ]
    assert check_pipeline(str(tmp_path / "nowhere")) == []


def test_the_usual_pipelines_break_no_rule() -> None:
    for kind in KINDS.values():
        assert findings(kind.name, kind.filters) == []


def test_s3_after_authentication_is_told() -> None:
    order = [name for name in PROXY_FILTERS if name != "s3"] + ["s3"]
    found = findings("proxy", order)
    assert "s3" in found[0].text and "tempauth" in found[0].text and found[0].serious


def test_pipelines_may_name_filters_whose_work_the_proxy_does_now() -> None:
    assert findings("proxy", (*PROXY_FILTERS, "copy", "manifests")) == []


def test_errors_must_be_caught_first() -> None:
    second = [PROXY_FILTERS[1], PROXY_FILTERS[0], *PROXY_FILTERS[2:]]
    report = [
        finding.text.partition(":")[0] for order in (second, PROXY_FILTERS[1:]) for finding in findings("proxy", order)
    ]
    assert report == ["catch_errors must be the first", "catch_errors is missing"]


def test_exit_status_says_whether_files_are_sound(cluster: Path, tmp_path: Path) -> None:
    good = CliRunner().invoke(main, ["config", "check", *map(str, sorted(cluster.glob("*.conf")))])
    assert (good.exit_code, good.output) == (0, "5 files are valid\n")
    bad = CliRunner().invoke(main, ["config", "check", str(tmp_path / "nothing.conf")])
    assert bad.exit_code == 1


@pytest.mark.parametrize(
    ("kind", "old", "new", "told"),
    [
        ("proxy", "[DEFAULT]", "[DEFAULT]\ncert_fil = x", "cert_file is"),
        ("proxy", "[filter:cache]", "[filter:cache]\nset shared_fil = x", "shared_file is"),
        ("proxy", "[filter:s3]", "[filter:s3]\nregon = x", "[filter:s3] regon"),
        ("object", "[app:object-server]", "[app:object-server]\nthreads_pr_disk = 3", "threads_per_disk is"),
        ("object", "[pipeline:main]", "[pipeline:main]\npiplin = x", "pipeline is"),
        ("object", "[filter:recon]", "[fliter:other]\nuse = x\n[filter:recon]", "filter is"),
        ("object", "[DEFAULT]", "[DEFAULTS]\nworkers = 3\n[DEFAULT]", "DEFAULT is"),
        ("object", "[DEFAULT]", "[DEFAULT]\nworkers = x", "workers = 'x'"),
        (
            "proxy",
            "[app:proxy-server]",
            "[app:proxy-server]\nlayers = manifest",
            "there is no layer manifest; there are",
        ),
        ("proxy", "[app:proxy-server]", "[app:proxy-server]\nlayers =", "write layers = "),
        (
            "object",
            "[filter:recon]",
            "[filter:unused]\nuse = egg:objstore#cache\nx = 1\n[filter:recon]",
            "[filter:unused]",
        ),
    ],
)
def test_what_no_server_starts_with_is_told_with_what_was_meant(
    cluster: Path, kind: str, old: str, new: str, told: str
) -> None:
    """Misspelt settings were passed over: a proxy with `cert_fil` served without TLS."""
    text = (cluster / f"{kind}-server.conf").read_text()
    assert old in text
    changed = cluster / "changed.conf"
    changed.write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigError, match=re.escape(told)):
        refuse(str(changed))


def test_what_paste_reads_is_no_misspelt_setting(cluster: Path) -> None:
    text = (cluster / "proxy-server.conf").read_text()
    changed = cluster / "changed.conf"
    more = "\n[filter:cache]\nset shared_file = a\nget users_file = log_name\npaste.filter_factory = x:y\nrequire =\n"
    changed.write_text(
        text.replace("\n[filter:cache]\n", more)
        + "\n[composite:both]\nuse = egg:Paste#urlmap\n/ = main\n[filter:foreign]\nuse = egg:other#x\ncolour = red\n"
    )
    with pytest.raises(ConfigError, match="users_file") as raised:
        refuse(str(changed))  # `get` sets a setting of this section, which the cache has not
    assert str(raised.value).count("\n") == 0
    changed.write_text(changed.read_text().replace("get users_file", "get shared_file"))
    refuse(str(changed))


def test_hosts_may_have_one_default_section_for_all_their_servers(cluster: Path) -> None:
    output = problems(cluster, "account-server.conf", "[DEFAULT]", "[DEFAULT]\ncontainer_updater_interval = 1s")
    text = "container_updater_interval is a setting of other servers or filters, and has no effect here"
    assert output == [f"[DEFAULT] warning: {text}"]


@pytest.mark.parametrize(
    ("name", "section"), [("users.json", "filter:tempauth"), ("token.key", "filter:tempauth"), ("objstore.conf", "")]
)
def test_secrets_that_others_can_read_are_refused(cluster: Path, name: str, section: str) -> None:
    (cluster / name).chmod(0o644)
    try:
        with pytest.raises(ConfigError, match=f"chmod o= {cluster / name}"):
            refuse(str(cluster / "proxy-server.conf"))
        assert any(f"chmod o= {cluster / name}" in str(one) for one in check(str(cluster / "proxy-server.conf")))
    finally:
        (cluster / name).chmod(0o600)
    refuse(str(cluster / "proxy-server.conf"))


def test_a_file_with_users_in_it_is_secret(cluster: Path) -> None:
    changed = cluster / "changed.conf"
    text = (cluster / "proxy-server.conf").read_text()
    changed.write_text(text.replace("[filter:tempauth]", "[filter:tempauth]\nuser_a_b = key .admin"))
    changed.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod o="):
        refuse(str(changed))
    changed.chmod(0o640)
    refuse(str(changed))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tls")
    for name in ("one", "two"):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x", "-keyout",
             str(directory / f"{name}.key"), "-out", str(directory / f"{name}.pem")],
            check=True, capture_output=True,
        )  # fmt: skip
    subprocess.run(
        ["openssl", "rsa", "-aes128", "-passout", "pass:secret", "-in", str(directory / "one.key"), "-out",
         str(directory / "locked.key")],
        check=True, capture_output=True,
    )  # fmt: skip
    for path in directory.iterdir():
        path.chmod(0o600)
    return directory


@pytest.mark.parametrize(
    ("cert", "key", "told"),
    [
        ("one.pem", "one.key", ""),
        ("one.pem", "two.key", "the key is not that of the certificate"),
        ("one.pem", "locked.key", "the key is encrypted"),
        ("one.pem", "none.key", "key_file"),
        ("none.pem", "one.key", "cert_file"),
        ("one.key", "one.key", "no certificate"),
    ],
)
def test_certificates_that_cannot_be_used_are_told(
    cluster: Path, certificate: Path, cert: str, key: str, told: str
) -> None:
    new = f"[DEFAULT]\ncert_file = {certificate / cert}\nkey_file = {certificate / key}"
    output = problems(cluster, "proxy-server.conf", "[DEFAULT]", new)
    assert len(output) == bool(told)
    assert all(told in text for text in output)


def test_an_address_of_another_host_is_told(cluster: Path) -> None:
    output = problems(cluster, "object-server.conf", "[DEFAULT]", "[DEFAULT]\nbind_ip = 192.0.2.1")
    assert len(output) == 1
    assert "bind_ip = 192.0.2.1" in output[0]


def test_a_check_finds_what_only_making_the_server_would(cluster: Path) -> None:
    changed = cluster / "changed.conf"
    text = (cluster / "object-server.conf").read_text()
    changed.write_text(text.replace("[DEFAULT]", "[DEFAULT]\nlog_to = /nowhere/log"))
    done = CliRunner().invoke(main, ["config", "check", str(changed)])
    assert done.exit_code == 1
    assert "log_to = /nowhere/log" in done.output
