import json
import os
import stat

import pytest
from click.testing import CliRunner

from objstore.assembly.data_dir import DataDir, write_credentials
from objstore.auth import hashing
from objstore.auth.prefixes import Prefix, Prefixes
from objstore.auth.users import UserTable
from objstore.auth.users_file import read_users
from objstore.cli.user import user


@pytest.fixture
def run(tmp_path):
    def run(*words, status=0):
        done = CliRunner().invoke(user, [*words, "--data", str(tmp_path)])
        assert done.exit_code == status, done.output
        return done.output

    return run


def known(tmp_path):
    return read_users(str(tmp_path / "users.json"))


def test_added_user_is_kept_for_its_owner_alone(run, tmp_path):
    run(
        "add",
        "test:tester",
        "--key",
        "testing",
        "--admin",
        "--group",
        "staff",
        "--access-key",
        "A",
        "--secret-key",
        "S",
    )
    made = known(tmp_path)["test:tester"]
    assert made == ("test:tester", "testing", (".admin", "staff"), "A", "S", "", "")
    assert stat.S_IMODE(os.stat(tmp_path / "users.json").st_mode) == 0o600


def test_keys_are_made_and_shown_once(run, tmp_path):
    shown = run("add", "test:tester", "--reseller-admin")
    made = known(tmp_path)["test:tester"]
    assert made.groups == (".reseller_admin",)
    for secret in (made.key, made.access_key, made.secret_key):
        assert len(secret) >= 20
        assert secret in shown
    listed = run("list")
    assert made.access_key in listed
    assert made.key not in listed
    assert made.secret_key not in listed


def test_key_may_come_from_standard_input(tmp_path):
    words = ["add", "test:tester", "--key", "-", "--data", str(tmp_path)]
    assert CliRunner().invoke(user, words, input="pass word\n").exit_code == 0
    assert known(tmp_path)["test:tester"].key == "pass word"


def test_hash_keeps_the_key_out_of_the_file(run, tmp_path):
    run("add", "test:tester", "--key", "testing", "--hash")
    kept = known(tmp_path)["test:tester"].key
    assert "testing" not in kept
    assert hashing.matches(kept, "testing")
    assert json.loads(run("list", "--json"))[0]["key"] == "hashed"


def test_a_user_is_replaced_only_on_demand(run, tmp_path):
    run("add", "test:tester", "--key", "one")
    assert "already" in run("add", "test:tester", "--key", "two", status=1)
    assert known(tmp_path)["test:tester"].key == "one"
    run("add", "test:tester", "--key", "two", "--replace")
    assert known(tmp_path)["test:tester"].key == "two"


def test_removed_user_is_gone(run, tmp_path):
    run("add", "test:one")
    run("add", "test:two")
    run("remove", "test:one")
    assert list(known(tmp_path)) == ["test:two"]
    assert "no user" in run("remove", "test:one", status=1)


@pytest.mark.parametrize(
    ("words", "message", "status"),
    [
        (["tester"], "ACCOUNT:USER", 1),
        (["a/b:tester"], "ACCOUNT:USER", 1),
        (["test:tester", "--group", "a,b"], "group", 1),
        (["test:tester", "--access-key", "A"], "go together", 2),
        (["test:tester", "--key", ""], "empty", 2),
    ],
)
def test_mistakes_are_told(run, tmp_path, words, message, status):
    assert message in run("add", *words, status=status)
    assert not (tmp_path / "users.json").exists()


def test_an_access_key_has_one_user(run, tmp_path):
    run("add", "test:one", "--access-key", "A", "--secret-key", "S")
    assert "another user" in run("add", "test:two", "--access-key", "A", "--secret-key", "T", status=1)
    assert list(known(tmp_path)) == ["test:one"]


def test_a_broken_file_is_told_and_left(run, tmp_path):
    (tmp_path / "users.json").write_text("{")
    assert "not JSON" in run("add", "test:one", status=1)
    assert "not JSON" in run("list", status=1)
    assert (tmp_path / "users.json").read_text() == "{"


def test_the_list_breaks_no_access_key_whatever_is_beside_it(run, tmp_path):
    """In 80 columns the last letter of each key stood in a line of its own."""
    groups = [word for number in range(4) for word in ("--group", f"some-group-{number}")]
    run("add", "a-long-name-of-an-account:a-long-name-of-a-user", "--admin", *groups)
    (made,) = known(tmp_path).values()
    listed = run("list").splitlines()
    (row,) = [line for line in listed if made.access_key in line]
    assert "a-long-name-of-an-account:a-long-name-of-a-user" in row
    assert "some-group-3" in row


def test_list_without_a_file_is_empty(run):
    assert json.loads(run("list", "--json")) == []


@pytest.mark.parametrize("words", [["--help"], ["add", "--help"]])
def test_help_has_examples(words):
    shown = CliRunner().invoke(user, words)
    assert shown.exit_code == 0
    assert "objstore user add photos:anna --data /srv/objstore --admin" in shown.output


def test_a_user_who_is_replaced_keeps_its_groups_unless_others_are_given(run, tmp_path):
    """`--replace` without `--admin` silently made an administrator a user who may do nothing."""
    run("add", "a:b", "--admin", "--group", "staff")
    old = known(tmp_path)["a:b"]
    run("add", "a:b", "--replace", "--key", "new")
    assert known(tmp_path)["a:b"].groups == (".admin", "staff")
    assert known(tmp_path)["a:b"].secret_key != old.secret_key
    assert "no longer in: staff" in run("add", "a:b", "--replace", "--admin")
    assert known(tmp_path)["a:b"].groups == (".admin",)
    assert "no longer in: .admin" in run("add", "a:b", "--replace", "--no-groups")
    assert known(tmp_path)["a:b"].groups == ()
    run("add", "a:c", "--no-groups", status=2)


def test_a_user_who_may_do_nothing_is_told_so(run):
    assert "is not an admin of AUTH_photos" in run("add", "photos:bob", "--group", "editors")
    assert "is not an admin" not in run("add", "photos:anna", "--admin")


def test_new_keys_are_shown_once_and_all_else_stays(run, tmp_path):
    run("add", "a:b", "--admin", "--hash")
    old = known(tmp_path)["a:b"]
    shown = run("rotate", "a:b")
    new = known(tmp_path)["a:b"]
    assert new.groups == old.groups
    assert len({old.key, new.key, old.access_key, new.access_key, old.secret_key, new.secret_key}) == 6
    key = next(line.split()[1] for line in shown.splitlines() if line.startswith("key:"))
    assert hashing.is_hashed(new.key)
    assert hashing.matches(new.key, key)
    assert new.secret_key in shown
    run("rotate", "a:b", "--only", "s3")
    assert known(tmp_path)["a:b"].key == new.key
    assert known(tmp_path)["a:b"].access_key != new.access_key
    assert "chosen" not in run("rotate", "a:b", "--only", "login", "--key", "chosen")
    assert hashing.matches(known(tmp_path)["a:b"].key, "chosen")
    run("rotate", "a:nobody", status=1)
    run("rotate", "a:b", "--only", "s3", "--key", "x", status=2)


def test_ones_own_name_may_be_ones_access_key(run, tmp_path):
    run("add", "a:b", "--access-key", "a:b", "--secret-key", "S")
    table = UserTable(known(tmp_path).values(), Prefixes([Prefix("AUTH_")]))
    assert table.credentials["a:b"].secret_key == "S"
    assert "another user" in run("add", "a:c", "--access-key", "a:b", "--secret-key", "S", status=1)


def test_the_credentials_file_holds_no_keys_of_another_user(run, tmp_path):
    """After the first user was removed, the next start wrote the keys of whoever came first into the file."""
    data = DataDir(str(tmp_path))
    run("add", "a:first", "--admin")
    run("add", "admin:admin", "--admin")
    report = write_credentials(data, "http://x")
    assert report["user"] == "admin:admin"
    run("rotate", "admin:admin")
    assert json.loads((tmp_path / "credentials.json").read_text())["key"] == known(tmp_path)["admin:admin"].key
    run("remove", "admin:admin")
    report = write_credentials(data, "http://y")
    assert (report["endpoint"], report["user"], report["key"], report["secret_key"]) == ("http://y", "", "", "")
